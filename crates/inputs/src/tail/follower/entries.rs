//! What the kernel says about directories: names that appear, are moved and vanish. A file that is made and renamed between
//! two looks is found by following its names; whatever notices miss is found by the next scan.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::file::{Followed, Place};
use super::super::glob;
use super::super::siblings;
use super::super::watch::{Entry as Change, WatchId};
use super::resume::away;
use super::{Follower, Phase, RESCAN_DELAY, RESCAN_MIN};

/// How long a name that leads nowhere is kept in mind: the notice that it was moved may come next.
const ENTRY_WAIT: Duration = Duration::from_secs(1);

/// A name at which a file is expected.
#[derive(Clone, Debug)]
struct Expected {
    /// The name that its tag is made from.
    origin: Arc<Path>,
    /// It had that name and was renamed.
    renamed: bool,
    since: Instant,
}

/// What is known of directories.
#[derive(Default)]
pub(super) struct Entries {
    /// The watched ones, with the names that lead to them.
    directories: HashMap<WatchId, Vec<PathBuf>>,
    /// Names that appeared.
    appeared: BTreeMap<PathBuf, Expected>,
    /// Between the two halves of a move.
    moving: HashMap<u32, Expected>,
    /// Where symbolic links lead to, and their names.
    targets: HashMap<PathBuf, Arc<Path>>,
}

impl Entries {
    /// Whether some name is still to be looked at.
    pub fn is_expecting(&self) -> bool {
        !self.appeared.is_empty()
    }

    /// Forgets the link to a file that is not followed any more.
    pub fn forget_target(&mut self, file: &Followed) {
        if self.targets.get(&file.real) == Some(&file.origin) {
            self.targets.remove(&file.real);
        }
    }
}

impl Follower {
    /// Watches the directories of the patterns and those above them that a pattern leaves open, so that new files are found
    /// without waiting for the next scan.
    pub(super) fn watch_directories(&mut self, patterns: &[String]) {
        if self.watch.is_none() {
            return;
        }
        for pattern in patterns {
            let mut directory = siblings::directory(Path::new(pattern));
            loop {
                let found = directory.to_str().map(glob::matches);
                for path in found.and_then(Result::ok).unwrap_or_default() {
                    // Where it does not work there is still the scan.
                    let _ = self.watch_directory(path);
                }
                let is_open =
                    |path: &Path| path.as_os_str().to_string_lossy().contains(['*', '?', '[']);
                if !is_open(directory) {
                    break;
                }
                directory = siblings::directory(directory);
            }
        }
    }

    /// Watches the directory that a symbolic link leads into: what is rotated is the file behind it.
    pub(super) fn watch_target(&mut self, file: &Followed) {
        if self.watch.is_none() || file.place != Place::Here || file.real == *file.name {
            return;
        }
        self.entries
            .targets
            .insert(file.real.clone(), Arc::clone(&file.origin));
        let _ = self.watch_directory(siblings::directory(&file.real).to_owned());
    }

    fn watch_directory(&mut self, path: PathBuf) -> io::Result<()> {
        let Some(watch) = &self.watch else {
            return Ok(());
        };
        let id = watch.add_directory(&path)?;
        let names = self.entries.directories.entry(id).or_default();
        if !names.contains(&path) {
            names.push(path);
        }
        Ok(())
    }

    /// Looks for files again soon.
    pub(super) fn scan_soon(&mut self, now: Instant) {
        let soon = (now + RESCAN_DELAY).max(self.times.last_scan + RESCAN_MIN);
        self.times.scan = self.times.scan.min(soon);
    }

    /// A directory may have another name: what its name leads to now is found by looking.
    pub(super) fn directory_changed(&mut self, id: WatchId, now: Instant) {
        if self.entries.directories.contains_key(&id) {
            self.scan_soon(now);
        }
    }

    /// A directory is not watched any more.
    pub(super) fn directory_ended(&mut self, id: WatchId, now: Instant) {
        if self.entries.directories.remove(&id).is_some() {
            self.scan_soon(now);
        }
    }

    /// Takes in what happened to a name in a directory.
    pub(super) fn take_entry(
        &mut self,
        id: WatchId,
        name: &OsString,
        change: Change,
        now: Instant,
    ) {
        let Some(directories) = self.entries.directories.get(&id).cloned() else {
            return;
        };
        for directory in directories {
            let path = match directory == Path::new(".") {
                true => PathBuf::from(name),
                false => directory.join(name),
            };
            self.take_name(path, change, now);
        }
    }

    fn take_name(&mut self, path: PathBuf, change: Change, now: Instant) {
        let fresh = |origin| Expected {
            origin,
            renamed: false,
            since: now,
        };
        if !matches!(change, Change::Made | Change::Changed)
            && let Some(&number) = self.by_name.get(&path)
        {
            // Of a symbolic link that is gone its file has no notice.
            self.look_at(number);
            self.check_path(number, now);
        }
        match change {
            Change::Made | Change::Changed => {
                if let Some(origin) = self.origin_of(&path) {
                    self.entries.appeared.insert(path, fresh(origin));
                }
            }
            Change::MovedFrom(cookie) => {
                let expected = self.entries.appeared.remove(&path);
                let expected = expected.or_else(|| Some(fresh(self.origin_of(&path)?)));
                if let Some(expected) = expected {
                    self.entries.moving.insert(cookie, expected);
                }
            }
            Change::MovedTo(cookie) => {
                let moved = self
                    .entries
                    .moving
                    .remove(&cookie)
                    .map(|expected| Expected {
                        renamed: true,
                        ..expected
                    });
                let expected = moved.or_else(|| Some(fresh(self.origin_of(&path)?)));
                if let Some(expected) = expected {
                    self.entries.appeared.insert(path, expected);
                }
            }
            Change::Removed => {
                self.entries.appeared.remove(&path);
            }
        }
    }

    /// The name that the tag of a file at `path` is made from, if such a file is asked for.
    fn origin_of(&self, path: &Path) -> Option<Arc<Path>> {
        let options = &self.setup.options;
        let is_asked_for = self.setup.share.owns(path)
            && options.path.0.iter().any(|p| glob::finds(p, path))
            && !self.setup.exclusions.iter().any(|e| e.matches(path));
        match is_asked_for {
            true => Some(Arc::from(path)),
            false => self.entries.targets.get(path).cloned(),
        }
    }

    /// Looks at the names that appeared.
    pub(super) fn look_at_entries(&mut self, now: Instant) {
        let waited = |expected: &Expected| now.duration_since(expected.since) >= ENTRY_WAIT;
        self.entries.moving.retain(|_, expected| !waited(expected));
        for (path, expected) in std::mem::take(&mut self.entries.appeared) {
            let found = match expected.renamed {
                true => self.follow_renamed(&path, &expected, now),
                false => {
                    let exists = std::fs::symlink_metadata(&path).is_ok();
                    if exists {
                        self.consider(&expected.origin, Phase::Later, now);
                    }
                    exists
                }
            };
            if !found && !waited(&expected) {
                self.entries.appeared.insert(path, expected);
            }
        }
    }

    /// Follows what had a name that is asked for and was renamed before anybody looked. Whether something was found.
    fn follow_renamed(&mut self, path: &Path, expected: &Expected, now: Instant) -> bool {
        let Ok(opened) = self.open_file(path) else {
            return false;
        };
        if !self.is_new(&opened) || siblings::is_compressed(path) {
            return true;
        }
        let origin = Arc::clone(&expected.origin);
        let from_head = self.setup.options.read_newly_discovered_files_from_head
            || self.files.values().any(|file| file.origin == origin);
        let position = match from_head {
            true => 0,
            false => opened.metadata.len(),
        };
        self.tell_generation(&opened, path, &origin);
        let mut targets = self.entries.targets.iter();
        let real = targets
            .find(|(_, link)| **link == origin)
            .map(|(real, _)| real);
        let real = real.map_or_else(|| origin.to_path_buf(), PathBuf::clone);
        let number = self.add_new(opened, away(origin, path, now), position, now);
        self.was_at(number, &real);
        true
    }
}
