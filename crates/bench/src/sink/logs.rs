//! CloudWatch Logs: PutLogEvents. Groups and streams are all there; creating them is answered with success.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;

use super::state::State;
use crate::tally::Verdict;

/// The limits of a request: events, bytes with 26 for each event, milliseconds from the first to the last event.
const EVENTS_MAX: usize = 10_000;
const REQUEST_MAX: usize = 1_048_576;
const EVENT_OVERHEAD: usize = 26;
const SPAN_MAX: i64 = 24 * 60 * 60 * 1000;
/// How old and how far ahead of now an event may be, in milliseconds; others of its request are taken without it.
const AGE_MAX: i64 = 14 * 24 * 60 * 60 * 1000;
const AHEAD_MAX: i64 = 2 * 60 * 60 * 1000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    #[serde(borrow)]
    log_group_name: Cow<'a, str>,
    #[serde(borrow)]
    log_stream_name: Cow<'a, str>,
    #[serde(borrow)]
    log_events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    timestamp: i64,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// Takes a request; an error says which rule it breaks.
pub fn put_log_events(state: &mut State, body: &[u8], verdict: Verdict) -> Result<Vec<u8>, String> {
    let input: Input<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    check(&input)?;
    let events = &input.log_events;
    let taken = timely(events, jiff::Timestamp::now().as_millisecond());
    for event in &events[taken.clone()] {
        state.accept(event.message.as_bytes(), verdict);
    }
    state.counts.refused_records += (events.len() - taken.len()) as u64;
    let mut out = br#"{"nextSequenceToken":""#.to_vec();
    state.ids.sequence_number(&mut out);
    out.push(b'"');
    if taken.len() < events.len() {
        out.extend_from_slice(rejected(&taken, events.len()).as_bytes());
    }
    out.push(b'}');
    Ok(out)
}

/// Which events are not rejected: they are neither too old nor too new, and stand together, as events are in order.
fn timely(events: &[Event<'_>], now: i64) -> Range<usize> {
    let start = events.partition_point(|event| event.timestamp < now - AGE_MAX);
    let end = events.partition_point(|event| event.timestamp <= now + AHEAD_MAX);
    start..end.max(start)
}

/// What the answer says of the others.
fn rejected(taken: &Range<usize>, all: usize) -> String {
    let mut parts = Vec::new();
    if taken.start > 0 {
        parts.push(format!(r#""tooOldLogEventEndIndex":{}"#, taken.start));
    }
    if taken.end < all {
        parts.push(format!(r#""tooNewLogEventStartIndex":{}"#, taken.end));
    }
    format!(r#","rejectedLogEventsInfo":{{{}}}"#, parts.join(","))
}

fn check(input: &Input<'_>) -> Result<(), String> {
    if input.log_group_name.is_empty() || input.log_stream_name.is_empty() {
        return Err("the log group and the log stream must have names".to_owned());
    }
    let events = &input.log_events;
    if !(1..=EVENTS_MAX).contains(&events.len()) {
        let count = events.len();
        return Err(format!("{count} log events, allowed are 1 to {EVENTS_MAX}"));
    }
    let bytes: usize = events
        .iter()
        .map(|event| event.message.len() + EVENT_OVERHEAD)
        .sum();
    if bytes > REQUEST_MAX {
        return Err(format!(
            "Upload too large: {bytes} bytes exceeds limit of {REQUEST_MAX}"
        ));
    }
    if events.iter().any(|event| event.message.is_empty()) {
        return Err("a log event has no message".to_owned());
    }
    if !events.is_sorted_by_key(|event| event.timestamp) {
        return Err(
            "Log events in a single PutLogEvents request must be in chronological order."
                .to_owned(),
        );
    }
    let times = (events.first(), events.last());
    if let (Some(first), Some(last)) = times
        && last.timestamp - first.timestamp > SPAN_MAX
    {
        return Err("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.".to_owned());
    }
    Ok(())
}
