//! Senders of the input `forward` that break its rules.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::harness::{Router, folder, free_port, numbered, until_some};

/// Where the router listens.
enum Place {
    Tcp(u16),
    Unix(PathBuf),
}

/// A connection of either kind.
trait Connection: Read + Write {
    fn finish(&mut self);
}

impl Connection for TcpStream {
    fn finish(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Connection for UnixStream {
    fn finish(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Place {
    fn configuration(&self) -> String {
        let place = match self {
            Place::Tcp(port) => format!("    Listen 127.0.0.1\n    Port {port}\n"),
            Place::Unix(path) => format!("    unix_path {}\n", path.display()),
        };
        format!(
            "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name forward\n{place}[OUTPUT]\n    Name stdout\n    Match *\n    \
             Format json_lines\n"
        )
    }

    fn connect(&self) -> Box<dyn Connection> {
        until_some("a connection", || match self {
            Place::Tcp(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port)).ok()?;
                let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
                Some(Box::new(stream) as Box<dyn Connection>)
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).ok()?;
                let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
                Some(Box::new(stream) as Box<dyn Connection>)
            }
        })
    }

    /// Sends `bytes`, or what of them the router takes, and waits until it closes the connection.
    fn send(&self, bytes: &[u8]) {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        stream.finish();
        let mut answer = Vec::new();
        let outcome = stream.read_to_end(&mut answer);
        let waited = outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!waited, "the connection is not closed");
    }

    /// Sends a frame with `lines` that asks to be acknowledged, and waits for that.
    fn deliver(&self, lines: &[String]) {
        let mut stream = self.connect();
        stream.write_all(&frame(lines, Some("c"))).expect("sent");
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).expect("an acknowledgement");
        assert_eq!(&answer, b"\x81\xa3ack\xa1c");
    }
}

fn short_text(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).expect("short");
    [&[0xda], &len.to_be_bytes()[..], text.as_bytes()].concat()
}

/// Entries `[time, {"log": line}]`.
fn entries(lines: &[String]) -> Vec<u8> {
    let entry = |line: &String| {
        [
            b"\x92\xce\x65\x00\x00\x00\x81\xa3log".to_vec(),
            short_text(line),
        ]
        .concat()
    };
    lines.iter().flat_map(entry).collect()
}

/// `["t", entries, {"chunk": chunk}]`.
fn frame(lines: &[String], chunk: Option<&str>) -> Vec<u8> {
    let count = u32::try_from(lines.len()).expect("not so many");
    let mut frame = vec![0x93, 0xa1, b't', 0xdd];
    frame.extend(count.to_be_bytes());
    frame.extend(entries(lines));
    match chunk {
        Some(chunk) => {
            frame.extend(b"\x81\xa5chunk");
            frame.push(0xa0 | u8::try_from(chunk.len()).expect("short"));
            frame.extend(chunk.as_bytes());
        }
        None => frame.push(0x80),
    }
    frame
}

/// `["t", packed, {"compressed": "gzip"}]`.
fn compressed(packed: &[u8]) -> Vec<u8> {
    let len = u32::try_from(packed.len()).expect("not so much");
    [
        b"\x93\xa1t\xc6",
        &len.to_be_bytes()[..],
        packed,
        b"\x81\xaacompressed\xa4gzip",
    ]
    .concat()
}

/// Frames that break the rules, and what is said of each.
fn bad_frames() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = frame(&numbered("cut", 100), None);
    let lie = |head: &[u8]| [b"\x92\xa1t", head, b"and something"].concat();
    let beyond = "larger than";
    let ended = "a connection ended in the middle of a frame";
    vec![
        ("cut in the head", whole[..3].to_vec(), ended),
        ("cut in an entry", whole[..whole.len() / 2].to_vec(), ended),
        (
            "cut before its end",
            whole[..whole.len() - 1].to_vec(),
            ended,
        ),
        ("an array of 2^32-1", lie(b"\xdd\xff\xff\xff\xff"), beyond),
        ("a text of 4 GiB", lie(b"\xdb\xff\xff\xff\xff"), beyond),
        ("bytes of 2 GiB", lie(b"\xc6\x80\x00\x00\x00"), beyond),
        (
            "a map of 2^32-1",
            [b"\x93\xa1t\x01\xdf\xff\xff\xff\xff", &b"x"[..]].concat(),
            beyond,
        ),
        ("an ext of 4 GiB", lie(b"\xc9\xff\xff\xff\xff\x00"), beyond),
        (
            "a frame of 2^32-1",
            b"\xdd\xff\xff\xff\xff\xa1t".to_vec(),
            beyond,
        ),
        (
            "deep arrays",
            [b"\x92\xa1t", &[0x91; 5 << 20][..]].concat(),
            ended,
        ),
        (
            "deeper arrays",
            [b"\x92\xa1t", &[0x91; 7 << 20][..]].concat(),
            beyond,
        ),
        (
            "a deep record",
            [b"\x93\xa1t\x01", &b"\x81\xa1a".repeat(1 << 20)[..], b"\xc0"].concat(),
            "a connection is closed: ",
        ),
        (
            "a deep entry",
            [b"\x92\xa1t", &[0x91; 5 << 20][..], b"\xc0"].concat(),
            "a connection is closed: ",
        ),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
            "a connection is closed: ",
        ),
        (
            "the reserved byte",
            vec![0xc1; 1000],
            "a connection is closed: ",
        ),
        (
            "no gzip",
            compressed(b"no gzip at all"),
            "not the gzip data that they are said to be",
        ),
        (
            "broken gzip",
            compressed(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03broken"),
            "gzip data of a frame is damaged",
        ),
        (
            "a gzip bomb",
            compressed(&bomb()),
            "a frame unpacks to more than buffer_max_size",
        ),
    ]
}

/// A gigabyte of zeros, as about a megabyte: of members, since they are quicker to make.
fn bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder
        .write_all(&vec![0; 1 << 20])
        .expect("memory takes everything");
    encoder
        .finish()
        .expect("memory takes everything")
        .repeat(1024)
}

fn broken_frames_cost_their_sender_the_connection(place: &Place, folder: &std::path::Path) {
    let mut router = Router::start(folder, &place.configuration());
    let mut expected = Vec::new();
    for (number, (name, bad, says)) in bad_frames().into_iter().enumerate() {
        let said = router.log().len();
        // What came before on the same connection is kept, and others are not touched.
        let before = numbered(&format!("before {number}:"), 20);
        let other = numbered(&format!("other {number}:"), 20);
        place.send(&[frame(&before, None), bad].concat());
        router.until(&format!("{says:?} of {name}"), |router| {
            router.log()[said..].contains(says)
        });
        place.deliver(&other);
        expected.extend([before, other].concat());
        router.until_printed(expected.len());
    }
    let lines = router.lines();
    router.terminate();
    assert_eq!(lines, expected);
}

#[test]
fn broken_frames_over_tcp_cost_their_sender_the_connection() {
    let folder = folder();
    broken_frames_cost_their_sender_the_connection(&Place::Tcp(free_port()), folder.path());
}

#[test]
fn broken_frames_over_a_unix_socket_cost_their_sender_the_connection() {
    let folder = folder();
    let socket = folder.path().join("socket");
    broken_frames_cost_their_sender_the_connection(&Place::Unix(socket), folder.path());
}

#[test]
fn nobody_listens_for_heartbeats_over_udp() {
    let folder = folder();
    let port = free_port();
    let place = Place::Tcp(port);
    let mut router = Router::start(folder.path(), &place.configuration());
    place.deliver(&numbered("first", 1));
    // Whoever listened would have the port.
    let socket = UdpSocket::bind(("127.0.0.1", port)).expect("a port that nobody has");
    for _ in 0..1000 {
        let sent = socket.send_to(b"\0", ("127.0.0.1", port)).expect("sent");
        assert_eq!(sent, 1);
    }
    drop(socket);
    place.deliver(&numbered("second", 1));
    router.until_printed(2);
    router.terminate();
}

#[test]
fn two_hundred_senders_of_one_byte_hold_nobody_up() {
    let (folder, place) = (folder(), Place::Tcp(free_port()));
    let mut router = Router::start(folder.path(), &place.configuration());
    let idle: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = place.connect();
            stream.write_all(b"\x93").expect("sent");
            stream
        })
        .collect();
    let good = numbered("good", 20_000);
    for part in good.chunks(1000) {
        place.deliver(part);
    }
    router.until_printed(good.len());
    let lines = router.lines();
    drop(idle);
    // A flood of ends is no flood of messages.
    router.until("the first ends", |router| {
        let ended = "a connection ended in the middle of a frame, whose first 1 bytes are dropped";
        router.log().matches(ended).count() >= 20
    });
    router.terminate();
    assert_eq!(lines, good);
}

#[test]
fn forty_unfinished_frames_of_five_megabytes_stay_below_the_limit_and_hold_nobody_up() {
    let (folder, place) = (folder(), Place::Tcp(free_port()));
    let mut router = Router::start(folder.path(), &place.configuration());
    let unfinished = [b"\x92\xa1t\xc6\x00\x50\x00\x00", &vec![0; 5 << 20][1..]].concat();
    let unfinished = Arc::new(unfinished);
    place.deliver(&numbered("first", 1));
    let Place::Tcp(port) = place else {
        unreachable!("TCP")
    };
    // As much as the router takes: where there is no room, it stops reading.
    let senders: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
            let bytes = Arc::clone(&unfinished);
            let handle = stream.try_clone().expect("a second handle");
            (handle, thread::spawn(move || stream.write_all(&bytes)))
        })
        .collect();
    // Somebody who keeps the rules is served all the same, and at once.
    let good = numbered("good", 5000);
    let start = std::time::Instant::now();
    place.deliver(&good);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
    router.until_printed(1 + good.len());
    let lines = router.lines();
    for (handle, sender) in senders {
        let _ = handle.shutdown(Shutdown::Both);
        let _ = sender.join().expect("no panic");
    }
    router.terminate();
    assert_eq!(lines[1..], good);
}

/// What the router says first where a secret is asked for.
fn hello(stream: &mut dyn Connection) -> [u8; 52] {
    let mut hello = [0; 52];
    stream.read_exact(&mut hello).expect("a HELO");
    assert!(hello.starts_with(b"\x92\xa4HELO\x82\xa5nonce\xb0"));
    hello
}

#[test]
fn nothing_is_taken_from_those_who_do_not_know_the_secret() {
    let (folder, place) = (folder(), Place::Tcp(free_port()));
    let configuration = place.configuration().replace(
        "Name forward\n",
        "Name forward\n    shared_key canary-5711\n    security.users ann canary-5712\n",
    );
    let mut router = Router::start(folder.path(), &configuration);
    let data = frame(&numbered("never", 1000), None);
    let attempts: [(&str, Vec<u8>); 6] = [
        ("data at once", data.clone()),
        (
            "a PING without proof",
            [b"\x96\xa4PING\xa1h\xa1s\xa0\xa0\xa0", &data[..]].concat(),
        ),
        (
            "a proof of another kind",
            [b"\x96\xa4PING\xa1h\xa1s\x01\xa0\xa0", &data[..]].concat(),
        ),
        (
            "a name of ten megabytes",
            [b"\x96\xa4PING\xdb\x00\x98\x96\x80", &[b'x'; 1 << 20][..]].concat(),
        ),
        ("garbage", vec![0xc1; 100]),
        ("nothing", Vec::new()),
    ];
    for (name, attempt) in attempts {
        let mut stream = place.connect();
        hello(&mut *stream);
        let _ = stream.write_all(&attempt);
        stream.finish();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{name}");
        router.alive();
    }
    // Those who say nothing at all are sent away, too, and keep nobody out meanwhile.
    let mut silent: Vec<_> = (0..100).map(|_| place.connect()).collect();
    hello(&mut *silent[99]);
    assert_eq!(router.lines(), [""; 0]);
    let log = router.terminate();
    assert!(
        log.contains("shared_key mismatch") && log.contains("what came instead of a PING"),
        "{log}"
    );
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn connections_that_come_and_go_are_no_burden() {
    let (folder, place) = (folder(), Place::Tcp(free_port()));
    let mut router = Router::start(folder.path(), &place.configuration());
    place.deliver(&numbered("first", 1));
    let Place::Tcp(port) = place else {
        unreachable!("TCP")
    };
    for number in 0..5000 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        if number % 3 == 0 {
            let _ = stream.write_all(&[0xc1]);
        }
    }
    let good = numbered("good", 1000);
    place.deliver(&good);
    router.until_printed(1001);
    let lines = router.lines();
    let log = router.terminate();
    assert_eq!(lines[1..], good);
    assert!(log.lines().count() < 500, "{} lines", log.lines().count());
}
