//! Lines as containers and programs write them, changed anywhere, and divided anywhere.

use super::*;

/// The first byte chooses the parsers, the second where the text is divided.
fn check(definitions: &Definitions, bytes: &[u8]) {
    let [which, cut, text @ ..] = bytes else {
        return;
    };
    let parsers: &[&str] = match which % 6 {
        0 => &["docker", "cri"],
        1 => &["java", "go", "python"],
        2 => &["indented"],
        3 => &["backslash", "java"],
        4 => &["until_end"],
        _ => &["cri", "python"],
    };
    let text = [text, b"\n"].concat();
    let mut whole = Reader::new(definitions, parsers);
    whole.read(0, &text);
    whole.flush();
    let ends: Vec<usize> = memchr_all(&text).map(|end| end + 1).collect();
    let cut = ends[usize::from(*cut) % ends.len()];
    let mut parts = Reader::new(definitions, parsers);
    parts.read(0, &text[..cut]);
    parts.read(cut as u64, &text[cut..]);
    parts.flush();
    assert_eq!(whole.records, parts.records, "however it is divided");
    for reader in [whole, parts] {
        let open = reader.open.into_iter();
        open.for_each(|(_, receipt)| receipt.settle_all());
        assert_eq!(reader.ledger.discharged(), text.len() as u64);
        assert!(reader.ledger.is_settled());
    }
}

#[test]
fn fuzz_multiline() {
    let java = "\x01\x05Exception in thread \"main\" java.lang.RuntimeException: x\n    at a.B.c(D.java:1)\n\
                Caused by: java.lang.Error: y\n\t... 3 more\nother\n";
    let python = "\x05\x032026-11-22T13:05:09.1Z stdout F Traceback (most recent call last):\n\
                  2026-11-22T13:05:09.1Z stdout F   File \"a.py\", line 1, in <module>\n\
                  2026-11-22T13:05:09.1Z stdout F ValueError: x\n";
    let go =
        "\x01\x02panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\nexit status 2\n";
    let custom = "\x02\x01first\n  more\nsecond\nEND\nline \\\nend\n";
    let definitions = [0, 64].map(|limit| definitions(CUSTOM, limit));
    ::fuzz::Target::new("multiline")
        .files(
            "../../tests/samples",
            &["json-file.log", "partial.log", "cri-podman.log"],
        )
        .seeds([java, python, go, custom])
        .words([
            " P ",
            " F ",
            "\\n\"",
            "\n  ",
            "\r\n",
            "\\\n",
            "\nEND\n",
            "stderr",
            "\n\tat ",
            "goroutine",
        ])
        .run(|bytes| {
            definitions
                .iter()
                .for_each(|definitions| check(definitions, bytes))
        });
}
