//! GetRecords.

use std::fmt::Write;
use std::sync::Arc;

use http::Response;
use jiff::Timestamp;
use s3s::Body;
use serde::Deserialize;

use super::invalid;
use super::iterator::{ShardIterator, stream_of};
use crate::aws_json::{ApiError, answer_bytes, parse};
use crate::data_streams::{Batch, DataStream};
use crate::lake::Inner;
use crate::limits;
use crate::streams::Violations;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    shard_iterator: Option<String>,
    limit: Option<i64>,
}

/// `GetRecords`.
pub async fn get_records(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Input = parse(body)?;
    let limit = input.limit.unwrap_or(limits::READ_RECORDS);
    let mut violations = Violations::default();
    if input.shard_iterator.is_none() {
        violations.add_missing("shardIterator");
    }
    violations.range(limit, "limit", (1, limits::READ_RECORDS));
    violations.into_result()?;
    let text = input.shard_iterator.unwrap_or_default();
    let iterator = ShardIterator::read(&text).ok_or_else(|| invalid("Invalid ShardIterator."))?;
    let stream = stream_of(lake, &iterator)?;
    // Never closed, so a permit always comes.
    let _permit = lake.reads.acquire().await;
    let read = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        let now = Timestamp::now();
        let shard = &stream.shards()[iterator.shard as usize];
        let oldest = stream.oldest_kept(now);
        let batch = shard.read(iterator.cursor, limit as usize, oldest)?;
        Ok(write_answer(&stream, &iterator, &batch, now))
    });
    let json = read
        .await
        .map_err(|error| ApiError::unavailable(error.to_string()))?
        .map_err(|error| ApiError::unavailable(format!("the records cannot be read: {error}")))?;
    Ok(answer_bytes(json.into()))
}

fn write_answer(
    stream: &Arc<DataStream>,
    iterator: &ShardIterator,
    batch: &Batch,
    now: Timestamp,
) -> String {
    let shard = &stream.shards()[iterator.shard as usize];
    let size: usize = batch
        .records
        .iter()
        .map(|record| record.data.len() / 3 * 4 + 256)
        .sum();
    let mut json = String::with_capacity(size + 512);
    json.push_str(r#"{"Records":["#);
    for (index, record) in batch.records.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let number = stream.sequence_number(shard, record.position);
        let arrival = record.arrival.as_millisecond();
        let _ = write!(
            json,
            r#"{comma}{{"SequenceNumber":"{number}","ApproximateArrivalTimestamp":{}.{:03},"PartitionKey":{},"Data":""#,
            arrival.div_euclid(1000),
            arrival.rem_euclid(1000),
            serde_json::Value::from(record.key.as_str())
        );
        base64_simd::STANDARD.encode_append(&record.data, &mut json);
        json.push_str(r#"","EncryptionType":"NONE"}"#);
    }
    let next = ShardIterator {
        cursor: batch.next,
        issued: now,
        ..iterator.clone()
    };
    // How far the last record is behind the newest one is not known without reading on; how old it is says as much.
    let last = batch.records.last().filter(|_| batch.more);
    let behind = last.map_or(0, |last| {
        (now.as_millisecond() - last.arrival.as_millisecond()).max(0)
    });
    let _ = write!(
        json,
        r#"],"NextShardIterator":"{}","MillisBehindLatest":{behind}}}"#,
        next.write()
    );
    json
}
