//! Hashes the numbers of files, once for every line: nobody outside chooses them, so that a multiplication is enough.

use std::hash::Hasher;

/// 2^64 divided by the golden ratio: neighbours are spread over all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// For keys of a few integers.
#[derive(Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(SPREAD);
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::*;

    #[test]
    fn neighbours_are_told_apart() {
        let state = BuildHasherDefault::<KeyHasher>::default();
        let hash = |key: (u64, bool)| state.hash_one(key);
        let keys = (0..1_000).flat_map(|number| [(number, false), (number, true)]);
        let hashes: Vec<u64> = keys.map(hash).collect();
        let spread = |shift: u32| {
            let parts: HashSet<u64> = hashes.iter().map(|hash| hash >> shift & 0x7ff).collect();
            parts.len()
        };
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), 2_000);
        // A table looks at the lowest bits for a place and at the highest for a first comparison.
        assert!(
            spread(0) > 1_000 && spread(53) > 1_000,
            "{} {}",
            spread(0),
            spread(53)
        );
    }
}
