//! PutRecord and PutRecords.
//!
//! The body is read once; each record's base64 goes straight into the bytes that are appended to its shard's file, and
//! the answer is written without a tree in between.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::sync::Arc;

use http::Response;
use s3s::Body;
use serde::Deserialize;

use super::{StreamRef, invalid, is_hash_key, not_found};
use crate::aws_json::{ApiError, AtMost, answer_bytes};
use crate::data_streams::{DataStream, Places, PutError, RecordGroup};
use crate::lake::Inner;
use crate::limits;
use crate::provenance::Provenance;
use crate::streams::Violations;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordInput<'a> {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordsInput<'a> {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(borrow)]
    records: Option<AtMost<Record<'a>, { limits::RECORDS_PER_BATCH }>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    /// Base64; borrowed from the body unless it has escapes.
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'a>>,
}

/// A text that is borrowed where it can be; inside an `Option`, `Cow` alone would always be copied.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// `PutRecord`.
pub async fn put_record(
    lake: &Inner,
    body: &[u8],
    provenance: Option<&Provenance>,
) -> Result<Response<Body>, ApiError> {
    let input: PutRecordInput<'_> = parse(body)?;
    let records = [Record {
        data: input.data,
        partition_key: input.partition_key,
        explicit_hash_key: input.explicit_hash_key,
    }];
    let path = |_, member: &str| member.to_owned();
    check(&records, path)?;
    let named = StreamRef {
        stream_name: input.stream_name,
        stream_arn: input.stream_arn,
    };
    let stream = named.find(lake)?;
    let placed = put(lake, &stream, (&records, provenance), path).await?;
    match placed.into_iter().next().flatten() {
        Some((shard, position)) => {
            let shard = &stream.shards()[shard];
            let number = stream.sequence_number(shard, position);
            let json = format!(
                r#"{{"ShardId":"{}","SequenceNumber":"{number}","EncryptionType":"NONE"}}"#,
                shard.id()
            );
            Ok(answer_bytes(json.into()))
        }
        None => Err(ApiError {
            status: http::StatusCode::INTERNAL_SERVER_ERROR,
            code: "InternalFailure",
            message: INTERNAL_FAILURE.to_owned(),
        }),
    }
}

const INTERNAL_FAILURE: &str = "Internal service failure.";

/// `PutRecords`. Records are taken shard by shard, all of one shard or none.
pub async fn put_records(
    lake: &Inner,
    body: &[u8],
    provenance: Option<&Provenance>,
) -> Result<Response<Body>, ApiError> {
    let input: PutRecordsInput<'_> = parse(body)?;
    let mut violations = Violations::default();
    match input.records.as_ref().map(|records| records.count) {
        None => violations.add_missing("records"),
        Some(0) => violations.add_unshown(
            "records",
            "Member must have length greater than or equal to 1",
        ),
        Some(count) if count > limits::RECORDS_PER_BATCH => {
            let most = limits::RECORDS_PER_BATCH;
            let constraint = format!("Member must have length less than or equal to {most}");
            violations.add_unshown("records", &constraint);
        }
        Some(_) => {}
    }
    violations.into_result()?;
    let records = input
        .records
        .map(|records| records.items)
        .unwrap_or_default();
    let path = |index: usize, member: &str| format!("records.{}.member.{member}", index + 1);
    check(&records, path)?;
    let named = StreamRef {
        stream_name: input.stream_name,
        stream_arn: input.stream_arn,
    };
    let stream = named.find(lake)?;
    let placed = put(lake, &stream, (&records, provenance), path).await?;
    Ok(answer_bytes(batch_answer(&stream, &placed).into()))
}

/// Checks the shape of every record; `path` names a record's member in messages.
fn check(records: &[Record<'_>], path: impl Fn(usize, &str) -> String) -> Result<(), ApiError> {
    let mut violations = Violations::default();
    for (index, record) in records.iter().enumerate() {
        if record.data.is_none() {
            violations.add_missing(&path(index, "data"));
        }
        match &record.partition_key {
            Some(Text(key)) => {
                let bounds = (1, limits::PARTITION_KEY_CHARS);
                violations.length(key, &path(index, "partitionKey"), bounds);
            }
            None => violations.add_missing(&path(index, "partitionKey")),
        }
        if let Some(Text(hash)) = &record.explicit_hash_key {
            let path = path(index, "explicitHashKey");
            violations.pattern(hash, &path, r"0|([1-9]\d{0,38})", is_hash_key);
        }
    }
    Ok(violations.into_result()?)
}

/// Keeps `records` and says where each has gone.
async fn put(
    lake: &Inner,
    stream: &Arc<DataStream>,
    (records, provenance): (&[Record<'_>], Option<&Provenance>),
    path: impl Fn(usize, &str) -> String,
) -> Result<Places, ApiError> {
    let mut groups: BTreeMap<usize, (RecordGroup, Vec<usize>)> = BTreeMap::new();
    let (mut total, most) = (0, stream.record_bytes());
    let mut violations = Violations::default();
    for (index, record) in records.iter().enumerate() {
        let key = text(record.partition_key.as_ref());
        let shard = stream.shard_of(hash(record)?);
        let (group, members) = groups
            .entry(shard)
            .or_insert_with(|| (RecordGroup::new(), Vec::new()));
        let data = text(record.data.as_ref()).as_bytes();
        let size = group
            .push(key, |out| base64_simd::STANDARD.decode_append(data, out))
            .map_err(|_| {
                let path = path(index, "data");
                ApiError::serialization(format!("the value at '{path}' is not base64"))
            })?;
        members.push(index);
        if size + key.len() > most {
            let constraint = format!("Member must have length less than or equal to {most}");
            violations.add_unshown(&path(index, "data"), &constraint);
        }
        total += size + key.len();
    }
    violations.into_result()?;
    if total > limits::DATA_BATCH_BYTES {
        let mib = limits::DATA_BATCH_BYTES / 1024 / 1024;
        return Err(invalid(format!("Records size exceeds {mib} MB limit")));
    }
    if !lake.disk.is_left() {
        return Err(ApiError::no_room());
    }
    let groups = groups.into_iter();
    let groups = groups.map(|(shard, (group, members))| (shard, group, members));
    let failed = |shard: usize, error: &io::Error| {
        let name = &stream.name;
        let logger = &lake.options.logger;
        logger.warn(format_args!(
            "{name}, shard {shard}: the records cannot be kept: {error}"
        ));
    };
    let put = stream.put(groups.collect(), records.len(), provenance, failed);
    match put.await {
        Ok(places) if places.iter().all(Option::is_none) => {
            Err(ApiError::unavailable("The records cannot be kept for now."))
        }
        Ok(places) => Ok(places),
        Err(PutError::Ended) if lake.data_streams.find(&stream.name).is_none() => {
            Err(not_found(&lake.options, &stream.name))
        }
        Err(PutError::Fenced(fenced)) => Err(fenced.into()),
        Err(error) => Err(ApiError::unavailable(error.to_string())),
    }
}

fn hash(record: &Record<'_>) -> Result<u128, ApiError> {
    match &record.explicit_hash_key {
        Some(Text(hash)) => hash.parse().map_err(|_| {
            invalid(format!("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {hash}"))
        }),
        None => Ok(DataStream::hash(text(record.partition_key.as_ref()))),
    }
}

fn text<'a>(text: Option<&'a Text<'_>>) -> &'a str {
    text.map_or("", |text| &text.0)
}

fn batch_answer(stream: &DataStream, placed: &Places) -> String {
    let failed = placed.iter().filter(|one| one.is_none()).count();
    let mut json = String::with_capacity(64 + placed.len() * 128);
    let _ = write!(
        json,
        r#"{{"FailedRecordCount":{failed},"EncryptionType":"NONE","Records":["#
    );
    for (index, one) in placed.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = match one {
            Some((shard, position)) => {
                let shard = &stream.shards()[*shard];
                let number = stream.sequence_number(shard, *position);
                write!(
                    json,
                    r#"{comma}{{"SequenceNumber":"{number}","ShardId":"{}"}}"#,
                    shard.id()
                )
            }
            None => write!(
                json,
                r#"{comma}{{"ErrorCode":"InternalFailure","ErrorMessage":"{INTERNAL_FAILURE}"}}"#
            ),
        };
    }
    json.push_str("]}");
    json
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::serialization(error.to_string()))
}
