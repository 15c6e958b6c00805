//! Nanoseconds per line: `cargo bench -p pattern`.

use std::hint::black_box;
use std::time::Instant;

use pattern::Pattern;

const NGINX: &str = r#"^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")? \"-\"$"#;
const NGINX_LINE: &str = r#"192.168.17.203 - - [22/Nov/2026:13:55:36 +0000] "GET /products/list?page=12 HTTP/1.1" 200 18342 "https://example.com/start" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36" "-""#;

const CASES: [(&str, &str, &str); 7] = [
    ("nginx, nine groups", NGINX, NGINX_LINE),
    (
        "nginx, short",
        NGINX,
        r#"10.0.0.1 - - [22/Nov/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8.5.0" "-""#,
    ),
    (
        "nginx, another line",
        NGINX,
        "2026/11/22 13:55:36 [error] 12#12: *1 open() failed",
    ),
    (
        "cri",
        r"^(?<time>.+?) (?<stream>stdout|stderr) (?<_p>F|P) (?<log>.*)$",
        "2026-11-22T13:55:36.123456789+00:00 stdout F 10.0.0.1 - - [22/Nov/2026:13:55:36 +0000] something",
    ),
    ("level, ignoring case", "(?i)error|fail", NGINX_LINE),
    (
        "letters",
        r"^(?<name>\p{L}+) (?<rest>.*)$",
        "besonders schöne Grüße aus Köln",
    ),
    ("look-ahead", r"^(?!.*healthz)(?<log>.*)$", NGINX_LINE),
];

fn main() {
    for (name, pattern, line) in CASES {
        let pattern = Pattern::new(pattern).expect("the patterns are valid");
        let engine = format!("{:?}", pattern.engine());
        let nanoseconds = measure(&pattern, line);
        println!(
            "{name:<24} {engine:<10} {:>4} bytes {nanoseconds:>8.1} ns",
            line.len()
        );
    }
}

/// The best of many short rounds, in nanoseconds per search: short, so that some pass without interruption.
fn measure(pattern: &Pattern, line: &str) -> f64 {
    const SEARCHES: u32 = 500;
    let mut matcher = pattern.matcher();
    let mut best = f64::INFINITY;
    for _ in 0..2000 {
        let start = Instant::now();
        for _ in 0..SEARCHES {
            black_box(
                matcher
                    .captures(black_box(line.as_bytes()))
                    .and_then(|found| found.get(0)),
            );
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(SEARCHES));
    }
    best
}
