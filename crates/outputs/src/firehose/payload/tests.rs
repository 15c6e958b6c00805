//! What stands in the requests, byte for byte, and that no limit is passed and no record lost on the way there.

use std::io::Read;

use super::*;
use bytes::Bytes;
use plugin::{Level, Log, Metrics};
use proptest::prelude::*;
use record::{Record, Tag, Time, json};

fn options(more: &[(&str, &str)]) -> FirehoseOptions {
    use config::{Diagnostics, Entry, Options, Position, Section, SectionKind};
    let nowhere = Position::argument(1);
    let mut section = Section::new(SectionKind::Output, "OUTPUT", nowhere.clone());
    for (key, value) in [("delivery_stream", "ds"), ("region", "us-west-2")]
        .iter()
        .chain(more)
    {
        section
            .entries
            .push(Entry::plain(key, nowhere.clone(), *value, nowhere.clone()));
    }
    let mut diagnostics = Diagnostics::new();
    FirehoseOptions::read(&section, &mut diagnostics).unwrap_or_else(|| panic!("{diagnostics}"))
}

fn payload(more: &[(&str, &str)]) -> Payload {
    let context = OutputContext {
        name: "firehose.0".into(),
        log: Log::new("", Level::Off),
        metrics: Metrics::default(),
        escape_unicode: true,
        nan_to_null: false,
        config_dir: ".".into(),
        writers: Default::default(),
        bodies: record::Budget::new(0),
    };
    Payload::new(&options(more), Dialect::Core, &context).unwrap_or_else(|error| panic!("{error}"))
}

fn batch(lines: &[&str]) -> Batch {
    let mut batch = Batch::new(Tag::from("t"), Bytes::from(lines.concat()));
    let mut at = 0;
    for line in lines {
        let text = batch.span(at..at + line.len());
        at += line.len();
        let (body, _) = json::read::object(&mut batch, text).expect("JSON");
        batch.push_record(Record {
            time: Time::new(1_700_000_000, 123_456_789),
            body,
            ..Record::default()
        });
    }
    batch
}

/// The requests for these lines and what else was in the outbox.
fn formatted(more: &[(&str, &str)], lines: &[&str]) -> Outbox {
    let (mut payload, batch) = (payload(more), batch(lines));
    let mut outbox = Outbox::default();
    payload.format(DeliveryId(7), &batch, 0..batch.len() as u32, &mut outbox);
    payload.seal(&mut outbox);
    outbox
}

/// The data of a request's entries.
fn entries(request: &Request) -> Vec<Vec<u8>> {
    assert!(request.body.len() <= REQUEST_BYTES_MAX);
    let json: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(json["DeliveryStreamName"], "ds");
    let entries = json["Records"].as_array().expect("an array");
    assert!((1..=ENTRIES_MAX as usize).contains(&entries.len()));
    assert_eq!(entries.len() as u32, Entries::count(request));
    let data = entries
        .iter()
        .map(|entry| entry["Data"].as_str().expect("text"));
    let data: Vec<Vec<u8>> = data
        .map(|data| STANDARD.decode_to_vec(data).expect("base64"))
        .collect();
    assert!(data.iter().all(|data| data.len() <= ENTRY_BYTES_MAX));
    data
}

/// The texts of the entries of all requests, and what else was in the outbox.
fn sent(more: &[(&str, &str)], lines: &[&str]) -> (Vec<Vec<String>>, Outbox) {
    let outbox = formatted(more, lines);
    let texts = |request| {
        let data = entries(request).into_iter();
        data.map(|data| String::from_utf8(data).expect("UTF-8"))
            .collect()
    };
    (outbox.requests.iter().map(texts).collect(), outbox)
}

#[test]
fn a_request_reads_as_upstream() {
    let outbox = formatted(&[], &[r#"{"k":"v","n":null}"#, r#"{"k":"é"}"#]);
    let expected = "{\"DeliveryStreamName\":\"ds\",\"Records\":[{\"Data\":\"eyJrIjoidiIsIm4iOm51bGx9Cg==\"},\
                    {\"Data\":\"eyJrIjoiXHUwMGU5In0K\"}]}";
    assert_eq!(std::str::from_utf8(&outbox.requests[0].body), Ok(expected));
    assert!(outbox.requests[0].note.is_none());
}

#[test]
fn keys_shape_the_lines() {
    let time = &[("time_key", "@t"), ("time_key_format", "%H:%M:%S.%3N")];
    assert_eq!(
        sent(time, &[r#"{"a":1}"#]).0,
        [["{\"a\":1,\"@t\":\"22:13:20.123\"}\n"]]
    );
    let lines = [
        r#"{"log":"he\"llo"}"#,
        r#"{"log_k":"x","log":{"a":1}}"#,
        r#"{"log":""}"#,
        r#"{"lo":"x"}"#,
    ];
    let (requests, outbox) = sent(&[("log_key", "log")], &lines);
    assert_eq!(requests, [["he\"llo\n", "{\"a\":1}\n"]]);
    assert_eq!(outbox.filtered, [(DeliveryId(7), 2)]);
    assert_eq!(
        outbox.rejected,
        [(DeliveryId(7), 3, Reason("log_key_missing"))]
    );
    let some = &[("data_keys", "a.b,c"), ("replace_dots", "_")];
    let (requests, _) = sent(some, &[r#"{"c":1,"x":2,"a.b":{"d.e":3}}"#]);
    assert_eq!(requests, [["{\"c\":1,\"a_b\":{\"d_e\":3}}\n"]]);
}

#[test]
fn newlines_are_left_out_on_request() {
    let without = &[("append_newline", "off")];
    assert_eq!(sent(without, &[r#"{"a":1}"#]).0, [["{\"a\":1}"]]);
    let joined = &[("append_newline", "off"), ("simple_aggregation", "on")];
    let lines = [r#"{"a":1}"#, r#"{"a":2}"#];
    assert_eq!(sent(joined, &lines).0, [["{\"a\":1}\n{\"a\":2}"]]);
}

#[test]
fn lines_share_entries_and_each_is_answered_for() {
    let lines = [r#"{"a":1}"#, "{}", r#"{"a":2}"#, r#"{"a":3}"#];
    let (requests, outbox) = sent(&[("simple_aggregation", "true")], &lines);
    assert_eq!(requests, [["{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"]]);
    let request = &outbox.requests[0];
    assert_eq!(
        request.parts.ranges(),
        [(DeliveryId(7), 0..1), (DeliveryId(7), 2..4)]
    );
    assert_eq!(
        (Entries::count(request), Entries::records(request, 0)),
        (1, 0..3)
    );
    // Three of these fit into an entry, and four entries into a request.
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(300_000));
    let (requests, outbox) = sent(&[("simple_aggregation", "true")], &[long.as_str(); 11]);
    let lines = |entry: &String| entry.lines().count();
    let counts: Vec<Vec<usize>> = requests
        .iter()
        .map(|request| request.iter().map(lines).collect())
        .collect();
    assert_eq!(counts, [vec![3, 3, 3], vec![2]]);
    assert_eq!(Entries::records(&outbox.requests[0], 1), 3..6);
}

fn plain(compression: &str, data: &[u8]) -> Vec<u8> {
    match compression {
        "gzip" => {
            let mut text = Vec::new();
            let mut reader = flate2::read::MultiGzDecoder::new(data);
            reader.read_to_end(&mut text).expect("gzip");
            text
        }
        "zstd" => zstd::stream::decode_all(data).expect("zstd"),
        "snappy" => snap::raw::Decoder::new()
            .decompress_vec(data)
            .expect("snappy"),
        _ => data.to_vec(),
    }
}

#[test]
fn entries_are_compressed_one_by_one() {
    let lines = [r#"{"a":1}"#, r#"{"a":2}"#];
    for compression in ["gzip", "zstd", "snappy"] {
        let outbox = formatted(&[("compression", compression)], &lines);
        let texts: Vec<Vec<u8>> = entries(&outbox.requests[0])
            .iter()
            .map(|data| plain(compression, data))
            .collect();
        assert_eq!(texts, [b"{\"a\":1}\n", b"{\"a\":2}\n"]);
        let both = [("compression", compression), ("simple_aggregation", "on")];
        let outbox = formatted(&both, &lines);
        let data = &entries(&outbox.requests[0])[0];
        assert_eq!(plain(compression, data), b"{\"a\":1}\n{\"a\":2}\n");
    }
}

/// Text that no compression makes shorter than three quarters.
fn noise(len: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    (0..len).map(|_| random.alphanumeric()).collect()
}

#[test]
fn what_counts_is_the_compressed_size() {
    let zeros = format!("{{\"a\":\"{}\"}}", "0".repeat(1_200_000));
    let random = format!("{{\"a\":\"{}\"}}", noise(1_450_000));
    for aggregation in ["off", "on"] {
        let gzip = &[("compression", "gzip"), ("simple_aggregation", aggregation)];
        let outbox = formatted(gzip, &[&zeros, &random, r#"{"a":1}"#]);
        assert_eq!(outbox.rejected, [(DeliveryId(7), 1, TOO_LARGE)]);
        let data = entries(&outbox.requests[0]);
        assert_eq!(plain("gzip", &data[0]), format!("{zeros}\n").into_bytes());
        assert_eq!(plain("gzip", &data[1]), b"{\"a\":1}\n");
    }
}

#[test]
fn a_group_that_compression_makes_too_large_is_divided() {
    // Snappy finds nothing in it and adds a little.
    let half = format!("{{\"a\":\"{}\"}}", noise(511_980));
    let snappy = &[("compression", "snappy"), ("simple_aggregation", "on")];
    let outbox = formatted(snappy, &[&half, &half[..], r#"{"a":1}"#]);
    let lines: Vec<usize> = entries(&outbox.requests[0])
        .iter()
        .map(|data| {
            plain("snappy", data)
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
        })
        .collect();
    assert_eq!(lines.iter().sum::<usize>(), 3);
    assert!(lines.len() >= 2, "{lines:?}");
}

#[test]
fn requests_end_at_the_limits() {
    let lines = vec![r#"{"a":1}"#; 1_201];
    let (requests, _) = sent(&[], &lines);
    assert_eq!(
        requests.iter().map(Vec::len).collect::<Vec<_>>(),
        [500, 500, 201]
    );
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(900_000));
    let (requests, _) = sent(&[], &[long.as_str(); 7]);
    assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
}

#[test]
fn what_cannot_be_sent_is_named() {
    // {"a":""} and the newline are nine bytes: one more than fits, and one that just fits.
    let at_limit = format!("{{\"a\":\"{}\"}}", "x".repeat(ENTRY_BYTES_MAX - 9));
    let below = format!("{{\"a\":\"{}\"}}", "x".repeat(ENTRY_BYTES_MAX - 10));
    for aggregation in ["off", "on"] {
        let options = &[("simple_aggregation", aggregation)];
        let (requests, outbox) = sent(options, &["{}", &at_limit, &below]);
        assert_eq!(outbox.filtered, [(DeliveryId(7), 0)]);
        assert_eq!(outbox.rejected, [(DeliveryId(7), 1, TOO_LARGE)]);
        assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn a_finished_request_lends_its_memory_to_the_next() {
    let (mut payload, batch) = (payload(&[]), batch(&[r#"{"a":1}"#]));
    let mut outbox = Outbox::default();
    payload.format(DeliveryId(0), &batch, 0..1, &mut outbox);
    payload.seal(&mut outbox);
    let request = outbox.requests.pop().expect("one");
    let memory = request.body.as_ptr();
    payload.recycle(request);
    // One is open already; the one after it has the memory.
    for _ in 0..2 {
        payload.format(DeliveryId(0), &batch, 0..1, &mut outbox);
        payload.seal(&mut outbox);
    }
    assert_eq!(outbox.requests[1].body.as_ptr(), memory);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every record is in exactly one entry, in order, or named in another list; no limit is passed.
    #[test]
    fn every_record_is_somewhere_once(
        sizes in prop::collection::vec(prop_oneof![30 => 0..300usize, 2 => 1_000..300_000usize, 1 => 1_000_000..1_050_000usize], 1..30),
        repeat in 1..60usize,
        compression in prop::sample::select(vec!["none", "gzip", "zstd", "snappy"]),
        aggregation in prop::sample::select(vec!["off", "on"]),
    ) {
        let line = |(number, size): (usize, &usize)| match size {
            0 => "{}".to_owned(),
            size => format!("{{\"n\":{number},\"a\":\"{}\"}}", "x".repeat(*size)),
        };
        let repeat = if sizes.iter().sum::<usize>() > 10_000 { 1 } else { repeat };
        let sizes = sizes.repeat(repeat);
        let lines: Vec<String> = sizes.iter().enumerate().map(line).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let outbox = formatted(&[("compression", compression), ("simple_aggregation", aggregation)], &lines);
        let mut seen: Vec<u32> = outbox.filtered.iter().map(|(_, record)| *record).collect();
        seen.extend(outbox.rejected.iter().map(|(_, record, _)| *record));
        for request in &outbox.requests {
            let records: Vec<u32> = request.parts.ranges().iter().flat_map(|(_, range)| range.clone()).collect();
            for (index, data) in (0..).zip(entries(request)) {
                let range = Entries::records(request, index);
                let own = &records[range.start as usize..range.end as usize];
                let expected: String = own.iter().map(|record| format!("{}\n", lines[*record as usize])).collect();
                prop_assert!(plain(compression, &data) == expected.as_bytes());
                seen.extend(own);
            }
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..lines.len() as u32).collect::<Vec<_>>());
    }
}
