//! Buckets.

use s3s::dto::*;
use s3s::{S3ErrorCode, S3Result};

use super::face::Face;
use crate::objects::{BucketName, ObjectError};

impl Face {
    pub(super) fn buckets(&self) -> S3Result<ListBucketsOutput> {
        let buckets = self
            .objects
            .buckets()
            .map_err(ObjectError::from)?
            .into_iter()
            .map(|(name, created)| Bucket {
                name: Some(name.to_string()),
                creation_date: Some(created.into()),
                ..Bucket::default()
            });
        Ok(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(owner()),
            ..ListBucketsOutput::default()
        })
    }

    pub(super) fn make_bucket(&self, bucket: &str) -> S3Result<CreateBucketOutput> {
        let bucket = BucketName::parse(bucket).ok_or(S3ErrorCode::InvalidBucketName)?;
        match self
            .objects
            .create_bucket(&bucket)
            .map_err(ObjectError::from)?
        {
            true => Ok(CreateBucketOutput {
                location: Some(format!("/{bucket}")),
            }),
            false => Err(S3ErrorCode::BucketAlreadyOwnedByYou.into()),
        }
    }

    pub(super) fn find_bucket(&self, bucket: &str) -> S3Result<HeadBucketOutput> {
        self.require(bucket)?;
        Ok(HeadBucketOutput {
            bucket_region: Some(self.region.clone()),
            ..HeadBucketOutput::default()
        })
    }

    pub(super) fn locate_bucket(&self, bucket: &str) -> S3Result<GetBucketLocationOutput> {
        self.require(bucket)?;
        // Of us-east-1, S3's first region, nothing is said.
        let named = (self.region != "us-east-1")
            .then(|| BucketLocationConstraint::from(self.region.clone()));
        Ok(GetBucketLocationOutput {
            location_constraint: named,
        })
    }

    pub(super) async fn remove_bucket(&self, bucket: &str) -> S3Result<DeleteBucketOutput> {
        let bucket = self.require(bucket)?;
        self.objects.delete_bucket(&bucket).await?;
        Ok(DeleteBucketOutput {})
    }

    /// The bucket of that name, which exists.
    pub(super) fn require(&self, bucket: &str) -> S3Result<BucketName> {
        let bucket = BucketName::parse(bucket).filter(|bucket| self.objects.bucket_exists(bucket));
        Ok(bucket.ok_or(ObjectError::NoSuchBucket)?)
    }
}

/// Everything belongs to the lake.
pub(super) fn owner() -> Owner {
    Owner {
        display_name: Some("flumen".to_owned()),
        id: Some("flumen".to_owned()),
    }
}
