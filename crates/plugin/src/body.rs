//! The bytes of a request.

use std::ops::Deref;
use std::sync::Arc;

/// What a request sends. Cheap to clone; its memory, the counter of its owners included, can be used again for a later
/// request, so that requests cost no allocation once warm.
#[derive(Clone, Debug, Default)]
pub struct Body(Arc<Vec<u8>>);

impl Body {
    /// Puts `bytes` into a body that is done with. Returns what it held, or `None` if somebody else still has it, in which
    /// case this becomes a new one.
    pub fn refill(&mut self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        match Arc::get_mut(&mut self.0) {
            Some(old) => Some(std::mem::replace(old, bytes)),
            None => {
                self.0 = Arc::new(bytes);
                None
            }
        }
    }

    /// The bytes, if nobody else has them.
    pub fn into_vec(self) -> Option<Vec<u8>> {
        Arc::into_inner(self.0)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body(Arc::new(bytes))
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_unless_somebody_has_it() {
        let mut body = Body::from(b"one".to_vec());
        let memory = body.as_ptr();
        let old = body.refill(b"two".to_vec()).expect("nobody else has it");
        assert_eq!(
            (old.as_ptr(), &*old, &*body),
            (memory, &b"one"[..], &b"two"[..])
        );
        let other = body.clone();
        assert_eq!(body.refill(b"three".to_vec()), None);
        assert_eq!((&*other, &*body), (&b"two"[..], &b"three"[..]));
    }
}
