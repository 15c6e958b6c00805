//! The text of record accessors.

use super::{Path, Piece, Step};

/// Where a text is malformed, and why.
type Malformed = (usize, &'static str);

/// Takes a template apart the way upstream's loop does.
pub(super) fn parts(text: &[u8]) -> Result<Vec<Piece>, Malformed> {
    let mut parts = Vec::new();
    let mut at = 0;
    // Where the literal text starts that is not in `parts` yet.
    let mut literal = 0;
    // The end of the last key reference. After `$TAG[n]` upstream keeps a smaller number here, without effect.
    let mut last_end = 0;
    while at < text.len() {
        if text[at] != b'$' {
            at += 1;
            continue;
        }
        if literal < at {
            parts.push(Piece::Literal(text[literal..at].into()));
        }
        literal = at;
        let after = &text[at + 1..];
        if after.is_empty() {
            break;
        }
        if after[0].is_ascii_digit() {
            parts.push(Piece::Capture(
                usize::try_from(number(after)).unwrap_or(usize::MAX),
            ));
            at += 2;
            literal = at;
        } else if after.starts_with(b"TAG") {
            let (part, len) = tag(after);
            parts.push(part);
            literal = (at + 1 + len).min(text.len());
            last_end = 0;
            // The character after it is never looked at.
            at += len + 2;
        } else {
            let end = at + reference_len(&text[at..]);
            parts.push(Piece::Key(
                Tokens {
                    text: &text[..end],
                    at,
                }
                .path()?,
            ));
            literal = end;
            last_end = end;
            at = end + 1;
        }
    }
    if (at > last_end + 1 && literal < at) || at == 1 {
        parts.push(Piece::Literal(text[literal.min(text.len())..].into()));
    }
    Ok(parts)
}

/// `TAG` or `TAG[n]` at the start of `text`: the part, and how long it is.
fn tag(text: &[u8]) -> (Piece, usize) {
    // A bracket that is the last character is not one.
    if text.len() < 5 || text[3] != b'[' {
        return (Piece::Tag, 3);
    }
    let part = Piece::TagPart(number(&text[4..]));
    match text[3..].iter().position(|&byte| byte == b']') {
        Some(closing) => (part, 3 + closing + 1),
        None => (part, 3),
    }
}

/// How long the key reference at the start of `text` is.
fn reference_len(text: &[u8]) -> usize {
    let mut quoted = false;
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'\'' => quoted = !quoted,
            b'.' if quoted => {}
            b'.' | b' ' | b',' | b'"' => return index,
            _ => {}
        }
    }
    text.len()
}

/// The number at the start of `text` as `atoi` reads it: 0 if there is none.
fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.fold(0i64, |value, byte| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(byte - b'0'))
    });
    if negative { -value } else { value }
}

/// The tokens of a key reference. Blanks, and characters that the grammar does not know, are passed over.
struct Tokens<'a> {
    /// The whole template up to the end of the reference.
    text: &'a [u8],
    at: usize,
}

enum Token {
    Name(Box<[u8]>),
    Text(Box<[u8]>),
    Number(usize),
    Sign(u8),
    End,
}

impl Tokens<'_> {
    /// `$name`, then any number of `['key']` and `[0]`.
    fn path(mut self) -> Result<Path, Malformed> {
        self.expect(b'$', "expected `$`")?;
        let key = match self.next() {
            (_, Token::Name(name)) => name,
            (offset, _) => return Err((offset, "expected the name of a key after `$`")),
        };
        let mut steps = Vec::new();
        loop {
            match self.next() {
                (_, Token::End) => {
                    return Ok(Path {
                        key,
                        steps: steps.into(),
                    });
                }
                (_, Token::Sign(b'[')) => {}
                (offset, _) => {
                    return Err((
                        offset,
                        "expected `[`, or a `.`, space, `,` or `\"` to end the reference",
                    ));
                }
            }
            steps.push(match self.next() {
                (_, Token::Text(key)) => Step::Key(key),
                (_, Token::Number(index)) => Step::Index(index),
                (offset, _) => return Err((offset, "expected a key in single quotes or an index")),
            });
            self.expect(b']', "expected `]`")?;
        }
    }

    fn expect(&mut self, sign: u8, reason: &'static str) -> Result<(), Malformed> {
        match self.next() {
            (_, Token::Sign(found)) if found == sign => Ok(()),
            (offset, _) => Err((offset, reason)),
        }
    }

    /// The next token and where it starts.
    fn next(&mut self) -> (usize, Token) {
        loop {
            let start = self.at;
            let rest = &self.text[start..];
            let (token, len) = match rest.first() {
                None => (Token::End, 0),
                Some(b'0') => (Token::Number(0), 1),
                Some(b'1'..=b'9') => {
                    let len = length(rest, |byte| byte.is_ascii_digit());
                    (
                        Token::Number(usize::try_from(number(&rest[..len])).unwrap_or(usize::MAX)),
                        len,
                    )
                }
                Some(b'_' | b'A'..=b'Z' | b'a'..=b'z') => {
                    let len = length(rest, |byte| {
                        byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte)
                    });
                    (Token::Name(rest[..len].into()), len)
                }
                Some(sign @ (b'$' | b'[' | b']' | b'.' | b',' | b';')) => (Token::Sign(*sign), 1),
                Some(b'\'') if let Some((text, len)) = quoted(rest) => (Token::Text(text), len),
                Some(_) => {
                    self.at += 1;
                    continue;
                }
            };
            self.at += len;
            return (start, token);
        }
    }
}

fn length(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|&&byte| belongs(byte)).count()
}

/// The text in single quotes at the start of `text`, in which `''` is one quote, and its length with the quotes. The
/// longest that there is.
fn quoted(text: &[u8]) -> Option<(Box<[u8]>, usize)> {
    let mut inner = Vec::new();
    let mut longest = None;
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        if byte == b'\'' {
            longest = Some((inner.clone().into(), at + 1));
            if text.get(at + 1) != Some(&b'\'') {
                break;
            }
            at += 1;
        }
        inner.push(byte);
        at += 1;
    }
    longest
}

/// Replaces `${NAME}` and `${NAME:-default}`.
pub(super) fn expand(pattern: &str, environment: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, name, after)) = variable(rest) {
        expanded.push_str(before);
        let (name, default) = name
            .split_once(":-")
            .map_or((name, None), |(name, default)| (name, Some(default)));
        match (environment(name), default) {
            (Some(value), None) => expanded.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => expanded.push_str(&value),
            (_, default) => expanded.push_str(default.unwrap_or_default()),
        }
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}

/// What stands before, inside and after the first `${…}`.
fn variable(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("${")?;
    let (name, after) = rest.split_once('}')?;
    (!name.is_empty()).then_some((before, name, after))
}
