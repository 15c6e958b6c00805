//! PutLogEvents: the way every event takes into the lake.
//!
//! Made for full batches: the body is read once, and each message goes straight into one buffer for all of them.

use std::fmt;
use std::ops::Range;

use http::Response;
use s3s::Body;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::face::{check_group, check_stream, find, invalid, refuse};
use crate::aws_json::{ApiError, answer, parse};
use crate::lake::Inner;
use crate::limits;
use crate::log_groups::{self, Events, LogMeters, Position};
use crate::provenance::Provenance;
use crate::streams::Violations;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
    log_events: Option<LogEvents>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    next_sequence_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_log_events_info: Option<Rejected>,
}

/// Which events were not taken, of a list in order of time.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rejected {
    #[serde(skip_serializing_if = "Option::is_none")]
    too_new_log_event_start_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    too_old_log_event_end_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_log_event_end_index: Option<usize>,
}

impl Rejected {
    /// Counts the rejected ones of `count` events, each for one reason.
    fn count(&self, count: usize, meters: &LogMeters) {
        let too_old = self.too_old_log_event_end_index.unwrap_or(0);
        let expired = self.expired_log_event_end_index.unwrap_or(0);
        let too_new = self.too_new_log_event_start_index.unwrap_or(count);
        meters.too_old_events.add(too_old as u64);
        meters
            .expired_events
            .add(expired.saturating_sub(too_old) as u64);
        meters.too_new_events.add((count - too_new) as u64);
    }
}

/// `PutLogEvents`. Sequence tokens are given, and not looked at.
pub async fn put_log_events(
    lake: &Inner,
    body: &[u8],
    provenance: Option<&Provenance>,
) -> Result<Response<Body>, ApiError> {
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    check_group(input.log_group_name.as_deref(), &mut violations)?;
    check_stream(input.log_stream_name.as_deref(), &mut violations)?;
    let events = check_events(input.log_events, violations)?;
    let group = find(lake, input.log_group_name.as_deref(), None)?;
    if !lake.disk.is_left() {
        return Err(ApiError::no_room());
    }
    let now = log_groups::now();
    let cutoff = group.definition().cutoff(now);
    let (accepted, rejected) = sort_out(&events, now, cutoff);
    check_span(&events, &accepted)?;
    let stream = input.log_stream_name.unwrap_or_default();
    let round = group.append(&stream, (&events, accepted.clone()), now, provenance)?;
    let bytes: usize = accepted
        .clone()
        .map(|index| events.message(index).len())
        .sum();
    let count = events.len();
    // What follows waits for the disk; the batch need not stay in memory for that.
    drop(events);
    group.commit(&round).await?;
    let meters = lake.log_groups.meters();
    meters.put_requests.add(1);
    meters.events.add(accepted.len() as u64);
    meters.bytes.add(bytes as u64);
    rejected.count(count, meters);
    Ok(answer(&Output {
        next_sequence_token: sequence_token(now),
        rejected_log_events_info: (rejected != Rejected::default()).then_some(rejected),
    }))
}

/// A token for who still asks for one.
pub fn sequence_token(time: i64) -> String {
    Position::before_all_of(time).to_string()
}

fn check_events(events: Option<LogEvents>, mut violations: Violations) -> Result<Events, ApiError> {
    const PATH: &str = "logEvents";
    let Some(found) = events else {
        violations.add_missing(PATH);
        return refuse(violations).map(|()| Events::default());
    };
    if found.count == 0 {
        violations.add_unshown(PATH, "Member must have length greater than or equal to 1");
    } else if found.count > limits::EVENTS_PER_BATCH {
        let most = limits::EVENTS_PER_BATCH;
        let constraint = format!("Member must have length less than or equal to {most}");
        violations.add_unshown(PATH, &constraint);
    }
    found.check(&mut violations);
    refuse(violations)?;
    let events = found.events;
    let mut total = 0;
    for index in 0..events.len() {
        let size = events.message(index).len() + limits::EVENT_OVERHEAD_BYTES;
        if size > limits::EVENT_BYTES {
            return Err(invalid(format!(
                "Log event too large: {size} bytes exceeds limit of {}",
                limits::EVENT_BYTES
            )));
        }
        total += size;
    }
    if total > limits::EVENT_BATCH_BYTES {
        return Err(invalid(format!(
            "Upload too large: {total} bytes exceeds limit of {}",
            limits::EVENT_BATCH_BYTES
        )));
    }
    if !events.timestamps().is_sorted() {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    Ok(events)
}

/// Which events are taken at `now`, and which are not. Those before `cutoff` have expired.
fn sort_out(events: &Events, now: i64, cutoff: Option<i64>) -> (Range<usize>, Rejected) {
    let times: Vec<i64> = events.timestamps().collect();
    let older_than = |limit: i64| times.partition_point(|time| *time < limit);
    let too_old = older_than(now - limits::EVENT_AGE.as_millis() as i64);
    let expired = cutoff.map_or(0, older_than);
    let latest = now + limits::EVENT_AHEAD.as_millis() as i64;
    let too_new = times.partition_point(|time| *time <= latest);
    let start = too_old.max(expired).min(too_new);
    let rejected = Rejected {
        too_new_log_event_start_index: (too_new < times.len()).then_some(too_new),
        too_old_log_event_end_index: (too_old > 0).then_some(too_old),
        expired_log_event_end_index: (expired > 0).then_some(expired),
    };
    (start..too_new, rejected)
}

fn check_span(events: &Events, accepted: &Range<usize>) -> Result<(), ApiError> {
    if accepted.is_empty() {
        return Ok(());
    }
    let span = events.timestamp(accepted.end - 1) - events.timestamp(accepted.start);
    match span > limits::EVENT_SPAN.as_millis() as i64 {
        true => Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        )),
        false => Ok(()),
    }
}

/// The events of a request: as many as may be, how many there were, and the first that lacks something.
#[derive(Default)]
struct LogEvents {
    events: Events,
    count: usize,
    lacking: Option<Lacking>,
}

/// What one event lacks, by its number from 1.
struct Lacking {
    event: usize,
    timestamp: Option<i64>,
    message: bool,
    empty: bool,
}

impl LogEvents {
    fn check(&self, violations: &mut Violations) {
        let Some(lacking) = &self.lacking else {
            return;
        };
        let path = |member: &str| format!("logEvents.{}.member.{member}", lacking.event);
        match lacking.timestamp {
            None => violations.add_missing(&path("timestamp")),
            Some(time) if time < 0 => violations.add(
                &time.to_string(),
                &path("timestamp"),
                "Member must have value greater than or equal to 0",
            ),
            Some(_) => {}
        }
        if !lacking.message {
            violations.add_missing(&path("message"));
        } else if lacking.empty {
            violations.add(
                "",
                &path("message"),
                "Member must have length greater than or equal to 1",
            );
        }
    }
}

impl<'de> Deserialize<'de> for LogEvents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = LogEvents;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of log events")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<LogEvents, A::Error> {
                let mut found = LogEvents::default();
                while found.count < limits::EVENTS_PER_BATCH {
                    if list.next_element_seed(Event(&mut found))?.is_none() {
                        return Ok(found);
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    found.count += 1;
                }
                Ok(found)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Reads one event into the list.
struct Event<'a>(&'a mut LogEvents);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Member {
    Timestamp,
    Message,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for Event<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Event<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let found = self.0;
        let mut timestamp: Option<i64> = None;
        let mut length = None;
        while let Some(member) = members.next_key()? {
            match member {
                Member::Timestamp => timestamp = members.next_value()?,
                Member::Message => length = members.next_value_seed(Message(&mut found.events))?,
                Member::Other => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        found.count += 1;
        let whole = timestamp.is_some_and(|time| time >= 0) && length.is_some_and(|one| one > 0);
        if !whole && found.lacking.is_none() {
            found.lacking = Some(Lacking {
                event: found.count,
                timestamp,
                message: length.is_some(),
                empty: length == Some(0),
            });
        }
        found.events.push(timestamp.unwrap_or(0));
        Ok(())
    }
}

/// Reads a message into the events and gives its length; none if it is null.
struct Message<'a>(&'a mut Events);

impl<'de> DeserializeSeed<'de> for Message<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Message<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        self.0.set_message("");
        Ok(None)
    }

    fn visit_str<E>(self, message: &str) -> Result<Self::Value, E> {
        self.0.set_message(message);
        Ok(Some(message.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn events(times: &[i64]) -> Events {
        let mut events = Events::default();
        for time in times {
            events.set_message("m");
            events.push(*time);
        }
        events
    }

    #[test]
    fn events_out_of_time_are_sorted_out() {
        let now = 100 * DAY;
        let hours = |hours: i64| now + hours * 60 * 60 * 1000;
        let rejected = |too_new, too_old, expired| Rejected {
            too_new_log_event_start_index: too_new,
            too_old_log_event_end_index: too_old,
            expired_log_event_end_index: expired,
        };
        for (times, cutoff, accepted, expected) in [
            (vec![now], None, 0..1, rejected(None, None, None)),
            // The edges are still inside.
            (
                vec![now - 14 * DAY, hours(2)],
                None,
                0..2,
                rejected(None, None, None),
            ),
            (
                vec![now - 14 * DAY - 1, now, hours(2) + 1],
                None,
                1..2,
                rejected(Some(2), Some(1), None),
            ),
            (
                vec![now - 20 * DAY, now - 5 * DAY, now],
                Some(now - 3 * DAY),
                2..3,
                rejected(None, Some(1), Some(2)),
            ),
            (
                vec![hours(3), hours(4)],
                None,
                0..0,
                rejected(Some(0), None, None),
            ),
            (
                vec![now - 15 * DAY, hours(3)],
                None,
                1..1,
                rejected(Some(1), Some(1), None),
            ),
        ] {
            let sorted = sort_out(&events(&times), now, cutoff);
            assert_eq!(sorted, (accepted, expected), "{times:?}");
        }
    }

    #[test]
    fn members_come_in_any_order_and_the_last_one_counts() {
        let input: Input = parse(
            br#"{"logEvents":[{"message":"a\u00e9\n","timestamp":5},
                {"x":[{}],"timestamp":1,"timestamp":6,"message":"no","message":"b"}],"entity":{"a":1}}"#,
        )
        .unwrap();
        let found = input.log_events.unwrap();
        let read: Vec<(i64, &[u8])> = (0..2)
            .map(|index| (found.events.timestamp(index), found.events.message(index)))
            .collect();
        assert_eq!(read, [(5, "aé\n".as_bytes()), (6, b"b")]);
        assert!(found.lacking.is_none());
    }

    #[test]
    fn a_list_without_end_is_counted_and_not_kept() {
        let body = format!(r#"{{"logEvents":[{}{{}}]}}"#, "{},".repeat(100_000));
        let input: Input = parse(body.as_bytes()).unwrap();
        let found = input.log_events.unwrap();
        assert_eq!(
            (found.count, found.events.len()),
            (100_001, limits::EVENTS_PER_BATCH)
        );
    }
}
