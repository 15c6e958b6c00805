//! Regular expressions between `%`: a subset of what regular expressions usually are.

use regex_automata::meta;
use regex_automata::util::syntax;

/// How large a compiled expression may become. A pattern has 1,024 characters, but repetitions multiply.
const COMPILED_BYTES: usize = 1024 * 1024;

/// A regular expression that is looked for anywhere in a text.
#[derive(Debug)]
pub struct Regex(meta::Regex);

impl Regex {
    /// Reads what stands between the `%`; an error says what is not allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a regular expression is empty".to_owned());
        }
        let compiled = meta::Regex::builder()
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .configure(
                meta::Config::new()
                    .utf8_empty(false)
                    .nfa_size_limit(Some(COMPILED_BYTES)),
            )
            .build(&translate(text)?);
        compiled
            .map(Self)
            .map_err(|_| format!("'{text}' is not a regular expression"))
    }

    /// Whether it is found in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// Checks that only allowed characters and escapes are there, and writes `{,n}` as `{0,n}`.
fn translate(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len() + 4);
    let mut characters = text.chars().peekable();
    while let Some(one) = characters.next() {
        match one {
            '\\' => {
                let escaped = characters.next();
                match escaped {
                    Some(next) if !next.is_ascii() || next.is_control() => {
                        return Err(format!(
                            "'\\{next}' is not an escape of regular expressions"
                        ));
                    }
                    Some(next) if next.is_alphanumeric() && !"dDsSwWx".contains(next) => {
                        return Err(format!(
                            "'\\{next}' is not an escape; there are \\d \\D \\s \\S \\w \\W and \\xHH"
                        ));
                    }
                    Some(next) => out.extend(['\\', next]),
                    None => return Err("a regular expression ends in a backslash".to_owned()),
                }
            }
            '{' => {
                out.push('{');
                if characters.peek() == Some(&',') {
                    out.push('0');
                }
            }
            _ if one.is_ascii_alphanumeric() || " _#=@/;,-:^$?[]}|*+.".contains(one) => {
                out.push(one);
            }
            _ => {
                return Err(format!(
                    "'{one}' is not allowed in a regular expression; letters, digits, _ # = @ / ; , - : and \
                     ^ $ ? [ ] {{ }} | \\ * + . are"
                ));
            }
        }
    }
    Ok(out)
}
