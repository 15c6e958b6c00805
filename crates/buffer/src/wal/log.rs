//! The log as such: see [`super`].

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{File, Fs};

use super::cursors::{Chunks, Cursors};
use super::format::{BadHeader, Frame, Header, Kind};
use super::progress::Progress;
use super::segment::{At, Opened, Segment, bytes_of};
use super::{Durability, Gap, NewerVersion, OpenError, Settings};

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
    scratch: Vec<u8>,
}

/// What was found at start.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Records that are not there any more.
    pub gaps: Vec<Gap>,
    /// What waits for each output that is named in the log, whether it still exists or not.
    pub waiting: HashMap<Arc<str>, Waiting>,
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
    /// When the folder cannot be used, or a newer version has used it.
    pub fn open(fs: Arc<dyn Fs>, settings: Settings) -> Result<(Log, Recovered), OpenError> {
        let no_folder = |error| OpenError::Folder {
            folder: settings.folder.clone(),
            error,
        };
        make_folder(&*fs, &settings.folder).map_err(no_folder)?;
        let indexes = segment_indexes(&*fs, &settings.folder).map_err(no_folder)?;
        refuse_newer(&*fs, &settings.folder, &indexes)?;
        let cursors = Cursors::open(&fs, &settings).map_err(no_folder)??;
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
            scratch: Vec::new(),
            settings,
        };
        let mut recovered = Recovered::default();
        for index in indexes {
            log.take_over(index, &mut recovered);
        }
        log.next = log.next.max(log.cursors.top());
        for segment in &log.segments {
            log.cursors.chunks.keep(&segment.chunks);
        }
        log.release();
        recovered.waiting = log.waiting();
        Ok((log, recovered))
    }

    /// Takes a segment of an earlier run over.
    fn take_over(&mut self, index: u64, recovered: &mut Recovered) {
        let path = segment_path(&self.settings.folder, index);
        let opened = match Segment::open(&*self.fs, &path, Kind::Records) {
            Ok(Ok(opened)) => opened,
            // It was never begun: nothing can be missing.
            Ok(Err(BadHeader::Short)) => return drop(self.fs.remove(&path)),
            Ok(Err(BadHeader::Damaged | BadHeader::Newer(_))) | Err(_) => {
                let beside = path.with_extension("damaged");
                let kept_in = self.fs.rename(&path, &beside).is_ok().then_some(beside);
                return recovered.gaps.push(Gap {
                    file: path,
                    numbers: None,
                    bytes: 0,
                    kept_in,
                });
            }
        };
        if !self.segments.is_empty() && opened.segment.header.first > self.next {
            let hole = self.next..opened.segment.header.first;
            let missing = self.cursors.released().missing(hole);
            for numbers in missing {
                // Told once. If that cannot be noted, the next start tells it again.
                let _ = self.cursors.release(numbers.clone(), &[]);
                recovered.gaps.push(Gap {
                    file: path.clone(),
                    numbers: Some(numbers),
                    bytes: 0,
                    kept_in: None,
                });
            }
        }
        self.put_damage_beside(opened, recovered);
    }

    fn put_damage_beside(&mut self, opened: Opened, recovered: &mut Recovered) {
        let Opened {
            mut segment,
            damages,
            holes,
        } = opened;
        let mut holes = holes.into_iter();
        for damage in damages {
            if damage.is_torn {
                // Nothing of it was ever acknowledged; should it stay, it is passed over.
                let _ = segment.truncate(&*self.fs);
                continue;
            }
            let beside = damaged_path(&segment.path, damage.bytes.start);
            let known = self.fs.open(&beside).is_ok();
            let kept = known || self.copy(&segment, &damage.bytes, &beside).is_ok();
            let is_last = damage.bytes.end > segment.len;
            if is_last && kept {
                let _ = segment.truncate(&*self.fs);
            }
            let numbers = if is_last { None } else { holes.next() };
            if !known {
                recovered.gaps.push(Gap {
                    file: segment.path.clone(),
                    numbers,
                    bytes: damage.bytes.end - damage.bytes.start,
                    kept_in: kept.then_some(beside),
                });
            }
        }
        self.next = self.next.max(segment.end);
        self.segments.push(segment);
    }

    fn copy(&self, segment: &Segment, bytes: &Range<u64>, to: &Path) -> io::Result<()> {
        let bytes = bytes_of(&*self.fs.open(&segment.path)?, bytes)?;
        let mut file = self.fs.create(to)?;
        file.append(&bytes)?;
        file.sync()?;
        self.fs.sync_dir(&self.settings.folder)
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

    /// Whether something waits for the disk.
    pub fn is_unsynced(&self) -> bool {
        !self.lost.is_empty() || self.segments.last().is_some_and(Segment::is_unsynced)
    }

    /// The last segment failed to sync: whatever it lost must be written to a new one.
    fn abandon(&mut self) {
        self.is_writing = false;
        let Some(last) = self.segments.last_mut() else {
            return;
        };
        let readable = last.forget_unsynced();
        self.lost = match self.settings.durability {
            Durability::Durable => std::mem::take(&mut self.unsynced),
            Durability::Process => readable.into_iter().map(Arc::new).collect(),
        };
    }

    fn write_lost(&mut self) -> io::Result<()> {
        while let Some(frame) = self.lost.first().cloned() {
            self.write(&frame)?;
            self.lost.remove(0);
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
        if self.is_writing && self.segments.last().is_some_and(is_full) {
            // What stays behind in a file must not be waited for any more.
            if let Some(last) = self.segments.last_mut()
                && let Err(error) = last.sync()
            {
                self.abandon();
                return Err(error);
            }
            self.unsynced.clear();
            self.is_writing = false;
        }
        if !self.is_writing {
            if let Some(last) = self.segments.last_mut() {
                last.finish();
            }
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

    /// The frames for `route` with numbers in `range`, until they have `bytes_max` bytes; at least one, if there is one.
    ///
    /// # Errors
    /// When the disk cannot be read. What is damaged is no error: it is told of and passed over.
    pub fn read(
        &self,
        route: &str,
        range: Range<u64>,
        bytes_max: usize,
    ) -> io::Result<StoredFrames> {
        let mut answer = StoredFrames {
            next: range.start,
            ..StoredFrames::default()
        };
        let mut reading = Reading {
            fs: &*self.fs,
            route,
            end: range.end,
            bytes_left: bytes_max,
            answer: &mut answer,
        };
        for segment in &self.segments {
            if !reading.read(segment)? {
                return Ok(answer);
            }
        }
        for frame in &self.lost {
            if !reading.take(Frame::clone(frame), self.origin) {
                return Ok(answer);
            }
        }
        answer.next = answer.next.max(range.end.min(self.next));
        Ok(answer)
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

    /// How many records of `range` are for `route`, and how many bytes they have.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn count(&self, route: &str, range: Range<u64>) -> io::Result<(u64, u64)> {
        let (mut records, mut bytes, mut from) = (0, 0, range.start);
        while from < range.end {
            let read = self.read(route, from..range.end, 1 << 20)?;
            for stored in &read.frames {
                let first = stored.frame.first.max(from);
                records += stored.frame.end().min(range.end).saturating_sub(first);
                bytes += stored.frame.stored_len();
            }
            from = read.next.max(from + 1);
        }
        Ok((records, bytes))
    }

    /// When a record counts as safe.
    pub fn durability(&self) -> Durability {
        self.settings.durability
    }

    /// The number after the last record for `route` in the oldest segment that has something for it from `from` on.
    pub fn end_of_oldest(&self, route: &str, from: u64) -> Option<u64> {
        let shares = self
            .segments
            .iter()
            .map(|segment| segment.routes.get(route));
        let mut ends = shares.flatten().map(|share| share.end);
        ends.find(|end| *end > from)
    }

    /// The lowest number that something is stored for.
    pub fn first(&self) -> u64 {
        let firsts = self.segments.iter().map(|segment| segment.header.first);
        firsts.min().unwrap_or(self.next)
    }

    /// Removes the segments that all their outputs are past, but for the one that is being written. Returns whether there
    /// were any.
    pub fn release(&mut self) -> bool {
        let writing = self.segments.len() - usize::from(self.is_writing);
        self.release_of(writing)
    }

    fn release_of(&mut self, count: usize) -> bool {
        let done: Vec<usize> = (0..count)
            .filter(|index| self.is_done(&self.segments[*index]))
            .collect();
        if done.is_empty() {
            return false;
        }
        for index in &done {
            let segment = &self.segments[*index];
            let range = segment.header.first..segment.end;
            // Should the disk be too full for this, removing the file makes room for it next time; until then a loss of
            // power would make the log tell of a gap that is none.
            let _ = self.cursors.release(range, &segment.chunks);
        }
        let _ = self.cursors.sync();
        for index in done.into_iter().rev() {
            let path = &self.segments[index].path;
            match self.fs.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                _ => drop(self.segments.remove(index)),
            }
        }
        true
    }

    fn is_done(&self, segment: &Segment) -> bool {
        let mut routes = segment.routes.iter();
        routes.all(|(name, share)| self.is_past(name, segment.header.first..share.end))
    }

    /// Whether an output is done with a range. What it has not answered for before that does not count: otherwise one
    /// record without an answer would hold everything behind it on the disk.
    fn is_past(&self, route: &str, range: Range<u64>) -> bool {
        let progress = self.cursors.progress(route);
        progress.is_some_and(|progress| progress.covers(&range))
    }

    /// Ends the log: what is done with goes, the rest is made safe.
    ///
    /// # Errors
    /// When something may not be safe.
    pub fn close(&mut self) -> io::Result<()> {
        let synced = self.sync();
        if synced.is_ok() {
            self.is_writing = false;
            self.release();
        }
        synced.and_then(|()| self.cursors.sync())
    }

    /// What lies in the log for each output.
    pub fn waiting(&self) -> HashMap<Arc<str>, Waiting> {
        let mut all: HashMap<Arc<str>, Waiting> = HashMap::new();
        for segment in &self.segments {
            for (name, share) in &segment.routes {
                if !self.is_past(name, segment.header.first..share.end) {
                    let waiting = all.entry(Arc::clone(name)).or_default();
                    waiting.records += share.records;
                    waiting.bytes += share.bytes;
                }
            }
        }
        all
    }

    /// How many segments there are, and how many bytes they have together.
    pub fn size(&self) -> (usize, u64) {
        let bytes = self.segments.iter().map(|segment| segment.len).sum();
        (self.segments.len(), bytes)
    }
}

/// A walk through the segments.
struct Reading<'a> {
    fs: &'a dyn Fs,
    route: &'a str,
    end: u64,
    bytes_left: usize,
    answer: &'a mut StoredFrames,
}

impl Reading<'_> {
    /// Reads on in `segment`. Returns whether the walk goes on behind it.
    fn read(&mut self, segment: &Segment) -> io::Result<bool> {
        let from = self.answer.next;
        if segment.end <= from {
            return Ok(true);
        }
        let share = segment.routes.get(self.route);
        if share.is_none_or(|share| share.end <= from) {
            self.answer.next = segment.end;
            return Ok(self.answer.next < self.end);
        }
        let file = match self.fs.open(&segment.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(self.pass_missing(segment));
            }
            file => file?,
        };
        let mut offset = segment.place_before(from);
        loop {
            match segment.look(&*file, offset, self.route, self.answer.next)? {
                At::End => {
                    self.answer.next = self.answer.next.max(segment.end);
                    return Ok(self.answer.next < self.end);
                }
                At::Other(end, next) => {
                    self.answer.next = self.answer.next.max(end);
                    offset = next;
                }
                At::Frame(frame, next) => {
                    if !self.take(frame, segment.header.origin) {
                        return Ok(false);
                    }
                    offset = next;
                }
                At::Damage => offset = self.pass_damage(segment, &*file, offset)?,
            }
            if self.answer.next >= self.end {
                return Ok(false);
            }
        }
    }

    /// Somebody has removed the file.
    fn pass_missing(&mut self, segment: &Segment) -> bool {
        self.answer.gaps.push(Gap {
            file: segment.path.clone(),
            numbers: Some(self.answer.next.max(segment.header.first)..segment.end),
            bytes: segment.len,
            kept_in: None,
        });
        self.answer.next = segment.end;
        self.answer.next < self.end
    }

    fn pass_damage(&mut self, segment: &Segment, file: &dyn File, offset: u64) -> io::Result<u64> {
        let next = segment.behind_damage(file, offset)?;
        let end = next.unwrap_or(segment.len);
        self.answer.gaps.push(Gap {
            file: segment.path.clone(),
            numbers: None,
            bytes: end - offset,
            kept_in: None,
        });
        Ok(end)
    }

    /// Adds a frame to the answer. Returns whether there is room for another.
    fn take(&mut self, frame: Frame, origin: [u8; 16]) -> bool {
        if frame.first >= self.end {
            self.answer.next = self.end;
            return false;
        }
        if frame.end() <= self.answer.next {
            return true;
        }
        self.answer.next = frame.end();
        if frame.routes.iter().any(|name| **name == *self.route) {
            self.bytes_left = self.bytes_left.saturating_sub(frame.body.len().max(1));
            self.answer.frames.push(Stored { frame, origin });
        }
        self.bytes_left > 0
    }
}

/// Makes the folder so that it survives a loss of power.
fn make_folder(fs: &dyn Fs, folder: &Path) -> io::Result<()> {
    fs.create_dir(folder)?;
    match folder.parent().map(|parent| fs.sync_dir(parent)) {
        // What may not even be opened cannot be synced; then it was there before.
        Some(Err(error)) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// A newer version's file anywhere means that nothing may be touched.
fn refuse_newer(fs: &dyn Fs, folder: &Path, indexes: &[u64]) -> Result<(), NewerVersion> {
    for index in indexes {
        let path = segment_path(folder, *index);
        let mut bytes = [0; super::format::HEADER];
        let read = fs.open(&path).and_then(|file| file.read_at(0, &mut bytes));
        if let Err(BadHeader::Newer(version)) =
            Header::read(&bytes[..read.unwrap_or(0)], Kind::Records)
        {
            return Err(NewerVersion { path, version });
        }
    }
    Ok(())
}

fn segment_path(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{index:016x}.wal"))
}

fn damaged_path(segment: &Path, offset: u64) -> PathBuf {
    segment.with_extension(format!("{offset:x}.damaged"))
}

fn segment_indexes(fs: &dyn Fs, folder: &Path) -> io::Result<Vec<u64>> {
    let names = fs.list(folder)?;
    let mut indexes: Vec<u64> = names
        .iter()
        .filter_map(|name| u64::from_str_radix(name.strip_suffix(".wal")?, 16).ok())
        .collect();
    indexes.sort_unstable();
    Ok(indexes)
}
