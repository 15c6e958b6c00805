//! Writing, copying and deleting objects.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result};

use super::attributes::attributes;
use super::conditions::Conditions;
use super::error::{uncommon, unwritable};
use super::face::Face;
use super::integrity::{Integrity, Promised};
use super::read::{readable, refuse_version};
use crate::limits;
use crate::objects::{self, Attributes, ObjectError, ObjectKey, Target, Upload};

impl Face {
    pub(super) async fn put(&self, req: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        let mut input = req.input;
        let bucket = self.require(&input.bucket)?;
        let key = ObjectKey::parse(&input.key).map_err(unwritable)?;
        let target = target(input.if_match.take(), input.if_none_match.take())?;
        let promised = Promised {
            checksum: Checksum {
                checksum_crc32: input.checksum_crc32.take(),
                checksum_crc32c: input.checksum_crc32c.take(),
                checksum_crc64nvme: input.checksum_crc64nvme.take(),
                checksum_sha1: input.checksum_sha1.take(),
                checksum_sha256: input.checksum_sha256.take(),
                ..Checksum::default()
            },
            content_md5: input.content_md5.take(),
            tagged: false,
        };
        let mut integrity = Integrity::new(promised, &req.headers)?;
        let attributes = attributes!(input);
        let mut upload = self.objects.upload().await?;
        if let Some(body) = input.body.take() {
            receive(body, &mut upload, &mut integrity).await?;
        }
        let checksums = integrity.finish(req.trailing_headers.as_ref())?.checksum;
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
            server_side_encryption: attributes
                .server_side_encryption
                .map(ServerSideEncryption::from),
            ssekms_key_id: attributes.kms_key_id,
            ..PutObjectOutput::default()
        })
    }

    pub(super) async fn copy(&self, req: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
        // `s3s` knows these conditions of other requests only.
        let target = target(
            condition(&req.headers, IF_MATCH)?,
            condition(&req.headers, IF_NONE_MATCH)?,
        )?;
        let mut input = req.input;
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
        let retags = input
            .tagging_directive
            .as_ref()
            .is_some_and(|it| it.as_str() == TaggingDirective::REPLACE);
        let named = attributes!(input);
        let changes =
            replaces || named.storage_class.is_some() || named.server_side_encryption.is_some();
        if from == to && !changes {
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
        let tags = if retags {
            named.tags.clone()
        } else {
            source.attributes.tags.clone()
        };
        let attributes = if replaces {
            Attributes { tags, ..named }
        } else {
            Attributes {
                tags,
                storage_class: named.storage_class,
                acl: named.acl,
                server_side_encryption: named.server_side_encryption,
                kms_key_id: named.kms_key_id,
                e_tag: None,
                upload_id: None,
                ..source.attributes
            }
        };
        let mut upload = self.objects.upload().await?;
        let mut pieces = std::pin::pin!(objects::chunks(source.file, 0..source.info.size));
        while let Some(piece) = pieces.next().await {
            upload.write(piece.map_err(ObjectError::from)?).await?;
        }
        let info = self
            .objects
            .publish(upload, (&to.0, &to.1), &attributes, target)
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

    pub(super) async fn delete(
        &self,
        bucket: &str,
        key: &str,
        if_match: Option<ETagCondition>,
    ) -> S3Result<DeleteObjectOutput> {
        let bucket = self.require(bucket)?;
        if let Some(ETagCondition::ETag(tag)) = if_match {
            let key = readable(key)?;
            self.objects.delete_if((&bucket, &key), tag.value()).await?;
            return Ok(DeleteObjectOutput::default());
        }
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
            match self
                .delete(
                    &input.bucket,
                    &object.key,
                    object.e_tag.map(ETagCondition::ETag),
                )
                .await
            {
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

fn condition(headers: &HeaderMap, name: HeaderName) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let parsed = ETagCondition::parse_http_header(value.as_bytes());
    parsed
        .map(Some)
        .map_err(|_| S3ErrorCode::InvalidArgument.into())
}

/// What has to be in an upload's place, by its headers.
pub(super) fn target(
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

/// Reads a body to its end, each piece in bounded time.
pub(super) async fn receive<E: std::fmt::Display>(
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    upload: &mut Upload,
    integrity: &mut Integrity,
) -> S3Result<()> {
    let mut length = 0;
    loop {
        let piece = match tokio::time::timeout(limits::BODY_READ, body.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(piece)) => piece.map_err(|error| broken_body(&error.to_string()))?,
            Err(_) => return Err(S3ErrorCode::RequestTimeout.into()),
        };
        length += piece.len() as u64;
        if length > limits::PUT_BYTES {
            return Err(S3ErrorCode::EntityTooLarge.into());
        }
        integrity.update(&piece);
        upload.write(piece).await?;
    }
}

/// What a body's error means. `s3s` keeps the types of these errors to itself, so they are known by what they say.
fn broken_body(text: &str) -> S3Error {
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
