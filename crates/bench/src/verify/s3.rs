//! The objects below a prefix, read in pieces: NDJSON or any other text, packed with gzip or not.

use http::Method;
use http::header::{HeaderValue, RANGE};
use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::call::Caller;
use crate::mark::Mark;
use crate::scan::Document;
use crate::tally::{Tally, Verdict};

/// What stands in a query or a path without encoding.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');
/// How much of an object is read at once.
const PIECE: u64 = 4 << 20;

/// Reads every object below `s3://BUCKET/PREFIX`.
pub async fn read(caller: &Caller, url: &str, tally: &mut Tally) -> Result<(), String> {
    let (bucket, prefix) = split(url)?;
    let mut token = None;
    loop {
        let page = list(caller, bucket, prefix, token.as_deref()).await?;
        for (key, size) in page.objects {
            object(caller, bucket, &key, size, tally)
                .await
                .map_err(|error| format!("s3://{bucket}/{key}: {error}"))?;
        }
        match page.next {
            Some(next) => token = Some(next),
            None => return Ok(()),
        }
    }
}

fn split(url: &str) -> Result<(&str, &str), String> {
    let place = url.strip_prefix("s3://").unwrap_or_default();
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    match bucket {
        "" => Err(format!("'{url}' is not s3://BUCKET/PREFIX")),
        _ => Ok((bucket, prefix)),
    }
}

#[derive(Debug, PartialEq)]
struct Page {
    objects: Vec<(String, u64)>,
    next: Option<String>,
}

async fn list(
    caller: &Caller,
    bucket: &str,
    prefix: &str,
    token: Option<&str>,
) -> Result<Page, String> {
    let encode = |text| utf8_percent_encode(text, QUERY);
    let mut target = format!("/{bucket}?");
    if let Some(token) = token {
        target.push_str(&format!("continuation-token={}&", encode(token)));
    }
    target.push_str(&format!(
        "encoding-type=url&list-type=2&prefix={}",
        encode(prefix)
    ));
    let target = PathAndQuery::try_from(target).map_err(|error| error.to_string())?;
    let request = aws::Request::new(Method::GET, target, b"");
    let answer = caller.send(request).await;
    let answer = answer.map_err(|error| format!("s3://{bucket}: {error}"))?;
    page(&String::from_utf8_lossy(&answer.body))
}

fn page(xml: &str) -> Result<Page, String> {
    let objects = elements(xml, "Contents").map(|object| {
        let key = elements(object, "Key")
            .next()
            .ok_or("an object has no key")?;
        let size = elements(object, "Size")
            .next()
            .and_then(|size| size.parse().ok());
        let key = key.replace('+', " ");
        let key = percent_decode_str(&key).decode_utf8_lossy().into_owned();
        Ok((key, size.ok_or("an object has no size")?))
    });
    Ok(Page {
        objects: objects.collect::<Result<_, &str>>()?,
        next: elements(xml, "NextContinuationToken")
            .next()
            .map(|token| token.replace("&amp;", "&").replace("&#43;", "+")),
    })
}

/// What stands between the tags of each element of that name.
fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (element, after) = after.split_once(&close)?;
        rest = after;
        Some(element)
    })
}

async fn object(
    caller: &Caller,
    bucket: &str,
    key: &str,
    size: u64,
    tally: &mut Tally,
) -> Result<(), String> {
    let target = format!("/{bucket}/{}", utf8_percent_encode(key, PATH));
    let target = PathAndQuery::try_from(target).map_err(|error| error.to_string())?;
    let mut document = Document::new(|mark: Mark| tally.add(mark, Verdict::Given));
    let mut at = 0;
    while at < size {
        let last = (at + PIECE).min(size) - 1;
        let range = HeaderValue::try_from(format!("bytes={at}-{last}"));
        let range = range.map_err(|error| error.to_string())?;
        let request = aws::Request::new(Method::GET, target.clone(), b"").with_header(RANGE, range);
        let answer = caller
            .send(request)
            .await
            .map_err(|error| error.to_string())?;
        let expected = last + 1 - at;
        if answer.body.len() as u64 != expected {
            let got = answer.body.len();
            return Err(format!("{got} bytes came where {expected} were asked for"));
        }
        document
            .feed(&answer.body)
            .map_err(|error| error.to_string())?;
        at = last + 1;
    }
    document.end().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        assert_eq!(split("s3://logs/ecs/2026"), Ok(("logs", "ecs/2026")));
        assert_eq!(split("s3://logs"), Ok(("logs", "")));
        assert!(split("logs/ecs").is_err() && split("s3:///x").is_err());
    }

    #[test]
    fn listings_are_read() {
        let xml = "<R><Name>b</Name><NextContinuationToken>a&amp;b=</NextContinuationToken>\
                   <Contents><Key>a%2Bb+c%20d/e</Key><Size>12</Size></Contents>\
                   <Contents><Size>0</Size><Key>x</Key></Contents></R>";
        let page = page(xml).unwrap();
        assert_eq!(
            page.objects,
            [("a+b c d/e".to_owned(), 12), ("x".to_owned(), 0)]
        );
        assert_eq!(page.next.as_deref(), Some("a&b="));
    }
}
