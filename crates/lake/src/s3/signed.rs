//! What S3 asks of signed requests beyond a signature that matches, which is all that `s3s` looks at.

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::limits;
use crate::signature::{
    ALGORITHM, Claim, ClaimError, Credentials, SessionError, Sessions, session_token,
};

/// Tells `s3s` the secrets of the lake's own key and of sessions, whose tokens were [checked](check_token) before.
pub struct OneKey(pub Credentials);

#[async_trait::async_trait]
impl S3Auth for OneKey {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match access_key == self.0.access_key_id || Sessions::is_session(access_key) {
            true => Ok(self.0.secret(access_key).as_ref().into()),
            false => Err(S3ErrorCode::InvalidAccessKeyId.into()),
        }
    }
}

/// Refuses older forms of signing, headers that matter and are not signed, and URLs presigned for too long. A request
/// without any signature passes; nothing is allowed to it later on.
pub fn check(parts: &Parts) -> S3Result<()> {
    let is_form = |value: &http::HeaderValue| {
        value
            .as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"multipart/form-data")
    };
    if parts.method == Method::POST && parts.headers.get(CONTENT_TYPE).is_some_and(is_form) {
        return Err(refusal(
            S3ErrorCode::NotImplemented,
            "Uploads by form (POST Object) are not served here.",
        ));
    }
    let query = parts.uri.query().unwrap_or("");
    let has = |name: &str| query_value(query, name).is_some();
    let presigned = has("X-Amz-Signature") || has("X-Amz-Algorithm") || has("X-Amz-Credential");
    let authorization = parts.headers.get(AUTHORIZATION);
    if has("Signature")
        || has("AWSAccessKeyId")
        || authorization.is_some_and(|value| !value.as_bytes().starts_with(ALGORITHM.as_bytes()))
    {
        let message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
        return Err(refusal(S3ErrorCode::InvalidRequest, message));
    }
    match (authorization.is_some(), presigned) {
        (false, false) => Ok(()),
        (true, true) => Err(refusal(
            S3ErrorCode::InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
             parameter or the Authorization header should be specified",
        )),
        (true, false) => check_header(parts),
        (false, true) => check_presigned(parts, query),
    }
}

/// Refuses temporary access keys that come without their token, with another one's, or too late.
pub fn check_token(parts: &Parts, credentials: &Credentials, now: Timestamp) -> S3Result<()> {
    let query = parts.uri.query().unwrap_or("");
    let (id, token) = match Claim::parse(parts) {
        Ok(claim) => (claim.access_key_id, session_token(parts).map(str::to_owned)),
        Err(_) => {
            let Some(credential) = query_value(query, "X-Amz-Credential") else {
                return Ok(());
            };
            let id = credential.split('/').next().unwrap_or_default().to_owned();
            (id, query_value(query, "X-Amz-Security-Token"))
        }
    };
    // Keys of other forms are known or not, which is told with the signature.
    if !Sessions::is_session(&id) {
        return Ok(());
    }
    match credentials.principal(&id, token.as_deref(), now) {
        Ok(_) => Ok(()),
        Err(SessionError::Expired) => Err(S3ErrorCode::ExpiredToken.into()),
        Err(SessionError::Unknown) if token.is_none() => {
            Err(S3ErrorCode::InvalidAccessKeyId.into())
        }
        Err(SessionError::Unknown) => Err(S3ErrorCode::InvalidToken.into()),
    }
}

fn check_header(parts: &Parts) -> S3Result<()> {
    let claim = Claim::parse(parts).map_err(|error| match error {
        ClaimError::Incomplete(message) => refusal(
            S3ErrorCode::AuthorizationHeaderMalformed,
            format!("The authorization header is malformed; {message}"),
        ),
        ClaimError::Missing => S3ErrorCode::AccessDenied.into(),
    })?;
    check_service(&claim.service, S3ErrorCode::AuthorizationHeaderMalformed)?;
    check_signed_headers(parts, claim.signed_headers.iter().map(String::as_str))
}

fn check_presigned(parts: &Parts, query: &str) -> S3Result<()> {
    let malformed = |message: &str| {
        refusal(
            S3ErrorCode::AuthorizationQueryParametersError,
            message.to_owned(),
        )
    };
    let value = |name: &str| query_value(query, name);
    let names = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-Date",
        "X-Amz-SignedHeaders",
        "X-Amz-Expires",
    ];
    if names.iter().any(|name| value(name).is_none()) {
        return Err(malformed(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, \
             X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        ));
    }
    let service = value("X-Amz-Credential")
        .and_then(|it| it.rsplit('/').nth(1).map(str::to_owned))
        .unwrap_or_default();
    check_service(&service, S3ErrorCode::AuthorizationQueryParametersError)?;
    match value("X-Amz-Expires").and_then(|seconds| seconds.parse::<i64>().ok()) {
        None => return Err(malformed("X-Amz-Expires should be a number")),
        Some(..0) => return Err(malformed("X-Amz-Expires must be non-negative")),
        Some(seconds) if seconds as u64 > limits::PRESIGNED_SECS => {
            return Err(malformed(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
            ));
        }
        Some(_) => {}
    }
    let signed = value("X-Amz-SignedHeaders").unwrap_or_default();
    check_signed_headers(parts, signed.split(';'))
}

fn check_service(service: &str, code: S3ErrorCode) -> S3Result<()> {
    match service {
        "s3" => Ok(()),
        other => Err(refusal(
            code,
            format!(
                "The credential is for the service \"{other}\". This endpoint belongs to \"s3\"."
            ),
        )),
    }
}

/// `s3s` passes over signed headers that are missing, and does not ask which ones are signed.
fn check_signed_headers<'a>(
    parts: &Parts,
    signed: impl Iterator<Item = &'a str> + Clone,
) -> S3Result<()> {
    if let Some(missing) = signed
        .clone()
        .find(|name| !parts.headers.contains_key(*name))
    {
        return Err(refusal(
            S3ErrorCode::SignatureDoesNotMatch,
            format!("The signed header '{missing}' is not in the request."),
        ));
    }
    let names = parts.headers.keys().map(http::HeaderName::as_str);
    let mut wanted = names.filter(|name| *name == "host" || name.starts_with("x-amz-"));
    match wanted.find(|name| {
        !signed
            .clone()
            .any(|signed| signed.eq_ignore_ascii_case(name))
    }) {
        None => Ok(()),
        Some(unsigned) => Err(refusal(
            S3ErrorCode::AccessDenied,
            format!("There were headers present in the request which were not signed: {unsigned}"),
        )),
    }
}

fn query_value(query: &str, name: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

fn refusal(code: S3ErrorCode, message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(code, message)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const HEADER: &str = "AWS4-HMAC-SHA256 Credential=k/20261122/us-west-2/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=";
    const QUERY: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=k%2F20261122%2Fr%2Fs3%2Faws4_request&X-Amz-Date=20261122T130000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0";

    fn code(uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::post(uri).header("host", "127.0.0.1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts)
            .err()
            .map(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn requests_are_refused_for_what_is_not_signed() {
        let good = format!("{HEADER}{}", "0".repeat(64));
        let date = ("x-amz-date", "20261122T130000Z");
        let for_firehose = good.replace("/s3/", "/firehose/");
        let no_host = good.replace("host;", "");
        let one_more = good.replace("host;", "host;range;");
        for (headers, expected) in [
            (&[][..], None),
            (&[date, ("authorization", good.as_str())], None),
            (
                &[
                    date,
                    ("authorization", good.as_str()),
                    ("x-amz-acl", "public-read"),
                ],
                Some("AccessDenied"),
            ),
            (&[date, ("authorization", &no_host)], Some("AccessDenied")),
            (
                &[date, ("authorization", &one_more)],
                Some("SignatureDoesNotMatch"),
            ),
            (
                &[("authorization", good.as_str())],
                Some("AuthorizationHeaderMalformed"),
            ),
            (
                &[date, ("authorization", &for_firehose)],
                Some("AuthorizationHeaderMalformed"),
            ),
            (
                &[("authorization", "AWS k:c2lnbmF0dXJl")],
                Some("InvalidRequest"),
            ),
            (
                &[("content-type", "multipart/form-data; boundary=x")],
                Some("NotImplemented"),
            ),
        ] {
            assert_eq!(code("/b/k", headers).as_deref(), expected, "{headers:?}");
        }
    }

    #[test]
    fn sessions_need_their_tokens_in_time() {
        let credentials = Credentials {
            access_key_id: "k".to_owned(),
            secret_access_key: "s".to_owned(),
            sessions: Sessions::fixed(),
        };
        let principal = crate::signature::Principal {
            arn: "a".to_owned(),
            user_id: "u".to_owned(),
            assumed_role: true,
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let issued = credentials
            .sessions
            .issue(principal, at("2026-11-22T13:00:00Z"));
        let id = issued.access_key_id.as_str();
        let token = issued.session_token.as_str();
        let (before, after) = (at("2026-11-22T12:00:00Z"), at("2026-11-22T14:00:00Z"));
        for (id, token, now, expected) in [
            ("k", None, after, None),
            ("k", Some("x"), after, None),
            ("other", None, after, None),
            (id, Some(token), before, None),
            (id, Some(token), after, Some("ExpiredToken")),
            (id, Some("x"), before, Some("InvalidToken")),
            (id, None, before, Some("InvalidAccessKeyId")),
        ] {
            let header = format!(
                "{}{}",
                HEADER.replace("=k/", &format!("={id}/")),
                "0".repeat(64)
            );
            let mut request = Request::get("/")
                .header("authorization", header)
                .header("x-amz-date", "20261122T130000Z");
            if let Some(token) = token {
                request = request.header("x-amz-security-token", token);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let refused = check_token(&parts, &credentials, now).err();
            let code = refused.map(|error| error.code().as_str().to_owned());
            assert_eq!(code.as_deref(), expected, "{id} {token:?} {now}");
        }
    }

    #[test]
    fn presigned_urls_are_refused_for_what_is_wrong_with_them() {
        let header = format!("{HEADER}{}", "0".repeat(64));
        for (more, headers, expected) in [
            ("&X-Amz-Expires=604800", &[][..], None),
            (
                "&X-Amz-Expires=604801",
                &[],
                Some("AuthorizationQueryParametersError"),
            ),
            (
                "&X-Amz-Expires=-1",
                &[],
                Some("AuthorizationQueryParametersError"),
            ),
            (
                "&X-Amz-Expires=x",
                &[],
                Some("AuthorizationQueryParametersError"),
            ),
            ("", &[], Some("AuthorizationQueryParametersError")),
            (
                "&X-Amz-Expires=1",
                &[("x-amz-meta-a", "b")],
                Some("AccessDenied"),
            ),
            (
                "&X-Amz-Expires=1",
                &[("authorization", header.as_str())],
                Some("InvalidArgument"),
            ),
            ("&Signature=x&X-Amz-Expires=1", &[], Some("InvalidRequest")),
        ] {
            assert_eq!(
                code(&format!("/b/k?{QUERY}{more}"), headers).as_deref(),
                expected,
                "{more} {headers:?}"
            );
        }
    }
}
