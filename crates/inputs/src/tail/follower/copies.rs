//! Copies that rotation makes of a file before it truncates it. What was read of the original is not read again from the
//! copy; what was not is read there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use buffer::positions::{Position, RowKey};
use tokio::time::Instant;

use super::super::descriptor::Opened;
use super::super::file::Place;
use super::super::identity;
use super::super::parked::ParkedFile;
use super::super::siblings;
use super::{Follower, Number, Phase};

/// A file that may be a copy in the making is looked at again after this time.
const DOUBT: Duration = Duration::from_secs(1);
/// A copy is whole when it was not changed for so long.
const QUIET: Duration = Duration::from_secs(2);

/// Files of which it cannot be told yet whether they are copies, and when they are looked at again.
#[derive(Default)]
pub(super) struct Doubtful(BTreeMap<PathBuf, Instant>);

impl Doubtful {
    /// When one of them is looked at next.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().min().copied()
    }
}

impl Follower {
    /// Whether a file that was just found is a copy of one that is followed, or may become one: then it is not read now.
    pub(super) fn is_copy(&mut self, opened: &Opened, path: &Path, now: Instant) -> bool {
        let Some(original) = self.original_of(path) else {
            return false;
        };
        let is_known = self.parked.has(opened.id());
        let holds = self
            .files
            .get(&original)
            .map(|file| file.holds_what_was_read());
        if let Some(Ok(false)) = holds {
            // The copy was made of what is not there any more: that is looked for now.
            self.content_replaced(original, now);
            let id = opened.id();
            if self.by_id.contains_key(&id) || self.parked.has(id) != is_known {
                return true;
            }
        }
        let Some(file) = self.files.get(&original) else {
            return false;
        };
        let len = opened.metadata.len();
        if len == 0 && !is_known {
            // Whose content it will get, nobody knows.
            self.doubtful.0.insert(path.to_owned(), now + DOUBT);
            return true;
        }
        let original_len = file.descriptor.metadata(&file.name).map_or(0, |m| m.len());
        let begins_alike = len <= original_len
            && file
                .descriptor
                .get(&file.name)
                .and_then(|original| identity::begin_alike(original, &opened.file, len))
                .unwrap_or(false);
        if !begins_alike || is_known {
            return false;
        }
        let is_quiet = opened.metadata.modified().is_ok_and(|modified| {
            let since = identity::file_time().duration_since(modified);
            since.is_ok_and(|since| since >= QUIET)
        });
        if is_quiet && len <= file.cursor.position() {
            self.setup.log.debug(format_args!(
                "{} is a copy of what was read of {}",
                path.display(),
                file.name.display()
            ));
            self.ignore(path, &opened.metadata);
        } else {
            self.doubtful.0.insert(path.to_owned(), now + DOUBT);
        }
        true
    }

    /// The followed file whose name `path` has with something behind it.
    fn original_of(&self, path: &Path) -> Option<Number> {
        let name = path.file_name()?;
        siblings::stems(name).find_map(|stem| {
            let number = *self.by_name.get(&path.with_file_name(stem))?;
            let file = self.files.get(&number)?;
            (file.place == Place::Here).then_some(number)
        })
    }

    /// Looks again at the files that may be copies.
    pub(super) fn look_at_doubtful(&mut self, now: Instant) {
        if self.doubtful.next().is_none_or(|next| next > now) {
            return;
        }
        for (path, due) in std::mem::take(&mut self.doubtful.0) {
            match due <= now {
                true => self.consider(&path, Phase::Again, now),
                false => drop(self.doubtful.0.insert(path, due)),
            }
        }
    }

    /// An uncompressed file beside `real` that holds a copy of what `position` describes, and its row if it has one.
    pub(super) fn find_copy(
        &mut self,
        real: &Path,
        position: &Position,
    ) -> Option<(Opened, PathBuf, Option<RowKey>)> {
        for sibling in siblings::beside(real).ok()? {
            if !siblings::may_be_copy(real, &sibling.path) {
                continue;
            }
            let Ok(opened) = self.open_file(&sibling.path) else {
                continue;
            };
            if self.by_id.contains_key(&opened.id()) || !identity::is_copy(position, &opened.file) {
                continue;
            }
            let known = self.parked.take(&opened.file, &opened.metadata, None);
            known.gone.into_iter().for_each(|row| self.remove_row(row));
            let row = known.found.and_then(|(file, _)| file.row);
            self.doubtful.0.remove(&sibling.path);
            return Some((opened, sibling.path, row));
        }
        None
    }

    /// Copies that end before the position: everything in them was read from the original.
    pub(super) fn settle_shorter_copies(&mut self, real: &Path, old: &Position) {
        let Some(head) = old.facts.as_ref().map(|facts| facts.head) else {
            return;
        };
        if head.is_none() {
            return;
        }
        for sibling in siblings::beside(real).unwrap_or_default() {
            if !siblings::may_be_copy(real, &sibling.path) {
                continue;
            }
            let Ok(opened) = self.open_file(&sibling.path) else {
                continue;
            };
            let len = opened.metadata.len();
            let is_shorter = len > 0 && len <= old.offset && u64::from(head.size) <= len;
            if is_shorter
                && identity::has_head(&opened.file, head)
                && !self.by_id.contains_key(&opened.id())
            {
                self.doubtful.0.remove(&sibling.path);
                self.ignore(&sibling.path, &opened.metadata);
            }
        }
    }

    /// Remembers that a file is known to its end.
    pub(super) fn ignore(&mut self, path: &Path, metadata: &std::fs::Metadata) {
        if self.parked.has(identity::FileId::of(metadata)) {
            return;
        }
        let file = ParkedFile::at_end(self.new_row(), path, metadata);
        self.write_parked(&file);
        self.parked.add(file);
    }
}
