//! AWS Signature Version 4, seen from the server.
//!
//! [`verify`] checks a request of the JSON services from end to end. Of S3's requests, whose bodies come in several
//! signed and unsigned forms, `s3s` checks the signature itself; what it leaves open is in [`s3`](crate::s3).

mod canonical;
mod claim;
mod session;

use std::borrow::Cow;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

pub use claim::{Claim, ClaimError};
pub use session::{Issued, Principal, SessionError, Sessions, derived_id, random_id};

use crate::limits;

/// The algorithm's name, which begins every `Authorization` header and string to sign.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

const SESSION_TOKEN: &str = "x-amz-security-token";

/// Who may sign, and for what.
#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// The temporary credentials that are accepted besides.
    pub sessions: Sessions,
}

impl Credentials {
    /// Who has the access key `id`: `None` if it is the lake's own. Temporary ones need their `token`; one that comes with
    /// the lake's own key says nothing.
    pub fn principal(
        &self,
        id: &str,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Principal>, SessionError> {
        if id == self.access_key_id {
            return Ok(None);
        }
        let token = token.filter(|_| Sessions::is_session(id));
        let token = token.ok_or(SessionError::Unknown)?;
        self.sessions.find(id, token, now).map(Some)
    }

    /// The secret of the access key `id`, which is the lake's own or a session's.
    pub fn secret(&self, id: &str) -> Cow<'_, str> {
        match id == self.access_key_id {
            true => Cow::Borrowed(&self.secret_access_key),
            false => Cow::Owned(self.sessions.secret(id)),
        }
    }
}

/// The session token in a request's headers.
pub fn session_token(parts: &Parts) -> Option<&str> {
    parts.headers.get(SESSION_TOKEN)?.to_str().ok()
}

/// Why a request is not taken to be from whom it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No signature at all.
    #[error("Missing Authentication Token")]
    Missing,
    /// A signature that lacks something.
    #[error("{0}")]
    Incomplete(String),
    /// An access key id that is not ours.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The session of this access key is over.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// Signed for something else, or at another time.
    #[error("{0}")]
    NotForThis(String),
    /// The signature is wrong.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

impl From<SessionError> for SignatureError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Unknown => Self::UnknownKey,
            SessionError::Expired => Self::ExpiredToken,
        }
    }
}

impl From<ClaimError> for SignatureError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Missing => Self::Missing,
            ClaimError::Incomplete(message) => Self::Incomplete(message),
        }
    }
}

/// Checks what can be checked before the body is read: who signed, for which service, when, and that the headers that
/// matter are signed. `service` is the one the request is for.
pub fn verify_head(
    parts: &Parts,
    service: &str,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Claim, SignatureError> {
    let claim = Claim::parse(parts)?;
    credentials.principal(&claim.access_key_id, session_token(parts), now)?;
    if claim.service != service {
        let message = format!("Credential should be scoped to correct service: '{service}'. ");
        return Err(SignatureError::NotForThis(message));
    }
    if !claim.timestamp.starts_with(&claim.date) {
        return Err(SignatureError::NotForThis(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', from '{}'.",
            claim.date,
            claim.timestamp.get(..8).unwrap_or_default(),
            claim.timestamp
        )));
    }
    check_time(&claim, now)?;
    check_signed_headers(parts, &claim)?;
    Ok(claim)
}

/// Checks the signature of a request whose head was accepted, over its head and its whole body.
pub fn verify(
    parts: &Parts,
    claim: &Claim,
    body: &[u8],
    credentials: &Credentials,
) -> Result<(), SignatureError> {
    let payload = hex(&Sha256::digest(body));
    let request = canonical::request(parts, &claim.signed_headers, &payload);
    let scope = format!(
        "{}/{}/{}/aws4_request",
        claim.date, claim.region, claim.service
    );
    let to_sign = format!(
        "{ALGORITHM}\n{}\n{scope}\n{}",
        claim.timestamp,
        hex(&Sha256::digest(request.as_bytes()))
    );
    // Compares in constant time.
    let mac = keyed(&signing_key(claim, credentials), to_sign.as_bytes());
    mac.verify_slice(&claim.signature)
        .map_err(|_| SignatureError::Mismatch)
}

fn signing_key(claim: &Claim, credentials: &Credentials) -> Vec<u8> {
    let secret = format!("AWS4{}", credentials.secret(&claim.access_key_id)).into_bytes();
    let steps = [
        claim.date.as_str(),
        &claim.region,
        &claim.service,
        "aws4_request",
    ];
    steps.iter().fold(secret, |key, step| {
        keyed(&key, step.as_bytes())
            .finalize()
            .into_bytes()
            .to_vec()
    })
}

fn keyed(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(message);
    mac
}

fn check_time(claim: &Claim, now: Timestamp) -> Result<(), SignatureError> {
    let Some(signed) = claim.time() else {
        return Err(SignatureError::Incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
            claim.timestamp
        )));
    };
    let basic = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let minutes = limits::CLOCK_SKEW.as_secs() / 60;
    let late =
        Duration::try_from(now.duration_since(signed)).is_ok_and(|late| late > limits::CLOCK_SKEW);
    let early = Duration::try_from(signed.duration_since(now))
        .is_ok_and(|early| early > limits::CLOCK_SKEW);
    let message = if late {
        format!(
            "Signature expired: {} is now earlier than {} ({} - {minutes} min.)",
            claim.timestamp,
            basic(now - limits::CLOCK_SKEW),
            basic(now)
        )
    } else if early {
        format!(
            "Signature not yet current: {} is still later than {} ({} + {minutes} min.)",
            claim.timestamp,
            basic(now + limits::CLOCK_SKEW),
            basic(now)
        )
    } else {
        return Ok(());
    };
    Err(SignatureError::NotForThis(message))
}

/// A header that decides what the request means has to be signed, and what is signed has to be there.
fn check_signed_headers(parts: &Parts, claim: &Claim) -> Result<(), SignatureError> {
    let signed = |name: &str| claim.signed_headers.iter().any(|signed| signed == name);
    if !signed("host") {
        let message = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
        return Err(SignatureError::NotForThis(message.to_owned()));
    }
    let amz = parts
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-"));
    if let Some(unsigned) = amz.into_iter().find(|name| !signed(name)) {
        let message = format!("'{unsigned}' must be a 'SignedHeader' in the AWS Authorization.");
        return Err(SignatureError::NotForThis(message));
    }
    match claim
        .signed_headers
        .iter()
        .find(|name| !parts.headers.contains_key(name.as_str()))
    {
        Some(missing) => Err(SignatureError::Incomplete(format!(
            "the signed header '{missing}' is not in the request"
        ))),
        None => Ok(()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            out.extend(
                [byte >> 4, byte & 15]
                    .map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')),
            );
            out
        })
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// The example of AWS's own documentation of the algorithm.
    #[test]
    fn the_documented_example_verifies() {
        let (parts, ()) =
            Request::get("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08")
                .header("host", "iam.amazonaws.com")
                .header(
                    "content-type",
                    "application/x-www-form-urlencoded; charset=utf-8",
                )
                .header("x-amz-date", "20150830T123600Z")
                .header(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date, \
                 Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
                )
                .body(())
                .unwrap()
                .into_parts();
        let mut credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            sessions: Sessions::fixed(),
        };
        let now: Timestamp = "2015-08-30T12:40:00Z".parse().unwrap();
        let claim = verify_head(&parts, "iam", &credentials, now).unwrap();
        assert_eq!(verify(&parts, &claim, b"", &credentials), Ok(()));
        assert_eq!(
            verify(&parts, &claim, b"x", &credentials),
            Err(SignatureError::Mismatch)
        );
        credentials.secret_access_key.push('x');
        assert_eq!(
            verify(&parts, &claim, b"", &credentials),
            Err(SignatureError::Mismatch)
        );
    }

    fn head(headers: &[(&str, &str)]) -> Result<Claim, SignatureError> {
        let mut request = Request::post("/").header("host", "127.0.0.1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let credentials = Credentials {
            access_key_id: "flumen".to_owned(),
            secret_access_key: "flumen".to_owned(),
            sessions: Sessions::fixed(),
        };
        verify_head(
            &parts,
            "firehose",
            &credentials,
            "2026-11-22T13:00:00Z".parse().unwrap(),
        )
    }

    fn authorization(credential: &str, signed: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={}",
            "0".repeat(64)
        )
    }

    #[test]
    fn heads_are_refused_for_what_is_wrong_with_them() {
        let scope = "flumen/20261122/us-west-2/firehose/aws4_request";
        let date = ("x-amz-date", "20261122T130000Z");
        for (credential, signed, headers, told) in [
            (
                "who/20261122/us-west-2/firehose/aws4_request",
                "host;x-amz-date",
                &[date][..],
                "security token",
            ),
            (
                "flumen/20261122/us-west-2/s3/aws4_request",
                "host;x-amz-date",
                &[date],
                "correct service: 'firehose'",
            ),
            (
                "flumen/20261121/us-west-2/firehose/aws4_request",
                "host;x-amz-date",
                &[date],
                "'20261121' != '20261122'",
            ),
            (
                scope,
                "host;x-amz-date",
                &[("x-amz-date", "20261122T124459Z")],
                "Signature expired: 20261122T124459Z",
            ),
            (
                scope,
                "host;x-amz-date",
                &[("x-amz-date", "20261122T131501Z")],
                "Signature not yet current",
            ),
            (
                scope,
                "host;x-amz-date",
                &[("x-amz-date", "20261122")],
                "ISO-8601",
            ),
            (scope, "x-amz-date", &[date], "'Host'"),
            (
                scope,
                "host;x-amz-date",
                &[date, ("x-amz-target", "t")],
                "'x-amz-target' must be",
            ),
            (
                scope,
                "host;x-amz-date;x-more",
                &[date],
                "'x-more' is not in the request",
            ),
            (scope, "host", &[], "'X-Amz-Date'"),
        ] {
            let value = authorization(credential, signed);
            let headers: Vec<_> = headers
                .iter()
                .copied()
                .chain([("authorization", value.as_str())])
                .collect();
            let error = head(&headers).unwrap_err().to_string();
            assert!(error.contains(told), "{told}: {error}");
        }
        assert_eq!(head(&[date]), Err(SignatureError::Missing));
        for at_the_edge in ["20261122T124500Z", "20261122T131500Z"] {
            let value = authorization(scope, "host;x-amz-date");
            assert!(head(&[("x-amz-date", at_the_edge), ("authorization", &value)]).is_ok());
        }
    }
}
