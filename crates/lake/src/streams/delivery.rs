//! From a buffer to an object.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::buffer::SealedSegment;
use super::buffer::frame::{Found, FrameReader, Kind};
use super::compression::Packer;
use super::stream::Stream;
use crate::failpoint;
use crate::limits;
use crate::log::Logger;
use crate::objects::{Attributes, BucketName, ObjectError, ObjectKey, Objects, Target};

/// Firehose's Content-Type for every object.
const CONTENT_TYPE: &str = "application/octet-stream";

/// Why an object could not be written. All of it may be over at the next attempt, so nothing is ever given up.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The object store refused.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The buffer could not be read, or not be released.
    #[error("buffer: {0}")]
    Buffer(#[from] io::Error),
    /// The task that read the buffer ended early.
    #[error("buffer: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Writes objects out of segments.
#[derive(Clone)]
pub struct Delivery {
    pub objects: Arc<Objects>,
    pub logger: Logger,
}

impl Delivery {
    /// Delivers what is due, again and again, until the stream ends.
    pub async fn run(self, stream: Arc<Stream>) {
        let mut backoff = Backoff::default();
        while stream.is_running() {
            match self.deliver_due(&stream).await {
                Ok(()) => {
                    backoff = Backoff::default();
                    wait(&stream).await;
                }
                Err(error) => {
                    stream.meters.failed_deliveries.add(1);
                    let pause = backoff.next();
                    let name = &stream.name;
                    self.logger.warn(format_args!(
                        "{name}: delivery failed, next attempt in {pause:?}: {error}"
                    ));
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Delivers everything that is buffered now.
    pub async fn flush(&self, stream: &Arc<Stream>) -> Result<(), DeliveryError> {
        let _alone = stream.delivering.lock().await;
        stream.seal().await?;
        self.deliver_sealed(stream).await
    }

    async fn deliver_due(&self, stream: &Arc<Stream>) -> Result<(), DeliveryError> {
        let _alone = stream.delivering.lock().await;
        stream.seal_due(Instant::now()).await?;
        self.deliver_sealed(stream).await
    }

    async fn deliver_sealed(&self, stream: &Arc<Stream>) -> Result<(), DeliveryError> {
        while let Some(segment) = stream.oldest_sealed() {
            self.deliver(stream, &segment).await?;
        }
        Ok(())
    }

    async fn deliver(
        &self,
        stream: &Arc<Stream>,
        segment: &SealedSegment,
    ) -> Result<(), DeliveryError> {
        let label = &segment.label;
        let (Some(bucket), Ok(key)) = (
            BucketName::parse(&label.bucket),
            ObjectKey::parse(&label.key),
        ) else {
            return Err(io::Error::other(format!(
                "'{}/{}' cannot be an object",
                label.bucket, label.key
            ))
            .into());
        };
        let mut unpacked = Unpacking::begin(segment, stream.quarantine())?;
        failpoint::io("delivery.begin")?;
        let mut upload = self.objects.upload().await?;
        loop {
            let piece;
            (unpacked, piece) = tokio::task::spawn_blocking(|| unpacked.step()).await??;
            if piece.is_empty() {
                break;
            }
            upload.write(piece.into()).await?;
        }
        let mut size = None;
        if unpacked.records > 0 {
            let attributes = Attributes {
                content_type: Some(CONTENT_TYPE.to_owned()),
                content_encoding: label.compression.content_encoding().map(str::to_owned),
                ..Attributes::default()
            };
            size = Some(
                self.objects
                    .publish(upload, (&bucket, &key), &attributes, Target::Any)
                    .await?
                    .size,
            );
        }
        failpoint::io("delivery.published")?;
        let (done, released) = (segment.clone(), Arc::clone(stream));
        tokio::task::spawn_blocking(move || released.release(&done)).await??;
        self.account(stream, &unpacked, size, &format!("s3://{bucket}/{key}"));
        Ok(())
    }

    /// Counts and tells what was delivered; `object_bytes` of an object if there was one.
    fn account(&self, stream: &Stream, unpacked: &Unpacking, object_bytes: Option<u64>, url: &str) {
        let name = &stream.name;
        if let Some(bytes) = object_bytes {
            stream.meters.objects.add(1);
            stream.meters.object_bytes.add(bytes);
            stream.meters.delivered_records.add(unpacked.records);
            self.logger.info(format_args!(
                "{name}: {} records, {bytes} bytes -> {url}",
                unpacked.records
            ));
        }
        if unpacked.damaged_bytes > 0 {
            stream.meters.quarantined_bytes.add(unpacked.damaged_bytes);
            self.logger.error(format_args!(
                "{name}: {} damaged bytes of a buffer could not be delivered and are kept in {}",
                unpacked.damaged_bytes,
                unpacked.quarantine.display()
            ));
        }
    }
}

/// Returns when something may be due.
async fn wait(stream: &Stream) {
    match stream.due() {
        Some(due) => {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = stream.changed() => {}
            }
        }
        None => stream.changed().await,
    }
}

/// Pauses between attempts: each twice the one before, up to a limit.
#[derive(Debug, Default)]
struct Backoff(Option<Duration>);

impl Backoff {
    fn next(&mut self) -> Duration {
        let pause = self.0.map_or(limits::DELIVERY_BACKOFF_MIN, |last| {
            (last * 2).min(limits::DELIVERY_BACKOFF_MAX)
        });
        self.0 = Some(pause);
        pause
    }
}

/// A segment on its way to being an object, a bounded piece at a time. Damage is set aside.
struct Unpacking {
    reader: FrameReader<File>,
    packer: Option<Packer>,
    path: PathBuf,
    sequence: u64,
    quarantine: PathBuf,
    records: u64,
    damaged_bytes: u64,
}

impl Unpacking {
    fn begin(segment: &SealedSegment, quarantine: PathBuf) -> io::Result<Self> {
        Ok(Self {
            reader: FrameReader::new(File::open(&segment.path)?),
            packer: Some(Packer::new(segment.label.compression)),
            path: segment.path.clone(),
            sequence: segment.sequence,
            quarantine,
            records: 0,
            damaged_bytes: 0,
        })
    }

    /// The object's next piece; an empty one at its end.
    fn step(mut self) -> io::Result<(Self, Vec<u8>)> {
        let Some(mut packer) = self.packer.take() else {
            return Ok((self, Vec::new()));
        };
        let mut read = 0;
        let mut piece = Vec::new();
        loop {
            let offset = self.reader.offset();
            let damage = match self.reader.next()? {
                None => {
                    piece.extend(packer.finish()?);
                    return Ok((self, piece));
                }
                Some(Found::Frame {
                    kind: Kind::Segment,
                    ..
                }) => continue,
                Some(Found::Frame {
                    kind: Kind::Records,
                    records,
                    payload,
                    ..
                }) => {
                    packer.write(payload)?;
                    self.records += u64::from(records);
                    read += payload.len();
                    None
                }
                Some(Found::Damaged { length, .. }) => Some(length),
                Some(Found::Torn { .. }) => Some(fs::metadata(&self.path)?.len() - offset),
            };
            if let Some(length) = damage {
                self.damaged_bytes += length;
                set_aside(&self.path, offset, length, &self.quarantine, self.sequence)?;
            }
            if read >= limits::DELIVERY_STEP_BYTES {
                piece.append(&mut packer.take());
                // A packer may hold everything back for a while; an empty piece would mean the end.
                if !piece.is_empty() {
                    self.packer = Some(packer);
                    return Ok((self, piece));
                }
                read = 0;
            }
        }
    }
}

/// Copies a damaged stretch of a buffer file to where somebody can look at it. Doing it again does no harm.
fn set_aside(
    from: &Path,
    offset: u64,
    length: u64,
    folder: &Path,
    sequence: u64,
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut source = File::open(from)?;
    source.seek(SeekFrom::Start(offset))?;
    let mut copy = File::create(folder.join(format!("{sequence:012}-{offset}.damaged")))?;
    io::copy(&mut source.take(length), &mut copy)?;
    copy.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..8).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
