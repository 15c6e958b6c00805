//! Objects that look like the one before them: the lines of one program mostly have the same keys in the same order.
//!
//! Of such an object everything but the values is expected again, byte for byte, and is compared rather than read; that holds
//! for the maps in it, too. What it is made of is valid between any values, so that nothing is taken for JSON that is not.

mod learn;
mod object;
mod singles;
mod strings;

use super::window::{self, Portable, WINDOW, Window};
use crate::builder::Builder;
use crate::{Batch, Field, Fields, Key, Span, Value};
use object::Object;
use singles::Text;

/// How many fields an object may have with those of its maps, one for each bit of [`Found::backslashes`].
const FIELDS_MAX: usize = u64::BITS as usize;
/// Behind an object whose end is not the end of the bytes in which it lies, so many bytes must follow: they may be looked at.
const BEHIND: usize = 192;
/// So many objects at most are not looked at after many in a row were not as expected.
const PAUSE_MAX: u32 = 255;

/// What the last object looked like.
#[derive(Debug)]
pub struct Shape {
    /// Whether anything is expected.
    is_known: bool,
    expected: Expected,
    /// Where each step of the last object began, counted from its start.
    places: Vec<u32>,
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

/// What objects of one shape have in common.
#[derive(Debug, Default)]
struct Expected {
    steps: Vec<Step>,
    /// The fields of the object, then those of each map in it. Those without a step have their values already, but for where the
    /// fields of a map begin.
    fields: Vec<Field>,
    /// How many of them are the object's own.
    own: u32,
    /// Which of the fields are maps, and which are theirs.
    maps: Vec<(u32, Fields)>,
    /// Where the key of each field stands.
    keys: Vec<KeyPlace>,
    /// The [number](Batch::id) of the batch that has the keys of the fields: they are those of its first object.
    batch: u64,
}

/// What is read of an object at once: what stands between two values, and the second of them.
#[derive(Debug)]
struct Step {
    /// What comes before the value, the quote of a text included: `","key":"`.
    joint: Joint,
    kind: Kind,
    /// The value's field.
    field: u32,
    /// Its bit, if it is one of the object's own.
    bit: u64,
}

/// What value comes behind a joint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// None: another joint, or the end.
    Nothing,
    /// Text, whose quotes belong to the joints around it.
    Text,
    /// Anything but an array or a map.
    Single,
    /// An array of such values.
    Array,
}

/// The text of a joint.
#[derive(Debug)]
struct Joint {
    text: Window,
    /// A bit for each byte of the text.
    mask: u32,
    len: u32,
}

/// Where a key stands: counted from the start of a step.
#[derive(Debug)]
struct KeyPlace {
    step: u32,
    offset: u32,
    len: u32,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            is_known: false,
            expected: Expected::default(),
            places: Vec::new(),
            pause: 0,
            next_pause: 0,
            has_avx2: window::has_avx2(),
        }
    }
}

impl Shape {
    /// Reads `text`, a span of `batch`, if it is one object with the keys that were [learnt](Shape::learn), and nothing else:
    /// the same fields as [`read::object`](super::read::object) makes, but that keys may be those of an object before.
    /// Otherwise nothing is left in the batch.
    #[inline]
    pub fn read(&mut self, batch: &mut Batch, text: Span) -> Option<Found> {
        if !self.is_known {
            return None;
        }
        // Beyond the end of the text some bytes are looked at.
        if text.range().end + BEHIND > batch.space(text).len() {
            return None;
        }
        let start = batch.mark();
        let Some(backslashes) = self.fields(batch, text) else {
            self.is_known = false;
            return None;
        };
        if self.expected.batch != batch.id() {
            self.expected.find_keys(batch, text, start, &self.places);
        }
        self.next_pause = self.next_pause.saturating_sub(1);
        self.pause = self.pause.min(self.next_pause);
        Some(Found {
            fields: Fields {
                start,
                len: self.expected.own,
            },
            backslashes,
        })
    }

    /// Appends the fields of an object that is as expected: which of them may have a backslash.
    #[inline]
    fn fields(&mut self, batch: &mut Batch, text: Span) -> Option<u64> {
        let found = batch.read(text, |space, out| {
            if !out.has_room(text.len()) {
                return Err(());
            }
            let fields = out.fields.len();
            self.expected.begin(out);
            let mut object = Object {
                text: Text {
                    space,
                    end: text.range().end,
                    span: text,
                },
                steps: &self.expected.steps,
                places: &mut self.places,
                fields,
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
        if self.is_known {
            // The last one only stood too near to the end.
            return false;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        self.pause = self.next_pause;
        self.next_pause = (2 * self.next_pause + 1).min(PAUSE_MAX);
        let learnt = learn::expected(&self.expected, batch, text, fields);
        self.is_known = learnt.is_some();
        self.expected = learnt.unwrap_or_default();
        self.places.clear();
        self.places.resize(self.expected.steps.len(), 0);
        self.is_known
    }
}

impl Expected {
    /// Appends the fields, as far as they are known.
    #[inline(always)]
    fn begin(&self, out: &mut Builder<'_>) {
        let start = out.fields.len();
        out.fields.extend_from_slice(&self.fields);
        for (field, fields) in &self.maps {
            out.fields[start + *field as usize].value = Value::Map(Fields {
                start: start as u32 + fields.start,
                ..*fields
            });
        }
    }

    /// Gives the fields from `start` on, which were read from `text`, their keys, and all that follow in this batch.
    #[inline(never)]
    fn find_keys(&mut self, batch: &mut Batch, text: Span, start: u32, places: &[u32]) {
        self.batch = batch.id();
        let read = Fields {
            start,
            len: self.fields.len() as u32,
        };
        for (index, place) in self.keys.iter().enumerate() {
            let at = (places[place.step as usize] + place.offset) as usize;
            let key = Key::text(text.slice(at..at + place.len as usize));
            self.fields[index].key = key;
            let value = batch.fields(read)[index].value;
            batch.set(read, index, Field { key, value });
        }
    }
}

impl Joint {
    /// A joint of this text, of a window at most.
    fn new(bytes: &[u8]) -> Joint {
        let mut text = [0; WINDOW];
        text[..bytes.len()].copy_from_slice(bytes);
        Joint {
            text,
            mask: ((1_u64 << bytes.len()) - 1) as u32,
            len: bytes.len() as u32,
        }
    }
}

#[cfg(test)]
mod tests;
