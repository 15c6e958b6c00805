//! Records whose tags, keys and values mean something to whoever writes them out: paths, control characters, other people's
//! syntax.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Router, folder, free_port, until_some};

/// From `forward` to what `outputs` says.
fn configuration(port: u16, outputs: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n{outputs}"
    )
}

const STDOUT: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n";

/// Text, or bytes that should be text.
fn text(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).expect("short");
    [&[0xdb], &len.to_be_bytes()[..], bytes].concat()
}

/// `[tag, 5, {key: value, …}, {"chunk": "c"}]`.
fn message(tag: &[u8], fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let count = u32::try_from(fields.len()).expect("not so many");
    let mut frame = [b"\x94", &text(tag)[..], b"\x05\xdf", &count.to_be_bytes()].concat();
    for (key, value) in fields {
        frame.extend(text(key));
        frame.extend(text(value));
    }
    frame.extend(b"\x81\xa5chunk\xa1c");
    frame
}

fn connect(port: u16) -> TcpStream {
    let stream = until_some("a connection", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a socket");
    stream
}

/// Sends a message and waits until it is acknowledged.
fn deliver(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(message).expect("sent");
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).expect("an acknowledgement");
    assert_eq!(&answer, b"\x81\xa3ack\xa1c");
}

/// Tags that would lead somewhere else, or that end a line.
const TAGS: &[&[u8]] = &[
    b"../../x",
    b"..",
    b"/etc/x",
    b"a/../../../../tmp/x",
    b"..%2f..%2fx",
    b"nul\0byte",
    b"line\r\nbreak",
    b"\x1b[31mred",
    "right\u{202e}to left".as_bytes(),
    b"trailing ",
    b"...",
    b"\xff\xfe",
];

#[test]
fn no_tag_leads_out_of_the_folder_of_an_output() {
    let (folder, port) = (folder(), free_port());
    fs::create_dir(folder.path().join("out.d")).expect("a folder");
    let outputs = "[OUTPUT]\n    Name file\n    Match *\n    Path out.d\n";
    let mut router = Router::start(folder.path(), &configuration(port, outputs));
    let before: Vec<_> = entries(folder.path());
    let mut stream = connect(port);
    for tag in TAGS {
        deliver(&mut stream, &message(tag, &[(b"log", b"x")]));
    }
    // One that is longer than any file name.
    deliver(&mut stream, &message(&[b'l'; 1000], &[(b"log", b"x")]));
    router.until("all lines", |_| {
        let files = entries(&folder.path().join("out.d"));
        let lines = files.iter().map(|name| {
            let text = fs::read_to_string(folder.path().join("out.d").join(name));
            text.unwrap_or_default().lines().count()
        });
        lines.sum::<usize>() > TAGS.len()
    });
    let log = router.terminate();
    // The router's own folder may have come meanwhile.
    let mut after = entries(folder.path());
    after.retain(|name| name != "state");
    assert_eq!(after, before, "nothing is beside the folder");
    assert!(!log.contains('\x1b'), "{}", log.escape_debug());
}

/// The names in a folder.
fn entries(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn whatever_bytes_a_record_has_its_line_is_one_line_of_json() {
    let (folder, port) = (folder(), free_port());
    let mut router = Router::start(folder.path(), &configuration(port, STDOUT));
    let mut stream = connect(port);
    let long = vec![b'k'; 1 << 20];
    let records: Vec<Vec<(&[u8], &[u8])>> = vec![
        vec![
            (b"log", b"\xff\xfe\x00\x01 \xed\xa0\x80"),
            (b"\xff\x00key", b"v"),
        ],
        vec![(b"log", b"one\ntwo\r\n{\"log\":\"forged\"}\n")],
        vec![(b"log", b"\",\"forged\":\""), (b"\",\"forged\":\"", b"x")],
        vec![(b"log", b"\x1b[31mred\x1b[0m %n %s \x7f")],
        vec![(b"log", "\u{2028}\u{202e}\u{feff}".as_bytes())],
        vec![(b"log", b"first"), (b"log", b"last"), (b"", b"no key")],
        vec![(b"log", b"long"), (&long, b"v")],
    ];
    for record in &records {
        deliver(&mut stream, &message(b"t", record));
    }
    router.until_printed(records.len());
    let printed = router.printed();
    let lines = router.lines();
    router.terminate();
    assert_eq!(lines.len(), records.len());
    for (line, printed) in lines.iter().zip(&printed) {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(printed).expect("an object");
        assert!(!object.contains_key("forged"), "{printed}");
        let control = printed
            .chars()
            .find(|character| character.is_ascii_control() && *character != '\x7f');
        assert_eq!(control, None, "{line:?}");
    }
    assert_eq!(lines[1], "one\ntwo\r\n{\"log\":\"forged\"}\n");
    assert_eq!(lines[5], "last", "of equal keys the last counts");
}

#[test]
fn a_hundred_thousand_tags_take_no_more_memory_than_one() {
    const TAGS: usize = 100_000;
    let (folder, port) = (folder(), free_port());
    let mut router = Router::start(folder.path(), &configuration(port, STDOUT));
    let mut stream = connect(port);
    for first in (0..TAGS).step_by(1000) {
        let frames: Vec<Vec<u8>> = (first..first + 1000)
            .map(|number| {
                let tag = format!("tag.{number}");
                [b"\x93", &text(tag.as_bytes())[..], b"\x05\x81\xa3log\xa1x"].concat()
            })
            .collect();
        stream.write_all(&frames.concat()).expect("sent");
        router.alive();
    }
    router.until_printed(TAGS);
    router.terminate();
}

#[test]
fn a_record_of_too_many_keys_costs_its_sender_the_connection() {
    let (folder, port) = (folder(), free_port());
    let mut router = Router::start(folder.path(), &configuration(port, STDOUT));
    let keys = [
        b"\x93\xa1t\x05\xdf\x00\x1e\x84\x80",
        &b"\xa0\xc0".repeat(2_000_000)[..],
    ]
    .concat();
    let mut stream = connect(port);
    let _ = stream.write_all(&keys);
    let _ = stream.read_to_end(&mut Vec::new());
    // Many, but not too many, are a record like any other.
    let names: Vec<String> = (0..20_000).map(|number| format!("k{number}")).collect();
    let mut fields: Vec<(&[u8], &[u8])> = names
        .iter()
        .map(|name| (name.as_bytes(), &b"v"[..]))
        .collect();
    fields.push((b"log", b"wide"));
    deliver(&mut connect(port), &message(b"t", &fields));
    router.until_printed(1);
    let lines = router.lines();
    let log = router.terminate();
    assert_eq!(lines, ["wide"], "{log}");
    assert!(log.contains("a connection is closed: "), "{log}");
}
