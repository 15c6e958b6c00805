//! URLs: `url_extract_host` and its siblings, `url_encode`, `url_decode`.

use crate::error::Error;

use super::scalar::{Call, Definition, Overload, Param, Returns, invalid};

use Param::Varchar;

macro_rules! url_part {
    ($name:literal, $part:expr) => {
        Definition {
            name: $name,
            overloads: &[Overload {
                params: &[Varchar],
                variadic: false,
                returns: Returns::Varchar,
                body: |call| {
                    let part: for<'a> fn(&Url<'a>) -> Option<&'a str> = $part;
                    call.map_text(|row| {
                        Ok(Url::parse(call.text(0).value(row))
                            .as_ref()
                            .and_then(part)
                            .map(decode_plain))
                    })
                },
            }],
        }
    };
}

pub(super) static FUNCTIONS: &[Definition] = &[
    url_part!("url_extract_protocol", |url| Some(url.scheme.unwrap_or(""))),
    url_part!("url_extract_host", |url| url.host),
    url_part!("url_extract_path", |url| Some(url.path)),
    url_part!("url_extract_query", |url| Some(url.query.unwrap_or(""))),
    url_part!("url_extract_fragment", |url| Some(
        url.fragment.unwrap_or("")
    )),
    Definition {
        name: "url_extract_port",
        overloads: &[Overload {
            params: &[Varchar],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| {
                call.map_bigint(|row| {
                    let url = Url::parse(call.text(0).value(row));
                    Ok(url
                        .and_then(|url| url.port)
                        .and_then(|port| port.parse().ok()))
                })
            },
        }],
    },
    Definition {
        name: "url_extract_parameter",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| {
                call.map_text(|row| {
                    let query = Url::parse(call.text(0).value(row)).and_then(|url| url.query);
                    Ok(query.and_then(|query| parameter(query, call.text(1).value(row))))
                })
            },
        }],
    },
    Definition {
        name: "url_encode",
        overloads: &[Overload {
            params: &[Varchar],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| call.map_text(|row| Ok(Some(encode(call.text(0).value(row))))),
        }],
    },
    Definition {
        name: "url_decode",
        overloads: &[Overload {
            params: &[Varchar],
            variadic: false,
            returns: Returns::Varchar,
            body: |call: &Call| call.map_text(|row| decode(call.text(0).value(row)).map(Some)),
        }],
    },
];

/// The parts of a URL, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Url<'a> {
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Url<'a> {
    /// Cuts a URL by RFC 3986's rules; text with blanks or control characters is none.
    fn parse(text: &'a str) -> Option<Url<'a>> {
        if text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "<>\"{}|\\^`".contains(c))
        {
            return None;
        }
        let (rest, fragment) = cut(text, '#');
        let (rest, query) = cut(rest, '?');
        let scheme_end = rest.find(':').filter(|end| {
            let scheme = &rest[..*end];
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        });
        let (scheme, rest) = match scheme_end {
            Some(end) => (Some(&rest[..end]), &rest[end + 1..]),
            None => (None, rest),
        };
        let Some(after) = rest.strip_prefix("//") else {
            return Some(Url {
                scheme,
                host: None,
                port: None,
                path: rest,
                query,
                fragment,
            });
        };
        let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
        let authority = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let (host, port) = match authority
            .rfind(':')
            .filter(|colon| !authority[*colon..].contains(']'))
        {
            Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
            None => (authority, None),
        };
        Some(Url {
            scheme,
            host: Some(host).filter(|host| !host.is_empty()),
            port,
            path,
            query,
            fragment,
        })
    }
}

fn cut(text: &str, sign: char) -> (&str, Option<&str>) {
    text.split_once(sign)
        .map_or((text, None), |(before, after)| (before, Some(after)))
}

/// The value of the first parameter of a name; without a value it is empty.
fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_plain(key) == name).then(|| decode_plain(value))
    })
}

/// As in HTML forms: `+` for a blank, `%XX` for all but letters, digits and `-_.*`.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                encoded.push(byte.into())
            }
            b' ' => encoded.push('+'),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

fn decode(text: &str) -> Result<String, Error> {
    let with_blanks = text.replace('+', " ");
    percent_decoded(&with_blanks)
        .ok_or_else(|| invalid(format!("URLDecoder: illegal escape sequence in '{text}'")))
}

/// Resolves `%XX` and leaves a text alone whose escapes make no sense.
fn decode_plain(text: &str) -> String {
    percent_decoded(text).unwrap_or_else(|| text.to_owned())
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(sign) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..sign]);
        bytes.push(u8::from_str_radix(rest.get(sign + 1..sign + 3)?, 16).ok()?);
        rest = &rest[sign + 3..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
