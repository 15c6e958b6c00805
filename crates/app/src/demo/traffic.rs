//! Invented NGINX traffic: the same for the same number, so that runs can be compared.

use std::fmt::Write as _;

use jiff::Timestamp;
use record::Time;

/// How many different clients ask.
const CLIENTS: u64 = 2_000;

const PATHS: [&str; 12] = [
    "/",
    "/index.html",
    "/favicon.ico",
    "/api/v1/items",
    "/api/v1/items?page=2",
    "/api/v1/checkout",
    "/static/app.js",
    "/static/style.css",
    "/images/logo.png",
    "/health",
    "/login",
    "/search?q=container%20logging",
];

const AGENTS: [&str; 5] = [
    "curl/8.5.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "kube-probe/1.31",
];

/// Writes access log lines in NGINX's `main` format, without their newline.
pub struct Traffic {
    state: u64,
    /// The second for which `stamp` holds.
    second: i64,
    stamp: String,
}

impl Traffic {
    /// Traffic of its own for each `seed`.
    pub fn new(seed: u64) -> Traffic {
        Traffic {
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            second: i64::MIN,
            stamp: String::new(),
        }
    }

    /// Appends one line for a request at `now`.
    pub fn line(&mut self, now: Time, out: &mut String) {
        let client = self.client();
        let (path, agent) = (self.pick(&PATHS), self.pick(&AGENTS));
        let (code, size) = match self.next() % 100 {
            0..=1 => (500, 579),
            2..=6 => (404, 153),
            7..=11 => (304, 0),
            _ => (200, 200 + path.len() * 37),
        };
        let method = if path.ends_with("checkout") {
            "POST"
        } else {
            "GET"
        };
        self.update_stamp(now);
        let stamp = &self.stamp;
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "{client} - - [{stamp}] \"{method} {path} HTTP/1.1\" {code} {size} \"-\" \"{agent}\" \"-\""
        );
    }

    /// A few clients ask much, many ask little.
    fn client(&mut self) -> String {
        let uniform = (self.next() % 1_000_000) as f64 / 1e6;
        let rank = (uniform * uniform * uniform * CLIENTS as f64) as u64;
        format!("10.{}.{}.{}", rank % 7, rank / 250, rank % 250 + 1)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[(self.next() % from.len() as u64) as usize]
    }

    /// Xorshift: quick and good enough for invented traffic.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state >> 11
    }

    fn update_stamp(&mut self, now: Time) {
        if now.seconds() != self.second {
            self.second = now.seconds();
            self.stamp = nginx_time(now.seconds());
        }
    }
}

/// `22/Nov/2026:13:05:09 +0000`.
fn nginx_time(seconds: i64) -> String {
    timestamp(Time::new(seconds, 0))
        .strftime("%d/%b/%Y:%H:%M:%S +0000")
        .to_string()
}

/// Appends an RFC 3339 time with nanoseconds, as container runtimes write it.
pub fn push_rfc3339(now: Time, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{}", timestamp(now).strftime("%Y-%m-%dT%H:%M:%S.%9fZ"));
}

fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(time.nanos())).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_nginx_writes_them() {
        let mut line = String::new();
        Traffic::new(1).line(Time::new(1_795_355_909, 0), &mut line);
        assert!(
            line.contains(" - - [22/Nov/2026:13:58:29 +0000] \""),
            "{line}"
        );
        assert!(line.ends_with("\" \"-\""), "{line}");
    }

    #[test]
    fn times_read_as_runtimes_write_them() {
        let mut text = String::new();
        push_rfc3339(Time::new(951_782_400, 5), &mut text);
        assert_eq!(text, "2000-02-29T00:00:00.000000005Z");
    }
}
