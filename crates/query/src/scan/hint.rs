//! What to tell a user whose table finds no objects.
//!
//! Athena answers zero rows and says nothing. The usual cause is a prefix that is nearly right: the post's
//! tables name the year 2019 because Firehose puts the year behind the prefix `ecs`.

use std::path::Path;

use crate::error::Result;

use super::S3Location;
use super::listing::{folder_names, has_objects};

/// How many other prefixes a hint names.
const MAX_NAMED: usize = 3;

/// A sentence about a location without objects, naming the prefixes most like it that have some.
pub(crate) fn no_objects(objects_root: &Path, location: &S3Location) -> Result<String> {
    let nearest = nearest_prefixes(objects_root, location)?;
    let fact = format!("there are no objects under {location}");
    Ok(match nearest.as_slice() {
        [] => format!("{fact}, nor anywhere else in this lake"),
        [one] => format!("{fact}; the nearest prefix with objects is {one}"),
        several => {
            let names: Vec<String> = several.iter().map(S3Location::to_string).collect();
            format!(
                "{fact}; the nearest prefixes with objects are {}",
                names.join(", ")
            )
        }
    })
}

/// The siblings of the location, or of its nearest ancestor that has any, most alike first.
fn nearest_prefixes(objects_root: &Path, location: &S3Location) -> Result<Vec<S3Location>> {
    for depth in (0..location.folders.len()).rev() {
        let parent = location.ancestor(depth);
        let siblings = with_objects(objects_root, &location.folders[depth], Some(&parent))?;
        if !siblings.is_empty() {
            return Ok(siblings);
        }
    }
    with_objects(objects_root, &location.bucket, None)
}

/// The folders in `parent` (or the buckets) that have objects, those most like `wanted` first.
fn with_objects(
    objects_root: &Path,
    wanted: &str,
    parent: Option<&S3Location>,
) -> Result<Vec<S3Location>> {
    let folder = parent.map_or(objects_root.to_owned(), |parent| {
        parent.folder(objects_root)
    });
    let mut names = folder_names(&folder)?;
    // Names that differ in numbers only come first: the same prefix in another year.
    let letters = |name: &str| {
        name.chars()
            .filter(|c| !c.is_ascii_digit())
            .collect::<String>()
    };
    let likeness = |name: &str| strsim::jaro_winkler(wanted, name);
    names.sort_by(|a, b| {
        let other_letters = |name: &str| letters(name) != letters(wanted);
        let alike = other_letters(a)
            .cmp(&other_letters(b))
            .then_with(|| likeness(b).total_cmp(&likeness(a)));
        alike.then_with(|| a.cmp(b))
    });
    let mut found = Vec::new();
    for name in names {
        if found.len() == MAX_NAMED {
            break;
        }
        if has_objects(&folder.join(&name))? {
            found.push(match parent {
                Some(parent) => parent.child(&name),
                None => S3Location {
                    bucket: name,
                    folders: Vec::new(),
                },
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_nearest_prefixes_with_objects_are_named() {
        let dir = tempfile::tempdir().expect("dir");
        for object in [
            "b/ecs2026/11/22/13/x",
            "b/eks2026/11/x",
            "b/other/x",
            "b/ecs2018/_hidden",
        ] {
            let path = dir.path().join(object);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, "x").expect("object");
        }
        let hint =
            |text: &str| no_objects(dir.path(), &S3Location::parse(text).expect(text)).expect(text);
        assert_eq!(
            hint("s3://b/ecs2019/"),
            "there are no objects under s3://b/ecs2019/; the nearest prefixes with objects are \
             s3://b/ecs2026/, s3://b/eks2026/, s3://b/other/"
        );
        assert_eq!(
            hint("s3://b/ecs2026/12/"),
            "there are no objects under s3://b/ecs2026/12/; the nearest prefix with objects is s3://b/ecs2026/11/"
        );
        assert_eq!(
            hint("s3://c/x/"),
            "there are no objects under s3://c/x/; the nearest prefix with objects is s3://b/"
        );
        let empty = tempfile::tempdir().expect("dir");
        let hint = no_objects(
            empty.path(),
            &S3Location::parse("s3://b/x/").expect("location"),
        )
        .expect("hint");
        assert_eq!(
            hint,
            "there are no objects under s3://b/x/, nor anywhere else in this lake"
        );
    }
}
