//! Record accessors: `$key['a'][0]`, `$TAG[1]`, `$0`, and templates of them and literal text.
//!
//! They are taken apart exactly as Fluent Bit 5.1.1 does (`src/flb_record_accessor.c` and its grammar), oddities included,
//! because configurations rely on them:
//!
//! - a key reference ends before the first `.`, space, `,` or `"`; only dots are safe inside quotes;
//! - one literal character alone after the last key reference is lost;
//! - the character after `$TAG` and `$TAG[n]` is never the start of a reference;
//! - `$10` is capture 10 followed by `0`;
//! - characters that the grammar does not know are passed over: `$a:` is `$a`;
//! - `$a['b']` is the value of `a` itself where `a` is neither map nor array.

mod parse;

use std::io::Write;

use crate::{Batch, Fields, Value, json};

/// Why a text is not a record accessor, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record accessor `{pattern}`: {reason} at byte {offset}")]
pub struct Error {
    /// The text.
    pub pattern: String,
    /// Bytes from its start.
    pub offset: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// What an accessor is evaluated against.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Holds the fields; its tag is what `$TAG` means.
    pub batch: &'a Batch,
    /// The map that keys are looked up in, mostly the body of a record.
    pub fields: Fields,
    /// What `$0` to `$9` stand for; those beyond its length are empty.
    pub captures: &'a [&'a [u8]],
}

/// A compiled record accessor: a template of literal text and references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accessor {
    pattern: Box<str>,
    parts: Box<[Piece]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    Key(Path),
    Tag,
    /// A part of the tag; a negative number names none.
    TagPart(i64),
    Capture(usize),
}

/// A key of the record, and the way from there into its value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    key: Box<[u8]>,
    steps: Box<[Step]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(Box<[u8]>),
    Index(usize),
}

impl Accessor {
    /// Compiles `pattern`, in which the configuration has replaced `${NAME}` already.
    ///
    /// # Errors
    /// When a reference in it is malformed.
    pub fn new(pattern: &str) -> Result<Accessor, Error> {
        match parse::parts(pattern.as_bytes()) {
            Ok(parts) => Ok(Accessor {
                pattern: pattern.into(),
                parts: parts.into(),
            }),
            Err((offset, reason)) => Err(Error {
                pattern: pattern.to_owned(),
                offset,
                reason,
            }),
        }
    }

    /// The same where `${NAME}` and `${NAME:-default}` are still to be replaced: by what `environment` knows, else by
    /// the default, else by nothing. Offsets of errors count in the replaced text.
    ///
    /// # Errors
    /// When a reference in it is malformed.
    pub fn with_environment(
        pattern: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Accessor, Error> {
        Accessor::new(&parse::expand(pattern, environment))
    }

    /// The text it was compiled from.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether it renders the same for all records of a tag: it names neither keys nor captures.
    pub fn is_static(&self) -> bool {
        self.parts
            .iter()
            .all(|part| !matches!(part, Piece::Key(_) | Piece::Capture(_)))
    }

    /// The value that its first part names, for options that take one `$key`: a plain text without `$` names the key of
    /// that name. Of duplicate keys the last counts.
    #[inline]
    pub fn value(&self, batch: &Batch, fields: Fields) -> Option<Value> {
        match self.parts.first()? {
            Piece::Key(path) => path.find(batch, fields),
            Piece::Literal(key) => batch.get(fields, key),
            Piece::Tag | Piece::TagPart(_) | Piece::Capture(_) => None,
        }
    }

    /// Appends the whole template; a key that is missing, or whose value has no text form, contributes nothing.
    pub fn render(&self, subject: &Subject<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            part.render(subject, out);
        }
    }

    /// The same for callers that must know: `false`, with `out` as it was, when a key is missing or has no text form.
    #[must_use]
    pub fn render_checked(&self, subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let complete = self.parts.iter().all(|part| part.render(subject, out));
        if !complete {
            out.truncate(start);
        }
        complete
    }
}

impl Piece {
    /// Whether it could be rendered.
    fn render(&self, subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
        let Subject {
            batch,
            fields,
            captures,
        } = *subject;
        match self {
            Piece::Key(path) => {
                return path
                    .find(batch, fields)
                    .is_some_and(|value| append(batch, value, out));
            }
            Piece::Literal(text) => out.extend_from_slice(text),
            Piece::Tag => out.extend_from_slice(batch.tag().as_bytes()),
            Piece::TagPart(index) => {
                let part = usize::try_from(*index)
                    .ok()
                    .and_then(|index| batch.tag().part(index));
                out.extend_from_slice(part.unwrap_or_default());
            }
            Piece::Capture(index) => {
                out.extend_from_slice(captures.get(*index).copied().unwrap_or_default())
            }
        }
        true
    }
}

impl Path {
    #[inline]
    fn find(&self, batch: &Batch, fields: Fields) -> Option<Value> {
        let value = batch.get(fields, &self.key)?;
        match value {
            Value::Map(_) | Value::Array(_) => self
                .steps
                .iter()
                .try_fold(value, |value, step| step.take(batch, value)),
            scalar => Some(scalar),
        }
    }
}

impl Step {
    fn take(&self, batch: &Batch, value: Value) -> Option<Value> {
        match (self, value) {
            (Step::Key(key), Value::Map(fields)) => batch.get(fields, key),
            (Step::Index(index), Value::Array(items)) => {
                batch.fields(items).get(*index).map(|item| item.value)
            }
            _ => None,
        }
    }
}

/// Appends `value` as accessors turn values into text: whether it has such a form. Arrays and extensions have none.
/// Integers above `i64::MAX` come out negative and floats with six decimals, as upstream prints them.
pub fn append(batch: &Batch, value: Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Str(span) => out.extend_from_slice(batch.bytes(span)),
        Value::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Value::Uint(value) => {
            out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes())
        }
        Value::Float(value) => json::fixed_float(value, out),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bin(span) => {
            for byte in batch.bytes(span) {
                write!(out, "{byte:02x}").expect("a vector takes everything");
            }
        }
        Value::Map(_) => json::write::Writer::default().value(batch, value, out),
        Value::Array(_) | Value::Ext(..) => return false,
    }
    true
}

#[cfg(test)]
mod tests;
