//! What the service says of a request that it accepts.

use plugin::{Answer, Reason, RecordAnswer};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutLogEventsOutput {
    rejected_log_events_info: Option<RejectedLogEventsInfo>,
    rejected_entity_info: Option<RejectedEntityInfo>,
}

/// Indices into the events of the request. They may lie outside.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RejectedLogEventsInfo {
    /// The first one that is too new.
    too_new_log_event_start_index: Option<i64>,
    /// One behind the last one that is too old.
    too_old_log_event_end_index: Option<i64>,
    /// One behind the last one that is older than the group keeps events.
    expired_log_event_end_index: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RejectedEntityInfo {
    error_type: Option<String>,
}

/// An answer, read.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// What became of the events.
    pub answer: Answer,
    /// Why the entity was refused, if it was; the events are accepted all the same.
    pub entity_error: Option<String>,
}

/// Reads the body of an answer with status 200 to a request of `events` events. An empty body counts as success if the
/// answer `has_id`, which those of the service have (`x-amzn-requestid`); a body that is no JSON object does not.
pub fn read(body: &[u8], has_id: bool, events: u32) -> Verdict {
    let verdict = |answer| Verdict {
        answer,
        entity_error: None,
    };
    if body.is_empty() {
        return verdict(match has_id {
            true => Answer::Done,
            false => Answer::again("an empty answer that is not the service's"),
        });
    }
    let output: PutLogEventsOutput = match serde_json::from_slice(body) {
        Ok(output) => output,
        Err(error) => {
            return verdict(Answer::again(format!("the answer cannot be read: {error}")));
        }
    };
    let answer = match output.rejected_log_events_info {
        None => Answer::Done,
        Some(info) => rejected(&info, events),
    };
    let entity_error = output
        .rejected_entity_info
        .map(|info| info.error_type.unwrap_or_default());
    Verdict {
        answer,
        entity_error,
    }
}

fn rejected(info: &RejectedLogEventsInfo, events: u32) -> Answer {
    let index = |index: Option<i64>, without: u32| match index {
        None => without,
        Some(index) => u32::try_from(index.max(0)).map_or(events, |index| index.min(events)),
    };
    let old = index(info.too_old_log_event_end_index, 0);
    let expired = index(info.expired_log_event_end_index, 0).max(old);
    let new = index(info.too_new_log_event_start_index, events).max(expired);
    let kinds = [
        (0..old, "log_event_too_old", "older than 14 days"),
        (
            old..expired,
            "log_event_expired",
            "older than the group keeps events",
        ),
        (
            new..events,
            "log_event_too_new",
            "more than two hours in the future",
        ),
    ];
    let mut records = Vec::new();
    let mut why = Vec::new();
    for (range, reason, what) in kinds {
        if !range.is_empty() {
            why.push(format!("{} are {what}", range.len()));
        }
        records.extend(range.map(|index| (index, RecordAnswer::Never(Reason(reason)))));
    }
    if records.is_empty() {
        return Answer::Done;
    }
    Answer::Except {
        records,
        why: format!(
            "CloudWatch Logs rejects events, which are dropped: {}",
            why.join(", ")
        ),
        throttled: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reasons by index, `.` for none.
    fn reasons(info: &str) -> String {
        let body = format!(r#"{{"nextSequenceToken":"1","rejectedLogEventsInfo":{info}}}"#);
        let mut all = vec!['.'; 6];
        match read(body.as_bytes(), true, 6).answer {
            Answer::Done => {}
            Answer::Except {
                records, throttled, ..
            } => {
                assert!(!throttled);
                assert!(records.is_sorted_by(|a, b| a.0 < b.0));
                for (index, answer) in records {
                    all[index as usize] = match answer {
                        RecordAnswer::Never(Reason("log_event_too_old")) => 'o',
                        RecordAnswer::Never(Reason("log_event_expired")) => 'e',
                        RecordAnswer::Never(Reason("log_event_too_new")) => 'n',
                        other => panic!("{other:?}"),
                    };
                }
            }
            other => panic!("{other:?}"),
        }
        all.into_iter().collect()
    }

    #[test]
    fn fuzz_put_log_events_answers() {
        let all = r#"{"nextSequenceToken":"1","rejectedLogEventsInfo":{"tooOldLogEventEndIndex":1,
            "expiredLogEventEndIndex":3,"tooNewLogEventStartIndex":5},"rejectedEntityInfo":{"errorType":"InvalidEntity"}}"#;
        ::fuzz::Target::new("put_log_events_answers")
            .seeds([all, "{}", ""])
            .words([
                "-9223372036854775808",
                "null",
                "{}",
                "\"rejectedLogEventsInfo\":",
                "4294967296",
            ])
            .run(|body| {
                if let Answer::Except { records, .. } = read(body, true, 6).answer {
                    let numbers: Vec<u32> = records.iter().map(|(number, _)| *number).collect();
                    assert!(
                        numbers.is_sorted_by(|one, next| one < next),
                        "each event once"
                    );
                    assert!(!numbers.is_empty() && numbers.iter().all(|number| *number < 6));
                }
            });
    }

    #[test]
    fn rejected_events_are_named_by_reason() {
        let cases = [
            ("{}", "......"),
            (r#"{"tooOldLogEventEndIndex":2}"#, "oo...."),
            (r#"{"expiredLogEventEndIndex":1}"#, "e....."),
            (r#"{"tooNewLogEventStartIndex":4}"#, "....nn"),
            (r#"{"tooNewLogEventStartIndex":0}"#, "nnnnnn"),
            (
                r#"{"tooOldLogEventEndIndex":1,"expiredLogEventEndIndex":3,"tooNewLogEventStartIndex":5}"#,
                "oee..n",
            ),
            (
                r#"{"tooOldLogEventEndIndex":99,"expiredLogEventEndIndex":-3}"#,
                "oooooo",
            ),
            (
                r#"{"tooOldLogEventEndIndex":4,"tooNewLogEventStartIndex":2}"#,
                "oooonn",
            ),
        ];
        for (info, expected) in cases {
            assert_eq!(reasons(info), expected, "{info}");
        }
    }

    #[test]
    fn only_an_answer_of_the_service_is_a_success() {
        for body in ["", "{}", r#"{"nextSequenceToken":"49"}"#] {
            assert_eq!(
                read(body.as_bytes(), true, 1).answer,
                Answer::Done,
                "{body}"
            );
        }
        for body in ["<html>", "[1]", r#"{"rejectedLogEventsInfo":7}"#, "{\"next"] {
            let answer = read(body.as_bytes(), true, 1).answer;
            assert!(matches!(answer, Answer::Again { .. }), "{body}");
        }
        assert_eq!(read(b"{}", false, 1).answer, Answer::Done);
        assert!(matches!(read(b"", false, 1).answer, Answer::Again { .. }));
        let verdict = read(
            br#"{"rejectedEntityInfo":{"errorType":"InvalidAttributes"}}"#,
            true,
            1,
        );
        assert_eq!(verdict.answer, Answer::Done);
        assert_eq!(verdict.entity_error.as_deref(), Some("InvalidAttributes"));
    }
}
