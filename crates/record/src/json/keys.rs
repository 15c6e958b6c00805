//! The keys of objects that are written again and again.

mod maps;

use std::hash::{BuildHasher, RandomState};

use super::room::Room;
use super::scan::{self, BLOCK};
use super::short;
use super::values::Values;
use crate::{Batch, Field, Key, Span, Value};
use maps::Maps;

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
    /// Whether the object becomes the inside of a JSON string.
    nested: bool,
    /// Whether the objects are maps in others.
    is_of_map: bool,
    batch: u64,
    keys: Vec<Key>,
    /// The keys one after the other, and where each ends.
    names: Vec<u8>,
    name_ends: Vec<u32>,
    /// `,"key":"` for each, and where each ends.
    texts: Vec<u8>,
    text_ends: Vec<u32>,
    /// By how many bytes all members are longer than in an object that is not nested, if their values are plain strings.
    more: usize,
    /// The maps in it.
    maps: Maps,
    /// So many other objects are not remembered: where they differ all the time, few are.
    pause: u32,
    next_pause: u32,
    scratch: Vec<u8>,
}

/// So many objects at most are not remembered, one after the other.
const PAUSE_MAX: u32 = 63;

impl Layout {
    /// A layout of objects, which may become the inside of a JSON string.
    pub fn new(nested: bool) -> Layout {
        Layout {
            nested,
            maps: Maps::new(nested, maps::LEVELS),
            ..Layout::default()
        }
    }

    /// A layout of maps in such objects, with so many levels below them.
    fn of_map(nested: bool, levels: u8) -> Layout {
        Layout {
            nested,
            is_of_map: true,
            maps: Maps::new(nested, levels),
            ..Layout::default()
        }
    }

    /// Whether `fields` have these keys. A layout has no duplicates and no keys but text.
    #[inline]
    fn fits(&mut self, batch: &Batch, fields: &[Field]) -> bool {
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

    /// The same for keys that lie elsewhere; noted for the first record of a batch.
    #[inline(never)]
    fn fits_by_name(&mut self, batch: &Batch, fields: &[Field]) -> bool {
        let mut start = 0;
        for (field, &end) in fields.iter().zip(&self.name_ends) {
            let span = field.key.span();
            let len = end as usize - start;
            if span.len() != len || field.key.is_msgpack() {
                return false;
            }
            let text = (batch.space(span), span.range().start);
            if !scan::is_equal(text, (&self.names, start), len) {
                return false;
            }
            start = end as usize;
        }
        // Keys that lie elsewhere in each record do so in the next one, too.
        if self.batch != batch.id() {
            self.remember(batch, fields);
        }
        true
    }

    fn remember(&mut self, batch: &Batch, fields: &[Field]) {
        self.batch = batch.id();
        self.keys.clear();
        self.keys.extend(fields.iter().map(|field| field.key));
    }

    /// Whether this is the layout of `fields`, or has become it: fields with duplicates or other keys than text have none.
    #[inline]
    pub fn is_of(&mut self, batch: &Batch, fields: &[Field], values: &mut Values) -> bool {
        let fits = self.fits(batch, fields);
        self.next_pause >>= u32::from(fits);
        fits || self.learn(batch, fields, values)
    }

    #[inline(never)]
    fn learn(&mut self, batch: &Batch, fields: &[Field], values: &mut Values) -> bool {
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        let can = fields.len() <= LEARNABLE
            && (!self.is_of_map || maps::keys_len(fields) <= maps::KEYS_MAX)
            && values.has_plain_keys(batch, fields);
        if can {
            self.pause = self.next_pause;
            self.next_pause = (2 * self.next_pause + 1).min(PAUSE_MAX);
            self.become_that_of(batch, fields, values);
        }
        can
    }

    fn become_that_of(&mut self, batch: &Batch, fields: &[Field], values: &Values) {
        self.remember(batch, fields);
        self.names.clear();
        self.name_ends.clear();
        self.texts.clear();
        self.text_ends.clear();
        self.more = 0;
        self.maps.clear();
        for field in fields {
            let name = batch.bytes(field.key.span());
            self.names.extend_from_slice(name);
            self.name_ends.push(self.names.len() as u32);
            self.scratch.clear();
            self.scratch.push(b',');
            values.string(name, &mut self.scratch);
            self.scratch.extend_from_slice(b":\"");
            match self.nested {
                false => self.texts.extend_from_slice(&self.scratch),
                // The closing quote is longer, too.
                true => self.more += values.again(&self.scratch, &mut self.texts) + 1,
            }
            self.text_ends.push(self.texts.len() as u32);
        }
        // Whole blocks can be loaded at the last key too.
        self.names.extend_from_slice(&[0; BLOCK]);
        self.texts.extend_from_slice(&[0; BLOCK]);
    }

    /// Appends `,"key":value` for each of the fields, whose layout this is. Returns by how many bytes that is longer than in
    /// an object that is not nested.
    pub fn write(
        &mut self,
        batch: &Batch,
        fields: &[Field],
        values: &mut Values,
        out: &mut Vec<u8>,
    ) -> usize {
        let (quote, quote_len) = match self.nested {
            false => (*b"\"\0\0\0\0\0\0\0", 1),
            true => (*b"\\\"\0\0\0\0\0\0", 2),
        };
        let mut more = self.more;
        let mut start = 0;
        let (mut room, mut next) = Room::new(out);
        for (index, (field, &end)) in fields.iter().zip(&self.text_ends).enumerate() {
            let text = start..end as usize;
            start = text.end;
            let (Value::Str(span) | Value::Bin(span)) = field.value else {
                next = room.reserve(next, text.len() + short::MOST);
                // Neither its opening nor its closing quote is there.
                more -= 2 * (quote_len - 1);
                // SAFETY: so much was reserved.
                let written = unsafe {
                    next = next.copy(&self.texts, text.start..text.end - quote_len);
                    short::put(next, field.value)
                };
                if let Some(behind) = written {
                    next = behind;
                    continue;
                }
                let (maps, nested, value) = (&mut self.maps, self.nested, field.value);
                let longer;
                (next, longer) = room.lend(next, |out| {
                    let written = maps.write(index, batch, value, values, out);
                    written.unwrap_or_else(|| other(nested, batch, value, values, out))
                });
                more += longer;
                continue;
            };
            next = room.reserve(next, text.len() + span.len());
            let (space, range) = (batch.space(span), span.range());
            let clean;
            // SAFETY: so much was reserved.
            unsafe {
                next = next.copy(&self.texts, text);
                (next, clean) = next.copy_clean(space, range.clone());
            }
            if clean < range.end {
                let rest = span.part(clean - range.start..span.len());
                let longer;
                (next, longer) = room.lend(next, |out| self.rest(batch, rest, values, out));
                next = room.reserve(next, 0);
                more += longer;
            }
            // SAFETY: the margin is there.
            next = unsafe { next.put(quote, quote_len) };
        }
        room.end(next);
        more
    }

    /// Appends the rest of a string that is not plain: by how many bytes it is longer for being nested.
    #[inline(never)]
    fn rest(&self, batch: &Batch, rest: Span, values: &mut Values, out: &mut Vec<u8>) -> usize {
        match self.nested {
            true => values.nested_inside(batch, rest, out),
            false => {
                values.inside(batch, rest, out);
                0
            }
        }
    }
}

/// Appends a value that is no string: by how many bytes it is longer for being nested.
#[inline(never)]
fn other(
    nested: bool,
    batch: &Batch,
    value: Value,
    values: &mut Values,
    out: &mut Vec<u8>,
) -> usize {
    match nested {
        true => values.write_nested(batch, value, out),
        false => {
            values.write(batch, value, out);
            0
        }
    }
}

/// Objects with more fields are not remembered.
const LEARNABLE: usize = 64;
