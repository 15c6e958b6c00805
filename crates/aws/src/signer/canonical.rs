//! The canonical request: what both sides hash.

use std::borrow::Cow;

use http::request::Parts;
use http::{HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use ring::digest::{Context, SHA256};
use smallvec::SmallVec;

use super::Hex;

/// Everything but the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// The same, but segments stay apart.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Headers that something on the way may change, and the signature itself.
const UNSIGNED: [&str; 4] = [
    "authorization",
    "user-agent",
    "x-amzn-trace-id",
    "transfer-encoding",
];

/// How the path is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathRule {
    AsSent,
    NormalisedAndEncoded,
}

/// The names of the headers to sign, in order.
pub(super) type Names<'a> = SmallVec<[&'a HeaderName; 16]>;

pub(super) fn signed_names(headers: &HeaderMap) -> Names<'_> {
    let signed = headers
        .keys()
        .filter(|name| !UNSIGNED.contains(&name.as_str()));
    let mut names: Names<'_> = signed.collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names
}

/// The SHA-256 of the canonical request.
pub(super) fn hash(head: &Parts, names: &[&HeaderName], rule: PathRule, payload: &Hex) -> Hex {
    let mut request = Context::new(&SHA256);
    line(&mut request, head.method.as_str());
    path(&mut request, head.uri.path(), rule);
    query(&mut request, head.uri.query().unwrap_or_default());
    for name in names {
        request.update(name.as_str().as_bytes());
        request.update(b":");
        for (at, value) in head.headers.get_all(*name).iter().enumerate() {
            request.update(if at == 0 { b"" } else { b"," });
            header_value(&mut request, value.as_bytes());
        }
        request.update(b"\n");
    }
    request.update(b"\n");
    for (at, name) in names.iter().enumerate() {
        request.update(if at == 0 { b"" } else { b";" });
        request.update(name.as_str().as_bytes());
    }
    request.update(b"\n");
    request.update(payload.text().as_bytes());
    Hex::of(request.finish().as_ref())
}

fn line(request: &mut Context, text: &str) {
    request.update(text.as_bytes());
    request.update(b"\n");
}

/// Spaces around a value go, and several in a row become one.
fn header_value(request: &mut Context, value: &[u8]) {
    let words = value
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        request.update(if at == 0 { b"" } else { b" " });
        request.update(word);
    }
}

fn path(request: &mut Context, path: &str, rule: PathRule) {
    match rule {
        PathRule::AsSent => request.update(path.as_bytes()),
        PathRule::NormalisedAndEncoded => {
            for part in percent_encode(normalised(path).as_bytes(), PATH) {
                request.update(part.as_bytes());
            }
        }
    }
    request.update(b"\n");
}

/// Empty and `.` segments go, `..` takes the one before it away; a slash at the end stays.
fn normalised(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') && !path.contains("//") && !path.contains('.') {
        return Cow::Borrowed(path);
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut text = String::with_capacity(path.len() + 1);
    for segment in &segments {
        text.push('/');
        text.push_str(segment);
    }
    if text.is_empty() || ["/", "/.", "/.."].iter().any(|end| path.ends_with(end)) {
        text.push('/');
    }
    Cow::Owned(text)
}

/// Parameters, each name and value decoded and encoded in the one canonical way, sorted by that.
fn query(request: &mut Context, query: &str) {
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (encoded_once(name), encoded_once(value))
        })
        .collect();
    parameters.sort_unstable();
    for (at, (name, value)) in parameters.iter().enumerate() {
        request.update(if at == 0 { b"" } else { b"&" });
        request.update(name.as_bytes());
        request.update(b"=");
        request.update(value.as_bytes());
    }
    request.update(b"\n");
}

fn encoded_once(text: &str) -> String {
    let spaced = text.replace('+', " ");
    let decoded: Vec<u8> = percent_decode(spaced.as_bytes()).collect();
    percent_encode(&decoded, QUERY).to_string()
}
