//! Kinesis's PutRecords.

use std::borrow::Cow;

use serde::Deserialize;

use super::faults::Faults;
use super::firehose::Data;
use super::state::State;
use crate::tally::Verdict;

/// The limits of a request: records, bytes of one record, bytes of all of them with their keys.
const RECORDS_MAX: usize = 500;
const RECORD_MAX: usize = 10 << 20;
const REQUEST_MAX: usize = 10 << 20;
const KEY_MAX: usize = 256;
/// The verdict on a record that there was no throughput for.
const REFUSED: &[u8] = br#"{"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"Rate exceeded for shard shardId-000000000000 in stream bench under account 123456789012."}"#;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input<'a> {
    #[serde(borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
    #[serde(borrow)]
    data: Data<'a>,
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
    let ends = decode(&input, &mut scratch)?;
    let mut answers = Vec::with_capacity(input.records.len() * 120);
    let (mut failed, mut start) = (0, 0);
    for end in ends {
        answers.extend_from_slice(if answers.is_empty() { b"" } else { b"," });
        if faults.refuses_record(&mut state.random) {
            failed += 1;
            answers.extend_from_slice(REFUSED);
        } else {
            state.accept(&scratch[start..end], verdict);
            answers.extend_from_slice(br#"{"SequenceNumber":""#);
            state.ids.sequence_number(&mut answers);
            answers.extend_from_slice(br#"","ShardId":"shardId-000000000000"}"#);
        }
        start = end;
    }
    state.counts.refused_records += failed;
    state.scratch = scratch;
    let mut out = format!(r#"{{"FailedRecordCount":{failed},"Records":["#).into_bytes();
    out.extend_from_slice(&answers);
    out.extend_from_slice(b"]}");
    Ok(out)
}

/// Decodes every record into `into`: where each ends in it. Nothing is taken of a request that breaks a rule.
fn decode(input: &Input<'_>, into: &mut Vec<u8>) -> Result<Vec<usize>, String> {
    let records = input.records.len();
    if !(1..=RECORDS_MAX).contains(&records) {
        return Err(format!("{records} records, allowed are 1 to {RECORDS_MAX}"));
    }
    into.clear();
    let (mut ends, mut keys) = (Vec::with_capacity(records), 0);
    for record in &input.records {
        let key = record.partition_key.chars().count();
        if !(1..=KEY_MAX).contains(&key) {
            return Err(format!(
                "a partition key has {key} characters, allowed are 1 to {KEY_MAX}"
            ));
        }
        keys += record.partition_key.len();
        record.data.decode(RECORD_MAX, into)?;
        ends.push(into.len());
        if into.len() + keys > REQUEST_MAX {
            return Err(format!("the records have more than {REQUEST_MAX} bytes"));
        }
    }
    Ok(ends)
}
