//! Listing multipart uploads and their parts.

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::buckets::owner;
use super::face::Face;
use super::list::Names;
use crate::limits;
use crate::objects::{ObjectError, ObjectKey, PartInfo, PartRange, UploadsRequest};

impl Face {
    pub(super) async fn parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let bucket = self.require(&input.bucket)?;
        let key = ObjectKey::parse(&input.key).map_err(|_| ObjectError::NoSuchUpload)?;
        let place = self.place_of(bucket, key, &input.upload_id)?;
        let limit = limit(input.max_parts, "max-parts")?;
        let after = input.part_number_marker.unwrap_or(0);
        let range = PartRange {
            after: u32::try_from(after).map_err(|_| invalid("part-number-marker"))?,
            limit,
        };
        let (info, parts, truncated) = self.objects.parts(&place, range)?;
        let last = parts.last().map(|part| part.number.cast_signed());
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(limit as i32),
            part_number_marker: Some(after),
            next_part_number_marker: last.or(Some(0)),
            is_truncated: Some(truncated),
            parts: Some(parts.into_iter().map(part).collect()),
            owner: Some(owner()),
            initiator: Some(initiator()),
            storage_class: Some(storage_class(info.attributes.storage_class)),
            checksum_algorithm: info.checksum_algorithm.map(ChecksumAlgorithm::from),
            checksum_type: info.checksum_type.map(ChecksumType::from),
            ..ListPartsOutput::default()
        })
    }

    pub(super) async fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        let names = Names::new(input.encoding_type.as_ref())?;
        let limit = limit(input.max_uploads, "max-uploads")?;
        let request = UploadsRequest {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            after_key: input.key_marker.clone().unwrap_or_default(),
            after_id: input.upload_id_marker.clone(),
            limit,
        };
        let page = self
            .objects
            .uploads(self.require(&input.bucket)?, request)
            .await?;
        let truncated = page.next.is_some();
        let (next_key, next_id) = page.next.unzip();
        let uploads = page.uploads.into_iter().map(|upload| MultipartUpload {
            key: Some(names.write(&upload.key)),
            upload_id: Some(upload.id),
            initiated: Some(std::time::SystemTime::from(upload.initiated).into()),
            storage_class: Some(storage_class(upload.storage_class)),
            owner: Some(owner()),
            initiator: Some(initiator()),
            ..MultipartUpload::default()
        });
        let prefixes = page.common_prefixes.iter().map(|prefix| CommonPrefix {
            prefix: Some(names.write(prefix)),
        });
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            key_marker: Some(names.write(&input.key_marker.unwrap_or_default())),
            upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
            next_key_marker: next_key.map(|key| names.write(&key)),
            next_upload_id_marker: next_id.filter(|id| !id.is_empty()),
            prefix: input.prefix.map(|prefix| names.write(&prefix)),
            delimiter: input.delimiter.map(|delimiter| names.write(&delimiter)),
            encoding_type: input.encoding_type,
            max_uploads: Some(limit as i32),
            is_truncated: Some(truncated),
            uploads: Some(uploads.collect()),
            common_prefixes: Some(prefixes.collect()),
            ..ListMultipartUploadsOutput::default()
        })
    }
}

fn part(part: PartInfo) -> Part {
    let checksum = part.checksum;
    let of = |algorithm: &str| {
        let found = checksum.as_ref().filter(|one| one.algorithm == algorithm);
        found.map(|one| one.value.clone())
    };
    Part {
        part_number: Some(part.number.cast_signed()),
        size: Some(part.size.cast_signed()),
        e_tag: Some(ETag::Strong(part.e_tag)),
        last_modified: Some(std::time::SystemTime::from(part.modified).into()),
        checksum_crc32: of("crc32"),
        checksum_crc32c: of("crc32c"),
        checksum_crc64nvme: of("crc64nvme"),
        checksum_sha1: of("sha1"),
        checksum_sha256: of("sha256"),
    }
}

fn initiator() -> Initiator {
    let owner = owner();
    Initiator {
        display_name: owner.display_name,
        id: owner.id,
    }
}

fn storage_class(class: Option<String>) -> StorageClass {
    class.map_or(
        StorageClass::from_static(StorageClass::STANDARD),
        StorageClass::from,
    )
}

fn limit(given: Option<i32>, name: &str) -> S3Result<usize> {
    let given = given.map_or(Ok(limits::LISTED_PARTS), usize::try_from);
    let given = given
        .ok()
        .filter(|given| *given > 0)
        .ok_or_else(|| invalid(name))?;
    Ok(given.min(limits::LISTED_PARTS))
}

fn invalid(name: &str) -> S3Error {
    let message = format!("Argument {name} must be an integer between 0 and 2147483647");
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}
