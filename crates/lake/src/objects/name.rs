//! Names of buckets and objects, and which of them can be files.
//!
//! An object `KEY` of `BUCKET` is the file `objects/BUCKET/KEY`, letter for letter, so that people and other programs
//! find it. S3 allows keys that no file can have; those are refused here, once, and nothing behind this module can leave
//! the folder `objects`.

use std::fmt;

use crate::limits;

/// The name of a bucket, by S3's rules: 3 to 63 of `a-z 0-9 . -`, not like an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(String);

impl BucketName {
    /// The name, if it is one.
    pub fn parse(name: &str) -> Option<Self> {
        s3s::path::check_bucket_name(name).then(|| Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of an object that can be a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Checks `key`.
    pub fn parse(key: &str) -> Result<Self, KeyError> {
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        if key.len() > limits::KEY_BYTES {
            return Err(KeyError::TooLong);
        }
        key.split('/').try_for_each(check_part)?;
        match is_temporary_name(key) {
            true => Err(KeyError::Reserved),
            false => Ok(Self(key.to_owned())),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a key cannot be a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key at all.
    #[error("the key is empty")]
    Empty,
    /// More than S3 allows.
    #[error("the key is longer than {} bytes", limits::KEY_BYTES)]
    TooLong,
    /// Longer than a file name can be.
    #[error(
        "a part of the key between slashes is longer than {} bytes, which no file name can be",
        limits::KEY_PART_BYTES
    )]
    PartTooLong,
    /// `//`, or a slash at the beginning or end.
    #[error(
        "the key begins or ends with a slash or has two in a row; this lake keeps objects as files, which cannot be named so"
    )]
    EmptyPart,
    /// `.` or `..`.
    #[error(
        "a part of the key is \".\" or \"..\"; this lake keeps objects as files, which cannot be named so"
    )]
    RelativePart,
    /// NUL and the like.
    #[error("the key has a control character")]
    ControlCharacter,
    /// What object stores on local files call their unfinished uploads.
    #[error("the key ends in \"#\" and digits, which is how unfinished uploads are named")]
    Reserved,
}

fn check_part(part: &str) -> Result<(), KeyError> {
    match part {
        "" => Err(KeyError::EmptyPart),
        "." | ".." => Err(KeyError::RelativePart),
        _ if part.len() > limits::KEY_PART_BYTES => Err(KeyError::PartTooLong),
        _ if part.bytes().any(|byte| byte.is_ascii_control()) => Err(KeyError::ControlCharacter),
        _ => Ok(()),
    }
}

/// Readers of the folder through `object_store` skip files of this form.
fn is_temporary_name(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.split_once('#')
        .is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use object_store::local::LocalFileSystem;
    use object_store::path::Path as StorePath;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_keys_stay_as_they_are() {
        for key in [
            "a",
            "ecs2026/11/22/13/ecs-stream-1-2026",
            "dt=2026-11-22/x.json",
            "ä ö/+&%41:~",
            "a..b/...",
            "#1x",
            "a#b",
        ] {
            assert_eq!(ObjectKey::parse(key).unwrap().to_string(), key);
        }
    }

    #[test]
    fn keys_that_no_file_can_have_are_refused() {
        let long = "x".repeat(256);
        let too_long = "x/".repeat(512) + "x";
        for (key, error) in [
            ("", KeyError::Empty),
            ("/a", KeyError::EmptyPart),
            ("a//b", KeyError::EmptyPart),
            ("a/", KeyError::EmptyPart),
            ("..", KeyError::RelativePart),
            ("../etc/passwd", KeyError::RelativePart),
            ("a/../../b", KeyError::RelativePart),
            ("a/./b", KeyError::RelativePart),
            ("a\0b", KeyError::ControlCharacter),
            ("a\nb", KeyError::ControlCharacter),
            (&long, KeyError::PartTooLong),
            (&too_long, KeyError::TooLong),
            ("a#12", KeyError::Reserved),
        ] {
            assert_eq!(ObjectKey::parse(key), Err(error), "{key:?}");
        }
    }

    proptest! {
        #[test]
        fn every_accepted_key_is_its_own_file_below_the_root(key in "([a-z.#%~ /\\\\:\u{e4}\u{1f600}0-9\0]|\\.\\.|/){0,40}") {
            let root = std::env::temp_dir();
            let store = LocalFileSystem::new_with_prefix(&root).unwrap();
            let Ok(parsed) = ObjectKey::parse(&key) else { return Ok(()) };
            let location = StorePath::parse(format!("bucket/{parsed}")).unwrap();
            let file = store.path_to_filesystem(&location).unwrap();
            let root = std::fs::canonicalize(root).unwrap().join("bucket");
            let below = file.strip_prefix(&root).unwrap();
            prop_assert!(below.components().all(|part| matches!(part, Component::Normal(_))));
            prop_assert_eq!(below, Path::new(&key));
        }
    }
}
