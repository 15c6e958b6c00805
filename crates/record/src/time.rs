//! The time of a record.

/// Nanoseconds since 1970-01-01T00:00:00Z; negative before. Covers the years 1678 to 2261.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

const NANOS: i64 = 1_000_000_000;

impl Time {
    /// From whole seconds and nanoseconds (0 to 999,999,999); saturates at the ends of the range.
    pub fn new(seconds: i64, nanoseconds: u32) -> Time {
        Time(
            seconds
                .saturating_mul(NANOS)
                .saturating_add(i64::from(nanoseconds)),
        )
    }

    /// From nanoseconds since the epoch.
    pub fn from_nanos(nanos: i64) -> Time {
        Time(nanos)
    }

    /// The clock of the machine.
    pub fn now() -> Time {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => Time::new(since.as_secs() as i64, since.subsec_nanos()),
            Err(before) => Time(-(before.duration().as_nanos() as i64)),
        }
    }

    /// Nanoseconds since the epoch.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// The part below a second, in nanoseconds.
    pub fn subsec_nanos(self) -> u32 {
        self.0.rem_euclid(NANOS) as u32
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}
