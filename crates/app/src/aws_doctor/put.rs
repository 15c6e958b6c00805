//! One test record, sent by the operation that the output uses, so that the same permission is needed.

use std::time::{SystemTime, UNIX_EPOCH};

use aws::{CallError, Request};
use base64_simd::STANDARD;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::destination::{Bucket, Destination, LogGroup, STREAM_NAME_OF_TESTS};
use super::examination::Session;
use super::report::Finding;
use super::words::failure;

const CHECK: &str = "put";

/// Sends it, and says where it can be found.
pub async fn put(session: &Session) -> Finding {
    match &session.destination {
        Destination::DeliveryStream(name) => {
            let record = json!({"Data": STANDARD.encode_to_string(line(session))});
            let body = json!({"DeliveryStreamName": name, "Records": [record]});
            let result = session.call("Firehose_20150804.PutRecordBatch", body).await;
            record_put(
                result.map(|answer| answer["RequestResponses"][0].clone()),
                "firehose:PutRecordBatch",
                "RecordId",
            )
        }
        Destination::Stream(name) => {
            let data = STANDARD.encode_to_string(line(session));
            let record = json!({"Data": data, "PartitionKey": "flumen-doctor"});
            let body = json!({"StreamName": name, "Records": [record]});
            let result = session.call("Kinesis_20131202.PutRecords", body).await;
            record_put(
                result.map(|answer| answer["Records"][0].clone()),
                "kinesis:PutRecords",
                "SequenceNumber",
            )
        }
        Destination::LogGroup(group) => put_event(session, group).await,
        Destination::Bucket(bucket) => put_object(session, bucket).await,
    }
}

/// The record: a line of JSON.
fn line(session: &Session) -> String {
    let record = json!({
        "message": "test record of flumen aws doctor",
        "output": session.name,
        "time": jiff::Timestamp::now().to_string(),
    });
    format!("{record}\n")
}

/// The verdict of a service on the record: its id, or an error of its own.
fn record_put(verdict: Result<Value, CallError>, action: &str, id: &str) -> Finding {
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(error) => return failure(CHECK, &error, action),
    };
    if let Some(code) = verdict["ErrorCode"].as_str() {
        let message = verdict["ErrorMessage"].as_str().unwrap_or_default();
        return Finding::problem(CHECK, format!("the record was refused: {code}: {message}"))
            .advise("it may be for want of capacity: try again; the router would");
    }
    match verdict[id].as_str() {
        Some(value) => Finding::good(CHECK, format!("one record, {id} {}", shortened(value))),
        None => Finding::problem(CHECK, format!("the answer names no {id}"))
            .advise("is the endpoint the right one?"),
    }
}

/// Ids of Firehose have some 220 characters.
fn shortened(id: &str) -> String {
    match id.char_indices().nth(56) {
        Some((at, _)) => format!("{}…", &id[..at]),
        None => id.to_owned(),
    }
}

async fn put_event(session: &Session, group: &LogGroup) -> Finding {
    let LogGroup { name, stream, .. } = group;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = now.map_or(0, |now| now.as_millis() as u64);
    let event = json!({"timestamp": milliseconds, "message": line(session).trim_end()});
    let body = json!({"logGroupName": name, "logStreamName": stream, "logEvents": [event]});
    let mut result = session
        .call("Logs_20140328.PutLogEvents", body.clone())
        .await;
    let is_missing = matches!(&result, Err(CallError::Refused(error)) if error.code == "ResourceNotFoundException");
    if is_missing && !group.creates_streams && stream.ends_with(STREAM_NAME_OF_TESTS) {
        let why = "not tried: each tag has a stream of its own, and auto_create_stream is off";
        return Finding::skipped(CHECK, why);
    }
    if is_missing && !group.creates_streams {
        return Finding::problem(CHECK, format!("the stream {stream} does not exist"))
            .advise("create it, or set auto_create_stream on");
    }
    if is_missing {
        let stream = json!({"logGroupName": name, "logStreamName": stream});
        let created = session.call("Logs_20140328.CreateLogStream", stream).await;
        match created {
            Err(CallError::Refused(error)) if error.code == "ResourceAlreadyExistsException" => {}
            Err(error) => return failure(CHECK, &error, "logs:CreateLogStream"),
            Ok(_) => {}
        }
        result = session.call("Logs_20140328.PutLogEvents", body).await;
    }
    match result {
        Ok(answer) if answer["rejectedLogEventsInfo"].is_object() => {
            let rejected = &answer["rejectedLogEventsInfo"];
            Finding::problem(CHECK, format!("the event was rejected: {rejected}")).advise(
                "its time is too far off for the group: set the clock of this machine (NTP)",
            )
        }
        Ok(_) => Finding::good(CHECK, format!("one event in the stream {stream}")),
        Err(error) => failure(CHECK, &error, "logs:PutLogEvents"),
    }
}

async fn put_object(session: &Session, bucket: &Bucket) -> Finding {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let unique = now.map_or(0, |now| now.as_nanos());
    let key = format!("{}flumen-doctor-{unique}", bucket.prefix);
    let path = format!("/{}/{}", encoded(&bucket.name), encoded(&key));
    let target = match PathAndQuery::try_from(path) {
        Ok(target) => target,
        Err(error) => return Finding::problem(CHECK, error.to_string()),
    };
    let line = line(session);
    let mut request = Request::new(Method::PUT, target.clone(), line.as_bytes()).with_header(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    for (name, value) in &bucket.headers {
        let Ok(value) = HeaderValue::from_str(value) else {
            return Finding::problem(CHECK, format!("{name} '{value}' cannot be sent"));
        };
        request = request.with_header(HeaderName::from_static(name), value);
    }
    if let Err(error) = session.send(request).await {
        return failure(CHECK, &error, "s3:PutObject");
    }
    let place = format!("s3://{}/{key}", bucket.name);
    match session
        .send(Request::new(Method::DELETE, target, b""))
        .await
    {
        Ok(_) => Finding::good(CHECK, format!("one object, {place}, deleted again")),
        Err(error) => Finding::warning(CHECK, format!("one object, {place}, not deleted: {error}"))
            .advise("delete it yourself; delivery does not need s3:DeleteObject"),
    }
}

/// What stays as it is in paths of S3.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// A bucket or key in a path.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}
