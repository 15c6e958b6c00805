//! Records that were given up, kept until somebody looks at them.
//!
//! Each file holds what was given up in a moment and never changes: a header and frames as segments of the
//! [write-ahead log](crate::wal) have them, of a kind of their own. So a router can add files while `flumen dlq` reads
//! and removes others, without a lock. A frame's body:
//!
//! | bytes | |
//! |---|---|
//! | 8 | when they were given up, nanoseconds since 1970, little-endian |
//! | 2 | 1, little-endian: one text follows |
//! | 2, … | the reason, after its length |
//! | | the records, as whoever gave them up writes them |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{Fs, read_to_end};
use crate::wal::format::{Frame, Header, Kind, read_texts, write_texts};
use crate::wal::{random_uuid, scan};

mod writer;

pub use writer::{Report, Writer};

/// What the name of a file ends with.
const ENDING: &str = ".letters";

/// Some records that one output gave up for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The output.
    pub output: Arc<str>,
    /// Why, in a word: the label of the metric that counts them.
    pub reason: String,
    /// When, in nanoseconds since 1970.
    pub given_up: i64,
    /// How many records there are.
    pub records: u32,
    /// The records.
    pub body: Vec<u8>,
}

/// A folder of dead letters.
#[derive(Clone)]
pub struct Store {
    fs: Arc<dyn Fs>,
    folder: PathBuf,
    bytes_max: u64,
}

impl Store {
    /// The store in `folder`, which may have `bytes_max` bytes. Nothing is made.
    pub fn new(fs: Arc<dyn Fs>, folder: PathBuf, bytes_max: u64) -> Store {
        Store {
            fs,
            folder,
            bytes_max,
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps `letters` in a file of their own, on the disk when this returns. Returns `false`, and keeps nothing, if
    /// there would be too many bytes.
    ///
    /// # Errors
    /// When they are not kept.
    pub fn put(&self, letters: &[Letter]) -> io::Result<bool> {
        let uuid = random_uuid();
        let created = letters.first().map_or(0, |letter| letter.given_up);
        let header = Header {
            kind: Kind::DeadLetters,
            uuid,
            origin: [0; 16],
            first: 0,
            created,
        };
        let mut bytes = header.write().to_vec();
        let mut first = 0;
        for letter in letters {
            let mut body = letter.given_up.to_le_bytes().to_vec();
            write_texts([letter.reason.as_bytes()].into_iter(), &mut body);
            body.extend_from_slice(&letter.body);
            let frame = Frame {
                first,
                records: letter.records,
                routes: vec![Arc::clone(&letter.output)],
                chunks: Vec::new(),
                body,
            };
            first = frame.end();
            frame.write(&uuid, &mut bytes);
        }
        self.fs.create_dir(&self.folder)?;
        if self.size()? + bytes.len() as u64 > self.bytes_max {
            return Ok(false);
        }
        let name = format!(
            "{created:020}-{:08x}",
            u32::from_le_bytes(first_four(&uuid))
        );
        let path = self.folder.join(format!("{name}{ENDING}"));
        self.write(&path, &bytes)?;
        Ok(true)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut file = self.fs.create(&beside)?;
        let written = file.append(bytes).and_then(|()| file.sync());
        if let Err(error) = written {
            let _ = self.fs.remove(&beside);
            return Err(error);
        }
        self.fs.rename(&beside, path)?;
        self.fs.sync_dir(&self.folder)
    }

    /// The files, the oldest first.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut names = self.fs.list(&self.folder)?;
        names.retain(|name| name.ends_with(ENDING));
        names.sort_unstable();
        Ok(names.iter().map(|name| self.folder.join(name)).collect())
    }

    /// How many bytes the files have.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn size(&self) -> io::Result<u64> {
        let mut size = 0;
        for path in self.files()? {
            match self.fs.open(&path) {
                // Somebody has just removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                file => size += file?.len()?,
            }
        }
        Ok(size)
    }

    /// What a file holds, and how many bytes of it are damaged.
    ///
    /// # Errors
    /// When it cannot be read, or is no such file.
    pub fn read(&self, path: &Path) -> io::Result<(Vec<Letter>, u64)> {
        let bytes = read_to_end(&*self.fs.open(path)?, 0)?;
        let header = Header::read(&bytes, Kind::DeadLetters).map_err(|bad| {
            io::Error::other(format!(
                "{} holds no dead letters ({bad:?})",
                path.display()
            ))
        })?;
        let (mut letters, mut unread) = (Vec::new(), 0);
        let damages = scan::scan(&bytes, &header.uuid, |found| {
            let frame = Frame::read(&found.head, found.payload);
            match frame.and_then(letter) {
                Some(letter) => letters.push(letter),
                None => unread += found.head.stored_len(),
            }
        });
        let damaged: u64 = damages
            .iter()
            .map(|damage| damage.bytes.end - damage.bytes.start)
            .sum();
        Ok((letters, unread + damaged))
    }

    /// Removes a file: its records are delivered, or nobody wants them.
    ///
    /// # Errors
    /// When it is still there.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.fs.remove(path)?;
        self.fs.sync_dir(&self.folder)
    }
}

fn letter(frame: Frame) -> Option<Letter> {
    let mut rest = &frame.body[..];
    let given_up = i64::from_le_bytes(rest.split_off(..8)?.try_into().ok()?);
    let reason = read_texts(&mut rest)?.first()?.to_vec();
    Some(Letter {
        output: frame.routes.into_iter().next()?,
        reason: String::from_utf8(reason).ok()?,
        given_up,
        records: frame.records,
        body: rest.to_vec(),
    })
}

fn first_four(uuid: &[u8; 16]) -> [u8; 4] {
    let [a, b, c, d, ..] = *uuid;
    [a, b, c, d]
}

#[cfg(test)]
mod tests;
