//! Where an event stands among all events of its group, and the id that says so.

use std::fmt;
use std::str::FromStr;

/// An event's place: by time, then in the order in which events were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Milliseconds since 1970; never negative.
    pub timestamp: i64,
    /// The event's number in its group; 0 stands in front of all events of a time.
    pub sequence: u64,
}

/// Bits below the time in an event id. AWS's ids have the time on top, too.
const TIME_SHIFT: u32 = 144;
/// Digits of an event id.
const DIGITS: usize = 56;
const BILLION: u64 = 1_000_000_000;

impl Position {
    /// The place in front of all events of a time.
    pub fn before_all_of(timestamp: i64) -> Self {
        Self {
            timestamp,
            sequence: 0,
        }
    }

    /// The place behind all events of a time.
    pub fn behind_all_of(timestamp: i64) -> Self {
        Self {
            timestamp,
            sequence: u64::MAX,
        }
    }

    /// A number that grows with the position.
    pub fn rank(self) -> u128 {
        // Times are not negative.
        (u128::from(self.timestamp as u64) << 64) | u128::from(self.sequence)
    }
}

/// The event id: 56 digits that are larger for later events.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = [0_u32; 7];
        words[0] = self.sequence as u32;
        words[1] = (self.sequence >> 32) as u32;
        // Bit 144 is bit 16 of the fifth word.
        let time = u128::from(self.timestamp as u64) << (TIME_SHIFT % 32);
        words[4] = time as u32;
        words[5] = (time >> 32) as u32;
        words[6] = (time >> 64) as u32;
        let mut groups = [0; 7];
        for group in groups.iter_mut().rev() {
            let mut remainder = 0;
            for word in words.iter_mut().rev() {
                let value = (remainder << 32) | u64::from(*word);
                *word = (value / BILLION) as u32;
                remainder = value % BILLION;
            }
            *group = remainder;
        }
        // 7 × 9 digits; the first 7 are zero for all times of this century.
        let mut digits = String::with_capacity(63);
        for group in groups {
            fmt::Write::write_fmt(&mut digits, format_args!("{group:09}"))?;
        }
        f.write_str(&digits[digits.len() - DIGITS..])
    }
}

/// Reads an event id; anything that is none is an error.
impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(());
        }
        let mut words = [0_u32; 7];
        for digit in text.bytes() {
            let mut carry = u64::from(digit - b'0');
            for word in &mut words {
                let value = u64::from(*word) * 10 + carry;
                *word = value as u32;
                carry = value >> 32;
            }
        }
        let time =
            u128::from(words[4]) | (u128::from(words[5]) << 32) | (u128::from(words[6]) << 64);
        let timestamp = i64::try_from(time >> (TIME_SHIFT % 32)).map_err(drop)?;
        let position = Self {
            timestamp,
            sequence: u64::from(words[0]) | (u64::from(words[1]) << 32),
        };
        // Every other text of 56 digits is not one of ours.
        if position.to_string() == text {
            Ok(position)
        } else {
            Err(())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_look_like_aws_s() {
        let id = Position {
            timestamp: 1_789_333_384_100,
            sequence: 7,
        }
        .to_string();
        assert_eq!(id.len(), 56);
        assert!(id.starts_with("399034678740"), "{id}");
        for wrong in ["", "1", &"9".repeat(56), &format!("{}x", "0".repeat(55))] {
            assert_eq!(Position::from_str(wrong), Err(()), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn ids_are_read_as_written_and_keep_the_order(a in 0..4_000_000_000_000_i64, b in 0..4_000_000_000_000_i64, s in any::<u64>(), t in any::<u64>()) {
            let (a, b) = (Position { timestamp: a, sequence: s }, Position { timestamp: b, sequence: t });
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.cmp(&b), a.rank().cmp(&b.rank()));
        }
    }
}
