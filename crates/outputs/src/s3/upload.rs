//! Brings one object to its bucket, as far as one attempt gets: at once or in parts, under a name that was fixed before
//! and never twice.
//!
//! A name is taken: if it contains chance, only an earlier attempt of ours can have taken it, and the object is there.
//! Otherwise the mark on the object tells; if it is somebody else's, the object gets a random end to its name, so that
//! neither is lost.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use ::aws::{CallError, ServiceError};
use plugin::Log;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::bucket::{Bucket, Failure, Piece};
use super::encoding::{Body, Data};
use super::key::Key;
use super::object::{self, Description, Name, Parts, Progress};
use super::store::Place;

/// The most parts of an upload.
const PARTS_MAX: u64 = 10_000;
/// Larger parts than this are cut: they would only take memory.
const PART_BYTES_MAX: u64 = 50_000_000;
/// What is in memory at once to be sent, in bytes: three parts of the usual size. One piece that is larger is alone.
const MEMORY: u64 = 16 << 20;
/// The unit in which it is counted.
const UNIT: u64 = 1 << 10;

/// What all uploads share.
#[derive(Debug)]
pub struct Uploader {
    bucket: Bucket,
    memory: Semaphore,
    log: Log,
}

/// One attempt.
struct Attempt<'a> {
    uploader: &'a Uploader,
    place: &'a Place,
    object: &'a Description,
    body: Arc<Body>,
    /// What the object is called unless it was renamed.
    first_name: &'a Name,
    progress: Progress,
}

impl Uploader {
    /// One for `bucket`.
    pub fn new(bucket: Bucket, log: Log) -> Uploader {
        Uploader {
            bucket,
            memory: Semaphore::new((MEMORY / UNIT) as usize),
            log,
        }
    }

    /// Uploads an object and returns how many bytes it has and its name. After a failure another attempt goes on where
    /// this one stopped.
    pub async fn upload(
        &self,
        place: &Place,
        object: &Description,
        data: Data,
    ) -> Result<(u64, String), Failure> {
        let in_parts = object.in_parts(data.extent.data);
        let (encoding, target, known) = (
            object.settings.encoding.clone(),
            place.body(),
            place.progress(),
        );
        let prepared = blocking(move || {
            let (body, is_new) = encoding.body(data, &target)?;
            Ok((body, is_new, object::load::<Progress>(&known)))
        });
        let (body, is_new, progress) = prepared.await.map_err(local)?;
        let mut attempt = Attempt {
            uploader: self,
            place,
            object,
            body: Arc::new(body),
            first_name: if in_parts {
                &object.name
            } else {
                &object.put_name
            },
            progress: progress.unwrap_or_default(),
        };
        if is_new {
            // Parts that were made of other bytes do not fit.
            attempt.give_up_parts().await;
        }
        if in_parts {
            attempt.parts().await?;
        } else {
            attempt.put().await?;
        }
        Ok((attempt.body.len(), attempt.name().key.clone()))
    }
}

impl<'a> Attempt<'a> {
    fn name(&self) -> &Name {
        self.progress.renamed.as_ref().unwrap_or(self.first_name)
    }

    async fn put(&mut self) -> Result<(), Failure> {
        let (piece, _permit) = self.piece(0..self.body.len()).await?;
        loop {
            let put = self.uploader.bucket.put(self.object, self.name(), &piece);
            match put.await {
                Err(Failure::Exists) if self.is_ours().await? => return Ok(()),
                Err(Failure::Exists) => self.rename().await,
                result => return result,
            }
        }
    }

    async fn parts(&mut self) -> Result<(), Failure> {
        loop {
            match self.try_parts().await {
                Err(Failure::Exists) => {
                    self.give_up_parts().await;
                    if self.is_ours().await? {
                        return Ok(());
                    }
                    self.rename().await;
                }
                Err(Failure::NoSuchUpload) => {
                    self.forget_parts().await;
                    if self.is_there().await {
                        return Ok(());
                    }
                    return Err(Failure::again(
                        "the service does not know the upload in parts any more; it is begun anew",
                    ));
                }
                Err(Failure::BadParts(why)) => {
                    self.give_up_parts().await;
                    return Err(Failure::again(why));
                }
                result => return result,
            }
        }
    }

    async fn try_parts(&mut self) -> Result<(), Failure> {
        let bucket = &self.uploader.bucket;
        let mut parts = match self.progress.parts.take() {
            Some(parts) => parts,
            None => {
                if self.is_taken().await? {
                    return Err(Failure::Exists);
                }
                let upload_id = bucket.begin(self.object, self.name()).await?;
                let etags = Vec::new();
                self.save(Parts { upload_id, etags }).await
            }
        };
        let sent_before = parts.etags.len();
        let len = self.body.len();
        let size = self.object.settings.part_size.min(PART_BYTES_MAX);
        let size = size.max(len.div_ceil(PARTS_MAX));
        let ranges = (0..len.div_ceil(size)).map(|part| part * size..len.min((part + 1) * size));
        for range in ranges.skip(parts.etags.len()) {
            let number = parts.etags.len() + 1;
            let (piece, _permit) = match self.piece(range).await {
                Ok(piece) => piece,
                Err(error) => return self.keep(parts, error, sent_before),
            };
            let put = bucket.put_part(self.name(), &parts.upload_id, number, &piece);
            match put.await {
                Ok(etag) => parts.etags.push(etag),
                Err(error) => return self.keep(parts, error, sent_before),
            }
            parts = self.save(parts).await;
        }
        let completed = bucket
            .complete(self.object, self.name(), &parts.upload_id, &parts.etags)
            .await;
        match completed {
            Ok(()) => Ok(()),
            Err(error) => self.keep(parts, error, sent_before),
        }
    }

    /// Remembers the parts that are sent, of which there were so many before this attempt.
    fn keep(&mut self, parts: Parts, error: Failure, sent_before: usize) -> Result<(), Failure> {
        let sent_more = parts.etags.len() > sent_before;
        self.progress.parts = Some(parts);
        Err(match error {
            Failure::Again { why, after, .. } => Failure::Again {
                why,
                after,
                progress: sent_more,
            },
            other => other,
        })
    }

    /// Stores the progress, and gives it back. A full disk does not stop an upload: it would only cost more after a
    /// crash.
    async fn save(&mut self, parts: Parts) -> Parts {
        self.progress.parts = Some(parts.clone());
        self.store().await;
        self.progress.parts = None;
        parts
    }

    async fn store(&self) {
        let (path, progress) = (self.place.progress(), self.progress.clone());
        if let Err(error) = blocking(move || object::store(&path, &progress)).await {
            let path = self.place.progress().display().to_string();
            self.uploader.log.warn(format_args!(
                "{path}: {error}; the upload goes on without it"
            ));
        }
    }

    /// Ends an upload in parts that will not be completed. Should the service not hear of it, the bucket's rule for
    /// incomplete uploads will.
    async fn give_up_parts(&mut self) {
        let Some(parts) = self.progress.parts.take() else {
            return;
        };
        let aborted = self
            .uploader
            .bucket
            .abort(self.name(), &parts.upload_id)
            .await;
        if let Err(error) = aborted {
            let why = super::queue::why(&error);
            self.uploader.log.warn(format_args!(
                "an upload in parts stays behind in the bucket: {why}"
            ));
        }
        self.store().await;
    }

    async fn forget_parts(&mut self) {
        self.progress.parts = None;
        self.store().await;
    }

    /// Whether the object that has our name is this one. Only where the service cannot be asked is it taken for another
    /// one, so that nothing is lost.
    async fn is_ours(&self) -> Result<bool, Failure> {
        if self.name().is_unique {
            return Ok(true);
        }
        match self.uploader.bucket.holder(self.name()).await {
            Ok(Some(holder)) => Ok(holder.id.as_ref() == Some(&self.object.id)),
            Ok(None) => Err(Failure::again(
                "an object of this name has just been removed",
            )),
            Err(CallError::Refused(error)) if may_not_ask(&error) => Ok(false),
            Err(error) => Err(Failure::again(error.to_string())),
        }
    }

    /// Whether an earlier attempt has brought the object there, as far as the service says.
    async fn is_there(&self) -> bool {
        match self.uploader.bucket.holder(self.name()).await {
            Ok(Some(holder)) => {
                self.name().is_unique || holder.id.as_ref() == Some(&self.object.id)
            }
            _ => false,
        }
    }

    /// Whether somebody has the name already: asked before many parts are sent in vain.
    async fn is_taken(&self) -> Result<bool, Failure> {
        if self.name().is_unique || self.object.settings.overwrites {
            return Ok(false);
        }
        match self.uploader.bucket.holder(self.name()).await {
            Ok(holder) => Ok(holder.is_some()),
            // Who may only write cannot ask; the answer then comes with the last request.
            Err(CallError::Refused(error)) if may_not_ask(&error) => Ok(false),
            Err(error) => Err(Failure::again(error.to_string())),
        }
    }

    async fn rename(&mut self) {
        let old = self.name().key.clone();
        let key = Key {
            text: old.clone(),
            is_unique: false,
            missing_part: None,
        };
        let new = key.with_random_end().text;
        self.uploader.log.warn(format_args!(
            "another object has the name {old}: this one becomes {new} ($UUID in s3_key_format avoids that)"
        ));
        self.progress.renamed = Some(Name {
            key: new,
            is_unique: true,
        });
        self.store().await;
    }

    async fn piece(&self, range: Range<u64>) -> Result<(Piece, SemaphorePermit<'a>), Failure> {
        let units = (range.end - range.start).min(MEMORY).div_ceil(UNIT);
        let uploader = self.uploader;
        let permit = uploader.memory.acquire_many(units as u32).await;
        let permit = permit.map_err(|error| Failure::again(error.to_string()))?;
        let (body, settings) = (Arc::clone(&self.body), self.object.settings.clone());
        let piece = blocking(move || Ok(Piece::new(body.read(range)?, &settings))).await;
        Ok((piece.map_err(local)?, permit))
    }
}

/// Whether an answer to HEAD, which has no body, means that only writing is allowed.
fn may_not_ask(error: &ServiceError) -> bool {
    matches!(error.status, 401 | 403 | 405 | 501)
}

/// Runs `work` where it may wait for the disk.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn local(error: io::Error) -> Failure {
    Failure::again(format!("store_dir: {error}"))
}
