//! A process that has started, and an idle one, give memory back.

use std::time::Duration;

use monitor::Watched;

use crate::program;

/// How often it is looked whether there was a record.
const PERIOD: Duration = Duration::from_secs(2);
/// After so many periods, a minute, what the program needed now and then meanwhile leaves memory once more.
const RARELY: u32 = 30;

/// Gives memory back to the system when a period passed without a record, be it the first one after the start; and after
/// that one and rarely in any case what the program does not need while it works.
pub async fn trim_when_idle(watched: Watched) {
    let mut period = tokio::time::interval(PERIOD);
    period.tick().await;
    let (mut last, mut trimmed) = (0, false);
    for number in 0_u32.. {
        period.tick().await;
        let inputs = watched.pipeline().inputs;
        let now: u64 = inputs.iter().map(|input| input.records.get()).sum();
        let is_idle = now == last;
        if is_idle && !trimmed {
            record::trim();
            trim_heap();
        }
        if (is_idle && !trimmed) || number % RARELY == 0 {
            program::release_in_pieces();
        }
        (last, trimmed) = (now, is_idle);
    }
}

/// What the heap keeps of free memory at its end: the bodies and batches that are done with at the same time. Left to itself,
/// glibc gives more than 128 KiB back with each of them, and the kernel clears the same pages anew for the next one.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 1024 * 1024;
/// From this size on memory is mapped by itself. Left to itself, glibc begins with half of what is read of a file at once.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES: libc::c_int = 1024 * 1024;

/// Lets the heap keep what the next batch needs again.
pub fn keep_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}

fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}
