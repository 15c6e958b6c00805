//! Records and values of a batch → msgpack.

use crate::{Batch, Fields, Record, Time, Value};

/// Appends `[[time, metadata], body]`.
pub fn event_v2(batch: &Batch, record: &Record, out: &mut Vec<u8>) {
    let _ = (batch, record, out);
    unimplemented!()
}

/// Appends `[time, body]`; metadata is left out.
pub fn event_v1(batch: &Batch, record: &Record, out: &mut Vec<u8>) {
    let _ = (batch, record, out);
    unimplemented!()
}

/// Appends `[seconds, body]`; metadata and the part below a second are left out.
pub fn event_legacy(batch: &Batch, record: &Record, out: &mut Vec<u8>) {
    let _ = (batch, record, out);
    unimplemented!()
}

/// Appends any value.
pub fn value(batch: &Batch, value: Value, out: &mut Vec<u8>) {
    let _ = (batch, value, out);
    unimplemented!()
}

/// Appends fields as a map.
pub fn map(batch: &Batch, fields: Fields, out: &mut Vec<u8>) {
    let _ = (batch, fields, out);
    unimplemented!()
}

/// Appends a time as EventTime.
pub fn time(time: Time, out: &mut Vec<u8>) {
    let _ = (time, out);
    unimplemented!()
}

/// Appends the header of an array of `len` items.
pub fn array_header(len: usize, out: &mut Vec<u8>) {
    let _ = (len, out);
    unimplemented!()
}

/// Appends the header of a map of `len` pairs.
pub fn map_header(len: usize, out: &mut Vec<u8>) {
    let _ = (len, out);
    unimplemented!()
}

/// Appends text.
pub fn str(text: &[u8], out: &mut Vec<u8>) {
    let _ = (text, out);
    unimplemented!()
}

/// Appends bytes.
pub fn bin(bytes: &[u8], out: &mut Vec<u8>) {
    let _ = (bytes, out);
    unimplemented!()
}

/// Appends an extension.
pub fn ext(kind: i8, bytes: &[u8], out: &mut Vec<u8>) {
    let _ = (kind, bytes, out);
    unimplemented!()
}

/// Appends a signed integer in its shortest form.
pub fn int(value: i64, out: &mut Vec<u8>) {
    let _ = (value, out);
    unimplemented!()
}

/// Appends an unsigned integer in its shortest form.
pub fn uint(value: u64, out: &mut Vec<u8>) {
    let _ = (value, out);
    unimplemented!()
}
