//! Giving up open files to the next instance, and taking those of the last one.

use std::path::Path;
use std::sync::Arc;

use plugin::Handover;
use tokio::time::Instant;

use super::super::descriptor::Opened;
use super::super::file::Place;
use super::super::handover::{self, Handed};
use super::super::identity;
use super::super::parked::ParkedFile;
use super::Follower;
use super::discover::Entry;

impl Follower {
    /// Gives up every file: nothing of it is read or stored any more. Everything must be saved before.
    pub fn hand_over_files(&mut self) -> Handover {
        let mut files = Vec::new();
        for (_, mut file) in std::mem::take(&mut self.files) {
            files.push(Handed {
                position: file.position(),
                place: match file.place {
                    Place::Here => handover::Place::Here,
                    Place::Away(_) => handover::Place::Away,
                    Place::Deleted(_) => handover::Place::Deleted,
                },
                unpacked: file.stands_for.is_some(),
                file: file.descriptor.take(),
            });
        }
        if self.writer.is_none() {
            let parked = self.parked.take_all().into_iter();
            files.extend(parked.map(|parked| Handed {
                file: None,
                position: parked.position,
                place: handover::Place::Parked,
                unpacked: false,
            }));
        }
        handover::give(files, self.scanned)
    }

    /// Goes on with the files of the last instance.
    pub(super) fn take_over(&mut self, now: Instant) {
        for mut handed in std::mem::take(&mut self.handed) {
            let Some(open) = handed.file.take() else {
                if self.writer.is_none() {
                    let row = None;
                    let position = handed.position;
                    self.parked.add(ParkedFile { row, position });
                }
                continue;
            };
            match Opened::of(open) {
                Ok(opened) => self.take_over_file(opened, handed, now),
                Err(error) => self.tell_unreadable(&handed.position.name, &error),
            }
        }
    }

    fn take_over_file(&mut self, opened: Opened, handed: Handed, now: Instant) {
        let (place, is_unpacked) = (handed.place, handed.unpacked);
        let known = self.parked.take_row(&handed.position);
        let file = ParkedFile {
            row: known.or_else(|| self.new_row()),
            position: handed.position,
        };
        let entry = Entry {
            origin: Arc::<Path>::from(file.origin()),
            name: file.position.name.clone(),
            place: match place {
                handover::Place::Here => Place::Here,
                handover::Place::Away | handover::Place::Parked => Place::Away(now),
                handover::Place::Deleted => Place::Deleted(now),
            },
            at_start: place == handover::Place::Here,
        };
        let stands_for = is_unpacked.then(|| Box::new(file.position.clone()));
        let real = file.position.facts.as_ref().map(|facts| facts.path.clone());
        let verdict = match is_unpacked {
            true => identity::Verdict::Same,
            false => identity::judge(&file.position, &opened.file, &opened.metadata),
        };
        let number = self.resume(opened, entry, file, verdict, now);
        if let Some(file) = number.and_then(|number| self.files.get_mut(&number)) {
            file.stands_for = stands_for;
            if let (Some(real), Place::Deleted(_)) = (real, file.place) {
                file.real = real;
            }
        }
    }
}
