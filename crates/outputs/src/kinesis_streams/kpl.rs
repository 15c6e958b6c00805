//! Several records in one, as the Kinesis Producer Library writes them: four magic bytes, a protobuf message
//! (`AggregatedRecord`) and its MD5. The message is a table of partition keys, here with the one that all records share, and
//! the records, each with the index of its key and its data.

use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const DIGEST_LEN: usize = 16;

/// Fields of the messages, with their wire types.
const PARTITION_KEY_TABLE: u8 = 1 << 3 | LENGTH_DELIMITED;
const RECORDS: u8 = 3 << 3 | LENGTH_DELIMITED;
const PARTITION_KEY_INDEX: u8 = 1 << 3;
const DATA: u8 = 3 << 3 | LENGTH_DELIMITED;
const LENGTH_DELIMITED: u8 = 2;

/// Starts an aggregate of records with this partition key in `out`, which is empty.
pub fn start(partition_key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.push(PARTITION_KEY_TABLE);
    delimited(partition_key, out);
}

/// Adds a record to the aggregate in `out`.
pub fn add(data: &[u8], out: &mut Vec<u8>) {
    out.push(RECORDS);
    varint(record_len(data.len()), out);
    out.extend_from_slice(&[PARTITION_KEY_INDEX, 0, DATA]);
    delimited(data, out);
}

/// How many bytes [`add`] and [`finish`] together append for `len` bytes of data.
pub fn added_len(len: usize) -> usize {
    let record = record_len(len);
    1 + varint_len(record) + record + DIGEST_LEN
}

/// Ends the aggregate in `out`.
pub fn finish(out: &mut Vec<u8>) {
    let digest = Md5::digest(&out[MAGIC.len()..]);
    out.extend_from_slice(&digest);
}

fn record_len(data: usize) -> usize {
    3 + varint_len(data) + data
}

fn delimited(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Reads a varint off the front.
    fn read_varint(bytes: &mut &[u8]) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (&byte, rest) = bytes.split_first().expect("a varint");
            *bytes = rest;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }

    /// Reads a field's number and what is in it: bytes, or a number as its own bytes.
    fn read_field<'a>(bytes: &mut &'a [u8]) -> (usize, usize, &'a [u8]) {
        let tag = read_varint(bytes);
        let value = read_varint(bytes);
        if tag & 7 == 0 {
            return (tag >> 3, value, &[]);
        }
        assert_eq!(tag & 7, 2, "length-delimited");
        let (field, rest) = bytes.split_at(value);
        *bytes = rest;
        (tag >> 3, 0, field)
    }

    /// The partition key and the records of an aggregate, read as the format's description says; none if it is not one.
    pub fn read(bytes: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (mut message, digest) = rest.split_at(rest.len() - DIGEST_LEN);
        assert_eq!(Md5::digest(message)[..], *digest, "MD5 of the message");
        let (mut keys, mut records) = (Vec::new(), Vec::new());
        while !message.is_empty() {
            match read_field(&mut message) {
                (1, _, key) => keys.push(key.to_vec()),
                (3, _, mut record) => {
                    assert_eq!(read_field(&mut record), (1, 0, &[][..]), "the first key");
                    let (number, _, data) = read_field(&mut record);
                    assert_eq!((number, record.len()), (3, 0));
                    records.push(data.to_vec());
                }
                other => panic!("unknown field {other:?}"),
            }
        }
        assert_eq!(keys.len(), 1);
        Some((keys.remove(0), records))
    }

    #[test]
    fn aggregates_read_as_they_were_written() {
        let records = [&b""[..], b"{}", &[7; 127], &[8; 128], &[9; 20_000]];
        let mut out = Vec::new();
        start(b"key", &mut out);
        for record in records {
            let before = out.len();
            add(record, &mut out);
            assert_eq!(out.len() - before + DIGEST_LEN, added_len(record.len()));
        }
        finish(&mut out);
        let (key, read) = read(&out).expect("an aggregate");
        assert_eq!(key, b"key");
        assert_eq!(read, records);
    }

    #[test]
    fn a_small_aggregate_has_known_bytes() {
        let mut out = Vec::new();
        start(b"pk", &mut out);
        add(b"abc", &mut out);
        finish(&mut out);
        let (message, digest) = out.split_at(out.len() - DIGEST_LEN);
        assert_eq!(
            message,
            b"\xf3\x89\x9a\xc2\x0a\x02pk\x1a\x07\x08\x00\x1a\x03abc"
        );
        assert_eq!(
            digest,
            Md5::digest(b"\x0a\x02pk\x1a\x07\x08\x00\x1a\x03abc").as_slice()
        );
    }

    #[test]
    fn lengths_of_numbers_are_known() {
        for (value, len) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (16_383, 2),
            (16_384, 3),
            (2_097_152, 4),
        ] {
            let mut out = Vec::new();
            varint(value, &mut out);
            assert_eq!((out.len(), varint_len(value)), (len, len), "{value}");
        }
    }
}
