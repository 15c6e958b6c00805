//! One part of an upload, and the file name that holds what is known of it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A part that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// Its place in the object, from 1.
    pub number: u32,
    /// When it was uploaded.
    pub modified: Timestamp,
    /// The MD5 of its bytes, in hexadecimal.
    pub e_tag: String,
    /// The checksum that was checked when it came.
    pub checksum: Option<PartChecksum>,
    /// Its bytes.
    pub size: u64,
}

/// A checksum of a part: the algorithm as headers name it (`crc32`) and the value in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartChecksum {
    pub algorithm: String,
    pub value: String,
}

/// The name of a part's file: `NUMBER.NANOSECONDS.MD5` and, if it has one, `.ALGORITHM-CHECKSUM`.
///
/// All that a listing needs is in names, so that ten thousand parts are one folder read, not ten thousand files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFile {
    pub number: u32,
    pub nanoseconds: i128,
    pub e_tag: String,
    pub checksum: Option<PartChecksum>,
}

impl PartFile {
    pub fn of(part: &PartInfo) -> Self {
        Self {
            number: part.number,
            nanoseconds: part.modified.as_nanosecond(),
            e_tag: part.e_tag.clone(),
            checksum: part.checksum.clone(),
        }
    }

    /// Reads a name; `None` for files that are not parts.
    pub fn parse(name: &str) -> Option<Self> {
        let mut fields = name.split('.');
        let number = fields.next()?.parse().ok()?;
        let nanoseconds = fields.next()?.parse().ok()?;
        let e_tag = fields.next()?.to_owned();
        let checksum = match fields.next() {
            None => None,
            Some(text) => Some(parse_checksum(text)?),
        };
        let whole = fields.next().is_none() && e_tag.len() == 32;
        whole.then_some(Self {
            number,
            nanoseconds,
            e_tag,
            checksum,
        })
    }

    /// The part, whose file has `size` bytes.
    pub fn into_part(self, size: u64) -> PartInfo {
        PartInfo {
            number: self.number,
            modified: Timestamp::from_nanosecond(self.nanoseconds).unwrap_or_default(),
            e_tag: self.e_tag,
            checksum: self.checksum,
            size,
        }
    }
}

fn parse_checksum(text: &str) -> Option<PartChecksum> {
    let (algorithm, value) = text.split_once('-')?;
    let value = base64_simd::URL_SAFE.decode_to_vec(value).ok()?;
    Some(PartChecksum {
        algorithm: algorithm.to_owned(),
        value: base64_simd::STANDARD.encode_to_string(value),
    })
}

impl fmt::Display for PartFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:05}.{:020}.{}",
            self.number, self.nanoseconds, self.e_tag
        )?;
        let Some(checksum) = &self.checksum else {
            return Ok(());
        };
        // Base64 has slashes, which file names cannot have.
        let value = checksum.value.replace('+', "-").replace('/', "_");
        write!(f, ".{}-{value}", checksum.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_read_as_written() {
        for checksum in [
            None,
            Some(PartChecksum {
                algorithm: "crc32".to_owned(),
                value: "+/++/w==".to_owned(),
            }),
        ] {
            let part = PartInfo {
                number: 7,
                modified: "2026-11-22T13:00:00.123456789Z".parse().unwrap(),
                e_tag: "0123456789abcdef0123456789abcdef".to_owned(),
                checksum,
                size: 5,
            };
            let name = PartFile::of(&part).to_string();
            assert!(name.starts_with("00007.0") && !name.contains('/'), "{name}");
            let file = PartFile::parse(&name).unwrap();
            assert_eq!(file.into_part(5), part);
        }
        for name in [
            "upload.json",
            "upload.json.new",
            "1.2.3",
            "x.1.0123456789abcdef0123456789abcdef",
            "",
        ] {
            assert_eq!(PartFile::parse(name), None, "{name}");
        }
    }
}
