//! An idle process gives memory back.

use std::time::Duration;

use monitor::Watched;

/// How often it is looked whether there was a record.
const PERIOD: Duration = Duration::from_secs(5);

/// Gives memory back to the system when a period passed without a record.
pub async fn trim_when_idle(watched: Watched) {
    let mut period = tokio::time::interval(PERIOD);
    let (mut last, mut trimmed) = (0, true);
    loop {
        period.tick().await;
        let inputs = watched.pipeline().inputs;
        let now: u64 = inputs.iter().map(|input| input.records.get()).sum();
        if now != last {
            (last, trimmed) = (now, false);
        } else if !trimmed {
            trimmed = true;
            record::trim();
            #[cfg(target_env = "gnu")]
            // SAFETY: malloc_trim has no preconditions.
            unsafe {
                libc::malloc_trim(0);
            }
        }
    }
}
