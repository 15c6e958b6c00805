//! `data_keys` and `replace_dots` of AWS's Go plugins: some fields of a record, under other names.

use std::collections::HashMap;

use bytes::Bytes;
use record::json::write::Writer;
use record::{Batch, Field, Fields, Key, Tag, Value, msgpack};

/// Writes chosen fields of records as JSON.
pub struct Selection {
    /// The fields to keep, by the names that they have in the record; none: all.
    keys: Vec<Box<[u8]>>,
    /// What stands for a dot in names.
    dot: Box<[u8]>,
    /// The name, as it is written, of a field to leave out: the time takes its place.
    without: Option<Box<[u8]>>,
    name: Vec<u8>,
}

/// Up to here every name is compared with every other.
const FEW: usize = 24;

impl Selection {
    /// Keeps `keys` (all, if there are none) and writes `dot` for every dot in a name.
    pub fn new(keys: &[String], dot: Option<&str>) -> Selection {
        Selection {
            keys: keys.iter().map(|key| key.as_bytes().into()).collect(),
            dot: dot.unwrap_or(".").as_bytes().into(),
            without: None,
            name: Vec::new(),
        }
    }

    /// Leaves the field out whose written name is `name`.
    pub fn without(mut self, name: &[u8]) -> Selection {
        self.without = Some(name.into());
        self
    }

    /// Whether the names that fields have in records are those that are written.
    fn keeps_names(&self) -> bool {
        *self.dot == *b"."
    }

    /// The name under which `key` is written.
    pub fn written(&self, key: &[u8]) -> Vec<u8> {
        self.bytes(key).copied().collect()
    }

    /// Appends `fields` of `batch` as one object. Of several fields with the same name only the last is written.
    pub fn object(
        &mut self,
        writer: &mut Writer,
        batch: &Batch,
        fields: Fields,
        out: &mut Vec<u8>,
    ) {
        self.members(writer, batch, (fields, true), out);
    }

    /// Appends a value, with the names in it replaced. Those of maps inside arrays stay, as upstream.
    pub fn value(&mut self, writer: &mut Writer, batch: &Batch, value: Value, out: &mut Vec<u8>) {
        match value {
            Value::Map(fields) if !self.keeps_names() => {
                self.members(writer, batch, (fields, false), out);
            }
            other => writer.value(batch, other, out),
        }
    }

    /// The last of `fields` that is written as `name`.
    pub fn get(&self, batch: &Batch, fields: Fields, name: &[u8]) -> Option<Value> {
        let found = batch.fields(fields).iter().rev().find(|field| {
            !field.key.is_msgpack() && self.bytes(batch.bytes(field.key.span())).eq(name)
        });
        found.map(|field| field.value)
    }

    fn members(
        &mut self,
        writer: &mut Writer,
        batch: &Batch,
        (fields, is_record): (Fields, bool),
        out: &mut Vec<u8>,
    ) {
        let fields = batch.fields(fields);
        let replaced = self.replaced(batch, fields);
        out.push(b'{');
        let start = out.len();
        for (index, field) in fields.iter().enumerate() {
            if is_record && !self.keeps(batch, field.key) || replaced.binary_search(&index).is_ok()
            {
                continue;
            }
            if out.len() > start {
                out.push(b',');
            }
            self.key(writer, batch, field.key, out);
            out.push(b':');
            self.value(writer, batch, field.value, out);
        }
        out.push(b'}');
    }

    /// Whether a field of the record itself is written.
    fn keeps(&self, batch: &Batch, key: Key) -> bool {
        if key.is_msgpack() {
            return self.keys.is_empty();
        }
        let name = batch.bytes(key.span());
        let is_chosen = self.keys.is_empty() || self.keys.iter().any(|chosen| **chosen == *name);
        is_chosen
            && !self
                .without
                .as_ref()
                .is_some_and(|without| self.bytes(name).eq(without.iter()))
    }

    /// The indexes of fields whose name comes again later, ascending.
    fn replaced(&self, batch: &Batch, fields: &[Field]) -> Vec<usize> {
        let name = |field: &Field| batch.bytes(field.key.span());
        let text = |field: &&Field| !field.key.is_msgpack();
        if fields.len() <= FEW {
            let again = |index: usize, field: &Field| {
                let mut later = fields[index + 1..].iter().filter(text);
                later.any(|other| self.bytes(name(field)).eq(self.bytes(name(other))))
            };
            let of_text = fields.iter().enumerate().filter(|(_, field)| text(field));
            return of_text
                .filter(|(index, field)| again(*index, field))
                .map(|(index, _)| index)
                .collect();
        }
        let mut last = HashMap::new();
        let of_text = fields.iter().enumerate().filter(|(_, field)| text(field));
        let mut replaced: Vec<usize> = of_text
            .filter_map(|(index, field)| last.insert(self.written(name(field)), index))
            .collect();
        replaced.sort_unstable();
        replaced
    }

    fn key(&mut self, writer: &mut Writer, batch: &Batch, key: Key, out: &mut Vec<u8>) {
        if key.is_msgpack() {
            return self.other_key(writer, batch, key, out);
        }
        let text = batch.bytes(key.span());
        if self.keeps_names() {
            return writer.string(text, out);
        }
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        name.extend(self.bytes(text));
        writer.string(&name, out);
        self.name = name;
    }

    /// Appends a key that is not text, as text.
    fn other_key(&self, writer: &mut Writer, batch: &Batch, key: Key, out: &mut Vec<u8>) {
        // Rare enough to be read like a record of its own.
        let encoding = Bytes::copy_from_slice(batch.bytes(key.span()));
        let mut own = Batch::new(Tag::from(""), encoding);
        let span = own.span(0..own.source().len());
        let mut text = Vec::new();
        if let Ok((value, _)) = msgpack::read::value(&mut own, span) {
            writer.value(&own, value, &mut text);
        }
        if text.starts_with(b"\"") {
            out.extend_from_slice(&text);
        } else {
            writer.string(&text, out);
        }
    }

    fn bytes<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a u8> {
        name.iter().flat_map(|byte| match byte {
            b'.' => &*self.dot,
            other => std::slice::from_ref(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::json;

    fn batch(line: &str) -> (Batch, Fields) {
        let mut batch = Batch::new(Tag::from("t"), Bytes::copy_from_slice(line.as_bytes()));
        let text = batch.span(0..line.len());
        let (body, _) = json::read::object(&mut batch, text).expect("JSON");
        (batch, body)
    }

    fn written(selection: &mut Selection, line: &str) -> String {
        let (batch, body) = batch(line);
        let mut out = b"before".to_vec();
        selection.object(&mut Writer::default(), &batch, body, &mut out);
        String::from_utf8(out.split_off(6)).expect("UTF-8")
    }

    #[test]
    fn chosen_fields_keep_their_order() {
        let keys = ["log".to_owned(), "a.b".to_owned()];
        let mut selection = Selection::new(&keys, None);
        let cases = [
            (r#"{"a.b":1,"x":2,"log":"l"}"#, r#"{"a.b":1,"log":"l"}"#),
            (r#"{"x":{"log":1}}"#, "{}"),
            (r#"{"log":1,"log":{"x":[]}}"#, r#"{"log":{"x":[]}}"#),
        ];
        for (line, expected) in cases {
            assert_eq!(written(&mut selection, line), expected);
        }
    }

    #[test]
    fn dots_are_replaced_in_names_and_in_those_of_maps_inside() {
        let mut selection = Selection::new(&[], Some("__"));
        let cases = [
            (
                r#"{"a.b":"x.y","c":{"d.e.f":{".":1}}}"#,
                r#"{"a__b":"x.y","c":{"d__e__f":{"__":1}}}"#,
            ),
            // As upstream: maps inside arrays are left alone.
            (r#"{"a":[{"b.c":1}]}"#, r#"{"a":[{"b.c":1}]}"#),
            (r#"{"a.b":1,"c":2,"a__b":3}"#, r#"{"c":2,"a__b":3}"#),
        ];
        for (line, expected) in cases {
            assert_eq!(written(&mut selection, line), expected);
        }
        let many: Vec<String> = (0..60).map(|i| format!("\"k{}.x\":{i}", i % 30)).collect();
        let expected: Vec<String> = (30..60)
            .map(|i| format!("\"k{}__x\":{i}", i % 30))
            .collect();
        let line = format!("{{{}}}", many.join(","));
        assert_eq!(
            written(&mut selection, &line),
            format!("{{{}}}", expected.join(","))
        );
    }

    #[test]
    fn a_field_can_be_left_out_and_another_found() {
        let mut selection = Selection::new(&[], Some("_")).without(b"a_b");
        assert_eq!(
            written(&mut selection, r#"{"a.b":1,"c":{"a.b":2}}"#),
            r#"{"c":{"a_b":2}}"#
        );
        let (batch, body) = batch(r#"{"a.b":1,"c":2}"#);
        assert_eq!(selection.get(&batch, body, b"a_b"), Some(Value::Int(1)));
        assert_eq!(selection.get(&batch, body, b"a.b"), None);
    }

    #[test]
    fn keys_of_other_types_are_written_as_text() {
        let mut batch = Batch::new(Tag::from("t"), Bytes::from_static(b"\x07abc"));
        let (key, text) = (batch.span(0..1), batch.span(1..4));
        let mark = batch.mark();
        batch.push(Field {
            key: Key::msgpack(key),
            value: Value::Str(text),
        });
        let body = batch.close(mark);
        let mut out = Vec::new();
        let mut selection = Selection::new(&[], Some("_"));
        selection.object(&mut Writer::default(), &batch, body, &mut out);
        assert_eq!(out, br#"{"7":"abc"}"#);
    }
}
