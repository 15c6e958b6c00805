//! `$(uuid)`: a text in the form of a KSUID (27 digits of base 62: four bytes of time, sixteen of chance) that stays the
//! same while the process runs and that no other instance has.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use record::Time;

/// Times of a KSUID count from here, in seconds since 1970.
const EPOCH: i64 = 1_400_000_000;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 27;

/// The text of an instance, the same on all shards.
pub fn text(instance: &str) -> String {
    static START: OnceLock<(u32, RandomState)> = OnceLock::new();
    let (time, chance) = START.get_or_init(|| {
        let since = Time::now().seconds() - EPOCH;
        (since as u32, RandomState::new())
    });
    let half = |side: u8| chance.hash_one((side, instance)).to_be_bytes();
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&time.to_be_bytes());
    bytes[4..12].copy_from_slice(&half(0));
    bytes[12..].copy_from_slice(&half(1));
    base62(bytes)
}

/// A number of twenty bytes in base 62.
fn base62(mut number: [u8; 20]) -> String {
    let mut text = [0; LENGTH];
    for digit in text.iter_mut().rev() {
        let mut rest = 0;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    text.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_ksuids_are() {
        assert_eq!(base62([0; 20]), "0".repeat(27));
        assert_eq!(base62([0xff; 20]), "aWgEPTl1tmebfsQzFP4bxwgy80V");
        assert_ne!(text("a"), text("b"));
    }
}
