//! GetShardIterator, and what is in an iterator.

use std::sync::Arc;

use http::Response;
use jiff::Timestamp;
use s3s::Body;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{StreamRef, invalid, shard_of};
use crate::aws_json::{ApiError, answer, parse};
use crate::data_streams::{Cursor, DataStream};
use crate::lake::Inner;
use crate::limits;
use crate::streams::Violations;

const KINDS: [&str; 5] = [
    "AT_SEQUENCE_NUMBER",
    "AFTER_SEQUENCE_NUMBER",
    "TRIM_HORIZON",
    "LATEST",
    "AT_TIMESTAMP",
];
const VERSION: u8 = 1;
/// Bytes in front of the stream's name.
const FIXED_BYTES: usize = 1 + 16 + 4 + 4 * 8;
const CHECKSUM_BYTES: usize = 4;

/// A place to read on from, good for a while. All of it is in the text that clients get; nothing is kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardIterator {
    pub stream_name: String,
    pub stream_id: Uuid,
    pub shard: u32,
    pub cursor: Cursor,
    pub issued: Timestamp,
}

impl ShardIterator {
    /// The text that clients get.
    pub fn write(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.stream_id.as_bytes());
        bytes.extend(self.shard.to_le_bytes());
        let issued = self.issued.as_millisecond().cast_unsigned();
        let (base, offset) = self.cursor.hint;
        for word in [self.cursor.position, base, offset, issued] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(self.stream_name.as_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        base64_simd::STANDARD.encode_to_string(bytes)
    }

    /// Reads a text; `None` if it is not one of ours.
    pub fn read(text: &str) -> Option<Self> {
        let bytes = base64_simd::STANDARD.decode_to_vec(text).ok()?;
        let (bytes, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        let holds = crc32fast::hash(bytes).to_le_bytes() == *checksum;
        let (fixed, name) = bytes.split_at_checked(FIXED_BYTES)?;
        if !holds || fixed[0] != VERSION {
            return None;
        }
        let (shard, words) = fixed[17..].split_first_chunk()?;
        let mut words = words.chunks_exact(8).map(|word| {
            word.iter()
                .rev()
                .fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        });
        let mut word = || words.next();
        let (position, base, offset, issued) = (word()?, word()?, word()?, word()?);
        Some(Self {
            stream_name: String::from_utf8(name.to_vec()).ok()?,
            stream_id: Uuid::from_slice(&fixed[1..17]).ok()?,
            shard: u32::from_le_bytes(*shard),
            cursor: Cursor {
                position,
                hint: (base, offset),
            },
            issued: Timestamp::from_millisecond(issued.cast_signed()).ok()?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(flatten)]
    stream: StreamRef,
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    starting_sequence_number: Option<String>,
    timestamp: Option<f64>,
}

/// `GetShardIterator`.
pub async fn get_shard_iterator(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    if input.shard_id.is_none() {
        violations.add_missing("shardId");
    }
    match &input.shard_iterator_type {
        Some(kind) => violations.one_of(kind, "shardIteratorType", &KINDS),
        None => violations.add_missing("shardIteratorType"),
    }
    violations.into_result()?;
    let stream = input.stream.find(lake)?;
    let id = input.shard_id.as_deref().unwrap_or_default();
    let index = shard_of(&lake.options, &stream, id)?.index;
    let position = position(lake, &stream, index, &input).await?;
    let iterator = ShardIterator {
        stream_name: stream.name.clone(),
        stream_id: stream.definition().id,
        shard: index,
        cursor: Cursor::at(position),
        issued: Timestamp::now(),
    };
    Ok(answer(&json!({ "ShardIterator": iterator.write() })))
}

async fn position(
    lake: &Inner,
    stream: &Arc<DataStream>,
    index: u32,
    input: &Input,
) -> Result<u64, ApiError> {
    let kind = input.shard_iterator_type.as_deref().unwrap_or_default();
    let shard = &stream.shards()[index as usize];
    match kind {
        "TRIM_HORIZON" => Ok(shard.oldest()),
        "LATEST" => Ok(shard.next()),
        "AT_TIMESTAMP" => {
            let Some(seconds) = input.timestamp else {
                return Err(invalid(
                    "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.",
                ));
            };
            let time = Timestamp::from_millisecond((seconds * 1000.0).floor() as i64);
            let time = time.map_err(|_| invalid(format!("{seconds} is no timestamp")))?;
            let now = Timestamp::now();
            if time > now {
                return Err(invalid(format!(
                    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                     timestampInMillis: {}, currentTimestampInMillis: {}",
                    time.as_millisecond(),
                    now.as_millisecond()
                )));
            }
            let reader = Arc::clone(stream);
            let found = tokio::task::spawn_blocking(move || {
                reader.shards()[index as usize].position_at(time)
            });
            found
                .await
                .map_err(|error| ApiError::unavailable(error.to_string()))?
                .map_err(|error| {
                    ApiError::unavailable(format!("the records cannot be read: {error}"))
                })
        }
        _ => {
            let Some(number) = &input.starting_sequence_number else {
                return Err(invalid(format!(
                    "Must either specify (1) {kind} and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber."
                )));
            };
            let at = stream.position(shard, number).ok_or_else(|| {
                invalid(format!(
                    "StartingSequenceNumber {number} used in GetShardIterator on shard {} in stream {} under account {} \
                     is invalid because it did not come from this stream.",
                    shard.id(),
                    stream.name,
                    lake.options.account_id
                ))
            })?;
            let behind = if kind == "AFTER_SEQUENCE_NUMBER" {
                1
            } else {
                0
            };
            Ok(at.saturating_add(behind).min(shard.next()))
        }
    }
}

/// The stream that an iterator reads from, if the iterator can still be used.
pub fn stream_of(lake: &Inner, iterator: &ShardIterator) -> Result<Arc<DataStream>, ApiError> {
    let stream = lake.data_streams.find(&iterator.stream_name);
    let stream = stream.filter(|stream| {
        stream.definition().id == iterator.stream_id
            && (iterator.shard as usize) < stream.shards().len()
    });
    let stream = stream.ok_or_else(|| {
        let message = format!(
            "Shard shardId-{:012} in stream {} under account {} does not exist",
            iterator.shard, iterator.stream_name, lake.options.account_id
        );
        ApiError::client("ResourceNotFoundException", message)
    })?;
    let now = Timestamp::now();
    let age = std::time::Duration::try_from(now.duration_since(iterator.issued));
    match age.is_ok_and(|age| age > limits::ITERATOR_AGE) {
        false => Ok(stream),
        true => Err(ApiError::client(
            "ExpiredIteratorException",
            format!(
                "Iterator expired. The iterator was created at time {} while right now it is {} which is further in the \
                 future than the tolerated delay of {} milliseconds.",
                iterator.issued.strftime("%a %b %d %H:%M:%S UTC %Y"),
                now.strftime("%a %b %d %H:%M:%S UTC %Y"),
                limits::ITERATOR_AGE.as_millis()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn iterator(name: &str) -> ShardIterator {
        ShardIterator {
            stream_name: name.to_owned(),
            stream_id: Uuid::from_u128(7),
            shard: 3,
            cursor: Cursor {
                position: 1 << 40,
                hint: (12, 345),
            },
            issued: "2026-11-22T13:00:00.123Z".parse().unwrap(),
        }
    }

    #[test]
    fn iterators_are_read_as_written_and_are_not_too_long() {
        let longest = "n".repeat(limits::DATA_STREAM_NAME_CHARS);
        let text = iterator(&longest).write();
        assert!(text.len() <= 512);
        assert_eq!(ShardIterator::read(&text), Some(iterator(&longest)));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text: String, at in 0_usize..80, bit in 0_u8..8) {
            prop_assert_eq!(ShardIterator::read(&text), None);
            let mut bytes = base64_simd::STANDARD.decode_to_vec(iterator("s").write()).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(ShardIterator::read(&base64_simd::STANDARD.encode_to_string(bytes)), None);
        }
    }
}
