//! The C library's patterns, because those are what configurations are written for.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why a pattern could not be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A directory on the way could not be read.
    Unreadable,
    /// The C library ran out of memory.
    Memory,
}

/// The paths that `pattern` matches, sorted by name; `~` stands for a home directory. `**` is nothing but `*`.
pub fn matches(pattern: &str) -> Result<Vec<PathBuf>, Trouble> {
    let Ok(pattern) = CString::new(pattern) else {
        // No path has a NUL in it.
        return Ok(Vec::new());
    };
    // SAFETY: `glob_t` is plain data for which zero is valid: no entries, no reserved slots.
    let mut found: libc::glob_t = unsafe { std::mem::zeroed() };
    let flags = libc::GLOB_TILDE | libc::GLOB_ERR;
    // SAFETY: the pattern ends in NUL and `found` is valid for writing; there is no error callback.
    let status = unsafe { libc::glob(pattern.as_ptr(), flags, None, &mut found) };
    let result = match status {
        0 => Ok(paths(&found)),
        libc::GLOB_NOMATCH => Ok(Vec::new()),
        libc::GLOB_ABORTED => Err(Trouble::Unreadable),
        _ => Err(Trouble::Memory),
    };
    // SAFETY: `found` was initialised above and is not used after.
    unsafe { libc::globfree(&mut found) };
    result
}

fn paths(found: &libc::glob_t) -> Vec<PathBuf> {
    if found.gl_pathv.is_null() {
        return Vec::new();
    }
    // SAFETY: after success `gl_pathv` points to `gl_pathc` strings that end in NUL and live until globfree.
    unsafe {
        std::slice::from_raw_parts(found.gl_pathv, found.gl_pathc)
            .iter()
            .map(|path| PathBuf::from(OsStr::from_bytes(CStr::from_ptr(*path).to_bytes())))
            .collect()
    }
}

/// A pattern of `exclude_path`: `*` also stands for `/`, and the whole path must match.
#[derive(Clone, Debug)]
pub struct Exclusion(CString);

impl Exclusion {
    /// A pattern with a NUL in it matches nothing, and there is none.
    pub fn new(pattern: &str) -> Option<Exclusion> {
        CString::new(pattern).ok().map(Exclusion)
    }

    /// Whether `path` is left out.
    pub fn matches(&self, path: &Path) -> bool {
        let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
            return false;
        };
        // SAFETY: both texts end in NUL.
        unsafe { libc::fnmatch(self.0.as_ptr(), path.as_ptr(), 0) == 0 }
    }
}

/// Whether `pattern` finds `path`. Patterns that begin with `~` find nothing here.
pub fn finds(pattern: &str, path: &Path) -> bool {
    let (Ok(pattern), Ok(path)) = (
        CString::new(pattern),
        CString::new(path.as_os_str().as_bytes()),
    ) else {
        return false;
    };
    let flags = libc::FNM_PATHNAME | libc::FNM_PERIOD;
    // SAFETY: both texts end in NUL.
    unsafe { libc::fnmatch(pattern.as_ptr(), path.as_ptr(), flags) == 0 }
}

/// Whether `pattern` finds `path`, or found it before something was put behind its name.
pub fn may_be_from(pattern: &str, path: &Path) -> bool {
    let Ok(c_pattern) = CString::new(pattern) else {
        return false;
    };
    let matches = |bytes: &[u8]| {
        let flags = libc::FNM_PATHNAME | libc::FNM_PERIOD;
        // SAFETY: both texts end in NUL.
        CString::new(bytes).is_ok_and(|path| unsafe {
            libc::fnmatch(c_pattern.as_ptr(), path.as_ptr(), flags) == 0
        })
    };
    let bytes = path.as_os_str().as_bytes();
    let name = memchr::memrchr(b'/', bytes).map_or(0, |slash| slash + 1);
    let ends = (name + 1..bytes.len()).filter(|&end| b".-_".contains(&bytes[end]));
    pattern.starts_with('~') || matches(bytes) || ends.into_iter().any(|end| matches(&bytes[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_the_shell() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        std::fs::create_dir_all(root.join("sub/deep")).expect("directories");
        for name in [
            "b.log",
            "a.log",
            ".hidden.log",
            "sub/c.log",
            "sub/deep/d.log",
        ] {
            std::fs::write(root.join(name), "").expect(name);
        }
        let found = |pattern: &str| -> Vec<String> {
            let pattern = format!("{}/{pattern}", root.display());
            let paths = matches(&pattern).expect("readable");
            let names = paths
                .iter()
                .map(|path| path.strip_prefix(root).expect("inside"));
            names.map(|name| name.display().to_string()).collect()
        };
        assert_eq!(found("*.log"), ["a.log", "b.log"]);
        assert_eq!(found("**/*.log"), ["sub/c.log"]);
        assert_eq!(found("[!a].log"), ["b.log"]);
        assert_eq!(found("*.txt"), [""; 0]);
        assert_eq!(matches("a\0b"), Ok(vec![]));
    }

    #[test]
    fn paths_are_assigned_to_patterns() {
        for (path, ours) in [
            ("/var/log/a.log", true),
            ("/var/log/a.log.1", true),
            ("/var/log/a.log-20261122.1", true),
            ("/var/log/a.txt", false),
            ("/var/log/sub/a.log", false),
        ] {
            assert_eq!(
                may_be_from("/var/log/*.log", Path::new(path)),
                ours,
                "{path}"
            );
        }
    }

    #[test]
    fn exclusions_see_the_whole_path() {
        for (pattern, path, excluded) in [
            ("*.gz", "/var/log/a.gz", true),
            ("b.log", "dir/b.log", false),
            ("*b.log", "dir/b.log", true),
            ("/var/*/a.log", "/var/log/x/a.log", true),
            ("a?c", "abc", true),
        ] {
            let exclusion = Exclusion::new(pattern).expect("no NUL");
            assert_eq!(
                exclusion.matches(Path::new(path)),
                excluded,
                "{pattern} {path}"
            );
        }
    }
}
