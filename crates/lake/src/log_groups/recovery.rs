//! Taking up a log group that an earlier run left behind.
//!
//! Nothing found here keeps a lake from starting. A torn end is cut off; it was never acknowledged. Damage is copied aside
//! and passed over. A stream that the list of streams lost is taken from its events.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::definition::Definition;
use super::events;
use super::group::{Found, Group};
use super::index::{Entry, Index};
use super::meters::LogMeters;
use super::segment::{
    Open, Scanned, Sealed, events_path, index_path, read_frame, remove, scan, set_aside,
};
use super::stream_log::{Change, StreamLog};
use super::streams::Streams;
use crate::delivered::Delivered;
use crate::durability::SyncMode;
use crate::log::Logger;

/// Takes up the group in `folder`; what was not as it should be is in the log.
pub fn open(
    folder: &Path,
    logger: Logger,
    meters: Arc<LogMeters>,
    sync: SyncMode,
) -> io::Result<Group> {
    let definition = Definition::load(folder)?;
    let recovery = Recovery {
        folder,
        name: &definition.name,
        logger: &logger,
        meters: &meters,
        sync,
        delivered: RefCell::default(),
    };
    recovery.load_delivered();
    let (segments, next_number) = recovery.segments()?;
    let (streams, stream_log) = recovery.streams(&segments)?;
    let mut found = Found {
        definition: definition.clone(),
        streams,
        stream_log,
        sealed: BTreeMap::new(),
        open: None,
        next_number,
        next_sequence: 1,
        delivered: recovery.delivered.take(),
    };
    for (number, segment) in segments {
        for entry in &segment.entries {
            found.streams.count(entry);
            found.next_sequence = found.next_sequence.max(entry.first_sequence + entry.events);
        }
        match segment.open_length {
            Some(length) => {
                found.open = Some(Open::taken_up(number, segment.entries, length));
            }
            None => drop(found.sealed.insert(number, Sealed::new(&segment.entries))),
        }
    }
    let group = Group::new(folder.to_owned(), found, logger, (meters, sync));
    Ok(group)
}

struct Segment {
    entries: Vec<Entry>,
    /// Its length, if it goes on taking events.
    open_length: Option<u64>,
}

struct Recovery<'a> {
    folder: &'a Path,
    name: &'a str,
    logger: &'a Logger,
    meters: &'a LogMeters,
    sync: SyncMode,
    delivered: RefCell<Delivered>,
}

impl Recovery<'_> {
    /// Reads what was delivered by segments that are not read any more.
    fn load_delivered(&self) {
        match Delivered::load(self.folder) {
            Ok((delivered, _)) => drop(self.delivered.replace(delivered)),
            Err(error) => self.logger.error(format_args!("{}: {error}", self.name)),
        }
    }

    /// Remembers what the frames of a segment claim; one that will not be read any more has it stored.
    fn remember(&self, scanned: &Scanned, goes_on: bool) -> io::Result<()> {
        let mut delivered = self.delivered.borrow_mut();
        let claims = scanned.claims.iter();
        claims.for_each(|(stream, claim)| delivered.add(*stream, claim));
        match goes_on || scanned.claims.is_empty() {
            true => Ok(()),
            false => delivered.store(self.folder, &[], self.sync),
        }
    }

    /// All segments that hold something, by number; and a number behind those of all files, readable or not.
    fn segments(&self) -> io::Result<(BTreeMap<u64, Segment>, u64)> {
        let mut numbers = Vec::new();
        for file in fs::read_dir(self.folder)? {
            let path = file?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let number = stem.and_then(|stem| stem.parse::<u64>().ok());
            match (
                number,
                path.extension().and_then(|extension| extension.to_str()),
            ) {
                (Some(number), Some("events")) => numbers.push(number),
                (Some(number), Some("index")) if events_path(self.folder, number).exists() => {}
                // What an interrupted rewriting left.
                (Some(_), Some("index" | "new" | "rewritten")) => fs::remove_file(path)?,
                _ => {}
            }
        }
        numbers.sort_unstable();
        let mut segments = BTreeMap::new();
        let mut replaced = HashSet::new();
        for number in &numbers {
            let newest = numbers.last() == Some(number);
            match self.segment(*number, newest, &mut replaced) {
                Ok(Some(segment)) => drop(segments.insert(*number, segment)),
                Ok(None) => {}
                Err(error) => self.logger.error(format_args!(
                    "{}: segment {number} cannot be read and is left alone: {error}",
                    self.name
                )),
            }
        }
        for number in replaced {
            if segments.remove(&number).is_some() {
                remove(self.folder, number)?;
            }
        }
        Ok((segments, numbers.last().map_or(1, |last| last + 1)))
    }

    fn segment(
        &self,
        number: u64,
        newest: bool,
        replaced: &mut HashSet<u64>,
    ) -> io::Result<Option<Segment>> {
        let path = events_path(self.folder, number);
        if let Ok(index) = Index::load(&index_path(self.folder, number))
            && index.segment_bytes == fs::metadata(&path)?.len()
        {
            replaced.insert(index.replaces);
            return Ok(Some(Segment {
                entries: index.entries,
                open_length: None,
            }));
        }
        let scanned = scan(&path)?;
        self.tell(&path, &scanned);
        for (offset, length) in &scanned.damaged {
            set_aside(&path, *offset, *length, &self.folder.join("quarantine"))?;
        }
        if scanned.entries.is_empty() {
            remove(self.folder, number)?;
            return Ok(None);
        }
        if scanned.torn > 0 {
            let file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(scanned.length)?;
            file.sync_all()?;
        } else {
            // It may have been acknowledged by a process that did not live to sync it.
            self.sync.file(&File::open(&path)?)?;
        }
        // One with damage is not gone on with, so that the damage is told of once.
        let goes_on = newest && scanned.damaged.is_empty();
        self.remember(&scanned, goes_on)?;
        if !goes_on {
            let index = index_path(self.folder, number);
            Index::store(&index, scanned.length, 0, &scanned.entries)?;
        }
        Ok(Some(Segment {
            entries: scanned.entries,
            open_length: goes_on.then_some(scanned.length),
        }))
    }

    fn tell(&self, path: &Path, scanned: &Scanned) {
        let (name, path) = (self.name, path.display());
        if scanned.torn > 0 {
            self.logger.warn(format_args!(
                "{name}: {path}: {} bytes of an unfinished write were cut off",
                scanned.torn
            ));
        }
        let damaged: u64 = scanned.damaged.iter().map(|(_, length)| length).sum();
        if damaged > 0 {
            self.meters.damaged_bytes.add(damaged);
            self.logger.error(format_args!(
                "{name}: {path}: {damaged} damaged bytes are not served and are kept in {}",
                self.folder.join("quarantine").display()
            ));
        }
    }

    /// The streams of the group: those in the list, and those that only events tell of.
    fn streams(&self, segments: &BTreeMap<u64, Segment>) -> io::Result<(Streams, StreamLog)> {
        let read = StreamLog::read(self.folder)?;
        for (offset, length) in &read.damaged {
            let path = StreamLog::path(self.folder);
            self.meters.damaged_bytes.add(*length);
            let kept = set_aside(&path, *offset, *length, &self.folder.join("quarantine"))?;
            self.logger.error(format_args!(
                "{}: the list of log streams is damaged; {length} bytes are kept in {}",
                self.name,
                kept.display()
            ));
        }
        let mut streams = Streams::default();
        let (mut listed, mut deleted) = (HashSet::new(), HashSet::new());
        for change in &read.changes {
            match change {
                Change::Created {
                    number,
                    name,
                    created,
                } => {
                    streams.add(*number, name, *created);
                    listed.insert(*number);
                }
                Change::Deleted { number } => {
                    streams.skip_number(*number);
                    streams.remove(*number);
                    deleted.insert(*number);
                }
            }
        }
        let mut mentioned = HashSet::new();
        for (number, segment) in segments {
            for entry in &segment.entries {
                streams.skip_number(entry.stream);
                let new = mentioned.insert(entry.stream);
                if new && streams.get(entry.stream).is_none() && !deleted.contains(&entry.stream) {
                    self.heal(&mut streams, *number, entry)?;
                }
            }
        }
        let forgettable = deleted.iter().any(|number| !mentioned.contains(number));
        let healed = mentioned
            .iter()
            .any(|number| streams.get(*number).is_some() && !listed.contains(number));
        if !forgettable && !healed && read.damaged.is_empty() {
            return Ok((streams, StreamLog::open(self.folder, read.length)?));
        }
        let created = streams.with_prefix("").map(|stream| Change::Created {
            number: stream.number,
            name: stream.name.to_string(),
            created: stream.created,
        });
        let deleted = deleted.intersection(&mentioned);
        let deleted = deleted.map(|&number| Change::Deleted { number });
        let changes: Vec<Change> = created.chain(deleted).collect();
        Ok((streams, StreamLog::rewrite(self.folder, &changes)?))
    }

    /// Adds a stream that only events tell of.
    fn heal(&self, streams: &mut Streams, segment: u64, entry: &Entry) -> io::Result<()> {
        let file = File::open(events_path(self.folder, segment))?;
        let payload = read_frame(&file, entry)?.unwrap_or_default();
        let name = events::decode(&payload).map_or("", |(head, _)| head.stream_name);
        let number = entry.stream;
        let name = match streams.find(name) {
            None if !name.is_empty() => name.to_owned(),
            _ => format!("{name}.recovered-{number}"),
        };
        self.logger.warn(format_args!(
            "{}: the log stream {name} was taken from its events",
            self.name
        ));
        streams.add(number, &name, entry.ingested);
        Ok(())
    }
}
