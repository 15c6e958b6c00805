//! How long a message is for the service, and how a message that is too long ends.

/// What stands at the end of a message that was cut, as in AWS's Go plugin.
const MARK: &[u8] = b"[Truncated...]";
/// What takes the place of a byte that belongs to no character, in the message that the service sees.
const REPLACEMENT: usize = 3;

/// The bytes of UTF-8 that `text` becomes; of an overlong sequence at most that many.
pub fn service_length(text: &[u8]) -> usize {
    match std::str::from_utf8(text) {
        Ok(text) => text.len(),
        Err(_) => text
            .utf8_chunks()
            .map(|chunk| chunk.valid().len() + REPLACEMENT * chunk.invalid().len())
            .sum(),
    }
}

/// Makes `out` the beginning of `text`, so that with the mark behind it it is no longer than `most`.
pub fn cut(text: &[u8], most: usize, out: &mut Vec<u8>) {
    let mut left = most - MARK.len();
    out.clear();
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        let fitting = valid.floor_char_boundary(left);
        out.extend_from_slice(&valid.as_bytes()[..fitting]);
        left -= fitting;
        let invalid = REPLACEMENT * chunk.invalid().len();
        if fitting < valid.len() || invalid > left {
            break;
        }
        out.extend_from_slice(chunk.invalid());
        left -= invalid;
    }
    out.extend_from_slice(MARK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_falls_between_characters() {
        let cases: [(&[u8], &[u8]); 4] = [
            (b"abcdefgh", b"abcdef"),
            ("abcdeéfgh".as_bytes(), b"abcde"),
            (b"abc\xffdefgh", b"abc\xff"),
            (b"abcd\xffefgh", b"abcd"),
        ];
        for (text, expected) in cases {
            let mut out = Vec::new();
            cut(text, MARK.len() + 6, &mut out);
            assert_eq!(out, [expected, MARK].concat());
            assert!(service_length(&out) <= MARK.len() + 6);
        }
    }
}
