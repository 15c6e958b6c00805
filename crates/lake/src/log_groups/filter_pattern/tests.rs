//! Patterns held against events; the outcomes are what the service answered or documents.

use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, message: &str) -> bool {
    match FilterPattern::parse(pattern) {
        Ok(parsed) => parsed.matches(message),
        Err(error) => panic!("{pattern}: {error}"),
    }
}

/// Checks which of `messages` fit a pattern.
fn check(messages: &[&str], pattern: &str, fitting: &[usize]) {
    let found: Vec<usize> = (0..messages.len())
        .filter(|index| matches(pattern, messages[*index]))
        .collect();
    assert_eq!(found, fitting, "{pattern}");
}

const TERMS: [&str; 10] = [
    "ERROR ARGUMENTS REQUEST",
    "ERROR BAD REQUEST",
    "INFO ARGUMENTS",
    "error arguments request",
    "ERROR INTERNAL SERVER ERROR",
    "ERROR INTERNAL  SERVER ERROR",
    "TERROR REQUEST",
    "ERROR_ARGUMENTS",
    "say \"hello world\" now",
    "ERROR\nARGUMENTS",
];

#[test]
fn terms() {
    for (pattern, fitting) in [
        ("", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9][..]),
        ("  ", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("ERROR", &[0, 1, 4, 5, 6, 7, 9]),
        ("ERROR ARGUMENTS", &[0, 7, 9]),
        ("ARGUMENTS ERROR", &[0, 7, 9]),
        ("ERROR -ARGUMENTS", &[1, 4, 5, 6]),
        ("-ERROR", &[2, 3, 8]),
        ("\"INTERNAL SERVER\"", &[4]),
        ("-\"INTERNAL SERVER\" INTERNAL", &[5]),
        ("?INFO ?BAD", &[1, 2]),
        ("?INFO ?BAD TERROR", &[6]),
        ("?INFO -TERROR", &[0, 1, 2, 3, 4, 5, 7, 8, 9]),
        ("\"hello world\"", &[8]),
        (r#""\"hello""#, &[8]),
        ("\" \"", &[0, 1, 2, 3, 4, 5, 6, 8]),
        ("ERROR_ARG", &[7]),
        ("%^ERROR%", &[0, 1, 4, 5, 7, 9]),
        ("?%^INFO% ?%now$%", &[2, 8]),
    ] {
        check(&TERMS, pattern, fitting);
    }
}

#[test]
fn regular_expressions() {
    let messages = [
        "ERROR 500",
        "ERROR 50",
        "ERROR 5000",
        "color",
        "colour",
        "colouur",
        "10.10.0.1",
        "10010,051",
        "aaab",
        "café",
    ];
    for (pattern, fitting) in [
        (r"%[4-5][0-9]{2}%", &[0, 2][..]),
        (r"%^ERROR\s5\d{2}$%", &[0]),
        (r"%colou?r%", &[3, 4]),
        (r"%colou*r$%", &[3, 4, 5]),
        (r"%10\.10\.0\.1%", &[6]),
        (r"%10.10.0.1%", &[6, 7]),
        (r"%^a{,3}b$%", &[8]),
        (r"%\x61{3}%", &[8]),
        (r"%caf\W%", &[9]),
        (r"ERROR %50$%", &[1]),
        ("%5000|colour%", &[2, 4]),
    ] {
        check(&messages, pattern, fitting);
    }
}

const SCALARS: [&str; 22] = [
    "{}",
    r#"{"v":null}"#,
    r#"{"v":"null"}"#,
    r#"{"v":true}"#,
    r#"{"v":false}"#,
    r#"{"v":0}"#,
    r#"{"v":1}"#,
    r#"{"v":1.0}"#,
    r#"{"v":1e0}"#,
    r#"{"v":"1"}"#,
    r#"{"v":"1.0"}"#,
    r#"{"v":-1}"#,
    r#"{"v":10}"#,
    r#"{"v":"Alpha"}"#,
    r#"{"v":"Alphabet"}"#,
    r#"{"v":[1,"Alpha",null]}"#,
    r#"{"v":{}}"#,
    r#"{"v":1,"v":2}"#,
    "not JSON",
    r#"[{"v":1}]"#,
    "{broken",
    r#"{"v":1} x"#,
];

#[test]
fn json_values() {
    for (pattern, fitting) in [
        ("{ $.v = 1 }", &[6, 7, 8, 9][..]),
        ("{$.v=1.0}", &[6, 7, 8, 10]),
        ("{ $.v = \"1\" }", &[6, 9]),
        ("{ $.v != 1 }", &[2, 5, 10, 11, 12, 13, 14, 17]),
        ("{ $.v > 0 }", &[6, 7, 8, 12, 17]),
        ("{ $.v >= 1 && $.v < 10 }", &[6, 7, 8, 17]),
        ("{ $.v <= -1 }", &[11]),
        ("{ $.v = \"Alpha\" }", &[13]),
        ("{ $.v = Alpha* }", &[13, 14]),
        ("{ $.v = \"*pha*\" }", &[13, 14]),
        (
            "{ $.v = \"*\" }",
            &[2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17],
        ),
        ("{ $.v = %^Al% }", &[13, 14]),
        ("{ $.v != %^Al% }", &[2, 5, 6, 7, 8, 9, 10, 11, 12, 17]),
        ("{ $.v IS NULL }", &[1, 15]),
        ("{ $.v is true }", &[3]),
        ("{ $.v IS FALSE }", &[4]),
        ("{ $.v NOT EXISTS }", &[0]),
        ("{ $.v = \"null\" }", &[2]),
        ("{ $.v[0] = 1 }", &[15]),
        ("{ $.v[*] = Alpha }", &[15]),
        (
            "{ $.v[3] NOT EXISTS }",
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
        ),
    ] {
        check(&SCALARS, pattern, fitting);
    }
}

#[test]
fn json_paths_and_logic() {
    let messages = [
        r#"{"nested":{"value":"hit"},"cluster.name":"flat","cluster":{"name":"nested"},"items":[{"a":1,"b":0},{"a":0,"b":2}],"arr":["miss","hit"],"a":1,"b":0,"c":0}"#,
        r#"{"nested":{"value":"miss"},"cluster.name":"nested","cluster":{"name":"flat"},"items":[{"a":1,"b":2}],"arr":["hit","miss"],"a":0,"b":2,"c":3}"#,
        r#"{"nested":null,"arr":[null],"items":[],"a":0,"b":2,"c":0}"#,
        r#"{"nested":{},"arr":[],"a":1,"b":2,"c":3}"#,
        r#"{"arr":{"0":"hit"},"nested":[{"value":"hit"}],"x":{"value":"h\u0069t"}}"#,
    ];
    for (pattern, fitting) in [
        ("{ $.nested.value = \"hit\" }", &[0][..]),
        ("{ $.nested.value NOT EXISTS }", &[2, 3, 4]),
        ("{ $.['cluster.name'] = flat }", &[0]),
        ("{ $[\"cluster.name\"] = flat }", &[0]),
        ("{ $.cluster.name = flat }", &[1]),
        ("{ $.arr[0] = hit }", &[1]),
        ("{ $.arr[*] = hit }", &[0, 1, 4]),
        ("{ $.*.value = hit }", &[0, 4]),
        // Each condition finds an element of its own.
        ("{ $.items[*].a = 1 && $.items[*].b = 2 }", &[0, 1]),
        ("{ $.arr IS NULL }", &[2]),
        ("{ $.a = 1 || $.b = 2 && $.c = 3 }", &[0, 1, 3]),
        ("{ ($.a = 1 || $.b = 2) && $.c = 3 }", &[1, 3]),
        ("{ (($.a=1)) && (($.c=3)) }", &[3]),
    ] {
        check(&messages, pattern, fitting);
    }
}

#[test]
fn fields() {
    let messages = [
        "127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] \"GET /index.html HTTP/1.0\" 404 1534",
        "127.0.0.3 - jane [10/Oct/2000:13:25:17 -0700] \"POST /api HTTP/1.0\" 500 2048",
        "127.0.0.5  -  frank [10/Oct/2000:13:25:19 -0700] \"GET /index.html HTTP/1.0\" 404 1534 extra",
        "127.0.0.6\t-\tfrank\t[10/Oct/2000:13:25:20 -0700]\t\"GET /index.html HTTP/1.0\"\t404\t1534",
        "ERROR request failed",
        "ERROR",
        "ERROR \"two words\"",
        "ERROR \"unterminated words",
    ];
    for (pattern, fitting) in [
        (
            "[ip, id, user, time, request, status, bytes]",
            &[0, 1, 2, 3][..],
        ),
        (
            "[ip,id,user=frank,time,request,status=4*,bytes]",
            &[0, 2, 3],
        ),
        (
            "[ip, id, user, time, request=\"GET*\", status, bytes]",
            &[0, 2, 3],
        ),
        (
            "[ip, id, user, time, request=*html*, status, bytes=1534]",
            &[0, 3],
        ),
        ("[ip, id, user, time, request, status, bytes>2000]", &[1]),
        ("[..., status=404, bytes]", &[0, 3]),
        ("[..., status = 5* || status = 404, bytes]", &[0, 1, 3]),
        ("[ip = 127.*, ..., size > 1000 && size < 2000]", &[0, 3]),
        ("[level=ERROR]", &[5]),
        ("[level=ERROR, rest]", &[4, 6, 7]),
        ("[level, text=\"two words\"]", &[6]),
        ("[level, text=%two.words%]", &[6]),
        ("[level=ERROR, a, b]", &[4, 7]),
        ("[a != ERROR, ...]", &[0, 1, 2, 3]),
        ("[...]", &[0, 1, 2, 3, 4, 5, 6, 7]),
        ("[]", &[0, 1, 2, 3, 4, 5, 6, 7]),
        ("[level = ERROR, ]", &[4, 6, 7]),
        ("[..., request = *.html*, status = 4*, bytes]", &[0, 3]),
    ] {
        check(&messages, pattern, fitting);
    }
}

#[test]
fn fields_are_extracted_by_name_or_number() {
    for (pattern, message, expected) in [
        (
            "[ip, ..., status, bytes]",
            "127.0.0.1 - [a b] \"c d\" 404 15",
            &[
                ("$ip", "127.0.0.1"),
                ("$2", "-"),
                ("$3", "a b"),
                ("$4", "c d"),
                ("$status", "404"),
                ("$bytes", "15"),
            ][..],
        ),
        ("[..., bytes]", "ERROR", &[("$bytes", "ERROR")]),
        (
            "[a, , c]",
            "1 2 3 4 ",
            &[("$a", "1"), ("$2", "2"), ("$c", "3 4")],
        ),
        ("[]", "ERROR \"two", &[("$1", "ERROR"), ("$2", "\"two")]),
        ("ERROR", "ERROR", &[]),
        ("{ $.a = 1 }", "{\"a\":1}", &[]),
    ] {
        let parsed = FilterPattern::parse(pattern).unwrap();
        assert!(parsed.matches(message), "{pattern}");
        let extracted = parsed.extract(message);
        let extracted: Vec<(&str, &str)> = extracted
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        assert_eq!(extracted, expected, "{pattern}");
    }
}

#[test]
fn what_is_no_pattern_is_refused_with_a_place() {
    for (pattern, told) in [
        ("-", "a term is missing"),
        ("ERROR ?", "at character 8"),
        ("foo.bar", "in double quotes"),
        ("\"open", "does not end"),
        ("\"\"", "a term is missing"),
        ("%open", "does not end"),
        ("%(a)%", "'(' is not allowed"),
        ("%a!%", "'!' is not allowed"),
        ("%é%", "is not allowed"),
        (r"%\b%", "not an escape"),
        (
            "%a% %b% %c%",
            "Your input has exceeded the maximum of 2 regular expressions per filter pattern.",
        ),
        ("%[%", "is not a regular expression"),
        ("%[a-z]{1000}{1000}%", "is not a regular expression"),
        ("{ $.a }", "expected one of = !="),
        ("{ $.a = }", "a value is missing"),
        ("{ $.a = null }", "IS NULL"),
        ("{ $.a IS NOT NULL }", "IS is followed by"),
        ("{ $.a EXISTS }", "expected one of"),
        ("{ $.a > \"1\" }", "take an unquoted number"),
        ("{ a = 1 }", "begins with $."),
        ("{ $ = 1 }", "expected . or ["),
        ("{ $.a[x] = 1 }", "expected a number"),
        (
            "{ $.*.* = 1 }",
            "exceeds the maximum of 1 wildcard allowed per json selector.",
        ),
        (
            "{ $.a[*]=1 || $.b[*]=1 || $.c[*]=1 || $.d[*]=1 }",
            "exceeded the maximum of 3 JSON wildcard selectors",
        ),
        ("{ $.a == 1 }", "a value is missing"),
        ("{ $..a = 1 }", "name is missing after the dot"),
        ("{ $.a[-1] = 1 }", "expected a number"),
        ("{ ($.a = 1 }", "expected )"),
        ("{ $.a = 1", "expected &&, || or }"),
        ("{ $.a = 1 } x", "nothing may follow"),
        ("[a, a]", "Duplicate field 'a'"),
        ("[..., ...]", "Duplicate field '...'"),
        ("[a=1", "expected , or ]"),
        ("[a, =1]", "name is missing"),
        ("[a=1 && b=2]", "begin with one name"),
        ("[a] b", "nothing may follow"),
    ] {
        let error = FilterPattern::parse(pattern)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.contains(told), "{pattern}: {error}");
    }
    let deep = format!("{{ {}$.a=1 }}", "(".repeat(1000));
    assert!(
        FilterPattern::parse(&deep)
            .unwrap_err()
            .to_string()
            .contains("too deep")
    );
    assert!(FilterPattern::parse(&"a".repeat(1025)).is_err());
}

#[test]
fn deep_json_is_no_match_and_no_harm() {
    let deep = format!("{{\"v\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!matches("{ $.v[0] NOT EXISTS }", &deep));
}

/// Texts of what patterns and events consist of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "$",
        ".",
        "$.a",
        "*",
        "...",
        ",",
        "=",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "\"",
        "'",
        "\\",
        "%",
        "a",
        "1",
        "-1.5e3",
        "1e999",
        "null",
        "IS NULL",
        "NOT EXISTS",
        "IS",
        "?",
        "-",
        " ",
        "\t",
        "é",
        ":",
        "^",
        "{,2}",
        "\\d",
        "true",
        "\u{0}",
    ]);
    proptest::collection::vec(piece, 0..25).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_panics(pattern in pieces(), brackets in 0..3_usize, message in pieces(), other in ".{0,40}") {
        let pattern = match brackets {
            0 => pattern,
            1 => format!("{{{pattern}}}"),
            _ => format!("[{pattern}]"),
        };
        if let Ok(parsed) = FilterPattern::parse(&pattern) {
            parsed.matches(&message);
            parsed.matches(&other);
            parsed.extract(&message);
            parsed.matches(&format!("{{\"a\":{message}}}"));
        }
        let _ = FilterPattern::parse(&other);
    }

    /// What serde takes for JSON is taken for JSON, and nothing else is.
    #[test]
    fn json_is_what_serde_says(text in prop_oneof![pieces(), pieces().prop_map(|text| format!("{{\"a\":{text}}}")), "[\\[\\]{}\",:0-9eE+.tru-]{0,12}"]) {
        let ours = json_text::Json::parse(&text).is_some();
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(ours, theirs, "{}", text);
    }

    #[test]
    fn a_quoted_term_is_looked_for_as_it_is(message in "[ -~]{0,30}", term in "[ -~]{1,5}") {
        let quoted = format!("\"{}\"", term.replace('\\', "\\\\").replace('"', "\\\""));
        prop_assert_eq!(matches(&quoted, &message), message.contains(&term));
    }
}
