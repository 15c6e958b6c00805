//! `Format ltsv`: labels and values between tabs (upstream `src/flb_parser_ltsv.c`).

use config::ParserOptions;
use plugin::{BuildError, Parser, ParserContext, ParserPlugin};

use crate::pairs::{Pair, PairKind, Pairs, Unfit};

/// `ltsv`.
pub static PLUGIN: ParserPlugin = ParserPlugin {
    format: "ltsv",
    build,
};

fn build(options: &ParserOptions, context: &ParserContext) -> Result<Box<dyn Parser>, BuildError> {
    Ok(Box::new(Pairs::new(next, options, context)?))
}

/// The pair at `at`. What has no label and colon ends the line: what stands before it counts.
fn next(line: &[u8], at: &mut usize) -> Option<Result<Pair, Unfit>> {
    loop {
        let key = run(line, *at, is_label);
        if line.get(key.end) != Some(&b':') {
            return None;
        }
        let value = run(line, key.end + 1, is_value);
        *at = match line.get(value.end) {
            Some(b'\t') => value.end + 1,
            // The end of the line, also where more text follows.
            Some(b'\r' | b'\n') => line.len(),
            _ => value.end,
        };
        // Only tabs stand between pairs, so that a line end behind one is an end, too.
        if !key.is_empty() {
            let kind = PairKind::Text;
            return Some(Ok(Pair { key, value, kind }));
        }
    }
}

fn run(line: &[u8], from: usize, belongs: fn(u8) -> bool) -> std::ops::Range<usize> {
    let rest = line.get(from..).unwrap_or_default();
    let length = rest.iter().take_while(|byte| belongs(**byte)).count();
    from..from + length
}

fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

fn is_value(byte: u8) -> bool {
    !matches!(byte, 0 | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(line: &str) -> Vec<(&str, &str)> {
        let mut at = 0;
        std::iter::from_fn(|| next(line.as_bytes(), &mut at))
            .map(|pair| pair.expect("nothing is unfit"))
            .map(|pair| (&line[pair.key], &line[pair.value]))
            .collect()
    }

    #[test]
    fn pairs_are_read_up_to_what_is_none() {
        assert_eq!(
            pairs("a:1\tb-c.d_e:x:y z\tf:"),
            [("a", "1"), ("b-c.d_e", "x:y z"), ("f", "")]
        );
        assert_eq!(pairs("a:1\tb c:2\td:3"), [("a", "1")]);
        assert_eq!(pairs("a:1\t\tb:2"), [("a", "1")]);
        assert_eq!(pairs(":1\ta:2"), [("a", "2")]);
        assert_eq!(pairs("a:1\r\nb:2"), [("a", "1")]);
        assert_eq!(pairs("no pair"), []);
        assert_eq!(pairs(""), []);
    }
}
