//! The files beside a file: where rotation puts earlier generations and copies.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

/// Endings of files that cannot be read as lines.
const COMPRESSED: &[&str] = &[".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip"];

/// A file beside another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// Where it is.
    pub path: PathBuf,
    /// Its inode, as the directory has it.
    pub inode: u64,
}

/// The directory that `path` is in.
pub fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Everything in the directory of `path` but `path` itself.
///
/// # Errors
/// When the directory cannot be read.
pub fn beside(path: &Path) -> io::Result<Vec<Sibling>> {
    let mut siblings = Vec::new();
    for entry in std::fs::read_dir(directory(path))? {
        let entry = entry?;
        if Some(entry.file_name().as_os_str()) != path.file_name() {
            siblings.push(Sibling {
                path: entry.path(),
                inode: entry.ino(),
            });
        }
    }
    Ok(siblings)
}

/// Whether a file of this name may be a copy that was made of `original` by rotation.
pub fn may_be_copy(original: &Path, name: &Path) -> bool {
    suffix(original, name).is_some() && !is_compressed(name)
}

/// Whether a file of this name looks like an earlier generation of `original`: its name with a number or a date behind.
pub fn looks_rotated(original: &Path, name: &Path) -> bool {
    let Some(suffix) = suffix(original, name) else {
        return false;
    };
    let is_stamp = |byte: &u8| byte.is_ascii_digit() || b".-_:TZ+".contains(byte);
    matches!(suffix.first(), Some(b'.' | b'-' | b'_'))
        && suffix.iter().all(is_stamp)
        && suffix.iter().any(u8::is_ascii_digit)
}

/// Whether the name says that the file is compressed.
pub fn is_compressed(name: &Path) -> bool {
    let name = name.as_os_str().as_bytes();
    COMPRESSED.iter().any(|ending| {
        name.len() > ending.len()
            && name[name.len() - ending.len()..].eq_ignore_ascii_case(ending.as_bytes())
    })
}

/// Whether a file of this name may be an archive of `original`, or of a generation of it, that can be unpacked.
pub fn may_be_archive(original: &Path, name: &Path) -> bool {
    let is_gzip = name
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let Some(stem) = original.file_name() else {
        return false;
    };
    // `app.log.3` was `app.log` once.
    let stems = stems(stem).filter(|stem| looks_rotated(Path::new(stem), original));
    let first = stems.last().unwrap_or(stem);
    is_gzip && suffix(&original.with_file_name(first), name).is_some()
}

/// What `name` may have been before something was put behind it, the longest first.
pub fn stems(name: &OsStr) -> impl Iterator<Item = &OsStr> {
    let bytes = name.as_bytes();
    let ends = (1..bytes.len()).rev();
    ends.filter(|&end| b".-_~".contains(&bytes[end]))
        .map(|end| OsStr::from_bytes(&bytes[..end]))
}

/// What the name of `sibling` has behind the name of `original`.
fn suffix<'a>(original: &Path, sibling: &'a Path) -> Option<&'a [u8]> {
    let original = original.file_name().map(OsStr::as_bytes)?;
    let suffix = sibling.file_name()?.as_bytes().strip_prefix(original)?;
    (!suffix.is_empty()).then_some(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names_carry_a_number_or_a_date() {
        let rotated = |name: &str| looks_rotated(Path::new("/log/app.log"), Path::new(name));
        for name in [
            "app.log.1",
            "app.log-20261122",
            "app.log.2026-11-22T13:00:00Z",
            "app.log_3",
        ] {
            assert!(rotated(name), "{name}");
        }
        for name in [
            "app.log",
            "app.log.1.gz",
            "app.log.swp",
            "app.log.audit",
            "app.log.",
            "app.log1",
            "other.log.1",
        ] {
            assert!(!rotated(name), "{name}");
        }
    }

    #[test]
    fn copies_may_have_any_ending_but_a_compressed_one() {
        let copy = |name: &str| may_be_copy(Path::new("/log/app.log"), Path::new(name));
        assert!(copy("app.log.1") && copy("app.log.old") && copy("app.log~"));
        assert!(!copy("app.log") && !copy("app.log.1.GZ") && !copy("app2.log"));
    }

    #[test]
    fn siblings_are_found_with_their_inodes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        for name in ["a", "b"] {
            std::fs::write(path(name), name).expect("room");
        }
        let found = beside(&path("a")).expect("readable");
        let inode = std::os::unix::fs::MetadataExt::ino(&path("b").metadata().expect("it exists"));
        assert_eq!(
            found,
            [Sibling {
                path: path("b"),
                inode
            }]
        );
        assert!(beside(&path("missing/a")).is_err());
    }
}
