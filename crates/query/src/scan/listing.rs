//! Listing the objects below a location, as Athena sees them.

use std::fs;
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::S3Location;

/// An object with something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub path: PathBuf,
    /// `s3://bucket/key`
    pub uri: String,
    pub size: u64,
}

/// Everything below a location, sorted by key; nothing if there is no such folder.
///
/// Left out, as in Athena: names of files and folders that begin with `_` or `.`, and empty objects.
/// Symbolic links are not followed, they could lead out of the lake.
pub(crate) fn list_objects(objects_root: &Path, location: &S3Location) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    let mut folders = vec![(location.folder(objects_root), location.to_string())];
    while let Some((folder, prefix)) = folders.pop() {
        for (name, entry) in read_visible(&folder)? {
            let uri = format!("{prefix}{name}");
            let Some(metadata) = present(entry.metadata(), &entry.path())? else {
                continue;
            };
            if metadata.is_dir() {
                folders.push((entry.path(), format!("{uri}/")));
            } else if metadata.is_file() && metadata.len() > 0 {
                objects.push(Object {
                    path: entry.path(),
                    uri,
                    size: metadata.len(),
                });
            }
        }
    }
    objects.sort_by(|a, b| a.uri.cmp(&b.uri));
    Ok(objects)
}

/// The folders `k=v/…` below a location that name a value for each key, with those values as they are
/// written in the path. Sorted by path.
pub(crate) fn list_partition_folders(
    objects_root: &Path,
    location: &S3Location,
    keys: &[&str],
) -> Result<Vec<(Vec<String>, S3Location)>> {
    let mut found = vec![(Vec::new(), location.clone())];
    for key in keys {
        let mut deeper = Vec::new();
        for (values, parent) in &found {
            let mut names = folder_names(&parent.folder(objects_root))?;
            names.sort();
            for name in names {
                let Some(value) = name
                    .strip_prefix(key)
                    .and_then(|rest| rest.strip_prefix('='))
                else {
                    continue;
                };
                let mut values: Vec<String> = values.clone();
                values.push(value.to_owned());
                deeper.push((values, parent.child(&name)));
            }
        }
        found = deeper;
    }
    Ok(found)
}

/// The names of the visible folders directly in a folder; none if it does not exist.
pub(super) fn folder_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (name, entry) in read_visible(folder)? {
        if present(entry.metadata(), &entry.path())?.is_some_and(|metadata| metadata.is_dir()) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether there is any object below a folder.
pub(super) fn has_objects(folder: &Path) -> Result<bool> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for (_, entry) in read_visible(&folder)? {
            match present(entry.metadata(), &entry.path())? {
                Some(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Some(metadata) if metadata.is_file() && metadata.len() > 0 => return Ok(true),
                _ => {}
            }
        }
    }
    Ok(false)
}

fn read_visible(folder: &Path) -> Result<Vec<(String, fs::DirEntry)>> {
    let Some(listing) = present(fs::read_dir(folder), folder)? else {
        return Ok(Vec::new());
    };
    let mut entries = Vec::new();
    for entry in listing {
        let Some(entry) = present(entry, folder)? else {
            continue;
        };
        // Keys are UTF-8, so a name that is not cannot be an object's.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !name.starts_with(['_', '.']) {
            entries.push((name, entry));
        }
    }
    Ok(entries)
}

/// What vanished meanwhile, or never was, is nothing; other failures are errors.
fn present<T>(result: std::io::Result<T>, path: &Path) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), IoKind::NotFound | IoKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io(format!("list {}", path.display()), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lake(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("dir");
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, content).expect("file");
        }
        dir
    }

    #[test]
    fn objects_are_found_at_any_depth_and_hidden_ones_are_not() {
        let lake = lake(&[
            ("b/ecs2019/11/22/13/a.gz", "x"),
            ("b/ecs2019/z", "xy"),
            ("b/ecs2019/_SUCCESS", "x"),
            ("b/ecs2019/.tmp/x", "x"),
            ("b/ecs2019/_errors/x", "x"),
            ("b/ecs2019/empty", ""),
            ("b/ecs2019x/other", "x"),
        ]);
        let location = S3Location::parse("s3://b/ecs2019/").expect("location");
        let objects = list_objects(lake.path(), &location).expect("listing");
        let uris: Vec<_> = objects
            .iter()
            .map(|object| (object.uri.as_str(), object.size))
            .collect();
        assert_eq!(
            uris,
            [("s3://b/ecs2019/11/22/13/a.gz", 1), ("s3://b/ecs2019/z", 2)]
        );
        let nowhere = S3Location::parse("s3://b/eks2019/").expect("location");
        assert_eq!(list_objects(lake.path(), &nowhere), Ok(vec![]));
        let file = S3Location::parse("s3://b/ecs2019/z/").expect("location");
        assert_eq!(list_objects(lake.path(), &file), Ok(vec![]));
    }

    #[test]
    fn partitions_are_folders_of_keys_and_values() {
        let lake = lake(&[
            ("b/t/dt=2019-11-22/hour=13/x", "x"),
            ("b/t/dt=2019-11-22/hour=14/x", "x"),
            ("b/t/dt=2019-11-23/other/x", "x"),
            ("b/t/2019/11/x", "x"),
        ]);
        let location = S3Location::parse("s3://b/t/").expect("location");
        let found =
            list_partition_folders(lake.path(), &location, &["dt", "hour"]).expect("listing");
        let values: Vec<_> = found
            .iter()
            .map(|(values, location)| (values.join("/"), location.to_string()))
            .collect();
        assert_eq!(
            values,
            [
                (
                    "2019-11-22/13".to_owned(),
                    "s3://b/t/dt=2019-11-22/hour=13/".to_owned()
                ),
                (
                    "2019-11-22/14".to_owned(),
                    "s3://b/t/dt=2019-11-22/hour=14/".to_owned()
                ),
            ]
        );
    }
}
