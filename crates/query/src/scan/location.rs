//! `s3://bucket/prefix/` and the folder that stands for it.

use std::fmt;
use std::path::{Path, PathBuf};

/// A folder of objects, as `LOCATION` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Location {
    pub bucket: String,
    /// The names of the folders below the bucket; may be none.
    pub folders: Vec<String>,
}

impl S3Location {
    /// Reads a location; the error is the message for the user. Doubled slashes count as one.
    pub(crate) fn parse(text: &str) -> Result<S3Location, String> {
        let Some(path) = text.strip_prefix("s3://") else {
            return Err(format!(
                "LOCATION must be of the form s3://bucket/folder/, found '{text}'"
            ));
        };
        let mut names = path
            .split('/')
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
        let bucket = names
            .next()
            .ok_or_else(|| format!("LOCATION names no bucket: '{text}'"))?;
        let folders: Vec<String> = names.collect();
        for name in std::iter::once(&bucket).chain(&folders) {
            if name == "." || name == ".." || name.contains(['\0', '*', '?']) {
                return Err(format!(
                    "LOCATION must be a folder without wildcards or dots, found '{name}' in '{text}'"
                ));
            }
        }
        Ok(S3Location { bucket, folders })
    }

    /// Where the lake keeps these objects.
    pub(crate) fn folder(&self, objects_root: &Path) -> PathBuf {
        let mut path = objects_root.join(&self.bucket);
        path.extend(&self.folders);
        path
    }

    /// A folder below this one.
    pub(crate) fn child(&self, name: &str) -> S3Location {
        let mut child = self.clone();
        child.folders.extend(
            name.split('/')
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        );
        child
    }

    /// The location cut to its first `depth` folders.
    pub(crate) fn ancestor(&self, depth: usize) -> S3Location {
        S3Location {
            bucket: self.bucket.clone(),
            folders: self.folders[..depth].to_vec(),
        }
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/", self.bucket)?;
        self.folders
            .iter()
            .try_for_each(|folder| write!(f, "{folder}/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_normalised() {
        for text in [
            "s3://b/ecs2019/x/",
            "s3://b/ecs2019/x",
            "s3://b//ecs2019///x/",
        ] {
            let location = S3Location::parse(text).expect(text);
            assert_eq!(location.to_string(), "s3://b/ecs2019/x/");
            assert_eq!(
                location.folder(Path::new("/d")),
                Path::new("/d/b/ecs2019/x")
            );
        }
        assert_eq!(
            S3Location::parse("s3://b").map(|location| location.to_string()),
            Ok("s3://b/".into())
        );
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for text in [
            "",
            "file:///etc",
            "http://b/x",
            "s3://",
            "s3:///",
            "s3://b/../x/",
            "s3://../x",
            "s3://b/*.gz",
        ] {
            assert!(S3Location::parse(text).is_err(), "{text}");
        }
    }
}
