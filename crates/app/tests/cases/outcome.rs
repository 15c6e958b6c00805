//! What arrived, as JSON that a person can read and two programs can agree on.
//!
//! Only what a user would notice is in it: how records are divided into requests is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use base64_simd::STANDARD;
use serde_json::{Map, Value, json};

use crate::request::Request;

/// Where a program has left what it delivered.
pub struct Traces<'a> {
    /// The requests that the sink took.
    pub requests: &'a [Request],
    /// What was written to the standard output.
    pub stdout: &'a [u8],
    /// The folder that the output `file` writes to.
    pub files: &'a Path,
    /// Keys that hold the time of the run, `?` in place of each such character.
    pub key_masks: &'a [String],
}

/// What arrived, by where it arrived; what is empty is left out.
///
/// ```json
/// {"firehose": {"STREAM": [DATA, …]}, "kinesis": {"STREAM": [DATA, …]},
///  "logs": {"calls": [{"CreateLogStream": {…}}, …], "formats": ["json/emf"], "events": {"GROUP STREAM": [{…}, …]}},
///  "s3": [{"key": "/BUCKET/…", "headers": {…}, "body": DATA}, …], "stdout": [LINE, …], "files": {"NAME": [LINE, …]}}
/// ```
///
/// DATA is a text, `{"gzip": "what was compressed"}`, or `{"hex": "…"}` for what is no UTF-8.
///
/// # Errors
///
/// When a request is not what the service would take.
pub fn of(traces: &Traces) -> Result<Value, String> {
    let mut outcome = Map::new();
    let mut put = |name: &str, value: Value, empty: bool| {
        if !empty {
            outcome.insert(name.to_owned(), value);
        }
    };
    for (name, service, stream) in [
        ("firehose", "Firehose_20150804", "DeliveryStreamName"),
        ("kinesis", "Kinesis_20131202", "StreamName"),
    ] {
        let streams = streams(traces.requests, service, stream)?;
        put(name, json!(streams), streams.is_empty());
    }
    let logs = Logs::of(traces.requests)?;
    put(
        "logs",
        logs.json(),
        logs.calls.is_empty() && logs.events.is_empty(),
    );
    let objects = objects(traces.requests, traces.key_masks)?;
    put("s3", json!(objects), objects.is_empty());
    let printed = lines(traces.stdout);
    put("stdout", json!(printed), printed.is_empty());
    let files = files(traces.files)?;
    put("files", json!(files), files.is_empty());
    Ok(Value::Object(outcome))
}

/// How many records, events, objects and lines there are in an outcome.
pub fn count(outcome: &Value) -> usize {
    let list = |value: &Value| value.as_array().map_or(0, Vec::len);
    let lists = |value: &Value| {
        value
            .as_object()
            .map_or(0, |map| map.values().map(list).sum::<usize>())
    };
    lists(&outcome["firehose"])
        + lists(&outcome["kinesis"])
        + lists(&outcome["logs"]["events"])
        + list(&outcome["s3"])
        + list(&outcome["stdout"])
        + lists(&outcome["files"])
}

/// Bytes as DATA.
fn data(bytes: &[u8]) -> Value {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        let mut decoder = flate2::read::MultiGzDecoder::new(bytes);
        if decoder.read_to_end(&mut plain).is_ok() {
            return json!({"gzip": data(&plain)});
        }
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"hex": hex})
        }
    }
}

/// The lines of a text, each with its end, as DATA.
fn lines(text: &[u8]) -> Vec<Value> {
    text.split_inclusive(|byte| *byte == b'\n')
        .map(data)
        .collect()
}

type Streams = BTreeMap<String, Vec<Value>>;

/// The data of every record, by its stream.
fn streams(requests: &[Request], service: &str, name: &str) -> Result<Streams, String> {
    let mut streams = Streams::new();
    for request in requests {
        if request.operation().is_none_or(|(of, _)| of != service) {
            continue;
        }
        let body = request.json()?;
        let stream = text(&body, name)?;
        let records = array(&body, "Records")?;
        for record in records {
            let encoded = text(record, "Data")?;
            let bytes = STANDARD
                .decode_to_vec(encoded)
                .map_err(|error| format!("Data is no base64: {error}: {encoded}"))?;
            if service.starts_with("Kinesis") {
                // It is random; the service wants 1 to 256 characters.
                let length = text(record, "PartitionKey")?.chars().count();
                if !(1..=256).contains(&length) {
                    return Err(format!("a partition key of {length} characters"));
                }
            }
            streams
                .entry(stream.to_owned())
                .or_default()
                .push(data(&bytes));
        }
    }
    Ok(streams)
}

/// What CloudWatch Logs got.
#[derive(Default)]
struct Logs {
    /// What was created and set up: each call once, sorted, because in which order streams come up is no matter.
    calls: BTreeSet<String>,
    /// The values of the header that announces a format.
    formats: BTreeSet<String>,
    /// By group and stream.
    events: BTreeMap<String, Vec<Value>>,
}

impl Logs {
    fn of(requests: &[Request]) -> Result<Logs, String> {
        let mut logs = Logs::default();
        for request in requests {
            if let Some(("Logs_20140328", operation)) = request.operation() {
                logs.add(request, operation)?;
            }
        }
        Ok(logs)
    }

    fn add(&mut self, request: &Request, operation: &str) -> Result<(), String> {
        let body = request.json()?;
        if operation != "PutLogEvents" {
            self.calls.insert(json!({operation: body}).to_string());
            return Ok(());
        }
        if let Some(format) = request.header("x-amzn-logs-format") {
            self.formats.insert(format.to_owned());
        }
        let (group, stream) = (text(&body, "logGroupName")?, text(&body, "logStreamName")?);
        let events = self.events.entry(format!("{group} {stream}")).or_default();
        events.extend(array(&body, "logEvents")?.iter().cloned());
        // As whoever reads the stream sees them.
        events.sort_by_key(|event| event["timestamp"].as_i64());
        Ok(())
    }

    fn json(&self) -> Value {
        let calls: Vec<Value> = self
            .calls
            .iter()
            .filter_map(|call| serde_json::from_str(call).ok())
            .collect();
        let mut logs = json!({"calls": calls, "events": self.events});
        if !self.formats.is_empty() {
            logs["formats"] = json!(self.formats);
        }
        logs
    }
}

/// The headers of an object that a user asks for.
const HEADERS: &[&str] = &[
    "content-encoding",
    "content-md5",
    "content-type",
    "x-amz-acl",
    "x-amz-storage-class",
];

/// The objects, sorted by key and body: which tag's is first is no matter. The parts of one upload are one object.
fn objects(requests: &[Request], key_masks: &[String]) -> Result<Vec<Value>, String> {
    let mut uploads: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut objects = Vec::new();
    for request in requests.iter().filter(|one| one.operation().is_none()) {
        let (key, query) = match request.target.split_once('?') {
            Some((key, query)) => (key, query),
            None => (request.target.as_str(), ""),
        };
        let masked = masked(key, key_masks);
        match (request.method.as_str(), query) {
            ("PUT", "") => objects.push(object(request, masked, &request.body)),
            ("PUT", _) => uploads
                .entry(key.to_owned())
                .or_default()
                .extend(&request.body),
            ("POST", query) if query.starts_with("uploads") => {
                uploads.insert(key.to_owned(), Vec::new());
            }
            ("POST", _) => {
                let body = uploads.remove(key).ok_or("an upload that was not begun")?;
                objects.push(object(request, masked, &body));
            }
            (method, _) => return Err(format!("{method} {}", request.target)),
        }
    }
    objects.sort_by_key(Value::to_string);
    Ok(objects)
}

fn object(request: &Request, key: String, body: &[u8]) -> Value {
    let headers: BTreeMap<&str, &str> = HEADERS
        .iter()
        .filter_map(|name| Some((*name, request.header(name)?)))
        .collect();
    json!({"key": key, "headers": headers, "body": data(body)})
}

/// The first mask that `key` fits, or the key.
fn masked(key: &str, masks: &[String]) -> String {
    let fits = |mask: &&String| {
        mask.len() == key.len()
            && mask.bytes().zip(key.bytes()).all(|(of_mask, of_key)| {
                of_mask == of_key || of_mask == b'?' && of_key.is_ascii_alphanumeric()
            })
    };
    masks.iter().find(fits).cloned().unwrap_or(key.to_owned())
}

fn files(folder: &Path) -> Result<Streams, String> {
    let mut files = Streams::new();
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read(entry.path()).map_err(|error| format!("{name}: {error}"))?;
        files.insert(name, lines(&text));
    }
    Ok(files)
}

fn text<'a>(object: &'a Value, name: &str) -> Result<&'a str, String> {
    object[name]
        .as_str()
        .ok_or_else(|| format!("no text {name} in {object}"))
}

fn array<'a>(object: &'a Value, name: &str) -> Result<&'a Vec<Value>, String> {
    object[name]
        .as_array()
        .ok_or_else(|| format!("no list {name} in {object}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown() {
        assert_eq!(data(b"a\n"), json!("a\n"));
        assert_eq!(data(b"\xff\x01"), json!({"hex": "ff01"}));
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, b"x").unwrap();
        assert_eq!(data(&encoder.finish().unwrap()), json!({"gzip": "x"}));
    }

    #[test]
    fn masks_hide_no_more_than_they_say() {
        let masks = ["/b/????-??/x-object????????".to_owned()];
        assert_eq!(masked("/b/2026-11/x-objectAb12Cd34", &masks), masks[0]);
        let other = "/b/2026-11/y-objectAb12Cd34";
        assert_eq!(masked(other, &masks), other);
        let separated = "/b/20/6-11/x-objectAb12Cd34";
        assert_eq!(masked(separated, &masks), separated);
    }

    #[test]
    fn refusals_of_bad_requests() {
        let request = Request {
            method: "POST".into(),
            target: "/".into(),
            headers: vec![("x-amz-target".into(), "Kinesis_20131202.PutRecords".into())],
            body: br#"{"StreamName":"s","Records":[{"Data":"eA==","PartitionKey":""}]}"#.to_vec(),
        };
        let folder = tempfile::tempdir().unwrap();
        let traces = Traces {
            requests: &[request],
            stdout: b"",
            files: folder.path(),
            key_masks: &[],
        };
        assert_eq!(of(&traces), Err("a partition key of 0 characters".into()));
    }
}
