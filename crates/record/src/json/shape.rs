//! Objects that look like the one before them: the lines of one program mostly have the same keys in the same order.
//!
//! Of an object whose values are all text, everything but the values is expected again, byte for byte, and is compared rather
//! than read. What it is made of is valid between any values, so that nothing is taken for JSON that is not.

mod strings;

use std::ops::Range;

use super::window::{self, Machine, Portable, WINDOW, Window};
use crate::builder::Builder;
use crate::{Batch, Field, Fields, Span, Value};
use strings::{Strings, Written};

/// How many fields an object may have, one for each bit of [`Found::backslashes`].
const FIELDS_MAX: usize = u64::BITS as usize;
/// Behind an object whose end is not the end of the bytes in which it lies, so many bytes must follow: they may be looked at.
const BEHIND: usize = 192;
/// So many objects at most are not looked at after many in a row were not as expected.
const PAUSE_MAX: u32 = 255;

/// What the last object looked like.
#[derive(Debug)]
pub struct Shape {
    /// What stood around its values: one more than there were, or none if nothing is expected.
    joints: Vec<Joint>,
    /// So many objects are still not looked at.
    pause: u32,
    next_pause: u32,
    has_avx2: bool,
}

/// An object that was as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its fields.
    pub fields: Fields,
    /// Bit 0 is the first field: those whose text may have a backslash, escapes being decoded.
    pub backslashes: u64,
}

/// What stands between two values, their quotes included: `","key":"`.
#[derive(Debug)]
struct Joint {
    text: Window,
    /// A bit for each byte of the text.
    mask: u32,
    len: u32,
    /// Where the key stands in it.
    key: u32,
    key_len: u32,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            joints: Vec::new(),
            pause: 0,
            next_pause: 0,
            has_avx2: window::has_avx2(),
        }
    }
}

impl Shape {
    /// Reads `text`, a span of `batch`, if it is one object with the keys that were [learnt](Shape::learn), and nothing else:
    /// the same fields as [`read::object`](super::read::object) makes. Otherwise nothing is left in the batch.
    #[inline]
    pub fn read(&mut self, batch: &mut Batch, text: Span) -> Option<Found> {
        if self.joints.is_empty() {
            return None;
        }
        // Beyond the end of the text some bytes are looked at.
        if text.range().end + BEHIND > batch.space(text).len() {
            return None;
        }
        let start = batch.mark();
        let Some(backslashes) = self.fields(batch, text) else {
            self.joints.clear();
            return None;
        };
        self.next_pause = self.next_pause.saturating_sub(1);
        self.pause = self.pause.min(self.next_pause);
        Some(Found {
            fields: Fields {
                start,
                len: self.joints.len() as u32 - 1,
            },
            backslashes,
        })
    }

    /// Appends the fields of an object that is as expected: which of them may have a backslash.
    #[inline]
    fn fields(&self, batch: &mut Batch, text: Span) -> Option<u64> {
        let found = batch.read(text, |space, out| {
            if !out.has_room(text.len()) {
                return Err(());
            }
            let object = Object {
                space,
                range: text.range(),
                span: text,
                joints: &self.joints,
            };
            #[cfg(target_arch = "x86_64")]
            if self.has_avx2 {
                // SAFETY: the processor has what it is compiled for.
                return unsafe { object.read_avx2(out) }.ok_or(());
            }
            object.read::<Portable>(out).ok_or(())
        });
        found.ok()
    }

    /// Expects the next object to look like `fields`, which were read from `text`: whether it can be. Where objects differ all
    /// the time, only some of them are looked at.
    #[inline]
    pub fn learn(&mut self, batch: &Batch, text: Span, fields: Fields) -> bool {
        if !self.joints.is_empty() {
            // The last one only stood too near to the end.
            return false;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        self.pause = self.next_pause;
        self.next_pause = (2 * self.next_pause + 1).min(PAUSE_MAX);
        let is_known = self.find_joints(batch, text, fields).is_some();
        if !is_known {
            self.joints.clear();
        }
        is_known
    }

    /// Finds what stands around the values of `fields`, which were read from `text`.
    #[inline(never)]
    fn find_joints(&mut self, batch: &Batch, text: Span, fields: Fields) -> Option<()> {
        let fields = batch.fields(fields);
        if !(1..=FIELDS_MAX).contains(&fields.len()) {
            return None;
        }
        let bytes = batch.bytes(text);
        for (index, field) in fields.iter().enumerate() {
            let Value::Str(_) = field.value else {
                return None;
            };
            let key = within(text, field.key.span())?;
            let start = match index {
                0 => 0,
                _ => quote_before(bytes[..key.start].strip_suffix(b"\"")?, b",")?,
            };
            let colon = skip_blanks(bytes, key.end + 1);
            let quote = skip_blanks(bytes, colon + 1);
            if bytes.get(colon) != Some(&b':') || bytes.get(quote) != Some(&b'"') {
                return None;
            }
            self.joints.push(Joint::new(bytes, start..quote + 1, key)?);
        }
        let last = quote_before(bytes, b"}")?;
        self.joints
            .push(Joint::new(bytes, last..bytes.len(), last..last)?);
        Some(())
    }
}

/// Where the quote stands with which `text` ends, but for `between` and white space around that.
fn quote_before(text: &[u8], between: &[u8]) -> Option<usize> {
    let text = text.trim_ascii_end().strip_suffix(between)?;
    text.trim_ascii_end().strip_suffix(b"\"").map(<[u8]>::len)
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_ascii_start().len()
}

/// Where `span` lies in `text`, if it does.
fn within(text: Span, span: Span) -> Option<Range<usize>> {
    let (outer, inner) = (text.range(), span.range());
    let is_within = outer.start <= inner.start && inner.end <= outer.end;
    (is_within && text.is_in_arena() == span.is_in_arena())
        .then(|| inner.start - outer.start..inner.end - outer.start)
}

impl Joint {
    /// The joint at `range` of an object's text.
    fn new(bytes: &[u8], range: Range<usize>, key: Range<usize>) -> Option<Joint> {
        let found = bytes.get(range.clone())?;
        let mut text = [0; WINDOW];
        text.get_mut(..found.len())?.copy_from_slice(found);
        Some(Joint {
            text,
            mask: (u64::MAX >> (u64::BITS as usize - found.len())) as u32,
            len: found.len() as u32,
            key: (key.start - range.start) as u32,
            key_len: key.len() as u32,
        })
    }
}

/// An object that is read.
struct Object<'a> {
    /// The bytes in which it lies. Some behind it are loaded, too.
    space: &'a [u8],
    range: Range<usize>,
    span: Span,
    joints: &'a [Joint],
}

impl Object<'_> {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn read_avx2(&self, out: &mut Builder<'_>) -> Option<u64> {
        self.read::<window::Avx2>(out)
    }

    /// Appends the fields, if the object is as expected: which of them may have a backslash. [`BEHIND`] it as many bytes must
    /// follow.
    #[inline(always)]
    fn read<M: Machine>(&self, out: &mut Builder<'_>) -> Option<u64> {
        let Range { start, end } = self.range;
        let (last, joints) = self.joints.split_last()?;
        let mut reader = Strings::new(self.space, end, out.made, self.range.len());
        out.fields.reserve(joints.len());
        let (mut at, mut backslashes) = (start, 0);
        for (index, joint) in joints.iter().enumerate() {
            let value = at + joint.len as usize;
            if !self.has::<M>(joint, at) || value >= end {
                return None;
            }
            let key = at - start + joint.key as usize;
            let key = key..key + joint.key_len as usize;
            // SAFETY: the value begins before the end, which is far from that of the space.
            let (quote, text) = unsafe { reader.read::<M>(value) }?;
            if quote >= end {
                return None;
            }
            let text = match text {
                Written::Plain => self.span.part(value - start..quote - start),
                Written::Escaped {
                    made,
                    has_backslash,
                } => {
                    backslashes |= u64::from(has_backslash) << index;
                    Span::in_arena(out.base + made.start..out.base + made.end)
                }
            };
            out.fields
                .push(Field::new(self.span.part(key), Value::Str(text)));
            at = quote;
        }
        if !self.has::<M>(last, at) || at + last.len as usize != end {
            return None;
        }
        reader.end();
        Some(backslashes)
    }

    /// Whether a joint stands at `at`, which is not behind the end.
    #[inline(always)]
    fn has<M: Machine>(&self, joint: &Joint, at: usize) -> bool {
        debug_assert!(at <= self.range.end);
        // SAFETY: the end is far from that of the space.
        let there = unsafe { &*self.space.as_ptr().add(at).cast::<Window>() };
        M::equal(there, &joint.text) & joint.mask == joint.mask
    }
}

#[cfg(test)]
mod tests;
