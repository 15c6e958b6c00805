//! How the log of an earlier run is taken over.

use std::io;
use std::path::Path;

use super::super::format::{BadHeader, Header, Kind};
use super::super::segment::{Opened, Segment, head_of};
use super::super::{Durability, Gap, NewerVersion, OpenError};
use super::beside::{put_beside, write_file};
use super::{Log, Recovered, segment_path};
use crate::fs::Fs;

impl Log {
    /// Takes a segment of an earlier run over; `bytes` is room for it.
    ///
    /// # Errors
    /// When it cannot be read now.
    pub(super) fn take_over(
        &mut self,
        index: u64,
        recovered: &mut Recovered,
        bytes: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        let path = segment_path(&self.settings.folder, index);
        let opened = match Segment::open(&*self.fs, &path, bytes) {
            Ok(Ok(opened)) => opened,
            // It was never begun: nothing can be missing.
            Ok(Err(BadHeader::Short)) => {
                let _ = self.fs.remove(&path);
                return Ok(());
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::Unreadable { path, error });
            }
            Ok(Err(BadHeader::Damaged | BadHeader::Newer(_))) | Err(_) => {
                let beside = path.with_extension("damaged");
                let kept_in = self.fs.rename(&path, &beside).is_ok().then_some(beside);
                recovered.gaps.push(Gap {
                    file: path,
                    numbers: None,
                    bytes: 0,
                    kept_in,
                });
                return Ok(());
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
        Ok(())
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
                if damage.is_blank && self.settings.durability == Durability::Process {
                    // Unless it counted as safe when the system had it.
                    recovered.gaps.push(Gap {
                        file: segment.path.clone(),
                        numbers: None,
                        bytes: damage.bytes.end - damage.bytes.start,
                        kept_in: None,
                    });
                }
                continue;
            }
            let beside = put_beside(&*self.fs, &segment.path, &damage.bytes);
            let is_last = damage.bytes.end > segment.len;
            if is_last && beside.kept_in.is_some() {
                let _ = segment.truncate(&*self.fs);
            }
            let numbers = if is_last { None } else { holes.next() };
            if !beside.is_known {
                recovered.gaps.push(Gap {
                    file: segment.path.clone(),
                    numbers,
                    bytes: damage.bytes.end - damage.bytes.start,
                    kept_in: beside.kept_in,
                });
            }
        }
        self.next = self.next.max(segment.end);
        self.segments.push(segment);
    }

    /// Chunks that come again are answered at once, so the disk must have them for sure. It need not: the earlier run may
    /// have ended between writing and syncing, or after a sync that failed, which the system has forgotten by now. Such
    /// files are written anew; where that cannot be, their chunks are taken once more.
    pub(super) fn make_chunks_safe(&mut self) {
        if self.settings.durability == Durability::Process {
            return;
        }
        // A start may have ended between giving a sealed file its name and syncing that.
        let mut sealed = self.segments.iter().filter(|segment| segment.is_sealed);
        let names_are_safe =
            sealed.next().is_none() || self.fs.sync_dir(&self.settings.folder).is_ok();
        for index in 0..self.segments.len() {
            let segment = &self.segments[index];
            let is_safe = segment.chunks.is_empty()
                || segment.is_sealed && names_are_safe
                || self.has_gone_on(index)
                || self.is_done(segment);
            if !is_safe && self.write_anew(segment).is_err() {
                self.segments[index].chunks.clear();
            }
        }
    }

    /// Whether the run that wrote a file has synced all of it. It began the next one only then, or to write there first
    /// what the failed sync of this one may have lost. What another run began behind it says nothing: it may have been
    /// unable to write this one anew.
    fn has_gone_on(&self, index: usize) -> bool {
        let Header { origin, .. } = &self.segments[index].header;
        let next = self.segments.get(index + 1);
        next.is_some_and(|next| {
            next.header.origin == *origin && next.header.first >= self.segments[index].end
        })
    }

    /// Puts a copy that is synced, and sealed, in the place of a file.
    fn write_anew(&self, segment: &Segment) -> io::Result<()> {
        let bytes = segment.sealed(&*self.fs)?;
        let copy = segment.path.with_extension(COPY);
        let _ = self.fs.remove(&copy);
        let written = write_file(&*self.fs, &bytes, &copy);
        let renamed = written.and_then(|()| self.fs.rename(&copy, &segment.path));
        if let Err(error) = renamed {
            // It only takes room, which the disk may not have.
            let _ = self.fs.remove(&copy);
            return Err(error);
        }
        self.fs.sync_dir(&self.settings.folder)
    }

    /// Removes copies that an earlier start did not come to put in the place of their files. What they hold is in those
    /// files, which were taken over, or went because it was delivered; where one was damaged meanwhile, the copy stays with
    /// what was put beside.
    pub(super) fn remove_copies(&self) {
        // What cannot be listed or removed now is removed by another start.
        let Ok(names) = self.fs.list(&self.settings.folder) else {
            return;
        };
        let is_damaged = |stem: &str| {
            let mut beside = names.iter().filter(|name| name.starts_with(stem));
            beside.any(|name| name.ends_with(".damaged"))
        };
        for name in &names {
            if let Some(stem) = copied(name)
                && !is_damaged(stem)
            {
                let _ = self.fs.remove(&self.settings.folder.join(name));
            }
        }
    }
}

/// What the copy of a segment is called: the file's name with this in the place of `wal`.
const COPY: &str = "anew";

/// The file, without its extension, that `name` is the copy of, if it is one.
fn copied(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(COPY)?.strip_suffix('.')?;
    let is_number = stem
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (stem.len() == 16 && is_number).then_some(stem)
}

/// Makes the folder so that it survives a loss of power.
pub(super) fn make_folder(fs: &dyn Fs, folder: &Path) -> io::Result<()> {
    fs.create_dir(folder)?;
    match folder.parent().map(|parent| fs.sync_dir(parent)) {
        // What may not even be opened cannot be synced; then it was there before.
        Some(Err(error)) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// A newer version's file anywhere means that nothing may be touched.
pub(super) fn refuse_newer(fs: &dyn Fs, folder: &Path, indexes: &[u64]) -> Result<(), OpenError> {
    for index in indexes {
        let path = segment_path(folder, *index);
        let bytes = match head_of(fs, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(OpenError::Unreadable { path, error }),
            Ok(bytes) => bytes,
        };
        if let Err(BadHeader::Newer(version)) = Header::read(&bytes, Kind::Records) {
            return Err(NewerVersion { path, version }.into());
        }
    }
    Ok(())
}

pub(super) fn segment_indexes(fs: &dyn Fs, folder: &Path) -> io::Result<Vec<u64>> {
    let names = fs.list(folder)?;
    let mut indexes: Vec<u64> = names
        .iter()
        .filter_map(|name| u64::from_str_radix(name.strip_suffix(".wal")?, 16).ok())
        .collect();
    indexes.sort_unstable();
    Ok(indexes)
}
