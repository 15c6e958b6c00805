//! `time_key` and `time_key_format`.

use jiff::Timestamp;
use jiff::fmt::strtime;
use plugin::BuildError;
use record::Time;

/// Adds the time of a record to its JSON text.
pub struct TimeKey {
    /// `"key":"`, as upstream writes it: the key's text is not escaped.
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
    /// Compiles the format. An unknown conversion is an error that names it.
    pub fn new(key: &str, format: &str) -> Result<TimeKey, BuildError> {
        let pieces = pieces(format);
        for piece in &pieces {
            if let Piece::Seconds(format, _) = piece {
                render(format, 0)
                    .map_err(|error| format!("time_key_format '{format}': {error}"))?;
            }
        }
        Ok(TimeKey {
            before: format!("\"{key}\":\"").into_bytes(),
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
                    let nanos = format!("{:09}", time.subsec_nanos());
                    out.extend_from_slice(&nanos.as_bytes()[..*digits as usize]);
                }
            }
        }
    }
}

fn render(format: &str, seconds: i64) -> Result<String, jiff::Error> {
    strtime::format(format, Timestamp::from_second(seconds)?)
}

fn pieces(format: &str) -> Vec<Piece> {
    const FRACTIONS: [(&str, u32); 3] = [("%3N", 3), ("%9N", 9), ("%L", 9)];
    let mut pieces = Vec::new();
    let (mut seconds, mut rest) = (String::new(), format);
    while let Some(character) = rest.chars().next() {
        if let Some((text, digits)) = FRACTIONS.iter().find(|(text, _)| rest.starts_with(text)) {
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
            ("%Y-%m-%dT%H:%M:%S", "2023-11-14T22:13:20"),
            ("%s.%3N", "1700000000.123"),
            ("%H.%L|%9N|%%L", "22.123456789|123456789|%L"),
        ];
        for (format, expected) in cases {
            let mut line = b"{}".to_vec();
            let mut key = TimeKey::new("t", format).expect(format);
            key.splice(Time::new(1_700_000_000, 123_456_789), &mut line);
            assert_eq!(
                String::from_utf8(line).expect("text"),
                format!("{{\"t\":\"{expected}\"}}")
            );
        }
        assert!(TimeKey::new("t", "%!").is_err());
    }
}
