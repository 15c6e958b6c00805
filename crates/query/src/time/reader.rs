//! Reading numbers and names off the front of a text, for the format languages.

use super::names::short;

/// The rest of a text that is being read from the left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub rest: &'a str,
}

impl<'a> Reader<'a> {
    /// An unsigned number of `min` to `max` digits.
    pub(super) fn number(&mut self, min: usize, max: usize) -> Option<u32> {
        let digits = self
            .rest
            .bytes()
            .take(max)
            .take_while(u8::is_ascii_digit)
            .count();
        if digits < min {
            return None;
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number.parse().ok()
    }

    /// A fraction of a second of 1 to `max` digits, as nanoseconds; digits beyond nine are dropped.
    pub(super) fn fraction(&mut self, max: usize) -> Option<u32> {
        let digits = self
            .rest
            .bytes()
            .take(max)
            .take_while(u8::is_ascii_digit)
            .count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let number = &number[..digits.min(9)];
        let value: u32 = number.parse().ok()?;
        Some(value * 10_u32.pow(9 - number.len() as u32))
    }

    pub(super) fn literal(&mut self, literal: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }

    /// One of `names`, whole or its first three letters, in any case. Its index.
    pub(super) fn name(&mut self, names: &[&str]) -> Option<u32> {
        let starts = |name: &str| {
            self.rest
                .get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        let whole = names
            .iter()
            .position(|name| starts(name))
            .map(|index| (index, names[index].len()));
        let (index, length) = whole.or_else(|| {
            names
                .iter()
                .position(|name| starts(short(name)))
                .map(|index| (index, 3))
        })?;
        self.rest = &self.rest[length..];
        Some(index as u32)
    }

    /// `AM` or `PM`; true for the latter.
    pub(super) fn half_of_day(&mut self) -> Option<bool> {
        let half = self.rest.get(..2)?;
        let afternoon = half.eq_ignore_ascii_case("pm");
        if !afternoon && !half.eq_ignore_ascii_case("am") {
            return None;
        }
        self.rest = &self.rest[2..];
        Some(afternoon)
    }

    /// As many characters as `accept` takes.
    pub(super) fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// The hour of a 24-hour clock for an hour of 1 to 12 and its half of the day.
pub(super) fn hour_of_half(hour: u32, afternoon: bool) -> Option<u32> {
    (1..=12)
        .contains(&hour)
        .then(|| hour % 12 + if afternoon { 12 } else { 0 })
}
