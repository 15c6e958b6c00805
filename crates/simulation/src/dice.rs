//! The only source of chance: everything that a seed decides comes from here, in the order in which it happens.

use std::ops::Range;
use std::time::Duration;

/// Random numbers that are the same for the same seed.
pub struct Dice(fastrand::Rng);

impl Dice {
    /// Dice that fall as `seed` says.
    pub fn new(seed: u64) -> Dice {
        // Neighbouring seeds shall not begin alike.
        Dice(fastrand::Rng::with_seed(mix(seed)))
    }

    /// Other dice: what they throw changes no throw of these, so that seeds go on to mean what they meant.
    pub fn aside(&self) -> Dice {
        Dice::new(self.0.clone().u64(..))
    }

    /// True with probability `p`. Takes no throw when the answer is certain.
    pub fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && self.0.f64() < p
    }

    /// A number of `range`, which must not be empty.
    pub fn number(&mut self, range: Range<u64>) -> u64 {
        self.0.u64(range)
    }

    /// A count of `range`, which must not be empty.
    pub fn count(&mut self, range: Range<usize>) -> usize {
        self.0.usize(range)
    }

    /// A time of `range`, which must not be empty, to the microsecond.
    pub fn time(&mut self, range: Range<Duration>) -> Duration {
        let (start, end) = (range.start.as_micros() as u64, range.end.as_micros() as u64);
        Duration::from_micros(self.0.u64(start..end))
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(0..choices.len())]
    }
}

/// Spreads the bits of a number (the finalizer of SplitMix64).
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
