//! Values that are not made of others, and arrays of them.

use super::super::number;
use super::super::window::Portable;
use super::strings::{Strings, Written};
use crate::builder::Builder;
use crate::{Field, Fields, Span, Value};

/// The text of an object.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    /// The bytes in which it lies. [`BEHIND`](super::BEHIND) its end as many follow.
    pub space: &'a [u8],
    /// Where it ends.
    pub end: usize,
    pub span: Span,
}

impl Text<'_> {
    /// Puts the value at `at`, before the end, into `value`, unless it is text or is made of others: its length. It may reach
    /// beyond the end.
    #[inline(always)]
    pub fn single(self, at: usize, value: &mut Value) -> Option<usize> {
        let rest = &self.space[at..];
        let (literal, len) = match rest[0] {
            b'-' | b'0'..=b'9' => {
                let (number, len) = match number::short(rest) {
                    Some(found) => found,
                    None => number::read(&self.space[at..self.end]).ok()?,
                };
                *value = number;
                return Some(len);
            }
            b't' if rest.starts_with(b"true") => (Value::Bool(true), 4),
            b'f' if rest.starts_with(b"false") => (Value::Bool(false), 5),
            b'n' if rest.starts_with(b"null") => (Value::Null, 4),
            _ => return None,
        };
        *value = literal;
        Some(len)
    }

    /// Gives a field the text or the array at `at`, before the end: where it ends. Items of an array are neither arrays nor
    /// maps.
    #[inline(never)]
    pub fn other(self, at: usize, out: &mut Builder<'_>, field: usize) -> Option<usize> {
        match self.space[at] {
            b'"' => {
                let (text, behind) = self.string(at + 1, out)?;
                out.fields[field].value = Value::Str(text);
                Some(behind)
            }
            b'[' => {
                let (items, behind) = self.array(at, out)?;
                out.fields[field].value = Value::Array(items);
                Some(behind)
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn array(self, at: usize, out: &mut Builder<'_>) -> Option<(Fields, usize)> {
        let start = out.fields.len();
        let mut at = self.next_byte(at + 1)?;
        while self.space[at] != b']' {
            at = self.next_byte(self.item(at, out)?)?;
            match self.space[at] {
                b',' => at = self.next_byte(at + 1)?,
                b']' => break,
                _ => return None,
            }
            if self.space[at] == b']' {
                return None;
            }
        }
        let items = Fields {
            start: start as u32,
            len: (out.fields.len() - start) as u32,
        };
        Some((items, at + 1))
    }

    /// Appends the item at `at`, before the end: where it ends, which may be beyond the end.
    #[inline(always)]
    fn item(self, at: usize, out: &mut Builder<'_>) -> Option<usize> {
        if self.space[at] != b'"' {
            let mut item = Field::item(Value::Null);
            let len = self.single(at, &mut item.value)?;
            out.fields.push(item);
            return Some(at + len);
        }
        let (text, behind) = self.string(at + 1, out)?;
        out.fields.push(Field::item(Value::Str(text)));
        Some(behind)
    }

    /// The string that begins at `at`, behind its quote, and where it ends.
    fn string(self, at: usize, out: &mut Builder<'_>) -> Option<(Span, usize)> {
        let mut strings = Strings::new(self.space, self.end, out.made, self.end - at);
        // SAFETY: the text begins not behind the end, which is far from the end of the space.
        let (quote, written) = unsafe { strings.read::<Portable>(at) }?;
        strings.end();
        let start = self.end - self.span.len();
        let text = match written {
            _ if quote >= self.end => return None,
            Written::Plain => self.span.part(at - start..quote - start),
            Written::Escaped { made, .. } => {
                Span::in_arena(out.base + made.start..out.base + made.end)
            }
        };
        Some((text, quote + 1))
    }

    /// Where the first byte from `at` on stands that is no blank, if that is before the end.
    #[inline(always)]
    fn next_byte(self, mut at: usize) -> Option<usize> {
        while at < self.end {
            match self.space[at] {
                b' ' | b'\t' | b'\n' | b'\r' => at += 1,
                _ => return Some(at),
            }
        }
        None
    }
}
