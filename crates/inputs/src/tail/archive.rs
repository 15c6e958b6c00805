//! Compressed generations. A file that was compressed before it was read to its end goes on in the archive: what is left of
//! it is unpacked into a nameless file that has the same positions.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use buffer::positions::{Fingerprint, Position, TAIL_SIZE};
use flate2::bufread::MultiGzDecoder;

use super::siblings;

/// How much is unpacked at once.
const PIECE: usize = 64 << 10;

/// What became of a file whose inode is gone.
#[derive(Debug)]
pub enum Unpacked {
    /// It was compressed; this is what is left of it, from its offset on, and where it was found.
    Rest(File, PathBuf),
    /// It was compressed after everything in it was delivered.
    Nothing,
    /// No archive of it was found.
    Missing,
    /// There is one, but it cannot be unpacked.
    Failed(PathBuf, io::Error),
}

/// A search that runs on a thread of its own: unpacking takes time.
pub struct Search(Receiver<Unpacked>);

impl Search {
    /// Looks for the archive of the file that `position` is about, beside `real`; `scratch` is where it is unpacked.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(position: Position, real: PathBuf, scratch: PathBuf) -> io::Result<Search> {
        let (sender, receiver) = channel();
        std::thread::Builder::new()
            .name("archive".to_owned())
            .stack_size(512 << 10)
            .spawn(move || {
                // Who asked may be gone.
                let _ = sender.send(search(&position, &real, &scratch));
            })?;
        Ok(Search(receiver))
    }

    /// What was found, once it is known.
    pub fn result(&self) -> Option<Unpacked> {
        match self.0.try_recv() {
            Ok(unpacked) => Some(unpacked),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Unpacked::Missing),
        }
    }
}

/// Whether there may be an archive of `real` at all.
pub fn may_exist(real: &Path) -> bool {
    siblings::beside(real).is_ok_and(|all| {
        all.iter()
            .any(|sibling| siblings::may_be_archive(real, &sibling.path))
    })
}

fn search(position: &Position, real: &Path, scratch: &Path) -> Unpacked {
    let mut failed = None;
    for sibling in siblings::beside(real).unwrap_or_default() {
        if !siblings::may_be_archive(real, &sibling.path) {
            continue;
        }
        match unpack(position, &sibling.path, scratch) {
            Ok(Unpacked::Missing) => {}
            Ok(found) => return found,
            Err(error) => failed = Some((sibling.path, error)),
        }
    }
    match failed {
        Some((path, error)) => Unpacked::Failed(path, error),
        None => Unpacked::Missing,
    }
}

fn unpack(position: &Position, path: &Path, scratch: &Path) -> io::Result<Unpacked> {
    let mut unpacked = MultiGzDecoder::new(BufReader::new(File::open(path)?));
    let facts = position.facts.as_ref();
    let head = facts.map_or(Fingerprint::NONE, |facts| facts.head);
    if head.is_none() && position.marker.is_none() {
        return Ok(Unpacked::Missing);
    }
    let mut first = vec![0; head.size as usize];
    if fill(&mut unpacked, &mut first)? < first.len() || Fingerprint::of(&first) != head {
        return Ok(Unpacked::Missing);
    }
    let offset = position.offset.max(first.len() as u64);
    let Some(before) = skip(&mut unpacked, first, offset)? else {
        return Ok(Unpacked::Missing);
    };
    let known = (position.offset - before.position) as usize;
    let marks = [Some(position.marker), facts.map(|facts| facts.tail)];
    for mark in marks.into_iter().flatten() {
        let size = mark.size as usize;
        if size > known || Fingerprint::of(&before.bytes[known - size..known]) != mark {
            return Ok(Unpacked::Missing);
        }
    }
    let rest = nameless(scratch)?;
    rest.write_all_at(&before.bytes, before.position)?;
    let mut end = before.position + before.bytes.len() as u64;
    let mut piece = vec![0; PIECE];
    loop {
        let read = fill(&mut unpacked, &mut piece)?;
        rest.write_all_at(&piece[..read], end)?;
        end += read as u64;
        if read < piece.len() {
            break;
        }
    }
    match end > position.offset {
        true => Ok(Unpacked::Rest(rest, path.to_owned())),
        false => Ok(Unpacked::Nothing),
    }
}

/// The last bytes that were passed over.
struct Before {
    bytes: Vec<u8>,
    /// Where they stand.
    position: u64,
}

/// Passes over what comes before `offset`, of which `first` was read; `None` when it ends before.
fn skip(unpacked: &mut impl Read, first: Vec<u8>, offset: u64) -> io::Result<Option<Before>> {
    let mut before = Before {
        bytes: first,
        position: 0,
    };
    let mut piece = vec![0; PIECE];
    let mut at = before.bytes.len() as u64;
    while at < offset {
        let want = (offset - at).min(PIECE as u64) as usize;
        let read = fill(unpacked, &mut piece[..want])?;
        if read < want {
            return Ok(None);
        }
        at += read as u64;
        before.bytes.extend_from_slice(&piece[..read]);
        let excess = before.bytes.len().saturating_sub(KEPT);
        before.bytes.drain(..excess);
        before.position += excess as u64;
    }
    Ok(Some(before))
}

/// What is kept of what was passed over: what marks are made of, for an offset inside the first bytes as well.
const KEPT: usize = 2 * TAIL_SIZE;

/// Reads until `buffer` is full or nothing is left.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match from.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// A file in `directory` that vanishes when it is closed.
fn nameless(directory: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    let unnamed = options
        .clone()
        .custom_flags(libc::O_TMPFILE)
        .open(directory);
    unnamed.or_else(|_| {
        let path = directory.join(format!(".flumen-unpacked-{}", std::process::id()));
        let file = options.create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use buffer::positions::Facts;
    use flate2::{Compression, write::GzEncoder};
    use tempfile::TempDir;

    use super::super::identity::{head, marks};
    use super::*;

    fn lines(count: usize) -> Vec<u8> {
        let lines = (0..count).map(|n| format!("line {n} of a file\n"));
        lines.collect::<String>().into_bytes()
    }

    fn archive(path: &Path, content: &[u8]) {
        // In two members, as an archive is that was appended to.
        let mut packed = Vec::new();
        for part in content.chunks(content.len() / 2 + 1) {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(part).expect("memory");
            packed.extend(encoder.finish().expect("memory"));
        }
        std::fs::write(path, packed).expect("room");
    }

    /// What is found of a file with `content` that was delivered up to `offset` and is now packed as `packed`.
    fn found(content: &[u8], offset: u64, packed: &[u8]) -> (TempDir, Unpacked) {
        let directory = tempfile::tempdir().expect("a directory");
        let real = directory.path().join("a.log");
        std::fs::write(&real, content).expect("room");
        let file = File::open(&real).expect("it exists");
        let marks = marks(&file, offset).expect("long enough");
        let position = Position {
            name: real.clone(),
            inode: 1,
            offset,
            rotated: false,
            marker: marks.marker,
            facts: Some(Facts {
                head: head(&file, content.len() as u64),
                tail: marks.tail,
                ..Facts::default()
            }),
        };
        archive(&directory.path().join("a.log.1.gz"), packed);
        archive(&directory.path().join("b.log.1.gz"), content);
        let unpacked = search(&position, &real, directory.path());
        (directory, unpacked)
    }

    #[test]
    fn the_rest_has_the_positions_of_the_file() {
        let content = lines(50_000);
        for offset in [0, 5, 900, 5_000, 300_000, content.len() as u64 - 3] {
            let (_directory, unpacked) = found(&content, offset, &content);
            let Unpacked::Rest(file, path) = unpacked else {
                panic!("{offset}: {unpacked:?}");
            };
            assert!(path.ends_with("a.log.1.gz"));
            let mut rest = vec![0; content.len() - offset as usize];
            file.read_exact_at(&mut rest, offset).expect("all of it");
            assert!(rest == content[offset as usize..], "{offset}");
            assert_eq!(file.metadata().expect("open").len(), content.len() as u64);
            assert_eq!(
                marks(&file, offset).expect("kept"),
                {
                    let original = tempfile::tempfile().expect("a file");
                    original.write_all_at(&content, 0).expect("room");
                    marks(&original, offset).expect("long enough")
                },
                "the bytes before {offset} are known as well"
            );
        }
    }

    #[test]
    fn an_archive_is_told_from_others() {
        let content = lines(1_000);
        let offset = content.len() as u64;
        assert!(matches!(
            found(&content, offset, &content).1,
            Unpacked::Nothing
        ));
        let mut other = content.clone();
        other[3] = b'?';
        assert!(
            matches!(found(&content, 9_000, &other).1, Unpacked::Missing),
            "another head"
        );
        let mut other = content.clone();
        other[8_999] = b'?';
        assert!(
            matches!(found(&content, 9_000, &other).1, Unpacked::Missing),
            "another tail"
        );
        assert!(matches!(
            found(&content, 9_000, &content[..8_000]).1,
            Unpacked::Missing
        ));
    }

    #[test]
    fn a_broken_archive_is_named() {
        let (directory, _) = found(&lines(10), 5, b"x");
        let path = directory.path().join("a.log.1.gz");
        std::fs::write(&path, b"\x1f\x8b broken").expect("room");
        let position = Position {
            name: "a.log".into(),
            inode: 1,
            offset: 1,
            rotated: false,
            marker: Fingerprint::of(b"x"),
            facts: None,
        };
        let unpacked = search(&position, &directory.path().join("a.log"), directory.path());
        assert!(matches!(unpacked, Unpacked::Failed(name, _) if name == path));
    }
}
