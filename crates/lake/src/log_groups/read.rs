//! Reading events of a group, a page at a time and in bounded memory.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::events;
use super::filter_pattern::FilterPattern;
use super::group::Group;
use super::index::Entry;
use super::page::{Direction, Event, Selection};
use super::position::Position;
use super::segment::{Sealed, entries_of, events_path, read_frame};

/// What is asked for.
#[derive(Debug)]
pub struct Query<'a> {
    /// The numbers of the log streams, sorted; all if not given.
    pub streams: Option<Vec<u64>>,
    /// The events lie behind this place,
    pub after: Position,
    /// and in front of this one.
    pub before: Position,
    /// Which of them come first.
    pub direction: Direction,
    /// How many there may be in an answer.
    pub limit: usize,
    /// How much is read before an answer has to be given with what was found so far.
    pub scan_bytes: u64,
    /// What they have to match.
    pub filter: Option<&'a FilterPattern>,
}

/// What was found.
#[derive(Debug)]
pub struct Page {
    /// Events in the order asked for.
    pub events: Vec<Event>,
    /// Where to go on, if there may be more.
    pub resume: Option<Position>,
}

/// A segment as it was when reading began.
struct Source {
    number: u64,
    oldest: i64,
    newest: i64,
    sealed: Sealed,
}

impl Group {
    /// Reads one page. Waits for the disk. What cannot be read is passed over and told of in the log.
    pub fn read(&self, query: &Query<'_>, now: i64) -> io::Result<Page> {
        let expired = self.definition().cutoff(now);
        let mut after = expired.map_or(query.after, |cutoff| {
            query
                .after
                .max(Position::behind_all_of(cutoff.saturating_sub(1)))
        });
        let mut before = query.before;
        if let Some(numbers) = &query.streams {
            let span = self.with_streams(|streams| streams.span(numbers));
            let Some((first, last)) = span else {
                return Ok(Page {
                    events: Vec::new(),
                    resume: None,
                });
            };
            after = after.max(Position::before_all_of(first));
            before = before.min(Position::behind_all_of(last));
        }
        let reading = Reading {
            group: self,
            query,
            after,
            before,
            moved: Cell::new(true),
        };
        loop {
            // A segment that went away while it was to be read has expired, or its events stand in another one now.
            reading.moved.set(false);
            let page = reading.page()?;
            if !reading.moved.get() {
                return Ok(page);
            }
        }
    }

    /// Segments with something between two times.
    fn sources(&self, from: i64, to: i64) -> Vec<Source> {
        let mut state = self.state();
        let mut sources: Vec<Source> = state
            .sealed
            .iter()
            .map(|(number, sealed)| (*number, sealed.clone()))
            .filter(|(_, sealed)| sealed.oldest <= to && sealed.newest >= from)
            .map(|(number, sealed)| Source {
                number,
                oldest: sealed.oldest,
                newest: sealed.newest,
                sealed,
            })
            .collect();
        for open in state.growing() {
            let within = |entry: &&Entry| entry.oldest <= to && entry.newest >= from;
            let entries: Vec<Entry> = open.entries.iter().filter(within).copied().collect();
            if !entries.is_empty() {
                let sealed = Sealed::new(&entries);
                sources.push(Source {
                    number: open.number,
                    oldest: sealed.oldest,
                    newest: sealed.newest,
                    sealed: Sealed {
                        entries: Some(Arc::new(entries)),
                        ..sealed
                    },
                });
            }
        }
        sources
    }
}

struct Reading<'a> {
    group: &'a Group,
    query: &'a Query<'a>,
    after: Position,
    before: Position,
    /// A segment was not there any more.
    moved: Cell<bool>,
}

impl Reading<'_> {
    fn page(&self) -> io::Result<Page> {
        let direction = self.query.direction;
        let mut selection = Selection::new(direction, self.query.limit);
        let mut sources = self
            .group
            .sources(self.after.timestamp, self.before.timestamp);
        sources.sort_unstable_by_key(|source| {
            direction.rank(self.first(source.oldest, source.newest))
        });
        let mut read = 0;
        for source in &sources {
            let first = self.first(source.oldest, source.newest);
            if !selection.wants(first) {
                break;
            }
            // Everything in front of this place was looked at: a page may end here, if it gets on.
            if read >= self.query.scan_bytes && self.advances(first) {
                selection.cut(first);
                let (events, _) = selection.finish();
                let resume = Some(self.resume(first));
                return Ok(Page { events, resume });
            }
            read += self.source(source, &mut selection)?;
        }
        let (events, more) = selection.finish();
        let resume = match more {
            true => events.last().map(|event| event.position),
            false => None,
        };
        Ok(Page { events, resume })
    }

    /// The first place in the direction at which a stretch of time can have an event.
    fn first(&self, oldest: i64, newest: i64) -> Position {
        match self.query.direction {
            Direction::Forward => Position::before_all_of(oldest),
            Direction::Backward => Position::behind_all_of(newest),
        }
    }

    /// Where to go on if `place` is the first that was not looked at.
    fn resume(&self, place: Position) -> Position {
        match self.query.direction {
            Direction::Forward => Position::behind_all_of(place.timestamp.saturating_sub(1)),
            Direction::Backward => Position::before_all_of(place.timestamp.saturating_add(1)),
        }
    }

    /// Whether going on at `place` is further than where this page began.
    fn advances(&self, place: Position) -> bool {
        match self.query.direction {
            Direction::Forward => self.resume(place) > self.after,
            Direction::Backward => self.resume(place) < self.before,
        }
    }

    /// Looks through a segment; gives the bytes that were read.
    fn source(&self, source: &Source, selection: &mut Selection) -> io::Result<u64> {
        let folder = &self.group.folder;
        let entries = match entries_of(folder, source.number, &source.sealed) {
            Ok(entries) => entries,
            Err(error) => return self.pass_over(source.number, error),
        };
        let mut entries = self.wanted(&entries);
        if entries.is_empty() {
            return Ok(0);
        }
        let direction = self.query.direction;
        entries
            .sort_unstable_by_key(|entry| direction.rank(self.first(entry.oldest, entry.newest)));
        let file = match File::open(events_path(folder, source.number)) {
            Ok(file) => file,
            Err(error) => return self.pass_over(source.number, error),
        };
        let mut read = 0;
        for entry in &entries {
            if !selection.wants(self.first(entry.oldest, entry.newest)) {
                break;
            }
            read += entry.length;
            match read_frame(&file, entry)? {
                Some(payload) => self.frame(&payload, entry, selection),
                None => self.tell_damage(source.number, entry),
            }
        }
        Ok(read)
    }

    fn tell_damage(&self, segment: u64, entry: &Entry) {
        self.group.meters.damaged_bytes.add(entry.length);
        self.group.logger.error(format_args!(
            "{}: {} events at byte {} of segment {segment} are damaged and are not served",
            self.group.name, entry.events, entry.offset
        ));
    }

    /// Passes over a segment that is known to be gone; it is an error if it should be there.
    fn pass_over(&self, number: u64, error: io::Error) -> io::Result<u64> {
        let gone = !self.group.state().sealed.contains_key(&number);
        if error.kind() == io::ErrorKind::NotFound && gone {
            self.moved.set(true);
            return Ok(0);
        }
        let message = format!("segment {number}: {error}");
        Err(io::Error::new(error.kind(), message))
    }

    /// Frames of streams that are asked for and still there, and of the right time.
    fn wanted(&self, entries: &[Entry]) -> Vec<Entry> {
        let (from, to) = (self.after.timestamp, self.before.timestamp);
        let state = self.group.state();
        let of_stream = |number: u64| match &self.query.streams {
            Some(streams) => streams.binary_search(&number).is_ok(),
            None => true,
        };
        entries
            .iter()
            .filter(|entry| entry.oldest <= to && entry.newest >= from && of_stream(entry.stream))
            .filter(|entry| state.streams.get(entry.stream).is_some())
            .copied()
            .collect()
    }

    fn frame(&self, payload: &[u8], entry: &Entry, selection: &mut Selection) {
        let Some((head, stored)) = events::decode(payload) else {
            return;
        };
        for (index, (timestamp, message)) in stored.enumerate() {
            let position = Position {
                timestamp,
                sequence: head.first_sequence + index as u64,
            };
            if position > self.after
                && position < self.before
                && selection.wants(position)
                && self
                    .query
                    .filter
                    .is_none_or(|filter| filter.matches(message))
            {
                selection.add(Event {
                    position,
                    ingested: head.ingested,
                    stream: entry.stream,
                    message: message.to_owned(),
                });
            }
        }
    }
}
