use super::*;
use crate::Tag;
use crate::tree::batch;

const RECORD: &str = r#"{"a": "one", "b": {"x": "deep", "y.z": {"it's": 7}, "l": [10, {"k": "v"}]},
    "a-b": "dash", "a/b": "slash", "i": -5, "f": 1.5, "t": true, "n": null, "list": [1], "dup": 1, "dup": 2,
    "under_score": "u", "m": {"k": "é", "k": 1}}"#;

fn subject(render: impl FnOnce(&Subject<'_>)) {
    let mut batch = batch(RECORD);
    let span = batch.span(0..RECORD.len());
    let (fields, _) = json::read::object(&mut batch, span).expect("valid JSON");
    render(&Subject {
        batch: &batch,
        fields,
        captures: &[b"all", b"first"],
    });
}

fn rendered(pattern: &str) -> String {
    let accessor = Accessor::new(pattern).unwrap_or_else(|error| panic!("{error}"));
    let mut out = b"before ".to_vec();
    subject(|subject| accessor.render(subject, &mut out));
    String::from_utf8(out).expect("UTF-8").split_off(7)
}

#[test]
fn templates() {
    let cases: &[(&str, &str)] = &[
        // References to keys.
        ("$a", "one"),
        ("$a-b", "dash"),
        ("$a/b", "slash"),
        ("$under_score", "u"),
        ("$b['x']", "deep"),
        ("$b['y.z']['it''s']", "7"),
        ("$b['l'][0]", "10"),
        ("$b['l'][1]['k']", "v"),
        ("$dup", "2"),
        // Their text forms.
        ("$i", "-5"),
        ("$f", "1.500000"),
        ("$t", "true"),
        ("$n", "null"),
        ("$m", r#"{"k":1}"#),
        ("$b['y.z']", r#"{"it's":7}"#),
        ("$list", ""),
        // Missing ones.
        ("$nope", ""),
        ("$b['nope']", ""),
        ("$b['l'][2]", ""),
        ("$b['l'][99999999999999999999]", ""),
        ("$b['l']['x']", ""),
        ("$b['x']['deeper']", ""),
        ("x$nope y", "x y"),
        // A way into what is neither map nor array is ignored.
        ("$a['b']['c']", "one"),
        // Where references end.
        ("$a.b", "one.b"),
        ("$a b", "one b"),
        ("$a,b", "one,b"),
        ("$a\"b", "one\"b"),
        ("$a..", "one.."),
        ("$a.$i", "one.-5"),
        ("$a,$i $t", "one,-5 true"),
        ("pre-$a", "pre-one"),
        // A single literal character at the end is lost.
        ("$a.", "one"),
        ("$a ", "one"),
        // Literal text.
        ("text", "text"),
        ("x", "x"),
        ("", ""),
        ("z$", "z$"),
        ("$", ""),
        ("ab$", "ab"),
        // The tag.
        ("$TAG", "kube.var.log"),
        ("$TAG.x", "kube.var.log.x"),
        ("$TAGx", "kube.var.logx"),
        ("$TAG[0]", "kube"),
        ("$TAG[2]", "log"),
        ("$TAG[3]", ""),
        ("$TAG[-1]", ""),
        ("$TAG[x]", "kube"),
        ("$TAG[1]x", "varx"),
        ("$TAG[0].$TAG[1]", "kube.var"),
        ("$TAG[0]$TAG[1]", "kube$TAG[1]"),
        ("$TAG$a", "kube.var.log$a"),
        ("$TAG[1", "var[1"),
        ("$TAG[", "kube.var.log["),
        ("$TA", ""),
        // Captures.
        ("$0", "all"),
        ("$1", "first"),
        ("$0$1", "allfirst"),
        ("$0.$TAG[0]-$1", "all.kube-first"),
        ("$10", "0"),
        ("$2x", "x"),
        ("$1 ", "first "),
        // What the grammar does not know is passed over.
        ("$a:", "one"),
        ("$a\t[:0]", "one"),
        ("$(a)", "one"),
        ("$b['l'][-1]['k']", "v"),
    ];
    for (pattern, expected) in cases {
        assert_eq!(rendered(pattern), *expected, "{pattern}");
    }
}

#[test]
fn malformed_references() {
    let name = "expected the name of a key after `$`";
    let more = "expected `[`, or a `.`, space, `,` or `\"` to end the reference";
    let cases: &[(&str, usize, &str)] = &[
        ("$a$b", 2, more),
        ("$a:x", 3, more),
        ("$$a", 1, name),
        ("$.a", 1, name),
        ("$ a", 1, name),
        ("x.$a;", 4, more),
        ("$['a']", 1, name),
        ("$a[", 3, "expected a key in single quotes or an index"),
        ("$a[]", 3, "expected a key in single quotes or an index"),
        ("$a[b]", 3, "expected a key in single quotes or an index"),
        ("$a['b", 4, "expected a key in single quotes or an index"),
        ("$a['b'", 6, "expected `]`"),
        ("$a[01]", 4, "expected `]`"),
        (
            "$a['b c']",
            4,
            "expected a key in single quotes or an index",
        ),
        ("$a['b']c", 7, more),
    ];
    for (pattern, offset, reason) in cases {
        let expected = Error {
            pattern: (*pattern).to_owned(),
            offset: *offset,
            reason,
        };
        assert_eq!(Accessor::new(pattern), Err(expected), "{pattern}");
    }
    let error = Accessor::new("$a$b").expect_err("malformed");
    assert_eq!(
        error.to_string(),
        format!("record accessor `$a$b`: {more} at byte 2")
    );
}

#[test]
fn values_are_found_without_text() {
    let find = |pattern: &str| {
        let accessor = Accessor::new(pattern).expect("well formed");
        let mut found = None;
        subject(|subject| {
            found = accessor
                .value(subject.batch, subject.fields)
                .map(|value| crate::tree::Tree::of(subject.batch, value));
        });
        found
    };
    use crate::tree::Tree;
    assert_eq!(find("$i"), Some(Tree::Int(-5)));
    assert_eq!(find("$b['l'][0]"), Some(Tree::Int(10)));
    assert_eq!(find("$list"), Some(Tree::Array(vec![Tree::Int(1)])));
    assert_eq!(find("i"), Some(Tree::Int(-5)), "plain text names a key");
    assert_eq!(find("$nope"), None);
    assert_eq!(find("$TAG"), None);
    assert_eq!(find("$0"), None);
    assert_eq!(find(""), None);
}

#[test]
fn callers_may_insist_on_every_key() {
    let render = |pattern: &str| {
        let mut out = b"x".to_vec();
        let mut complete = false;
        let accessor = Accessor::new(pattern).expect("well formed");
        subject(|subject| complete = accessor.render_checked(subject, &mut out));
        complete
            .then(|| String::from_utf8(out.clone()).expect("UTF-8"))
            .ok_or(out)
    };
    assert_eq!(render("$a.$i"), Ok("xone.-5".to_owned()));
    assert_eq!(
        render("$TAG[9].$9"),
        Ok("x.".to_owned()),
        "only keys can be missing"
    );
    assert_eq!(render("$a.$nope"), Err(b"x".to_vec()));
    assert_eq!(render("$a.$list"), Err(b"x".to_vec()));
}

#[test]
fn what_changes_only_with_the_tag() {
    for (pattern, expected) in [
        ("x", true),
        ("$TAG[0].$TAG", true),
        ("$a", false),
        ("x.$0", false),
    ] {
        assert_eq!(
            Accessor::new(pattern).expect("well formed").is_static(),
            expected,
            "{pattern}"
        );
    }
}

#[test]
fn the_environment_is_replaced_first() {
    let environment = |name: &str| match name {
        "HOSTNAME" => Some("node-1".to_owned()),
        "KEY" => Some("$a".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let cases = [
        ("${HOSTNAME}.x", "node-1.x"),
        ("${KEY}.${HOSTNAME}", "$a.node-1"),
        ("${NOPE}x", "x"),
        ("${NOPE:-none}x", "nonex"),
        ("${EMPTY:-none}${EMPTY}x", "nonex"),
        ("${HOSTNAME:-none}", "node-1"),
        ("no variable", "no variable"),
    ];
    for (pattern, expected) in cases {
        let accessor = Accessor::with_environment(pattern, environment).expect("well formed");
        assert_eq!(accessor.pattern(), expected, "{pattern}");
    }
    assert_eq!(parse::expand("${open", environment), "${open");
    assert_eq!(parse::expand("${}", environment), "${}");
}

#[test]
fn numbers_as_upstream_prints_them() {
    let text = |value| {
        let mut out = Vec::new();
        assert!(append(&batch(""), value, &mut out));
        String::from_utf8(out).expect("UTF-8")
    };
    assert_eq!(text(Value::Uint(u64::MAX)), "-1");
    assert_eq!(text(Value::Float(1e21)), "1000000000000000000000.000000");
    assert_eq!(text(Value::Float(-0.0000004)), "-0.000000");
    assert_eq!(text(Value::Float(f64::NEG_INFINITY)), "-inf");
    let mut batch = batch("");
    let span = batch.put(&[0, 0xab, 0xff]);
    let mut out = Vec::new();
    assert!(append(&batch, Value::Bin(span), &mut out));
    assert_eq!(out, b"00abff");
    assert!(!append(&batch, Value::Ext(1, span), &mut out));
}

#[test]
fn a_tag_without_dots_is_its_own_part() {
    let batch = Batch::new(Tag::from("plain"), bytes::Bytes::new());
    let subject = Subject {
        batch: &batch,
        fields: Fields::EMPTY,
        captures: &[],
    };
    let mut out = Vec::new();
    Accessor::new("$TAG[0]|$TAG[1]|")
        .expect("well formed")
        .render(&subject, &mut out);
    assert_eq!(out, b"plain||");
}
