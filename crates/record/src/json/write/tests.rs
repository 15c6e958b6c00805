use proptest::prelude::*;

use super::*;
use crate::tree::{Tree, any_map, any_tree, batch, bytes, nearly_equal, put_map};
use crate::{Marker, Time};

const RAW: Options = Options {
    escape_unicode: false,
    nan_to_null: false,
};

fn written(tree: &Tree, options: Options) -> String {
    let mut batch = batch("");
    let value = tree.put(&mut batch);
    let mut out = b"before ".to_vec();
    Writer::new(options).value(&batch, value, &mut out);
    String::from_utf8(out).expect("UTF-8").split_off(7)
}

fn text(bytes: impl AsRef<[u8]>) -> Tree {
    Tree::Str(bytes.as_ref().to_vec())
}

fn map<const N: usize>(pairs: [(&str, Tree); N]) -> Tree {
    Tree::Map(
        pairs
            .into_iter()
            .map(|(key, value)| (Tree::text(key), value))
            .collect(),
    )
}

#[test]
fn strings() {
    let cases: &[(&[u8], &str, &str)] = &[
        (b"", "", ""),
        (b"plain / text", "plain / text", "plain / text"),
        (
            b"\"\\\n\r\t\x08\x0c",
            r#"\"\\\n\r\t\b\f"#,
            r#"\"\\\n\r\t\b\f"#,
        ),
        (
            b"\0\x01\x0b\x1f\x7f",
            r"\u0000\u0001\u000b\u001f\u007f",
            r"\u0000\u0001\u000b\u001f\u007f",
        ),
        ("é€".as_bytes(), r"\u00e9\u20ac", "é€"),
        ("😀a".as_bytes(), r"\ud83d\ude00a", "😀a"),
        // What is not UTF-8.
        (b"\xff", "\u{e0ff}", "\u{fffd}"),
        (b"a\x80\xbfb", "a\u{e080}\u{e0bf}b", "a\u{fffd}\u{fffd}b"),
        (b"\xc3\xa9\xc3", "\\u00e9\u{e0c3}", "é\u{fffd}"),
        (b"\xc3(", "\u{e0c3}(", "\u{fffd}("),
        (b"\xe2\x82x", "\u{e0e2}\u{e082}x", "\u{fffd}\u{fffd}x"),
        (
            b"\xed\xa0\x80",
            "\u{e0ed}\u{e0a0}\u{e080}",
            "\u{fffd}\u{fffd}\u{fffd}",
        ),
        (
            b"\xf4\x90\x80\x80",
            "\u{e0f4}\u{e090}\u{e080}\u{e080}",
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
        ),
        (
            b"\xc1\x81\xc0\x80",
            r"\u0041\u0000",
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
        ),
    ];
    for (bytes, escaped, raw) in cases {
        for filler in [0, 1, 14, 15, 16, 17, 33] {
            let filler = "x".repeat(filler);
            let tree = text([filler.as_bytes(), bytes, filler.as_bytes()].concat());
            let expected = |inside: &str| format!("\"{filler}{inside}{filler}\"");
            assert_eq!(written(&tree, Options::default()), expected(escaped));
            assert_eq!(written(&tree, RAW), expected(raw));
        }
    }
}

#[test]
fn other_values() {
    let cases: &[(Tree, &str)] = &[
        (Tree::Null, "null"),
        (Tree::Bool(true), "true"),
        (Tree::Bool(false), "false"),
        (Tree::Int(i64::MIN), "-9223372036854775808"),
        (Tree::Uint(u64::MAX), "18446744073709551615"),
        (Tree::Bin(b"b\"\xff".to_vec()), "\"b\\\"\u{e0ff}\""),
        (
            Tree::Ext(5, vec![0, 1, 0x80, 0xff]),
            r#""\x00\x01\x80\xff""#,
        ),
        (Tree::Ext(5, vec![]), r#""""#),
        (Tree::Array(vec![]), "[]"),
        (
            Tree::Array(vec![Tree::Int(1), Tree::Array(vec![Tree::Null]), map([])]),
            "[1,[null],{}]",
        ),
        (
            map([("a", Tree::Int(1)), ("b", map([("c", text("d"))]))]),
            r#"{"a":1,"b":{"c":"d"}}"#,
        ),
    ];
    for (tree, expected) in cases {
        assert_eq!(written(tree, Options::default()), *expected, "{tree:?}");
    }
}

/// As `printf` of the GNU C library prints them.
#[test]
fn floats() {
    let cases: &[(f64, &str)] = &[
        (1.0, "1.0"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (-3.0, "-3.0"),
        (1e17, "100000000000000000.0"),
        (9007199254740993.0, "9007199254740992.0"),
        (-9223372036854775808.0, "-9223372036854775808.0"),
        (9223372036854774784.0, "9223372036854774784.0"),
        (9223372036854775808.0, "9.223372036854776e+18"),
        (1e21, "1e+21"),
        (1e22, "1e+22"),
        (1e300, "1e+300"),
        (f64::MAX, "1.797693134862316e+308"),
        (0.1, "0.1"),
        (0.5, "0.5"),
        (-0.25, "-0.25"),
        (9.95, "9.949999999999999"),
        (std::f64::consts::PI, "3.141592653589793"),
        (1e-4, "0.0001"),
        (0.00012345, "0.00012345"),
        (1e-5, "1e-05"),
        (1e-7, "1e-07"),
        (1.5e-10, "1.5e-10"),
        (5e-324, "4.940656458412465e-324"),
        (0.3, "0.3"),
        (2.5, "2.5"),
        (1234.5, "1234.5"),
        (100.25, "100.25"),
        (123456789012345.6, "123456789012345.6"),
        (1234567890123456.7, "1234567890123457"),
        (4503599627370495.5, "4503599627370496"),
        (4503599627370494.5, "4503599627370494"),
        (1e23, "9.999999999999999e+22"),
        (0.9999999999999999, "0.9999999999999999"),
        (9.999999999999998, "9.999999999999998"),
        (999999999999999.9, "999999999999999.9"),
        (1700000000.123457, "1700000000.123457"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
        (-f64::NAN, "-nan"),
    ];
    for (value, expected) in cases {
        assert_eq!(written(&Tree::float(*value), Options::default()), *expected);
    }
    let options = Options {
        nan_to_null: true,
        ..Options::default()
    };
    assert_eq!(written(&Tree::float(f64::NAN), options), "null");
    assert_eq!(written(&Tree::float(f64::INFINITY), options), "inf");
}

#[test]
fn of_equal_keys_the_last_is_written() {
    let cases: &[(&str, &str)] = &[
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2,"a":3}"#),
        (r#"{"a":1,"a":2,"b":3}"#, r#"{"a":2,"b":3}"#),
        (r#"{"a":1,"a":2,"a":3}"#, r#"{"a":3}"#),
        (
            r#"{"a":{"x":1,"x":2},"b":[{"y":1,"y":2}]}"#,
            r#"{"a":{"x":2},"b":[{"y":2}]}"#,
        ),
        (r#"{"":1,"":2}"#, r#"{"":2}"#),
        (r#"{"a":1,"\u0061":2,"A":3}"#, r#"{"a":2,"A":3}"#),
    ];
    let mut writer = Writer::default();
    for (json, expected) in cases {
        let mut batch = batch(*json);
        let span = batch.span(0..json.len());
        let (fields, _) = super::super::read::object(&mut batch, span).expect("valid");
        let mut out = Vec::new();
        writer.object(&batch, fields, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), *expected);
    }
}

#[test]
fn keys_that_are_not_text_get_quotes_and_are_never_duplicates() {
    let key = |tree: Tree, value| (tree, Tree::Int(value));
    let tree = Tree::Map(vec![
        key(Tree::Int(1), 0),
        key(Tree::Int(1), 1),
        key(Tree::Null, 2),
        key(Tree::float(1.5), 3),
        key(Tree::Bin(b"a\"".to_vec()), 4),
        key(text("a\""), 5),
        key(Tree::Array(vec![Tree::Int(1), text("x")]), 6),
        key(map([]), 7),
    ]);
    let expected = r#"{"1":0,"1":1,"null":2,"1.5":3,"a\"":4,"a\"":5,"[1,\"x\"]":6,"{}":7}"#;
    assert_eq!(written(&tree, Options::default()), expected);
}

#[test]
fn large_maps_lose_their_duplicates_too() {
    let pairs: Vec<(Tree, Tree)> = (0..1000)
        .map(|index| (Tree::text(&format!("k{}", index % 400)), Tree::Int(index)))
        .collect();
    let expected: Vec<String> = (600..1000)
        .map(|index| format!("\"k{}\":{index}", index % 400))
        .collect();
    assert_eq!(
        written(&Tree::Map(pairs), Options::default()),
        format!("{{{}}}", expected.join(","))
    );
}

/// Objects with the keys of the one before, with others, with the same at other places.
#[test]
fn remembered_keys_are_the_right_ones() {
    let objects = [
        r#"{"a":1,"b":2}"#,
        r#"{"a":3,"b":4}"#,
        r#"{"b":5,"a":6}"#,
        r#"{"a":7}"#,
        r#"{}"#,
        r#"{"a":8,"c":9}"#,
        r#"{"é\n":1,"b":"x"}"#,
        r#"{"é\n":2,"b":"y"}"#,
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"a":1,"b":2,"c":3}"#,
    ];
    let source = objects.concat();
    let mut writer = Writer::default();
    for _ in 0..2 {
        let mut batch = batch(source.clone());
        let mut at = 0;
        let mut records = Vec::new();
        for json in objects {
            let span = batch.span(at..at + json.len());
            records.push(
                super::super::read::object(&mut batch, span)
                    .expect("valid")
                    .0,
            );
            at += json.len();
        }
        for fields in records {
            let (mut learned, mut fresh) = (Vec::new(), Vec::new());
            writer.object(&batch, fields, &mut learned);
            Writer::default().value(&batch, Value::Map(fields), &mut fresh);
            assert_eq!(
                learned.escape_ascii().to_string(),
                fresh.escape_ascii().to_string()
            );
        }
    }
}

#[test]
fn dates() {
    let formats: &[(&str, &str, &str, &str)] = &[
        ("double", "1700000000.123457", "1700000000.0", "-0.5"),
        (
            "iso8601",
            "\"2023-11-14T22:13:20.123456Z\"",
            "\"2023-11-14T22:13:20.000000Z\"",
            "\"1969-12-31T23:59:59.500000Z\"",
        ),
        ("epoch", "1700000000", "1700000000", "-1"),
        ("Epoch_MS", "1700000000123", "1700000000000", "-500"),
        ("epoch_millis", "1700000000123", "1700000000000", "-500"),
        (
            "epoch_milliseconds",
            "1700000000123",
            "1700000000000",
            "-500",
        ),
        (
            "java_sql_timestamp",
            "\"2023-11-14 22:13:20.123456\"",
            "\"2023-11-14 22:13:20.000000\"",
            "\"1969-12-31 23:59:59.500000\"",
        ),
    ];
    for (name, fraction, whole, before) in formats {
        let format = DateFormat::from_name(name).expect("known");
        let write = |time| {
            let mut out = Vec::new();
            format.write(time, &mut out);
            String::from_utf8(out).expect("UTF-8")
        };
        assert_eq!(
            write(Time::new(1_700_000_000, 123_456_789)),
            *fraction,
            "{name}"
        );
        assert_eq!(write(Time::new(1_700_000_000, 0)), *whole, "{name}");
        assert_eq!(write(Time::from_nanos(-500_000_000)), *before, "{name}");
        assert!(DateFormat::NAMES.contains(&name.to_ascii_lowercase().as_str()));
    }
    assert!(
        DateFormat::NAMES
            .iter()
            .all(|name| DateFormat::from_name(name).is_some())
    );
    assert_eq!(DateFormat::from_name("iso"), None);
}

#[test]
fn days_of_the_calendar() {
    let cases = [
        (-9_223_372_036, "1677-09-21 00:12:44"),
        (951_782_400, "2000-02-29 00:00:00"),
        (951_868_800, "2000-03-01 00:00:00"),
        (4_107_542_400, "2100-03-01 00:00:00"),
        (4_107_542_399, "2100-02-28 23:59:59"),
        (1_735_689_599, "2024-12-31 23:59:59"),
        (9_223_372_036, "2262-04-11 23:47:16"),
    ];
    for (seconds, expected) in cases {
        let mut out = Vec::new();
        DateFormat::JavaSqlTimestamp.write(Time::new(seconds, 0), &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            format!("\"{expected}.000000\"")
        );
    }
}

type Pairs = Vec<(Tree, Tree)>;
/// Date, metadata, body and group of an event, and its text.
type EventCase = (Option<Date>, Pairs, Pairs, Option<Pairs>, &'static str);

#[test]
fn events() {
    let date = |key: &str| {
        Some(Date {
            key: key.as_bytes().into(),
            format: DateFormat::Epoch,
        })
    };
    let body = || vec![(Tree::text("k"), text("v"))];
    let with_date = || {
        vec![
            (Tree::text("date"), text("mine")),
            (Tree::text("k"), text("v")),
        ]
    };
    let meta = || vec![(Tree::text("m"), Tree::Int(1))];
    let cases: [EventCase; 9] = [
        (date("date"), vec![], body(), None, r#"{"date":5,"k":"v"}"#),
        (None, vec![], body(), None, r#"{"k":"v"}"#),
        (date("@\"t"), vec![], vec![], None, r#"{"@\"t":5}"#),
        (None, vec![], vec![], None, "{}"),
        (
            date("date"),
            vec![],
            with_date(),
            None,
            r#"{"date":"mine","k":"v"}"#,
        ),
        (
            date("date"),
            meta(),
            body(),
            None,
            r#"{"date":5,"__internal__":{"log_metadata":{"m":1}},"k":"v"}"#,
        ),
        (
            None,
            meta(),
            vec![],
            Some(body()),
            r#"{"__internal__":{"group_attributes":{"k":"v"},"log_metadata":{"m":1}}}"#,
        ),
        (
            None,
            vec![],
            body(),
            Some(meta()),
            r#"{"__internal__":{"group_attributes":{"m":1},"log_metadata":{}},"k":"v"}"#,
        ),
        (None, vec![], body(), Some(vec![]), r#"{"k":"v"}"#),
    ];
    let mut writer = Writer::default();
    for (date, metadata, body, group, expected) in cases {
        let mut batch = batch("");
        let group = group.map(|group| put_map(&group, &mut batch));
        let metadata = put_map(&metadata, &mut batch);
        let body = put_map(&body, &mut batch);
        let record = Record {
            time: Time::new(5, 0),
            metadata,
            body,
            marker: Marker::None,
            ..Record::default()
        };
        let mut out = b"[".to_vec();
        writer.event(&batch, &record, group, date.as_ref(), &mut out);
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            format!("[{expected}")
        );
    }
}

/// What a JSON reader makes of the text that is written for a tree, by the rules of this module.
fn expected_value(tree: &Tree) -> serde_json::Value {
    match tree {
        Tree::Null => serde_json::Value::Null,
        Tree::Bool(value) => (*value).into(),
        Tree::Int(value) => (*value).into(),
        Tree::Uint(value) => (*value).into(),
        Tree::Float(bits) => format!("{:.15e}", f64::from_bits(*bits))
            .parse::<f64>()
            .expect("a float")
            .into(),
        Tree::Str(bytes) | Tree::Bin(bytes) => expected_text(bytes).into(),
        Tree::Ext(..) => unreachable!("not in these trees"),
        Tree::Array(items) => items.iter().map(expected_value).collect(),
        Tree::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| (expected_key(key), expected_value(value)))
            .collect(),
    }
}

fn expected_key(key: &Tree) -> String {
    match key {
        Tree::Str(bytes) | Tree::Bin(bytes) => expected_text(bytes),
        other => written(other, RAW),
    }
}

fn expected_text(bytes: &[u8]) -> String {
    let invalid =
        |byte: &u8| char::from_u32(0xe000 + u32::from(*byte)).expect("a private character");
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(invalid));
    }
    text
}

/// Trees whose text is JSON: no extensions, no infinities, and nothing overlong that `utf8_chunks` sees differently.
fn is_sayable(tree: &Tree) -> bool {
    let is_plain = |bytes: &[u8]| {
        !bytes.windows(2).any(|pair| {
            matches!(
                pair,
                [0xc0 | 0xc1, 0x80..0xc0] | [0xe0, 0x80..0xa0] | [0xf0, 0x80..0x90]
            )
        })
    };
    match tree {
        Tree::Ext(..) => false,
        Tree::Float(bits) => f64::from_bits(*bits).is_finite(),
        Tree::Str(bytes) | Tree::Bin(bytes) => is_plain(bytes),
        Tree::Array(items) => items.iter().all(is_sayable),
        Tree::Map(pairs) => pairs
            .iter()
            .all(|(key, value)| is_sayable(key) && is_sayable(value)),
        _ => true,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_json_and_means_the_same(tree in any_tree().prop_filter("sayable", is_sayable)) {
        let json = written(&tree, Options::default());
        let value: serde_json::Value = serde_json::from_str(&json).expect(&json);
        let expected = expected_value(&tree);
        prop_assert!(nearly_equal(&value, &expected), "{}\n{}\n{}", json, value, expected);
    }

    #[test]
    fn objects_are_written_as_the_values_that_they_are(maps in prop::collection::vec(any_map(), 1..4)) {
        let mut writer = Writer::default();
        let mut batch = batch("");
        for map in maps {
            let fields = put_map(&map, &mut batch);
            let mut out = Vec::new();
            writer.object(&batch, fields, &mut out);
            prop_assert_eq!(String::from_utf8(out).expect("UTF-8"), written(&Tree::Map(map), Options::default()));
        }
    }

    /// In one pass what takes two: also with the keys of the object before.
    #[test]
    fn nested_objects_are_written_as_strings_of_json(
        maps in prop::collection::vec(any_map(), 1..4),
        texts in prop::collection::vec(bytes(), 0..6),
        escape_unicode: bool,
    ) {
        let options = Options { escape_unicode, nan_to_null: false };
        let (mut writer, mut nested) = (Writer::new(options), NestedWriter::new(options));
        let mut batch = batch("");
        let plain = texts.iter().enumerate().map(|(index, text)| {
            (Tree::text(&format!("k{index}\"")), Tree::Str(text.clone()))
        });
        let plain: Vec<_> = plain.collect();
        for map in maps.into_iter().flat_map(|map| [map, plain.clone()]) {
            let fields = put_map(&map, &mut batch);
            for _ in 0..2 {
                let mut json = Vec::new();
                writer.object(&batch, fields, &mut json);
                let mut expected = b"before ".to_vec();
                writer.string(&json, &mut expected);
                let mut out = b"before \"".to_vec();
                let len = nested.object(&batch, fields, &mut out);
                out.push(b'"');
                prop_assert_eq!(String::from_utf8(out).expect("UTF-8"), String::from_utf8(expected).expect("UTF-8"));
                prop_assert_eq!(len, json.len());
            }
        }
    }

    /// Where a text lies, and what is beside it, makes no difference.
    #[test]
    fn a_text_is_written_the_same_everywhere(before in bytes(), text in bytes(), after in bytes(), escape_unicode: bool) {
        let options = Options { escape_unicode, nan_to_null: false };
        let mut batch = batch([&before[..], &text, &after].concat());
        let span = batch.span(before.len()..before.len() + text.len());
        let mut writer = Writer::new(options);
        let (mut inside, mut alone) = (Vec::new(), Vec::new());
        writer.value(&batch, Value::Str(span), &mut inside);
        writer.string(&text, &mut alone);
        prop_assert_eq!(&inside, &alone);
        let copy = batch.put(&text);
        let mut put = Vec::new();
        writer.value(&batch, Value::Bin(copy), &mut put);
        prop_assert_eq!(&put, &alone);
        prop_assert!(!alone[1..alone.len() - 1].iter().any(|byte| *byte < 0x20 || *byte == 0x7f));
    }

    #[test]
    fn floats_have_sixteen_digits_of_the_exact_value(bits: u64, small in -1e7..1e7, exponent in -30..60i32) {
        for value in [f64::from_bits(bits), small, small * 2f64.powi(exponent)] {
            if !value.is_finite() {
                continue;
            }
            let text = written(&Tree::float(value), Options::default());
            let exact = format!("{value:.15e}");
            prop_assert_eq!(text.parse::<f64>().expect("a float"), if text.ends_with(".0") { value } else { exact.parse::<f64>().expect("a float") });
            prop_assert!(text.ends_with(".0") || text.bytes().filter(u8::is_ascii_digit).count() <= 16 + 5);
        }
    }
}
