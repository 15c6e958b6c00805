//! Listing objects, in S3's two versions.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::buckets::owner;
use super::face::Face;
use crate::limits;
use crate::objects::{Entry, ListRequest, ObjectInfo, Page};

/// What `encoding-type=url` leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'*')
    .remove(b'/');

impl Face {
    pub(super) async fn list_v1(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let names = Names::new(input.encoding_type.as_ref())?;
        let prefix = input.prefix.unwrap_or_default();
        let marker = input.marker.unwrap_or_default();
        let max_keys = max_keys(input.max_keys)?;
        let request = ListRequest {
            prefix: &prefix,
            delimiter: input.delimiter.as_deref(),
            after: &marker,
            limit: max_keys,
        };
        let page = self
            .objects
            .list(&self.require(&input.bucket)?, &request)
            .await?;
        // Without a delimiter clients take the last key.
        let next = page
            .entries
            .last()
            .filter(|_| page.truncated && input.delimiter.is_some());
        let next_marker = next.map(|entry| names.write(entry.name()));
        let truncated = page.truncated;
        let (contents, common_prefixes) = names.entries(page, true);
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(names.write(&prefix)),
            marker: Some(names.write(&marker)),
            max_keys: Some(max_keys as i32),
            is_truncated: Some(truncated),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            delimiter: input.delimiter.map(|delimiter| names.write(&delimiter)),
            next_marker,
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        })
    }

    pub(super) async fn list_v2(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let names = Names::new(input.encoding_type.as_ref())?;
        let prefix = input.prefix.unwrap_or_default();
        let start_after = input.start_after.unwrap_or_default();
        let max_keys = max_keys(input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => read_token(token)?,
            None => start_after.clone(),
        };
        let request = ListRequest {
            prefix: &prefix,
            delimiter: input.delimiter.as_deref(),
            after: &after,
            limit: max_keys,
        };
        let page = self
            .objects
            .list(&self.require(&input.bucket)?, &request)
            .await?;
        let truncated = page.truncated;
        let key_count = page.entries.len() as i32;
        let next = page
            .entries
            .last()
            .filter(|_| truncated)
            .map(|entry| write_token(entry.name()));
        let (contents, common_prefixes) = names.entries(page, input.fetch_owner.unwrap_or(false));
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(names.write(&prefix)),
            max_keys: Some(max_keys as i32),
            key_count: Some(key_count),
            continuation_token: input.continuation_token,
            is_truncated: Some(truncated),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            delimiter: input.delimiter.map(|delimiter| names.write(&delimiter)),
            encoding_type: input.encoding_type,
            start_after: Some(names.write(&start_after)).filter(|start| !start.is_empty()),
            ..ListObjectsV2Output::default()
        })
    }
}

fn max_keys(given: Option<i32>) -> S3Result<usize> {
    let given = given.map_or(Ok(limits::LISTED_KEYS), usize::try_from);
    let message = "Argument maxKeys must be an integer between 0 and 2147483647";
    Ok(given
        .map_err(|_| S3Error::with_message(S3ErrorCode::InvalidArgument, message))?
        .min(limits::LISTED_KEYS))
}

/// Tokens say where to go on; base64, so that every key can be one and nobody takes them for keys.
fn write_token(name: &str) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(name)
}

fn read_token(token: &str) -> S3Result<String> {
    let name = base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let message = "The continuation token provided is incorrect";
    name.ok_or_else(|| S3Error::with_message(S3ErrorCode::InvalidArgument, message))
}

/// How names are written in an answer.
pub(super) struct Names {
    url_encoded: bool,
}

impl Names {
    pub(super) fn new(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self { url_encoded: false }),
            Some("url") => Ok(Self { url_encoded: true }),
            Some(_) => Err(S3Error::with_message(
                S3ErrorCode::InvalidArgument,
                "Invalid Encoding Method specified in Request",
            )),
        }
    }

    pub(super) fn write(&self, name: &str) -> String {
        if self.url_encoded {
            utf8_percent_encode(name, ENCODED).to_string()
        } else {
            name.to_owned()
        }
    }

    fn entries(&self, page: Page, with_owner: bool) -> (Vec<Object>, Vec<CommonPrefix>) {
        let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
        for entry in page.entries {
            match entry {
                Entry::Object(key, info) => objects.push(self.object(&key, info, with_owner)),
                Entry::CommonPrefix(prefix) => prefixes.push(CommonPrefix {
                    prefix: Some(self.write(&prefix)),
                }),
            }
        }
        (objects, prefixes)
    }

    fn object(&self, key: &str, info: ObjectInfo, with_owner: bool) -> Object {
        Object {
            key: Some(self.write(key)),
            size: Some(info.size.cast_signed()),
            last_modified: Some(info.modified.into()),
            e_tag: Some(ETag::Strong(info.e_tag)),
            storage_class: Some(info.storage_class.map_or(
                ObjectStorageClass::from_static(ObjectStorageClass::STANDARD),
                ObjectStorageClass::from,
            )),
            owner: with_owner.then(owner),
            ..Object::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_names_are_read_by_clients_that_take_plus_for_a_space() {
        let names = Names { url_encoded: true };
        assert_eq!(names.write("a/ä+b c=1&~*'"), "a/%C3%A4%2Bb%20c%3D1%26~*%27");
    }

    #[test]
    fn tokens_come_back_and_others_are_refused() {
        assert_eq!(read_token(&write_token("ä/b")).unwrap(), "ä/b");
        for token in ["%", "a", "____"] {
            assert!(read_token(token).is_err(), "{token}");
        }
    }
}
