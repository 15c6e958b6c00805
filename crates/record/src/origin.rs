//! Which source the positions of a batch's records belong to.

use std::fmt;

use sha2::{Digest, Sha256};

/// Names the source whose positions the records of a batch have, the same after a restart: together with a record's
/// [`crate::Position`] it tells a record that is handed over once more from one that is new.
///
/// A file's is made of its identity, a forwarded chunk's of the sender's chunk id (positions are then the records'
/// indexes), a write-ahead log's of its uuid (positions are sequence numbers). Two sources must never share one: whoever
/// makes it puts in whatever tells them apart, the kind of source first (`Origin::of(&[b"tail", …])`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin([u8; 16]);

impl Origin {
    /// The source gives no positions that hold over a restart.
    pub const NONE: Origin = Origin([0; 16]);

    /// The origin of the source that `parts` describe together. Equal parts give equal origins, on every machine and in
    /// every later version.
    pub fn of(parts: &[&[u8]]) -> Origin {
        let mut hash = Sha256::new();
        for part in parts {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Origin(bytes)
    }

    /// An origin that was stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Origin {
        Origin(bytes)
    }

    /// What is stored of it.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Whether it is [`Origin::NONE`].
    #[inline]
    pub fn is_none(self) -> bool {
        self == Origin::NONE
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({:032x})", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Batch, Tag};

    #[test]
    fn it_is_the_same_in_every_version() {
        assert_eq!(
            format!("{:?}", Origin::of(&[b"tail", b"file"])),
            "Origin(ccb22b72eab480108876d6a88ce3024b)"
        );
    }

    #[test]
    fn a_batch_keeps_it() {
        let origin = Origin::of(&[b"tail", b"file"]);
        let batch = Batch::new(Tag::from("t"), Bytes::new());
        assert!(batch.origin().is_none());
        let (frozen, receipt) = batch.with_origin(origin).freeze();
        assert_eq!(frozen.origin(), origin);
        receipt.settle_all();
    }

    #[test]
    fn parts_are_told_apart() {
        let one = Origin::of(&[b"ab", b"c"]);
        assert_ne!(one, Origin::of(&[b"a", b"bc"]));
        assert_ne!(one, Origin::of(&[b"abc"]));
        assert_eq!(Origin::from_bytes(one.to_bytes()), one);
        assert!(Origin::NONE.is_none() && Origin::default().is_none() && !one.is_none());
    }
}
