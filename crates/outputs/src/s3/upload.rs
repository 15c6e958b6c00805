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
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use plugin::Log;

use super::bucket::{Bucket, Failure, Holder, Piece, failed};
use super::encoding::{Body, Data};
use super::key::Key;
use super::memory::{Held, Memory};
use super::object::{self, Description, Name, Parts, Progress};
use super::repeat::Repeat;
use super::store::Place;

/// The most parts of an upload.
const PARTS_MAX: u64 = 10_000;
/// Larger parts than this are cut: they would only take memory.
const PART_BYTES_MAX: u64 = 50_000_000;
/// So many parts of an upload are sent at once, if there is memory for them: those of one tag's objects are uploaded one
/// after the other, and a part that is refused waits.
const PARTS_AT_ONCE: usize = 4;

/// What all uploads share.
#[derive(Debug)]
pub struct Uploader {
    bucket: Bucket,
    memory: Memory,
    repeat: Repeat,
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
    pub fn new(bucket: Bucket, memory: Memory, repeat: Repeat, log: Log) -> Uploader {
        Uploader {
            bucket,
            memory,
            repeat,
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
        let _uploading = self.memory.upload();
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
        let piece = self.piece(0..self.body.len()).await?;
        loop {
            let Uploader { bucket, repeat, .. } = self.uploader;
            let put = async || bucket.put(self.object, self.name(), &piece).await;
            match repeat.until_answered(put).await {
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
        let mut parts = match self.progress.parts.take() {
            Some(parts) => parts,
            None => self.begin().await?,
        };
        let sent_before = parts.sent();
        let mut result = self.send_parts(&mut parts).await;
        if result.is_ok() {
            result = self.complete(&parts).await;
        }
        result.or_else(|error| self.keep(parts, error, sent_before))
    }

    async fn begin(&self) -> Result<Parts, Failure> {
        let Uploader { bucket, repeat, .. } = self.uploader;
        if self.is_taken().await? {
            return Err(Failure::Exists);
        }
        let begin = async || bucket.begin(self.object, self.name()).await;
        let parts = Parts {
            upload_id: repeat.until_answered(begin).await?,
            etags: Vec::new(),
        };
        self.save(&parts).await;
        Ok(parts)
    }

    /// Sends the parts that are missing, several at once. After a failure those that are under way are waited for.
    async fn send_parts(&self, parts: &mut Parts) -> Result<(), Failure> {
        let (len, size) = (self.body.len(), self.part_size());
        let count = usize::try_from(len.div_ceil(size)).map_err(|_| too_many_parts())?;
        parts.etags.resize(count, None);
        let upload_id = parts.upload_id.clone();
        let missing: Vec<usize> = (0..count).filter(|at| parts.etags[*at].is_none()).collect();
        let mut missing = missing.into_iter();
        let (mut under_way, mut failure) = (FuturesUnordered::new(), None);
        loop {
            while failure.is_none()
                && under_way.len() < PARTS_AT_ONCE
                && let Some(index) = missing.next()
            {
                let start = index as u64 * size;
                let range = start..len.min(start + size);
                under_way.push(self.send_part(index, range, &upload_id));
            }
            match under_way.next().await {
                None => return failure.map_or(Ok(()), Err),
                Some((index, Ok(etag))) => {
                    parts.etags[index] = Some(etag);
                    self.save(parts).await;
                }
                Some((_, Err(error))) => _ = failure.get_or_insert(error),
            }
        }
    }

    async fn send_part(
        &self,
        index: usize,
        range: Range<u64>,
        upload_id: &str,
    ) -> (usize, Result<String, Failure>) {
        let Uploader { bucket, repeat, .. } = self.uploader;
        let piece = match self.piece(range).await {
            Ok(piece) => piece,
            Err(failure) => return (index, Err(failure)),
        };
        let name = self.name();
        let put = async || bucket.put_part(name, upload_id, index + 1, &piece).await;
        (index, repeat.until_answered(put).await)
    }

    async fn complete(&self, parts: &Parts) -> Result<(), Failure> {
        let Uploader { bucket, repeat, .. } = self.uploader;
        let etags: Vec<String> = parts.etags.iter().flatten().cloned().collect();
        let (object, name) = (self.object, self.name());
        let complete = async || {
            bucket
                .complete(object, name, &parts.upload_id, &etags)
                .await
        };
        repeat.until_answered(complete).await
    }

    /// How large all parts but the last one are.
    fn part_size(&self) -> u64 {
        let size = self.object.settings.part_size.min(PART_BYTES_MAX);
        size.max(self.body.len().div_ceil(PARTS_MAX))
    }

    /// Remembers the parts that are sent, of which there were so many before this attempt.
    fn keep(&mut self, parts: Parts, error: Failure, sent_before: usize) -> Result<(), Failure> {
        let sent_more = parts.sent() > sent_before;
        self.progress.parts = Some(parts);
        let mut error = error;
        if let Failure::Again { progress, .. } = &mut error {
            *progress = sent_more;
        }
        Err(error)
    }

    /// Stores how far an upload in parts has come. A full disk does not stop an upload: it would only cost more after a
    /// crash.
    async fn save(&self, parts: &Parts) {
        let progress = Progress {
            renamed: self.progress.renamed.clone(),
            parts: Some(parts.clone()),
        };
        self.store(progress).await;
    }

    async fn store(&self, progress: Progress) {
        let path = self.place.progress();
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
        self.store(self.progress.clone()).await;
    }

    async fn forget_parts(&mut self) {
        self.progress.parts = None;
        self.store(self.progress.clone()).await;
    }

    /// Whether the object that has our name is this one. Only where the service cannot be asked is it taken for another
    /// one, so that nothing is lost.
    async fn is_ours(&self) -> Result<bool, Failure> {
        if self.name().is_unique {
            return Ok(true);
        }
        match self.holder().await? {
            Holding::Holder(holder) => Ok(holder.id.as_ref() == Some(&self.object.id)),
            Holding::Nobody => Err(Failure::again(
                "an object of this name has just been removed",
            )),
            Holding::MayNotAsk => Ok(false),
        }
    }

    /// Whether an earlier attempt has brought the object there, as far as the service says.
    async fn is_there(&self) -> bool {
        match self.holder().await {
            Ok(Holding::Holder(holder)) => {
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
        // Who may only write cannot ask; the answer then comes with the last request.
        Ok(matches!(self.holder().await?, Holding::Holder(_)))
    }

    /// Asks who has our name.
    async fn holder(&self) -> Result<Holding, Failure> {
        let Uploader { bucket, repeat, .. } = self.uploader;
        let ask = async || match bucket.holder(self.name()).await {
            Ok(Some(holder)) => Ok(Holding::Holder(holder)),
            Ok(None) => Ok(Holding::Nobody),
            Err(CallError::Refused(error)) if may_not_ask(&error) => Ok(Holding::MayNotAsk),
            Err(error) => Err(failed(&error)),
        };
        repeat.until_answered(ask).await
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
        self.store(self.progress.clone()).await;
    }

    async fn piece(&self, range: Range<u64>) -> Result<Held<'a>, Failure> {
        let memory = &self.uploader.memory;
        let (body, settings) = (Arc::clone(&self.body), self.object.settings.clone());
        let len = match &*body {
            Body::Memory(_) => 0,
            _ => usize::try_from(range.end - range.start).map_err(|_| too_many_parts())?,
        };
        let room = memory.room(len).await?;
        let bytes = if len == 0 {
            Vec::new()
        } else {
            memory.take(len)
        };
        let piece = blocking(move || Ok(Piece::new(body.read(range, bytes)?, &settings))).await;
        Ok(room.hold(piece.map_err(local)?))
    }
}

/// The answer to who has a name.
enum Holding {
    Nobody,
    Holder(Holder),
    /// The service does not say.
    MayNotAsk,
}

/// More than this machine can count.
fn too_many_parts() -> Failure {
    Failure::again("the object is too large for this machine")
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
