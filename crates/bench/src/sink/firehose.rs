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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

/// The bytes of a record in base64, of Firehose or of Kinesis; borrowed unless there are escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Data<'a>(#[serde(borrow)] Cow<'a, str>);

impl Data<'_> {
    /// Appends the bytes to `into`. An error says which rule is broken.
    pub fn decode(&self, limit: usize, into: &mut Vec<u8>) -> Result<(), String> {
        let start = into.len();
        base64_simd::STANDARD
            .decode_append(self.0.as_bytes(), into)
            .map_err(|_| "a record is not base64".to_owned())?;
        match into.len() - start {
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
    let mut scratch = std::mem::take(&mut state.scratch);
    let ends = decode(&input, &mut scratch)?;
    if let Some(poison) = &faults.poison
        && memchr::memmem::find(&scratch, poison.as_bytes()).is_some()
    {
        return Err(format!("a record contains {poison}"));
    }
    let mut answers = Vec::with_capacity(input.records.len() * 240);
    let (mut failed, mut start) = (0, 0);
    for end in ends {
        answers.extend_from_slice(if answers.is_empty() { b"" } else { b"," });
        if faults.refuses_record(&mut state.random) {
            failed += 1;
            answers.extend_from_slice(
                br#"{"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow down."}"#,
            );
        } else {
            state.accept(&scratch[start..end], verdict);
            answers.extend_from_slice(br#"{"RecordId":""#);
            state.ids.firehose(&mut answers);
            answers.extend_from_slice(b"\"}");
        }
        start = end;
    }
    state.counts.refused_records += failed;
    state.scratch = scratch;
    let mut out = format!(r#"{{"FailedPutCount":{failed},"Encrypted":false,"RequestResponses":["#)
        .into_bytes();
    out.extend_from_slice(&answers);
    out.extend_from_slice(b"]}");
    Ok(out)
}

/// Decodes every record into `into`: where each ends in it. Nothing is taken of a request that breaks a rule.
fn decode(input: &Input<'_>, into: &mut Vec<u8>) -> Result<Vec<usize>, String> {
    check(input)?;
    into.clear();
    let mut ends = Vec::with_capacity(input.records.len());
    for record in &input.records {
        record.data.decode(RECORD_MAX, into)?;
        ends.push(into.len());
        if into.len() > REQUEST_MAX {
            return Err(format!("the records have more than {REQUEST_MAX} bytes"));
        }
    }
    Ok(ends)
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
