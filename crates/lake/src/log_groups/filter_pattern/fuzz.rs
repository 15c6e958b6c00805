//! Patterns and events, changed anywhere: a pattern, a zero, an event.

use super::FilterPattern;
use super::json_text::Json;

#[test]
fn fuzz_filter_patterns() {
    ::fuzz::Target::new("filter_patterns")
        .seeds([
            "ERROR -\"not this\" ?a ?\"b c\" %[0-9]{3}%\0an ERROR 404 b c",
            "{ $.a.b[0].c = \"x*\" && ($.n >= 1.5e3 || $.m != -1) }\0{\"a\":{\"b\":[{\"c\":\"xyz\"}]},\"n\":1500}",
            "{ ($.x IS NULL) || ($.y NOT EXISTS) || ($.z IS TRUE) }\0{\"x\":null,\"z\":true}",
            "{ $.['a key'] = %^x.*y$% }\0{\"a key\":\"x y\"}",
            "[ip, user, ..., status=4*, bytes>1000 && bytes<2000]\x00127.0.0.1 - [10/Oct/2000] \"GET / HTTP/1.0\" 404 1500",
            "[w1=ERROR || w1=\"WARN\", w2!=%x%]\0ERROR y",
        ])
        .words(["$.", "[*]", "IS NULL", "NOT EXISTS", "&&", "||", "!=", ">=", "...", "%", "\"", "\\", "{", "}", "(", ")", "-", "?"])
        .words(["1e400", "{2,}", "[^a]", "\\d", "$.a", "*", "\\u00e9"])
        .longest(1200)
        .run(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let (pattern, event) = text.split_once('\0').unwrap_or((&text, ""));
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(event);
            // Deeper than either goes, they may differ.
            if event.matches(['[', '{']).count() < 100 {
                assert_eq!(Json::parse(event).is_some(), theirs.is_ok(), "{event}");
            }
            let Ok(parsed) = FilterPattern::parse(pattern) else {
                return;
            };
            let fits = parsed.matches(event);
            assert_eq!(fits, parsed.matches(event));
            for (name, value) in parsed.extract(event) {
                assert!(name.starts_with('$') && event.contains(value));
            }
        });
}
