//! GetLogEvents and FilterLogEvents.

use std::sync::Arc;

use http::Response;
use s3s::Body;
use serde::{Deserialize, Serialize};

use super::face::{check_limit, check_stream, find, invalid, on_disk, refuse};
use super::token;
use crate::aws_json::{ApiError, answer, parse};
use crate::lake::Inner;
use crate::limits;
use crate::log_groups::filter_pattern::FilterPattern;
use crate::log_groups::{self, Direction, Event, Group, GroupError, Page, Position, Query};
use crate::streams::Violations;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetInput {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<i64>,
    #[serde(default)]
    start_from_head: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GetOutput {
    events: Vec<OutputEvent>,
    next_forward_token: String,
    next_backward_token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputEvent {
    timestamp: i64,
    message: String,
    ingestion_time: i64,
}

/// `GetLogEvents`. At the end the same token comes back.
pub async fn get_log_events(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: GetInput = parse(body)?;
    let mut violations = Violations::default();
    check_stream(input.log_stream_name.as_deref(), &mut violations)?;
    let limit = check_limit(input.limit, limits::READ_EVENTS, &mut violations);
    check_times(input.start_time, input.end_time, &mut violations);
    refuse(violations)?;
    let group = find(
        lake,
        input.log_group_name.as_deref(),
        input.log_group_identifier.as_deref(),
    )?;
    let name = input.log_stream_name.as_deref().unwrap_or_default();
    let number = number_of(&group, name)?;
    let start = Position::before_all_of(input.start_time.unwrap_or(0));
    // The end is not included.
    let end = Position::before_all_of(input.end_time.unwrap_or(i64::MAX));
    let place = match input.next_token.as_deref() {
        Some(token) => read_place(token)?,
        None if input.start_from_head => (Direction::Forward, start),
        None => (Direction::Backward, end),
    };
    let (direction, after, before) = match place {
        (Direction::Forward, place) => (Direction::Forward, start.max(place), end),
        (Direction::Backward, place) => (Direction::Backward, start, end.min(place)),
    };
    let page = read(
        group,
        Query {
            streams: Some(vec![number]),
            after,
            before,
            direction,
            limit,
            scan_bytes: limits::READ_SCAN_BYTES,
            filter: None,
        },
    )
    .await?;
    // With nothing there yet, going on in either direction begins where the question did.
    let empty = match input.next_token {
        Some(_) => place.1,
        None => start,
    };
    Ok(answer(&get_output(page, direction, empty)))
}

fn get_output(page: Page, direction: Direction, empty: Position) -> GetOutput {
    let first = page.events.first().map(|event| event.position);
    // In the direction of reading, what was passed over without finding anything counts, too.
    let last = page
        .resume
        .or(page.events.last().map(|event| event.position));
    let (backward, forward) = match direction {
        Direction::Forward => (first, last),
        Direction::Backward => (last, first),
    };
    let mut events: Vec<OutputEvent> = page
        .events
        .into_iter()
        .map(|event| OutputEvent {
            timestamp: event.position.timestamp,
            message: event.message,
            ingestion_time: event.ingested,
        })
        .collect();
    if direction == Direction::Backward {
        events.reverse();
    }
    GetOutput {
        events,
        next_forward_token: format!("f/{}/s", forward.unwrap_or(empty)),
        next_backward_token: format!("b/{}/s", backward.unwrap_or(empty)),
    }
}

fn read_place(token: &str) -> Result<(Direction, Position), ApiError> {
    let place = |rest: &str| rest.strip_suffix("/s")?.parse().ok();
    let read = if let Some(rest) = token.strip_prefix("f/") {
        place(rest).map(|place| (Direction::Forward, place))
    } else if let Some(rest) = token.strip_prefix("b/") {
        place(rest).map(|place| (Direction::Backward, place))
    } else {
        None
    };
    read.ok_or_else(token::wrong)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterInput {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
    start_from_head: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilterOutput {
    events: Vec<FilteredEvent>,
    searched_log_streams: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilteredEvent {
    log_stream_name: String,
    timestamp: i64,
    message: String,
    ingestion_time: i64,
    event_id: String,
}

/// `FilterLogEvents`. At the end there is no token; in front of it pages may be empty.
pub async fn filter_log_events(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: FilterInput = parse(body)?;
    let limit = check_filter(&input)?;
    let filter = FilterPattern::parse(input.filter_pattern.as_deref().unwrap_or(""))
        .map_err(|error| invalid(error.to_string()))?;
    let group = find(
        lake,
        input.log_group_name.as_deref(),
        input.log_group_identifier.as_deref(),
    )?;
    let streams = numbers_of(&group, &input)?;
    let mut after = Position::before_all_of(input.start_time.unwrap_or(0));
    // The end is included.
    let mut before = Position::behind_all_of(input.end_time.unwrap_or(i64::MAX));
    let direction = match input.start_from_head {
        Some(false) => Direction::Backward,
        None | Some(true) => Direction::Forward,
    };
    if let Some(place) = token::read::<String>(input.next_token.as_deref())? {
        let place: Position = place.parse().map_err(|()| token::wrong())?;
        match direction {
            Direction::Forward => after = after.max(place),
            Direction::Backward => before = before.min(place),
        }
    }
    let reading = Arc::clone(&group);
    let page = on_disk(move || {
        let query = Query {
            streams,
            after,
            before,
            direction,
            limit,
            scan_bytes: limits::READ_SCAN_BYTES,
            filter: Some(&filter),
        };
        reading
            .read(&query, log_groups::now())
            .map_err(GroupError::from)
    })
    .await?;
    Ok(answer(&FilterOutput {
        events: named(&group, page.events),
        searched_log_streams: [],
        next_token: page.resume.map(|place| token::write(&place.to_string())),
    }))
}

fn check_filter(input: &FilterInput) -> Result<usize, ApiError> {
    let mut violations = Violations::default();
    let limit = check_limit(input.limit, limits::READ_EVENTS, &mut violations);
    check_times(input.start_time, input.end_time, &mut violations);
    if let Some(names) = &input.log_stream_names {
        let path = "logStreamNames";
        if names.is_empty() {
            violations.add_unshown(path, "Member must have length greater than or equal to 1");
        }
        if names.len() > limits::FILTERED_STREAMS {
            let most = limits::FILTERED_STREAMS;
            let constraint = format!("Member must have length less than or equal to {most}");
            violations.add_unshown(path, &constraint);
        }
    }
    if let Some(prefix) = &input.log_stream_name_prefix {
        violations.length(prefix, "logStreamNamePrefix", (1, limits::LOG_NAME_CHARS));
    }
    if let Some(pattern) = &input.filter_pattern {
        let bounds = (0, limits::FILTER_PATTERN_CHARS);
        violations.length(pattern, "filterPattern", bounds);
    }
    refuse(violations)?;
    if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
        return Err(invalid(
            "LogStream names and LogStream name prefix are mutually exclusive parameters.",
        ));
    }
    Ok(limit)
}

/// The numbers of the streams that are to be searched, sorted; none if it is all of them.
fn numbers_of(group: &Group, input: &FilterInput) -> Result<Option<Vec<u64>>, ApiError> {
    let mut numbers = if let Some(names) = &input.log_stream_names {
        let numbers = names.iter().map(|name| number_of(group, name));
        numbers.collect::<Result<Vec<u64>, ApiError>>()?
    } else if let Some(prefix) = &input.log_stream_name_prefix {
        group.with_streams(|streams| {
            let streams = streams.with_prefix(prefix);
            streams.map(|stream| stream.number).collect()
        })
    } else {
        return Ok(None);
    };
    numbers.sort_unstable();
    Ok(Some(numbers))
}

fn number_of(group: &Group, name: &str) -> Result<u64, ApiError> {
    let number = group.with_streams(|streams| streams.find(name).map(|stream| stream.number));
    number.ok_or_else(|| GroupError::NoStream.into())
}

/// The events with their streams' names, but for those whose stream was deleted in the meantime.
fn named(group: &Group, events: Vec<Event>) -> Vec<FilteredEvent> {
    group.with_streams(|streams| {
        let events = events.into_iter().filter_map(|event| {
            Some(FilteredEvent {
                log_stream_name: streams.get(event.stream)?.name.to_string(),
                timestamp: event.position.timestamp,
                ingestion_time: event.ingested,
                event_id: event.position.to_string(),
                message: event.message,
            })
        });
        events.collect()
    })
}

fn check_times(start: Option<i64>, end: Option<i64>, violations: &mut Violations) {
    for (time, path) in [(start, "startTime"), (end, "endTime")] {
        if let Some(time) = time {
            violations.range(time, path, (0, i64::MAX));
        }
    }
}

async fn read(group: Arc<Group>, query: Query<'static>) -> Result<Page, ApiError> {
    on_disk(move || {
        group
            .read(&query, log_groups::now())
            .map_err(GroupError::from)
    })
    .await
}
