//! Signed requests, changed anywhere: a changed one never counts as signed.

use http::Request;
use http::request::Parts;

use super::*;

/// The example of AWS's own documentation of the algorithm: the line of the request, and headers.
const SIGNED: &str = "GET /?Action=ListUsers&Version=2010-05-08
host: iam.amazonaws.com
content-type: application/x-www-form-urlencoded; charset=utf-8
x-amz-date: 20150830T123600Z
authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";

/// The request that a text describes, if it can be one.
fn request(text: &[u8]) -> Option<Parts> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    let (parts, ()) = request.body(()).ok()?.into_parts();
    Some(parts)
}

/// What the signature speaks for: everything but itself, and headers that need not be signed.
fn spoken_for(parts: &Parts) -> impl PartialEq {
    let header = |name: &str| {
        let values = parts.headers.get_all(name).iter();
        values
            .map(|value| {
                let words = value.as_bytes().split(|byte| *byte == b' ');
                let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
                // However many blanks there are: that is not signed.
                words.join(&b' ')
            })
            .collect::<Vec<_>>()
    };
    let named = [
        "host",
        "content-type",
        "x-amz-date",
        SESSION_TOKEN,
        "x-amz-target",
    ]
    .map(header);
    (parts.method.clone(), named)
}

#[test]
fn fuzz_signatures() {
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        sessions: Sessions::fixed(),
    };
    let now: Timestamp = "2015-08-30T12:40:00Z".parse().expect("a time");
    let verified = |parts: &Parts, body: &[u8]| {
        let claim = verify_head(parts, "iam", &credentials, now)?;
        verify(parts, &claim, body, &credentials)
    };
    let original = request(SIGNED.as_bytes()).expect("a request");
    assert_eq!(verified(&original, b""), Ok(()));
    let presigned = "GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fiam%2F\
                     aws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00\
                     \nhost: iam.amazonaws.com";
    ::fuzz::Target::new("signatures")
        .seeds([SIGNED, presigned])
        .words([
            "Credential=",
            "SignedHeaders=",
            "Signature=",
            "host;",
            "x-amz-date: 20150830T123600Z",
            "x-amz-target: t",
            "\n",
        ])
        .words([
            "x-amz-security-token: t",
            "authorization: ",
            "%2F",
            "%",
            "&",
            "=",
            "/../",
            "//",
            "aws4_request",
            ";",
        ])
        .run(|text| {
            let Some(parts) = request(text) else { return };
            assert!(
                verified(&parts, b"x").is_err(),
                "another body than the signed one"
            );
            if verified(&parts, b"").is_ok() {
                assert!(
                    spoken_for(&parts) == spoken_for(&original),
                    "what was signed is what came"
                );
                assert_eq!(parts.uri.path(), original.uri.path());
            }
        });
}
