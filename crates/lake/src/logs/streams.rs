//! CreateLogStream, DeleteLogStream and DescribeLogStreams.

use http::Response;
use s3s::Body;
use serde::{Deserialize, Serialize};

use super::face::{
    check_group, check_limit, check_stream, find, group_arn, invalid, nothing, on_disk, refuse,
};
use super::token;
use crate::aws_json::{ApiError, answer, parse};
use crate::lake::Inner;
use crate::limits;
use crate::log_groups::{self, LogStream, Streams};
use crate::streams::Violations;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
}

impl Names {
    fn check(&self) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        check_group(self.log_group_name.as_deref(), &mut violations)?;
        check_stream(self.log_stream_name.as_deref(), &mut violations)?;
        refuse(violations)
    }
}

/// `CreateLogStream`.
pub async fn create_log_stream(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Names = parse(body)?;
    input.check()?;
    let group = find(lake, input.log_group_name.as_deref(), None)?;
    let name = input.log_stream_name.unwrap_or_default();
    on_disk(move || group.create_stream(&name, log_groups::now())).await?;
    Ok(nothing())
}

/// `DeleteLogStream`.
pub async fn delete_log_stream(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Names = parse(body)?;
    input.check()?;
    let group = find(lake, input.log_group_name.as_deref(), None)?;
    let name = input.log_stream_name.unwrap_or_default();
    on_disk(move || group.delete_stream(&name)).await?;
    lake.log_groups.look_after_soon();
    Ok(nothing())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInput {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    #[serde(default)]
    descending: bool,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    log_stream_name: String,
    creation_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_ingestion_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_sequence_token: Option<String>,
    arn: String,
    stored_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeOutput {
    log_streams: Vec<Described>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// `DescribeLogStreams`.
pub fn describe_log_streams(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: DescribeInput = parse(body)?;
    let mut violations = Violations::default();
    let limit = check_limit(input.limit, limits::DESCRIBED_LOGS, &mut violations);
    let order = input.order_by.as_deref().unwrap_or("LogStreamName");
    violations.one_of(order, "orderBy", &["LogStreamName", "LastEventTime"]);
    if let Some(prefix) = &input.log_stream_name_prefix {
        violations.length(prefix, "logStreamNamePrefix", (1, limits::LOG_NAME_CHARS));
    }
    refuse(violations)?;
    let by_time = order == "LastEventTime";
    if by_time && input.log_stream_name_prefix.is_some() {
        return Err(invalid(
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        ));
    }
    let group = find(
        lake,
        input.log_group_name.as_deref(),
        input.log_group_identifier.as_deref(),
    )?;
    let listing = Listing {
        prefix: input.log_stream_name_prefix.unwrap_or_default(),
        by_time,
        descending: input.descending,
        after: token::read(input.next_token.as_deref())?,
        cutoff: group.definition().cutoff(log_groups::now()),
        limit,
    };
    let arn = group_arn(&lake.options, &group.name);
    let output = group.with_streams(|streams| {
        let (page, next_token) = listing.page(streams);
        let page = page.into_iter();
        DescribeOutput {
            log_streams: page
                .map(|stream| described(stream, &arn, listing.cutoff))
                .collect(),
            next_token,
        }
    });
    Ok(answer(&output))
}

/// Which streams are to be listed, and in which order.
struct Listing {
    prefix: String,
    by_time: bool,
    descending: bool,
    /// The place of the last stream of the page before.
    after: Option<(i64, String)>,
    /// Events before this time have expired.
    cutoff: Option<i64>,
    limit: usize,
}

impl Listing {
    /// One page, and the token for the next one.
    fn page<'a>(&'a self, streams: &'a Streams) -> (Vec<&'a LogStream>, Option<String>) {
        let rest = streams
            .with_prefix(&self.prefix)
            .filter(|stream| self.is_to_come(stream));
        let mut page: Vec<&LogStream> = match (self.by_time, self.descending) {
            (false, false) => rest.take(self.limit + 1).collect(),
            (false, true) => rest.rev().take(self.limit + 1).collect(),
            (true, descending) => {
                let mut all: Vec<&LogStream> = rest.collect();
                all.sort_unstable_by(|a, b| self.place(a).cmp(&self.place(b)));
                if descending {
                    all.reverse();
                }
                all
            }
        };
        let more = page.len() > self.limit;
        page.truncate(self.limit);
        let last = page.last().filter(|_| more);
        let next_token = last.map(|stream| token::write(&self.place(stream)));
        (page, next_token)
    }

    /// What streams are sorted by.
    fn place<'a>(&self, stream: &'a LogStream) -> (i64, &'a str) {
        let time = match self.by_time {
            // Streams without events come before all others.
            true => live(stream, self.cutoff).last_event_timestamp.unwrap_or(-1),
            false => 0,
        };
        (time, &stream.name)
    }

    fn is_to_come(&self, stream: &LogStream) -> bool {
        let Some((time, name)) = &self.after else {
            return true;
        };
        let after = (*time, name.as_str());
        match self.descending {
            true => self.place(stream) < after,
            false => self.place(stream) > after,
        }
    }
}

/// What a stream's events say, of those that have not expired.
struct Live {
    first_event_timestamp: Option<i64>,
    last_event_timestamp: Option<i64>,
}

fn live(stream: &LogStream, cutoff: Option<i64>) -> Live {
    let cutoff = cutoff.unwrap_or(i64::MIN);
    match stream.last_event.filter(|last| *last >= cutoff) {
        Some(last) => Live {
            first_event_timestamp: stream.first_event.map(|first| first.max(cutoff)),
            last_event_timestamp: Some(last),
        },
        None => Live {
            first_event_timestamp: None,
            last_event_timestamp: None,
        },
    }
}

fn described(stream: &LogStream, group_arn: &str, cutoff: Option<i64>) -> Described {
    let live = live(stream, cutoff);
    Described {
        log_stream_name: stream.name.to_string(),
        creation_time: stream.created,
        first_event_timestamp: live.first_event_timestamp,
        last_event_timestamp: live.last_event_timestamp,
        last_ingestion_time: stream.last_ingestion,
        upload_sequence_token: stream.last_ingestion.map(super::put::sequence_token),
        arn: format!("{group_arn}:log-stream:{}", stream.name),
        // AWS does not say this of single streams any more.
        stored_bytes: 0,
    }
}
