//! What there is: streams, shards, limits.

use http::Response;
use s3s::Body;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ModeDetails, StreamRef, arn, invalid, seconds};
use crate::aws_json::{ApiError, answer, parse};
use crate::data_streams::{DataStream, Mode, Shard};
use crate::lake::Inner;
use crate::limits;
use crate::streams::Violations;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShardOutput {
    shard_id: String,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange {
    starting_sequence_number: String,
}

fn shard(stream: &DataStream, shard: &Shard) -> ShardOutput {
    ShardOutput {
        shard_id: shard.id(),
        hash_key_range: HashKeyRange {
            starting_hash_key: shard.range.0.to_string(),
            ending_hash_key: shard.range.1.to_string(),
        },
        sequence_number_range: SequenceNumberRange {
            starting_sequence_number: stream.sequence_number(shard, 0),
        },
    }
}

/// The shards behind the one named `after`, at most `limit`, and whether there are more.
fn shards(stream: &DataStream, after: Option<&str>, limit: i64) -> (Vec<ShardOutput>, bool) {
    let behind = |one: &&Shard| after.is_none_or(|after| one.id().as_str() > after);
    let mut all = stream.shards().iter().filter(behind);
    let page = all
        .by_ref()
        .take(limit as usize)
        .map(|one| shard(stream, one))
        .collect();
    (page, all.next().is_some())
}

/// `DescribeStream`.
pub fn describe_stream(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        #[serde(flatten)]
        stream: StreamRef,
        limit: Option<i64>,
        exclusive_start_shard_id: Option<String>,
    }
    let input: Input = parse(body)?;
    let (most, _, usual, _) = limits::LISTED_DATA;
    let limit = checked(input.limit, "limit", most, usual)?;
    let stream = input.stream.find(lake)?;
    let settings = stream.definition();
    let (shards, more) = shards(&stream, input.exclusive_start_shard_id.as_deref(), limit);
    Ok(answer(&json!({ "StreamDescription": {
        "StreamName": stream.name,
        "StreamARN": arn(&lake.options, &stream.name),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": ModeDetails { stream_mode: settings.mode },
        "Shards": shards,
        "HasMoreShards": more,
        "RetentionPeriodHours": settings.retention_hours,
        "StreamCreationTimestamp": seconds(settings.created),
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE",
    } })))
}

/// `DescribeStreamSummary`.
pub fn describe_stream_summary(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: StreamRef = parse(body)?;
    let stream = input.find(lake)?;
    let settings = stream.definition();
    Ok(answer(&json!({ "StreamDescriptionSummary": {
        "StreamName": stream.name,
        "StreamARN": arn(&lake.options, &stream.name),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": ModeDetails { stream_mode: settings.mode },
        "RetentionPeriodHours": settings.retention_hours,
        "StreamCreationTimestamp": seconds(settings.created),
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE",
        "OpenShardCount": stream.shards().len(),
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": settings.max_record_kib,
    } })))
}

/// `DescribeLimits`.
pub fn describe_limits(lake: &Inner) -> Response<Body> {
    let (streams, _) = lake.data_streams.page(None, usize::MAX);
    let on_demand = streams
        .iter()
        .filter(|stream| stream.definition().mode == Mode::OnDemand)
        .count();
    answer(&json!({
        "ShardLimit": limits::SHARDS,
        "OpenShardCount": lake.data_streams.shard_count(),
        "OnDemandStreamCount": on_demand,
        "OnDemandStreamCountLimit": limits::SHARDS / limits::ON_DEMAND_SHARDS as usize,
    }))
}

/// `ListStreams`: by name.
pub fn list_streams(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        limit: Option<i64>,
        exclusive_start_stream_name: Option<String>,
        next_token: Option<String>,
    }
    let input: Input = parse(body)?;
    let (most, usual, _, _) = limits::LISTED_DATA;
    let limit = checked(input.limit, "limit", most, usual)?;
    let after = match &input.next_token {
        Some(token) => Some(read_token(token)?),
        None => input.exclusive_start_stream_name,
    };
    let (streams, more) = lake.data_streams.page(after.as_deref(), limit as usize);
    let names: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
    let summaries: Vec<_> = streams
        .iter()
        .map(|stream| {
            let settings = stream.definition();
            json!({
                "StreamName": stream.name,
                "StreamARN": arn(&lake.options, &stream.name),
                "StreamStatus": "ACTIVE",
                "StreamModeDetails": ModeDetails { stream_mode: settings.mode },
                "StreamCreationTimestamp": seconds(settings.created),
            })
        })
        .collect();
    let mut output = json!({
        "StreamNames": names,
        "HasMoreStreams": more,
        "StreamSummaries": summaries,
    });
    if more && let Some(last) = names.last() {
        output["NextToken"] = write_token(last).into();
    }
    Ok(answer(&output))
}

/// `ListShards`. A token stands for the stream and the last shard, so it goes without the stream's name.
pub fn list_shards(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        #[serde(flatten)]
        stream: StreamRef,
        next_token: Option<String>,
        exclusive_start_shard_id: Option<String>,
        max_results: Option<i64>,
        shard_filter: Option<Filter>,
    }
    let input: Input = parse(body)?;
    let (most, _, _, usual) = limits::LISTED_DATA;
    let limit = checked(input.max_results, "maxResults", most, usual)?;
    let (stream, after) = match &input.next_token {
        Some(_) if input.stream.stream_name.is_some() || input.stream.stream_arn.is_some() => {
            return Err(invalid(
                "NextToken and StreamName cannot be provided together.",
            ));
        }
        Some(token) => {
            let token = read_token(token)?;
            let (name, shard) = token.split_once('/').ok_or_else(bad_token)?;
            let named = StreamRef {
                stream_name: Some(name.to_owned()),
                stream_arn: None,
            };
            (named.find(lake)?, Some(shard.to_owned()))
        }
        None => {
            let after = input.shard_filter.map(Filter::after).transpose()?.flatten();
            (
                input.stream.find(lake)?,
                input.exclusive_start_shard_id.or(after),
            )
        }
    };
    let (shards, more) = shards(&stream, after.as_deref(), limit);
    let next = shards.last().filter(|_| more).map(|last| {
        let place = format!("{}/{}", stream.name, last.shard_id);
        write_token(&place)
    });
    let mut output = json!({ "Shards": shards });
    if let Some(next) = next {
        output["NextToken"] = next.into();
    }
    Ok(answer(&output))
}

/// Which shards are asked for. As none is ever closed, all filters by time are fulfilled by all shards.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    #[serde(rename = "Type")]
    kind: Option<String>,
    shard_id: Option<String>,
}

impl Filter {
    /// The shard behind which the asked ones begin.
    fn after(self) -> Result<Option<String>, ApiError> {
        const KINDS: [&str; 6] = [
            "AFTER_SHARD_ID",
            "AT_TRIM_HORIZON",
            "FROM_TRIM_HORIZON",
            "AT_LATEST",
            "AT_TIMESTAMP",
            "FROM_TIMESTAMP",
        ];
        let mut violations = Violations::default();
        match &self.kind {
            Some(kind) => violations.one_of(kind, "shardFilter.type", &KINDS),
            None => violations.add_missing("shardFilter.type"),
        }
        violations.into_result()?;
        match (self.kind.as_deref(), self.shard_id) {
            (Some("AFTER_SHARD_ID"), Some(id)) => Ok(Some(id)),
            (Some("AFTER_SHARD_ID"), None) => {
                Err(invalid("ShardId is required for the filter AFTER_SHARD_ID"))
            }
            _ => Ok(None),
        }
    }
}

fn checked(given: Option<i64>, path: &str, most: i64, usual: i64) -> Result<i64, ApiError> {
    let mut violations = Violations::default();
    let given = given.unwrap_or(usual);
    violations.range(given, path, (1, most));
    violations.into_result()?;
    Ok(given)
}

fn write_token(text: &str) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(text)
}

fn read_token(token: &str) -> Result<String, ApiError> {
    let text = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok();
    text.and_then(|text| String::from_utf8(text).ok())
        .ok_or_else(bad_token)
}

fn bad_token() -> ApiError {
    invalid("The provided NextToken is invalid.")
}
