//! A lake as a whole.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::counters::Counters;
use crate::data_streams::DataStreams;
use crate::disk_room::DiskRoom;
use crate::iam::Identities;
use crate::limits;
use crate::log_groups::LogGroups;
use crate::objects::Objects;
use crate::options::Options;
use crate::s3::S3Face;
use crate::signature::{Credentials, Sessions};
use crate::streams::{Delivery, DeliveryError, Streams};

/// The AWS log path on one machine: delivery streams and an object store in a folder, behind AWS's own protocols.
///
/// Cheap to clone; all clones are the same lake. It delivers from the moment it is opened until it is
/// [closed](Lake::close) or the last clone is dropped.
#[derive(Clone)]
pub struct Lake(Arc<Inner>);

pub(crate) struct Inner {
    pub options: Options,
    pub credentials: Credentials,
    pub streams: Streams,
    pub log_groups: LogGroups,
    pub data_streams: DataStreams,
    pub disk: DiskRoom,
    pub identities: Identities,
    pub s3: S3Face,
    /// As many bodies of the JSON services are in memory at once as there are permits.
    pub bodies: Semaphore,
    /// As many answers of GetRecords are in memory at once as there are permits.
    pub reads: Semaphore,
}

/// Why a lake could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder cannot be used.
    #[error("the data folder {folder} cannot be used: {source}", folder = .folder.display())]
    Data {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Buffered records that could not be delivered. They stay buffered.
#[derive(Debug, thiserror::Error)]
#[error("{stream}: {source}")]
pub struct FlushError {
    /// The first delivery stream that failed.
    pub stream: String,
    source: DeliveryError,
}

impl Lake {
    /// Opens the lake in `options.data` and takes up what an earlier run left there.
    ///
    /// Damage to single streams or buffers is set aside and logged; the lake opens all the same. It does not if the
    /// folder cannot be written, or if another lake is running on it.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let in_folder = |source| OpenError::Data {
            folder: options.data.clone(),
            source,
        };
        let objects = Arc::new(
            Objects::open(&options.data.join("objects"), options.logger.clone())
                .map_err(in_folder)?,
        );
        let delivery = Delivery {
            objects: Arc::clone(&objects),
            logger: options.logger.clone(),
        };
        // Delivery streams begin to deliver at once, which is why this has to run inside a runtime.
        let streams = Streams::open(options.data.join("streams"), delivery, options.sync)
            .map_err(in_folder)?;
        // The lock that the delivery streams hold is for the log groups, too.
        let log_groups = LogGroups::open(
            options.data.join("logs"),
            options.logger.clone(),
            options.sync,
        )
        .map_err(in_folder)?;
        // The folder is locked by now, for data streams as well.
        let data_streams = DataStreams::open(
            options.data.join("data-streams"),
            options.logger.clone(),
            options.sync,
        )
        .map_err(in_folder)?;
        let credentials = Credentials {
            access_key_id: options.access_key_id.clone(),
            secret_access_key: options.secret_access_key.clone(),
            sessions: Sessions::open(&options.data.join("sts"), &options.secret_access_key)
                .map_err(in_folder)?,
        };
        let identities =
            Identities::open(&options.data.join("iam"), &options.logger).map_err(in_folder)?;
        let s3 = S3Face::new(objects, options.region.clone(), credentials.clone());
        let disk = DiskRoom::new(&options.data);
        let bodies = Semaphore::new(limits::BODIES_IN_MEMORY);
        Ok(Self(Arc::new(Inner {
            options,
            credentials,
            streams,
            log_groups,
            data_streams,
            disk,
            identities,
            s3,
            bodies,
            reads: Semaphore::new(limits::READS_IN_MEMORY),
        })))
    }

    /// Delivers everything that is buffered now, without waiting for size or interval. Every stream is tried.
    pub async fn flush_streams(&self) -> Result<(), FlushError> {
        self.0
            .streams
            .flush()
            .await
            .map_err(|(stream, source)| FlushError { stream, source })
    }

    /// The lake's numbers now.
    pub fn counters(&self) -> Counters {
        let streams = self.0.streams.all().into_iter();
        Counters {
            streams: streams
                .map(|(name, stream)| (name, stream.counters()))
                .collect(),
            logs: self.0.log_groups.meters().snapshot(),
        }
    }

    /// Stops delivering, once objects that are being written are whole. What is buffered stays on disk and goes on the
    /// next time. Requests that still come are refused.
    pub async fn close(&self) {
        self.0.data_streams.stop();
        self.0.streams.stop().await;
        self.0.log_groups.stop().await;
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}
