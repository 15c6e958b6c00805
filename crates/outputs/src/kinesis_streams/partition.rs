//! Partition keys: random, or the text of a field.

use md5::{Digest, Md5};
use plugin::{Counter, Log, OutputContext};
use record::{Batch, Record, Value};

use crate::put_records::line::LineWriter;

/// A partition key is at most so long.
const KEY_BYTES_MAX: usize = 256;
/// As AWS's plugin.
const RANDOM_KEY_LEN: usize = 8;
const ALPHANUMERIC: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// How many lanes there are. The service gives each shard a range of the keys' MD5 hashes; after equal splits the first bits
/// tell the shard.
pub const LANES: u64 = 16;

/// A key, and how it stands in a request.
#[derive(Debug, Default)]
pub struct PartitionKey {
    /// Its text.
    pub text: Vec<u8>,
    /// The same as JSON, in quotes.
    pub json: Vec<u8>,
}

impl PartitionKey {
    /// Becomes a copy of `other`.
    pub fn copy(&mut self, other: &PartitionKey) {
        self.text.clear();
        self.text.extend_from_slice(&other.text);
        self.json.clear();
        self.json.extend_from_slice(&other.json);
    }
}

/// Makes the keys of records.
pub struct PartitionKeys {
    /// The names on the way to the field; empty: all keys are random.
    path: Vec<Vec<u8>>,
    is_hashed: bool,
    generator: fastrand::Rng,
    random: PartitionKey,
    /// The field's text that came last, the key made of it and its lane.
    value: Vec<u8>,
    key: PartitionKey,
    lane: u64,
    missing: Counter,
    log: Log,
}

impl PartitionKeys {
    /// Keys from the field that `path` names, or random ones.
    pub fn new(path: Option<&str>, is_hashed: bool, context: &OutputContext) -> PartitionKeys {
        let path = path.filter(|path| !path.is_empty());
        let names = path.iter().flat_map(|path| path.split("->"));
        PartitionKeys {
            path: names.map(|name| name.as_bytes().to_vec()).collect(),
            is_hashed,
            generator: fastrand::Rng::new(),
            random: PartitionKey::default(),
            value: Vec::new(),
            key: PartitionKey::default(),
            lane: 0,
            missing: context.metrics.counter(
                "partition_key_missing_total",
                "Records without the field that the partition key is made of; their keys are random.",
            ),
            log: context.log.clone(),
        }
    }

    /// Whether every key is random.
    pub fn are_random(&self) -> bool {
        self.path.is_empty()
    }

    /// The lane of a record whose key is from its field, which then is [`PartitionKeys::of_field`]. None: the key must be
    /// random.
    pub fn lane(&mut self, batch: &Batch, record: &Record, line: &LineWriter) -> Option<u64> {
        let mut buffer = itoa::Buffer::new();
        let text = match self.find(batch, record)? {
            Value::Str(text) | Value::Bin(text) => batch.bytes(text),
            Value::Int(number) => buffer.format(number).as_bytes(),
            Value::Uint(number) => buffer.format(number).as_bytes(),
            _ => b"",
        };
        if text.is_empty() {
            return self.note_missing();
        }
        if self.value != text {
            self.value.clear();
            self.value.extend_from_slice(text);
            self.make_key(line);
        }
        Some(self.lane)
    }

    /// The key for the last record that has a lane.
    pub fn of_field(&self) -> &PartitionKey {
        &self.key
    }

    /// A new random key.
    pub fn random(&mut self) -> &PartitionKey {
        // All digits out of one number: what is left of it after each is as even as it was.
        let mut rest = u128::from(self.generator.u64(..));
        let mut quoted = [b'"'; RANDOM_KEY_LEN + 2];
        for byte in &mut quoted[1..=RANDOM_KEY_LEN] {
            rest = (rest & u128::from(u64::MAX)) * ALPHANUMERIC.len() as u128;
            *byte = ALPHANUMERIC[(rest >> 64) as usize];
        }
        let PartitionKey { text, json } = &mut self.random;
        json.clear();
        json.extend_from_slice(&quoted);
        text.clear();
        text.extend_from_slice(&quoted[1..=RANDOM_KEY_LEN]);
        &self.random
    }

    fn find(&mut self, batch: &Batch, record: &Record) -> Option<Value> {
        let (first, rest) = self.path.split_first()?;
        let mut value = batch.get(record.body, first);
        for name in rest {
            value = match value {
                Some(Value::Map(fields)) => batch.get(fields, name),
                _ => None,
            };
        }
        if value.is_none() {
            self.note_missing();
        }
        value
    }

    fn note_missing(&mut self) -> Option<u64> {
        if self.missing.get() == 0 {
            self.log.warn(format_args!(
                "a record has no text in the field of its partition key; such records get random keys"
            ));
        }
        self.missing.add(1);
        None
    }

    /// Makes the key of `value`.
    fn make_key(&mut self, line: &LineWriter) {
        let PartitionKey { text, json } = &mut self.key;
        text.clear();
        if self.is_hashed {
            let digest = Md5::digest(&self.value);
            let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            text.extend(digits.map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        } else {
            text.extend_from_slice(&self.value[..cut(&self.value)]);
        }
        json.clear();
        line.string(text, json);
        self.lane = u64::from(Md5::digest(&*text)[0] >> 4);
    }
}

/// Where a text ends as a key: at a character, so that it stays text.
fn cut(text: &[u8]) -> usize {
    if text.len() <= KEY_BYTES_MAX {
        return text.len();
    }
    let is_start = |at: &usize| text[*at] & 0xc0 != 0x80;
    (1..=KEY_BYTES_MAX)
        .rev()
        .find(is_start)
        .unwrap_or(KEY_BYTES_MAX)
}
