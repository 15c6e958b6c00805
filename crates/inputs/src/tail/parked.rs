//! Files whose position is known but which are not open: rows of an earlier run, rotated files that are done with, files that
//! are too old.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

use buffer::positions::{Facts, Fingerprint, Position, RowKey};

use super::identity::{FileId, Verdict, birth, judge};
use super::siblings;

/// A file that is not open.
#[derive(Clone, Debug)]
pub struct ParkedFile {
    /// Its row in the database.
    pub row: Option<RowKey>,
    /// How far it was delivered.
    pub position: Position,
}

/// All of them, by inode and then the newest first.
#[derive(Debug, Default)]
pub struct Parked {
    files: BTreeMap<(u64, u64), ParkedFile>,
    next: u64,
}

/// What is known about a file that was found.
#[derive(Debug, Default)]
pub struct Known {
    /// Its position, and whether the content is still the same.
    pub found: Option<(ParkedFile, Verdict)>,
    /// Rows whose files are gone for certain: their inode belongs to the one that was found.
    pub gone: Vec<Option<RowKey>>,
}

/// Where a parked file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// Under the name that it had.
    SameName,
    /// Under another name in the same directory.
    Renamed(PathBuf),
    /// Nowhere, and its directory says so.
    Gone,
    /// It cannot be told: its directory is not readable or may not be mounted.
    Unknown,
}

impl Parked {
    /// Adds a file. Of several with the same inode, the one added first counts as the newest.
    pub fn add(&mut self, file: ParkedFile) {
        self.files.insert((file.position.inode, self.next), file);
        self.next += 1;
    }

    /// Takes out the row of a file of which a newer position is known.
    pub fn take_row(&mut self, newer: &Position) -> Option<RowKey> {
        let birth = |position: &Position| position.facts.as_ref().and_then(|facts| facts.birth);
        let is_it = |position: &Position| {
            position.offset == newer.offset && birth(position) == birth(newer)
        };
        let key = self
            .with_inode(newer.inode)
            .find(|(_, file)| is_it(&file.position))
            .map(|(key, _)| *key)?;
        self.files.remove(&key)?.row
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ParkedFile> {
        self.files.values()
    }

    /// Takes all out, to be judged one by one.
    pub fn take_all(&mut self) -> Vec<ParkedFile> {
        std::mem::take(&mut self.files).into_values().collect()
    }

    /// Whether a file with this inode is among them, on this device as far as that is known.
    pub fn has(&self, id: FileId) -> bool {
        self.with_inode(id.inode)
            .any(|(_, file)| device(file).is_none_or(|device| device == id.device))
    }

    /// Whether such a file is among them and has more than was delivered of it.
    pub fn has_unread(&self, metadata: &Metadata) -> bool {
        let id = FileId::of(metadata);
        let is_it = |file: &ParkedFile| device(file).is_none_or(|device| device == id.device);
        self.with_inode(id.inode)
            .any(|(_, file)| is_it(file) && metadata.len() > file.position.offset)
    }

    /// Takes out what is known about an open file. `name` is given if the stored name has to be the same.
    pub fn take(&mut self, file: &File, metadata: &Metadata, name: Option<&Path>) -> Known {
        let id = FileId::of(metadata);
        let mut known = Known::default();
        let mut best: Option<((u64, u64), Verdict)> = None;
        let mut gone = Vec::new();
        for (&key, parked) in self.with_inode(id.inode) {
            let verdict = match name {
                Some(name) if parked.position.name != name => Verdict::OtherFile,
                _ => judge(&parked.position, file, metadata),
            };
            match verdict {
                // On another device it may well exist.
                Verdict::OtherFile if device(parked).is_none_or(|d| d == id.device) => {
                    gone.push(key)
                }
                Verdict::OtherFile => {}
                Verdict::Same if best.is_none_or(|(_, verdict)| verdict != Verdict::Same) => {
                    best = Some((key, verdict));
                }
                Verdict::NewContent if best.is_none() => best = Some((key, verdict)),
                Verdict::Same | Verdict::NewContent => {}
            }
        }
        for key in gone {
            known
                .gone
                .extend(self.files.remove(&key).map(|parked| parked.row));
        }
        known.found = best.and_then(|(key, verdict)| Some((self.files.remove(&key)?, verdict)));
        known
    }

    fn with_inode(&self, inode: u64) -> impl Iterator<Item = (&(u64, u64), &ParkedFile)> {
        self.files.range((inode, 0)..=(inode, u64::MAX))
    }
}

fn device(file: &ParkedFile) -> Option<u64> {
    file.position.facts.as_ref().map(|facts| facts.device)
}

impl ParkedFile {
    /// A file of which nothing up to its end is wanted.
    pub fn at_end(row: Option<RowKey>, path: &Path, metadata: &Metadata) -> ParkedFile {
        let id = FileId::of(metadata);
        let facts = Facts {
            origin: path.to_owned(),
            path: std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            device: id.device,
            birth: birth(metadata),
            ..Facts::default()
        };
        ParkedFile {
            row,
            position: Position {
                name: path.to_owned(),
                inode: id.inode,
                offset: metadata.len(),
                rotated: false,
                marker: Fingerprint::NONE,
                facts: Some(facts),
            },
        }
    }

    /// The name that its tag is made from.
    pub fn origin(&self) -> &Path {
        match &self.position.facts {
            Some(facts) => &facts.origin,
            None => &self.position.name,
        }
    }

    /// Its path without symbolic links, as far as that is known.
    pub fn real(&self) -> PathBuf {
        match &self.position.facts {
            Some(facts) => facts.path.clone(),
            None => std::fs::canonicalize(&self.position.name)
                .unwrap_or_else(|_| self.position.name.clone()),
        }
    }

    /// Whether `metadata` may be about this file.
    pub fn may_be(&self, metadata: &Metadata) -> bool {
        let id = FileId::of(metadata);
        id.inode == self.position.inode && device(self).is_none_or(|device| device == id.device)
    }

    /// Looks for it.
    pub fn find(&self) -> Whereabouts {
        let name = &self.position.name;
        match std::fs::metadata(name) {
            Ok(metadata) if self.may_be(&metadata) => return Whereabouts::SameName,
            _ => {}
        }
        let real = self.real();
        let mut readable = false;
        for path in [&real, name] {
            let Ok(siblings) = siblings::beside(path) else {
                continue;
            };
            readable = true;
            let mut same = siblings
                .into_iter()
                .filter(|sibling| sibling.inode == self.position.inode);
            if let Some(found) = same.find(|sibling| self.is_at(&sibling.path)) {
                return Whereabouts::Renamed(found.path);
            }
        }
        match self.is_gone(&real, readable) {
            true => Whereabouts::Gone,
            false => Whereabouts::Unknown,
        }
    }

    fn is_at(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|metadata| self.may_be(&metadata))
    }

    /// It was not found. It is gone if its directory could be read, or was removed itself, and is not merely a mount point
    /// whose device is away.
    fn is_gone(&self, real: &Path, readable: bool) -> bool {
        let Some(device) = device(self) else {
            return readable;
        };
        if !readable && siblings::directory(real).exists() {
            return false;
        }
        real.ancestors()
            .skip(1)
            .find_map(|directory| match std::fs::metadata(directory) {
                Ok(metadata) => Some(FileId::of(&metadata).device == device),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(_) => Some(false),
            })
            == Some(true)
    }
}

#[cfg(test)]
mod tests;
