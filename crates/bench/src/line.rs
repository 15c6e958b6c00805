//! The lines: what applications write, and the wrapping in which container runtimes store it. Each has its mark.

use jiff::Timestamp;

use crate::mark::Mark;

/// What kind of application writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// NGINX access logs as its container image writes them: the combined format and the client behind a proxy
    Nginx,
    /// JSON, as structured loggers write it
    Json,
    /// Java's stack traces: events of several lines, each line with its mark
    Java,
    /// Plain lines of a given size
    Plain,
}

/// How lines are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wrap {
    /// As they are
    None,
    /// As Docker's json-file driver stores them
    Docker,
    /// In the CRI format of containerd and CRI-O
    Cri,
    /// As {"log":"…"}
    Json,
}

const CLIENTS: [&str; 5] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.1.0.2",
    "172.16.4.20",
    "2001:db8::7",
];
const PATHS: [&str; 4] = ["/", "/api/orders", "/static/app.js", "/search"];
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36",
    "curl/8.11.1",
    "kube-probe/1.34",
];
const METHODS: [&str; 4] = ["take", "execute", "handle", "invoke"];
const CLASSES: [&str; 4] = ["Pool", "Repository", "OrderService", "Dispatcher"];

/// Makes the lines of one writer.
pub struct Lines {
    kind: Kind,
    wrap: Wrap,
    /// Bytes of a plain line, its newline included.
    size: usize,
    mark: Mark,
    /// Whether each mark has the time behind it.
    stamped: bool,
    random: fastrand::Rng,
    clock: Clock,
    /// Lines of a stack trace that are still to come.
    frames: u32,
    bare: Vec<u8>,
}

impl Lines {
    /// Lines of `writer`, the first with number 0.
    pub fn new(kind: Kind, wrap: Wrap, size: usize, writer: u32) -> Lines {
        Lines {
            kind,
            wrap,
            size,
            mark: Mark { writer, seq: 0 },
            stamped: false,
            random: fastrand::Rng::with_seed(u64::from(writer)),
            clock: Clock::default(),
            frames: 0,
            bare: Vec::new(),
        }
    }

    /// The same, each with the time when it was made behind its mark.
    pub fn stamped(mut self, stamped: bool) -> Lines {
        self.stamped = stamped;
        self
    }

    /// How many lines were made.
    pub fn made(&self) -> u64 {
        self.mark.seq
    }

    /// Appends the next line with its newline.
    pub fn push(&mut self, out: &mut Vec<u8>) {
        let now = self.clock.now();
        if self.wrap == Wrap::None {
            self.bare(now, out);
            out.push(b'\n');
            self.mark.seq += 1;
            return;
        }
        let mut bare = std::mem::take(&mut self.bare);
        bare.clear();
        self.bare(now, &mut bare);
        match self.wrap {
            Wrap::None => {}
            Wrap::Docker => {
                out.extend_from_slice(b"{\"log\":\"");
                escape(&bare, out);
                out.extend_from_slice(b"\\n\",\"stream\":\"stdout\",\"time\":\"");
                self.clock.rfc3339(now, 9, out);
                out.extend_from_slice(b"\"}");
            }
            Wrap::Cri => {
                self.clock.rfc3339(now, 9, out);
                out.extend_from_slice(b" stdout F ");
                out.extend_from_slice(&bare);
            }
            Wrap::Json => {
                out.extend_from_slice(b"{\"log\":\"");
                escape(&bare, out);
                out.extend_from_slice(b"\"}");
            }
        }
        out.push(b'\n');
        self.bare = bare;
        self.mark.seq += 1;
    }

    fn bare(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Nginx => self.nginx(now, out),
            Kind::Json => self.json(now, out),
            Kind::Java => self.java(now, out),
            Kind::Plain => self.plain(now, out),
        }
    }

    fn plain(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        const FILL: &[u8] = b"the quick brown fox jumps over the lazy dog and ";
        let start = out.len();
        self.put_mark(now, out);
        out.push(b' ');
        let end = start + self.size.saturating_sub(1);
        while out.len() < end {
            let more = FILL.len().min(end - out.len());
            out.extend_from_slice(&FILL[..more]);
        }
    }

    fn nginx(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        out.extend_from_slice(self.pick(&CLIENTS).as_bytes());
        out.extend_from_slice(b" - - [");
        self.clock.nginx(now, out);
        out.extend_from_slice(b"] \"GET ");
        out.extend_from_slice(self.pick(&PATHS).as_bytes());
        out.extend_from_slice(b"?id=");
        self.put_mark(now, out);
        let status = self.pick(&["200", "200", "200", "304", "404", "500"]);
        let size = self.random.u32(0..50_000);
        let agent = self.pick(&AGENTS);
        push(
            out,
            format_args!(" HTTP/1.1\" {status} {size} \"-\" \"{agent}\" \"-\""),
        );
    }

    fn json(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        self.clock.rfc3339(now, 3, out);
        let level = self.pick(&["INFO", "INFO", "INFO", "WARN", "ERROR"]);
        let thread = self.random.u8(1..32);
        push(
            out,
            format_args!(
                "\",\"level\":\"{level}\",\"logger\":\"com.example.Checkout\",\"thread\":\"http-nio-8080-exec-{thread}\",\
                 \"message\":\"order "
            ),
        );
        self.put_mark(now, out);
        let (id, cents) = (self.random.u32(..), self.random.u32(0..100_000));
        push(
            out,
            format_args!(
                " placed by \\\"customer\\\"\",\"order\":{{\"id\":{id},\"total\":{}.{:02},\"items\":[1,2,3]}},\"retry\":null}}",
                cents / 100,
                cents % 100
            ),
        );
    }

    fn java(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        if self.frames == 0 {
            self.frames = self.random.u32(3..20);
            self.clock.java(now, out);
            out.extend_from_slice(b" ERROR [main] com.example.OrderService - request ");
            self.put_mark(now, out);
            out.extend_from_slice(b" failed: java.lang.IllegalStateException: no connection");
            return;
        }
        self.frames -= 1;
        if self.frames == 0 {
            out.extend_from_slice(b"\t... 12 more ");
            self.put_mark(now, out);
            return;
        }
        let (class, method) = (self.pick(&CLASSES), self.pick(&METHODS));
        let line = self.random.u32(10..900);
        push(
            out,
            format_args!("\tat com.example.{class}.{method}({class}.java:{line}) ~[app.jar:"),
        );
        self.put_mark(now, out);
        out.push(b']');
    }

    fn put_mark(&self, now: Timestamp, out: &mut Vec<u8>) {
        match self.stamped {
            false => self.mark.write(out),
            true => self
                .mark
                .write_stamped(u64::try_from(now.as_microsecond()).unwrap_or(0), out),
        }
    }

    fn pick(&mut self, of: &[&'static str]) -> &'static str {
        of[self.random.usize(..of.len())]
    }
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    // Writing to memory does not fail.
    let _ = out.write_fmt(text);
}

/// What our lines hold of what JSON escapes.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.push(*byte),
        }
    }
}

/// Times in the formats of the lines; the part that changes once a second is kept.
#[derive(Default)]
struct Clock {
    second: Option<i64>,
    rfc3339: String,
    nginx: String,
    java: String,
}

impl Clock {
    fn now(&mut self) -> Timestamp {
        let now = Timestamp::now();
        if self.second != Some(now.as_second()) {
            self.second = Some(now.as_second());
            self.rfc3339 = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            self.nginx = now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
            self.java = now.strftime("%Y-%m-%d %H:%M:%S").to_string();
        }
        now
    }

    fn rfc3339(&self, now: Timestamp, digits: usize, out: &mut Vec<u8>) {
        let fraction = now.subsec_nanosecond() as u32 / 10u32.pow(9 - digits as u32);
        push(out, format_args!("{}.{fraction:0digits$}Z", self.rfc3339));
    }

    fn nginx(&self, _: Timestamp, out: &mut Vec<u8>) {
        out.extend_from_slice(self.nginx.as_bytes());
    }

    fn java(&self, now: Timestamp, out: &mut Vec<u8>) {
        push(
            out,
            format_args!("{},{:03}", self.java, now.subsec_millisecond()),
        );
    }
}

#[cfg(test)]
mod tests {
    use record::{Batch, Tag, Value, json::read};

    use super::*;
    use crate::mark;

    fn lines(kind: Kind, wrap: Wrap, count: usize) -> Vec<String> {
        let mut lines = Lines::new(kind, wrap, 1000, 7);
        let mut out = Vec::new();
        (0..count).for_each(|_| lines.push(&mut out));
        assert_eq!(lines.made(), count as u64);
        let text = String::from_utf8(out).unwrap();
        text.strip_suffix('\n')
            .unwrap()
            .split('\n')
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_line_of_every_form_has_its_mark() {
        for kind in [Kind::Nginx, Kind::Json, Kind::Java, Kind::Plain] {
            for wrap in [Wrap::None, Wrap::Docker, Wrap::Cri, Wrap::Json] {
                for (seq, line) in (0..).zip(lines(kind, wrap, 100)) {
                    let found: Vec<Mark> = mark::find(line.as_bytes()).collect();
                    assert_eq!(
                        found,
                        [Mark { writer: 7, seq }],
                        "{kind:?} {wrap:?}: {line}"
                    );
                }
            }
        }
    }

    #[test]
    fn json_of_docker_and_of_applications_is_read_back() {
        let field = |line: &str, name: &str| {
            let mut batch = Batch::new(Tag::new("t"), line.to_owned().into());
            let text = batch.span(0..line.len());
            let (fields, used) = read::object(&mut batch, text).expect(line);
            assert_eq!(used, line.len(), "{line}");
            match batch.get(fields, name.as_bytes()) {
                Some(Value::Str(span)) => String::from_utf8_lossy(batch.bytes(span)).into_owned(),
                other => panic!("{name} of {line}: {other:?}"),
            }
        };
        for kind in [Kind::Nginx, Kind::Json, Kind::Java, Kind::Plain] {
            for line in lines(kind, Wrap::Docker, 30) {
                let log = field(&line, "log");
                let log = log.strip_suffix('\n').expect("docker keeps the newline");
                if kind == Kind::Json {
                    assert_eq!(field(log, "logger"), "com.example.Checkout");
                }
                assert!(field(&line, "time").parse::<Timestamp>().is_ok(), "{line}");
            }
            for line in lines(kind, Wrap::Json, 30) {
                assert!(field(&line, "log").contains("fl-bench-00000007-"));
            }
        }
    }

    #[test]
    fn lines_say_when_they_were_made_if_they_are_to() {
        let before = Timestamp::now().as_microsecond() as u64;
        for kind in [Kind::Nginx, Kind::Json, Kind::Java, Kind::Plain] {
            let mut out = Vec::new();
            Lines::new(kind, Wrap::Docker, 1000, 7)
                .stamped(true)
                .push(&mut out);
            let found: Vec<_> = mark::find_stamped(&out).collect();
            let [(Mark { writer: 7, seq: 0 }, Some(at))] = found[..] else {
                panic!("{kind:?}: {found:?}")
            };
            assert!(at >= before && at < before + 60_000_000, "{kind:?}");
        }
    }

    #[test]
    fn plain_lines_have_their_size() {
        for line in lines(Kind::Plain, Wrap::None, 3) {
            assert_eq!(line.len() + 1, 1000);
        }
        for line in lines(Kind::Nginx, Wrap::None, 20) {
            // Request, referer, agent, and the client behind a proxy.
            assert_eq!(line.matches('"').count(), 8, "{line}");
            assert!(line.ends_with(" \"-\""), "{line}");
        }
        for line in lines(Kind::Nginx, Wrap::Cri, 20) {
            let mut parts = line.splitn(4, ' ');
            assert!(parts.next().unwrap().parse::<Timestamp>().is_ok());
            assert_eq!((parts.next(), parts.next()), (Some("stdout"), Some("F")));
        }
    }
}
