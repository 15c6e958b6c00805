//! S3's errors: from ours to theirs, and complete.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode};

use crate::objects::{KeyError, ObjectError};

impl From<ObjectError> for S3Error {
    fn from(error: ObjectError) -> Self {
        let code = match &error {
            ObjectError::NoSuchBucket => S3ErrorCode::NoSuchBucket,
            ObjectError::NoSuchKey => S3ErrorCode::NoSuchKey,
            ObjectError::NoSuchUpload => S3ErrorCode::NoSuchUpload,
            ObjectError::NoSuchPart => S3ErrorCode::InvalidPart,
            ObjectError::PartsOutOfOrder => S3ErrorCode::InvalidPartOrder,
            ObjectError::PartTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            ObjectError::TooLarge => S3ErrorCode::EntityTooLarge,
            ObjectError::BucketNotEmpty => S3ErrorCode::BucketNotEmpty,
            ObjectError::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            ObjectError::NameTooLong => S3ErrorCode::KeyTooLongError,
            ObjectError::KeyIsFolder | ObjectError::FolderIsKey => {
                return message(S3ErrorCode::InvalidRequest, &error);
            }
            ObjectError::NoSpace(_) => return message(S3ErrorCode::ServiceUnavailable, &error),
            ObjectError::Failed(_) => return message(S3ErrorCode::InternalError, &error),
        };
        code.into()
    }
}

/// What a key that no object can have means to a request that writes it.
pub fn unwritable(error: KeyError) -> S3Error {
    match error {
        KeyError::TooLong | KeyError::PartTooLong => message(S3ErrorCode::KeyTooLongError, &error),
        _ => message(S3ErrorCode::InvalidRequest, &error),
    }
}

/// A client's error whose code `s3s` does not know.
pub fn uncommon(code: &'static str, message: impl Into<Cow<'static, str>>) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(StatusCode::BAD_REQUEST);
    error
}

fn message(code: S3ErrorCode, error: &dyn std::fmt::Display) -> S3Error {
    S3Error::with_message(code, error.to_string())
}

/// AWS's wording for the errors that come without one.
fn wording(code: &str) -> &'static str {
    match code {
        "AccessDenied" => "Access Denied",
        "BadDigest" => {
            "The Content-MD5 or checksum value that you specified did not match what the server received."
        }
        "BucketAlreadyOwnedByYou" => {
            "Your previous request to create the named bucket succeeded and you already own it."
        }
        "BucketNotEmpty" => "The bucket you tried to delete is not empty",
        "EntityTooLarge" => "Your proposed upload exceeds the maximum allowed size",
        "EntityTooSmall" => "Your proposed upload is smaller than the minimum allowed size",
        "ExpiredToken" => "The provided token has expired.",
        "IncompleteBody" => "The request body terminated unexpectedly",
        "InternalError" => "We encountered an internal error. Please try again.",
        "InvalidAccessKeyId" => "The AWS Access Key Id you provided does not exist in our records.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidPart" => {
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or the \
             specified entity tag may not match the part's entity tag."
        }
        "InvalidPartOrder" => {
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        }
        "InvalidRange" => "The requested range is not satisfiable",
        "InvalidTag" => "The tag provided was not a valid tag.",
        "InvalidToken" => "The provided token is malformed or otherwise invalid.",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "KeyTooLongError" => "Your key is too long",
        "MalformedXML" => {
            "The XML you provided was not well-formed or did not validate against our published schema"
        }
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "NoSuchBucket" => "The specified bucket does not exist",
        "NoSuchKey" => "The specified key does not exist.",
        "NoSuchUpload" => {
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or \
             completed."
        }
        "NotImplemented" => "A header you provided implies functionality that is not implemented.",
        "PreconditionFailed" => "At least one of the pre-conditions you specified did not hold",
        "RequestTimeTooSkewed" => {
            "The difference between the request time and the current time is too large."
        }
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        }
        _ => "The request could not be served.",
    }
}

/// Gives an error answer what S3's have: message, resource and ids. Answers to HEAD have no body.
pub fn complete(
    response: Response<Body>,
    resource: &str,
    id: &str,
    is_head: bool,
) -> Response<Body> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let xml = body.bytes().unwrap_or_default();
    let xml = String::from_utf8_lossy(&xml);
    let code = element(&xml, "Code").unwrap_or(default_code(status));
    let message = element(&xml, "Message").unwrap_or(wording(code));
    let resource = escaped(resource);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <Resource>{resource}</Resource><RequestId>{id}</RequestId><HostId>{id}</HostId></Error>"
    );
    parts.headers.remove(CONTENT_LENGTH);
    parts
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    let body = if is_head { Bytes::new() } else { body.into() };
    Response::from_parts(parts, Body::from(body))
}

fn default_code(status: StatusCode) -> &'static str {
    if status.is_client_error() {
        "InvalidRequest"
    } else {
        "InternalError"
    }
}

/// The text of the first element of that name, escaped as it stands.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let start = xml.find(&format!("<{name}>"))? + name.len() + 2;
    let end = xml[start..].find("</")?;
    Some(&xml[start..start + end])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(error: S3Error, is_head: bool) -> String {
        let response = complete(error.to_http_response().unwrap(), "/b/<k>", "id", is_head);
        String::from_utf8(response.into_body().bytes().unwrap_or_default().to_vec()).unwrap()
    }

    #[test]
    fn errors_are_complete() {
        assert_eq!(
            completed(S3ErrorCode::NoSuchKey.into(), false),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does \
             not exist.</Message><Resource>/b/&lt;k&gt;</Resource><RequestId>id</RequestId><HostId>id</HostId></Error>"
        );
        let own = S3Error::with_message(S3ErrorCode::InvalidRequest, "a < b");
        assert!(completed(own, false).contains("<Message>a &lt; b</Message>"));
        assert_eq!(completed(S3ErrorCode::NoSuchKey.into(), true), "");
    }
}
