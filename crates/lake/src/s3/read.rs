//! Reading objects.

use futures_util::TryStreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use s3s::dto::*;
use s3s::{Body, S3ErrorCode, S3Response, S3Result};

use super::conditions::Conditions;
use super::face::Face;
use crate::objects::{self, Attributes, ObjectError, ObjectInfo, ObjectKey};

/// What S3 says of objects that came without a type.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

impl Face {
    pub(super) async fn get(&self, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        refuse_version(input.version_id.as_deref())?;
        let bucket = self.require(&input.bucket)?;
        let object = self.objects.read(&bucket, &readable(&input.key)?).await?;
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&object.info)?;
        let (range, content_range) = range(input.range, object.info.size)?;
        let length = range.end - range.start;
        let pieces = objects::chunks(object.file, range).map_ok(Frame::data);
        let headers = Headers::new(&object.info, object.attributes);
        Ok(GetObjectOutput {
            body: Some(StreamingBlob::from(Body::http_body_unsync(
                StreamBody::new(pieces),
            ))),
            content_length: Some(length.cast_signed()),
            content_range,
            accept_ranges: Some("bytes".to_owned()),
            e_tag: headers.e_tag,
            last_modified: headers.last_modified,
            content_type: headers.content_type,
            content_encoding: headers.content_encoding,
            content_disposition: headers.content_disposition,
            content_language: headers.content_language,
            cache_control: headers.cache_control,
            metadata: headers.metadata,
            storage_class: headers.storage_class,
            server_side_encryption: headers.server_side_encryption,
            ssekms_key_id: headers.kms_key_id,
            tag_count: headers.tag_count,
            ..GetObjectOutput::default()
        })
    }

    pub(super) async fn head(
        &self,
        input: HeadObjectInput,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        refuse_version(input.version_id.as_deref())?;
        let bucket = self.require(&input.bucket)?;
        let (info, attributes) = self.objects.head(&bucket, &readable(&input.key)?).await?;
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&info)?;
        let (range, content_range) = range(input.range, info.size)?;
        let headers = Headers::new(&info, attributes);
        let tag_count = headers.tag_count;
        let mut response = S3Response::new(HeadObjectOutput {
            content_length: Some((range.end - range.start).cast_signed()),
            content_range,
            accept_ranges: Some("bytes".to_owned()),
            e_tag: headers.e_tag,
            last_modified: headers.last_modified,
            content_type: headers.content_type,
            content_encoding: headers.content_encoding,
            content_disposition: headers.content_disposition,
            content_language: headers.content_language,
            cache_control: headers.cache_control,
            metadata: headers.metadata,
            storage_class: headers.storage_class,
            server_side_encryption: headers.server_side_encryption,
            ssekms_key_id: headers.kms_key_id,
            ..HeadObjectOutput::default()
        });
        // `s3s` has no place for it in this answer.
        if let Some(count) = tag_count {
            response.headers.insert("x-amz-tagging-count", count.into());
        }
        Ok(response)
    }
}

/// The key of an object that is looked for. What cannot be a key is not there.
pub(super) fn readable(key: &str) -> S3Result<ObjectKey> {
    Ok(ObjectKey::parse(key).map_err(|_| ObjectError::NoSuchKey)?)
}

/// There are no versions here but the one that S3 calls `null`.
pub(super) fn refuse_version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("" | "null") => Ok(()),
        Some(_) => Err(S3ErrorCode::NoSuchVersion.into()),
    }
}

/// The bytes to send, and how the answer names them if they are not all.
fn range(wanted: Option<Range>, size: u64) -> S3Result<(std::ops::Range<u64>, Option<String>)> {
    let Some(wanted) = wanted else {
        return Ok((0..size, None));
    };
    let range = wanted.check(size).map_err(|_| S3ErrorCode::InvalidRange)?;
    if range.is_empty() {
        return Err(S3ErrorCode::InvalidRange.into());
    }
    let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    Ok((range, Some(content_range)))
}

/// What GET and HEAD say alike.
struct Headers {
    e_tag: Option<ETag>,
    last_modified: Option<Timestamp>,
    content_type: Option<String>,
    content_encoding: Option<String>,
    content_disposition: Option<String>,
    content_language: Option<String>,
    cache_control: Option<String>,
    metadata: Option<Metadata>,
    storage_class: Option<StorageClass>,
    server_side_encryption: Option<ServerSideEncryption>,
    kms_key_id: Option<String>,
    tag_count: Option<i32>,
}

impl Headers {
    fn new(info: &ObjectInfo, attributes: Attributes) -> Self {
        Self {
            e_tag: Some(ETag::Strong(info.e_tag.clone())),
            last_modified: Some(info.modified.into()),
            content_type: Some(
                attributes
                    .content_type
                    .unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned()),
            ),
            content_encoding: attributes.content_encoding,
            content_disposition: attributes.content_disposition,
            content_language: attributes.content_language,
            cache_control: attributes.cache_control,
            metadata: Some(attributes.metadata.into_iter().collect()),
            // Of the usual class nothing is said, nor of tags where there are none.
            storage_class: attributes
                .storage_class
                .filter(|class| class != StorageClass::STANDARD)
                .map(StorageClass::from),
            server_side_encryption: attributes
                .server_side_encryption
                .map(ServerSideEncryption::from),
            kms_key_id: attributes.kms_key_id,
            tag_count: Some(attributes.tags.len() as i32).filter(|count| *count > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_s3() {
        let int = |first, last| Some(Range::Int { first, last });
        for (wanted, size, expected) in [
            (None, 10, Some((0..10, None))),
            (None, 0, Some((0..0, None))),
            (int(0, Some(3)), 10, Some((0..4, Some("bytes 0-3/10")))),
            (int(8, Some(99)), 10, Some((8..10, Some("bytes 8-9/10")))),
            (int(4, None), 10, Some((4..10, Some("bytes 4-9/10")))),
            (
                Some(Range::Suffix { length: 3 }),
                10,
                Some((7..10, Some("bytes 7-9/10"))),
            ),
            (
                Some(Range::Suffix { length: 99 }),
                10,
                Some((0..10, Some("bytes 0-9/10"))),
            ),
            (Some(Range::Suffix { length: 0 }), 10, None),
            (int(10, None), 10, None),
            (int(0, None), 0, None),
        ] {
            let found = range(wanted, size).ok();
            assert_eq!(
                found,
                expected.map(|(range, text)| (range, text.map(str::to_owned))),
                "{wanted:?} of {size}"
            );
        }
    }
}
