//! A scanner over one JSON document that hands out values as slices of the text.
//!
//! It accepts what the OpenX SerDe's parser accepts, which is more than JSON: single-quoted and unquoted
//! strings, `#`, `//` and `/* */` comments, `=` and `=>` for `:`, `;` for `,`, and elements left out of
//! arrays. Everything a value contains is checked when the value is skipped, so that a fault anywhere in a
//! line is found even if the query needs none of it.

use std::borrow::Cow;

use memchr::memchr2;

/// Deepest nesting of arrays and objects in a line.
const MAX_DEPTH: usize = 512;

/// A fault of the text: what is wrong, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub what: &'static str,
    pub offset: usize,
}

/// A value as a slice of the text it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    /// What stands between the quotes, and whether escapes have to be resolved.
    Quoted {
        inner: &'a [u8],
        escaped: bool,
    },
    /// A number, `true`, `false` or an unquoted string.
    Literal(&'a [u8]),
    /// The text from `{` to `}`.
    Object(&'a [u8]),
    /// The text from `[` to `]`.
    Array(&'a [u8]),
}

/// Reads values from left to right.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    offset: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Scanner<'a> {
        Scanner {
            text,
            offset: 0,
            depth: 0,
        }
    }

    /// The next value, checked to its end.
    pub(crate) fn value(&mut self) -> Result<Value<'a>, Malformed> {
        let start_sign = self
            .next_sign()?
            .ok_or_else(|| self.malformed("end of input"))?;
        let start = self.offset - 1;
        match start_sign {
            b'{' => {
                self.nested(|scanner| scanner.object(|_, _| {}))?;
                Ok(Value::Object(&self.text[start..self.offset]))
            }
            b'[' => {
                self.nested(|scanner| scanner.array(|_| {}))?;
                Ok(Value::Array(&self.text[start..self.offset]))
            }
            quote @ (b'"' | b'\'') => self.quoted(quote),
            _ => {
                self.offset = start;
                self.literal()
            }
        }
    }

    /// The members of an object whose `{` has been read, up to and with its `}`. Names may repeat.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(Value<'a>, Value<'a>),
    ) -> Result<(), Malformed> {
        match self.next_sign()? {
            Some(b'}') => return Ok(()),
            Some(_) => self.offset -= 1,
            None => return Err(self.malformed("unterminated object")),
        }
        loop {
            let name = match self.value()? {
                name @ (Value::Quoted { .. } | Value::Literal(_)) => name,
                Value::Null => return Err(self.malformed("field name is null")),
                _ => return Err(self.malformed("field name is not a string")),
            };
            match self.next_sign()? {
                Some(b':') => {}
                Some(b'=') => {
                    if self.text.get(self.offset) == Some(&b'>') {
                        self.offset += 1;
                    }
                }
                _ => return Err(self.malformed("expected ':' after a field name")),
            }
            let value = self.value()?;
            member(name, value);
            match self.next_sign()? {
                Some(b'}') => return Ok(()),
                Some(b',' | b';') => {}
                _ => return Err(self.malformed("unterminated object")),
            }
        }
    }

    /// The elements of an array whose `[` has been read, up to and with its `]`.
    pub(crate) fn array(&mut self, mut element: impl FnMut(Value<'a>)) -> Result<(), Malformed> {
        let mut after_separator = false;
        loop {
            match self.next_sign()? {
                None => return Err(self.malformed("unterminated array")),
                Some(b']') => {
                    if after_separator {
                        element(Value::Null);
                    }
                    return Ok(());
                }
                Some(b',' | b';') => element(Value::Null),
                Some(_) => {
                    self.offset -= 1;
                    element(self.value()?);
                    match self.next_sign()? {
                        Some(b']') => return Ok(()),
                        Some(b',' | b';') => {}
                        _ => return Err(self.malformed("unterminated array")),
                    }
                }
            }
            after_separator = true;
        }
    }

    /// Steps over the `{` or `[` that a slice of [`Value::Object`] or [`Value::Array`] begins with.
    pub(crate) fn open(text: &'a [u8]) -> Scanner<'a> {
        Scanner {
            text,
            offset: 1,
            depth: 0,
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.malformed("nested too deeply"));
        }
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn quoted(&mut self, quote: u8) -> Result<Value<'a>, Malformed> {
        let start = self.offset;
        let mut escaped = false;
        while let Some(found) = memchr2(quote, b'\\', &self.text[self.offset..]) {
            self.offset += found + 1;
            if self.text[self.offset - 1] == quote {
                return Ok(Value::Quoted {
                    inner: &self.text[start..self.offset - 1],
                    escaped,
                });
            }
            escaped = true;
            self.escape()?;
        }
        Err(self.malformed("unterminated string"))
    }

    /// Checks one escape; the back-slash has been read.
    fn escape(&mut self) -> Result<(), Malformed> {
        match self.text.get(self.offset) {
            None => return Err(self.malformed("unterminated escape sequence")),
            Some(b'u') => {
                let digits = self.text.get(self.offset + 1..self.offset + 5);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.malformed("invalid escape sequence"));
                }
                self.offset += 5;
            }
            Some(_) => self.offset += 1,
        }
        Ok(())
    }

    fn literal(&mut self) -> Result<Value<'a>, Malformed> {
        const ENDS: &[u8] = b" \r\n\t\x0c{}[]/\\:,=;#";
        let start = self.offset;
        while self
            .text
            .get(self.offset)
            .is_some_and(|byte| !ENDS.contains(byte))
        {
            self.offset += 1;
        }
        match &self.text[start..self.offset] {
            [] => Err(self.malformed("expected a value")),
            literal if literal.eq_ignore_ascii_case(b"null") => Ok(Value::Null),
            literal => Ok(Value::Literal(literal)),
        }
    }

    /// Reads past blanks and comments and one byte more, which is answered.
    fn next_sign(&mut self) -> Result<Option<u8>, Malformed> {
        while let Some(byte) = self.text.get(self.offset) {
            self.offset += 1;
            match (byte, self.text.get(self.offset)) {
                (b' ' | b'\t' | b'\r' | b'\n', _) => {}
                (b'#', _) | (b'/', Some(b'/')) => self.skip_line(),
                (b'/', Some(b'*')) => {
                    let rest = &self.text[self.offset + 1..];
                    let end = memchr::memmem::find(rest, b"*/")
                        .ok_or_else(|| self.malformed("unterminated comment"))?;
                    self.offset += 1 + end + 2;
                }
                (sign, _) => return Ok(Some(*sign)),
            }
        }
        Ok(None)
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.offset..];
        self.offset += memchr2(b'\n', b'\r', rest).map_or(rest.len(), |end| end + 1);
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed {
            what,
            offset: self.offset.min(self.text.len()),
        }
    }
}

impl<'a> Value<'a> {
    /// The text of a string or literal; nothing for other values. What is not UTF-8 becomes U+FFFD.
    pub(crate) fn text(&self) -> Option<Cow<'a, str>> {
        match *self {
            Value::Quoted { inner, escaped } => Some(decode_text(inner, escaped)),
            Value::Literal(literal) => Some(String::from_utf8_lossy(literal)),
            _ => None,
        }
    }
}

/// The text between quotes with its escapes resolved.
fn decode_text(inner: &[u8], escaped: bool) -> Cow<'_, str> {
    if !escaped {
        return String::from_utf8_lossy(inner);
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(found) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..found]);
        rest = decode_escape(&rest[found + 1..], &mut text);
    }
    text.extend_from_slice(rest);
    match String::from_utf8(text) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// Resolves the escape at the start of `rest`, behind its back-slash; answers what follows it.
fn decode_escape<'a>(rest: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let Some((escaped, rest)) = rest.split_first() else {
        return rest;
    };
    let byte = match escaped {
        b'u' => return decode_unicode(rest, text),
        b't' => b'\t',
        b'b' => 0x08,
        b'n' => b'\n',
        b'r' => b'\r',
        b'f' => 0x0c,
        b'a' => 0x07,
        // As the original does: octal 011, a tab.
        b'v' => 0x09,
        other => *other,
    };
    text.push(byte);
    rest
}

/// Four hex digits, or two times four that make a surrogate pair. A lone surrogate becomes U+FFFD.
fn decode_unicode<'a>(rest: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
    let Some(unit) = hex_unit(rest) else {
        return rest;
    };
    let mut rest = &rest[4..];
    let mut character = char::from_u32(unit);
    if (0xD800..0xDC00).contains(&unit)
        && let Some(low) = rest.strip_prefix(b"\\u").and_then(hex_unit)
        && (0xDC00..0xE000).contains(&low)
    {
        character = char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
        rest = &rest[6..];
    }
    let mut buffer = [0; 4];
    text.extend_from_slice(
        character
            .unwrap_or(char::REPLACEMENT_CHARACTER)
            .encode_utf8(&mut buffer)
            .as_bytes(),
    );
    rest
}

fn hex_unit(text: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(text.get(..4)?).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All values of an object in a plain notation.
    fn members(text: &str) -> Result<Vec<(String, String)>, Malformed> {
        let mut scanner = Scanner::new(text.as_bytes());
        let Value::Object(object) = scanner.value()? else {
            panic!("not an object: {text}")
        };
        let mut members = Vec::new();
        Scanner::open(object).object(|name, value| {
            let shown = match value {
                Value::Null => "null".into(),
                Value::Object(text) | Value::Array(text) => {
                    String::from_utf8_lossy(text).into_owned()
                }
                other => other.text().expect("text").into_owned(),
            };
            members.push((name.text().expect("name").into_owned(), shown));
        })?;
        Ok(members)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn plain_json_is_read_in_order_with_repeated_names() {
        let text =
            r#" {"a" : 1.50, "b":"x\"\u00e9\ud83d\ude00\n", "c":null,"d":{"e":[1,{}]},"a":true} "#;
        let expected = pairs(&[
            ("a", "1.50"),
            ("b", "x\"é😀\n"),
            ("c", "null"),
            ("d", r#"{"e":[1,{}]}"#),
            ("a", "true"),
        ]);
        assert_eq!(members(text), Ok(expected));
        assert_eq!(members("{}"), Ok(vec![]));
    }

    #[test]
    fn the_lenient_forms_of_the_original_parser_are_read() {
        let text = "{a: 'b c'; 'd' = 0x1F, e => yes /* x */, #c\n f: NULL} trailing";
        let expected = pairs(&[("a", "b c"), ("d", "0x1F"), ("e", "yes"), ("f", "null")]);
        assert_eq!(members(text), Ok(expected));
    }

    #[test]
    fn elements_left_out_of_arrays_are_null() {
        let mut elements = Vec::new();
        Scanner::open(b"[1,,'x';]")
            .array(|value| elements.push(value.text().map(Cow::into_owned)))
            .expect("array");
        assert_eq!(elements, [Some("1".into()), None, Some("x".into()), None]);
    }

    #[test]
    fn faults_are_found_in_what_is_skipped_too() {
        let cases = [
            (r#"{"a":1"#, "unterminated object"),
            ("{", "unterminated object"),
            (r#"{"a" 1}"#, "expected ':' after a field name"),
            (r#"{"a":{"b":[1,2}}"#, "unterminated array"),
            (r#"{"a":"x}"#, "unterminated string"),
            (r#"{"a":"\u12"}"#, "invalid escape sequence"),
            (r#"{null:1}"#, "field name is null"),
            (r#"{"a":}"#, "expected a value"),
            (r#"{"a":"#, "end of input"),
        ];
        for (text, what) in cases {
            assert_eq!(
                members(text).map_err(|malformed| malformed.what),
                Err(what),
                "{text}"
            );
        }
        let deep = "[".repeat(100_000);
        assert_eq!(
            Scanner::new(deep.as_bytes()).value().map_err(|m| m.what),
            Err("nested too deeply")
        );
    }

    #[test]
    fn text_that_is_not_utf8_is_replaced_not_refused() {
        let mut scanner = Scanner::new(b"\"a\xffb\"");
        assert_eq!(
            scanner
                .value()
                .ok()
                .and_then(|value| value.text())
                .as_deref(),
            Some("a\u{FFFD}b")
        );
    }
}
