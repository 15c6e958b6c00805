//! Record accessors: `$key['a'][0]`, `$TAG[1]`, `$0`, and templates of them.

use crate::{Batch, Fields, Value};

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
    pattern: String,
}

impl Accessor {
    /// Compiles `pattern`. `${NAME}` is replaced now by what `environment` knows; an unknown name by nothing.
    ///
    /// # Errors
    /// When a reference in it is malformed.
    pub fn new(
        pattern: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Accessor, Error> {
        let _ = (pattern, environment);
        unimplemented!()
    }

    /// The text it was compiled from.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether it is literal text only.
    pub fn is_literal(&self) -> bool {
        unimplemented!()
    }

    /// The value that its first key reference names: for options that take one `$key`. Of duplicate keys the last.
    pub fn value(&self, batch: &Batch, fields: Fields) -> Option<Value> {
        let _ = (batch, fields);
        unimplemented!()
    }

    /// Appends the whole template; a missing key contributes nothing.
    pub fn render(&self, subject: &Subject<'_>, out: &mut Vec<u8>) {
        let _ = (subject, out);
        unimplemented!()
    }

    /// The same for callers that must know: `false`, with `out` as it was, when a key is missing.
    #[must_use]
    pub fn render_checked(&self, subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
        let _ = (subject, out);
        unimplemented!()
    }
}
