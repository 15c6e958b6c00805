//! Nanoseconds per line of a log with stack traces of Java: `cargo bench -p multiline`.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use config::{Diagnostics, LogLevel};
use multiline::{Joined, Joiner, Place, Stream, assign};
use parsers::Definitions;
use record::{Batch, Obligation, Tag, Time};

/// Between two traces, so many ordinary lines.
const CASES: [(&str, &[&str], usize); 4] = [
    ("traces alone", &["java"], 0),
    ("a trace in 20 lines", &["java"], 14),
    ("a trace in 200 lines", &["java"], 194),
    ("four languages", &["go", "java", "python", "ruby"], 14),
];

const TRACE: &str = "2026-11-28 00:00:00 ERROR c.e.Orders - java.lang.IllegalStateException: no such order\n\
    \tat com.example.orders.OrderService.find(OrderService.java:132)\n\
    \tat com.example.orders.OrderController.get(OrderController.java:48)\n\
    \tat java.base/java.lang.Thread.run(Thread.java:1583)\n\
    Caused by: java.sql.SQLException: timeout\n\
    \t... 27 more\n";
const LINE: &str =
    "2026-11-28 00:00:00 INFO c.e.Orders - order 4711 of customer 42 was accepted in 12 ms\n";

fn main() {
    let mut diagnostics = Diagnostics::new();
    let definitions = Definitions::new(&[], LogLevel::Off, &mut diagnostics);
    for (name, parsers, between) in CASES {
        let names: Vec<String> = parsers.iter().map(|name| (*name).to_owned()).collect();
        let mut joiner = Joiner::new(&names, None, &definitions).expect("they are built in");
        let unit = format!("{TRACE}{}", LINE.repeat(between));
        let text = Bytes::from(unit.repeat((256 << 10) / unit.len()).into_bytes());
        let nanoseconds = measure(&mut joiner, &text);
        println!("{name:<24} {nanoseconds:>8.1} ns per line");
    }
}

/// The best of many batches of 256 KiB.
fn measure(joiner: &mut Joiner, text: &Bytes) -> f64 {
    let (mut stream, mut joined) = (Stream::default(), Joined::default());
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    let mut best = f64::INFINITY;
    for _ in 0..200 {
        let start = Instant::now();
        let mut batch = Batch::new(Tag::from("t"), text.clone());
        let mut at = 0;
        for line in text.split(|byte| *byte == b'\n') {
            let range = at..at + line.len();
            if range.end == text.len() {
                break;
            }
            at = range.end + 1;
            let positions = range.start as u64..at as u64;
            let mut place = Place {
                batch: &mut batch,
                now: start,
                time: Time::new(0, 0),
            };
            joiner.line(&mut stream, range, positions, &mut place, &mut joined);
        }
        let mut obligation = Obligation::none();
        stream.hold(&mut obligation);
        stream.park(&batch);
        assign(&mut batch, obligation, &mut joined.records);
        black_box(&batch);
        best = best.min(start.elapsed().as_nanos() as f64 / lines as f64);
    }
    best
}
