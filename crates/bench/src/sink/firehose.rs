//! Firehose's PutRecordBatch.

use std::borrow::Cow;

use serde::Deserialize;

use super::faults::Faults;
use super::state::State;
use crate::tally::Verdict;

/// The limits of a request: records, bytes of one record, bytes of all of them.
const RECORDS_MAX: usize = 500;
const RECORD_MAX: usize = 1_024_000;
const REQUEST_MAX: usize = 4 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input<'a> {
    #[serde(borrow)]
    delivery_stream_name: Cow<'a, str>,
    #[serde(borrow)]
    records: Vec<Record<'a>>,
}

/// A record of Firehose, and of Kinesis too.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record<'a> {
    #[serde(borrow)]
    data: Text<'a>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Record<'_> {
    /// Decodes it into `into`. An error says which rule is broken.
    pub fn decode(&self, limit: usize, into: &mut Vec<u8>) -> Result<(), String> {
        into.clear();
        base64_simd::STANDARD
            .decode_append(self.data.0.as_bytes(), into)
            .map_err(|_| "a record is not base64".to_owned())?;
        match into.len() {
            len if len > limit => Err(format!("a record has {len} bytes, allowed are {limit}")),
            _ => Ok(()),
        }
    }
}

/// Takes a request; an error says which rule it breaks.
pub fn put_record_batch(
    state: &mut State,
    faults: &Faults,
    body: &[u8],
    verdict: Verdict,
) -> Result<Vec<u8>, String> {
    let input: Input<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    check(&input)?;
    let mut out = Vec::with_capacity(64 + input.records.len() * 240);
    let mut answers = Vec::with_capacity(out.capacity());
    let mut failed = 0;
    let mut scratch = std::mem::take(&mut state.scratch);
    let mut bytes = 0;
    for record in &input.records {
        record.decode(RECORD_MAX, &mut scratch)?;
        bytes += scratch.len();
        if bytes > REQUEST_MAX {
            return Err(format!("the records have more than {REQUEST_MAX} bytes"));
        }
    }
    for record in &input.records {
        answers.extend_from_slice(if answers.is_empty() { b"" } else { b"," });
        if faults.refuses_record(&mut state.random) {
            failed += 1;
            answers.extend_from_slice(
                br#"{"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow down."}"#,
            );
            continue;
        }
        record.decode(RECORD_MAX, &mut scratch)?;
        state.accept(&scratch, verdict);
        answers.extend_from_slice(br#"{"RecordId":""#);
        state.ids.firehose(&mut answers);
        answers.extend_from_slice(b"\"}");
    }
    state.counts.refused_records += failed;
    state.scratch = scratch;
    out.extend_from_slice(
        format!(r#"{{"FailedPutCount":{failed},"Encrypted":false,"RequestResponses":["#).as_bytes(),
    );
    out.extend_from_slice(&answers);
    out.extend_from_slice(b"]}");
    Ok(out)
}

fn check(input: &Input<'_>) -> Result<(), String> {
    let records = input.records.len();
    if input.delivery_stream_name.is_empty() {
        return Err("DeliveryStreamName is empty".to_owned());
    }
    match records {
        1..=RECORDS_MAX => Ok(()),
        _ => Err(format!("{records} records, allowed are 1 to {RECORDS_MAX}")),
    }
}
