use proptest::prelude::*;

use super::*;
use crate::tree::{Tree, batch, bytes, nearly_equal};

/// Reads a value that starts in the middle of a source which goes on after it.
fn read(text: &[u8]) -> Result<(Tree, usize), Error> {
    let source = [b"\"before ", text, b"\" after"].concat();
    let mut batch = batch(source);
    let span = batch.span(8..8 + text.len());
    value(&mut batch, span).map(|(value, len)| (Tree::of(&batch, value), len))
}

fn read_all(text: &[u8]) -> Tree {
    let (tree, len) = read(text).unwrap_or_else(|error| panic!("{error}: {}", text.escape_ascii()));
    assert_eq!(len, text.len(), "{}", text.escape_ascii());
    tree
}

fn map<const N: usize>(pairs: [(&str, Tree); N]) -> Tree {
    Tree::Map(
        pairs
            .into_iter()
            .map(|(key, value)| (Tree::text(key), value))
            .collect(),
    )
}

fn text(bytes: impl AsRef<[u8]>) -> Tree {
    Tree::Str(bytes.as_ref().to_vec())
}

#[test]
fn values() {
    let cases: &[(&str, Tree)] = &[
        ("null", Tree::Null),
        ("true", Tree::Bool(true)),
        ("false", Tree::Bool(false)),
        ("0", Tree::Int(0)),
        ("-0", Tree::Int(0)),
        ("-1", Tree::Int(-1)),
        ("9223372036854775807", Tree::Int(i64::MAX)),
        ("-9223372036854775808", Tree::Int(i64::MIN)),
        ("9223372036854775808", Tree::Uint(1 << 63)),
        ("18446744073709551615", Tree::Uint(u64::MAX)),
        ("18446744073709551616", Tree::float(18446744073709551616.0)),
        ("-9223372036854775809", Tree::float(-9223372036854775808.0)),
        (
            "123456789012345678901234567890",
            Tree::float(123456789012345678901234567890.0),
        ),
        ("1.5", Tree::float(1.5)),
        ("-0.0", Tree::float(-0.0)),
        ("1e3", Tree::float(1000.0)),
        ("1E+3", Tree::float(1000.0)),
        ("25e-1", Tree::float(2.5)),
        ("1e-400", Tree::float(0.0)),
        (
            "2.225073858507201e-308",
            Tree::float(2.225073858507201e-308),
        ),
        ("\"\"", text("")),
        ("\"plain\"", text("plain")),
        ("\"größe 😀\"", text("größe 😀")),
        ("[]", Tree::Array(vec![])),
        (
            "[1,[2,[]],3]",
            Tree::Array(vec![
                Tree::Int(1),
                Tree::Array(vec![Tree::Int(2), Tree::Array(vec![])]),
                Tree::Int(3),
            ]),
        ),
        ("{}", map([])),
        (
            "{\"a\":1,\"b\":{\"c\":[{}]},\"a\":2}",
            map([
                ("a", Tree::Int(1)),
                ("b", map([("c", Tree::Array(vec![map([])]))])),
                ("a", Tree::Int(2)),
            ]),
        ),
        (
            " \t\r\n{ \"a\" : 1 , \"b\" : [ 1 , 2 ]\n}",
            map([
                ("a", Tree::Int(1)),
                ("b", Tree::Array(vec![Tree::Int(1), Tree::Int(2)])),
            ]),
        ),
    ];
    for (json, tree) in cases {
        assert_eq!(read_all(json.as_bytes()), *tree, "{json}");
    }
}

#[test]
fn escapes() {
    let cases: &[(&str, &str)] = &[
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r#"a\"b\"c"#, "a\"b\"c"),
        (r#"\u0041\u00e9\u20ac\u20AC"#, "Aé€€"),
        (r#"\ud83d\ude00\uD83D\uDE00"#, "😀😀"),
        (r#"\u0000"#, "\0"),
        // Half of a pair.
        (r#"\ud83d"#, "\u{fffd}"),
        (r#"\ude00"#, "\u{fffd}"),
        (r#"\ud83dx"#, "\u{fffd}x"),
        (r#"\ud83d\n"#, "\u{fffd}\n"),
        (r#"\ud83d\u0041"#, "\u{fffd}A"),
        (r#"\ud83d\ud83d\ude00"#, "\u{fffd}😀"),
        (r#"\ud83d\u12"#, "\u{fffd}\\u12"),
        // Not four digits.
        (r#"\u"#, "\\u"),
        (r#"\u12"#, "\\u12"),
        (r#"\u12g4"#, "\\u12g4"),
        (r#"\u+123"#, "\\u+123"),
        (r#"\u12\n"#, "\\u12\n"),
    ];
    for (inside, expected) in cases {
        for filler in [0, 3, 10, 15, 16, 17, 40, 100] {
            let filler = "x".repeat(filler);
            let json = format!("\"{filler}{inside}{filler}\"");
            let expected = if *inside == r"\u" && !filler.is_empty() {
                format!("{filler}\\u{filler}")
            } else {
                format!("{filler}{expected}{filler}")
            };
            assert_eq!(read_all(json.as_bytes()), text(expected), "{json}");
        }
    }
}

#[test]
fn what_no_escape_made_is_not_copied() {
    let source = br#"{"key":"value","es\"caped":"\n"}"#;
    let mut batch = batch(&source[..]);
    let span = batch.span(0..source.len());
    let (fields, len) = object(&mut batch, span).expect("valid");
    assert_eq!(len, source.len());
    let fields = batch.fields(fields);
    assert_eq!(fields[0].key.span(), batch.span(2..5));
    assert_eq!(fields[0].value, Value::Str(batch.span(8..13)));
    assert!(fields[1].key.span().is_in_arena());
}

#[test]
fn bytes_that_are_not_utf8_and_controls_are_kept() {
    for inside in [
        &b"\xff\xfe"[..],
        b"\xc3",
        b"a\nb\tc",
        b"\0",
        b"\x7f\x1f",
        b"\xed\xa0\x80",
    ] {
        let json = [b"\"", inside, b"\""].concat();
        assert_eq!(read_all(&json), text(inside));
        let escaped = [b"\"\\n", inside, b"\""].concat();
        assert_eq!(read_all(&escaped), text([b"\n", inside].concat()));
    }
}

#[test]
fn what_follows_is_left_alone() {
    let cases = [
        ("{\"a\":1} trailing", 7),
        ("{}{}", 2),
        ("[1]]", 3),
        ("12abc", 2),
        ("1.5.5", 3),
        ("nullnull", 4),
        ("\"a\"\"", 3),
    ];
    for (json, len) in cases {
        assert_eq!(read(json.as_bytes()).expect(json).1, len, "{json}");
        assert_eq!(skip(json.as_bytes()), Ok(len), "{json}");
    }
    assert_eq!(skip(b" \n 1 "), Ok(4));
}

#[test]
fn only_objects_are_objects() {
    for json in ["[]", "1", "\"a\"", "null", "x", "}", "\u{feff}{}"] {
        let mut batch = batch(json);
        let span = batch.span(0..json.len());
        let expected = Error {
            offset: 0,
            reason: Reason::Expected("an object"),
        };
        assert_eq!(object(&mut batch, span), Err(expected), "{json}");
    }
}

#[test]
fn what_is_not_json() {
    let value = "a value";
    let digit = "a digit";
    let literal = "true, false or null";
    let key = "a key in quotes";
    let object_end = "a comma or a closing brace";
    let array_end = "a comma or a closing bracket";
    let cases: &[(&str, usize, &'static str)] = &[
        ("x", 0, value),
        ("}", 0, value),
        ("\u{feff}{}", 0, value),
        ("'a'", 0, value),
        ("+1", 0, value),
        (".5", 0, value),
        ("nul!", 0, literal),
        ("True", 0, value),
        ("-x", 1, digit),
        ("01", 0, "no digit after a leading zero"),
        ("-01", 1, "no digit after a leading zero"),
        ("1.x", 2, digit),
        ("1ex", 2, digit),
        ("1e+x", 3, digit),
        ("1e400", 0, "a number within the range of floats"),
        ("[1e400]", 1, "a number within the range of floats"),
        ("{1:2}", 1, key),
        ("{a:2}", 1, key),
        ("{\"a\" 2}", 5, "a colon"),
        ("{\"a\":}", 5, value),
        ("{\"a\":1 \"b\":2}", 7, object_end),
        ("{\"a\":1,}", 7, key),
        ("{\"a\":01}", 5, "no digit after a leading zero"),
        ("{\"a\":1]", 6, object_end),
        ("[1 2]", 3, array_end),
        ("[1,]", 3, value),
        ("[,1]", 1, value),
        ("[1}", 2, array_end),
        ("[/* */]", 1, value),
        ("\"\\x41\"", 1, "an escape of JSON"),
        ("\"ab\\'\"", 3, "an escape of JSON"),
        ("{\"a\":\"\\q\"}", 6, "an escape of JSON"),
        ("{\"a\\q\":1}", 3, "an escape of JSON"),
    ];
    for (json, offset, reason) in cases {
        let expected = Error {
            offset: *offset,
            reason: Reason::Expected(reason),
        };
        assert_eq!(read(json.as_bytes()), Err(expected), "{json}");
        assert_eq!(skip(json.as_bytes()), Err(expected), "{json}");
    }
    let error = read(b"[1 2]").expect_err("malformed");
    assert_eq!(
        error.to_string(),
        "expected a comma or a closing bracket at byte 3"
    );
}

#[test]
fn depth_is_limited() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert!(read(nested(MAX_DEPTH).as_bytes()).is_ok());
        let expected = Error {
            offset: MAX_DEPTH * open.len(),
            reason: Reason::Depth,
        };
        assert_eq!(read(nested(MAX_DEPTH + 1).as_bytes()), Err(expected));
        assert_eq!(read(open.repeat(1_000_000).as_bytes()), Err(expected));
    }
}

#[test]
fn text_in_the_arena_is_read_too() {
    let mut batch = batch("source");
    let before = batch.put(b"earlier");
    let span = batch.put(br#"{"a":"plain","b":"l\n","c":[{"d":"\u00e9"}]}"#);
    let (value, len) = value(&mut batch, span).expect("valid");
    assert_eq!(len, span.len());
    let inner = Tree::Array(vec![map([("d", text("é"))])]);
    assert_eq!(
        Tree::of(&batch, value),
        map([("a", text("plain")), ("b", text("l\n")), ("c", inner)])
    );
    assert_eq!(batch.bytes(before), b"earlier");
    // And again from what was decoded.
    let span = batch.put(br#""{\"x\":\"\\n\"}""#);
    let Ok((Value::Str(inner), _)) = super::value(&mut batch, span) else {
        panic!("text")
    };
    let (fields, _) = object(&mut batch, inner).expect("valid");
    assert_eq!(
        Tree::of(&batch, Value::Map(fields)),
        map([("x", text("\n"))])
    );
}

#[test]
fn nothing_is_left_of_a_text_that_fails() {
    let json = r#"{"a":"\n","b":[1,{"c":2}],"d":!}"#;
    let mut batch = batch(json);
    let span = batch.span(0..json.len());
    let (fields, arena) = (batch.mark(), batch.put(b""));
    assert!(object(&mut batch, span).is_err());
    assert_eq!((batch.mark(), batch.put(b"")), (fields, arena));
    let good = batch.put(br#"{"a":[1]}"#);
    let (fields, _) = object(&mut batch, good).expect("valid");
    assert_eq!(
        Tree::of(&batch, Value::Map(fields)),
        map([("a", Tree::Array(vec![Tree::Int(1)]))])
    );
}

/// JSON text of a tree, written in any of the ways that mean the same, and the tree.
fn any_json() -> impl Strategy<Value = (String, Tree)> {
    let number = prop_oneof![
        any::<i64>().prop_map(|value| (value.to_string(), Tree::Int(value))),
        (i64::MAX as u64 + 1..).prop_map(|value| (value.to_string(), Tree::Uint(value))),
        any::<f64>()
            .prop_map(|value| (format!("{value:?}"), value))
            .prop_map(|(text, value)| {
                let text = if text.contains(['.', 'e']) {
                    text
                } else {
                    text + "e0"
                };
                (text, Tree::float(value))
            }),
    ];
    let scalar = prop_oneof![
        Just(("null".to_owned(), Tree::Null)),
        any::<bool>().prop_map(|value| (value.to_string(), Tree::Bool(value))),
        number,
        any_string().prop_map(|(json, value)| (json, Tree::Str(value.into_bytes()))),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        let item = move || (space(), inner.clone(), space());
        let array = prop::collection::vec(item(), 0..4).prop_map(|items| {
            let texts: Vec<String> = items
                .iter()
                .map(|(a, (json, _), b)| format!("{a}{json}{b}"))
                .collect();
            (
                format!("[{}]", texts.join(",")),
                Tree::Array(items.into_iter().map(|(_, (_, tree), _)| tree).collect()),
            )
        });
        let pair = (space(), any_string(), space(), item());
        let object = prop::collection::vec(pair, 0..4).prop_map(|pairs| {
            let texts: Vec<String> = pairs
                .iter()
                .map(|(a, (key, _), b, (c, (json, _), d))| format!("{a}{key}{b}:{c}{json}{d}"))
                .collect();
            let tree = pairs
                .into_iter()
                .map(|(_, (_, key), _, (_, (_, tree), _))| (Tree::Str(key.into_bytes()), tree));
            (
                format!("{{{}}}", texts.join(",")),
                Tree::Map(tree.collect()),
            )
        });
        prop_oneof![array, object]
    })
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["", "", "", " ", "\n", " \t\r\n "][..])
}

/// A JSON string with its quotes, some characters escaped, and what it means.
fn any_string() -> impl Strategy<Value = (String, String)> {
    let character = prop_oneof![4 => (b' '..=b'~').prop_map(|byte| char::from(byte).to_string()), 1 => any::<char>().prop_filter("plain", |&character| character >= ' ').prop_map(String::from), 1 => prop::sample::select(&["\"", "\\", "\n", "😀"][..]).prop_map(str::to_owned)];
    prop::collection::vec((character, 0..4u8), 0..20).prop_map(|characters| {
        let (mut json, mut value) = ("\"".to_owned(), String::new());
        for (character, how) in characters {
            value.push_str(&character);
            match (character.as_str(), how) {
                ("\"" | "\\" | "/", _) => json.extend(["\\", &character]),
                ("\n", _) => json.push_str("\\n"),
                (_, 0) => character
                    .encode_utf16()
                    .for_each(|unit| json.push_str(&format!("\\u{unit:04X}"))),
                _ => json.push_str(&character),
            }
        }
        json.push('"');
        (json, value)
    })
}

/// What serde_json makes of the same text, where it keeps everything that the tree has.
fn as_serde(tree: &Tree) -> serde_json::Value {
    match tree {
        Tree::Null => serde_json::Value::Null,
        Tree::Bool(value) => (*value).into(),
        Tree::Int(value) => (*value).into(),
        Tree::Uint(value) => (*value).into(),
        Tree::Float(bits) => f64::from_bits(*bits).into(),
        Tree::Str(text) => String::from_utf8(text.clone()).expect("UTF-8").into(),
        Tree::Array(items) => items.iter().map(as_serde).collect(),
        Tree::Map(pairs) => {
            let name = |key: &Tree| as_serde(key).as_str().expect("text").to_owned();
            pairs
                .iter()
                .map(|(key, value)| (name(key), as_serde(value)))
                .collect()
        }
        Tree::Bin(_) | Tree::Ext(..) => unreachable!("JSON has none"),
    }
}

proptest! {
    #[test]
    fn any_json_is_read((json, tree) in any_json()) {
        prop_assert_eq!(read_all(json.as_bytes()), tree.clone());
        prop_assert_eq!(skip(json.as_bytes()), Ok(json.len()));
        let serde: serde_json::Value = serde_json::from_str(&json).expect("valid");
        prop_assert!(nearly_equal(&serde, &as_serde(&tree)), "{} {}", serde, as_serde(&tree));
    }

    #[test]
    fn every_prefix_is_incomplete((json, tree) in any_json()) {
        let is_number = matches!(tree, Tree::Int(_) | Tree::Uint(_) | Tree::Float(_));
        for len in 0..json.len() {
            let result = read(&json.as_bytes()[..len]);
            match result {
                Err(error) => prop_assert!(error.is_incomplete() && error.offset == len, "{} at {}", error, len),
                Ok((_, consumed)) => prop_assert!(is_number && consumed == len),
            }
        }
    }

    /// Damaged text: what serde_json accepts is accepted and means the same.
    #[test]
    fn agrees_with_serde_json((json, _) in any_json(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3)) {
        let mut json = json.into_bytes();
        for (at, byte) in changes {
            let at = at.index(json.len());
            json[at] = byte;
        }
        let ours = read(&json).ok().filter(|(_, len)| json[*len..].trim_ascii().is_empty());
        if let Ok(serde) = serde_json::from_slice::<serde_json::Value>(&json) {
            let ours = ours.map(|(tree, _)| as_serde(&tree)).expect("valid JSON");
            prop_assert!(nearly_equal(&ours, &serde), "{} {}", ours, serde);
        }
    }

    /// The quick ways for short numbers give what the standard library gives.
    #[test]
    fn numbers_are_the_nearest_ones(sign in "-?", whole in "0|[1-9][0-9]{0,20}", decimals in "|[.][0-9]{1,26}", end in "|,|e", behind in "|[0-9.eE]{0,4} {30}") {
        let number = format!("{sign}{whole}{decimals}");
        let text = format!("{number}{end}");
        let mut batch = batch("");
        // What lies behind the text does not belong to it.
        let span = batch.put(format!("{text}{behind}").as_bytes()).slice(0..text.len());
        let result = value(&mut batch, span);
        if end == "e" {
            prop_assert!(result.is_err());
            return Ok(());
        }
        let (read, used) = result.expect("a number");
        let expected = match (number.parse::<i64>(), number.parse::<u64>()) {
            (Ok(number), _) => Tree::Int(number),
            (_, Ok(number)) => Tree::Uint(number),
            _ => Tree::float(number.parse().expect("a float")),
        };
        prop_assert_eq!((Tree::of(&batch, read), used), (expected, number.len()));
    }

    #[test]
    fn any_bytes_are_harmless(text in bytes(), start in prop::sample::select(&["", "{", "[", "\"", "{\"a\":\"", "-"][..])) {
        let text = [start.as_bytes(), &text].concat();
        match (read(&text), skip(&text)) {
            (Ok((_, len)), skipped) => {
                prop_assert!(len <= text.len());
                prop_assert_eq!(skipped, Ok(len));
            }
            (Err(error), skipped) => {
                prop_assert!(error.offset <= text.len());
                prop_assert_eq!(skipped, Err(error));
            }
        }
    }
}

#[test]
fn numbers_of_a_megabyte_are_read_or_refused() {
    let digits = "9".repeat(1 << 20);
    for json in [
        digits.clone(),
        format!("1e{digits}"),
        format!("-{digits}.{digits}"),
    ] {
        let expected = Error {
            offset: 0,
            reason: Reason::Expected("a number within the range of floats"),
        };
        assert_eq!(read(json.as_bytes()), Err(expected));
    }
    assert_eq!(read_all(format!("0.{digits}").as_bytes()), Tree::float(1.0));
    assert_eq!(read_all(format!("0e{digits}").as_bytes()), Tree::float(0.0));
}
