//! PutRecord and PutRecordBatch: the way every record takes into the lake.
//!
//! Made for full batches: the body is read once, each record's base64 goes straight into the bytes that are appended to
//! the stream's buffer, and the answer is written without a tree in between.

use std::borrow::Cow;

use http::Response;
use s3s::Body;
use serde::Deserialize;

use super::{check_name, find, not_found, record_id};
use crate::aws_json::{ApiError, AtMost, answer_bytes};
use crate::lake::Inner;
use crate::limits;
use crate::provenance::Provenance;
use crate::streams::{AppendError, RecordBatch, Refusal, Violations};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordInput<'a> {
    #[serde(borrow)]
    delivery_stream_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    record: Option<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordBatchInput<'a> {
    #[serde(borrow)]
    delivery_stream_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    records: Option<Records<'a>>,
}

#[derive(Deserialize)]
struct Record<'a> {
    /// Base64; borrowed from the body unless it has escapes.
    #[serde(rename = "Data", borrow)]
    data: Option<Text<'a>>,
}

/// A text that is borrowed where it can be; inside an `Option`, `Cow` alone would always be copied.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The records of a batch.
type Records<'a> = AtMost<Record<'a>, { limits::RECORDS_PER_BATCH }>;

/// `PutRecord`.
pub async fn put_record(
    lake: &Inner,
    body: &[u8],
    provenance: Option<&Provenance>,
) -> Result<Response<Body>, ApiError> {
    let input: PutRecordInput<'_> = parse(body)?;
    let mut violations = Violations::default();
    check_name(input.delivery_stream_name.as_deref(), &mut violations);
    if input.record.is_none() {
        violations.add_missing("record");
    }
    violations.into_result()?;
    let records: Vec<Record<'_>> = input.record.into_iter().collect();
    put(
        lake,
        input.delivery_stream_name.as_deref().unwrap_or_default(),
        (&records, provenance),
        |_| "record.data".to_owned(),
    )
    .await?;
    let id = record_id::generate(1);
    Ok(answer_bytes(
        format!(r#"{{"RecordId":"{id}","Encrypted":false}}"#).into(),
    ))
}

/// `PutRecordBatch`. Records are taken all or none; a single one never fails alone.
pub async fn put_record_batch(
    lake: &Inner,
    body: &[u8],
    provenance: Option<&Provenance>,
) -> Result<Response<Body>, ApiError> {
    let input: PutRecordBatchInput<'_> = parse(body)?;
    let mut violations = Violations::default();
    check_name(input.delivery_stream_name.as_deref(), &mut violations);
    match input.records.as_ref().map(|records| records.count) {
        None => violations.add_missing("records"),
        Some(0) => violations.add_unshown(
            "records",
            "Member must have length greater than or equal to 1",
        ),
        Some(count) if count > limits::RECORDS_PER_BATCH => {
            let constraint = format!(
                "Member must have length less than or equal to {}",
                limits::RECORDS_PER_BATCH
            );
            violations.add_unshown("records", &constraint);
        }
        Some(_) => {}
    }
    violations.into_result()?;
    let records = input
        .records
        .map(|records| records.items)
        .unwrap_or_default();
    let path = |index: usize| format!("records.{}.member.data", index + 1);
    put(
        lake,
        input.delivery_stream_name.as_deref().unwrap_or_default(),
        (&records, provenance),
        path,
    )
    .await?;
    Ok(answer_bytes(batch_answer(records.len()).into()))
}

/// Keeps `records`; `path` names a record's data in messages.
async fn put(
    lake: &Inner,
    name: &str,
    (records, provenance): (&[Record<'_>], Option<&Provenance>),
    path: impl Fn(usize) -> String,
) -> Result<(), ApiError> {
    let stream = find(lake, name)?;
    if !lake.disk.is_left() {
        return Err(ApiError::no_room());
    }
    let batch = decode(records, stream.destination.delimited, path)?;
    let appended = stream.append(batch, provenance).await;
    appended.map_err(|error| match error {
        AppendError::Deleted => not_found(&lake.options, name),
        AppendError::Stopped => ApiError::unavailable("The lake is going down."),
        AppendError::Fenced(fenced) => fenced.into(),
        AppendError::Io(error) => {
            lake.options
                .logger
                .warn(format_args!("{name}: records were refused: {error}"));
            ApiError::unavailable(format!("The records cannot be kept: {error}"))
        }
    })
}

fn decode(
    records: &[Record<'_>],
    delimited: bool,
    path: impl Fn(usize) -> String,
) -> Result<RecordBatch, ApiError> {
    let capacity = records
        .iter()
        .map(|record| record.text().len() / 4 * 3 + 1)
        .sum();
    let mut batch = RecordBatch::new(delimited, capacity);
    let mut violations = Violations::default();
    for (index, record) in records.iter().enumerate() {
        if record.data.is_none() {
            violations.add_missing(&path(index));
        }
        let size = batch
            .push(|out| base64_simd::STANDARD.decode_append(record.text().as_bytes(), out))
            .map_err(|_| {
                ApiError::serialization(format!("the value at '{}' is not base64", path(index)))
            })?;
        if size > limits::RECORD_BYTES {
            let constraint = format!(
                "Member must have length less than or equal to {}",
                limits::RECORD_BYTES
            );
            violations.add_unshown(&path(index), &constraint);
        }
    }
    violations.into_result()?;
    if batch.data_bytes() > limits::BATCH_BYTES as u64 {
        let message = format!(
            "Records size exceeds {} MB limit",
            limits::BATCH_BYTES / 1024 / 1024
        );
        return Err(Refusal::argument(message).into());
    }
    Ok(batch)
}

impl Record<'_> {
    fn text(&self) -> &str {
        self.data.as_ref().map_or("", |data| &data.0)
    }
}

/// `{"FailedPutCount":0,"Encrypted":false,"RequestResponses":[{"RecordId":"…"},…]}`.
fn batch_answer(count: usize) -> String {
    const ID: usize = limits::RECORD_ID_CHARS;
    let ids = record_id::generate(count);
    let mut json = String::with_capacity(64 + count * (ID + 16));
    json.push_str(r#"{"FailedPutCount":0,"Encrypted":false,"RequestResponses":["#);
    for index in 0..count {
        json.push_str(if index == 0 {
            r#"{"RecordId":""#
        } else {
            r#",{"RecordId":""#
        });
        json.push_str(&ids[index * ID..(index + 1) * ID]);
        json.push_str("\"}");
    }
    json.push_str("]}");
    json
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::serialization(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_borrowed_from_the_body() {
        let input: PutRecordBatchInput<'_> =
            parse(br#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="},{"Data":"Yi8\/"}]}"#)
                .unwrap();
        let records = input.records.unwrap().items;
        assert!(matches!(records[0].data, Some(Text(Cow::Borrowed("YQ==")))));
        assert!(matches!(&records[1].data, Some(Text(Cow::Owned(text))) if text == "Yi8/"));
    }

    #[test]
    fn a_list_without_end_is_counted_and_not_kept() {
        let body = format!(r#"{{"Records":[{}{{}}]}}"#, "{},".repeat(100_000));
        let input: PutRecordBatchInput<'_> = parse(body.as_bytes()).unwrap();
        let records = input.records.unwrap();
        assert_eq!(
            (records.count, records.items.len()),
            (100_001, limits::RECORDS_PER_BATCH)
        );
    }

    #[test]
    fn answers_are_json_with_one_id_per_record() {
        for count in [1, 2, 500] {
            let answer: serde_json::Value = serde_json::from_str(&batch_answer(count)).unwrap();
            assert_eq!(answer["FailedPutCount"], 0);
            let responses = answer["RequestResponses"].as_array().unwrap();
            assert_eq!(responses.len(), count);
            assert!(
                responses
                    .iter()
                    .all(|one| one["RecordId"].as_str().unwrap().len() == limits::RECORD_ID_CHARS)
            );
        }
    }
}
