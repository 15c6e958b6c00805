//! Records and values of a batch → msgpack.

use super::read::{EVENT_TIME, GROUP_END, GROUP_START};
use crate::{Batch, Fields, Marker, Record, Time, Value};

/// Appends `[[time, metadata], body]`.
pub fn event_v2(batch: &Batch, record: &Record, out: &mut Vec<u8>) {
    array_header(2, out);
    array_header(2, out);
    record_time(record, out);
    map(batch, record.metadata, out);
    map(batch, record.body, out);
}

/// Appends `[time, body]`; metadata is left out.
pub fn event_v1(batch: &Batch, record: &Record, out: &mut Vec<u8>) {
    array_header(2, out);
    record_time(record, out);
    map(batch, record.body, out);
}

/// Appends `[seconds, body]`; metadata and the part below a second are left out. Group markers have no such form: they
/// become events of the year 2106.
pub fn event_legacy(batch: &Batch, record: &Record, out: &mut Vec<u8>) {
    array_header(2, out);
    match (record.marker, u64::try_from(record.time.seconds())) {
        (Marker::None, Ok(seconds)) => uint(seconds, out),
        (Marker::None, Err(_)) => float(record.time.seconds() as f64, out),
        (Marker::GroupStart, _) => uint(u64::from(GROUP_START), out),
        (Marker::GroupEnd, _) => uint(u64::from(GROUP_END), out),
    }
    map(batch, record.body, out);
}

/// Appends any value.
pub fn value(batch: &Batch, value: Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => nil(out),
        Value::Bool(value) => bool(value, out),
        Value::Int(value) => int(value, out),
        Value::Uint(value) => uint(value, out),
        Value::Float(value) => float(value, out),
        Value::Str(span) => str(batch.bytes(span), out),
        Value::Bin(span) => bin(batch.bytes(span), out),
        Value::Ext(kind, span) => ext(kind, batch.bytes(span), out),
        Value::Array(items) => array(batch, items, out),
        Value::Map(fields) => map(batch, fields, out),
    }
}

/// Appends fields as a map, duplicates included.
pub fn map(batch: &Batch, fields: Fields, out: &mut Vec<u8>) {
    map_header(fields.len(), out);
    for field in batch.fields(fields) {
        let key = batch.bytes(field.key.span());
        if field.key.is_msgpack() {
            out.extend_from_slice(key);
        } else {
            str(key, out);
        }
        value(batch, field.value, out);
    }
}

fn array(batch: &Batch, items: Fields, out: &mut Vec<u8>) {
    array_header(items.len(), out);
    for item in batch.fields(items) {
        value(batch, item.value, out);
    }
}

fn record_time(record: &Record, out: &mut Vec<u8>) {
    match record.marker {
        Marker::None => time(record.time, out),
        Marker::GroupStart => event_time(GROUP_START, 0, out),
        Marker::GroupEnd => event_time(GROUP_END, 0, out),
    }
}

/// Appends a time as EventTime. What that cannot hold, times before 1970 and after 2106, is written as a float of
/// seconds, exact to some microseconds.
pub fn time(time: Time, out: &mut Vec<u8>) {
    match u32::try_from(time.seconds()) {
        Ok(seconds @ 0..GROUP_END) => event_time(seconds, time.subsec_nanos(), out),
        _ => float(
            time.seconds() as f64 + f64::from(time.subsec_nanos()) / 1e9,
            out,
        ),
    }
}

fn event_time(seconds: u32, nanoseconds: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xd7, EVENT_TIME as u8]);
    out.extend_from_slice(&seconds.to_be_bytes());
    out.extend_from_slice(&nanoseconds.to_be_bytes());
}

/// Appends the header of an array of `len` items.
///
/// # Panics
/// When `len` does not fit into 32 bits, as for all lengths here.
pub fn array_header(len: usize, out: &mut Vec<u8>) {
    match len {
        0..16 => out.push(0x90 | len as u8),
        _ => length(len, None, 0xdc, 0xdd, out),
    }
}

/// Appends the header of a map of `len` pairs.
pub fn map_header(len: usize, out: &mut Vec<u8>) {
    match len {
        0..16 => out.push(0x80 | len as u8),
        _ => length(len, None, 0xde, 0xdf, out),
    }
}

/// Appends text.
pub fn str(text: &[u8], out: &mut Vec<u8>) {
    match text.len() {
        len @ 0..32 => out.push(0xa0 | len as u8),
        len => length(len, Some(0xd9), 0xda, 0xdb, out),
    }
    out.extend_from_slice(text);
}

/// Appends bytes.
pub fn bin(bytes: &[u8], out: &mut Vec<u8>) {
    length(bytes.len(), Some(0xc4), 0xc5, 0xc6, out);
    out.extend_from_slice(bytes);
}

/// Appends an extension.
pub fn ext(kind: i8, bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.len() {
        len @ (1 | 2 | 4 | 8 | 16) => out.push(0xd4 + len.ilog2() as u8),
        len => length(len, Some(0xc7), 0xc8, 0xc9, out),
    }
    out.push(kind as u8);
    out.extend_from_slice(bytes);
}

/// Appends a signed integer in its shortest form.
pub fn int(value: i64, out: &mut Vec<u8>) {
    if let Ok(value) = u64::try_from(value) {
        return uint(value, out);
    }
    if let -32.. = value {
        out.push(value as u8);
    } else if let Ok(value) = i8::try_from(value) {
        out.extend_from_slice(&[0xd0, value as u8]);
    } else if let Ok(value) = i16::try_from(value) {
        marked(0xd1, value.to_be_bytes(), out);
    } else if let Ok(value) = i32::try_from(value) {
        marked(0xd2, value.to_be_bytes(), out);
    } else {
        marked(0xd3, value.to_be_bytes(), out);
    }
}

/// Appends an unsigned integer in its shortest form.
pub fn uint(value: u64, out: &mut Vec<u8>) {
    if let 0..128 = value {
        out.push(value as u8);
    } else if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[0xcc, value]);
    } else if let Ok(value) = u16::try_from(value) {
        marked(0xcd, value.to_be_bytes(), out);
    } else if let Ok(value) = u32::try_from(value) {
        marked(0xce, value.to_be_bytes(), out);
    } else {
        marked(0xcf, value.to_be_bytes(), out);
    }
}

/// Appends a float of double precision.
pub fn float(value: f64, out: &mut Vec<u8>) {
    marked(0xcb, value.to_be_bytes(), out);
}

/// Appends `true` or `false`.
pub fn bool(value: bool, out: &mut Vec<u8>) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

/// Appends nil.
pub fn nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

#[inline]
fn marked<const N: usize>(marker: u8, bytes: [u8; N], out: &mut Vec<u8>) {
    out.push(marker);
    out.extend_from_slice(&bytes);
}

/// Appends a length in the shortest of the forms that have a marker.
fn length(len: usize, short: Option<u8>, medium: u8, long: u8, out: &mut Vec<u8>) {
    match (short, u8::try_from(len), u16::try_from(len)) {
        (Some(marker), Ok(len), _) => out.extend_from_slice(&[marker, len]),
        (_, _, Ok(len)) => marked(medium, len.to_be_bytes(), out),
        _ => marked(
            long,
            u32::try_from(len)
                .expect("msgpack lengths have 32 bits")
                .to_be_bytes(),
            out,
        ),
    }
}
