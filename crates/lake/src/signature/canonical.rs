//! The canonical form of a request, which is what gets signed.

use http::request::Parts;
use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode,
};

/// Everything but unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// The same for paths.
const ENCODED_IN_PATHS: &AsciiSet = &ENCODED.remove(b'/');

/// The canonical request of every service but S3: the path is encoded once more than it came.
pub fn request(parts: &Parts, signed_headers: &[String], payload_hash: &str) -> String {
    let mut names: Vec<&str> = signed_headers.iter().map(String::as_str).collect();
    names.sort_unstable();
    let headers: String = names
        .iter()
        .map(|name| format!("{name}:{}\n", header_value(parts, name)))
        .collect();
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{payload_hash}",
        parts.method,
        utf8_percent_encode(parts.uri.path(), ENCODED_IN_PATHS),
        query(parts.uri.query().unwrap_or("")),
        names.join(";")
    )
}

fn query(query: &str) -> String {
    let encode = |text: &str| {
        percent_encode(&percent_decode_str(text).collect::<Vec<u8>>(), ENCODED).to_string()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("&")
}

/// All values of a header, trimmed, runs of spaces made one, joined by commas.
fn header_value(parts: &Parts, name: &str) -> String {
    let values = parts.headers.get_all(name).iter();
    let values = values.map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.split(' ')
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    });
    values.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn headers_and_query_are_normalised() {
        let (parts, ()) = Request::post("/a%20b/c?b=2&a=%7e1&a=&c")
            .header("host", "h")
            .header("x-two", " a   b ")
            .header("x-two", "c")
            .body(())
            .unwrap()
            .into_parts();
        let signed = ["x-two".to_owned(), "host".to_owned()];
        assert_eq!(
            request(&parts, &signed, "hash"),
            "POST\n/a%2520b/c\na=&a=~1&b=2&c=\nhost:h\nx-two:a b,c\n\nhost;x-two\nhash"
        );
    }
}
