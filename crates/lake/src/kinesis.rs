//! Kinesis Data Streams' wire face: AWS JSON 1.1, operations `Kinesis_20131202.*`.
//!
//! Streams are ACTIVE as soon as they are created and keep the shards that they were created with. What the lake differs
//! in from AWS: no shard has a rate that it refuses records beyond, and nothing is encrypted. Not served are resharding,
//! enhanced fan-out (consumers), encryption and the CBOR form of the protocol.

mod create;
mod describe;
mod get;
mod iterator;
mod put;
mod settings;

use std::sync::Arc;

use http::Response;
use s3s::Body;
use serde::{Deserialize, Serialize};

use crate::aws_json::{ApiError, answer, parse};
use crate::data_streams::{DataStream, Shard};
use crate::lake::Inner;
use crate::limits;
use crate::options::Options;
use crate::provenance::Provenance;
use crate::streams::Violations;

/// Operations of Kinesis that are not served here.
const NOT_SERVED: [&str; 21] = [
    "DeleteResourcePolicy",
    "DeregisterStreamConsumer",
    "DescribeAccountSettings",
    "DescribeStreamConsumer",
    "DisableEnhancedMonitoring",
    "EnableEnhancedMonitoring",
    "GetResourcePolicy",
    "ListStreamConsumers",
    "ListTagsForResource",
    "MergeShards",
    "PutResourcePolicy",
    "RegisterStreamConsumer",
    "SplitShard",
    "StartStreamEncryption",
    "StopStreamEncryption",
    "SubscribeToShard",
    "TagResource",
    "UntagResource",
    "UpdateShardCount",
    "UpdateStreamMode",
    "UpdateStreamWarmThroughput",
];

/// Answers a request whose signature was verified.
pub async fn call(
    lake: &Inner,
    operation: &str,
    body: &[u8],
    provenance: Option<&Provenance>,
) -> Result<Response<Body>, ApiError> {
    match operation {
        "PutRecords" => put::put_records(lake, body, provenance).await,
        "PutRecord" => put::put_record(lake, body, provenance).await,
        "GetRecords" => get::get_records(lake, body).await,
        "GetShardIterator" => iterator::get_shard_iterator(lake, body).await,
        "CreateStream" => create::create_stream(lake, body).await,
        "DeleteStream" => delete_stream(lake, body).await,
        "DescribeStream" => describe::describe_stream(lake, body),
        "DescribeStreamSummary" => describe::describe_stream_summary(lake, body),
        "DescribeLimits" => Ok(describe::describe_limits(lake)),
        "ListStreams" => describe::list_streams(lake, body),
        "ListShards" => describe::list_shards(lake, body),
        "AddTagsToStream" => settings::add_tags(lake, body),
        "RemoveTagsFromStream" => settings::remove_tags(lake, body),
        "ListTagsForStream" => settings::list_tags(lake, body),
        "IncreaseStreamRetentionPeriod" => settings::increase_retention(lake, body),
        "DecreaseStreamRetentionPeriod" => settings::decrease_retention(lake, body),
        "UpdateMaxRecordSize" => settings::update_max_record_size(lake, body),
        known if NOT_SERVED.contains(&known) => Err(ApiError::unknown_operation(format!(
            "{known} is not served by Flumen's lake"
        ))),
        "" => Err(ApiError::unknown_operation(
            "the request names no operation in X-Amz-Target",
        )),
        other => Err(ApiError::unknown_operation(format!(
            "Kinesis has no operation {other}"
        ))),
    }
}

async fn delete_stream(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: StreamRef = parse(body)?;
    let name = input.name(lake)?;
    match lake.data_streams.delete(&name).await {
        Ok(true) => Ok(nothing()),
        Ok(false) => Err(not_found(&lake.options, &name)),
        Err(error) => Err(ApiError::unavailable(format!(
            "the stream cannot be removed: {error}"
        ))),
    }
}

/// How requests name a stream: by name, by ARN, or by both.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamRef {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

impl StreamRef {
    /// The stream's name, if it can be one.
    fn name(&self, lake: &Inner) -> Result<String, ApiError> {
        let mut violations = Violations::default();
        if let Some(name) = &self.stream_name {
            check_name(name, &mut violations);
        }
        violations.into_result()?;
        let by_arn = match &self.stream_arn {
            None => None,
            Some(arn) => match arn.split_once(":stream/") {
                Some((_, name)) if arn.starts_with("arn:aws") => Some(name.to_owned()),
                _ => return Err(invalid(format!("{arn} is not the ARN of a stream"))),
            },
        };
        match (&self.stream_name, by_arn) {
            (None, None) => Err(invalid("Either StreamName or StreamARN should be provided")),
            (Some(name), Some(by_arn)) if *name != by_arn => Err(invalid(format!(
                "StreamName {name} and StreamARN {} are of different streams",
                arn(&lake.options, &by_arn)
            ))),
            (Some(name), _) => Ok(name.clone()),
            (None, Some(name)) => Ok(name),
        }
    }

    /// The stream.
    fn find(&self, lake: &Inner) -> Result<Arc<DataStream>, ApiError> {
        let name = self.name(lake)?;
        lake.data_streams
            .find(&name)
            .ok_or_else(|| not_found(&lake.options, &name))
    }
}

fn check_name(name: &str, violations: &mut Violations) {
    const PATH: &str = "streamName";
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    violations.length(name, PATH, (1, limits::DATA_STREAM_NAME_CHARS));
    violations.pattern(name, PATH, "[a-zA-Z0-9_.-]+", |name| name.bytes().all(fits));
}

fn shard_of<'s>(
    options: &Options,
    stream: &'s DataStream,
    id: &str,
) -> Result<&'s Shard, ApiError> {
    stream.shard(id).ok_or_else(|| {
        let message = format!(
            "Shard {id} in stream {} under account {} does not exist",
            stream.name, options.account_id
        );
        ApiError::client("ResourceNotFoundException", message)
    })
}

fn not_found(options: &Options, name: &str) -> ApiError {
    let message = format!(
        "Stream {name} under account {} not found.",
        options.account_id
    );
    ApiError::client("ResourceNotFoundException", message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidArgumentException", message)
}

fn arn(options: &Options, name: &str) -> String {
    format!(
        "arn:aws:kinesis:{}:{}:stream/{name}",
        options.region, options.account_id
    )
}

/// The answer of operations that say nothing: no body at all.
fn nothing() -> Response<Body> {
    let mut response = answer(&());
    *response.body_mut() = Body::empty();
    response
}

/// A time as answers have it: seconds since 1970, with milliseconds.
fn seconds(time: jiff::Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// A number of at most 39 digits, as hash keys are written.
fn is_hash_key(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || (!text.is_empty() && text.len() <= 39 && !text.starts_with('0')))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ModeDetails {
    stream_mode: crate::data_streams::Mode,
}
