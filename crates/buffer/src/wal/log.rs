//! The log as such: see [`super`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::Fs;

use super::cursors::{Chunks, Cursors};
use super::format::{Frame, Header, Kind};
use super::progress::Progress;
use super::segment::Segment;
use super::{Durability, Gap, OpenError, Settings};

/// After a failed sync, how often it is tried to read what may be lost, before the disk is left alone with it.
const UNREAD_TRIES: u32 = 20;

mod beside;
mod reading;
mod release;
mod start;

/// See [`super`].
pub struct Log {
    fs: Arc<dyn Fs>,
    settings: Settings,
    cursors: Cursors,
    /// In the order in which they were written.
    segments: Vec<Segment>,
    /// Whether the last segment may be appended to.
    is_writing: bool,
    next_index: u64,
    /// The number that the next record must have.
    next: u64,
    origin: [u8; 16],
    /// Written, and not on the disk: kept until it is, unless the system's having it is enough.
    unsynced: Vec<Arc<Frame>>,
    /// Was written, but may not be where it was: has to be written before anything else.
    lost: Vec<Arc<Frame>>,
    /// The last segment failed to sync, and so often what it may have lost could not be read from it. Nothing is written
    /// before that is settled.
    unread: Option<u32>,
    scratch: Vec<u8>,
}

/// What was found at start.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Records that are not there any more.
    pub gaps: Vec<Gap>,
    /// What waits for each output that is named in the log, whether it still exists or not.
    pub waiting: BTreeMap<Arc<str>, Waiting>,
}

/// What lies in the log for an output. An upper bound: records that were delivered from the middle of a segment count
/// until the segment goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many records.
    pub records: u64,
    /// How many bytes in files.
    pub bytes: u64,
}

/// A frame, and who numbered its records: together with a number that names a record once and for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What was appended.
    pub frame: Frame,
    /// See [`Log::origin`].
    pub origin: [u8; 16],
}

/// The answer of [`Log::read`].
#[derive(Debug, Default)]
pub struct StoredFrames {
    /// In the order of their numbers; the first may begin before the number that was asked for.
    pub frames: Vec<Stored>,
    /// Up to here there is nothing else for that output.
    pub next: u64,
    /// What turned out to be damaged.
    pub gaps: Vec<Gap>,
}

impl Log {
    /// Opens the log in a folder, or begins one. It is in order afterwards, whatever was there.
    ///
    /// # Errors
    /// When the folder cannot be used, a file in it cannot be read now, or a newer version has used it.
    pub fn open(fs: Arc<dyn Fs>, settings: Settings) -> Result<(Log, Recovered), OpenError> {
        let no_folder = |error| OpenError::Folder {
            folder: settings.folder.clone(),
            error,
        };
        start::make_folder(&*fs, &settings.folder).map_err(no_folder)?;
        let indexes = start::segment_indexes(&*fs, &settings.folder).map_err(no_folder)?;
        start::refuse_newer(&*fs, &settings.folder, &indexes)?;
        let cursors = Cursors::open(&fs, &settings)?;
        let mut log = Log {
            fs,
            cursors,
            segments: Vec::new(),
            is_writing: false,
            next_index: indexes.last().map_or(0, |last| last + 1),
            next: 0,
            origin: (settings.new_uuid)(),
            unsynced: Vec::new(),
            lost: Vec::new(),
            unread: None,
            scratch: Vec::new(),
            settings,
        };
        let mut recovered = Recovered::default();
        let mut bytes = Vec::new();
        for index in indexes {
            log.take_over(index, &mut recovered, &mut bytes)?;
        }
        drop(bytes);
        log.next = log.next.max(log.cursors.top());
        log.make_chunks_safe();
        log.remove_copies();
        for segment in &log.segments {
            log.cursors.chunks.keep(&segment.chunks);
        }
        log.release();
        recovered.waiting = log.waiting();
        Ok((log, recovered))
    }

    /// The number that the next record gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Who numbers the records of this run: no other run has the same.
    pub fn origin(&self) -> [u8; 16] {
        self.origin
    }

    /// The chunks that were taken.
    pub fn chunks(&self) -> Arc<Chunks> {
        Arc::clone(&self.cursors.chunks)
    }

    /// How far an output is, if it was ever heard of.
    pub fn progress(&self, route: &str) -> Option<&Progress> {
        self.cursors.progress(route)
    }

    /// Appends a frame whose first number is not below [`Log::next`]. It is safe after [`Log::sync`], or at once if the
    /// system's having it is enough.
    ///
    /// # Errors
    /// When it is not in the log. It may be tried again.
    pub fn append(&mut self, frame: &Arc<Frame>) -> io::Result<()> {
        self.write_lost()?;
        self.write(frame)?;
        self.next = frame.end();
        Ok(())
    }

    /// Notes that nothing needs to be stored of a frame, the next one: all its outputs have it.
    ///
    /// # Errors
    /// When that could not be written, which does no harm but that its chunks may be taken once more.
    pub fn skip(&mut self, frame: &Frame) -> io::Result<()> {
        let (first, records) = (frame.first, frame.records);
        self.next = self.next.max(frame.end());
        self.cursors.remember(&frame.chunks)?;
        self.write_lost()?;
        let segment = self.writable(first)?;
        let result = segment.append_void(first, records);
        self.finish(result)
    }

    /// Waits until the disk has everything that was appended.
    ///
    /// # Errors
    /// When that is not certain. What was appended since the last success is then written to another file with the next
    /// call: a disk that failed once is not believed when it says later that all is well.
    pub fn sync(&mut self) -> io::Result<()> {
        for attempt in 0..2 {
            self.write_lost()?;
            let Some(last) = self.segments.last_mut() else {
                return Ok(());
            };
            let Err(error) = last.sync() else {
                self.unsynced.clear();
                return Ok(());
            };
            self.abandon();
            if attempt == 1 {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether the system has everything that was appended: nothing that a failed sync may have lost is still to be written
    /// elsewhere.
    pub fn is_held(&self) -> bool {
        self.lost.is_empty() && self.unread.is_none()
    }

    /// Whether something waits for the disk.
    pub fn is_unsynced(&self) -> bool {
        !self.lost.is_empty() || self.segments.last().is_some_and(Segment::is_unsynced)
    }

    /// How many records were appended and may not be on the disk, at most.
    pub fn unsynced_records(&self) -> u64 {
        let lost = self.lost.iter().map(|frame| u64::from(frame.records));
        let last = self.segments.last().map_or(0, Segment::unsynced_numbers);
        lost.sum::<u64>() + last
    }

    /// The last segment failed to sync: whatever it lost must be written to a new one.
    fn abandon(&mut self) {
        self.is_writing = false;
        let Some(last) = self.segments.last_mut() else {
            return;
        };
        match self.settings.durability {
            Durability::Durable => {
                last.forget_unsynced();
                // It may have been written here because it was lost before, and not all of that was yet.
                self.lost.splice(..0, self.unsynced.drain(..));
            }
            Durability::Process => self.unread = Some(0),
        }
    }

    /// Reads from the last segment what it may have lost.
    fn read_unsynced(&mut self) -> io::Result<()> {
        let (Some(tries), Some(last)) = (self.unread, self.segments.last_mut()) else {
            return Ok(());
        };
        match last.unsynced() {
            Ok(frames) => {
                last.forget_unsynced();
                self.lost.splice(..0, frames.into_iter().map(Arc::new));
            }
            Err(error) if tries < UNREAD_TRIES => {
                self.unread = Some(tries + 1);
                return Err(error);
            }
            // It stays where it is, and may be read when it is needed.
            Err(_) => last.leave_unsynced(),
        }
        self.unread = None;
        Ok(())
    }

    fn write_lost(&mut self) -> io::Result<()> {
        self.read_unsynced()?;
        if self.lost.is_empty() {
            return Ok(());
        }
        while let Some(frame) = self.lost.first().cloned() {
            self.write(&frame)?;
            self.lost.remove(0);
        }
        for segment in &mut self.segments {
            segment.holds_lost = false;
        }
        Ok(())
    }

    fn write(&mut self, frame: &Arc<Frame>) -> io::Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = match self.writable(frame.first) {
            Ok(segment) => {
                let result = segment.append(frame, &mut scratch);
                self.finish(result)
            }
            Err(error) => Err(error),
        };
        if scratch.capacity() <= 1 << 20 {
            self.scratch = scratch;
        }
        result?;
        if self.settings.durability == Durability::Durable {
            self.unsynced.push(Arc::clone(frame));
        }
        Ok(())
    }

    fn finish(&mut self, result: Result<(), super::segment::Failed>) -> io::Result<()> {
        result.map_err(|failed| {
            self.is_writing &= failed.is_usable;
            failed.error
        })
    }

    /// The segment that the frame with the number `first` is appended to.
    fn writable(&mut self, first: u64) -> io::Result<&mut Segment> {
        let is_full = |last: &Segment| last.len >= self.settings.segment_bytes;
        let is_usable = self.is_writing;
        if !is_usable || self.segments.last().is_some_and(is_full) {
            // What stays behind in a file must not be waited for any more: also where the file can take no more because a
            // write failed.
            if let Some(last) = self.segments.last_mut() {
                if let Err(error) = last.sync() {
                    self.abandon();
                    return Err(error);
                }
                if is_usable {
                    last.close();
                } else {
                    last.finish();
                }
            }
            self.unsynced.clear();
            self.is_writing = false;
            let header = Header {
                kind: Kind::Records,
                uuid: (self.settings.new_uuid)(),
                origin: self.origin,
                first,
                created: super::now(),
            };
            let path = segment_path(&self.settings.folder, self.next_index);
            // A number that could not be used is not tried again: something may stand there.
            self.next_index += 1;
            let segment = Segment::create(&*self.fs, &path, header)?;
            self.segments.push(segment);
            self.is_writing = true;
        }
        let last = self.segments.len() - 1;
        Ok(&mut self.segments[last])
    }

    /// Notes how far an output is.
    ///
    /// # Errors
    /// When that is not written; it is tried again with the next call.
    pub fn advance(&mut self, route: &Arc<str>, progress: Progress) -> io::Result<()> {
        self.cursors.advance(route, progress)
    }

    /// Whether all outputs that `frame` names have its records.
    pub fn is_delivered(&self, frame: &Frame) -> bool {
        let range = frame.first..frame.end();
        let has = |name: &Arc<str>| {
            let progress = self.cursors.progress(name);
            progress.is_some_and(|progress| progress.covers(&range))
        };
        frame.routes.iter().all(has)
    }

    /// When a record counts as safe.
    pub fn durability(&self) -> Durability {
        self.settings.durability
    }
}

fn segment_path(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{index:016x}.wal"))
}
