//! From lines to records.

use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;
use plugin::{Parsed, Parser};
use record::{Batch, Field, Fields, Position, Record, Span, Time, Value};

use super::cursor::Piece;
use super::long_lines::{LongLines, boundary_before};
use super::multiline::{Form, Multiline};
use super::options::Options;

/// Makes records of lines.
pub struct Lines {
    key: String,
    path_key: Option<String>,
    offset_key: Option<String>,
    skip_empty: bool,
    long_lines: LongLines,
    parser: Option<Box<dyn Parser>>,
    /// Joins lines, if that is wanted.
    pub multiline: Option<Box<Multiline>>,
}

/// How many lines go into one batch at most: a piece of nothing but newlines would make very many records.
const LINES_MAX: usize = 8192;

/// What was left out or cut among the lines of one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongCount {
    /// Long lines that were dropped.
    pub dropped: u64,
    /// Long lines that were cut.
    pub cut: u64,
}

/// Texts that every record of a batch shares.
struct Shared {
    key: Span,
    path: Option<Field>,
    offset_key: Option<Span>,
    now: Time,
}

/// One line: where it lies in the piece, and what of it is content.
struct Line {
    start: usize,
    content: usize,
    end: usize,
}

impl Lines {
    /// What the options ask for; `parser` is the one that they name, if it exists.
    pub fn new(options: &Options, parser: Option<Box<dyn Parser>>) -> Lines {
        Lines {
            key: options.key.clone(),
            path_key: options.path_key.clone(),
            offset_key: options.offset_key.clone(),
            skip_empty: options.skip_empty_lines,
            long_lines: LongLines::of(options),
            parser,
            multiline: None,
        }
    }

    /// The same, with lines joined by `multiline`.
    pub fn joined_by(mut self, multiline: Option<Multiline>) -> Lines {
        self.multiline = multiline.map(Box::new);
        self
    }

    /// Appends the records of `piece`, whose bytes are the source of `batch`, to `batch`, at most 8192 of them. `path` is
    /// what `path_key` gets. Gives also how many bytes were used.
    pub fn append(&mut self, batch: &mut Batch, piece: &Piece, path: &Path) -> (LongCount, usize) {
        let shared = self.share(batch, path);
        let bytes: Bytes = batch.source().clone();
        let mut count = LongCount {
            cut: u64::from(piece.is_cut && self.long_lines.drops_rest()),
            dropped: 0,
        };
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', &bytes).take(LINES_MAX) {
            let line = Line {
                start,
                content: newline,
                end: newline + 1,
            };
            self.line(batch, piece.first, line, &bytes, &shared, &mut count);
            start = newline + 1;
        }
        let is_last = start < bytes.len() && memchr::memchr(b'\n', &bytes[start..]).is_none();
        if is_last {
            let content = &bytes[start..];
            let position = position(piece.first, start, bytes.len());
            self.push(batch, start..bytes.len(), content, &shared, position);
            start = bytes.len();
        }
        self.finish(batch, &shared);
        (count, start)
    }

    fn share(&self, batch: &mut Batch, path: &Path) -> Shared {
        let key = batch.put(self.key.as_bytes());
        let path = self.path_key.as_ref().map(|name| {
            let name = batch.put(name.as_bytes());
            let value = batch.put(path.as_os_str().as_bytes());
            Field::new(name, Value::Str(value))
        });
        let offset_key = self
            .offset_key
            .as_ref()
            .map(|name| batch.put(name.as_bytes()));
        Shared {
            key,
            path,
            offset_key,
            now: Time::now(),
        }
    }

    #[inline]
    fn line(
        &mut self,
        batch: &mut Batch,
        first: u64,
        mut line: Line,
        bytes: &[u8],
        shared: &Shared,
        count: &mut LongCount,
    ) {
        let content = &bytes[line.start..line.content];
        if self.long_lines.is_long(content.len() as u64) {
            let Some(kept) = self.long_lines.kept() else {
                count.dropped += 1;
                return;
            };
            count.cut += 1;
            line.content = line.start + boundary_before(&content[..kept as usize]);
        }
        if self.skip_empty && (content.is_empty() || content == b"\r") {
            return;
        }
        let content = &bytes[line.start..line.content];
        let position = position(first, line.start, line.end);
        self.push(batch, line.start..line.content, content, shared, position);
    }

    /// Appends the record of a line that stands at `range`, or gives it to whoever joins lines.
    #[inline]
    fn push(
        &mut self,
        batch: &mut Batch,
        range: Range<usize>,
        content: &[u8],
        shared: &Shared,
        position: Position,
    ) {
        if let Some(multiline) = &mut self.multiline {
            let is_crlf = matches!(content, [_, .., b'\r']);
            let text = range.start..range.end - usize::from(is_crlf);
            multiline.line(batch, text, position, shared.now);
            return;
        }
        let span = batch.span(range);
        let record = self.record(batch, span, content, shared, position);
        batch.push_record(record);
    }

    /// Gives joined records their path and offset.
    fn finish(&mut self, batch: &mut Batch, shared: &Shared) {
        let Some(multiline) = &mut self.multiline else {
            return;
        };
        if shared.path.is_none() && shared.offset_key.is_none() {
            return;
        }
        let form = multiline.form();
        multiline.change_bodies(batch, |batch, body, offset| {
            let position = Position { offset, len: 0 };
            match form {
                Form::PathFirst => {
                    let mark = batch.mark();
                    shared.path.into_iter().for_each(|path| batch.push(path));
                    batch.push_copy(body);
                    batch.close(mark)
                }
                Form::OriginLast => {
                    let mark = batch.mark();
                    batch.push_copy(body);
                    push_origin(batch, shared, position);
                    batch.close(mark)
                }
            }
        });
    }

    /// Takes the joined records that `emit` makes out of what waits of no batch: `path` is what `path_key` gets.
    pub fn append_waiting(
        &mut self,
        batch: &mut Batch,
        path: &Path,
        make: impl FnOnce(&mut Multiline, &mut Batch),
    ) {
        let shared = self.share(batch, path);
        if let Some(multiline) = &mut self.multiline {
            make(multiline, batch);
        }
        self.finish(batch, &shared);
    }

    #[inline]
    fn record(
        &mut self,
        batch: &mut Batch,
        span: Span,
        content: &[u8],
        shared: &Shared,
        position: Position,
    ) -> Record {
        let text = match content {
            // A line that is a carriage return alone stays one.
            [_, .., b'\r'] => span.slice(0..span.len() - 1),
            _ => span,
        };
        let Some(parser) = &mut self.parser else {
            return raw(batch, text, shared, position);
        };
        match parser.parse(batch, text) {
            Some(parsed) => structured(batch, parsed, shared, position),
            // What no parser took apart keeps its carriage return.
            None => raw(batch, span, shared, position),
        }
    }
}

/// Path, offset, line.
#[inline]
fn raw(batch: &mut Batch, line: Span, shared: &Shared, position: Position) -> Record {
    let mark = batch.mark();
    push_origin(batch, shared, position);
    batch.push(Field::new(shared.key, Value::Str(line)));
    record(batch.close(mark), shared.now, position)
}

/// The fields, then path and offset.
#[inline]
fn structured(batch: &mut Batch, parsed: Parsed, shared: &Shared, position: Position) -> Record {
    let time = parsed.time.unwrap_or(shared.now);
    if shared.path.is_none() && shared.offset_key.is_none() {
        return record(parsed.body, time, position);
    }
    let mark = batch.mark();
    batch.push_copy(parsed.body);
    push_origin(batch, shared, position);
    record(batch.close(mark), time, position)
}

fn push_origin(batch: &mut Batch, shared: &Shared, position: Position) {
    if let Some(path) = shared.path {
        batch.push(path);
    }
    if let Some(key) = shared.offset_key {
        // A file of more than 8 EiB does not exist.
        batch.push(Field::new(key, Value::Int(position.offset as i64)));
    }
}

fn record(body: Fields, time: Time, position: Position) -> Record {
    Record {
        time,
        body,
        position,
        ..Record::default()
    }
}

/// Where a line stands in its file.
#[inline]
fn position(first: u64, start: usize, end: usize) -> Position {
    Position {
        offset: first + start as u64,
        len: (end - start) as u32,
    }
}

#[cfg(test)]
mod tests;
