//! CreateStream.

use std::collections::BTreeMap;

use http::Response;
use s3s::Body;
use serde::Deserialize;

use super::{check_name, nothing, settings};
use crate::aws_json::{ApiError, parse};
use crate::data_streams::{CreateError, Definition, Mode};
use crate::lake::Inner;
use crate::limits;
use crate::streams::Violations;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeInput>,
    tags: Option<BTreeMap<String, String>>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModeInput {
    stream_mode: Option<String>,
}

/// `CreateStream`. The stream can be used as soon as this is answered.
pub async fn create_stream(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    match &input.stream_name {
        Some(name) => check_name(name, &mut violations),
        None => violations.add_missing("streamName"),
    }
    if let Some(count) = input.shard_count {
        violations.range(count, "shardCount", (1, i64::from(i32::MAX)));
    }
    let mode = mode(input.stream_mode_details.as_ref(), &mut violations);
    let (least, most, usual) = limits::DATA_RECORD_KIB;
    if let Some(size) = input.max_record_size {
        violations.range(size, "maxRecordSizeInKiB", (least, most));
    }
    let tags = input.tags.unwrap_or_default();
    settings::check_tags(&tags, &mut violations);
    violations.into_result()?;
    let shards = match (mode, input.shard_count) {
        (Mode::Provisioned, Some(count)) => u32::try_from(count).unwrap_or(u32::MAX),
        (Mode::Provisioned, None) => {
            let message = "ShardCount should be specified for stream with PROVISIONED stream mode";
            return Err(ApiError::client("ValidationException", message));
        }
        (Mode::OnDemand, None) => limits::ON_DEMAND_SHARDS,
        (Mode::OnDemand, Some(_)) => {
            let message =
                "ShardCount should not be specified for stream with ON_DEMAND stream mode";
            return Err(ApiError::client("ValidationException", message));
        }
    };
    let name = input.stream_name.unwrap_or_default();
    let max_record_kib = input
        .max_record_size
        .and_then(|size| u32::try_from(size).ok());
    let mut definition =
        Definition::new(name.clone(), mode, shards, max_record_kib.unwrap_or(usual));
    definition.tags = tags;
    match lake.data_streams.create(definition).await {
        Ok(()) => Ok(nothing()),
        Err(CreateError::Exists) => Err(ApiError::client(
            "ResourceInUseException",
            format!(
                "Stream {name} under account {} already exists.",
                lake.options.account_id
            ),
        )),
        Err(CreateError::TooManyShards { present }) => Err(ApiError::client(
            "LimitExceededException",
            format!(
                "This request would exceed the shard limit for the account {} in {}. Current shard count for the \
                 account: {present}. Limit: {}. Number of additional shards that would have resulted from this request: \
                 {shards}.",
                lake.options.account_id,
                lake.options.region,
                limits::SHARDS
            ),
        )),
        Err(error @ CreateError::Io(_)) => Err(ApiError::unavailable(error.to_string())),
    }
}

fn mode(details: Option<&ModeInput>, violations: &mut Violations) -> Mode {
    const PATH: &str = "streamModeDetails.streamMode";
    let Some(details) = details else {
        return Mode::Provisioned;
    };
    match details.stream_mode.as_deref() {
        Some("PROVISIONED") => Mode::Provisioned,
        Some("ON_DEMAND") => Mode::OnDemand,
        Some(other) => {
            violations.one_of(other, PATH, &["PROVISIONED", "ON_DEMAND"]);
            Mode::Provisioned
        }
        None => {
            violations.add_missing(PATH);
            Mode::Provisioned
        }
    }
}
