//! Reading in turns and handing over.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use record::{Batch, Budget, Origin, Permit};
use tokio::time::Instant;

use super::super::cursor::{Cursor, Limits, Means, Piece, Scratch, Step};
use super::super::descriptor;
use super::super::file::{Again, Followed, Look};
use super::super::lines::{Lines, LongCount};
use super::super::multiline::Reading;
use super::{CHUNK_MIN, Follower, Number, Pace, SLICE};

/// Between two attempts to hand over what was refused, at first and at most.
const AGAIN_FIRST: Duration = Duration::from_millis(250);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// When descriptors are short, so many are given up.
const SPARE: usize = 8;

/// How a file's turn ended.
enum Turn {
    /// So many bytes were read; there may be more.
    Read(usize),
    /// Everything was read.
    Done,
    NoRoom(usize),
}

impl Follower {
    /// Looks at the files that may have changed, then reads them in turns.
    pub(super) fn read_in_turns(&mut self, now: Instant) -> Pace {
        for number in std::mem::take(&mut self.to_look_at) {
            self.look(number, now);
        }
        let mut read = 0;
        while let Some(number) = self.to_read.pop_front() {
            match self.turn(number, now) {
                Turn::Read(bytes) => {
                    self.to_read.push_back(number);
                    read += bytes;
                    self.keep_descriptors_few();
                }
                Turn::Done => self.unqueue(number),
                Turn::NoRoom(bytes) => {
                    self.to_read.push_front(number);
                    return Pace::Starved(bytes);
                }
            }
            if read >= SLICE {
                return Pace::More;
            }
        }
        if read == 0 {
            return Pace::Idle;
        }
        self.rhythm.end(read);
        Pace::Active
    }

    /// Gives up descriptors when there are too many.
    pub(super) fn keep_descriptors_few(&mut self) {
        let excess = descriptor::excess(self.descriptor_limit);
        if excess > 0 {
            self.give_up_descriptors(excess + SPARE);
        }
    }

    fn look(&mut self, number: Number, now: Instant) {
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        file.flags.looked_for = false;
        match file.look(now) {
            Ok(Look::Fine) => {}
            Ok(Look::Replaced) => {
                self.content_replaced(number, now);
                return;
            }
            Err(error) => {
                self.tell_read_error(number, &error);
                return;
            }
        }
        if file.cursor.has_more() {
            self.queue(number);
        }
    }

    fn queue(&mut self, number: Number) {
        if let Some(file) = self.files.get_mut(&number)
            && !file.flags.queued
        {
            file.flags.queued = true;
            self.to_read.push_back(number);
        }
    }

    fn unqueue(&mut self, number: Number) {
        if let Some(file) = self.files.get_mut(&number) {
            file.flags.queued = false;
        }
    }

    fn turn(&mut self, number: Number, now: Instant) -> Turn {
        if self.refused.contains(&number) && self.again_at(number) <= now {
            return self.turn_again(number, now);
        }
        let Some(file) = self.files.get_mut(&number) else {
            return Turn::Done;
        };
        if self.state.stopping {
            return Turn::Done;
        }
        let position = file.cursor.position();
        let limits = limits(&self.limits, &self.setup.budget, file.bulk);
        let mut means = Room {
            spare: &mut self.spare_room,
            budget: &self.setup.budget,
            bulk: file.bulk,
        };
        let step = file
            .descriptor
            .get(&file.name)
            .and_then(|open| means.step(&mut self.scratch, &limits, open, &mut file.cursor));
        match step {
            Ok(Step::Lines(piece)) => {
                let bytes = piece.bytes.len();
                self.hand_over(number, piece, Reading::On);
                self.after_read(number, position, now);
                Turn::Read(bytes)
            }
            Ok(Step::Skipped(range)) => self.pass_over(number, range),
            Ok(Step::Dropped(range)) => {
                self.count(number, LongCount { dropped: 1, cut: 0 });
                self.pass_over(number, range)
            }
            Ok(Step::Searched) => Turn::Read(0),
            Ok(Step::End) => Turn::Done,
            Ok(Step::NoRoom(bytes)) => Turn::NoRoom(bytes),
            Ok(Step::Replaced) => {
                self.content_replaced(number, now);
                Turn::Done
            }
            Err(error) => {
                self.tell_read_error(number, &error);
                self.after_read_error(number, &error, now);
                Turn::Done
            }
        }
    }

    /// A descriptor that was given up could not be had again: others make room, or the file is looked for.
    fn after_read_error(&mut self, number: Number, error: &io::Error, now: Instant) {
        if descriptor::is_short(error) {
            self.give_up_descriptors(SPARE);
        } else if error.kind() == io::ErrorKind::NotFound {
            self.check_path(number, now);
        }
    }

    /// Positions that hold no record count as delivered.
    fn pass_over(&mut self, number: Number, range: Range<u64>) -> Turn {
        let bytes = (range.end - range.start) as usize;
        if let Some(file) = self.files.get_mut(&number) {
            file.ledger.skip(range);
            file.flags.owing = true;
        }
        Turn::Read(bytes)
    }

    /// Makes batches of what was read and puts them on the road.
    fn hand_over(&mut self, number: Number, mut piece: Piece, reading: Reading) {
        if piece.is_cut && !self.limits.long_lines.drops_rest() {
            self.counters.long_split.add(1);
            self.tell_long_lines(number, "Splitting");
        }
        while !piece.covers.is_empty() {
            let Some(file) = self.files.get_mut(&number) else {
                return;
            };
            file.flags.read_on |= reading == Reading::On;
            // What an earlier run has left comes before everything else, and may belong to it.
            let reading = match file.flags.read_on {
                true => reading,
                false => Reading::On,
            };
            self.lines.begin(number, reading);
            let (mut batch, count, used) = batch_of(&mut self.lines, file, &piece, &self.setup);
            batch = batch.with_noticed(self.rhythm.noticed_at());
            let is_all = used == piece.bytes.len();
            let end = match is_all {
                true => piece.covers.end,
                false => piece.first + used as u64,
            };
            let covers = piece.covers.start..end;
            file.flags.owing = true;
            self.state.owing = true;
            if self.lines.multiline.is_some() {
                batch = batch.with_origin(file.source().unwrap_or(Origin::NONE));
                let permit = piece.permit.split(batch.footprint());
                let last = is_all && reading == Reading::LastAgain;
                let obligation = file.ledger.open(covers);
                let path = Arc::clone(&file.origin);
                self.hand_over_joined(batch.with_permit(permit), obligation, &path, last);
            } else if batch.is_empty() {
                file.ledger.skip(covers);
            } else {
                let footprint = batch.footprint();
                // By what is in it: the room that an earlier batch has left says nothing about this file.
                file.bulk = batch.used() as f32 / piece.bytes.len() as f32;
                let permit = piece.permit.split(footprint);
                let origin = file.source().unwrap_or(Origin::NONE);
                let batch = batch.with_origin(origin);
                let batch = batch.with_obligation(file.ledger.open(covers));
                self.emitter.emit(batch.with_permit(permit));
            }
            self.count(number, count);
            if is_all {
                return;
            }
            piece = piece.skip(used);
        }
    }

    fn after_read(&mut self, number: Number, before: u64, now: Instant) {
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        file.note_head();
        file.flags.trouble_told = false;
        if !self.setup.options.file_cache_advise {
            return;
        }
        let read = (before, file.cursor.position());
        let told = file.advice.after_read(read, file.modified, now);
        if let (Some(to), Some(held)) = (told.and_then(NonZeroU64::new), file.descriptor.held()) {
            // Only advice: it changes nothing if it is not taken.
            let _ = rustix::fs::fadvise(held, 0, Some(to), rustix::fs::Advice::DontNeed);
        }
    }

    fn count(&mut self, number: Number, count: LongCount) {
        if count == LongCount::default() {
            return;
        }
        self.counters.long_skipped.add(count.dropped);
        self.counters.dropped_long.add(count.dropped);
        self.counters.long_truncated.add(count.cut);
        match count.dropped {
            0 => self.tell_long_lines(number, "Truncating"),
            _ => self.tell_long_lines(number, "Skipping"),
        }
    }

    fn tell_long_lines(&mut self, number: Number, what: &str) {
        if let Some(file) = self.files.get_mut(&number)
            && !file.flags.long_line_told
        {
            file.flags.long_line_told = true;
            self.setup.log.warn(format_args!(
                "file={} have long lines. {what} long lines.",
                file.name.display()
            ));
        }
    }

    fn tell_read_error(&mut self, number: Number, error: &io::Error) {
        if let Some(file) = self.files.get_mut(&number)
            && !file.flags.trouble_told
        {
            file.flags.trouble_told = true;
            self.setup.log.error(format_args!(
                "error reading {}: {error}; tried again at every check",
                file.name.display()
            ));
        }
    }

    /// Finds out what was answered since the last time.
    pub(super) fn take_answers(&mut self, now: Instant) {
        if self.answers.came.swap(false, Ordering::AcqRel) {
            self.state.owing = false;
            let owing = self.files.iter().filter(|(_, file)| file.flags.owing);
            let numbers: Vec<Number> = owing.map(|(number, _)| *number).collect();
            for number in numbers {
                self.take_answers_of(number, now);
            }
            self.settle_orphans();
        }
        let due: Vec<Number> = self.refused.iter().copied().collect();
        for number in due {
            if self.again_at(number) <= now {
                self.queue(number);
            }
        }
    }

    fn take_answers_of(&mut self, number: Number, now: Instant) {
        self.mark_unsaved(number);
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        file.flags.owing = !file.ledger.is_settled();
        if !file.flags.owing {
            file.again = Again::default();
        } else if !self.refused.contains(&number) && !file.ledger.refused().is_empty() {
            let wait = match file.again.times {
                0 => Duration::ZERO,
                times => (AGAIN_FIRST * 2_u32.pow(times.min(10))).min(AGAIN_MAX),
            };
            file.again = Again {
                times: file.again.times + 1,
                after: Some(now + wait),
                done_to: 0,
            };
            self.refused.insert(number);
        }
        self.state.owing |= file.flags.owing;
    }

    /// When what was refused of a file may be handed over again.
    pub(super) fn again_at(&self, number: Number) -> Instant {
        let file = self.files.get(&number);
        file.and_then(|file| file.again.after)
            .unwrap_or_else(Instant::now)
    }

    /// Hands over again the next piece of what was refused.
    fn turn_again(&mut self, number: Number, now: Instant) -> Turn {
        let Some(file) = self.files.get_mut(&number) else {
            self.refused.remove(&number);
            return Turn::Done;
        };
        let done_to = file.again.done_to;
        let refused = file.ledger.refused().into_iter();
        let next = refused
            .map(|range| range.start.max(done_to)..range.end)
            .find(|range| !range.is_empty());
        let Some(range) = next else {
            // Whatever was refused once more in the meantime has to wait.
            self.refused.remove(&number);
            self.answers.came.store(true, Ordering::Release);
            return Turn::Read(0);
        };
        let range = match file.ends_at {
            Some(end) if range.end > end => {
                let lost = range.start.max(end)..range.end;
                self.give_up_truncated(number, &lost);
                return Turn::Read(0);
            }
            _ => range,
        };
        match file.holds_what_was_read() {
            Ok(true) => {}
            Ok(false) => {
                self.refused.remove(&number);
                self.content_replaced(number, now);
                return Turn::Done;
            }
            Err(error) => {
                file.again.after = Some(now + AGAIN_FIRST);
                self.tell_read_error(number, &error);
                self.after_read_error(number, &error, now);
                return Turn::Done;
            }
        }
        let end = range.end;
        let mut cursor = Cursor::over(range);
        loop {
            let Some(file) = self.files.get_mut(&number) else {
                return Turn::Done;
            };
            let limits = limits(&self.limits, &self.setup.budget, file.bulk);
            let mut means = Room {
                spare: &mut self.spare_room,
                budget: &self.setup.budget,
                bulk: file.bulk,
            };
            let step = file
                .descriptor
                .get(&file.name)
                .and_then(|open| means.step(&mut self.scratch, &limits, open, &mut cursor));
            let position = cursor.position();
            match step {
                Ok(Step::Lines(piece)) => {
                    file.again.done_to = position;
                    let bytes = piece.bytes.len();
                    let reading = match piece.covers.end >= end {
                        true => Reading::LastAgain,
                        false => Reading::Again,
                    };
                    self.hand_over(number, piece, reading);
                    return Turn::Read(bytes);
                }
                Ok(Step::Skipped(range) | Step::Dropped(range)) => {
                    file.again.done_to = position;
                    file.ledger.skip(range);
                }
                Ok(Step::Searched) => {}
                Ok(Step::End) => return Turn::Read(0),
                Ok(Step::NoRoom(bytes)) => return Turn::NoRoom(bytes),
                Ok(Step::Replaced) => {
                    self.refused.remove(&number);
                    self.content_replaced(number, now);
                    return Turn::Done;
                }
                Err(error) => {
                    file.again.after = Some(now + AGAIN_MAX);
                    self.tell_read_error(number, &error);
                    return Turn::Done;
                }
            }
        }
    }

    /// A range that was refused is in no file any more.
    fn give_up_truncated(&mut self, number: Number, range: &Range<u64>) {
        if let Some(file) = self.files.get(&number) {
            let (log, ledger) = (&self.setup.log, Arc::clone(&file.ledger));
            give_up(log, &self.counters, &ledger, range.clone(), &file.name);
        }
    }

    /// What was refused of a content that is gone cannot be read again.
    fn settle_orphans(&mut self) {
        let orphans = std::mem::take(&mut self.orphans);
        for orphan in orphans {
            for range in orphan.ledger.refused() {
                give_up(
                    &self.setup.log,
                    &self.counters,
                    &orphan.ledger,
                    range,
                    &orphan.name,
                );
            }
            if !orphan.ledger.is_settled() {
                self.orphans.push(orphan);
            }
        }
    }
}

/// Counts a range that was refused and cannot be read again.
fn give_up(
    log: &plugin::Log,
    counters: &super::Counters,
    ledger: &Arc<record::Ledger>,
    range: Range<u64>,
    name: &std::path::Path,
) {
    log.error(format_args!(
        "bytes {}..{} of {} were refused and cannot be read again: the file was truncated",
        range.start,
        range.end,
        name.display()
    ));
    counters.dropped_truncated.add(1);
    ledger.skip(range);
}

/// A batch of the first lines of a piece, what was left out, and how many bytes they are.
fn batch_of(
    lines: &mut Lines,
    file: &Followed,
    piece: &Piece,
    setup: &super::Setup,
) -> (Batch, LongCount, usize) {
    let make = |lines: &mut Lines| {
        let mut batch = Batch::new(file.tag.clone(), piece.bytes.clone());
        let (count, used) = lines.append(&mut batch, piece, &file.origin);
        (batch, count, used)
    };
    match catch_unwind(AssertUnwindSafe(|| make(lines))) {
        Ok(made) => made,
        Err(_) => {
            // A parser must not fail on any text. If one does, its lines are kept whole.
            setup.log.error(format_args!(
                "the parser panicked on lines of {}; they are kept whole",
                file.name.display()
            ));
            let made = make(&mut Lines::new(&setup.options, None));
            *lines = super::lines(setup);
            made
        }
    }
}

/// A batch takes a part of the memory that is one of so many, half as much again once filters are done with it: while one is
/// made, the requests of others are under way. With fewer parts the router and the service would wait for each other.
const PARTS: f32 = 6.0;

/// How much of a file is read at once: less, if a batch of it would take much of the memory limit.
fn limits(limits: &Limits, budget: &Budget, bulk: f32) -> Limits {
    let chunk = match budget.window() {
        0 => limits.chunk,
        limit => (limit as f32 / PARTS / bulk.max(1.0)) as usize,
    };
    Limits {
        chunk: chunk.clamp(CHUNK_MIN, limits.chunk),
        ..*limits
    }
}

/// The memory that reads may take.
struct Room<'a> {
    /// What was waited for.
    spare: &'a mut Option<Permit>,
    budget: &'a Arc<Budget>,
    /// How much more than its bytes a batch takes.
    bulk: f32,
}

impl Room<'_> {
    fn step(
        &mut self,
        scratch: &mut Scratch,
        limits: &Limits,
        file: &File,
        cursor: &mut Cursor,
    ) -> io::Result<Step> {
        let mut room = |bytes: usize| self.take(bytes);
        let mut means = Means {
            room: &mut room,
            scratch,
        };
        let step = cursor.step(file, limits, &mut means)?;
        Ok(match step {
            Step::NoRoom(bytes) => Step::NoRoom(self.needed(bytes)),
            other => other,
        })
    }

    fn take(&mut self, bytes: usize) -> Option<Permit> {
        let needed = self.needed(bytes);
        match self.spare.take() {
            Some(mut permit) if permit.bytes() >= needed => {
                permit.resize(needed);
                Some(permit)
            }
            _ => self.budget.try_take(needed),
        }
    }

    fn needed(&self, bytes: usize) -> usize {
        (bytes as f32 * self.bulk.max(1.0)) as usize
    }
}
