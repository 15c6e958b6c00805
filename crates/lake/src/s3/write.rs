//! Writing, copying and deleting objects.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, StdError};

use super::conditions::Conditions;
use super::error::{uncommon, unwritable};
use super::face::Face;
use super::integrity::Integrity;
use super::read::{readable, refuse_version};
use crate::limits;
use crate::objects::{self, Attributes, ObjectError, ObjectKey, Target, Upload};

impl Face {
    pub(super) async fn put(&self, req: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        let mut input = req.input;
        let bucket = self.require(&input.bucket)?;
        let key = ObjectKey::parse(&input.key).map_err(unwritable)?;
        let target = target(input.if_match.take(), input.if_none_match.take())?;
        let mut integrity = Integrity::new(&input, &req.headers)?;
        let attributes = Attributes {
            content_type: input.content_type.take(),
            content_encoding: without_aws_chunked(input.content_encoding.take()),
            content_disposition: input.content_disposition.take(),
            content_language: input.content_language.take(),
            cache_control: input.cache_control.take(),
            metadata: input
                .metadata
                .take()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        };
        let mut upload = self.objects.upload().await?;
        if let Some(body) = input.body.take() {
            receive(body, &mut upload, &mut integrity).await?;
        }
        let checksums = integrity.finish(req.trailing_headers.as_ref())?;
        let info = self
            .objects
            .publish(upload, (&bucket, &key), &attributes, target)
            .await?;
        Ok(PutObjectOutput {
            e_tag: Some(ETag::Strong(info.e_tag)),
            checksum_crc32: checksums.checksum_crc32,
            checksum_crc32c: checksums.checksum_crc32c,
            checksum_crc64nvme: checksums.checksum_crc64nvme,
            checksum_sha1: checksums.checksum_sha1,
            checksum_sha256: checksums.checksum_sha256,
            ..PutObjectOutput::default()
        })
    }

    pub(super) async fn copy(&self, input: CopyObjectInput) -> S3Result<CopyObjectOutput> {
        let CopySource::Bucket {
            bucket: from_bucket,
            key: from_key,
            version_id,
        } = &input.copy_source
        else {
            let message = "Copies from access points are not served here.";
            return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
        };
        refuse_version(version_id.as_deref())?;
        let from = (self.require(from_bucket)?, readable(from_key)?);
        let to = (
            self.require(&input.bucket)?,
            ObjectKey::parse(&input.key).map_err(unwritable)?,
        );
        let replaces = input
            .metadata_directive
            .as_ref()
            .is_some_and(|it| it.as_str() == MetadataDirective::REPLACE);
        if from == to && !replaces {
            let message = "This copy request is illegal because it is trying to copy an object to itself without \
                           changing the object's metadata, storage class, website redirect location or encryption \
                           attributes.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
        let source = self.objects.read(&from.0, &from.1).await?;
        let conditions = Conditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        // A copy has nothing to say to an unchanged source but that it was not made.
        conditions
            .check(&source.info)
            .map_err(|_| S3ErrorCode::PreconditionFailed)?;
        let attributes = if replaces {
            Attributes {
                content_type: input.content_type,
                content_encoding: without_aws_chunked(input.content_encoding),
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                metadata: input.metadata.unwrap_or_default().into_iter().collect(),
            }
        } else {
            source.attributes
        };
        let mut upload = self.objects.upload().await?;
        let mut pieces = std::pin::pin!(objects::chunks(source.file, 0..source.info.size));
        while let Some(piece) = pieces.next().await {
            upload.write(piece.map_err(ObjectError::from)?).await?;
        }
        let info = self
            .objects
            .publish(upload, (&to.0, &to.1), &attributes, Target::Any)
            .await?;
        Ok(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(info.e_tag)),
                last_modified: Some(info.modified.into()),
                ..CopyObjectResult::default()
            }),
            ..CopyObjectOutput::default()
        })
    }

    pub(super) async fn delete(&self, bucket: &str, key: &str) -> S3Result<DeleteObjectOutput> {
        let bucket = self.require(bucket)?;
        // What cannot be an object is deleted already.
        if let Ok(key) = ObjectKey::parse(key) {
            self.objects.delete(&bucket, &key).await?;
        }
        Ok(DeleteObjectOutput::default())
    }

    pub(super) async fn delete_many(
        &self,
        input: DeleteObjectsInput,
    ) -> S3Result<DeleteObjectsOutput> {
        self.require(&input.bucket)?;
        if input.delete.objects.is_empty() || input.delete.objects.len() > limits::DELETED_KEYS {
            return Err(S3ErrorCode::MalformedXML.into());
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            match self.delete(&input.bucket, &object.key).await {
                Ok(_) if quiet => {}
                Ok(_) => deleted.push(DeletedObject {
                    key: Some(object.key),
                    ..DeletedObject::default()
                }),
                Err(error) => errors.push(Error {
                    key: Some(object.key),
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    ..Error::default()
                }),
            }
        }
        Ok(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            ..DeleteObjectsOutput::default()
        })
    }
}

/// What has to be in an upload's place, by its headers.
fn target(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Target> {
    let not_implemented =
        |message: &'static str| S3Error::with_message(S3ErrorCode::NotImplemented, message);
    match (if_match, if_none_match) {
        (None, None) => Ok(Target::Any),
        (None, Some(ETagCondition::Any)) => Ok(Target::Absent),
        (Some(ETagCondition::ETag(tag)), None) => Ok(Target::Is(tag.value().to_owned())),
        (Some(_), Some(_)) => Err(not_implemented(
            "Multiple conditional request headers present in the request",
        )),
        _ => Err(not_implemented(
            "A header you provided implies functionality that is not implemented",
        )),
    }
}

/// `aws-chunked` is how the body travelled, not what the object is.
fn without_aws_chunked(encoding: Option<String>) -> Option<String> {
    let encoding = encoding?;
    let kept: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|coding| *coding != "aws-chunked")
        .collect();
    Some(kept.join(",")).filter(|kept| !kept.is_empty())
}

/// Reads a body to its end, each piece in bounded time.
async fn receive(
    mut body: impl Stream<Item = Result<Bytes, StdError>> + Unpin,
    upload: &mut Upload,
    integrity: &mut Integrity,
) -> S3Result<()> {
    loop {
        let piece = match tokio::time::timeout(limits::BODY_READ, body.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(piece)) => piece.map_err(|error| broken_body(&*error))?,
            Err(_) => return Err(S3ErrorCode::RequestTimeout.into()),
        };
        integrity.update(&piece);
        upload.write(piece).await?;
    }
}

/// What a body's error means. `s3s` keeps the types of these errors to itself, so they are known by what they say.
fn broken_body(error: &(dyn std::error::Error + 'static)) -> S3Error {
    let text = error.to_string();
    if text.ends_with("Sha256Mismatch") {
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return uncommon("XAmzContentSHA256Mismatch", message);
    }
    if text.ends_with("SignatureMismatch") {
        return S3ErrorCode::SignatureDoesNotMatch.into();
    }
    S3ErrorCode::IncompleteBody.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coding_of_the_way_is_not_kept() {
        for (given, kept) in [
            (Some("aws-chunked"), None),
            (Some("gzip, aws-chunked"), Some("gzip")),
            (Some("aws-chunked,gzip"), Some("gzip")),
            (Some("br"), Some("br")),
            (None, None),
        ] {
            assert_eq!(
                without_aws_chunked(given.map(str::to_owned)).as_deref(),
                kept,
                "{given:?}"
            );
        }
    }
}
