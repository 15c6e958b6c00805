//! What stands in the requests, byte for byte; which lane they travel in; that no limit is passed and no record lost.

use std::collections::HashMap;
use std::io::Read;

use super::*;
use crate::put_records::entry::Entries;
use base64_simd::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use plugin::{Level, Log, Metrics};
use proptest::prelude::*;
use record::{Tag, Time, json};

use super::super::lane::{ENTRIES_MAX, LARGE_ENTRY_BYTES_MAX, REQUEST_BYTES_MAX};

fn options(more: &[(&str, &str)]) -> KinesisOptions {
    use config::{Diagnostics, Entry, Options, Position, Section, SectionKind};
    let nowhere = Position::argument(1);
    let mut section = Section::new(SectionKind::Output, "OUTPUT", nowhere.clone());
    let required = [("stream", "s1"), ("region", "us-west-2")];
    for (key, value) in required.iter().chain(more) {
        let entry = Entry::plain(key, nowhere.clone(), *value, nowhere.clone());
        section.entries.push(entry);
    }
    let mut diagnostics = Diagnostics::new();
    KinesisOptions::read(&section, &mut diagnostics).unwrap_or_else(|| panic!("{diagnostics}"))
}

fn context() -> OutputContext {
    OutputContext {
        name: "kinesis.0".into(),
        log: Log::new("", Level::Off),
        metrics: Metrics::default(),
        escape_unicode: true,
        nan_to_null: false,
        config_dir: ".".into(),
        writers: Default::default(),
        bodies: record::Budget::new(0),
    }
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

fn formatted(dialect: Dialect, more: &[(&str, &str)], lines: &[&str]) -> Outbox {
    let mut payload =
        Payload::new(&options(more), dialect, &context()).unwrap_or_else(|error| panic!("{error}"));
    let batch = batch(lines);
    let mut outbox = Outbox::default();
    payload.format(DeliveryId(7), &batch, 0..batch.len() as u32, &mut outbox);
    payload.seal(&mut outbox);
    outbox
}

/// The data and partition keys of a request's entries, after a look at its limits.
fn entries(request: &Request) -> Vec<(Vec<u8>, String)> {
    let json: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(json["StreamName"], "s1");
    let entries: Vec<(Vec<u8>, String)> = json["Records"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|entry| {
            assert_eq!(entry.as_object().map(|entry| entry.len()), Some(2));
            let data = entry["Data"].as_str().expect("text");
            let key = entry["PartitionKey"].as_str().expect("text");
            (
                STANDARD.decode_to_vec(data).expect("base64"),
                key.to_owned(),
            )
        })
        .collect();
    assert!((1..=ENTRIES_MAX as usize).contains(&entries.len()));
    assert_eq!(entries.len() as u32, Entries::count(request));
    let sizes = || entries.iter().map(|(data, key)| data.len() + key.len());
    let most = if entries.len() == 1 {
        LARGE_ENTRY_BYTES_MAX
    } else {
        ENTRY_BYTES_MAX
    };
    assert!(sizes().all(|size| size <= most));
    assert!(entries.len() == 1 || sizes().sum::<usize>() <= REQUEST_BYTES_MAX);
    assert!(
        entries
            .iter()
            .all(|(_, key)| (1..=256).contains(&key.chars().count()))
    );
    entries
}

/// The data of all entries as text, request by request.
fn texts(outbox: &Outbox) -> Vec<Vec<String>> {
    let text = |(data, _): (Vec<u8>, String)| String::from_utf8(data).expect("UTF-8");
    let requests = outbox.requests.iter();
    requests
        .map(|request| entries(request).into_iter().map(text).collect())
        .collect()
}

fn lane_of(key: &str) -> u64 {
    u64::from(Md5::digest(key)[0] >> 4)
}

use Dialect::{Core, Go};

#[test]
fn a_request_reads_as_upstream() {
    let key = &[("partition_key", "k")];
    let outbox = formatted(Core, key, &[r#"{"k":"é\"","n":1}"#, r#"{"k":"é\"","n":2}"#]);
    let expected = "{\"StreamName\":\"s1\",\"Records\":[\
        {\"Data\":\"eyJrIjoiXHUwMGU5XCIiLCJuIjoxfQo=\",\"PartitionKey\":\"\\u00e9\\\"\"},\
        {\"Data\":\"eyJrIjoiXHUwMGU5XCIiLCJuIjoyfQo=\",\"PartitionKey\":\"\\u00e9\\\"\"}]}";
    assert_eq!(std::str::from_utf8(&outbox.requests[0].body), Ok(expected));
    assert_eq!(outbox.requests[0].lane, Some(lane_of("é\"")));
}

#[test]
fn the_plugins_differ_in_their_newline() {
    let lines = [r#"{"a":1}"#];
    assert_eq!(texts(&formatted(Core, &[], &lines)), [["{\"a\":1}\n"]]);
    assert_eq!(texts(&formatted(Go, &[], &lines)), [["{\"a\":1}"]]);
    let on = &[("append_newline", "true")];
    assert_eq!(texts(&formatted(Go, on, &lines)), [["{\"a\":1}\n"]]);
    let off = &[("append_newline", "false")];
    assert_eq!(texts(&formatted(Core, off, &lines)), [["{\"a\":1}"]]);
}

#[test]
fn options_shape_the_records() {
    let shaped = &[
        ("time_key", "t.t"),
        ("time_key_format", "%s%L"),
        ("data_keys", "t.t,a.b"),
        ("replace_dots", "_"),
    ];
    let outbox = formatted(Go, shaped, &[r#"{"a.b":1,"c":2}"#]);
    assert_eq!(texts(&outbox), [["{\"a_b\":1,\"t_t\":\"1700000000123\"}"]]);
    let outbox = formatted(
        Core,
        &[("log_key", "log")],
        &[r#"{"log":"line"}"#, "{}", r#"{"log":""}"#],
    );
    assert_eq!(texts(&outbox), [["line\n"]]);
    assert_eq!(
        outbox.rejected,
        [(DeliveryId(7), 1, Reason("log_key_missing"))]
    );
    assert_eq!(outbox.filtered, [(DeliveryId(7), 2)]);
}

#[test]
fn random_keys_differ_and_wait_for_nobody() {
    let outbox = formatted(Core, &[], &[r#"{"a":1}"#; 600]);
    let requests: Vec<usize> = outbox
        .requests
        .iter()
        .map(|request| entries(request).len())
        .collect();
    assert_eq!(requests, [500, 100]);
    let mut keys: Vec<String> = outbox
        .requests
        .iter()
        .flat_map(entries)
        .map(|(_, key)| key)
        .collect();
    assert!(
        keys.iter()
            .all(|key| key.len() == 8 && key.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    );
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 600);
    assert!(
        outbox
            .requests
            .iter()
            .all(|request| request.lane.is_none() && request.note.is_none())
    );
}

#[test]
fn keys_come_from_fields() {
    let long = "é".repeat(200);
    let line = |value: &str| {
        format!("{{\"kubernetes\":{{\"pod_name\":{value}}},\"kubernetes->pod_name\":0}}")
    };
    let cases = [
        (line("\"web-1\""), Some("web-1")),
        (line("42"), Some("42")),
        (line(&format!("\"{long}\"")), Some(&long[..256])),
        (
            line(&format!("\"a{long}\"")),
            Some(&*format!("a{}", &long[..254])),
        ),
        (line("\"\""), None),
        (line("{\"a\":1}"), None),
        (r#"{"kubernetes":"web"}"#.to_owned(), None),
        (r#"{"x":1}"#.to_owned(), None),
    ]
    .map(|(line, key)| (line, key.map(str::to_owned)));
    for (line, expected) in &cases {
        let outbox = formatted(Core, &[("partition_key", "kubernetes->pod_name")], &[line]);
        let (_, key) = entries(&outbox.requests[0]).remove(0);
        match expected {
            Some(expected) => {
                assert_eq!(&key, expected);
                assert_eq!(outbox.requests[0].lane, Some(lane_of(expected)));
            }
            None => assert_eq!((key.len(), outbox.requests[0].lane), (8, None), "{line}"),
        }
    }
    let hashed = &[("partition_key", "k"), ("partition_key_hash", "on")];
    let outbox = formatted(Core, hashed, &[r#"{"k":"abc"}"#]);
    let md5_of_abc = "900150983cd24fb0d6963f7d28e17f72";
    assert_eq!(entries(&outbox.requests[0])[0].1, md5_of_abc);
    assert_eq!(outbox.requests[0].lane, Some(lane_of(md5_of_abc)));
}

#[test]
fn records_without_a_key_are_counted() {
    let context = context();
    let mut payload = Payload::new(&options(&[("partition_key", "k")]), Go, &context)
        .unwrap_or_else(|error| panic!("{error}"));
    let batch = batch(&[r#"{"a":1}"#, r#"{"k":"x"}"#, r#"{"k":null}"#]);
    payload.format(DeliveryId(0), &batch, 0..3, &mut Outbox::default());
    assert_eq!(
        context
            .metrics
            .counter("partition_key_missing_total", "")
            .get(),
        2
    );
}

#[test]
fn each_lane_has_its_own_request_in_order() {
    let lines: Vec<String> = (0..1_000)
        .map(|n| format!("{{\"k\":\"key{}\",\"n\":{n}}}", n % 37))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let outbox = formatted(Go, &[("partition_key", "k")], &lines);
    let mut last: HashMap<String, u64> = HashMap::new();
    for request in &outbox.requests {
        for (data, key) in entries(request) {
            assert_eq!(request.lane, Some(lane_of(&key)));
            let json: serde_json::Value = serde_json::from_slice(&data).expect("JSON");
            let number = json["n"].as_u64().expect("a number");
            assert!(
                last.insert(key, number)
                    .is_none_or(|before| before < number)
            );
        }
    }
    assert_eq!(last.len(), 37);
    let lanes: std::collections::HashSet<_> =
        outbox.requests.iter().map(|request| request.lane).collect();
    assert!(lanes.len() > 8);
}

#[test]
fn aggregates_hold_records_of_one_key() {
    let same_lane = |key: &String| lane_of(key) == lane_of("a");
    let other = (0..)
        .map(|number| format!("b{number}"))
        .find(same_lane)
        .expect("endless");
    let line = |key: &str, number: u32| format!("{{\"k\":\"{key}\",\"n\":{number}}}");
    let lines = [line("a", 1), line("a", 2), line(&other, 3), line("a", 4)];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let options = &[("partition_key", "k"), ("aggregation", "true")];
    let outbox = formatted(Go, options, &lines);
    let [request] = &outbox.requests[..] else {
        panic!("one lane");
    };
    let aggregates: Vec<(String, Vec<Vec<u8>>)> = entries(request)
        .into_iter()
        .map(|(data, key)| {
            let (own, records) = kpl::tests::read(&data).expect("an aggregate");
            assert_eq!(own, key.as_bytes());
            (key, records)
        })
        .collect();
    let of = |key: &str, lines: &[&str]| {
        let data = lines.iter().map(|line| line.as_bytes().to_vec());
        (key.to_owned(), data.collect::<Vec<_>>())
    };
    let expected = [
        of("a", &[lines[0], lines[1], lines[3]]),
        of(&other, &lines[2..3]),
    ];
    assert_eq!(aggregates, expected);
}

#[test]
fn aggregates_end_at_a_mebibyte_and_leave_large_records_alone() {
    let small = format!("{{\"a\":\"{}\"}}", "x".repeat(10_000));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(20_480));
    let mut lines = vec![small.as_str(); 150];
    lines[20] = &large;
    let outbox = formatted(Go, &[("aggregation", "on")], &lines);
    let request = &outbox.requests[0];
    let counts: Vec<usize> = entries(request)
        .iter()
        .map(|(data, _)| kpl::tests::read(data).map_or(0, |(_, records)| records.len()))
        .collect();
    assert_eq!(counts, [20, 0, 104, 25]);
    assert_eq!(Entries::records(request, 1), 20..21);
    assert_eq!(Entries::records(request, 2), 21..125);
    assert_eq!(request.parts.len(), 150);
    let keys: Vec<String> = entries(request).into_iter().map(|(_, key)| key).collect();
    assert!(
        keys[0] != keys[2] && keys[2] != keys[3],
        "each has a random key of its own"
    );
}

fn plain(compression: &str, data: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let read = match compression {
        "gzip" => flate2::read::MultiGzDecoder::new(data).read_to_end(&mut text),
        "zlib" => flate2::read::ZlibDecoder::new(data).read_to_end(&mut text),
        "zstd" => return zstd::stream::decode_all(data).expect("zstd"),
        "snappy" => {
            return snap::raw::Decoder::new()
                .decompress_vec(data)
                .expect("snappy");
        }
        _ => return data.to_vec(),
    };
    read.expect(compression);
    text
}

#[test]
fn records_are_compressed() {
    let lines = [r#"{"a":1}"#, r#"{"a":2}"#];
    for compression in ["gzip", "zlib", "zstd", "snappy"] {
        let option = ("compression", compression);
        let outbox = formatted(Go, &[option], &lines);
        let data = entries(&outbox.requests[0]);
        assert_eq!(plain(compression, &data[1].0), br#"{"a":2}"#);
        let outbox = formatted(Go, &[option, ("aggregation", "on")], &lines);
        let (_, records) =
            kpl::tests::read(&entries(&outbox.requests[0])[0].0).expect("an aggregate");
        assert_eq!(plain(compression, &records[1]), br#"{"a":2}"#);
        let outbox = formatted(Core, &[option, ("simple_aggregation", "on")], &lines);
        let data = &entries(&outbox.requests[0])[0].0;
        assert_eq!(plain(compression, data), b"{\"a\":1}\n{\"a\":2}\n");
    }
}

#[test]
fn lines_share_entries() {
    let lines = [r#"{"a":1}"#, r#"{"a":2}"#];
    let simple = ("simple_aggregation", "on");
    let core = formatted(Core, &[simple], &lines);
    assert_eq!(texts(&core), [["{\"a\":1}\n{\"a\":2}\n"]]);
    assert_eq!(Entries::records(&core.requests[0], 0), 0..2);
    assert_eq!(
        texts(&formatted(Go, &[simple], &lines)),
        [["{\"a\":1}\n{\"a\":2}"]]
    );
    let both = options(&[simple, ("aggregation", "on")]);
    assert!(Payload::new(&both, Core, &context()).is_err());
}

#[test]
fn lines_that_compression_makes_too_large_are_divided() {
    // Snappy finds nothing in it and adds a little.
    let mut random = fastrand::Rng::with_seed(7);
    let noise: String = (0..524_265).map(|_| random.alphanumeric()).collect();
    let half = format!("{{\"a\":\"{noise}\"}}");
    let options = &[("compression", "snappy"), ("simple_aggregation", "on")];
    let outbox = formatted(Core, options, &[&half, &half, r#"{"a":1}"#]);
    let request = &outbox.requests[0];
    let ranges: Vec<_> = (0..2)
        .map(|index| Entries::records(request, index))
        .collect();
    assert_eq!(ranges, [0..1, 1..3]);
    let data = entries(request).remove(1).0;
    assert!(plain("snappy", &data) == format!("{half}\n{{\"a\":1}}\n").as_bytes());
}

#[test]
fn many_keys_keep_few_groups_open() {
    let lines: Vec<String> = (0..10_000)
        .map(|number| format!("{{\"k\":\"key{}\"}}", number % 5_000))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let options = &[("partition_key", "k"), ("aggregation", "on")];
    let outbox = formatted(Go, options, &lines);
    let aggregates: usize = outbox
        .requests
        .iter()
        .map(|request| entries(request).len())
        .sum();
    assert_eq!(aggregates, 10_000, "no key comes again in time");
    let lines = &lines[..5].repeat(2_000);
    let outbox = formatted(Go, options, lines);
    let aggregates: usize = outbox
        .requests
        .iter()
        .map(|request| entries(request).len())
        .sum();
    assert_eq!(aggregates, 5);
}

/// A line of so many bytes.
fn line_of(size: usize) -> String {
    format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8))
}

#[test]
fn records_that_few_streams_take_travel_alone() {
    // Beside the data there are eight bytes of key.
    let (fits, over) = (line_of(ENTRY_BYTES_MAX - 8), line_of(ENTRY_BYTES_MAX - 7));
    let small = r#"{"a":1}"#;
    for form in ["partition_key_hash", "aggregation", "simple_aggregation"] {
        let options = &[("append_newline", "off"), (form, "on")];
        let outbox = formatted(Go, options, &[small, &fits, small, &over, small]);
        let requests = outbox.requests.iter();
        let records: Vec<u32> = requests.map(|request| request.parts.len()).collect();
        assert_eq!(records, [3, 1, 1], "{form}");
    }
}

#[test]
fn records_that_no_stream_takes_are_named() {
    let most = line_of(LARGE_ENTRY_BYTES_MAX - 8);
    let never = line_of(LARGE_ENTRY_BYTES_MAX - 7);
    let outbox = formatted(Go, &[], &[&never, &most]);
    let too_large = (DeliveryId(7), 0, Reason("record_too_large"));
    assert_eq!(outbox.rejected, [too_large]);
    assert_eq!(entries(&outbox.requests[0])[0].0, most.into_bytes());
}

/// What a shard refuses is formatted again alone: it must come back to its lane, in its order.
#[test]
fn what_a_shard_refuses_stays_in_its_lane() {
    let lines: Vec<String> = (0..2_000)
        .map(|n| format!("{{\"k\":\"key{}\",\"n\":{n}}}", n % 37))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for form in ["partition_key_hash", "aggregation", "simple_aggregation"] {
        let options = options(&[("partition_key", "k"), (form, "on")]);
        let mut payload =
            Payload::new(&options, Go, &context()).unwrap_or_else(|error| panic!("{error}"));
        let batch = batch(&lines);
        let mut first = Outbox::default();
        payload.format(DeliveryId(0), &batch, 0..2_000, &mut first);
        payload.seal(&mut first);
        for request in &first.requests {
            // Every second entry was refused.
            let refused = (0..Entries::count(request))
                .step_by(2)
                .flat_map(|index| Entries::records(request, index));
            let all: Vec<u32> = request
                .parts
                .ranges()
                .iter()
                .flat_map(|(_, range)| range.clone())
                .collect();
            let refused: Vec<u32> = refused.map(|index| all[index as usize]).collect();
            let mut again = Outbox::default();
            for &record in &refused {
                payload.format(DeliveryId(0), &batch, record..record + 1, &mut again);
            }
            payload.seal(&mut again);
            assert!(again.requests.iter().all(|new| new.lane == request.lane));
            let new = again.requests.iter();
            let sent: Vec<u32> = new
                .flat_map(|request| request.parts.ranges())
                .flat_map(|(_, range)| range.clone())
                .collect();
            assert_eq!(sent, refused, "{form}");
        }
    }
}

#[test]
fn requests_lend_their_memory_to_their_lane() {
    let mut payload = Payload::new(&options(&[("partition_key", "k")]), Go, &context())
        .unwrap_or_else(|error| panic!("{error}"));
    let batch = batch(&[r#"{"k":"x"}"#]);
    let mut outbox = Outbox::default();
    payload.format(DeliveryId(0), &batch, 0..1, &mut outbox);
    payload.seal(&mut outbox);
    let request = outbox.requests.pop().expect("one");
    let memory = request.body.as_ptr();
    payload.recycle(request);
    for _ in 0..2 {
        payload.format(DeliveryId(0), &batch, 0..1, &mut outbox);
        payload.seal(&mut outbox);
    }
    assert_eq!(outbox.requests[1].body.as_ptr(), memory);
    payload.trim();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Every record is in exactly one entry, in the order of its key, or named in another list; no limit is passed.
    #[test]
    fn every_record_is_somewhere_once(
        records in prop::collection::vec((prop_oneof![30 => 0..300usize, 2 => 10_000..300_000usize, 1 => 1_040_000..1_060_000usize], 0..6u8), 1..30),
        repeat in 1..60usize,
        compression in prop::sample::select(vec!["none", "none", "zlib", "zstd"]),
        form in prop::sample::select(vec!["partition_key_hash", "aggregation", "simple_aggregation"]),
        keyed in any::<bool>(),
    ) {
        let repeat = if records.iter().map(|(size, _)| size).sum::<usize>() > 10_000 { 1 } else { repeat };
        let line = |(number, (size, key)): (usize, &(usize, u8))| match (size, key) {
            (0, _) => "{}".to_owned(),
            (size, 0) => format!("{{\"n\":{number},\"a\":\"{}\"}}", "x".repeat(*size)),
            (size, key) => format!("{{\"n\":{number},\"k\":\"key{key}\",\"a\":\"{}\"}}", "x".repeat(*size)),
        };
        let lines: Vec<String> = records.repeat(repeat).iter().enumerate().map(line).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let path = if keyed { "k" } else { "" };
        let outbox = formatted(Core, &[("partition_key", path), ("compression", compression), (form, "on")], &lines);
        let mut seen: Vec<u32> = outbox.filtered.iter().map(|(_, record)| *record).collect();
        seen.extend(outbox.rejected.iter().map(|(_, record, _)| *record));
        let mut last: HashMap<(Option<u64>, String), u32> = HashMap::new();
        for request in &outbox.requests {
            let records: Vec<u32> = request.parts.ranges().iter().flat_map(|(_, range)| range.clone()).collect();
            for (index, (data, key)) in (0..).zip(entries(request)) {
                let range = Entries::records(request, index);
                let own = &records[range.start as usize..range.end as usize];
                let expected: Vec<String> = own.iter().map(|record| format!("{}\n", lines[*record as usize])).collect();
                match kpl::tests::read(&data) {
                    Some((table, inner)) => {
                        prop_assert_eq!(&table, key.as_bytes());
                        let inner: Vec<String> = inner.iter().map(|data| String::from_utf8(plain(compression, data)).expect("UTF-8")).collect();
                        prop_assert!(inner == expected);
                    }
                    None => prop_assert!(plain(compression, &data) == expected.concat().as_bytes()),
                }
                prop_assert!(request.lane.is_none_or(|lane| lane == lane_of(&key)));
                for record in own {
                    prop_assert!(request.lane.is_none() || last.insert((request.lane, key.clone()), *record).is_none_or(|before| before < *record));
                }
                seen.extend(own);
            }
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..lines.len() as u32).collect::<Vec<_>>());
    }
}
