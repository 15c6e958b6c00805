//! Which branches an input reaches, where the code under test was compiled with counters for them.
//!
//! `-C passes=sancov-module -C llvm-args=-sanitizer-coverage-inline-8bit-counters` has the compiler count every edge of the
//! control flow in one byte and announce the bytes before `main`. Without these flags there are no counters, and no input is
//! ever new. The counters are those of the process, so only one target may run at a time.

use std::sync::{Mutex, PoisonError};

/// Where counters lie: address and length.
static COUNTERS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called by compiled code before `main`, once for each object with the same or other counters.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
    let place = (start as usize, end as usize - start as usize);
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    if !counters.contains(&place) && place.1 > 0 {
        counters.push(place);
    }
}

/// What was reached so far.
pub struct Coverage {
    counters: Vec<(usize, usize)>,
    /// For each counter the magnitudes that it had, a bit for each.
    seen: Vec<u8>,
}

impl Coverage {
    pub fn new() -> Coverage {
        let counters = COUNTERS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let all = counters.iter().map(|(_, length)| length).sum();
        Coverage {
            counters,
            seen: vec![0; all],
        }
    }

    /// Sets all counters to nought.
    pub fn reset(&self) {
        for (start, length) in &self.counters {
            // SAFETY: the compiler announced these bytes, which live as long as the process and are only counters.
            unsafe { std::ptr::write_bytes(*start as *mut u8, 0, *length) };
        }
    }

    /// Whether something was reached since the reset that never was before; from then on it was.
    pub fn has_new(&mut self) -> bool {
        let mut seen = self.seen.as_mut_slice();
        let mut has_new = false;
        for (start, length) in &self.counters {
            // SAFETY: as above. Other threads may count on meanwhile, which costs a count and no more.
            let counters = unsafe { std::slice::from_raw_parts(*start as *const u8, *length) };
            let (here, behind) = seen.split_at_mut(*length);
            for (counters, seen) in counters.chunks(32).zip(here.chunks_mut(32)) {
                if counters.iter().all(|count| *count == 0) {
                    continue;
                }
                for (count, seen) in counters.iter().zip(seen) {
                    let bit = magnitude(*count);
                    has_new |= *seen & bit != bit;
                    *seen |= bit;
                }
            }
            seen = behind;
        }
        has_new
    }

    /// How many counters were ever reached.
    pub fn branches(&self) -> usize {
        self.seen.iter().filter(|seen| **seen != 0).count()
    }
}

/// How often a branch was taken matters only roughly.
fn magnitude(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..8 => 8,
        8..16 => 16,
        16..32 => 32,
        32..128 => 64,
        128.. => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_is_new_once() {
        let mut counters = [0_u8; 100];
        let mut coverage = Coverage {
            counters: vec![(counters.as_ptr() as usize, counters.len())],
            seen: vec![0; counters.len()],
        };
        assert!(!coverage.has_new());
        let counter = std::hint::black_box(&mut counters);
        counter[70] = 1;
        assert!(coverage.has_new());
        assert!(!coverage.has_new());
        let counter = std::hint::black_box(&mut counters);
        counter[70] = 9;
        assert!(coverage.has_new(), "another magnitude");
        assert_eq!(coverage.branches(), 1);
        coverage.reset();
        assert_eq!(std::hint::black_box(&counters)[70], 0);
    }
}
