//! The abbreviations of time zones that `%Z` reads: those of upstream (`src/flb_strptime.c`), in minutes east of UTC. Where
//! several zones share one, it is upstream's choice: `CST` is American, `IST` Indian.

const NAMES: [(&str, i32); 55] = [
    ("GMT", 0),
    ("UTC", 0),
    ("UT", 0),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
    ("AKST", -540),
    ("AKDT", -480),
    ("HST", -600),
    ("HADT", -540),
    ("AST", -240),
    ("ADT", -180),
    ("NST", -210),
    ("NDT", -150),
    ("WET", 0),
    ("WEST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("ART", -180),
    ("BRT", -180),
    ("BRST", -120),
    ("CLT", -240),
    ("CLST", -180),
    ("AEST", 600),
    ("AEDT", 660),
    ("ACST", 570),
    ("ACDT", 630),
    ("AWST", 480),
    ("NZST", 720),
    ("NZDT", 780),
    ("JST", 540),
    ("KST", 540),
    ("SGT", 480),
    ("IST", 330),
    ("GST", 240),
    ("ICT", 420),
    ("WIB", 420),
    ("WITA", 480),
    ("WIT", 540),
    ("MYT", 480),
    ("BDT", 360),
    ("NPT", 345),
    ("WAT", 60),
    ("CAT", 120),
    ("EAT", 180),
    ("SAST", 120),
    ("Z", 0),
];

/// Reads the name that `text` begins with, in any case: seconds east of UTC, and the bytes used. A name that is not known, or
/// only the beginning of a word, is none.
pub fn read(text: &[u8]) -> Option<(i32, usize)> {
    let length = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    let word = &text[..length];
    let is_word = |(name, _): &&(&str, i32)| word.eq_ignore_ascii_case(name.as_bytes());
    if let Some((_, minutes)) = NAMES.iter().find(is_word) {
        return Some((minutes * 60, length));
    }
    let [letter] = word else {
        return None;
    };
    military(letter.to_ascii_uppercase()).map(|hours| (hours * 3_600, 1))
}

/// The hours east of UTC of a military letter: A to M east without J, N to Y west.
pub fn military(letter: u8) -> Option<i32> {
    match letter {
        b'A'..=b'I' => Some(i32::from(letter - b'A') + 1),
        b'K'..=b'M' => Some(i32::from(letter - b'K') + 10),
        b'N'..=b'Y' => Some(-(i32::from(letter - b'N') + 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words_of_any_case() {
        for (text, seconds) in [
            ("CET", Some(3_600)),
            ("cest 2026", Some(7_200)),
            ("NST]", Some(-12_600)),
            ("NPT", Some(20_700)),
            ("Z", Some(0)),
            ("b", Some(7_200)),
            ("J", None),
            ("Nowhere", None),
            ("CETX", None),
            ("CET1", None),
            ("+0100", None),
            ("", None),
        ] {
            let read = read(text.as_bytes()).map(|(seconds, _)| seconds);
            assert_eq!(read, seconds, "{text}");
        }
    }
}
