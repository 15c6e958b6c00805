//! What the service says of each record.

use memchr::memmem;
use plugin::{Answer, RecordAnswer};
use serde::Deserialize;

/// The parts of an answer that matter. Strings borrow from the body.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordBatchOutput<'a> {
    failed_put_count: u32,
    #[serde(borrow)]
    request_responses: Vec<RecordResponse<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordResponse<'a> {
    #[serde(borrow)]
    error_code: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    error_message: Option<std::borrow::Cow<'a, str>>,
}

/// Reads the body of an answer with status 200 to a request of `records` records.
///
/// An answer without failures is recognised without reading its records, each of which has an id of some 220 characters.
/// An empty body counts as success, as upstream; one that says nothing readable about failures does not.
pub fn read(body: &[u8], records: u32) -> Answer {
    if body.is_empty() || failed_put_count(body) == Some(0) {
        return Answer::Done;
    }
    let output: PutRecordBatchOutput<'_> = match serde_json::from_slice(body) {
        Ok(output) => output,
        Err(error) => {
            return Answer::again(format!("the answer cannot be read: {error}"));
        }
    };
    if output.request_responses.len() != records as usize {
        let count = output.request_responses.len();
        let why = format!("the answer is about {count} records instead of {records}");
        return Answer::again(why);
    }
    let failed: Vec<(u32, &RecordResponse<'_>)> = (0..)
        .zip(&output.request_responses)
        .filter(|(_, response)| response.error_code.is_some())
        .collect();
    let Some((_, first)) = failed.first() else {
        let count = output.failed_put_count;
        let why = format!("the answer counts {count} failures and names none");
        return Answer::again(why);
    };
    let code = first.error_code.as_deref().unwrap_or_default();
    let why = format!(
        "{code}: {}",
        first.error_message.as_deref().unwrap_or_default()
    );
    // Records are refused one by one only for want of capacity (ServiceUnavailableException, InternalFailure).
    Answer::Except {
        records: failed
            .into_iter()
            .map(|(index, _)| (index, RecordAnswer::Again))
            .collect(),
        why,
        throttled: true,
    }
}

/// The number behind the key `FailedPutCount`, found without parsing what stands before it: inside JSON a quoted name
/// followed by a colon is a key.
fn failed_put_count(body: &[u8]) -> Option<u32> {
    const KEY: &[u8] = b"\"FailedPutCount\"";
    let after = body[memmem::find(body, KEY)? + KEY.len()..].trim_ascii_start();
    let number = after.strip_prefix(b":")?.trim_ascii_start();
    let digits = number
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(&number[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_record_by_record() {
        let again = |index| (index, RecordAnswer::Again);
        let partial = br#"{"FailedPutCount":2,"Encrypted":false,"RequestResponses":[
            {"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow down."},
            {"RecordId":"abc"},{"ErrorCode":"InternalFailure"}]}"#;
        let why = "ServiceUnavailableException: Slow down.".to_owned();
        assert_eq!(
            read(partial, 3),
            Answer::Except {
                records: vec![again(0), again(2)],
                why,
                throttled: true,
            }
        );
        for done in [
            &b""[..],
            b"{\"RequestResponses\":[{\"RecordId\":\"x\"}],\"FailedPutCount\" : 0}",
        ] {
            assert_eq!(read(done, 1), Answer::Done);
        }
    }

    #[test]
    fn an_answer_that_cannot_be_trusted_is_no_success() {
        let bodies: [&[u8]; 5] = [
            b"<html>",
            b"{}",
            b"{\"FailedPutCount\":1,\"RequestResponses\":[]}",
            b"{\"FailedPutCount\":1,\"RequestResponses\":[{\"RecordId\":\"x\"}]}",
            b"{\"FailedPutCount\":\"0\"}",
        ];
        for body in bodies {
            assert!(
                matches!(read(body, 1), Answer::Again { .. }),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }
}
