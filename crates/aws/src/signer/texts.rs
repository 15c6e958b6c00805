//! Header values that are made per request, many of them in one block of memory.

use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use http::HeaderValue;

use super::EMPTY;

/// A block holds the values of about eighteen requests, more than are under way at once.
const BLOCK: usize = 4096;
/// Longer than a value mostly is: with less room left a new block is begun, or this one again if nobody has it any more.
const LEAST: usize = 512;

/// The present block.
#[derive(Debug, Default)]
pub(super) struct Texts(Mutex<BytesMut>);

impl Texts {
    /// The value that `write` appends; an empty one if that cannot stand in a header.
    pub fn value(&self, write: impl FnOnce(&mut BytesMut)) -> HeaderValue {
        let mut block = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if block.capacity() < LEAST {
            block.reserve(BLOCK);
        }
        write(&mut block);
        HeaderValue::from_maybe_shared(block.split().freeze()).unwrap_or(EMPTY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_what_they_are() {
        let texts = Texts::default();
        let value = |index: usize| texts.value(|out| out.extend_from_slice(&vec![b'a'; index]));
        let values: Vec<HeaderValue> = (0..1000).map(value).collect();
        for (index, value) in values.iter().enumerate() {
            assert_eq!(value.as_bytes(), vec![b'a'; index]);
        }
        assert_eq!(texts.value(|out| out.extend_from_slice(b"a\nb")), EMPTY);
        assert_eq!(texts.value(|out| out.extend_from_slice(b"c")), "c");
    }
}
