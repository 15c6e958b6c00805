//! Why a text is not a pattern.

use std::borrow::Cow;

/// What is wrong with a pattern, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset} of the pattern")]
pub struct Error {
    /// Bytes from the start of the text that was given, slashes included.
    pub offset: usize,
    /// What is wrong there, as part of a sentence.
    pub reason: Cow<'static, str>,
}

impl Error {
    pub(crate) fn new(offset: usize, reason: impl Into<Cow<'static, str>>) -> Error {
        Error {
            offset,
            reason: reason.into(),
        }
    }
}
