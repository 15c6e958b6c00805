//! Tags that senders choose. They become parts of paths, of names and of messages further on, so what could mean
//! something else there is replaced here, once and for all: control characters, marks that reverse the direction of text,
//! bytes that are no text, and `..` where it would be the name of a folder. Everything that Fluent Bit's own tags are made
//! of (slashes, too) passes as it is.

use std::borrow::Cow;

/// What stands in place of a character that must not be in a tag.
const INSTEAD: &str = "_";

/// `tag` as it may go on; borrowed if there is nothing in it that must not.
pub fn safe(tag: &[u8]) -> Cow<'_, [u8]> {
    if tag.iter().all(is_plain) && !tag.windows(2).any(|pair| pair == b"..") {
        return Cow::Borrowed(tag);
    }
    let mut text = String::with_capacity(tag.len());
    for chunk in tag.utf8_chunks() {
        text.extend(chunk.valid().chars().map(replaced));
        text.extend(chunk.invalid().iter().map(|_| INSTEAD));
    }
    let text = without_parents(&text);
    match text.as_bytes() == tag {
        true => Cow::Borrowed(tag),
        false => Cow::Owned(text.into_bytes()),
    }
}

fn is_plain(byte: &u8) -> bool {
    (b' '..0x7f).contains(byte)
}

fn replaced(character: char) -> char {
    let is_direction = matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_line = matches!(character, '\u{2028}' | '\u{2029}');
    match character.is_control() || is_direction || is_line {
        true => '_',
        false => character,
    }
}

/// No part between slashes is `..`.
fn without_parents(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(['/', '\\']) {
        let name = part.trim_end_matches(['/', '\\']);
        match name {
            ".." => {
                out.push_str("__");
                out.push_str(&part[name.len()..]);
            }
            _ => out.push_str(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_honest_senders_pass() {
        for tag in [
            &b""[..],
            b"docker.3f2a",
            b"kube.var.log.containers.web-7d9_ns_app-0123.log",
            b"/var/log/nginx/access.log",
            b"my app (v1.2)",
            b"a..b",
            b"...",
            b"a/.../b",
            b"trailing ",
            "Größe.日本".as_bytes(),
        ] {
            assert!(
                matches!(safe(tag), Cow::Borrowed(same) if same == tag),
                "{tag:?}"
            );
        }
    }

    #[test]
    fn what_means_something_elsewhere_is_replaced() {
        let cases: &[(&[u8], &str)] = &[
            (b"../../etc/passwd", "__/__/etc/passwd"),
            (b"..", "__"),
            (b"a/..", "a/__"),
            (b"/..\\..", "/__\\__"),
            (b"..%2f..%2fx", "..%2f..%2fx"),
            (b"nul\0byte", "nul_byte"),
            (b"line\r\nbreak\x1b[31m", "line__break_[31m"),
            (b"\xff\xfetext\xc3", "__text_"),
            ("a\u{202e}b\u{2028}c\u{85}".as_bytes(), "a_b_c_"),
        ];
        for (tag, expected) in cases {
            let made = safe(tag);
            assert_eq!(String::from_utf8_lossy(&made), *expected, "{tag:?}");
            assert_eq!(safe(&made), made, "made safe once, it stays");
        }
    }
}
