//! Kinesis's PutRecords.

use std::borrow::Cow;

use serde::Deserialize;

use super::faults::Faults;
use super::firehose::Record;
use super::state::State;
use crate::tally::Verdict;

/// The limits of a request: records, bytes of one record, bytes of all of them with their keys.
const RECORDS_MAX: usize = 500;
const RECORD_MAX: usize = 10 << 20;
const REQUEST_MAX: usize = 10 << 20;
const KEY_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input<'a> {
    #[serde(borrow)]
    records: Vec<Keyed<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keyed<'a> {
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
    #[serde(borrow, flatten)]
    record: Record<'a>,
}

/// Takes a request; an error says which rule it breaks.
pub fn put_records(
    state: &mut State,
    faults: &Faults,
    body: &[u8],
    verdict: Verdict,
) -> Result<Vec<u8>, String> {
    let input: Input<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut scratch = std::mem::take(&mut state.scratch);
    check(&input, &mut scratch)?;
    let mut answers = Vec::with_capacity(input.records.len() * 120);
    let mut failed = 0;
    for keyed in &input.records {
        answers.extend_from_slice(if answers.is_empty() { b"" } else { b"," });
        if faults.refuses_record(&mut state.random) {
            failed += 1;
            answers.extend_from_slice(
                br#"{"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"Rate exceeded for shard shardId-000000000000 in stream bench under account 123456789012."}"#,
            );
            continue;
        }
        keyed.record.decode(RECORD_MAX, &mut scratch)?;
        state.accept(&scratch, verdict);
        answers.extend_from_slice(br#"{"SequenceNumber":""#);
        state.ids.sequence_number(&mut answers);
        answers.extend_from_slice(br#"","ShardId":"shardId-000000000000"}"#);
    }
    state.counts.refused_records += failed;
    state.scratch = scratch;
    let mut out = format!(r#"{{"FailedRecordCount":{failed},"Records":["#).into_bytes();
    out.extend_from_slice(&answers);
    out.extend_from_slice(b"]}");
    Ok(out)
}

fn check(input: &Input<'_>, scratch: &mut Vec<u8>) -> Result<(), String> {
    let records = input.records.len();
    if !(1..=RECORDS_MAX).contains(&records) {
        return Err(format!("{records} records, allowed are 1 to {RECORDS_MAX}"));
    }
    let mut bytes = 0;
    for keyed in &input.records {
        let key = keyed.partition_key.chars().count();
        if !(1..=KEY_MAX).contains(&key) {
            return Err(format!(
                "a partition key has {key} characters, allowed are 1 to {KEY_MAX}"
            ));
        }
        keyed.record.decode(RECORD_MAX, scratch)?;
        bytes += scratch.len() + keyed.partition_key.len();
    }
    match bytes {
        0..=REQUEST_MAX => Ok(()),
        _ => Err(format!(
            "the records have {bytes} bytes, allowed are {REQUEST_MAX}"
        )),
    }
}
