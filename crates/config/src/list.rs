//! Values that are lists, as Fluent Bit splits them.

use crate::table::Form;
use crate::text::{FromText, Parsed, Refusal};

/// Elements between commas, without the spaces around them; empty ones vanish.
///
/// With `SPLITS` above 0 the text is split at most so many times and the last element keeps the rest (Fluent Bit's
/// `CLIST_n`); fewer than `SPLITS` elements are refused at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommaList<const SPLITS: usize = 0>(pub Vec<String>);

impl<const SPLITS: usize> FromText for CommaList<SPLITS> {
    const FORM: Form = Form::new("list", "values between commas");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let mut elements = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if SPLITS > 0 && elements.len() == SPLITS {
                let last = rest.trim_start_matches(' ');
                if !last.is_empty() {
                    elements.push(last.to_owned());
                }
                break;
            }
            let (element, after) = rest.split_once(',').unwrap_or((rest, ""));
            let element = element.trim_matches(' ');
            if !element.is_empty() {
                elements.push(element.to_owned());
            }
            rest = after;
        }
        enough(SPLITS, elements).map(|elements| Self(elements).into())
    }
}

/// Elements between spaces. An element may stand in double quotes, where `\"` stands for a quote; other backslashes, single quotes
/// and tabs are ordinary characters.
///
/// With `SPLITS` above 0 the text is split at most so many times and the last element keeps the rest, quotes and all (Fluent
/// Bit's `SLIST_n`); fewer than `SPLITS` elements are refused at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlankList<const SPLITS: usize = 0>(pub Vec<String>);

impl<const SPLITS: usize> BlankList<SPLITS> {
    /// The elements of `text`, however few they are.
    pub fn split(text: &str) -> Vec<String> {
        let mut elements = Vec::new();
        let mut rest = text.trim_start_matches(' ');
        while !rest.is_empty() {
            if SPLITS > 0 && elements.len() == SPLITS {
                elements.push(rest.to_owned());
                break;
            }
            let (element, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted_element(quoted),
                None => {
                    let (element, after) = rest.split_once(' ').unwrap_or((rest, ""));
                    (element.to_owned(), after)
                }
            };
            // Only a lone quote at the very end gives nothing; `""` is an empty element.
            if rest != "\"" {
                elements.push(element);
            }
            rest = after.trim_start_matches(' ');
        }
        elements
    }
}

impl<const SPLITS: usize> FromText for BlankList<SPLITS> {
    const FORM: Form = Form::new(
        "list",
        "values between spaces; one with spaces inside in double quotes",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        enough(SPLITS, Self::split(text)).map(|elements| Self(elements).into())
    }
}

fn enough(expected: usize, elements: Vec<String>) -> Result<Vec<String>, Refusal> {
    if elements.len() < expected {
        return Err(format!("expects {expected} values, only {} found", elements.len()).into());
    }
    Ok(elements)
}

/// Cuts an element whose opening quote is already gone. Without a closing quote the rest of the text is the element.
fn quoted_element(text: &str) -> (String, &str) {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if character == '"' && !escaped {
            return (text[..at].replace("\\\"", "\""), &text[at + 1..]);
        }
        // Only the character just before a quote is looked at, so `\\"` does not close.
        escaped = character == '\\';
    }
    (text.to_owned(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn blanks<const N: usize>(text: &str) -> Vec<String> {
        BlankList::<N>::from_text(text)
            .expect("enough elements")
            .value
            .0
    }

    #[track_caller]
    fn commas<const N: usize>(text: &str) -> Vec<String> {
        CommaList::<N>::from_text(text)
            .expect("enough elements")
            .value
            .0
    }

    #[test]
    fn commas_split_and_spaces_go() {
        assert_eq!(
            commas::<0>("/a/*.log, /b/*.log ,,c d"),
            ["/a/*.log", "/b/*.log", "c d"]
        );
        assert_eq!(commas::<0>(" , ,"), [""; 0]);
        assert_eq!(commas::<1>("a, b, c"), ["a", "b, c"]);
    }

    #[test]
    fn blanks_split_outside_double_quotes() {
        assert_eq!(blanks::<0>("a  b c"), ["a", "b", "c"]);
        assert_eq!(
            blanks::<0>(r#"key "two words" 'x y'"#),
            ["key", "two words", "'x", "y'"]
        );
        assert_eq!(blanks::<0>(r#""say \"hi\"" b\n"#), ["say \"hi\"", "b\\n"]);
        assert_eq!(blanks::<0>(r#""a"b "" c"#), ["a", "b", "", "c"]);
        assert_eq!(blanks::<0>(r#"a "open end"#), ["a", "open end"]);
        assert_eq!(blanks::<0>("a \""), ["a"]);
        assert_eq!(blanks::<0>("a\tb"), ["a\tb"]);
    }

    #[test]
    fn the_last_element_keeps_the_rest() {
        assert_eq!(
            blanks::<1>("host my \"own\" host"),
            ["host", "my \"own\" host"]
        );
        assert_eq!(blanks::<2>("a b"), ["a", "b"]);
        let refusal = BlankList::<2>::from_text("alone").expect_err("too few");
        assert_eq!(refusal.why, "expects 2 values, only 1 found");
    }
}
