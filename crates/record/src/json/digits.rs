//! Decimal digits, eight at a time in a register.

/// How many digits are dealt with together.
pub(super) const EIGHT: usize = 8;

const ONES: u64 = u64::from_ne_bytes([1; EIGHT]);
const ZEROS: u64 = ONES * 0x30;

/// The value of the digits at the start of `text`, of eight of them at most, and how many they are. Eight bytes must be there.
#[inline(always)]
pub(super) fn read(text: &[u8]) -> Option<(u64, usize)> {
    let bytes = u64::from_le_bytes(*text.first_chunk::<EIGHT>()?) ^ ZEROS;
    // The high bit of each byte that is no digit: what is above nine, or was above 0x7f.
    let others = (((bytes & (ONES * 0x7f)) + ONES * 0x76) | bytes) & (ONES * 0x80);
    let len = others.trailing_zeros() as usize / 8;
    if len == 0 {
        return Some((0, 0));
    }
    // As if zeros came before them. Neighbours become numbers of two, four and eight digits; the first digit is the lowest byte.
    let digits = bytes << (64 - 8 * len);
    let twos = (digits.wrapping_mul((10 << 8) + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul((100 << 16) + 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul((10_000 << 32) + 1) >> 32, len))
}

/// The eight digits of `value`, below 10^8, as text whose first byte is the lowest one.
#[inline(always)]
pub(super) fn eight(value: u64) -> u64 {
    debug_assert!(value < 100_000_000);
    // Two numbers of four digits, four of two, eight of one; each is the quotient, and beside it what is left.
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (tens | (twos - tens * 10) << 8) | ZEROS
}

/// The digits of `value`, below 10^8, without zeros before them, and how many they are.
#[inline(always)]
pub(super) fn few(value: u64) -> (u64, usize) {
    let digits = eight(value);
    // The last one stays in any case.
    let zeros = ((digits ^ ZEROS) | 1 << 56).trailing_zeros() as usize / 8;
    (digits >> (8 * zeros), EIGHT - zeros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn others_than_digits_end_a_number() {
        for at in 0..EIGHT {
            for other in (0..=255_u8).filter(|other| !other.is_ascii_digit()) {
                let mut text = *b"12345678";
                text[at] = other;
                let value = "12345678"[..at].parse().unwrap_or(0);
                assert_eq!(read(&text), Some((value, at)), "{}", text.escape_ascii());
            }
        }
        assert_eq!(read(b"123456789"), Some((12_345_678, EIGHT)));
        assert_eq!(read(b"1234567"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn digits_are_those_of_the_library(value in 0..100_000_000_u64, fewer in 0..8_u32) {
            for value in [value, value / 10_u64.pow(fewer), 10_u64.pow(fewer), 10_u64.pow(fewer) - 1] {
                let text = format!("{value:08}");
                prop_assert_eq!(&eight(value).to_le_bytes()[..], text.as_bytes());
                let (digits, len) = few(value);
                let text = value.to_string();
                prop_assert_eq!(&digits.to_le_bytes()[..len], text.as_bytes());
                prop_assert_eq!(read(format!("{value}        ").as_bytes()), Some((value, text.len())));
            }
        }
    }
}
