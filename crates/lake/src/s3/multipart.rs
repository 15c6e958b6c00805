//! Multipart uploads: from the first request to an object, and what is known of them in between.

use s3s::checksum::ChecksumHasher;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result};

use super::attributes::attributes;
use super::conditions::Conditions;
use super::error::unwritable;
use super::face::Face;
use super::integrity::{Integrity, Promised, Verified};
use super::read::{readable, refuse_version};
use super::write::{receive, target};
use crate::limits;
use crate::objects::{self, ObjectError, ObjectKey, PartChecksum, UploadPlace, WantedPart};

impl Face {
    pub(super) async fn begin_upload(
        &self,
        mut input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let bucket = self.require(&input.bucket)?;
        let key = ObjectKey::parse(&input.key).map_err(unwritable)?;
        let attributes = attributes!(input);
        let server_side_encryption = attributes.server_side_encryption.clone();
        let ssekms_key_id = attributes.kms_key_id.clone();
        let checksum = (
            input
                .checksum_algorithm
                .as_ref()
                .map(|it| it.as_str().to_owned()),
            input
                .checksum_type
                .as_ref()
                .map(|it| it.as_str().to_owned()),
        );
        let place = self
            .objects
            .create_upload((bucket, key), attributes, checksum)
            .await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(place.id()),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            server_side_encryption: server_side_encryption.map(ServerSideEncryption::from),
            ssekms_key_id,
            ..CreateMultipartUploadOutput::default()
        })
    }

    pub(super) async fn put_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let mut input = req.input;
        let place = self.upload_place(&input.bucket, &input.key, &input.upload_id)?;
        let number = part_number(input.part_number)?;
        self.objects.find_upload(&place)?;
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
            tagged: true,
        };
        let mut integrity = Integrity::new(promised, &req.headers)?;
        let mut upload = self.objects.upload().await?;
        if let Some(body) = input.body.take() {
            receive(body, &mut upload, &mut integrity).await?;
        }
        let Verified { checksum, md5 } = integrity.finish(req.trailing_headers.as_ref())?;
        let part = (number, md5, part_checksum(&checksum));
        let part = self.objects.put_part(&place, upload, part).await?;
        Ok(UploadPartOutput {
            e_tag: Some(ETag::Strong(part.e_tag)),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..UploadPartOutput::default()
        })
    }

    pub(super) async fn copy_part(
        &self,
        input: UploadPartCopyInput,
    ) -> S3Result<UploadPartCopyOutput> {
        let CopySource::Bucket {
            bucket,
            key,
            version_id,
        } = &input.copy_source
        else {
            let message = "Copies from access points are not served here.";
            return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
        };
        refuse_version(version_id.as_deref())?;
        let place = self.upload_place(&input.bucket, &input.key, &input.upload_id)?;
        let number = part_number(input.part_number)?;
        self.objects.find_upload(&place)?;
        let source = self
            .objects
            .read(&self.require(bucket)?, &readable(key)?)
            .await?;
        let conditions = Conditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        conditions
            .check(&source.info)
            .map_err(|_| S3ErrorCode::PreconditionFailed)?;
        let range = copy_range(input.copy_source_range.as_deref(), source.info.size)?;
        let mut integrity = Integrity::tagging();
        let mut upload = self.objects.upload().await?;
        let pieces = Box::pin(objects::chunks(source.file, range));
        receive(pieces, &mut upload, &mut integrity).await?;
        let Verified { md5, .. } = integrity.finish(None)?;
        let part = self
            .objects
            .put_part(&place, upload, (number, md5, None))
            .await?;
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(ETag::Strong(part.e_tag)),
                last_modified: Some(std::time::SystemTime::from(part.modified).into()),
                ..CopyPartResult::default()
            }),
            ..UploadPartCopyOutput::default()
        })
    }

    pub(super) async fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let place = self.upload_place(&input.bucket, &input.key, &input.upload_id)?;
        let target = target(input.if_match, input.if_none_match)?;
        let parts = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        if parts.is_empty() || parts.len() > limits::PARTS as usize {
            return Err(S3ErrorCode::MalformedXML.into());
        }
        let wanted = parts
            .into_iter()
            .map(wanted_part)
            .collect::<S3Result<Vec<_>>>()?;
        let promised = Checksum {
            checksum_crc32: input.checksum_crc32,
            checksum_crc32c: input.checksum_crc32c,
            checksum_crc64nvme: input.checksum_crc64nvme,
            checksum_sha1: input.checksum_sha1,
            checksum_sha256: input.checksum_sha256,
            ..Checksum::default()
        };
        let whole = part_checksum(&promised).filter(|checksum| !checksum.value.contains('-'));
        if let Some(whole) = &whole {
            self.check_whole(&place, &wanted, whole).await?;
        }
        let e_tag = self.objects.complete_upload(place, wanted, target).await?;
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(e_tag)),
            ..CompleteMultipartUploadOutput::default()
        })
    }

    /// Compares what the caller says of the whole object with the bytes of its parts. That reads them once more, so it is
    /// done for those only who ask.
    async fn check_whole(
        &self,
        place: &UploadPlace,
        wanted: &[WantedPart],
        promised: &PartChecksum,
    ) -> S3Result<()> {
        let Some(files) = self.objects.chosen_parts(place, wanted)? else {
            // Completed already, when it was compared.
            return Ok(());
        };
        let mut hasher = ChecksumHasher::default();
        super::integrity::enable(&mut hasher, &promised.algorithm);
        let hashed = tokio::task::spawn_blocking(move || {
            objects::each_piece(&files, |piece| hasher.update(piece)).map(|()| hasher.finalize())
        });
        let computed = hashed
            .await
            .map_err(ObjectError::from)?
            .map_err(ObjectError::from)?;
        match part_checksum(&computed).as_ref() == Some(promised) {
            true => Ok(()),
            false => {
                let label = promised.algorithm.to_ascii_uppercase();
                let message =
                    format!("The {label} you specified did not match the calculated checksum.");
                Err(S3Error::with_message(S3ErrorCode::BadDigest, message))
            }
        }
    }

    pub(super) async fn abort_upload(
        &self,
        input: AbortMultipartUploadInput,
    ) -> S3Result<AbortMultipartUploadOutput> {
        let place = self.upload_place(&input.bucket, &input.key, &input.upload_id)?;
        self.objects.abort_upload(&place).await?;
        Ok(AbortMultipartUploadOutput::default())
    }

    fn upload_place(&self, bucket: &str, key: &str, id: &str) -> S3Result<UploadPlace> {
        let bucket = self.require(bucket)?;
        let key = ObjectKey::parse(key).map_err(|_| ObjectError::NoSuchUpload)?;
        Ok(self.place_of(bucket, key, id)?)
    }

    pub(super) fn place_of(
        &self,
        bucket: objects::BucketName,
        key: ObjectKey,
        id: &str,
    ) -> Result<UploadPlace, ObjectError> {
        UploadPlace::parse(bucket, key, id).ok_or(ObjectError::NoSuchUpload)
    }
}

fn part_number(number: i32) -> S3Result<u32> {
    let parsed = u32::try_from(number).ok();
    parsed
        .filter(|number| (1..=limits::PARTS).contains(number))
        .ok_or_else(|| {
            let message = format!(
                "Part number must be an integer between 1 and {}, inclusive",
                limits::PARTS
            );
            S3Error::with_message(S3ErrorCode::InvalidArgument, message)
        })
}

fn wanted_part(part: CompletedPart) -> S3Result<WantedPart> {
    let checksum = Checksum {
        checksum_crc32: part.checksum_crc32,
        checksum_crc32c: part.checksum_crc32c,
        checksum_crc64nvme: part.checksum_crc64nvme,
        checksum_sha1: part.checksum_sha1,
        checksum_sha256: part.checksum_sha256,
        ..Checksum::default()
    };
    let (Some(number), Some(e_tag)) = (part.part_number, part.e_tag) else {
        return Err(S3ErrorCode::MalformedXML.into());
    };
    Ok(WantedPart {
        number: part_number(number)?,
        e_tag: e_tag.value().to_owned(),
        checksum: part_checksum(&checksum),
    })
}

/// The one checksum that there is, with its algorithm.
fn part_checksum(checksum: &Checksum) -> Option<PartChecksum> {
    let found = [
        ("crc32", &checksum.checksum_crc32),
        ("crc32c", &checksum.checksum_crc32c),
        ("crc64nvme", &checksum.checksum_crc64nvme),
        ("sha1", &checksum.checksum_sha1),
        ("sha256", &checksum.checksum_sha256),
    ];
    found.into_iter().find_map(|(algorithm, value)| {
        Some(PartChecksum {
            algorithm: algorithm.to_owned(),
            value: value.clone()?,
        })
    })
}

/// The bytes that `x-amz-copy-source-range` names: `bytes=first-last`, both of them given and within the source.
fn copy_range(range: Option<&str>, size: u64) -> S3Result<std::ops::Range<u64>> {
    let Some(text) = range else {
        return Ok(0..size);
    };
    let refused = |message: String| S3Error::with_message(S3ErrorCode::InvalidArgument, message);
    let bounds = text
        .strip_prefix("bytes=")
        .and_then(|bounds| bounds.split_once('-'));
    let bounds = bounds
        .and_then(|(first, last)| Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?)));
    match bounds {
        Some((first, last)) if first <= last && last < size => Ok(first..last + 1),
        Some(_) => Err(refused(format!("Range specified is not valid for source object of size: {size}"))),
        None => Err(refused(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy"
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_copies_have_both_ends() {
        for (range, expected) in [
            (None, Some(0..10)),
            (Some("bytes=0-9"), Some(0..10)),
            (Some("bytes=3-3"), Some(3..4)),
            (Some("bytes=3-10"), None),
            (Some("bytes=4-3"), None),
            (Some("bytes=3-"), None),
            (Some("bytes=-3"), None),
            (Some("3-4"), None),
        ] {
            assert_eq!(copy_range(range, 10).ok(), expected, "{range:?}");
        }
    }
}
