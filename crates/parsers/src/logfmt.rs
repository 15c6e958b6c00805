//! `Format logfmt`: keys and values between blanks (upstream `src/flb_parser_logfmt.c`).

use config::ParserOptions;
use plugin::{BuildError, Parser, ParserContext, ParserPlugin};

use crate::pairs::{Pair, PairKind, Pairs, Unfit};

/// `logfmt`.
pub static PLUGIN: ParserPlugin = ParserPlugin {
    format: "logfmt",
    build,
};

fn build(options: &ParserOptions, context: &ParserContext) -> Result<Box<dyn Parser>, BuildError> {
    let next = match options.logfmt_no_bare_keys {
        true => next_with_value,
        false => next,
    };
    Ok(Box::new(Pairs::new(next, options, context)?))
}

/// The same as [`next`], but a key without `=` makes the line unfit.
fn next_with_value(line: &[u8], at: &mut usize) -> Option<Result<Pair, Unfit>> {
    let pair = next(line, at)?;
    Some(pair.and_then(|pair| {
        let has_value = line.get(pair.key.end) == Some(&b'=');
        if has_value { Ok(pair) } else { Err(Unfit) }
    }))
}

/// The pair at `at` or behind what is none.
fn next(line: &[u8], at: &mut usize) -> Option<Result<Pair, Unfit>> {
    let rest = line.get(*at..)?;
    let start = *at + rest.iter().position(|byte| is_part(*byte))?;
    let key = start..end_of_word(line, start);
    let (value, kind, end) = match line.get(key.end..).unwrap_or_default() {
        [b'=', b'"', ..] => quoted(line, key.end + 2),
        [b'=', ..] => {
            let value = key.end + 1..end_of_word(line, key.end + 1);
            let kind = if value.is_empty() {
                PairKind::True
            } else {
                PairKind::Text
            };
            (value.clone(), kind, value.end)
        }
        _ => (key.end..key.end, PairKind::True, key.end),
    };
    *at = match line.get(end) {
        // The end of the line, also where more text follows.
        Some(b'\r' | b'\n') => line.len(),
        _ => end,
    };
    Some(Ok(Pair { key, value, kind }))
}

/// The value whose opening quote stands before `start`, and where it ends; the closing quote may be missing.
fn quoted(line: &[u8], start: usize) -> (std::ops::Range<usize>, PairKind, usize) {
    let (mut at, mut kind) = (start, PairKind::Text);
    while let Some(byte) = line.get(at).filter(|byte| **byte != b'"') {
        if *byte == b'\\' {
            kind = PairKind::Escaped;
            at += 1;
        }
        at += 1;
    }
    let end = at.min(line.len());
    (start..end, kind, (end + 1).min(line.len()))
}

fn end_of_word(line: &[u8], start: usize) -> usize {
    let rest = line.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| is_part(**byte)).count()
}

/// Whether keys and bare values may have it.
fn is_part(byte: u8) -> bool {
    byte > b' ' && !matches!(byte, b'=' | b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(line: &str) -> Vec<(&str, &str, PairKind)> {
        let mut at = 0;
        std::iter::from_fn(|| next(line.as_bytes(), &mut at))
            .map(|pair| pair.expect("nothing is unfit"))
            .map(|pair| (&line[pair.key], &line[pair.value], pair.kind))
            .collect()
    }

    #[test]
    fn values_are_bare_or_quoted() {
        use PairKind::{Escaped, Text, True};
        assert_eq!(
            pairs(r#"a=1  b="two \"x\"" c d= =e f="" g"h"#),
            [
                ("a", "1", Text),
                ("b", r#"two \"x\""#, Escaped),
                ("c", "", True),
                ("d", "", True),
                ("e", "", True),
                ("f", "", Text),
                ("g", "", True),
                ("h", "", True),
            ]
        );
        assert_eq!(pairs(r#"a="open"#), [("a", "open", Text)]);
        assert_eq!(pairs("a=\"x\\"), [("a", "x\\", Escaped)]);
        assert_eq!(pairs("a=1\r\nb=2"), [("a", "1", Text)]);
        assert_eq!(pairs("  \" "), []);
    }

    #[test]
    fn a_key_alone_may_be_unfit() {
        let mut at = 0;
        assert!(matches!(next_with_value(b"a= b", &mut at), Some(Ok(_))));
        assert_eq!(next_with_value(b"a= b", &mut at), Some(Err(Unfit)));
    }
}
