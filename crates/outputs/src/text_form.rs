//! The form in which Fluent Bit prints records for people: Ruby-like, strings as they are (upstream
//! `lib/msgpack-c/src/objectc.c`).

use std::io::Write;

use record::{Batch, Field, Fields, Record, Value, msgpack};

/// Appends `[[1700000000.123456789, {}], {"k"=>"v", "n"=>nil}]`.
pub fn event(batch: &Batch, record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(b"[[");
    time(record, out);
    out.extend_from_slice(b", ");
    map(batch, record.metadata, out);
    out.extend_from_slice(b"], ");
    map(batch, record.body, out);
    out.push(b']');
}

/// Appends seconds and nanoseconds: `1700000000.123456789`.
pub fn time(record: &Record, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail; so everywhere below.
    let _ = write!(
        out,
        "{}.{:09}",
        record.time.seconds(),
        record.time.subsec_nanos()
    );
}

/// Appends `{"k"=>"v"}`.
pub fn map(batch: &Batch, fields: Fields, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, field) in batch.fields(fields).iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        key(batch, field, out);
        out.extend_from_slice(b"=>");
        value(batch, field.value, out);
    }
    out.push(b'}');
}

fn key(batch: &Batch, field: &Field, out: &mut Vec<u8>) {
    let bytes = batch.bytes(field.key.span());
    if !field.key.is_msgpack() {
        quoted(bytes, out);
        return;
    }
    // A key that is no text is rare: decoded into a batch of its own to be printed like a value.
    let mut own = Batch::new(batch.tag().clone(), bytes.to_vec().into());
    let all = own.span(0..bytes.len());
    if let Ok((decoded, _)) = msgpack::read::value(&mut own, all) {
        value(&own, decoded, out);
    }
}

/// Appends one value.
pub fn value(batch: &Batch, value: Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"nil"),
        Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Value::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Value::Uint(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Value::Float(value) => float(value, out),
        Value::Str(span) => quoted(batch.bytes(span), out),
        Value::Bin(span) => escaped(batch.bytes(span), out),
        Value::Ext(kind, span) => {
            let _ = write!(out, "(ext: {kind})");
            escaped(batch.bytes(span), out);
        }
        Value::Array(items) => array(batch, items, out),
        Value::Map(fields) => map(batch, fields, out),
    }
}

fn array(batch: &Batch, items: Fields, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, item) in batch.fields(items).iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        value(batch, item.value, out);
    }
    out.push(b']');
}

/// As C's `%f` writes it.
fn float(value: f64, out: &mut Vec<u8>) {
    let _ = if value.is_nan() {
        write!(
            out,
            "{}nan",
            if value.is_sign_negative() { "-" } else { "" }
        )
    } else {
        write!(out, "{value:.6}")
    };
}

fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b' '..=b'~' => out.push(byte),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use record::Tag;

    #[test]
    fn values_print_as_upstream() {
        let mut batch = Batch::new(Tag::from("t"), Bytes::from_static(b"a\"\n\x01k"));
        let (text, one) = (batch.span(0..3), batch.span(4..5));
        let binary = batch.span(1..4);
        let mark = batch.mark();
        for item in [Value::Int(-1), Value::Null] {
            batch.push(Field::item(item));
        }
        let items = batch.close(mark);
        let mark = batch.mark();
        let values = [
            Value::Str(text),
            Value::Bin(binary),
            Value::Ext(3, binary),
            Value::Float(1.5),
            Value::Uint(u64::MAX),
            Value::Bool(true),
            Value::Array(items),
        ];
        for value in values {
            batch.push(Field::new(one, value));
        }
        let body = batch.close(mark);
        let mut out = Vec::new();
        map(&batch, body, &mut out);
        let expected = concat!(
            "{\"k\"=>\"a\"\n\", \"k\"=>\"\\\"\\x0a\\x01\", \"k\"=>(ext: 3)\"\\\"\\x0a\\x01\", \"k\"=>1.500000, ",
            "\"k\"=>18446744073709551615, \"k\"=>true, \"k\"=>[-1, nil]}"
        );
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
