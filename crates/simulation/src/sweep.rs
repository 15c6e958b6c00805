//! Many seeds, on all cores.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Mutation, run};

/// The seeds of `seeds` in which something is wrong, and what; at most about `most` of them, then it ends.
///
/// # Panics
/// When a thread cannot be started.
pub fn sweep(seeds: Range<u64>, mutation: Option<Mutation>, most: usize) -> Vec<(u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || found.lock().expect("no panic while held").len() >= most {
                return;
            }
            if let Some(finding) = run(seed, mutation, false).finding {
                let mut found = found.lock().expect("no panic while held");
                found.push((seed, finding));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let mut found = found.into_inner().expect("no panic while held");
    found.sort();
    found
}
