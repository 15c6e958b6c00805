//! What an instance gives up when it stops and the next one takes: open files with their positions, so that what was
//! renamed or deleted meanwhile is read on, and the positions of others where no database keeps them.

use std::ffi::OsString;
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use buffer::positions::{Facts, Fingerprint, Position};
use plugin::Handover;

/// The form of the state. Another one is not understood, and ignored.
const VERSION: u8 = 1;

/// Where a file was when it was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its path led to it.
    Here = 0,
    /// It had been renamed.
    Away = 1,
    /// It had no name any more.
    Deleted = 2,
    /// It was not open.
    Parked = 3,
}

/// A file that is handed over.
#[derive(Debug)]
pub struct Handed {
    /// Its descriptor, if it was open.
    pub file: Option<File>,
    /// How far it was delivered.
    pub position: Position,
    /// Where it was.
    pub place: Place,
    /// It holds what was unpacked of the file that the position is about.
    pub unpacked: bool,
    /// When it was found: what was made since and rotated away may not have been seen.
    pub found: SystemTime,
}

/// What is handed over, taken apart.
#[derive(Debug, Default)]
pub struct Taken {
    /// The files.
    pub files: Vec<Handed>,
    /// When files were last looked for.
    pub scanned: Option<SystemTime>,
}

/// Makes a handover of files.
pub fn give(files: Vec<Handed>, scanned: Option<SystemTime>) -> Handover {
    let mut state = vec![VERSION];
    number(&mut state, scanned.map_or(0, nanos));
    number(&mut state, files.len() as u64);
    let mut descriptors = Vec::new();
    for file in files {
        number(&mut state, file.place as u64);
        number(&mut state, u64::from(file.unpacked));
        number(&mut state, nanos(file.found));
        put_position(&mut state, &file.position);
        number(&mut state, u64::from(file.file.is_some()));
        if let Some(open) = file.file {
            descriptors.push((format!("file.{}", descriptors.len()), OwnedFd::from(open)));
        }
    }
    Handover {
        descriptors,
        state,
        ..Handover::default()
    }
}

/// Takes a handover apart; `None` when it is in a form that is not understood. Nothing at all is a first start.
pub fn take(handover: Handover) -> Option<Taken> {
    let Some((&version, state)) = handover.state.split_first() else {
        return Some(Taken::default());
    };
    if version != VERSION {
        return None;
    }
    let mut descriptors = handover.descriptors;
    // Whoever passed them on may have changed their order.
    descriptors.sort_by_key(|(name, _)| {
        name.strip_prefix("file.")
            .and_then(|n| n.parse::<u64>().ok())
    });
    let mut descriptors = descriptors.into_iter();
    let mut reader = Reader(state);
    let scanned = Some(reader.time()?).filter(|time| *time > UNIX_EPOCH);
    let mut files = Vec::new();
    for _ in 0..reader.number()? {
        let place = match reader.number()? {
            0 => Place::Here,
            1 => Place::Away,
            2 => Place::Deleted,
            3 => Place::Parked,
            _ => return None,
        };
        let unpacked = reader.number()? != 0;
        let found = reader.time()?;
        let position = reader.position()?;
        let file = match reader.number()? {
            0 => None,
            _ => Some(File::from(descriptors.next()?.1)),
        };
        files.push(Handed {
            file,
            position,
            place,
            unpacked,
            found,
        });
    }
    Some(Taken { files, scanned })
}

fn number(state: &mut Vec<u8>, number: u64) {
    state.extend_from_slice(&number.to_le_bytes());
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn bytes(state: &mut Vec<u8>, text: &[u8]) {
    number(state, text.len() as u64);
    state.extend_from_slice(text);
}

fn path(state: &mut Vec<u8>, path: &Path) {
    bytes(state, path.as_os_str().as_bytes());
}

fn fingerprint(state: &mut Vec<u8>, fingerprint: Fingerprint) {
    number(state, fingerprint.hash);
    number(state, u64::from(fingerprint.size));
}

fn put_position(state: &mut Vec<u8>, position: &Position) {
    path(state, &position.name);
    number(state, position.inode);
    number(state, position.offset);
    number(state, u64::from(position.rotated));
    fingerprint(state, position.marker);
    number(state, u64::from(position.facts.is_some()));
    let Some(facts) = &position.facts else {
        return;
    };
    path(state, &facts.origin);
    path(state, &facts.path);
    number(state, facts.device);
    number(state, u64::from(facts.birth.is_some()));
    number(state, facts.birth.unwrap_or_default() as u64);
    fingerprint(state, facts.head);
    fingerprint(state, facts.tail);
    number(state, u64::from(facts.generation));
    bytes(
        state,
        facts.source.as_ref().map_or(&[], |source| &source[..]),
    );
    number(state, facts.delivered.len() as u64);
    for range in &facts.delivered {
        number(state, range.start);
        number(state, range.end);
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn time(&mut self) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_nanos(self.number()?))
    }

    fn bytes(&mut self) -> Option<&[u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn path(&mut self) -> Option<PathBuf> {
        Some(PathBuf::from(OsString::from_vec(self.bytes()?.to_vec())))
    }

    fn fingerprint(&mut self) -> Option<Fingerprint> {
        Some(Fingerprint {
            hash: self.number()?,
            size: u32::try_from(self.number()?).ok()?,
        })
    }

    fn position(&mut self) -> Option<Position> {
        Some(Position {
            name: self.path()?,
            inode: self.number()?,
            offset: self.number()?,
            rotated: self.number()? != 0,
            marker: self.fingerprint()?,
            facts: match self.number()? {
                0 => None,
                _ => Some(self.facts()?),
            },
        })
    }

    fn facts(&mut self) -> Option<Facts> {
        Some(Facts {
            origin: self.path()?,
            path: self.path()?,
            device: self.number()?,
            birth: {
                let is_known = self.number()? != 0;
                let birth = self.number()? as i64;
                is_known.then_some(birth)
            },
            head: self.fingerprint()?,
            tail: self.fingerprint()?,
            generation: u32::try_from(self.number()?).ok()?,
            source: self.bytes()?.try_into().ok(),
            delivered: self.ranges()?,
        })
    }

    fn ranges(&mut self) -> Option<Vec<Range<u64>>> {
        let mut ranges = Vec::new();
        for _ in 0..self.number()? {
            ranges.push(self.number()?..self.number()?);
        }
        Some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn handed(offset: u64, birth: Option<i64>, source: Option<[u8; 16]>, open: bool) -> Handed {
        Handed {
            file: open.then(|| tempfile::tempfile().expect("a file")),
            position: Position {
                name: PathBuf::from(OsString::from_vec(vec![b'/', 0xff, b'\n'])),
                inode: u64::MAX,
                offset,
                rotated: open,
                marker: Fingerprint::of(b"marker"),
                facts: (offset > 0).then(|| Facts {
                    origin: "/origin".into(),
                    path: "/path".into(),
                    device: 7,
                    birth,
                    head: Fingerprint::of(b"head"),
                    tail: Fingerprint::of(b"tail"),
                    generation: 4,
                    source,
                    delivered: vec![offset + 1..offset + 5, offset + 9..offset + 10],
                }),
            },
            place: if open { Place::Deleted } else { Place::Parked },
            unpacked: open,
            found: UNIX_EPOCH + Duration::new(1_700_000_000, 3),
        }
    }

    #[test]
    fn what_is_given_is_taken() {
        let scanned = Some(UNIX_EPOCH + Duration::new(1_800_000_000, 7));
        let files = || {
            vec![
                handed(0, None, None, true),
                handed(5, Some(-3), Some([9; 16]), false),
                handed(1 << 40, Some(i64::MAX), None, true),
            ]
        };
        let mut handover = give(files(), scanned);
        assert_eq!(handover.descriptors.len(), 2);
        handover.descriptors.reverse();
        let taken = take(handover).expect("the same form");
        assert_eq!(taken.scanned, scanned);
        for (given, taken) in files().into_iter().zip(&taken.files) {
            assert_eq!(given.position, taken.position);
            assert_eq!((given.place, given.found), (taken.place, taken.found));
            assert_eq!(given.unpacked, taken.unpacked);
            assert_eq!(given.file.is_some(), taken.file.is_some());
        }
        assert!(
            take(Handover::default())
                .expect("a first start")
                .files
                .is_empty()
        );
    }

    proptest! {
        #[test]
        fn what_is_not_understood_is_no_panic(state in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = take(Handover { state: state.clone(), ..Handover::default() });
            let _ = take(Handover { state: [&[VERSION][..], &state].concat(), ..Handover::default() });
            let mut whole = give(vec![handed(3, None, None, false)], None).state;
            whole.truncate(state.len());
            let _ = take(Handover { state: whole, ..Handover::default() });
        }
    }
}
