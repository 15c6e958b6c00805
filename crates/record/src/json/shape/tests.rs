use proptest::prelude::*;

use super::*;
use crate::json::read;
use crate::tree::{Tree, batch};

/// What follows the texts in their source.
const REST: &str = "\"\\u12\\ ";

fn shapes() -> [Shape; 2] {
    let portable = Shape {
        has_avx2: false,
        ..Shape::default()
    };
    [Shape::default(), portable]
}

/// Reads all texts twice, with a shape and without, and compares what comes of it: how many were as expected.
fn check(shape: &mut Shape, texts: &[Vec<u8>], padding: usize) -> usize {
    let mut source = texts.concat();
    source.extend(REST.bytes().cycle().take(padding));
    let (mut one, mut other) = (batch(source.clone()), batch(source));
    let (mut start, mut found) = (0, 0);
    for text in texts {
        let span = one.span(start..start + text.len());
        start += text.len();
        found += usize::from(check_one(shape, &mut one, &mut other, span));
    }
    assert_eq!(one.put(b"end"), other.put(b"end"), "the arenas differ");
    found
}

/// The same for one text, which lies in both batches.
fn check_one(shape: &mut Shape, one: &mut Batch, other: &mut Batch, span: Span) -> bool {
    let expected = read::object(other, span);
    let mark = one.mark();
    let shown = || String::from_utf8_lossy(other.bytes(span)).into_owned();
    let Some(found) = shape.read(one, span) else {
        assert_eq!(one.mark(), mark);
        let fields = read::object(one, span);
        assert_eq!(fields, expected);
        if let Ok((fields, _)) = fields {
            shape.learn(one, span, fields);
        }
        return false;
    };
    let (fields, used) = expected.unwrap_or_else(|error| panic!("{error}: {}", shown()));
    assert_eq!(
        used,
        other.bytes(span).trim_ascii_end().len(),
        "{}",
        shown()
    );
    let tree = |batch: &Batch, fields| Tree::of(batch, Value::Map(fields));
    assert_eq!(tree(one, found.fields), tree(other, fields), "{}", shown());
    for (index, field) in one.fields(found.fields).iter().enumerate() {
        let Value::Str(text) = field.value else {
            continue;
        };
        let is_marked = found.backslashes >> index & 1 != 0;
        assert!(
            is_marked || !one.bytes(text).contains(&b'\\'),
            "{}",
            shown()
        );
    }
    true
}

/// Lines as Docker writes them.
fn docker(logs: &[&str]) -> Vec<Vec<u8>> {
    let lines = logs.iter().map(|log| {
        format!(r#"{{"log":"{log}\n","stream":"stdout","time":"2026-11-28T19:26:23.803123456Z"}}"#)
    });
    lines.map(String::into_bytes).collect()
}

#[test]
fn lines_of_one_program_are_as_expected() {
    let logs = [
        r#"192.168.0.1 - - [28/Nov/2026] \"GET / HTTP/1.1\" 200 612 \"-\" \"curl/8.11\""#,
        "",
        r#"\""#,
        r"C:\\temp\\ \\\\",
        r#"\\\"\\"#,
        r"\u001b[32mINFO\u001b[0m a \u003c b \u00e9 \u20ac \u005c \b\f\n\r\t\/",
        &"x".repeat(1000),
    ];
    for mut shape in shapes() {
        assert_eq!(check(&mut shape, &docker(&logs), BEHIND), logs.len() - 1);
    }
}

#[test]
fn escapes_at_every_place_of_a_window() {
    let escapes = [
        r#"\""#,
        r"\\",
        r"\n",
        r"\u00e9",
        r"\u20AC",
        r"\u005c",
        r"\\\\",
        r#"\\\""#,
        r#"\"\""#,
        r"\\n",
        r"\u000a\u000A",
        r"\ud83d\ude00",
        r"\ud83d",
        r"\u12",
        r"\u12g4",
        r"\",
        r"\q",
        r"\u",
    ];
    for mut shape in shapes() {
        for escape in escapes {
            for before in 0..3 * WINDOW {
                for after in [0, 1, 2, WINDOW] {
                    let log = format!("{}{escape}{}", "a".repeat(before), "z".repeat(after));
                    check(&mut shape, &docker(&["first", &log, &log, "last"]), BEHIND);
                }
            }
        }
    }
}

#[test]
fn what_is_rare_or_wrong_is_left_to_others() {
    let expected = |texts: &[&str], padding| {
        let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        let found = shapes().map(|mut shape| check(&mut shape, &texts, padding));
        assert_eq!(found[0], found[1]);
        found[0]
    };
    let object = r#"{"a":"b"}"#;
    assert_eq!(expected(&[object, object], BEHIND), 1);
    assert_eq!(expected(&[object, object], BEHIND - 1), 0);
    let blanks = " { \"a\" :\t\"b\" , \"c\" : \"\" }\r\n";
    assert_eq!(expected(&[blanks, blanks], BEHIND), 1);
    for other in [
        r#"{"a":"\ud83d\ude00"}"#,
        r#"{"a":"\ud83d"}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":1}"#,
        r#"{"a":"b","a":"c"}"#,
        r#"{"b":"b"}"#,
        r#"{"a":"b"} "#,
        r#"{"a":"b"}{"a":"b"}"#,
        r#"{"a":"b"#,
        r#"{"a":"b\"#,
        r#"{"a":"b""#,
        r#"{"a":"#,
        "",
    ] {
        assert_eq!(expected(&[object, other], BEHIND), 0, "{other}");
    }
    for other in [
        r#"{"\u0061":"b"}"#,
        r#"{"a\\":"b"}"#,
        r#"{"a":[1,{"b":2}]}"#,
        r#"{"a":[[]]}"#,
        r#"{"a":1}x"#,
    ] {
        assert_eq!(expected(&[other, other], BEHIND), 0, "{other}");
    }
    for other in [
        "{}",
        r#"{"a":{}}"#,
        r#"{"a":1}"#,
        r#"{"a":-1.5e3,"b":[]} "#,
        r#"{ "a" : [ 1 , "\u0061" , null , 2.5 ] , "b" : true }"#,
        r#"{"a":{"b":"c","d":{"e":[1],"f":{}}},"g":null}"#,
        r#"{"a key of more than what is compared at once":"b","another one of more than what is compared at once":1}"#,
    ] {
        assert_eq!(expected(&[other, other, other], BEHIND), 2, "{other}");
    }
}

#[test]
fn values_of_other_kinds_come_in_the_same_place() {
    let texts = [
        r#"{"a":"b","c":{"d":null}}"#,
        r#"{"a":1,"c":{"d":"e"}}"#,
        r#"{"a":"\"","c":{"d":1.5}}"#,
        r#"{"a":null,"c":{"d":"\\"}}"#,
        r#"{"a":true,"c":{"d":-1}}"#,
        r#"{"a":"b","c":{"d":false}}"#,
    ];
    let texts = texts.map(|text| text.as_bytes().to_vec());
    for mut shape in shapes() {
        // One of the first two is not as expected.
        assert_eq!(check(&mut shape, &texts, BEHIND), texts.len() - 2);
    }
}

#[test]
fn texts_of_the_arena_are_read_too() {
    let texts = docker(&["one", r#"\"two\" \\ \u00e9"#, "three"]);
    for mut shape in shapes() {
        let (mut one, mut other) = (batch(""), batch(""));
        let found = texts.iter().filter(|text| {
            let padded = [text, REST.repeat(BEHIND).as_bytes()].concat();
            let span = one.put(&padded).slice(0..text.len());
            assert_eq!(other.put(&padded).slice(0..text.len()), span);
            check_one(&mut shape, &mut one, &mut other, span)
        });
        assert_eq!(found.count(), 2);
    }
}

#[test]
fn objects_that_always_differ_are_rarely_looked_at() {
    let texts = [r#"{"a":"b"}"#, r#"{"b":"b"}"#].map(|text| text.as_bytes().to_vec());
    let texts: Vec<_> = texts.into_iter().cycle().take(10_000).collect();
    for mut shape in shapes() {
        assert_eq!(check(&mut shape, &texts, BEHIND), 0);
        assert_eq!(shape.next_pause, PAUSE_MAX);
        // Where they no longer differ, they are soon.
        let found = check(&mut shape, &vec![texts[0].clone(); 1000], BEHIND);
        assert!(found >= 1000 - 2 * PAUSE_MAX as usize, "{found}");
        assert_eq!(shape.next_pause, 0);
    }
}

/// Pieces of strings: what matters, and what fills windows.
fn string() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        r#"\""#,
        r"\\",
        r"\/",
        r"\n",
        r"\b",
        r"\u0000",
        r"\u005C",
        r"\u00e9",
        r"\u20ac",
        r"\uFFFF",
        r"\ud83d\ude00",
        "é",
        "\t",
        ":",
        ",",
        "{",
        "}",
        "a",
        "bc",
        "0123456789",
        "the quick brown fox jumps over it",
    ];
    let piece = prop::sample::select(pieces.to_vec());
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Numbers and other values that hold no others.
fn single() -> impl Strategy<Value = Vec<u8>> {
    let number = "-?(0|[1-9][0-9]{0,17}|0[0-9])([.][0-9]{0,17})?([eE][+-]?[0-9]{0,2})?";
    let common = ["null", "true", "false", "1", "20.5", "nul", "", "truefalse"];
    prop_oneof![
        number.prop_map(String::into_bytes),
        prop::sample::select(common.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        string().prop_map(|text| [b"\"", &text[..], b"\""].concat()),
    ]
}

/// Arrays of these and, rarely, of others.
fn array() -> impl Strategy<Value = Vec<u8>> {
    let blank = prop::sample::select(vec!["", "", " ", "\r\n\t"]);
    let other = prop::sample::select(vec!["[]", "{\"a\":1}", ",", "]"]);
    let item = prop_oneof![
        20 => single(),
        1 => other.prop_map(|text| text.as_bytes().to_vec()),
    ];
    (prop::collection::vec(item, 0..4), blank).prop_map(|(items, blank)| {
        let between = format!("{blank},{blank}");
        let items = items.join(between.as_bytes());
        [b"[", blank.as_bytes(), &items, blank.as_bytes(), b"]"].concat()
    })
}

/// An object with other values than text, and with maps.
fn application() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::option::weighted(0.1, 0..4_usize);
    (string(), single(), single(), array(), odd).prop_map(|(text, one, two, items, odd)| {
        let parts: [&[u8]; 11] = [
            b"{\"message\":\"",
            &text,
            b"\",\"order\":{\"id\":",
            &one,
            match odd {
                Some(0) => b" ,\"items\": ",
                Some(1) => b",\"id\":",
                _ => b",\"items\":",
            },
            &items,
            match odd {
                Some(2) => {
                    b",\"empty\":{}},\"a key that is longer than all that is compared at once\":"
                }
                _ => b"},\"a key that is longer than all that is compared at once\":",
            },
            &two,
            b",\"message\":",
            &one,
            match odd {
                Some(3) => b"} \t",
                _ => b"}",
            },
        ];
        parts.concat()
    })
}

/// Objects of one kind.
fn objects() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![
        prop::collection::vec(object(), 1..12),
        prop::collection::vec(application(), 1..12),
    ]
}

/// An object of strings, some of them with other keys, blanks or values than the others.
fn object() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::option::weighted(0.1, 0..8_usize);
    (prop::array::uniform3(string()), odd).prop_map(|(values, odd)| {
        let [log, stream, time] = values;
        let (mut open, mut second, mut third, mut end) =
            (r#"{"log":""#, r#"","stream":""#, r#"","time":""#, r#""}"#);
        match odd {
            Some(0) => second = r#"", "stream": ""#,
            Some(1) => third = r#"","time":1,"x":""#,
            Some(2) => open = r#" {"log":""#,
            Some(3) => end = r#"","more":null}"#,
            Some(4) => (second, third) = (third, second),
            Some(5) => end = "\"} \t",
            Some(6) => end = "\"",
            Some(7) => third = r#"\","time":""#,
            _ => {}
        }
        let parts: [&[u8]; 7] = [
            open.as_bytes(),
            &log,
            second.as_bytes(),
            &stream,
            third.as_bytes(),
            &time,
            end.as_bytes(),
        ];
        parts.concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn fields_are_those_of_the_reader(
        texts in objects(),
        padding in BEHIND - 40..BEHIND + 40,
    ) {
        for mut shape in shapes() {
            check(&mut shape, &texts, padding);
        }
    }

    #[test]
    fn damaged_objects_too(
        texts in objects(),
        damage in (any::<prop::sample::Index>(), prop::sample::select(&b"\"\\u,:{} \x00a"[..])),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut texts = [texts.clone(), texts].concat();
        if let Some(last) = texts.last_mut() {
            let at = damage.0.index(last.len());
            last[at] = damage.1;
            last.truncate(cut.map_or(last.len(), |cut| cut.index(last.len() + 1)));
        }
        for mut shape in shapes() {
            check(&mut shape, &texts, BEHIND);
        }
    }
}
