//! The program's own pages in memory: code and constants, its libraries' too. They are pages of files that the page cache
//! has anyway, but they count as resident while they are mapped, and a cluster's dashboards count them on every node.
//!
//! Most of them were used once, for the start or for the last burst; the kernel keeps them mapped until memory is short.
//! What is needed again comes from the page cache, without reading the disk.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// How much the kernel maps around a page that is used, as far as its cache has it and the mapping goes: `fault_around_bytes`,
/// and more where its cache has a file in larger pieces, as one that was copied.
const AROUND: usize = 64 * 1024;
/// How much it is to map where the program works: functions that run lie between others that do not.
const PIECE: usize = 8 * 1024;
/// What the kernel has in its table of a page, one word each (`Documentation/admin-guide/mm/pagemap.rst`).
const ENTRY: usize = size_of::<u64>();
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_A_FILE: u64 = 1 << 61;

/// Takes the program's pages out of the resident set.
pub fn release() {
    each(|_, _| ());
}

/// The same. What was used until now is likely to be used again, and is mapped in small pieces from then on: the kernel never
/// maps beyond a mapping's end, so mappings are made of that size, by advice that neighbours have not in common.
pub fn release_in_pieces() {
    each(|range, pages| used(range, pages).for_each(divide));
}

/// Releases each range of the program after showing it and its pages' entries. A range with pages of its own is left: those
/// that the loader has relocated, or that have a breakpoint.
fn each(mut show: impl FnMut(&Range<usize>, &[u64])) {
    static RANGES: OnceLock<Vec<Range<usize>>> = OnceLock::new();
    let Ok(table) = File::open("/proc/self/pagemap") else {
        return;
    };
    // As it was at first, in one piece each. What is loaded later could be gone when it is released.
    let ranges =
        RANGES.get_or_init(|| text("/proc/self/maps").map_or(Vec::new(), |maps| fixed(&maps)));
    for range in ranges {
        match entries(&table, range) {
            Ok(pages) if pages.iter().all(is_unchanged) => {
                show(range, &pages);
                advise(range, Advice::DontNeed);
            }
            _ => {}
        }
    }
}

fn text(path: &str) -> io::Result<String> {
    // With room from the beginning, or a file whose length is not known is read in tiny pieces.
    let mut text = String::with_capacity(16 * 1024);
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The private mappings of files in `/proc/self/maps` (proc(5)) that may not be written to.
fn fixed(maps: &str) -> Vec<Range<usize>> {
    maps.lines().filter_map(fixed_range).collect()
}

fn fixed_range(line: &str) -> Option<Range<usize>> {
    let mut columns = line.split_ascii_whitespace();
    let (start, end) = columns.next()?.split_once('-')?;
    let is_fixed = matches!(columns.next()?, "r-xp" | "r--p");
    let is_file = columns.nth(3)?.starts_with('/');
    let address = |text| usize::from_str_radix(text, 16).ok();
    (is_fixed && is_file).then_some(address(start)?..address(end)?)
}

fn entries(table: &File, range: &Range<usize>) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; range.len() / page() * ENTRY];
    table.read_exact_at(&mut bytes, (range.start / page() * ENTRY) as u64)?;
    let (words, _) = bytes.as_chunks::<ENTRY>();
    Ok(words.iter().map(|word| u64::from_ne_bytes(*word)).collect())
}

/// Whether it is the file's page, or none.
fn is_unchanged(entry: &u64) -> bool {
    entry & SWAPPED == 0 && (entry & PRESENT == 0 || entry & OF_A_FILE != 0)
}

/// What the kernel maps at once, of which something is mapped.
fn used<'a>(range: &'a Range<usize>, pages: &'a [u64]) -> impl Iterator<Item = Range<usize>> + 'a {
    let first = range.start / AROUND;
    let around = move |number: usize| {
        let start = (number * AROUND).max(range.start);
        start..((number + 1) * AROUND).min(range.end)
    };
    let is_used = move |around: &Range<usize>| {
        let index = |address: usize| (address - range.start) / page();
        let pages = &pages[index(around.start)..index(around.end)];
        pages.iter().any(|entry| entry & PRESENT != 0)
    };
    (first..range.end.div_ceil(AROUND))
        .map(around)
        .filter(is_used)
}

/// Makes mappings of a piece each.
fn divide(range: Range<usize>) {
    pieces(&range, PIECE.max(page()))
        .filter(|(number, _)| number % 2 == 1)
        .for_each(|(_, piece)| advise(&piece, Advice::DontDump));
}

/// The pieces of a range with their numbers, which count from the address zero.
fn pieces(range: &Range<usize>, size: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let Range { start, end } = *range;
    let piece = move |number: usize| {
        (
            number,
            (number * size).max(start)..((number + 1) * size).min(end),
        )
    };
    (start / size..end.div_ceil(size)).map(piece)
}

enum Advice {
    /// The pages are not resident any more.
    DontNeed,
    /// Not in the image of a crash, where pages of files are not anyway.
    DontDump,
}

/// Advises on a mapping of a file that nobody may write to and that has no pages of its own.
#[cfg(target_os = "linux")]
fn advise(range: &Range<usize>, advice: Advice) {
    let advice = match advice {
        Advice::DontNeed => libc::MADV_DONTNEED,
        Advice::DontDump => libc::MADV_DONTDUMP,
    };
    // SAFETY: the range belongs to this program or a library that it was started with, which stays. Nobody may write to it
    // and nobody has written to it: its pages are the same when they are read again.
    unsafe {
        libc::madvise(range.start as *mut libc::c_void, range.len(), advice);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &Range<usize>, _: Advice) {}

fn page() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    // SAFETY: sysconf has no preconditions.
    *SIZE.get_or_init(|| unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(4096) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_may_write_to_is_released() {
        let maps = "7f6c65b23000-7f6c65c9b000 r-xp 00026000 fe:00 1054137    /usr/lib/libc.so.6\n\
                    a65c9b000-a65cf1000 r--p 0019e000 fe:00 1054137    /usr/lib/libc.so.6\n";
        assert_eq!(
            fixed(maps),
            [0x7f6c65b23000..0x7f6c65c9b000, 0xa65c9b000..0xa65cf1000]
        );
        for other in [
            "",
            "7ffe3d5e9000-7ffe3d5eb000 r-xp 00000000 00:00 0          [vdso]",
            "7f6c65d00000-7f6c65d10000 r-xp 00000000 00:00 0",
            "7f6c65d00000-7f6c65d10000 rwxp 00000000 fe:00 1054137    /usr/lib/jit",
            "7f6c65d00000-7f6c65d10000 r--s 00000000 fe:00 1054137    /var/lib/shared",
            "7f6c65d00000-7f6c65d10000 rw-p 00000000 fe:00 1054137    /usr/lib/libc.so.6",
        ] {
            assert!(fixed(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn a_page_of_its_own_is_a_change() {
        for unchanged in [0, OF_A_FILE, PRESENT | OF_A_FILE | 5] {
            assert!(is_unchanged(&unchanged), "{unchanged:x}");
        }
        for own in [PRESENT, PRESENT | 5, SWAPPED, SWAPPED | OF_A_FILE] {
            assert!(!is_unchanged(&own), "{own:x}");
        }
    }

    #[test]
    fn what_is_used_is_divided_as_addresses_are() {
        let range = 0x1e000..0x3a000;
        let mut pages = vec![0; range.len() / page()];
        pages[0] = PRESENT;
        *pages.last_mut().expect("a page") = PRESENT;
        let parts: Vec<_> = used(&range, &pages).collect();
        assert_eq!(parts, [0x1e000..0x20000, 0x30000..0x3a000]);
        let of = |range| pieces(&range, 0x4000).collect::<Vec<_>>();
        assert_eq!(of(0x1e000..0x20000), [(7, 0x1e000..0x20000)]);
        assert_eq!(
            of(0x30000..0x3a000),
            [
                (12, 0x30000..0x34000),
                (13, 0x34000..0x38000),
                (14, 0x38000..0x3a000)
            ]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_program_runs_on_without_its_pages_and_in_pieces() {
        let maps = text("/proc/self/maps").expect("a file of the system");
        assert!(fixed(&maps).len() > 1);
        for release in [release, release_in_pieces, release_in_pieces] {
            release();
            assert_eq!(format!("{:?}", "é\u{1}".to_uppercase()), "\"É\\u{1}\"");
        }
        let now = text("/proc/self/maps").expect("a file of the system");
        let here = release_in_pieces as *const () as usize / AROUND;
        let begins_here = |range: &Range<usize>| range.start / AROUND == here;
        let is_divided = fixed(&now)
            .iter()
            .any(|range| begins_here(range) && range.start % AROUND != 0);
        assert!(is_divided || page() >= AROUND, "{now}");
    }
}
