//! The keys of objects that are written again and again.

use std::hash::{BuildHasher, RandomState};
use std::mem::MaybeUninit;

use super::scan::BLOCK;
use super::text;
use super::values::Values;
use crate::{Batch, Field, Key, Value};

/// Finds fields whose key comes again later. Only text keys count, compared byte by byte.
#[derive(Clone, Debug, Default)]
pub(super) struct Duplicates {
    hasher: RandomState,
    /// Open addressing: 1 + the index of a field, 0 is free.
    table: Vec<u32>,
}

/// Up to here every key is compared with every other.
const FEW: usize = 24;

impl Duplicates {
    /// Appends to `found`, ascending, the indexes of the `fields` that a later one replaces.
    pub fn find(&mut self, batch: &Batch, fields: &[Field], found: &mut Vec<u32>) {
        if fields.len() > FEW {
            return self.find_by_hash(batch, fields, found);
        }
        for (index, field) in fields.iter().enumerate() {
            if fields[index + 1..]
                .iter()
                .any(|later| same_text(batch, field.key, later.key))
            {
                found.push(index as u32);
            }
        }
    }

    fn find_by_hash(&mut self, batch: &Batch, fields: &[Field], found: &mut Vec<u32>) {
        let slots = (fields.len() * 2).next_power_of_two();
        self.table.clear();
        self.table.resize(slots, 0);
        let start = found.len();
        for (index, field) in fields
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, field)| !field.key.is_msgpack())
        {
            let mut slot =
                self.hasher.hash_one(batch.bytes(field.key.span())) as usize & (slots - 1);
            loop {
                match self.table[slot] {
                    0 => {
                        self.table[slot] = index as u32 + 1;
                        break;
                    }
                    other if same_text(batch, field.key, fields[other as usize - 1].key) => {
                        found.push(index as u32);
                        break;
                    }
                    _ => slot = (slot + 1) & (slots - 1),
                }
            }
        }
        found[start..].reverse();
    }
}

fn same_text(batch: &Batch, one: Key, other: Key) -> bool {
    one.span().len() == other.span().len()
        && !one.is_msgpack()
        && !other.is_msgpack()
        && (one.span() == other.span() || batch.bytes(one.span()) == batch.bytes(other.span()))
}

/// The keys of the last object, ready to be written: most objects have the keys of the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    batch: u64,
    keys: Vec<Key>,
    /// The keys one after the other, and where each ends.
    names: Vec<u8>,
    name_ends: Vec<u32>,
    /// `,"key":"` for each, and where each ends.
    texts: Vec<u8>,
    text_ends: Vec<u32>,
}

impl Layout {
    /// Whether `fields` have these keys. A layout has no duplicates and no keys but text.
    #[inline]
    pub fn fits(&mut self, batch: &Batch, fields: &[Field]) -> bool {
        if self.keys.len() != fields.len() {
            return false;
        }
        let same = self.batch == batch.id()
            && self
                .keys
                .iter()
                .zip(fields)
                .all(|(key, field)| *key == field.key);
        same || self.fits_by_name(batch, fields)
    }

    /// The same for keys that lie elsewhere, which is noted.
    fn fits_by_name(&mut self, batch: &Batch, fields: &[Field]) -> bool {
        let mut start = 0;
        for (field, &end) in fields.iter().zip(&self.name_ends) {
            if !batch.key_is(field.key, &self.names[start..end as usize]) {
                return false;
            }
            start = end as usize;
        }
        self.remember(batch, fields);
        true
    }

    fn remember(&mut self, batch: &Batch, fields: &[Field]) {
        self.batch = batch.id();
        self.keys.clear();
        self.keys.extend(fields.iter().map(|field| field.key));
    }

    /// Becomes the layout of `fields`, which have no duplicates and no keys but text.
    pub fn become_that_of(&mut self, batch: &Batch, fields: &[Field], values: &Values) {
        self.remember(batch, fields);
        self.names.clear();
        self.name_ends.clear();
        self.texts.clear();
        self.text_ends.clear();
        for field in fields {
            let name = batch.bytes(field.key.span());
            self.names.extend_from_slice(name);
            self.name_ends.push(self.names.len() as u32);
            self.texts.push(b',');
            values.string(name, &mut self.texts);
            self.texts.extend_from_slice(b":\"");
            self.text_ends.push(self.texts.len() as u32);
        }
        // Whole blocks can be loaded at the last key too.
        self.texts.extend_from_slice(&[0; BLOCK]);
    }

    /// Writes the members whose values are plain strings into `room`, from the first on, until one is something else.
    /// There must be as much room as [`Layout::room_for`] tells.
    pub fn fill(&self, batch: &Batch, fields: &[Field], room: &mut [MaybeUninit<u8>]) -> Filled {
        let skipped = self.text_ends.len() - fields.len();
        let mut start = skipped
            .checked_sub(1)
            .map_or(0, |last| self.text_ends[last] as usize);
        let mut len = 0;
        for (index, (field, &end)) in fields.iter().zip(&self.text_ends[skipped..]).enumerate() {
            let end = end as usize;
            let (Value::Str(span) | Value::Bin(span)) = field.value else {
                len += text::copy(&self.texts, start..end - 1, &mut room[len..]);
                return Filled {
                    len,
                    fields: index,
                    text: 0,
                };
            };
            len += text::copy(&self.texts, start..end, &mut room[len..]);
            let clean = text::copy_clean(batch.space(span), span.range(), &mut room[len..]);
            len += clean;
            if clean < span.len() {
                return Filled {
                    len,
                    fields: index,
                    text: clean,
                };
            }
            room[len].write(b'"');
            len += 1;
            start = end;
        }
        Filled {
            len,
            fields: fields.len(),
            text: 0,
        }
    }

    /// How many bytes the last `fields` take at most if their values are plain strings.
    pub fn room_for(&self, fields: &[Field]) -> usize {
        let texts = fields.iter().map(|field| match field.value {
            Value::Str(span) | Value::Bin(span) => span.len() + 1,
            _ => 0,
        });
        self.texts.len() + texts.sum::<usize>() + 2 * BLOCK
    }
}

/// What [`Layout::fill`] did.
pub(super) struct Filled {
    /// Bytes written.
    pub len: usize,
    /// Members written. If that is not all, the key of the next is written too, with a quote if its value is a string.
    pub fields: usize,
    /// How many bytes of that string.
    pub text: usize,
}
