//! Hashes that tell one content from another.

/// The XXH3 hash (64 bits, no seed) of some bytes and how many they were.
///
/// Of the bytes before an offset it is Fluent Bit's `offset_marker` and `offset_marker_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Fingerprint {
    /// The hash; 0 when there were no bytes.
    pub hash: u64,
    /// How many bytes.
    pub size: u32,
}

impl Fingerprint {
    /// Of no bytes: says nothing about a content.
    pub const NONE: Fingerprint = Fingerprint { hash: 0, size: 0 };

    /// Of `bytes`, of which at most 4 GiB count.
    pub fn of(bytes: &[u8]) -> Fingerprint {
        let bytes = &bytes[..bytes.len().min(u32::MAX as usize)];
        if bytes.is_empty() {
            return Fingerprint::NONE;
        }
        Fingerprint {
            hash: twox_hash::XxHash3_64::oneshot(bytes),
            size: bytes.len() as u32,
        }
    }

    /// Whether it says nothing.
    pub fn is_none(self) -> bool {
        self.size == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the reference implementation (`xxhsum -H3`) for these texts.
    #[test]
    fn is_fluent_bits_hash() {
        for (text, hash) in [
            ("a", 0xe6c6_32b6_1e96_4e1f_u64),
            ("abc", 0x78af_5f94_892f_3950),
            ("2026-11-22T13:00:00 hello world\n", 0x073a_fc00_8eb7_c592),
            ("0123456789abcdef0123456789abcdef", 0x0112_1d5b_6c0a_c055),
        ] {
            assert_eq!(Fingerprint::of(text.as_bytes()).hash, hash, "{text}");
        }
        assert_eq!(Fingerprint::of(b""), Fingerprint::NONE);
    }
}
