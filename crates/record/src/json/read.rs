//! JSON text → values of a batch.
//!
//! What is accepted is what Fluent Bit 5.1.1 accepts (yyjson, reading invalid Unicode): RFC 8259, and besides, inside of
//! strings, control characters and bytes that are not UTF-8, both kept as they are. Half of a surrogate pair becomes
//! U+FFFD; `\u` without four hexadecimal digits stays as it is written. Two differences keep what Fluent Bit loses: the
//! escape after half of a pair, and the character after an incomplete `\u`.

use super::number;
use super::scan::{self, WINDOW};
use super::unescape;
use crate::builder::{Builder, Run};
use crate::{Batch, Field, Fields, Span, Value};

/// How deep maps and arrays may nest.
pub const MAX_DEPTH: usize = 128;

/// Why a text is not JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct Error {
    /// Bytes from the start of the text.
    pub offset: usize,
    /// What was found there.
    pub reason: Reason,
}

/// What is wrong with a text that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The text ends inside a value; more bytes might complete it.
    #[error("the text ends inside a value")]
    Incomplete,
    /// Something else was expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Deeper than [`MAX_DEPTH`].
    #[error("nested more than {MAX_DEPTH} levels deep")]
    Depth,
    /// The batch cannot hold more.
    #[error("the batch is full")]
    Full,
}

impl Error {
    /// Whether more bytes might make it JSON.
    pub fn is_incomplete(self) -> bool {
        self.reason == Reason::Incomplete
    }
}

/// Reads one JSON object from the start of `text`, a span of `batch`, leading white space allowed: its fields, and how
/// many bytes it took, up to and including its closing brace. What follows is not looked at.
///
/// Text without escapes becomes a span of `text`, other text is decoded into the arena. Order and duplicates are kept.
/// No run of fields may be open: a nested map is written before the map that holds it.
///
/// # Errors
/// When `text` does not start with a JSON object. Nothing of it is left in the batch.
#[inline]
pub fn object(batch: &mut Batch, text: Span) -> Result<(Fields, usize), Error> {
    read(batch, text, |reader| match reader.next_byte()? {
        b'{' => {
            reader.at += 1;
            reader.object(1)
        }
        _ => Err(reader.expected("an object")),
    })
}

/// The same for any JSON value. A number ends where its digits end, also at the end of `text`.
///
/// # Errors
/// When `text` does not start with a JSON value. Nothing of it is left in the batch.
pub fn value(batch: &mut Batch, text: Span) -> Result<(Value, usize), Error> {
    read(batch, text, |reader| {
        reader.next_byte()?;
        reader.value(0, None)
    })
}

/// How many bytes the JSON value at the start of `text` takes, leading white space included, without keeping it. Tells
/// whether another value follows an object.
///
/// # Errors
/// When `text` does not start with a JSON value.
pub fn skip(text: &[u8]) -> Result<usize, Error> {
    let (mut fields, mut scratch, mut made) = (Vec::new(), Vec::new(), Vec::new());
    let out = Builder {
        fields: &mut fields,
        scratch: &mut scratch,
        made: &mut made,
        base: 0,
    };
    let mut out = out;
    let span = Span::in_source(0..text.len());
    let mut reader = Reader {
        space: text,
        start: 0,
        end: text.len(),
        at: 0,
        marks: Marks::at(text, 0),
        span,
        out: &mut out,
    };
    reader.next_byte()?;
    reader.value(0, None)?;
    Ok(reader.at)
}

#[inline]
fn read<T>(
    batch: &mut Batch,
    text: Span,
    read: impl FnOnce(&mut Reader<'_, '_>) -> Result<T, Error>,
) -> Result<(T, usize), Error> {
    batch.read(text, |space, out| {
        if !out.has_room(text.len()) {
            return Err(Error {
                offset: 0,
                reason: Reason::Full,
            });
        }
        let range = text.range();
        let (start, end) = (range.start, range.end);
        let mut reader = Reader {
            space,
            start,
            end,
            at: start,
            marks: Marks::at(space, start),
            span: text,
            out,
        };
        let result = read(&mut reader)?;
        Ok((result, reader.at - reader.start))
    })
}

struct Reader<'a, 'b> {
    /// The bytes in which the text lies. Blocks are loaded across its end.
    space: &'a [u8],
    start: usize,
    end: usize,
    at: usize,
    marks: Marks,
    span: Span,
    out: &'a mut Builder<'b>,
}

/// The quotes and backslashes of the text, one window at a time. Outside of strings nothing is marked but the quotes
/// that open one, as long as the text is JSON.
struct Marks {
    window: usize,
    marks: u64,
}

impl Marks {
    fn at(space: &[u8], at: usize) -> Marks {
        Marks {
            window: at,
            marks: scan::quotes(space, at),
        }
    }

    /// Forgets the marks before `at`, which is not before the window.
    #[inline(always)]
    fn skip_to(&mut self, space: &[u8], at: usize) {
        let offset = at - self.window;
        if offset < WINDOW {
            self.marks &= u64::MAX << offset;
        } else {
            *self = Marks::at(space, at);
        }
    }

    /// The place of the first mark, if it is before `end`.
    #[inline(always)]
    fn next(&mut self, space: &[u8], end: usize) -> Option<usize> {
        while self.marks == 0 {
            self.window += WINDOW;
            if self.window >= end {
                return None;
            }
            self.marks = scan::quotes(space, self.window);
        }
        Some(self.window + self.marks.trailing_zeros() as usize).filter(|&at| at < end)
    }
}

impl Reader<'_, '_> {
    /// The fields of an object whose brace has been read.
    fn object(&mut self, depth: usize) -> Result<Fields, Error> {
        let mut run = self.out.open();
        match self.next_byte()? {
            b'"' => {}
            b'}' => {
                self.at += 1;
                return Ok(self.out.close(run));
            }
            _ => return Err(self.expected("a key in quotes")),
        }
        loop {
            let key = self.string()?;
            // As most are written, without blanks.
            let is_text = self.follows(b":\"");
            if is_text {
                self.at += 1;
            } else {
                self.colon()?;
            }
            let field = match is_text || self.space[self.at] == b'"' {
                true => Field::new(key, Value::Str(self.string()?)),
                false => Field::new(key, self.other_value(depth, Some(&mut run))?),
            };
            self.out.push(&run, field);
            if self.follows(b",\"") {
                self.at += 1;
            } else if !self.has_next_key()? {
                return Ok(self.out.close(run));
            }
        }
    }

    /// Goes from behind a key to its value.
    #[inline(never)]
    fn colon(&mut self) -> Result<(), Error> {
        if self.next_byte()? != b':' {
            return Err(self.expected("a colon"));
        }
        self.at += 1;
        self.next_byte().map(|_| ())
    }

    /// Goes from behind a value to the next key, if the object has one, and else behind its brace.
    #[inline(never)]
    fn has_next_key(&mut self) -> Result<bool, Error> {
        match self.next_byte()? {
            b',' => self.at += 1,
            b'}' => {
                self.at += 1;
                return Ok(false);
            }
            _ => return Err(self.expected("a comma or a closing brace")),
        }
        match self.next_byte()? {
            b'"' => Ok(true),
            _ => Err(self.expected("a key in quotes")),
        }
    }

    /// Whether these bytes come next.
    #[inline(always)]
    fn follows(&self, bytes: &[u8; 2]) -> bool {
        self.at + 2 <= self.end && self.space.get(self.at..self.at + 2) == Some(bytes)
    }

    /// The items of an array whose bracket has been read.
    fn array(&mut self, depth: usize) -> Result<Fields, Error> {
        let mut run = self.out.open();
        if self.next_byte()? == b']' {
            self.at += 1;
            return Ok(self.out.close(run));
        }
        loop {
            self.next_byte()?;
            let value = self.value(depth, Some(&mut run))?;
            self.out.push(&run, Field::item(value));
            match self.next_byte()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return Err(self.expected("a comma or a closing bracket")),
            }
        }
        self.at += 1;
        Ok(self.out.close(run))
    }

    /// The value that starts here; `outer` is the run that it will be pushed to.
    fn value(&mut self, depth: usize, outer: Option<&mut Run>) -> Result<Value, Error> {
        match self.space[self.at] {
            b'"' => self.string().map(Value::Str),
            _ => self.other_value(depth, outer),
        }
    }

    #[inline(never)]
    fn other_value(&mut self, depth: usize, outer: Option<&mut Run>) -> Result<Value, Error> {
        match self.space[self.at] {
            opening @ (b'{' | b'[') => {
                if depth == MAX_DEPTH {
                    return Err(self.error(Reason::Depth));
                }
                if let Some(outer) = outer {
                    self.out.set_aside(outer);
                }
                self.at += 1;
                match opening {
                    b'{' => self.object(depth + 1).map(Value::Map),
                    _ => self.array(depth + 1).map(Value::Array),
                }
            }
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true", Value::Bool(true)),
            b'f' => self.literal(b"false", Value::Bool(false)),
            b'n' => self.literal(b"null", Value::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn number(&mut self) -> Result<Value, Error> {
        // What lies behind the text may be looked at, but does not belong to it.
        if let Some((value, len)) = number::short(&self.space[self.at..])
            && self.at + len <= self.end
        {
            self.at += len;
            return Ok(value);
        }
        match number::read(&self.space[self.at..self.end]) {
            Ok((value, len)) => {
                self.at += len;
                Ok(value)
            }
            Err((offset, reason)) => {
                self.at += offset;
                Err(self.error(reason))
            }
        }
    }

    fn literal(&mut self, text: &[u8], value: Value) -> Result<Value, Error> {
        let rest = &self.space[self.at..self.end];
        if rest.starts_with(text) {
            self.at += text.len();
            Ok(value)
        } else if text.starts_with(rest) {
            self.at = self.end;
            Err(self.error(Reason::Incomplete))
        } else {
            Err(self.expected("true, false or null"))
        }
    }

    /// The string whose opening quote is here.
    #[inline(always)]
    fn string(&mut self) -> Result<Span, Error> {
        let start = self.at + 1;
        self.marks.skip_to(self.space, start);
        self.at = self.next_mark()?;
        if self.space[self.at] == b'"' {
            let span = self.span.slice(start - self.start..self.at - self.start);
            self.at += 1;
            return Ok(span);
        }
        self.decode(start)
    }

    /// The string that starts at `start` and has escapes, decoded.
    fn decode(&mut self, start: usize) -> Result<Span, Error> {
        let made = self.out.made.len();
        match unescape::string(self.space, start, self.end, self.out.made) {
            Ok(at) => {
                self.at = at;
                self.marks.skip_to(self.space, at);
                Ok(self.out.made_since(made))
            }
            Err((at, reason)) => {
                self.at = at;
                Err(self.error(reason))
            }
        }
    }

    /// The place of the next quote or backslash.
    #[inline(always)]
    fn next_mark(&mut self) -> Result<usize, Error> {
        match self.marks.next(self.space, self.end) {
            Some(at) => Ok(at),
            None => Err(self.incomplete()),
        }
    }

    /// The next byte that is not white space, without taking it.
    #[inline(always)]
    fn next_byte(&mut self) -> Result<u8, Error> {
        while self.at < self.end {
            let byte = self.space[self.at];
            if byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(self.incomplete())
    }

    #[cold]
    fn incomplete(&mut self) -> Error {
        self.at = self.end;
        self.error(Reason::Incomplete)
    }

    #[cold]
    fn expected(&self, what: &'static str) -> Error {
        self.error(Reason::Expected(what))
    }

    #[cold]
    fn error(&self, reason: Reason) -> Error {
        Error {
            offset: self.at - self.start,
            reason,
        }
    }
}

#[cfg(test)]
mod tests;
