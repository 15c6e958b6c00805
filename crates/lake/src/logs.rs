//! CloudWatch Logs' wire face: AWS JSON 1.1, operations `Logs_20140328.*`.
//!
//! What the lake differs in from AWS: a group's class and an event's entity are kept or taken without further effect, no
//! KMS key is known, and numbers that AWS updates after a while (bytes stored, time of the newest event) are right at once.

mod face;
mod groups;
mod list;
mod put;
mod read;
mod retention;
mod streams;
mod tags;
mod test_metric_filter;
mod token;

use std::borrow::Cow;
use std::io::Read;

use http::Response;
use http::header::{CONTENT_ENCODING, HeaderMap};
use s3s::Body;

use crate::aws_json::ApiError;
use crate::lake::Inner;
use crate::limits;
use crate::provenance::Provenance;

/// Answers a request whose signature was verified.
pub async fn call(
    lake: &Inner,
    operation: &str,
    headers: &HeaderMap,
    body: &[u8],
    provenance: Option<&Provenance>,
) -> Result<Response<Body>, ApiError> {
    let body = decoded(headers, body)?;
    let body = body.as_ref();
    match operation {
        "PutLogEvents" => put::put_log_events(lake, body, provenance).await,
        "GetLogEvents" => read::get_log_events(lake, body).await,
        "FilterLogEvents" => read::filter_log_events(lake, body).await,
        "CreateLogGroup" => groups::create_log_group(lake, body).await,
        "DeleteLogGroup" => groups::delete_log_group(lake, body).await,
        "PutLogGroupDeletionProtection" => groups::protect(lake, body).await,
        "DescribeLogGroups" => list::describe_log_groups(lake, body),
        "ListLogGroups" => list::list_log_groups(lake, body),
        "CreateLogStream" => streams::create_log_stream(lake, body).await,
        "DeleteLogStream" => streams::delete_log_stream(lake, body).await,
        "DescribeLogStreams" => streams::describe_log_streams(lake, body),
        "PutRetentionPolicy" => retention::put_retention_policy(lake, body).await,
        "DeleteRetentionPolicy" => retention::delete_retention_policy(lake, body).await,
        "TagResource" => tags::tag_resource(lake, body).await,
        "UntagResource" => tags::untag_resource(lake, body).await,
        "ListTagsForResource" => tags::list_tags_for_resource(lake, body),
        "TagLogGroup" => tags::tag_log_group(lake, body).await,
        "UntagLogGroup" => tags::untag_log_group(lake, body).await,
        "ListTagsLogGroup" => tags::list_tags_log_group(lake, body),
        "TestMetricFilter" => test_metric_filter::test_metric_filter(body),
        "" => Err(ApiError::unknown_operation(
            "the request names no operation in X-Amz-Target",
        )),
        other => Err(ApiError::unknown_operation(format!(
            "CloudWatch Logs' {other} is not served by Flumen's lake"
        ))),
    }
}

/// The body without its compression: some senders (Vector, AWS's own agent) compress what they put.
fn decoded<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Cow<'a, [u8]>, ApiError> {
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"" | b"identity") => Ok(Cow::Borrowed(body)),
        Some(b"gzip") => {
            let mut out = Vec::with_capacity(body.len() * 4);
            let most = limits::LOGS_BODY_BYTES as u64;
            flate2::read::MultiGzDecoder::new(body)
                .take(most + 1)
                .read_to_end(&mut out)
                .map_err(|error| {
                    ApiError::serialization(format!("the body is not gzip: {error}"))
                })?;
            match out.len() as u64 > most {
                true => Err(ApiError::serialization(format!(
                    "the body is larger than {most} bytes when decompressed"
                ))),
                false => Ok(Cow::Owned(out)),
            }
        }
        Some(other) => Err(ApiError::serialization(format!(
            "the body's Content-Encoding is '{}'; gzip is taken",
            other.escape_ascii()
        ))),
    }
}
