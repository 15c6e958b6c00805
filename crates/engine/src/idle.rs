//! A process that has started, and an idle one, give memory back.

use std::time::Duration;

use monitor::Watched;

/// How often it is looked whether there was a record.
const PERIOD: Duration = Duration::from_secs(2);

/// Gives memory back to the system when a period passed without a record, be it the first one after the start; and after
/// that one in any case what only the start needed of the program.
pub async fn trim_when_idle(watched: Watched) {
    let mut period = tokio::time::interval(PERIOD);
    period.tick().await;
    let (mut last, mut trimmed) = (0, false);
    period.tick().await;
    release_program();
    loop {
        let inputs = watched.pipeline().inputs;
        let now: u64 = inputs.iter().map(|input| input.records.get()).sum();
        if now != last {
            (last, trimmed) = (now, false);
        } else if !trimmed {
            trimmed = true;
            record::trim();
            trim_heap();
            release_program();
        }
        period.tick().await;
    }
}

/// What the heap keeps of free memory at its end: as much as is read of a file at once. Left to itself, glibc gives more than
/// that back with each batch that is done, and the kernel clears the same pages anew for the next one.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 256 * 1024;
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

/// Takes the program's own pages out of the resident set: code, constants, and what the loader has read. Most of it was
/// used once, for the start or for the last burst; the kernel keeps it resident until memory is short, and a cluster's
/// dashboards count it on every node until then. What is needed again comes from the page cache, without reading the disk.
pub fn release_program() {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    for (start, end) in unchanged(&maps) {
        #[cfg(target_os = "linux")]
        // SAFETY: the range is a mapping of a file that nobody may write to and nobody has written to: it is the same when
        // it is read again. Should it be gone by now, the call fails.
        unsafe {
            libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (start, end);
    }
}

/// The first and the end of the addresses of each mapping in `/proc/self/smaps` (proc(5)) that is private, of a file, not
/// writable, and has no page of its own: what the loader has relocated and then protected has such pages.
fn unchanged(maps: &str) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut range = None;
    for line in maps.lines() {
        if let Some(own) = line.strip_prefix("Anonymous:") {
            let is_unchanged = own.split_ascii_whitespace().next() == Some("0");
            ranges.extend(range.take().filter(|_| is_unchanged));
        } else if line
            .starts_with(|first: char| first.is_ascii_digit() || first.is_ascii_lowercase())
        {
            range = file_range(line);
        }
    }
    ranges
}

/// The first and the end of the addresses in the first line about a mapping of a file that may not be written to.
fn file_range(line: &str) -> Option<(usize, usize)> {
    let mut columns = line.split_ascii_whitespace();
    let (start, end) = columns.next()?.split_once('-')?;
    let is_fixed = matches!(columns.next()?, "r-xp" | "r--p");
    let is_file = columns.nth(3)?.starts_with('/');
    let address = |text| usize::from_str_radix(text, 16).ok();
    (is_fixed && is_file).then_some((address(start)?, address(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(first: &str, own: u32) -> String {
        format!(
            "{first}\nSize:  12 kB\nRss:   8 kB\nAnonymous:   {own} kB\nVmFlags: rd ex mr mw me\n"
        )
    }

    #[test]
    fn only_what_is_as_in_its_file_is_released() {
        let code = "7f6c65b23000-7f6c65c9b000 r-xp 00026000 fe:00 1054137    /usr/lib/libc.so.6";
        let constants = "a65c9b000-a65cf1000 r--p 0019e000 fe:00 1054137    /usr/lib/libc.so.6";
        let maps = mapping(code, 0) + &mapping(constants, 0) + &mapping(constants, 4);
        assert_eq!(
            unchanged(&maps),
            [(0x7f6c65b23000, 0x7f6c65c9b000), (0xa65c9b000, 0xa65cf1000)]
        );
        for other in [
            "7ffe3d5e9000-7ffe3d5eb000 r-xp 00000000 00:00 0          [vdso]",
            "7f6c65d00000-7f6c65d10000 r-xp 00000000 00:00 0",
            "7f6c65d00000-7f6c65d10000 rwxp 00000000 fe:00 1054137    /usr/lib/jit",
            "7f6c65d00000-7f6c65d10000 r--s 00000000 fe:00 1054137    /var/lib/shared",
            "7f6c65d00000-7f6c65d10000 rw-p 00000000 fe:00 1054137    /usr/lib/libc.so.6",
        ] {
            assert_eq!(unchanged(&mapping(other, 0)), [], "{other}");
        }
        assert_eq!(unchanged(""), []);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_program_runs_on_without_its_pages() {
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("a file of the system");
        assert!(unchanged(&maps).len() > 1);
        release_program();
        assert_eq!(format!("{:?}", "é\u{1}".to_uppercase()), "\"É\\u{1}\"");
    }
}
