//! Lines of containerd and CRI-O: `TIME stdout|stderr P|F TEXT`.
//!
//! The post's configuration names the parser `docker`, which reads nothing useful on a containerd node; Flumen reads such
//! lines all the same, with the fields of Fluent Bit's built-in multiline parser `cri`. Parts of a line that the runtime
//! cut (`P`) stay records of their own, marked by `_p`.

use plugin::Parsed;
use record::{Batch, Field, Span, Value};

use crate::time::TimeReader;

/// The names of the fields, in their order.
const NAMES: [&[u8]; 4] = [b"time", b"stream", b"_p", b"log"];

/// Reads CRI lines.
#[derive(Debug)]
pub struct CriReader {
    time: TimeReader,
    /// The names as spans of the batch with this id.
    names: Option<(u64, [Span; 4])>,
}

impl CriReader {
    /// A reader whose times are read by `time`.
    pub fn new(time: TimeReader) -> CriReader {
        CriReader { time, names: None }
    }

    /// Reads `text`; none if it is not such a line.
    pub fn read(&mut self, batch: &mut Batch, text: Span) -> Option<Parsed> {
        let parts = split(batch.bytes(text))?;
        let time = self.time.read(batch.bytes(text.slice(parts[0].clone())))?;
        let names = self.names(batch);
        let mark = batch.mark();
        for (name, part) in names.into_iter().zip(parts) {
            batch.push(Field::new(name, Value::Str(text.slice(part))));
        }
        Some(Parsed {
            body: batch.close(mark),
            time: Some(time),
        })
    }

    fn names(&mut self, batch: &mut Batch) -> [Span; 4] {
        match self.names {
            Some((id, names)) if id == batch.id() => names,
            _ => {
                let names = NAMES.map(|name| batch.put(name));
                self.names = Some((batch.id(), names));
                names
            }
        }
    }
}

/// Where time, stream, mark and text stand.
fn split(line: &[u8]) -> Option<[std::ops::Range<usize>; 4]> {
    let first = memchr::memchr(b' ', line)?;
    let second = first + 1 + memchr::memchr(b' ', &line[first + 1..])?;
    let is_stream = matches!(&line[first + 1..second], b"stdout" | b"stderr");
    let is_mark = matches!(line.get(second + 1..second + 3), Some([b'P' | b'F', b' ']));
    let parts = [
        0..first,
        first + 1..second,
        second + 1..second + 2,
        second + 3..line.len(),
    ];
    (is_stream && is_mark).then_some(parts)
}
