//! A file that frames are appended to.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::path::Path;
use std::sync::Arc;

use super::frame::{self, Kind};

/// A file of frames, open at its end.
#[derive(Debug)]
pub struct FrameFile {
    /// Shared with whoever syncs it.
    file: Arc<File>,
    length: u64,
    /// A failed write could not be taken back: nothing may be appended any more.
    spoilt: bool,
}

impl FrameFile {
    /// Makes the file, which must not be there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        Ok(Self {
            file: Arc::new(file),
            length: 0,
            spoilt: false,
        })
    }

    /// Takes up a file whose first `length` bytes are frames; what follows was never acknowledged and is cut off.
    pub fn reopen(path: &Path, length: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(length)?;
        Ok(Self {
            file: Arc::new(file),
            length,
            spoilt: false,
        })
    }

    /// Appends a frame, with `claim` if it is not empty. When this returns, it outlives the process. If it fails, nothing of
    /// it is in the file.
    pub fn append(
        &mut self,
        kind: Kind,
        records: u32,
        claim: &[u8],
        payload: &[u8],
    ) -> io::Result<()> {
        if self.spoilt {
            return Err(io::Error::other(
                "an earlier write to the buffer failed and could not be taken back",
            ));
        }
        let head = frame::head(kind, records, claim, payload);
        match write_all(&self.file, &head, payload) {
            Ok(()) => {
                self.length += (head.len() + payload.len()) as u64;
                Ok(())
            }
            Err(error) => {
                self.spoilt = self.file.set_len(self.length).is_err();
                Err(error)
            }
        }
    }

    /// Takes back what stands behind `length`; nothing can be appended any more. What a failed sync was about must never be
    /// taken for durable because a later sync succeeds.
    pub fn abandon(&mut self, length: u64) -> io::Result<()> {
        self.spoilt = true;
        self.file.set_len(length)?;
        self.length = length;
        Ok(())
    }

    /// The file, to be synced.
    pub fn handle(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Whether nothing can be appended safely any more.
    pub fn is_spoilt(&self) -> bool {
        self.spoilt
    }

    /// The bytes of all frames.
    pub fn length(&self) -> u64 {
        self.length
    }
}

/// Writes both slices one after the other, in one system call as a rule.
fn write_all(mut file: &File, header: &[u8], payload: &[u8]) -> io::Result<()> {
    let written = loop {
        match file.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => break outcome?,
        }
    };
    match written.checked_sub(header.len()) {
        Some(of_payload) => file.write_all(&payload[of_payload..]),
        None => {
            file.write_all(&header[written..])?;
            file.write_all(payload)
        }
    }
}
