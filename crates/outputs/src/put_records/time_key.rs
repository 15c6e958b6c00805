//! `time_key` and `time_key_format`.

use jiff::Timestamp;
use jiff::fmt::strtime;
use plugin::BuildError;
use record::Time;

use super::Dialect;

/// Adds the time of a record to its JSON text.
pub struct TimeKey {
    /// `"key":"`.
    before: Vec<u8>,
    pieces: Vec<Piece>,
    /// The second that the texts of the pieces are for.
    second: Option<i64>,
}

enum Piece {
    /// A format that depends on whole seconds, with its text for the cached one.
    Seconds(String, String),
    /// So many digits of the fraction.
    Fraction(u32),
}

impl TimeKey {
    /// Compiles the format. An unknown conversion is an error that names it. `key` is
    /// what stands between its quotes.
    pub fn new(key: &[u8], format: &str, dialect: Dialect) -> Result<TimeKey, BuildError> {
        let pieces = pieces(format, fractions(dialect));
        for piece in &pieces {
            if let Piece::Seconds(format, _) = piece {
                render(format, 0)
                    .map_err(|error| format!("time_key_format '{format}': {error}"))?;
            }
        }
        Ok(TimeKey {
            before: [b"\"", key, b"\":\""].concat(),
            pieces,
            second: None,
        })
    }

    /// Puts the time in front of the closing brace of the object in `line`.
    pub fn splice(&mut self, time: Time, line: &mut Vec<u8>) {
        if line.pop() != Some(b'}') {
            return;
        }
        if line.len() > 1 {
            line.push(b',');
        }
        line.extend_from_slice(&self.before);
        self.write(time, line);
        line.extend_from_slice(b"\"}");
    }

    fn write(&mut self, time: Time, out: &mut Vec<u8>) {
        let is_new = self.second.replace(time.seconds()) != Some(time.seconds());
        for piece in &mut self.pieces {
            match piece {
                Piece::Seconds(format, text) => {
                    if is_new {
                        // The format was tried when it was compiled; a time out of range leaves no text.
                        *text = render(format, time.seconds()).unwrap_or_default();
                    }
                    out.extend_from_slice(text.as_bytes());
                }
                Piece::Fraction(digits) => {
                    // A leading one keeps the zeros.
                    let mut buffer = itoa::Buffer::new();
                    let nanos = buffer.format(1_000_000_000 + time.subsec_nanos());
                    out.extend_from_slice(&nanos.as_bytes()[1..=*digits as usize]);
                }
            }
        }
    }
}

fn render(format: &str, seconds: i64) -> Result<String, jiff::Error> {
    strtime::format(format, Timestamp::from_second(seconds)?)
}

/// The conversions of a fraction of a second and how many digits they have.
fn fractions(dialect: Dialect) -> &'static [(&'static str, u32)] {
    match dialect {
        Dialect::Core => &[("%3N", 3), ("%9N", 9), ("%L", 9)],
        // The numbered ones are not theirs; they would be errors there.
        Dialect::Go => &[("%L", 3), ("%f", 6), ("%3N", 3), ("%9N", 9)],
    }
}

fn pieces(format: &str, fractions: &[(&str, u32)]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut seconds, mut rest) = (String::new(), format);
    while let Some(character) = rest.chars().next() {
        if let Some((text, digits)) = fractions.iter().find(|(text, _)| rest.starts_with(text)) {
            pieces.push(Piece::Seconds(std::mem::take(&mut seconds), String::new()));
            pieces.push(Piece::Fraction(*digits));
            rest = &rest[text.len()..];
            continue;
        }
        // A conversion is kept whole, so that `%%L` is no fraction.
        let len = if character == '%' {
            1 + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else {
            character.len_utf8()
        };
        seconds.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    pieces.push(Piece::Seconds(seconds, String::new()));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_follow_upstream() {
        let cases = [
            (Dialect::Core, "%Y-%m-%dT%H:%M:%S", "2023-11-14T22:13:20"),
            (Dialect::Core, "%s.%3N", "1700000000.123"),
            (Dialect::Core, "%H.%L|%9N|%%L", "22.123456789|123456789|%L"),
            (Dialect::Go, "%H.%L|%f|%%f", "22.123|123456|%f"),
        ];
        for (dialect, format, expected) in cases {
            let mut line = b"{}".to_vec();
            let mut key = TimeKey::new(b"t", format, dialect).expect(format);
            key.splice(Time::new(1_700_000_000, 123_456_789), &mut line);
            assert_eq!(
                String::from_utf8(line).expect("text"),
                format!("{{\"t\":\"{expected}\"}}")
            );
        }
        assert!(TimeKey::new(b"t", "%!", Dialect::Core).is_err());
    }
}
