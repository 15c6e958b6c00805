//! `Decode_Field` and `Decode_Field_As`: fields whose text holds more (upstream `src/flb_parser_decoder.c`).

use config::{AfterDecoding, DecodeRule, DecoderKind, ParserOptions};
use record::{Batch, Field, Fields, Span, Value, json};

/// The rules of one field, in order.
#[derive(Debug)]
struct FieldRules {
    field: Vec<u8>,
    rules: Vec<DecodeRule>,
}

/// All decoders of a parser.
#[derive(Debug)]
pub struct Decoders(Vec<FieldRules>);

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
        DecoderKind::MysqlQuoted => mysql(batch, text).map(Decoded::Text),
    }
}

/// One JSON object and nothing else, blanks aside.
fn object(batch: &mut Batch, text: Span) -> Option<Fields> {
    let (fields, used) = json::read::object(batch, text).ok()?;
    batch.bytes(text)[used..]
        .trim_ascii()
        .is_empty()
        .then_some(fields)
}

/// Whether `\uXXXX` means a character.
#[derive(Clone, Copy, PartialEq)]
enum Unicode {
    AsWritten,
    Decoded,
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

/// Decodes the escape at the start of `text`; an unknown one stays as it is written. Gives the bytes used.
fn escape(text: &[u8], unicode: Unicode, out: &mut Vec<u8>) -> usize {
    let plain = match text.get(1) {
        Some(b'a') => 0x07,
        Some(b'b') => 0x08,
        Some(b't') => b'\t',
        Some(b'n') => b'\n',
        Some(b'v') => 0x0b,
        Some(b'f') => 0x0c,
        Some(b'r') => b'\r',
        Some(&same @ (b'"' | b'\'' | b'\\' | b'/')) => same,
        Some(b'x') => return hex_byte(text, out),
        Some(b'u') if unicode == Unicode::Decoded => return hex_character(text, out),
        Some(_) => {
            out.extend_from_slice(&text[..2]);
            return 2;
        }
        None => {
            out.push(b'\\');
            return 1;
        }
    };
    out.push(plain);
    2
}

fn hex_byte(text: &[u8], out: &mut Vec<u8>) -> usize {
    match hex(text.get(2..4)) {
        Some(byte) => {
            out.push(byte as u8);
            4
        }
        None => {
            out.extend_from_slice(&text[..2]);
            2
        }
    }
}

/// `\uXXXX`, and a pair of surrogates. Half a pair stays as it is written.
fn hex_character(text: &[u8], out: &mut Vec<u8>) -> usize {
    let unit = hex(text.get(2..6));
    let low = text
        .get(6..8)
        .filter(|next| *next == b"\\u")
        .and_then(|_| hex(text.get(8..12)));
    let (character, used) = match (unit, low) {
        (Some(high @ 0xD800..=0xDBFF), Some(low @ 0xDC00..=0xDFFF)) => (
            char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)),
            12,
        ),
        (Some(unit), _) => (char::from_u32(unit), 6),
        (None, _) => (None, 2),
    };
    match character {
        Some(character) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend_from_slice(&text[..used]),
    }
    used
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0, |number, byte| {
        Some(number * 16 + char::from(*byte).to_digit(16)?)
    })
}

/// Text in quotes loses them and its escapes; other text is no such text.
fn mysql(batch: &mut Batch, text: Span) -> Option<Span> {
    let bytes = batch.bytes(text);
    let quote = *bytes.first().filter(|byte| matches!(byte, b'\'' | b'"'))?;
    if bytes.len() < 2 || bytes.last() != Some(&quote) {
        return None;
    }
    let inner = text.slice(1..text.len() - 1);
    Some(batch.make_from(inner, |escaped, out| {
        let mut bytes = escaped.iter();
        while let Some(&byte) = bytes.next() {
            match (byte, byte == b'\\') {
                (_, true) => out.push(match bytes.next() {
                    Some(b'n') => b'\n',
                    Some(b'r') => b'\r',
                    Some(b't') => b'\t',
                    Some(b'0') => 0,
                    Some(b'Z') => 0x1a,
                    Some(&other) => other,
                    None => b'\\',
                }),
                (byte, false) => out.push(byte),
            }
        }
    }))
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
            (r"a\nb\t\\\x41\q\", "a\nb\t\\A\\q\\"),
            (r#"\"GET\" \u00e9"#, "\"GET\" \\u00e9"),
            (r"\x4", "\\x4"),
        ];
        for (escaped, expected) in cases {
            assert_eq!(plain(escaped, Unicode::AsWritten), expected);
        }
        assert_eq!(
            plain(r"\u00e9\ud83d\ude00\ud83dx\u12", Unicode::Decoded),
            "é😀\\ud83dx\\u12"
        );
    }
}
