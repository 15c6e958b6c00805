//! Firehose's wire face: AWS JSON 1.1, operations `Firehose_20150804.*`.
//!
//! Delivery streams are ACTIVE as soon as they are created. What the lake differs in from AWS: a missing bucket is
//! created together with the stream, roles are named but not looked at, and of the destinations there is S3.

mod create;
mod describe;
mod put;
mod record_id;
mod tags;

use http::Response;
use s3s::Body;
use serde::{Deserialize, Serialize};

use std::sync::Arc;

use crate::aws_json::{ApiError, answer, parse};
use crate::lake::Inner;
use crate::limits;
use crate::options::Options;
use crate::provenance::Provenance;
use crate::streams::{Stream, Violations};

/// Answers a request whose signature was verified, from a router that says where its records come from or from anybody.
pub async fn call(
    lake: &Inner,
    operation: &str,
    body: &[u8],
    provenance: Option<&Provenance>,
) -> Result<Response<Body>, ApiError> {
    match operation {
        "PutRecordBatch" => put::put_record_batch(lake, body, provenance).await,
        "PutRecord" => put::put_record(lake, body, provenance).await,
        "CreateDeliveryStream" => create::create_delivery_stream(lake, body).await,
        "DescribeDeliveryStream" => describe::describe_delivery_stream(lake, body),
        "ListDeliveryStreams" => describe::list_delivery_streams(lake, body),
        "DeleteDeliveryStream" => delete_delivery_stream(lake, body).await,
        "TagDeliveryStream" => tags::tag_delivery_stream(lake, body),
        "UntagDeliveryStream" => tags::untag_delivery_stream(lake, body),
        "ListTagsForDeliveryStream" => tags::list_tags_for_delivery_stream(lake, body),
        "UpdateDestination" | "StartDeliveryStreamEncryption" | "StopDeliveryStreamEncryption" => {
            Err(ApiError::unknown_operation(format!(
                "{operation} is not served by Flumen's lake"
            )))
        }
        "" => Err(ApiError::unknown_operation(
            "the request names no operation in X-Amz-Target",
        )),
        other => Err(ApiError::unknown_operation(format!(
            "Firehose has no operation {other}"
        ))),
    }
}

async fn delete_delivery_stream(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        delivery_stream_name: Option<String>,
    }
    let input: Input = parse(body)?;
    let name = require_name(input.delivery_stream_name.as_deref())?;
    match lake.streams.delete(name).await {
        Ok(true) => Ok(answer(&Empty {})),
        Ok(false) => Err(not_found(&lake.options, name)),
        Err(error) => Err(ApiError::unavailable(format!(
            "the delivery stream cannot be removed: {error}"
        ))),
    }
}

/// The answer of operations that say nothing: `{}`.
#[derive(Serialize)]
struct Empty {}

/// The name of a delivery stream, if it can be one.
fn require_name(name: Option<&str>) -> Result<&str, ApiError> {
    let mut violations = Violations::default();
    check_name(name, &mut violations);
    violations.into_result()?;
    Ok(name.unwrap_or_default())
}

fn check_name(name: Option<&str>, violations: &mut Violations) {
    const PATH: &str = "deliveryStreamName";
    let Some(name) = name else {
        return violations.add_missing(PATH);
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    violations.length(name, PATH, (1, limits::STREAM_NAME_CHARS));
    violations.pattern(name, PATH, "[a-zA-Z0-9_.-]+", |name| name.bytes().all(fits));
}

fn find(lake: &Inner, name: &str) -> Result<Arc<Stream>, ApiError> {
    lake.streams
        .find(name)
        .ok_or_else(|| not_found(&lake.options, name))
}

fn not_found(options: &Options, name: &str) -> ApiError {
    let message = format!(
        "Firehose {name} under account {} not found.",
        options.account_id
    );
    ApiError::client("ResourceNotFoundException", message)
}

fn arn(options: &Options, name: &str) -> String {
    format!(
        "arn:aws:firehose:{}:{}:deliverystream/{name}",
        options.region, options.account_id
    )
}
