//! Taking up the buffer files that an earlier run left behind.
//!
//! Nothing found here keeps a lake from starting. A torn end is cut off; it was never acknowledged. Damage stays where it
//! is until delivery sets it aside. A segment whose label cannot be read is given a new one, and the original is kept.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Buffer;
use super::frame::{self, Found, FrameReader, Kind};
use super::segment::{Contents, FileName, Label, OpenSegment, SealedSegment, Size};
use crate::delivered::Claim;
use crate::durability::SyncMode;

/// What was found of an earlier run.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Records that go on waiting for delivery.
    pub records: u64,
    /// What had to be done about files that were not as they should be, for the log.
    pub notes: Vec<String>,
    /// What the records that are not sealed yet claim.
    pub claims: Vec<Claim>,
}

/// Takes up what is in `folder`, for objects of `size` bytes that are kept as `sync` says. `label` makes a label for a segment that lost its own, from the time its file was
/// written last.
pub fn recover(
    folder: &Path,
    quarantine: &Path,
    (size, sync): (u64, SyncMode),
    label: impl Fn(Timestamp) -> Label,
) -> io::Result<(Buffer, Recovered)> {
    fs::create_dir_all(folder)?;
    let mut files: Vec<(FileName, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(FileName::parse);
        files.extend(name.map(|name| (name, path)));
    }
    files.sort_unstable_by_key(|(name, _)| name.sequence);
    let next_sequence = files.last().map_or(1, |(name, _)| name.sequence + 1);
    let mut buffer = Buffer::new(folder.to_owned(), next_sequence, size, sync);
    let mut recovered = Recovered::default();
    let mut recovery = Recovery {
        quarantine,
        label: &label,
        sync,
        claims: Vec::new(),
    };
    for (name, path) in files {
        match recovery.take_up(&mut buffer, name, &path) {
            Ok(note) => recovered.notes.extend(note),
            Err(error) => recovered
                .notes
                .push(format!("{} is left alone: {error}", path.display())),
        }
    }
    recovered.records = buffer.records();
    recovered.claims = recovery.claims;
    sync.folder(folder)?;
    Ok((buffer, recovered))
}

struct Recovery<'a> {
    quarantine: &'a Path,
    label: &'a dyn Fn(Timestamp) -> Label,
    sync: SyncMode,
    claims: Vec<Claim>,
}

impl Recovery<'_> {
    /// Adds the segment at `path` to `buffer`; gives what is worth telling about it.
    fn take_up(
        &mut self,
        buffer: &mut Buffer,
        name: FileName,
        path: &Path,
    ) -> io::Result<Option<String>> {
        if let Some(records) = name.sealed {
            return Ok(match read_label(path)? {
                Some(label) => {
                    buffer.add_sealed(SealedSegment {
                        label,
                        records,
                        path: path.to_owned(),
                        sequence: name.sequence,
                    });
                    None
                }
                None => Some(self.relabel(buffer, name, path)?),
            });
        }
        let length = fs::metadata(path)?.len();
        match read_contents(path)? {
            Read::Whole(mut contents) => {
                let torn = length - contents.size.length;
                self.claims.append(&mut contents.claims);
                buffer.add_open(OpenSegment::reopen(
                    path.to_owned(),
                    name.sequence,
                    contents,
                    self.sync,
                )?);
                let note = format!(
                    "{}: {torn} bytes of an unfinished write were cut off",
                    path.display()
                );
                Ok((torn > 0).then_some(note))
            }
            Read::Empty => {
                fs::remove_file(path)?;
                Ok(Some(format!(
                    "{} had no whole record and was removed",
                    path.display()
                )))
            }
            Read::Unlabelled => self.relabel(buffer, name, path).map(Some),
        }
    }

    /// Copies what can be read of a segment that lost its label into a new one and keeps the original.
    fn relabel(&mut self, buffer: &mut Buffer, name: FileName, path: &Path) -> io::Result<String> {
        let written: Timestamp = fs::metadata(path)?
            .modified()?
            .try_into()
            .unwrap_or_else(|_| Timestamp::now());
        let label = (self.label)(written);
        let copy = path.with_extension("copy");
        let records = copy_records(path, &copy, &label, &mut self.claims)?;
        fs::create_dir_all(self.quarantine)?;
        let kept = self
            .quarantine
            .join(format!("{:012}.segment", name.sequence));
        fs::copy(path, &kept)?;
        let sealed = path.with_file_name(
            FileName {
                sequence: name.sequence,
                sealed: Some(records),
            }
            .to_string(),
        );
        fs::rename(&copy, &sealed)?;
        if sealed != path {
            fs::remove_file(path)?;
        }
        buffer.add_sealed(SealedSegment {
            label,
            records,
            path: sealed,
            sequence: name.sequence,
        });
        Ok(format!(
            "{} had lost its label: {records} records were saved, the original is {}",
            path.display(),
            kept.display()
        ))
    }
}

/// A segment read from beginning to end.
enum Read {
    Whole(Contents),
    /// Nothing but a torn beginning.
    Empty,
    /// Records or damage without a label in front.
    Unlabelled,
}

fn read_contents(path: &Path) -> io::Result<Read> {
    let mut reader = FrameReader::new(File::open(path)?);
    let label = match reader.next()? {
        None | Some(Found::Torn { .. }) => return Ok(Read::Empty),
        Some(found) => match label_in(&found) {
            Some(label) => label,
            None => return Ok(Read::Unlabelled),
        },
    };
    let mut contents = Contents {
        label,
        size: Size::default(),
        claims: Vec::new(),
    };
    loop {
        let offset = reader.offset();
        match reader.next()? {
            Some(Found::Frame {
                kind: Kind::Records,
                records,
                claim,
                payload,
            }) => {
                contents.size.records += u64::from(records);
                contents.size.object_bytes += payload.len() as u64;
                contents.claims.extend(Claim::decode(claim));
            }
            Some(Found::Torn { offset }) => {
                contents.size.length = offset;
                return Ok(Read::Whole(contents));
            }
            Some(_) => {}
            None => {
                contents.size.length = offset;
                return Ok(Read::Whole(contents));
            }
        }
    }
}

fn read_label(path: &Path) -> io::Result<Option<Label>> {
    Ok(FrameReader::new(File::open(path)?)
        .next()?
        .as_ref()
        .and_then(label_in))
}

/// The label that a segment's first frame should be.
fn label_in(found: &Found<'_>) -> Option<Label> {
    match found {
        Found::Frame {
            kind: Kind::Segment,
            payload,
            ..
        } => serde_json::from_slice(payload).ok(),
        _ => None,
    }
}

/// Writes a segment with `label` and all records that can be read from `from`; gives their number, and adds what they
/// claim.
fn copy_records(from: &Path, to: &Path, label: &Label, claims: &mut Vec<Claim>) -> io::Result<u64> {
    let mut out = BufWriter::new(File::create(to)?);
    let label = serde_json::to_vec(label)?;
    out.write_all(&frame::header(Kind::Segment, 0, &label))?;
    out.write_all(&label)?;
    let mut reader = FrameReader::new(File::open(from)?);
    let mut copied = 0;
    while let Some(found) = reader.next()? {
        if let Found::Frame {
            kind: Kind::Records,
            records,
            claim,
            payload,
        } = found
        {
            out.write_all(&frame::head(Kind::Records, records, claim, payload))?;
            out.write_all(payload)?;
            claims.extend(Claim::decode(claim));
            copied += u64::from(records);
        }
    }
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    Ok(copied)
}
