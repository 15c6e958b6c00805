//! An idle process gives memory back.

use std::time::Duration;

use monitor::Watched;

/// How often it is looked whether there was a record.
const PERIOD: Duration = Duration::from_secs(2);

/// Gives memory back to the system when a period passed without a record, be it the first one after the start.
pub async fn trim_when_idle(watched: Watched) {
    let mut period = tokio::time::interval(PERIOD);
    period.tick().await;
    let (mut last, mut trimmed) = (0, false);
    loop {
        period.tick().await;
        let inputs = watched.pipeline().inputs;
        let now: u64 = inputs.iter().map(|input| input.records.get()).sum();
        if now != last {
            (last, trimmed) = (now, false);
        } else if !trimmed {
            trimmed = true;
            record::trim();
            trim_heap();
            #[cfg(target_os = "linux")]
            release_code();
        }
    }
}

fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Takes the program's code out of the resident set. Most of it ran once, for the start or for the last burst; the
/// kernel keeps it resident until memory is short, and a cluster's dashboards count it on every node until then. What
/// is needed again comes from the page cache, without reading the disk.
#[cfg(target_os = "linux")]
fn release_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return;
    };
    for (start, end) in maps.lines().filter_map(code_range) {
        // SAFETY: the range is a mapping of code in a file that nobody has written to, nor could: it is the same when
        // it is read again. Should it be gone by now, the call fails.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// The first and the end of the addresses in a line of `/proc/self/maps` (proc(5)) that maps code from a file:
/// private, executable, not writable.
#[cfg(target_os = "linux")]
fn code_range(line: &str) -> Option<(usize, usize)> {
    let mut columns = line.split_ascii_whitespace();
    let (start, end) = columns.next()?.split_once('-')?;
    let is_code = columns.next()? == "r-xp";
    let is_file = columns.nth(3)?.starts_with('/');
    let address = |text| usize::from_str_radix(text, 16).ok();
    (is_code && is_file).then_some((address(start)?, address(end)?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::code_range;

    #[test]
    fn only_code_from_files_is_released() {
        let code = "7f6c65b23000-7f6c65c9b000 r-xp 00026000 fe:00 1054137    /usr/lib/libc.so.6";
        assert_eq!(code_range(code), Some((0x7f6c65b23000, 0x7f6c65c9b000)));
        for other in [
            "7f6c65c9b000-7f6c65cf1000 r--p 0019e000 fe:00 1054137    /usr/lib/libc.so.6",
            "7ffe3d5e9000-7ffe3d5eb000 r-xp 00000000 00:00 0          [vdso]",
            "7f6c65d00000-7f6c65d10000 r-xp 00000000 00:00 0",
            "7f6c65d00000-7f6c65d10000 rwxp 00000000 fe:00 1054137    /usr/lib/jit",
            "",
        ] {
            assert_eq!(code_range(other), None, "{other}");
        }
    }
}
