//! Record ids: as long and as opaque as AWS's, for a whole batch at once.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::limits;

/// Bytes that make an id's characters in base64.
const ID_BYTES: usize = limits::RECORD_ID_CHARS / 4 * 3;
const WORDS: u64 = ID_BYTES.div_ceil(8) as u64;

/// Where this process's ids begin.
static SEED: LazyLock<u64> = LazyLock::new(|| Uuid::new_v4().as_u64_pair().1);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// `count` new ids in a row, each of [`limits::RECORD_ID_CHARS`] characters.
pub fn generate(count: usize) -> String {
    let first = NEXT.fetch_add(count as u64 * WORDS, Ordering::Relaxed);
    let mut bytes = Vec::with_capacity(count * ID_BYTES + 8);
    for id in 0..count {
        let start = first + id as u64 * WORDS;
        (start..start + WORDS)
            .for_each(|word| bytes.extend(scramble(SEED.wrapping_add(word)).to_le_bytes()));
        bytes.truncate((id + 1) * ID_BYTES);
    }
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// SplitMix64: maps different inputs to different outputs that look like chance.
fn scramble(index: u64) -> u64 {
    let mut value = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_different_and_of_the_right_length() {
        let ids = [generate(500), generate(1), generate(0)].concat();
        assert_eq!(ids.len(), 501 * limits::RECORD_ID_CHARS);
        let (ids, _) = ids.as_bytes().as_chunks::<{ limits::RECORD_ID_CHARS }>();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 501);
    }
}
