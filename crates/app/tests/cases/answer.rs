//! What Firehose, Kinesis, CloudWatch Logs and S3 answer when all is well.

use serde_json::{Value, json};

use crate::request::Request;

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

/// What is answered to `request`; a log group that is created is taken out of `missing_groups`.
pub fn answer(request: &Request, missing_groups: &mut Vec<String>) -> Answer {
    let Some((service, operation)) = request.operation() else {
        return of_s3(request);
    };
    let Ok(body) = request.json() else {
        return error("SerializationException", "the request is no JSON");
    };
    match (service, operation) {
        ("Firehose_20150804", "PutRecordBatch") => of_firehose(&body),
        ("Kinesis_20131202", "PutRecords") => of_kinesis(&body),
        ("Logs_20140328", operation) => of_logs(operation, &body, missing_groups),
        (_, operation) => error("UnknownOperationException", operation),
    }
}

fn of_firehose(body: &Value) -> Answer {
    let entries: Vec<Value> = (0..records(body))
        .map(|index| json!({"RecordId": format!("record-{index}")}))
        .collect();
    Answer::json(
        200,
        &json!({"FailedPutCount": 0, "Encrypted": false, "RequestResponses": entries}),
    )
}

fn of_kinesis(body: &Value) -> Answer {
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

fn of_logs(operation: &str, body: &Value, missing_groups: &mut Vec<String>) -> Answer {
    let group = body["logGroupName"].as_str().unwrap_or_default();
    match operation {
        "CreateLogGroup" => missing_groups.retain(|missing| missing != group),
        _ if missing_groups.iter().any(|missing| missing == group) => {
            let message = "The specified log group does not exist.";
            return error("ResourceNotFoundException", message);
        }
        "PutLogEvents" => return Answer::json(200, &json!({"nextSequenceToken": "1"})),
        "CreateLogStream" | "PutRetentionPolicy" => {}
        other => return error("UnknownOperationException", other),
    }
    Answer::new(200, String::new())
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
