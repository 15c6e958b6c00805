//! `Decode_Field` and `Decode_Field_As`: fields whose text holds more (upstream `src/flb_parser_decoder.c`).

use config::{AfterDecoding, DecodeRule, DecoderKind, ParserOptions};
use record::{Batch, Field, Fields, Span, Value};

use crate::json;

/// The rules of one field, in order.
#[derive(Debug)]
struct FieldRules {
    field: Vec<u8>,
    rules: Vec<DecodeRule>,
}

/// All decoders of a parser.
#[derive(Debug)]
pub struct Decoders(Vec<FieldRules>);

/// Which fields of objects with the same keys decoders may change: bit 0 is the first one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoding {
    /// Whatever they hold.
    always: u64,
    /// Only if there is a backslash in them.
    escaped: u64,
}

impl Decoding {
    /// Whether anything may change, if these are the fields with backslashes.
    #[inline]
    pub fn may_change(self, backslashes: u64) -> bool {
        self.always | self.escaped & backslashes != 0
    }
}

/// What decoding made of a text.
enum Decoded {
    /// Other text, or the same.
    Text(Span),
    /// Fields.
    Object(Fields),
}

impl Decoders {
    /// The decoders of a definition.
    pub fn new(options: &ParserOptions) -> Decoders {
        let mut fields: Vec<FieldRules> = Vec::new();
        for rule in &options.decoders.0 {
            let known = fields
                .iter_mut()
                .find(|known| known.field == rule.field.as_bytes());
            match known {
                Some(known) => known.rules.push(rule.clone()),
                None => fields.push(FieldRules {
                    field: rule.field.clone().into_bytes(),
                    rules: vec![rule.clone()],
                }),
            }
        }
        Decoders(fields)
    }

    /// What may change in the fields of `body`, of which there are at most 64.
    pub fn decoding(&self, batch: &Batch, body: Fields) -> Decoding {
        let mut decoding = Decoding::default();
        for (index, field) in batch.fields(body).iter().enumerate() {
            let of_field = |rules: &&FieldRules| batch.key_is(field.key, &rules.field);
            match self.0.iter().find(of_field) {
                Some(rules) if rules.only_unescape() => decoding.escaped |= 1 << index,
                Some(_) => decoding.always |= 1 << index,
                None => {}
            }
        }
        decoding
    }

    /// Decodes the fields of `body` and gives the body to go on with: mostly the same, its text changed in place.
    pub fn decode(&self, batch: &mut Batch, body: Fields) -> Fields {
        if self.0.is_empty() {
            return body;
        }
        let mut added = None;
        for index in 0..body.len() {
            let field = batch.fields(body)[index];
            let Value::Str(text) = field.value else {
                continue;
            };
            let Some(rules) = self
                .0
                .iter()
                .find(|rules| batch.key_is(field.key, &rules.field))
            else {
                continue;
            };
            let (value, extra) = rules.apply(batch, text);
            if value != field.value {
                batch.set(
                    body,
                    index,
                    Field {
                        key: field.key,
                        value,
                    },
                );
            }
            added = extra.or(added);
        }
        match added {
            None => body,
            Some(added) => {
                let mark = batch.mark();
                batch.push_copy(body);
                batch.push_copy(added);
                batch.close(mark)
            }
        }
    }
}

impl FieldRules {
    /// Whether text without a backslash stays as it is.
    fn only_unescape(&self) -> bool {
        use DecoderKind::{Escaped, EscapedUtf8};
        let mut rules = self.rules.iter();
        rules.all(|rule| matches!(rule.decoder, Escaped | EscapedUtf8))
    }

    /// The new value of the field, and the fields to add to the record.
    fn apply(&self, batch: &mut Batch, text: Span) -> (Value, Option<Fields>) {
        let (mut value, mut text, mut added) = (Value::Str(text), text, None);
        for rule in &self.rules {
            let is_text = matches!(value, Value::Str(_));
            let decoded = if rule.replaces && !is_text {
                None
            } else {
                decode(batch, text, rule.decoder)
            };
            match &decoded {
                Some(Decoded::Text(new)) if rule.replaces => {
                    (value, text) = (Value::Str(*new), *new)
                }
                Some(Decoded::Object(fields)) if rule.replaces => value = Value::Map(*fields),
                Some(Decoded::Object(fields)) => added = Some(*fields),
                // Text that is not to replace the field has nowhere to go.
                Some(Decoded::Text(_)) | None => {}
            }
            let goes_on = match rule.then {
                AfterDecoding::Stop => false,
                AfterDecoding::TryNext => decoded.is_none(),
                AfterDecoding::DoNext => true,
            };
            if !goes_on {
                break;
            }
        }
        (value, added)
    }
}

fn decode(batch: &mut Batch, text: Span, decoder: DecoderKind) -> Option<Decoded> {
    match decoder {
        DecoderKind::Json => object(batch, text).map(Decoded::Object),
        DecoderKind::Escaped => Some(Decoded::Text(unescaped(batch, text, Unicode::AsWritten))),
        DecoderKind::EscapedUtf8 => Some(Decoded::Text(unescaped(batch, text, Unicode::Decoded))),
        DecoderKind::MysqlQuoted => Some(Decoded::Text(mysql(batch, text))),
    }
}

/// One JSON object, spaces and nothing else before it.
fn object(batch: &mut Batch, text: Span) -> Option<Fields> {
    let mut bytes = batch.bytes(text).iter();
    let first = bytes.find(|byte| **byte != b' ');
    (first == Some(&b'{')).then(|| json::one_object(batch, text))?
}

/// Whether `\uXXXX` means a character.
#[derive(Clone, Copy, PartialEq)]
enum Unicode {
    AsWritten,
    Decoded,
}

/// What `escaped_utf8` makes of a text.
pub fn unescaped_utf8(batch: &mut Batch, text: Span) -> Span {
    unescaped(batch, text, Unicode::Decoded)
}

/// The text without its escapes: the same span if it has none, which is what most lines are.
fn unescaped(batch: &mut Batch, text: Span, unicode: Unicode) -> Span {
    if memchr::memchr(b'\\', batch.bytes(text)).is_none() {
        return text;
    }
    batch.make_from(text, |escaped, out| unescape(escaped, unicode, out))
}

fn unescape(mut text: &[u8], unicode: Unicode, out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', text) {
        out.extend_from_slice(&text[..at]);
        text = &text[at..];
        let used = escape(text, unicode, out);
        text = &text[used..];
    }
    out.extend_from_slice(text);
}

/// Decodes the escape at the start of `text`; an unknown one loses its backslash. Gives the bytes used.
fn escape(text: &[u8], unicode: Unicode, out: &mut Vec<u8>) -> usize {
    let plain = match text.get(1) {
        Some(b'a') => 0x07,
        Some(b'b') => 0x08,
        Some(b't') => b'\t',
        Some(b'n') => b'\n',
        Some(b'v') => 0x0b,
        Some(b'f') => 0x0c,
        Some(b'r') => b'\r',
        Some(b'\\') => b'\\',
        // Upstream ends the text with a NUL here, or keeps the backslash: it depends on the decoder.
        None => {
            out.push(b'\\');
            return 1;
        }
        Some(_) if unicode == Unicode::Decoded => return 1 + numbered(&text[1..], out),
        Some(_) => return 1,
    };
    out.push(plain);
    2
}

/// A character by its number, `text` being what follows the backslash: `\101`, `\x41`, `\u0041`, `\U00000041`. Gives the
/// bytes used: none if it names no number.
fn numbered(text: &[u8], out: &mut Vec<u8>) -> usize {
    let (code, used) = match text[0] {
        b'0'..=b'7' => digits(text, 8, 3),
        b'x' => behind_letter(digits(&text[1..], 16, 2)),
        b'u' => code_unit(text),
        b'U' => behind_letter(digits(&text[1..], 16, 8)),
        _ => (0, 0),
    };
    if used > 0 {
        let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    used
}

/// `uXXXX`, with what follows it if that is the other half of a pair. Half a pair and too few digits are no character.
fn code_unit(text: &[u8]) -> (u32, usize) {
    const NONE: u32 = u32::MAX;
    match behind_letter(digits(&text[1..], 16, 4)) {
        (high @ 0xd800..0xdc00, 5) if text[5..].starts_with(b"\\u") => {
            let (low, count) = digits(&text[7..], 16, 4);
            let pair = match (low, count) {
                (0xdc00..0xe000, 4) => 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                _ => NONE,
            };
            (pair, 7 + count)
        }
        (code, used @ (0 | 5)) => (code, used),
        (_, used) => (NONE, used),
    }
}

/// A number and its length with the letter before it; nothing if there is no number.
fn behind_letter((number, count): (u32, usize)) -> (u32, usize) {
    (number, if count > 0 { count + 1 } else { 0 })
}

/// The number at the start of `text`, of at most `most` digits, and how many they are.
fn digits(text: &[u8], radix: u32, most: usize) -> (u32, usize) {
    let digits = text
        .iter()
        .take(most)
        .map_while(|byte| char::from(*byte).to_digit(radix));
    digits.fold((0, 0), |(number, count), digit| {
        (number * radix + digit, count + 1)
    })
}

/// Text in quotes loses them and its escapes; other text stays.
fn mysql(batch: &mut Batch, text: Span) -> Span {
    if !matches!(batch.bytes(text), [b'\'', .., b'\''] | [b'"', .., b'"']) {
        return text;
    }
    let inner = text.slice(1..text.len() - 1);
    batch.make_from(inner, |escaped, out| {
        let mut bytes = escaped.iter();
        while let Some(&byte) = bytes.next() {
            let escaped = (byte == b'\\').then(|| bytes.next()).flatten();
            match escaped {
                None => out.push(byte),
                Some(b'n') => out.push(b'\n'),
                Some(b'r') => out.push(b'\r'),
                Some(b't') => out.push(b'\t'),
                Some(b'0') => out.push(0),
                Some(b'Z') => out.push(0x1a),
                Some(&same @ (b'\\' | b'\'' | b'"')) => out.push(same),
                Some(&other) => out.extend_from_slice(&[b'\\', other]),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, unicode: Unicode) -> String {
        let mut out = Vec::new();
        unescape(text.as_bytes(), unicode, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn escapes_become_characters() {
        let cases = [
            (r"a\nb\t\\\x41\q\", "a\nb\t\\x41q\\"),
            (r#"\"GET\" \u00e9"#, "\"GET\" u00e9"),
            (r"\x4", "x4"),
        ];
        for (escaped, expected) in cases {
            assert_eq!(plain(escaped, Unicode::AsWritten), expected);
        }
        let cases = [
            (r"\u00e9\ud83d\ude00", "é😀"),
            (r"\ud83dx\ude00\u12", "\u{fffd}x\u{fffd}\u{fffd}"),
            (r"\ud83d\u0041\ud83d\u0", "\u{fffd}\u{fffd}"),
            (r"\101\7\08 \x41\x4\xg", "A\u{7}\08 A\u{4}xg"),
            (r"\U0001f600\U110000", "😀\u{fffd}"),
            (r"C:\users\", "C:users\\"),
        ];
        for (escaped, expected) in cases {
            assert_eq!(plain(escaped, Unicode::Decoded), expected, "{escaped}");
        }
    }
}
