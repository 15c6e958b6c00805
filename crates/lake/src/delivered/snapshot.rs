//! What was delivered, in a file: for the time when the frames that say so are gone.
//!
//! ```text
//!  0   4   "FLD\x01"
//!  4   8   resume points: 4 number, then 8 each   ┐
//!  …   4   writers                                │ little-endian
//!  …       per writer: 16 id, 8 epoch, 8 last use, 4 sources
//!          per source: 8 scope, 16 origin, 8 last use, stretches as in a claim
//!  …   4   CRC-32 of all before                   ┘
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::claim::{decode_ranges, encode_ranges};
use super::{Delivered, Positions, Writer};
use crate::durability::SyncMode;
use crate::log_groups::take;

const FILE: &str = "delivered";
const MAGIC: &[u8; 4] = b"FLD\x01";

impl Delivered {
    /// Stores it in `folder` in one step. `resume` says, in the owner's terms, from where on frames have to be read to know
    /// the rest.
    pub fn store(&self, folder: &Path, resume: &[u64], sync: SyncMode) -> io::Result<()> {
        let temporary = folder.join(format!("{FILE}.new"));
        let mut file = File::create(&temporary)?;
        file.write_all(&self.encode(resume))?;
        sync.file(&file)?;
        fs::rename(&temporary, folder.join(FILE))?;
        sync.folder(folder)
    }

    /// What is stored in `folder`, with its resume points; nothing if nothing is. An error says what is wrong with it; it
    /// is the caller's to go on without.
    pub fn load(folder: &Path) -> io::Result<(Delivered, Vec<u64>)> {
        match fs::read(folder.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Default::default()),
            bytes => Delivered::decode(&bytes?).ok_or_else(|| {
                let message =
                    format!("{FILE} is damaged: repeats of what it knew are stored again");
                io::Error::new(io::ErrorKind::InvalidData, message)
            }),
        }
    }

    fn encode(&self, resume: &[u64]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend((resume.len() as u32).to_le_bytes());
        resume
            .iter()
            .for_each(|point| out.extend(point.to_le_bytes()));
        out.extend((self.writers.len() as u32).to_le_bytes());
        for (id, writer) in &self.writers {
            out.extend(id);
            out.extend(writer.epoch.to_le_bytes());
            out.extend(writer.used.to_le_bytes());
            out.extend((writer.sources.len() as u32).to_le_bytes());
            for ((scope, origin), positions) in &writer.sources {
                out.extend(scope.to_le_bytes());
                out.extend(origin);
                out.extend(positions.used.to_le_bytes());
                encode_ranges(positions.ranges.as_slice(), &mut out);
            }
        }
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<(Delivered, Vec<u64>)> {
        let (content, checksum) = bytes.split_last_chunk()?;
        let mut rest = content;
        if u32::from_le_bytes(*checksum) != crc32fast::hash(content) || take(&mut rest)? != *MAGIC {
            return None;
        }
        let number = |rest: &mut &[u8]| take(rest).map(u64::from_le_bytes);
        let count = |rest: &mut &[u8]| take(rest).map(u32::from_le_bytes);
        let mut resume = Vec::new();
        for _ in 0..count(&mut rest)? {
            resume.push(number(&mut rest)?);
        }
        let mut delivered = Delivered::default();
        for _ in 0..count(&mut rest)? {
            let id = take(&mut rest)?;
            let (epoch, used) = (number(&mut rest)?, number(&mut rest)?);
            let mut sources = HashMap::new();
            for _ in 0..count(&mut rest)? {
                let source = (number(&mut rest)?, take(&mut rest)?);
                let mut positions = Positions {
                    used: number(&mut rest)?,
                    ..Positions::default()
                };
                let ranges = decode_ranges(&mut rest)?;
                ranges
                    .into_iter()
                    .for_each(|range| positions.ranges.insert(range));
                sources.insert(source, positions);
            }
            delivered.clock = delivered.clock.max(used);
            let writer = Writer {
                epoch,
                used,
                sources,
            };
            delivered.writers.insert(id, writer);
        }
        rest.is_empty().then_some((delivered, resume))
    }
}
