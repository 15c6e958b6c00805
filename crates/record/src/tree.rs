//! Records as plain trees, for tests: what goes into a batch, and what comes out of it.

use bytes::Bytes;
use proptest::prelude::*;

use crate::{Batch, Field, Fields, Key, Tag, Value, msgpack};

/// A value that owns what it holds. Floats compare by their bits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(u64),
    Str(Vec<u8>),
    Bin(Vec<u8>),
    Ext(i8, Vec<u8>),
    Array(Vec<Tree>),
    Map(Vec<(Tree, Tree)>),
}

impl Tree {
    pub fn text(text: &str) -> Tree {
        Tree::Str(text.as_bytes().to_vec())
    }

    pub fn float(value: f64) -> Tree {
        Tree::Float(value.to_bits())
    }

    /// The tree of a value of `batch`.
    pub fn of(batch: &Batch, value: Value) -> Tree {
        match value {
            Value::Null => Tree::Null,
            Value::Bool(value) => Tree::Bool(value),
            Value::Int(value) => Tree::Int(value),
            Value::Uint(value) => Tree::Uint(value),
            Value::Float(value) => Tree::float(value),
            Value::Str(span) => Tree::Str(batch.bytes(span).to_vec()),
            Value::Bin(span) => Tree::Bin(batch.bytes(span).to_vec()),
            Value::Ext(kind, span) => Tree::Ext(kind, batch.bytes(span).to_vec()),
            Value::Array(items) => Tree::Array(
                batch
                    .fields(items)
                    .iter()
                    .map(|item| Tree::of(batch, item.value))
                    .collect(),
            ),
            Value::Map(fields) => Tree::Map(
                batch
                    .fields(fields)
                    .iter()
                    .map(|field| (Tree::key(batch, field.key), Tree::of(batch, field.value)))
                    .collect(),
            ),
        }
    }

    fn key(batch: &Batch, key: Key) -> Tree {
        let bytes = batch.bytes(key.span());
        if !key.is_msgpack() {
            return Tree::Str(bytes.to_vec());
        }
        let mut own = Batch::new(Tag::from(""), Bytes::copy_from_slice(bytes));
        let span = own.span(0..bytes.len());
        let (value, len) = msgpack::read::value(&mut own, span).expect("keys are valid msgpack");
        assert_eq!(len, bytes.len(), "a key is one value");
        Tree::of(&own, value)
    }

    /// Puts the tree into `batch`.
    pub fn put(&self, batch: &mut Batch) -> Value {
        match self {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Int(value) => Value::Int(*value),
            Tree::Uint(value) => Value::Uint(*value),
            Tree::Float(bits) => Value::Float(f64::from_bits(*bits)),
            Tree::Str(bytes) => Value::Str(batch.put(bytes)),
            Tree::Bin(bytes) => Value::Bin(batch.put(bytes)),
            Tree::Ext(kind, bytes) => Value::Ext(*kind, batch.put(bytes)),
            Tree::Array(items) => {
                let fields: Vec<Field> = items
                    .iter()
                    .map(|item| Field::item(item.put(batch)))
                    .collect();
                Value::Array(run(batch, fields))
            }
            Tree::Map(pairs) => Value::Map(put_map(pairs, batch)),
        }
    }
}

/// Puts a map into `batch`.
pub(crate) fn put_map(pairs: &[(Tree, Tree)], batch: &mut Batch) -> Fields {
    let fields = pairs
        .iter()
        .map(|(key, value)| Field {
            key: put_key(key, batch),
            value: value.put(batch),
        })
        .collect();
    run(batch, fields)
}

fn put_key(key: &Tree, batch: &mut Batch) -> Key {
    if let Tree::Str(text) = key {
        return Key::text(batch.put(text));
    }
    let value = key.put(batch);
    let mut encoded = Vec::new();
    msgpack::write::value(batch, value, &mut encoded);
    Key::msgpack(batch.put(&encoded))
}

fn run(batch: &mut Batch, fields: Vec<Field>) -> Fields {
    let mark = batch.mark();
    fields.into_iter().for_each(|field| batch.push(field));
    batch.close(mark)
}

/// An empty batch over `source`.
pub(crate) fn batch(source: impl Into<Vec<u8>>) -> Batch {
    Batch::new(Tag::from("kube.var.log"), Bytes::from(source.into()))
}

/// Bytes with everything in them that formats care about.
pub(crate) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[ -~]{0,24}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<char>(), 0..4).prop_map(|text| String::from_iter(text).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => prop::sample::select(&["\"", "\\", "\n", "\u{7f}", "\0", "é", "😀", "\u{2028}"][..])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn scalar() -> impl Strategy<Value = Tree> {
    prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        prop_oneof![any::<i64>(), -200i64..200, any::<i32>().prop_map(i64::from)]
            .prop_map(Tree::Int),
        (i64::MAX as u64 + 1..).prop_map(Tree::Uint),
        any::<u64>().prop_map(Tree::Float),
        any::<f64>().prop_map(Tree::float),
        (-1e6..1e6).prop_map(Tree::float),
        bytes().prop_map(Tree::Str),
        bytes().prop_map(Tree::Bin),
        (any::<i8>(), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(kind, bytes)| Tree::Ext(kind, bytes)),
    ]
}

/// Any value at all.
pub(crate) fn any_tree() -> impl Strategy<Value = Tree> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::Array),
            pairs(inner).prop_map(Tree::Map),
        ]
    })
}

/// Fields of a record: few different names, so that duplicates are common, and a few keys that are not text.
pub(crate) fn pairs(
    value: impl Strategy<Value = Tree> + Clone,
) -> impl Strategy<Value = Vec<(Tree, Tree)>> {
    let key = prop_oneof![
        6 => "[a-c]{0,2}".prop_map(|text| Tree::text(&text)),
        2 => bytes().prop_map(Tree::Str),
        1 => scalar(),
    ];
    prop::collection::vec((key, value), 0..5)
}

/// The fields of any record.
pub(crate) fn any_map() -> impl Strategy<Value = Vec<(Tree, Tree)>> {
    pairs(any_tree().boxed())
}

/// Whether two JSON values are equal but for the order of members and the last digit of floats, which serde_json does
/// not always read right.
pub(crate) fn nearly_equal(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (one, other) {
        // Sixteen digits may leave nothing behind the point: then a reader takes the float for an integer.
        (Number(a), Number(b)) if b.is_f64() => {
            let (a, b) = (a.as_f64().expect("a number"), b.as_f64().expect("a float"));
            a == b || (a - b).abs() < b.abs() * 1e-14 + 1e-300
        }
        (Array(a), Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| nearly_equal(a, b))
        }
        (Object(a), Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| nearly_equal(a, b)))
        }
        (a, b) => a == b,
    }
}
