//! Values, keys and fields: all `Copy`, all pointing into the batch that holds them.

use crate::Span;

/// A value of a record. Text need not be UTF-8; order and duplicate keys of maps are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A signed integer; used for every integer that fits.
    Int(i64),
    /// An unsigned integer above `i64::MAX`.
    Uint(u64),
    /// A float of double precision.
    Float(f64),
    /// Text, by convention UTF-8, never validated.
    Str(Span),
    /// Bytes that the source declared as binary.
    Bin(Span),
    /// A msgpack extension: its type and its bytes.
    Ext(i8, Span),
    /// An array: the keys of its fields are [`Key::NONE`].
    Array(Fields),
    /// A map.
    Map(Fields),
}

/// A consecutive run of a batch's fields: the body of a record, the entries of a map, the items of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Fields {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Fields {
    /// No fields at all.
    pub const EMPTY: Fields = Fields { start: 0, len: 0 };

    /// How many fields there are.
    #[inline]
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Some of them, counted from the first.
    ///
    /// # Panics
    /// When `range` reaches beyond them.
    #[inline]
    pub fn part(self, range: std::ops::Range<usize>) -> Fields {
        assert!(range.start <= range.end && range.end <= self.len());
        Fields {
            start: self.start + range.start as u32,
            len: (range.end - range.start) as u32,
        }
    }

    #[inline]
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..(self.start + self.len) as usize
    }
}

/// The key of a field: text nearly always. msgpack allows any type as a key; such a key is kept as its own encoding.
///
/// As large as a span, so that a field takes 24 bytes: fields are most of what a batch holds beside its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Of a key that is not text it is [marked](Span::marked).
    span: Span,
}

impl Key {
    /// The key of array items.
    pub const NONE: Key = Key { span: Span::EMPTY };

    /// A text key.
    #[inline]
    pub fn text(span: Span) -> Key {
        Key { span }
    }

    /// A key of another type: `span` holds its msgpack encoding.
    #[inline]
    pub fn msgpack(span: Span) -> Key {
        Key {
            span: span.marked(),
        }
    }

    /// The bytes of the key: its text, or its encoding if [`Key::is_msgpack`].
    #[inline]
    pub fn span(self) -> Span {
        self.span.unmarked()
    }

    /// Whether the key is not text.
    #[inline]
    pub fn is_msgpack(self) -> bool {
        self.span.is_marked()
    }
}

const _: () = assert!(size_of::<Field>() == 24);

/// One entry of a map, or one item of an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// The name; [`Key::NONE`] in arrays.
    pub key: Key,
    /// The value.
    pub value: Value,
}

impl Field {
    /// A field with a text key.
    #[inline]
    pub fn new(key: Span, value: Value) -> Field {
        Field {
            key: Key::text(key),
            value,
        }
    }

    /// An item of an array.
    #[inline]
    pub fn item(value: Value) -> Field {
        Field {
            key: Key::NONE,
            value,
        }
    }
}
