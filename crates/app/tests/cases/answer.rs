//! What Firehose, Kinesis, CloudWatch Logs and S3 answer when all is well.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::request::Request;

/// What CloudWatch Logs remembers: which groups are not there, and which streams are.
#[derive(Default)]
pub struct LogGroups {
    missing: Vec<String>,
    streams: BTreeSet<(String, String)>,
}

/// An answer, without what every answer has.
pub struct Answer {
    /// 200, or what went wrong.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    fn new(status: u16, body: String) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body,
        }
    }

    fn json(status: u16, body: &Value) -> Answer {
        Answer::new(status, body.to_string())
    }

    fn with(mut self, name: &'static str, value: &str) -> Answer {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// What is answered to `request`; what it creates is there from then on.
pub fn answer(request: &Request, groups: &mut LogGroups) -> Answer {
    let Some((service, operation)) = request.operation() else {
        return of_s3(request);
    };
    let Ok(body) = request.json() else {
        return error("SerializationException", "the request is no JSON");
    };
    match (service, operation) {
        ("Firehose_20150804", "PutRecordBatch") => of_firehose(&body),
        ("Kinesis_20131202", "PutRecords") => of_kinesis(&body),
        ("Logs_20140328", operation) => groups.answer(operation, &body),
        (_, operation) => error("UnknownOperationException", operation),
    }
}

/// The most records of a request.
const RECORDS: usize = 500;

fn of_firehose(body: &Value) -> Answer {
    if records(body) > RECORDS {
        return error("ValidationException", "more than 500 records");
    }
    let entries: Vec<Value> = (0..records(body))
        .map(|index| json!({"RecordId": format!("record-{index}")}))
        .collect();
    Answer::json(
        200,
        &json!({"FailedPutCount": 0, "Encrypted": false, "RequestResponses": entries}),
    )
}

fn of_kinesis(body: &Value) -> Answer {
    if records(body) > RECORDS {
        return error("ValidationException", "more than 500 records");
    }
    let entries: Vec<Value> = (0..records(body))
        .map(
            |index| json!({"SequenceNumber": index.to_string(), "ShardId": "shardId-000000000000"}),
        )
        .collect();
    Answer::json(
        200,
        &json!({"FailedRecordCount": 0, "EncryptionType": "NONE", "Records": entries}),
    )
}

fn records(body: &Value) -> usize {
    body["Records"].as_array().map_or(0, Vec::len)
}

impl LogGroups {
    /// Every group is there but `missing`, and no stream.
    pub fn without(missing: &[String]) -> LogGroups {
        LogGroups {
            missing: missing.to_vec(),
            ..LogGroups::default()
        }
    }

    fn answer(&mut self, operation: &str, body: &Value) -> Answer {
        let name = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let (group, stream) = (name("logGroupName"), name("logStreamName"));
        let not_found = "ResourceNotFoundException";
        match operation {
            "CreateLogGroup" => self.missing.retain(|missing| *missing != group),
            _ if self.missing.contains(&group) => {
                return error(not_found, "The specified log group does not exist.");
            }
            "CreateLogStream" => {
                if !self.streams.insert((group, stream)) {
                    let message = "The specified log stream already exists";
                    return error("ResourceAlreadyExistsException", message);
                }
            }
            "PutLogEvents" if !self.streams.contains(&(group, stream)) => {
                return error(not_found, "The specified log stream does not exist.");
            }
            "PutLogEvents" => return of_events(body),
            "PutRetentionPolicy" => {}
            other => return error("UnknownOperationException", other),
        }
        Answer::new(200, String::new())
    }
}

/// The service wants the events of a request in the order of their times, and all of one day.
fn of_events(body: &Value) -> Answer {
    let events = body["logEvents"].as_array().into_iter().flatten();
    let times: Vec<i64> = events
        .filter_map(|event| event["timestamp"].as_i64())
        .collect();
    let (first, last) = (times.first(), times.last());
    let span = last.unwrap_or(&0) - first.unwrap_or(&0);
    if !times.is_sorted() || span > 24 * 60 * 60 * 1000 {
        let message = "Log events in a single PutLogEvents request must be in chronological order and within 24 hours.";
        return error("InvalidParameterException", message);
    }
    Answer::json(200, &json!({"nextSequenceToken": "1"}))
}

fn error(code: &str, message: &str) -> Answer {
    Answer::json(400, &json!({"__type": code, "message": message}))
}

fn of_s3(request: &Request) -> Answer {
    let query = request
        .target
        .split_once('?')
        .map_or("", |(_, query)| query);
    let created = "<InitiateMultipartUploadResult><UploadId>upload-1</UploadId></InitiateMultipartUploadResult>";
    let completed =
        "<CompleteMultipartUploadResult><ETag>\"etag\"</ETag></CompleteMultipartUploadResult>";
    match (request.method.as_str(), query.starts_with("uploads")) {
        ("PUT", _) => Answer::new(200, String::new()).with("ETag", "\"etag\""),
        ("POST", true) => Answer::new(200, created.to_owned()),
        ("POST", false) => Answer::new(200, completed.to_owned()),
        _ => Answer::new(405, String::new()),
    }
}
