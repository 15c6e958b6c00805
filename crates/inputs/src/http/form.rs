//! Bodies of forms, taken apart as upstream does: values are decoded, keys are not.

use std::borrow::Cow;

/// A field of a form: its key as it is written, and its value decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    pub key: &'a [u8],
    pub value: Cow<'a, [u8]>,
    /// The value is not encoded as it should be, and stands as it was written.
    pub is_raw: bool,
}

/// The fields of `body`. What has no key or no `=` is passed over.
pub fn pairs(body: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    body.split(|&byte| byte == b'&').filter_map(|part| {
        let part = part.strip_prefix(b"\n").unwrap_or(part);
        let at = memchr::memchr(b'=', part)?;
        if at == 0 {
            return None;
        }
        let (key, value) = (part[..at].trim_ascii(), part[at + 1..].trim_ascii());
        let decoded = decoded(value);
        Some(Pair {
            key,
            is_raw: decoded.is_none(),
            value: decoded.unwrap_or(Cow::Borrowed(value)),
        })
    })
}

/// `%XX` and `+` replaced; nothing if a `%` stands alone.
fn decoded(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr2(b'%', b'+', value).is_none() {
        return Some(Cow::Borrowed(value));
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.iter();
    while let Some(&byte) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => nibble(rest.next()?)? << 4 | nibble(rest.next()?)?,
            other => other,
        });
    }
    Some(Cow::Owned(out))
}

fn nibble(digit: &u8) -> Option<u8> {
    (*digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &str) -> Vec<String> {
        let shown = |pair: Pair<'_>| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let raw = if pair.is_raw { " raw" } else { "" };
            format!("{}={}{raw}", text(pair.key), text(&pair.value))
        };
        pairs(body.as_bytes()).map(shown).collect()
    }

    #[test]
    fn forms_are_taken_apart_as_upstream_does() {
        assert_eq!(
            shown("a=1&b=x%20y+z&c=&d&=e& f = g &h=%zz&a=2&k%20y=1&i=%4&j=a=b"),
            [
                "a=1",
                "b=x y z",
                "c=",
                "f=g",
                "h=%zz raw",
                "a=2",
                "k%20y=1",
                "i=%4 raw",
                "j=a=b"
            ]
        );
        for nothing in ["", "x", "&&", "=1&"] {
            assert_eq!(shown(nothing), [""; 0], "{nothing}");
        }
    }
}
