//! What a group does by itself: it gives back the room of events that have expired or whose stream was deleted.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::group::Group;
use super::index::{Entry, Index};
use super::segment::{Sealed, entries_of, events_path, index_path, read_frame, remove, set_aside};
use crate::streams::frame::{self, Kind};

impl Group {
    /// Looks after the group at `now`. Waits for the disk. What fails is tried again the next time.
    pub fn look_after(&self, now: i64) {
        if self.has_unsynced() {
            self.sync();
        }
        self.rest();
        let outcome = self.expire(now).and_then(|()| self.reclaim());
        if let Err(error) = outcome {
            self.logger.warn(format_args!(
                "{}: room cannot be given back yet: {error}",
                self.name
            ));
        }
    }

    /// Closes the file of a group to which nothing was appended for a while.
    fn rest(&self) {
        let mut state = self.state();
        if state.idle
            && let Some(open) = state.open.as_mut().filter(|open| open.is_durable())
        {
            open.file = None;
        }
        state.idle = true;
    }

    /// Removes segments of which every event has expired.
    fn expire(&self, now: i64) -> io::Result<()> {
        let Some(cutoff) = self.definition().cutoff(now) else {
            return Ok(());
        };
        let expired: Vec<(u64, Sealed)> = {
            let mut state = self.state();
            let open = state.open.take_if(|open| {
                open.is_durable()
                    && !open.entries.is_empty()
                    && open.entries.iter().all(|entry| entry.newest < cutoff)
            });
            let sealed = state.sealed.iter();
            let mut expired: Vec<(u64, Sealed)> = sealed
                .filter(|(_, sealed)| sealed.newest < cutoff)
                .map(|(number, sealed)| (*number, sealed.clone()))
                .collect();
            if let Some(open) = open {
                let sealed = Sealed {
                    entries: Some(Arc::new(open.entries)),
                    oldest: i64::MIN,
                    newest: cutoff - 1,
                };
                // Until it is removed it is a segment like others.
                state.sealed.insert(open.number, sealed.clone());
                expired.push((open.number, sealed));
            }
            expired
        };
        for (number, sealed) in expired {
            let entries = entries_of(&self.folder, number, &sealed)?;
            self.forget(number, &sealed)?;
            let mut state = self.state();
            entries
                .iter()
                .for_each(|entry| state.streams.discount(entry));
        }
        Ok(())
    }

    /// Removes a segment; readers that had it in view look again.
    fn forget(&self, number: u64, sealed: &Sealed) -> io::Result<()> {
        self.state().sealed.remove(&number);
        let removed = remove(&self.folder, number);
        if removed.is_err() {
            self.state().sealed.insert(number, sealed.clone());
        }
        removed
    }

    /// Removes segments whose streams were all deleted, and writes those anew that are mostly of deleted streams.
    fn reclaim(&self) -> io::Result<()> {
        let sealed: Vec<(u64, Sealed)> = {
            let mut state = self.state();
            if !std::mem::take(&mut state.reclaimable) {
                return Ok(());
            }
            let sealed = state.sealed.iter();
            sealed
                .map(|(number, sealed)| (*number, sealed.clone()))
                .collect()
        };
        let outcome = sealed
            .iter()
            .try_for_each(|(number, sealed)| self.reclaim_segment(*number, sealed));
        if outcome.is_err() {
            self.state().reclaimable = true;
        }
        outcome
    }

    fn reclaim_segment(&self, number: u64, sealed: &Sealed) -> io::Result<()> {
        let entries = entries_of(&self.folder, number, sealed)?;
        let live: Vec<Entry> = {
            let state = self.state();
            let live = entries
                .iter()
                .filter(|entry| state.streams.get(entry.stream).is_some());
            live.copied().collect()
        };
        let bytes = |entries: &[Entry]| entries.iter().map(|entry| entry.length).sum::<u64>();
        if live.is_empty() {
            self.forget(number, sealed)?;
        } else if bytes(&live) * 2 <= bytes(&entries) {
            self.rewrite(number, &live)?;
        }
        Ok(())
    }

    /// Keeps a damaged frame where somebody can look at it.
    fn lose(&self, number: u64, entry: &Entry) -> io::Result<()> {
        let path = events_path(&self.folder, number);
        let quarantine = self.folder.join("quarantine");
        let kept = set_aside(&path, entry.offset, entry.length, &quarantine)?;
        self.meters.damaged_bytes.add(entry.length);
        self.logger.error(format_args!(
            "{}: {} events are damaged; they are kept in {}",
            self.name,
            entry.events,
            kept.display()
        ));
        self.state().streams.discount(entry);
        Ok(())
    }

    /// Puts a new segment with the frames of `live` in the place of segment `number`.
    fn rewrite(&self, number: u64, live: &[Entry]) -> io::Result<()> {
        let new = {
            let mut state = self.state();
            state.next_number += 1;
            state.next_number - 1
        };
        let source = File::open(events_path(&self.folder, number))?;
        let path = events_path(&self.folder, new);
        // It gets its name with its index already there: at no time are both segments valid.
        let temporary = path.with_extension("rewritten");
        let mut file = File::create(&temporary)?;
        let mut entries = Vec::with_capacity(live.len());
        let mut length = 0;
        for entry in live {
            let Some(payload) = read_frame(&source, entry)? else {
                self.lose(number, entry)?;
                continue;
            };
            file.write_all(&frame::header(Kind::Records, entry.events as u32, &payload))?;
            file.write_all(&payload)?;
            entries.push(Entry {
                offset: length,
                ..*entry
            });
            length += entry.length;
        }
        file.sync_all()?;
        Index::store(&index_path(&self.folder, new), length, number, &entries)?;
        std::fs::rename(&temporary, &path)?;
        File::open(&self.folder)?.sync_all()?;
        {
            let mut state = self.state();
            state.sealed.remove(&number);
            state.sealed.insert(new, Sealed::new(&entries));
        }
        remove(&self.folder, number)
    }
}
