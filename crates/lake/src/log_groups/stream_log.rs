//! The log streams of a group, on disk: `streams.log`, a frame for each stream that was created or deleted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::streams::frame::{self, Found, FrameReader, Kind};

/// What happened to a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// It was created.
    Created {
        number: u64,
        name: String,
        created: i64,
    },
    /// It was deleted.
    Deleted { number: u64 },
}

/// The file, at whose end changes are added.
#[derive(Debug)]
pub struct StreamLog {
    file: File,
    length: u64,
}

/// What was read from a file.
#[derive(Debug, Default)]
pub struct Read {
    /// Changes in order.
    pub changes: Vec<Change>,
    /// The file's length without a torn end.
    pub length: u64,
    /// Stretches that could not be read: where they begin, and how long they are.
    pub damaged: Vec<(u64, u64)>,
}

const FILE: &str = "streams.log";

impl StreamLog {
    /// The file's path.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Reads the file; a missing one is empty.
    pub fn read(folder: &Path) -> io::Result<Read> {
        let file = match File::open(Self::path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Read::default()),
            outcome => outcome?,
        };
        let mut reader = FrameReader::new(file);
        let mut read = Read::default();
        loop {
            let offset = reader.offset();
            match reader.next()? {
                None | Some(Found::Torn { .. }) => {
                    read.length = offset;
                    return Ok(read);
                }
                Some(Found::Damaged { offset, length }) => read.damaged.push((offset, length)),
                Some(Found::Frame { payload, .. }) => match serde_json::from_slice(payload) {
                    Ok(change) => read.changes.push(change),
                    Err(_) => read
                        .damaged
                        .push((offset, (frame::HEADER_BYTES + payload.len()) as u64)),
                },
            }
        }
    }

    /// Goes on behind what was read.
    pub fn open(folder: &Path, length: u64) -> io::Result<Self> {
        let path = Self::path(folder);
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        file.set_len(length)?;
        if length == 0 {
            // The file may be new: its name has to be on disk, too.
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file, length })
    }

    /// Puts a file with these changes in the place of the one there is, and goes on behind them.
    pub fn rewrite(folder: &Path, changes: &[Change]) -> io::Result<Self> {
        let temporary = folder.join("streams.log.new");
        let mut out = BufWriter::new(File::create(&temporary)?);
        let mut length = 0;
        for change in changes {
            let bytes = encode(change)?;
            out.write_all(&bytes)?;
            length += bytes.len() as u64;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&temporary, Self::path(folder))?;
        File::open(folder)?.sync_all()?;
        Self::open(folder, length)
    }

    /// Adds a change. When this returns it is on disk; if it fails, it is not there.
    pub fn append(&mut self, change: &Change) -> io::Result<()> {
        let bytes = encode(change)?;
        let written = self
            .file
            .write_all(&bytes)
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // What cannot be taken back is damage to the next reader, which goes on behind it.
                let _ = self.file.set_len(self.length);
                Err(error)
            }
        }
    }
}

fn encode(change: &Change) -> io::Result<Vec<u8>> {
    let payload = serde_json::to_vec(change)?;
    Ok([
        &frame::header(Kind::Records, 1, &payload),
        payload.as_slice(),
    ]
    .concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(number: u64, name: &str) -> Change {
        Change::Created {
            number,
            name: name.to_owned(),
            created: 5,
        }
    }

    #[test]
    fn changes_are_read_as_written_around_damage() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = StreamLog::rewrite(folder.path(), &[created(1, "a")]).unwrap();
        log.append(&created(2, "b")).unwrap();
        log.append(&Change::Deleted { number: 1 }).unwrap();
        let read = StreamLog::read(folder.path()).unwrap();
        let changes = [
            created(1, "a"),
            created(2, "b"),
            Change::Deleted { number: 1 },
        ];
        assert_eq!((read.changes, read.length), (changes.to_vec(), log.length));

        let mut bytes = fs::read(StreamLog::path(folder.path())).unwrap();
        bytes[25] ^= 1;
        bytes.extend(b"FL");
        fs::write(StreamLog::path(folder.path()), bytes).unwrap();
        let read = StreamLog::read(folder.path()).unwrap();
        assert_eq!(read.changes, changes[1..]);
        assert_eq!((read.damaged.len(), read.length), (1, log.length));
    }

    /// The text of version 1, which later versions have to go on reading.
    #[test]
    fn version_1_is_this() {
        for (change, text) in [
            (
                created(1, "a"),
                r#"{"created":{"number":1,"name":"a","created":5}}"#,
            ),
            (Change::Deleted { number: 1 }, r#"{"deleted":{"number":1}}"#),
        ] {
            assert_eq!(serde_json::to_string(&change).unwrap(), text);
            assert_eq!(serde_json::from_str::<Change>(text).unwrap(), change);
        }
    }
}
