//! What can go wrong with objects.

use std::error::Error;
use std::io;

/// Why something could not be done with an object or bucket.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The caller named a bucket that is not there.
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// The caller named an object that is not there.
    #[error("the object does not exist")]
    NoSuchKey,
    /// The caller named an upload that is not there (any more).
    #[error("the multipart upload does not exist")]
    NoSuchUpload,
    /// The caller wants an object of parts that were not uploaded, or are others by their entity tags.
    #[error("a part was not uploaded, or has another entity tag or checksum")]
    NoSuchPart,
    /// The caller's list of parts is not in ascending order.
    #[error("the parts are not in ascending order")]
    PartsOutOfOrder,
    /// A part that is not the last has to have the least size of parts.
    #[error(
        "part {number} has {size} bytes; all but the last need {}",
        crate::limits::PART_BYTES_MIN
    )]
    PartTooSmall { number: u32, size: u64 },
    /// More than an object, or one request's part of it, may have.
    #[error("the object is too large")]
    TooLarge,
    /// The caller wants to remove a bucket with objects in it.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// The caller wanted to write only over nothing, or over something else.
    #[error("the object is there already, or is another one")]
    PreconditionFailed,
    /// As files, `a` and `a/b` cannot both be.
    #[error(
        "other objects' keys go on behind this key and a slash; as files the two cannot both be"
    )]
    KeyIsFolder,
    /// The same from the other side.
    #[error(
        "a part of the key in front of a slash is an object itself; as files the two cannot both be"
    )]
    FolderIsKey,
    /// Too long for the file system below.
    #[error("the key makes a file name that is too long")]
    NameTooLong,
    /// The disk is full, or a quota is used up.
    #[error("no space is left for objects: {0}")]
    NoSpace(io::Error),
    /// Anything else: ours or the system's.
    #[error("{0}")]
    Failed(Box<dyn Error + Send + Sync>),
}

impl ObjectError {
    /// The same error for a key that is only looked up: what cannot be there is not there.
    pub fn on_key(error: object_store::Error) -> Self {
        match Self::from(error) {
            Self::FolderIsKey | Self::KeyIsFolder | Self::NameTooLong => Self::NoSuchKey,
            other => other,
        }
    }
}

impl From<object_store::Error> for ObjectError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NoSuchKey,
            object_store::Error::AlreadyExists { .. } => Self::PreconditionFailed,
            error => match io_cause(&error) {
                Some(kind) => Self::of_kind(kind, error.into()),
                None => Self::Failed(error.into()),
            },
        }
    }
}

impl From<io::Error> for ObjectError {
    fn from(error: io::Error) -> Self {
        Self::of_kind(error.kind(), error.into())
    }
}

impl From<tokio::task::JoinError> for ObjectError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Failed(error.into())
    }
}

impl ObjectError {
    fn of_kind(kind: io::ErrorKind, error: Box<dyn Error + Send + Sync>) -> Self {
        match kind {
            io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty => Self::KeyIsFolder,
            // Making a folder where a file is finds that something exists there already.
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Self::FolderIsKey,
            io::ErrorKind::InvalidFilename => Self::NameTooLong,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace(io::Error::other(error))
            }
            _ => Self::Failed(error),
        }
    }
}

/// The kind of the system's error that `error` goes back to.
fn io_cause(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref::<io::Error>())
        .map(io::Error::kind)
}
