//! What the service says of each entry.

use std::borrow::Cow;

use memchr::memmem;
use plugin::{Answer, RecordAnswer, Request};
use serde::Deserialize;

use super::entry::Entries;

/// The operation that is answered: which key counts the failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Firehose.
    PutRecordBatch,
    /// Kinesis.
    PutRecords,
}

impl Operation {
    fn count_key(self) -> &'static [u8] {
        match self {
            Operation::PutRecordBatch => b"\"FailedPutCount\"",
            Operation::PutRecords => b"\"FailedRecordCount\"",
        }
    }

    /// Tells by the beginning of an answer that nothing has failed, for which [`read`] needs no more of it.
    pub fn enough(self) -> aws::Enough {
        match self {
            Operation::PutRecordBatch => |body| says_none(Operation::PutRecordBatch, body),
            Operation::PutRecords => |body| says_none(Operation::PutRecords, body),
        }
    }
}

/// The parts of an answer that matter, in the words of both operations. Strings borrow from the body.
#[derive(Deserialize)]
struct Output<'a> {
    #[serde(rename = "FailedPutCount", alias = "FailedRecordCount")]
    failed: u32,
    #[serde(borrow, rename = "RequestResponses", alias = "Records")]
    entries: Vec<EntryResponse<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EntryResponse<'a> {
    #[serde(borrow)]
    error_code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error_message: Option<Cow<'a, str>>,
}

/// The one refusal of an entry that is not for want of capacity.
const INTERNAL_FAILURE: &str = "InternalFailure";

/// Reads the body of an answer with status 200 to `request`.
///
/// An answer without failures is recognised without reading its entries, each of which has an id of some 220 characters.
/// An empty body counts as success, as upstream; one that says nothing readable about failures does not.
pub fn read(operation: Operation, body: &[u8], request: &Request) -> Answer {
    if body.is_empty() || failures(operation, body) == Some(0) {
        return Answer::Done;
    }
    let output: Output<'_> = match serde_json::from_slice(body) {
        Ok(output) => output,
        Err(error) => {
            return Answer::again(format!("the answer cannot be read: {error}"));
        }
    };
    let (count, expected) = (output.entries.len(), Entries::count(request));
    if count != expected as usize {
        let why = format!("the answer is about {count} records instead of {expected}");
        return Answer::again(why);
    }
    except(&output, request)
}

fn except(output: &Output<'_>, request: &Request) -> Answer {
    let failed = || {
        let responses = (0..).zip(&output.entries);
        responses.filter_map(|(index, entry)| Some((index, entry, entry.error_code.as_deref()?)))
    };
    let Some((_, first, code)) = failed().next() else {
        let count = output.failed;
        let why = format!("the answer counts {count} failures and names none");
        return Answer::again(why);
    };
    let message = first.error_message.as_deref().unwrap_or_default();
    Answer::Except {
        why: format!("{code}: {message}"),
        records: failed()
            .flat_map(|(index, ..)| Entries::records(request, index))
            .map(|record| (record, RecordAnswer::Again))
            .collect(),
        // A shard that has too much to do holds up its own lane, which is slow enough; the others keep their pace.
        throttled: request.lane.is_none() && failed().any(|(.., code)| code != INTERNAL_FAILURE),
    }
}

/// Whether the count of the failures is in this beginning of an answer as a whole, and zero.
fn says_none(operation: Operation, body: &[u8]) -> bool {
    // Half of a number may look like another one.
    let is_whole = body.last().is_some_and(|byte| !byte.is_ascii_digit());
    is_whole && failures(operation, body) == Some(0)
}

/// The number behind the key that counts the failures, found without parsing what stands before it: inside JSON a quoted
/// name followed by a colon is a key.
fn failures(operation: Operation, body: &[u8]) -> Option<u32> {
    let key = operation.count_key();
    let after = body[memmem::find(body, key)? + key.len()..].trim_ascii_start();
    let number = after.strip_prefix(b":")?.trim_ascii_start();
    let digits = number
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(&number[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use plugin::{DeliveryId, Parts};

    use super::*;

    const FIREHOSE: Operation = Operation::PutRecordBatch;
    const KINESIS: Operation = Operation::PutRecords;

    /// A request of so many records; with `ends`, of entries that stand for several.
    fn request(records: u32, ends: &[u32]) -> Request {
        let mut parts = Parts::default();
        (0..records).for_each(|record| parts.push(DeliveryId(0), record));
        let mut entries = Entries::default();
        ends.iter().for_each(|end| entries.push(*end));
        Request {
            body: Vec::new().into(),
            parts,
            lane: None,
            note: (!ends.is_empty()).then(|| entries.take()),
            provenance: None,
        }
    }

    fn except(records: &[u32], why: &str, throttled: bool) -> Answer {
        Answer::Except {
            records: records
                .iter()
                .map(|record| (*record, RecordAnswer::Again))
                .collect(),
            why: why.to_owned(),
            throttled,
        }
    }

    #[test]
    fn fuzz_put_records_answers() {
        let mixed = r#"{"FailedPutCount":2,"Encrypted":false,"RequestResponses":[{"ErrorCode":"ServiceUnavailableException",
            "ErrorMessage":"Slow down."},{"RecordId":"abc"},{"ErrorCode":"InternalFailure"}]}"#;
        let streams = r#"{"FailedRecordCount":1,"Records":[{"SequenceNumber":"1","ShardId":"s"},{"ErrorCode":
            "ProvisionedThroughputExceededException","ErrorMessage":"x"},{"SequenceNumber":"2"}]}"#;
        let good = r#"{"FailedPutCount":0,"RequestResponses":[{"RecordId":"a"},{"RecordId":"b"},{"RecordId":"c"}]}"#;
        let requests = [request(3, &[]), request(6, &[2, 3, 6])];
        ::fuzz::Target::new("put_records_answers")
            .seeds([mixed, streams, good])
            .words([
                "\"FailedPutCount\":",
                "\"FailedRecordCount\":0",
                "null",
                "[]",
                "{}",
                "\\u0000",
                "4294967296",
            ])
            .run(|body| {
                for (operation, request) in [FIREHOSE, KINESIS]
                    .into_iter()
                    .flat_map(|operation| requests.iter().map(move |request| (operation, request)))
                {
                    if let Answer::Except { records, .. } = read(operation, body, request) {
                        let numbers: Vec<u32> = records.iter().map(|(number, _)| *number).collect();
                        let all = request.parts.len();
                        assert!(
                            numbers.is_sorted_by(|one, next| one < next),
                            "each record once"
                        );
                        assert!(!numbers.is_empty() && numbers.iter().all(|number| *number < all));
                    }
                }
            });
    }

    #[test]
    fn answers_are_read_record_by_record() {
        let partial = br#"{"FailedPutCount":2,"Encrypted":false,"RequestResponses":[
            {"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow down."},
            {"RecordId":"abc"},{"ErrorCode":"InternalFailure"}]}"#;
        let why = "ServiceUnavailableException: Slow down.";
        assert_eq!(
            read(FIREHOSE, partial, &request(3, &[])),
            except(&[0, 2], why, true)
        );
        for done in [
            &b""[..],
            b"{\"RequestResponses\":[{\"RecordId\":\"x\"}],\"FailedPutCount\" : 0}",
        ] {
            assert_eq!(read(FIREHOSE, done, &request(1, &[])), Answer::Done);
        }
    }

    #[test]
    fn kinesis_has_words_of_its_own() {
        let done = br#"{"FailedRecordCount":0,"Records":[{"SequenceNumber":"4","ShardId":"s"}]}"#;
        assert_eq!(read(KINESIS, done, &request(1, &[])), Answer::Done);
        let partial = br#"{"EncryptionType":"KMS","FailedRecordCount":1,"Records":[
            {"SequenceNumber":"4","ShardId":"s","ErrorCode":null},
            {"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"Rate exceeded"}]}"#;
        let why = "ProvisionedThroughputExceededException: Rate exceeded";
        let mut request = request(2, &[]);
        assert_eq!(read(KINESIS, partial, &request), except(&[1], why, true));
        request.lane = Some(3);
        assert_eq!(
            read(KINESIS, partial, &request),
            except(&[1], why, false),
            "a shard holds up its own lane only"
        );
    }

    #[test]
    fn a_beginning_is_enough_if_it_counts_no_failures() {
        let good =
            br#"{"Encrypted":false,"FailedPutCount":0,"RequestResponses":[{"RecordId":"a"}]}"#;
        let end = good.len() - br#","RequestResponses":[{"RecordId":"a"}]}"#.len();
        for cut in 0..good.len() {
            let is_enough = FIREHOSE.enough()(&good[..cut]);
            assert_eq!(is_enough, cut > end, "{cut}");
            if is_enough {
                assert_eq!(read(FIREHOSE, &good[..cut], &request(1, &[])), Answer::Done);
            }
        }
        for other in [
            &br#"{"FailedPutCount":10,"RequestResponses":["#[..],
            br#"{"FailedPutCount":null,"RequestResponses":["#,
            br#"{"FailedRecordCount":0,"Records":["#,
            br#"{"RequestResponses":[{"RecordId":"#,
        ] {
            assert!(!FIREHOSE.enough()(other));
        }
        assert!(KINESIS.enough()(br#"{"FailedRecordCount":0,"Records":[{"#));
    }

    #[test]
    fn only_want_of_capacity_is_throttling() {
        let failure = br#"{"FailedRecordCount":1,"Records":[{"ErrorCode":"InternalFailure","ErrorMessage":"Oh."}]}"#;
        assert_eq!(
            read(KINESIS, failure, &request(1, &[])),
            except(&[0], "InternalFailure: Oh.", false)
        );
    }

    #[test]
    fn a_refused_entry_is_all_of_its_records() {
        let partial = br#"{"FailedPutCount":2,"RequestResponses":[
            {"RecordId":"a"},{"ErrorCode":"InternalFailure"},{"RecordId":"b"},{"ErrorCode":"InternalFailure"}]}"#;
        assert_eq!(
            read(FIREHOSE, partial, &request(9, &[2, 5, 8, 9])),
            except(&[2, 3, 4, 8], "InternalFailure: ", false)
        );
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
                matches!(read(FIREHOSE, body, &request(1, &[])), Answer::Again { .. }),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }
}
