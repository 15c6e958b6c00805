//! `s3_key_format`: names of objects, made of the tag, the time of the first record, a counter and chance.
//!
//! As upstream, but for tags, whose text is never taken for a conversion of the time or for a path upwards.

use jiff::Timestamp;
use jiff::fmt::strtime;
use plugin::BuildError;
use record::Time;

/// The service's limit, in bytes.
const KEY_BYTES_MAX: usize = 1024;
/// So many parts of a tag can be named: `$TAG[0]` to `$TAG[9]`.
const TAG_PARTS: usize = 10;
/// What upstream puts between a name and its random end.
const SUFFIX_MARK: &str = "-object";
/// How long random texts are: 47 bits of chance.
const RANDOM_LEN: usize = 8;
/// glibc's conversions but for those below, which are spelled out.
const CONVERSIONS: &str = "aAbBCdeFgGhHIjklmMnpPRsStTuUVwWyYz";
const SPELLED_OUT: [(char, &str); 6] = [
    ('c', "%a %b %e %H:%M:%S %Y"),
    ('D', "%m/%d/%y"),
    ('x', "%m/%d/%y"),
    ('X', "%H:%M:%S"),
    ('r', "%I:%M:%S %p"),
    ('Z', "GMT"),
];

/// A compiled format.
#[derive(Debug)]
pub struct KeyFormat {
    pieces: Vec<Piece>,
    delimiters: String,
}

#[derive(Debug, PartialEq)]
enum Piece {
    /// Text and conversions of the time.
    Time(String),
    Tag,
    /// The part of this number; the text stays where the tag has no such part.
    TagPart(usize, String),
    Index,
    Random,
}

/// What a name is made of.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts<'a> {
    /// The tag of the records.
    pub tag: &'a [u8],
    /// The time of the first record.
    pub time: Time,
    /// The value of `$INDEX`.
    pub index: u64,
}

/// The name of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Without a leading slash, at most 1024 bytes.
    pub text: String,
    /// Whether it contains chance, so that nobody else can have made it.
    pub is_unique: bool,
    /// A part of the tag that the format names and the tag does not have.
    pub missing_part: Option<String>,
}

impl KeyFormat {
    /// Compiles `format`; `delimiters` are the characters that split a tag.
    pub fn new(format: &str, delimiters: &str) -> Result<KeyFormat, BuildError> {
        let Some(rest) = format.strip_prefix('/') else {
            return Err(format!(
                "s3_key_format '{format}' must begin with '/', as /logs/$TAG/%Y/%m/%d/$UUID"
            )
            .into());
        };
        if rest.is_empty() {
            return Err("s3_key_format is '/' alone: an object needs a name".into());
        }
        Ok(KeyFormat {
            pieces: pieces(rest),
            delimiters: delimiters.to_owned(),
        })
    }

    /// Whether names contain `$INDEX`.
    pub fn has_index(&self) -> bool {
        self.pieces.contains(&Piece::Index)
    }

    /// Whether names contain `$UUID`.
    pub fn has_random(&self) -> bool {
        self.pieces.contains(&Piece::Random)
    }

    /// A name.
    pub fn render(&self, facts: KeyFacts<'_>) -> Key {
        let tag = String::from_utf8_lossy(facts.tag);
        // As C's strtok: delimiters one behind the other count as one.
        let parts: Vec<&str> = tag
            .split(|character| self.delimiters.contains(character))
            .filter(|part| !part.is_empty())
            .collect();
        let random = random_text();
        let mut missing_part = None;
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Time(format) => text.push_str(&time_text(format, facts.time)),
                Piece::Tag => text.push_str(&tag),
                Piece::TagPart(number, spelled) => match parts.get(*number) {
                    Some(part) => text.push_str(part),
                    None => {
                        missing_part = Some(spelled.clone());
                        text.push_str(spelled);
                    }
                },
                Piece::Index => text.push_str(&facts.index.to_string()),
                Piece::Random => text.push_str(&random),
            }
        }
        let mut key = Key {
            text: without_dots(&text),
            is_unique: self.has_random(),
            missing_part,
        };
        if key.text.len() > KEY_BYTES_MAX {
            key = key.with_random_end();
        }
        key
    }
}

impl Key {
    /// The same name with `-object` and a random text at its end, cut before it if it gets too long.
    pub fn with_random_end(mut self) -> Key {
        let end = format!("{SUFFIX_MARK}{}", random_text());
        let mut cut = self.text.len().min(KEY_BYTES_MAX - end.len());
        while !self.text.is_char_boundary(cut) {
            cut -= 1;
        }
        self.text.truncate(cut);
        self.text.push_str(&end);
        self.is_unique = true;
        self
    }
}

/// Letters and digits by chance.
pub fn random_text() -> String {
    (0..RANDOM_LEN).map(|_| fastrand::alphanumeric()).collect()
}

fn pieces(format: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut text, mut rest) = (String::new(), format);
    while let Some(character) = rest.chars().next() {
        let (piece, len) = match variable(rest) {
            Some(found) => found,
            None => {
                text.push(character);
                rest = &rest[character.len_utf8()..];
                continue;
            }
        };
        pieces.push(Piece::Time(std::mem::take(&mut text)));
        pieces.push(piece);
        rest = &rest[len..];
    }
    pieces.push(Piece::Time(text));
    pieces.retain(|piece| *piece != Piece::Time(String::new()));
    for piece in &mut pieces {
        if let Piece::Time(format) = piece {
            *format = known_conversions(format);
        }
    }
    pieces
}

/// The variable that `text` begins with, and its length.
fn variable(text: &str) -> Option<(Piece, usize)> {
    if let Some(after) = text.strip_prefix("$TAG[") {
        let digit = after
            .chars()
            .next()?
            .to_digit(10)
            .map(|digit| digit as usize);
        if let Some(number) = digit.filter(|number| *number < TAG_PARTS)
            && after[1..].starts_with(']')
        {
            let len = "$TAG[n]".len();
            return Some((Piece::TagPart(number, text[..len].to_owned()), len));
        }
    }
    [
        ("$TAG", Piece::Tag),
        ("$INDEX", Piece::Index),
        ("$UUID", Piece::Random),
    ]
    .into_iter()
    .find(|(name, _)| text.starts_with(name))
    .map(|(name, piece)| (piece, name.len()))
}

/// The format with the conversions that glibc knows; a percent sign before anything else stands for itself.
fn known_conversions(format: &str) -> String {
    let mut known = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        known.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let conversion = rest.chars().next();
        match conversion {
            Some('%') => known.push_str("%%"),
            Some(letter) if CONVERSIONS.contains(letter) => {
                known.push('%');
                known.push(letter);
            }
            Some(letter) => match SPELLED_OUT.iter().find(|(name, _)| *name == letter) {
                Some((_, spelled)) => known.push_str(spelled),
                None => {
                    known.push_str("%%");
                    known.push(letter);
                }
            },
            None => known.push_str("%%"),
        }
        rest = &rest[conversion.map_or(0, char::len_utf8)..];
    }
    known.push_str(rest);
    known
}

fn time_text(format: &str, time: Time) -> String {
    let at = Timestamp::from_second(time.seconds()).unwrap_or(Timestamp::UNIX_EPOCH);
    // Only conversions that are known reach this; should one fail all the same, its text is better than no name.
    strtime::format(format, at).unwrap_or_else(|_| format.to_owned())
}

/// Segments that mean "here" and "up" to programs on the way become underscores: tags come from the network.
fn without_dots(text: &str) -> String {
    let segments = text.split('/').map(|segment| match segment {
        "." => "_",
        ".." => "__",
        other => other,
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(format: &str, delimiters: &str, tag: &str) -> Key {
        let facts = KeyFacts {
            tag: tag.as_bytes(),
            time: Time::new(1_700_000_000, 123_456_789),
            index: 7,
        };
        KeyFormat::new(format, delimiters)
            .unwrap_or_else(|error| panic!("{error}"))
            .render(facts)
    }

    #[test]
    fn names_follow_the_format() {
        let cases = [
            (
                "/fluent-bit-logs/$TAG/%Y/%m/%d/%H/%M/%S",
                ".",
                "app.web",
                "fluent-bit-logs/app.web/2023/11/14/22/13/20",
            ),
            ("/$TAG[2]/$TAG[0]/x.gz", ".-", "app.web-1", "1/app/x.gz"),
            ("/$TAG[1]", ".", "app..web", "web"),
            ("/$TAG[3]/$TAG[10]", ".", "a.b", "$TAG[3]/a.b[10]"),
            ("/i=$INDEX/$TAG", ".", "50%Y", "i=7/50%Y"),
            ("/%s%%/%L/%E", ".", "t", "1700000000%/%L/%E"),
            ("/%D %r %Z%", ".", "t", "11/14/23 10:13:20 PM GMT%"),
            ("/a/$TAG/b", ".", "../../x", "a/__/__/x/b"),
            ("/$TAGS/é", ".", "t", "tS/é"),
            ("/%j-%U-%u-%e-%k|%n|", ".", "t", "318-46-2-14-22|\n|"),
        ];
        for (format, delimiters, tag, expected) in cases {
            assert_eq!(key(format, delimiters, tag).text, expected, "{format}");
        }
        assert_eq!(
            key("/$TAG[3]", ".", "a").missing_part.as_deref(),
            Some("$TAG[3]")
        );
        for refused in ["", "logs", "/"] {
            assert!(KeyFormat::new(refused, ".").is_err(), "{refused}");
        }
    }

    #[test]
    fn every_conversion_has_a_text() {
        for letter in CONVERSIONS.chars() {
            let format = format!("%{letter}");
            let text = key(&format!("/{format}"), ".", "t").text;
            assert!(
                !text.contains('%') && !text.is_empty(),
                "{format} is {text}"
            );
        }
    }

    #[test]
    fn chance_makes_names_unique() {
        let (first, second) = (key("/$UUID/$UUID", ".", "t"), key("/$UUID/$UUID", ".", "t"));
        let (a, b) = first.text.split_once('/').expect("two");
        assert!(a == b && a.len() == RANDOM_LEN && first.is_unique);
        assert_ne!(first.text, second.text);
        let plain = key("/x", ".", "t");
        assert!(!plain.is_unique);
        let ended = plain.with_random_end();
        assert!(ended.text.starts_with("x-object") && ended.text.len() == 16 && ended.is_unique);
    }

    #[test]
    fn names_that_are_too_long_are_cut_and_stay_apart() {
        let long = key("/$TAG", ".", &"é".repeat(600));
        assert!(
            long.text.len() <= KEY_BYTES_MAX && long.text.contains("-object") && long.is_unique
        );
    }
}
