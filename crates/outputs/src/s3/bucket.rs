//! The few calls of S3 that an upload needs, path style as upstream, and what their answers mean for it.

use std::cell::Cell;
use std::fmt::Write as _;
use std::time::Duration;

use ::aws::{Answer, CallError, Client, PayloadHash, Request, ServiceError, xml_text};
use base64_simd::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::object::{Description, Name, ObjectSettings};

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const ACL: HeaderName = HeaderName::from_static("x-amz-acl");
const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
const SSE: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
const SSE_KEY: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
/// By this an object whose name is not unique is known again.
const ID: HeaderName = HeaderName::from_static("x-amz-meta-flumen-id");

/// What stays as it is in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// What stays as it is in a path.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// A bucket and how it is reached.
#[derive(Debug)]
pub struct Bucket {
    client: Client,
    path: String,
    /// Whether the service knows conditional writes, as far as is known.
    conditional: Cell<bool>,
}

/// Bytes to be sent and what is computed of them; made on a thread that may be busy.
#[derive(Clone, Debug)]
pub struct Piece {
    bytes: Bytes,
    hash: PayloadHash,
    md5: Option<String>,
}

/// Why a call did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// For a reason that may pass.
    Again {
        /// In a few words.
        why: String,
        /// What the service asked to wait.
        after: Option<Duration>,
        /// Whether the attempt got further than the one before.
        progress: bool,
        /// Whether the service has too much to do, or something in it failed: the same request may succeed soon.
        is_busy: bool,
    },
    /// There is an object of this name.
    Exists,
    /// The upload in parts is not known: it was completed, aborted, or has expired.
    NoSuchUpload,
    /// The parts of the upload do not make an object.
    BadParts(String),
}

/// An object of that name.
#[derive(Debug, PartialEq, Eq)]
pub struct Holder {
    /// What marks it as ours, if it is marked.
    pub id: Option<String>,
}

impl Piece {
    /// Hashes `bytes`.
    pub fn new(bytes: Bytes, settings: &ObjectSettings) -> Piece {
        Piece {
            hash: PayloadHash::of(&bytes),
            md5: settings
                .content_md5
                .then(|| STANDARD.encode_to_string(Md5::digest(&bytes))),
            bytes,
        }
    }

    /// What is sent.
    #[cfg(test)]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Takes its memory out, unless somebody else has it too. It is of no more use then.
    pub fn take_memory(&mut self) -> Option<Vec<u8>> {
        let bytes = std::mem::take(&mut self.bytes);
        bytes.is_unique().then(|| bytes.into())
    }
}

impl Failure {
    /// For a reason that may pass.
    pub fn again(why: impl Into<String>) -> Failure {
        Failure::Again {
            why: why.into(),
            after: None,
            progress: false,
            is_busy: false,
        }
    }
}

impl Bucket {
    /// The bucket of this name.
    pub fn new(client: Client, name: &str) -> Bucket {
        Bucket {
            client,
            path: format!("/{}", utf8_percent_encode(name, PATH)),
            conditional: Cell::new(true),
        }
    }

    /// Puts an object at once.
    pub async fn put(
        &self,
        object: &Description,
        name: &Name,
        piece: &Piece,
    ) -> Result<(), Failure> {
        let request = || {
            let request = Request::new(Method::PUT, self.target(&name.key, "")?, &piece.bytes);
            described(with_md5(request, piece)?, object, name)
        };
        self.send_conditionally(object, request).await?;
        Ok(())
    }

    /// Begins an upload in parts and returns its id.
    pub async fn begin(&self, object: &Description, name: &Name) -> Result<String, Failure> {
        let target = self.target(&name.key, "?uploads=")?;
        let request = described(Request::new(Method::POST, target, &[]), object, name)?;
        let answer = self.send(request).await?;
        xml_text(&String::from_utf8_lossy(&answer.body), "UploadId")
            .map(|id| id.into_owned())
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Failure::again("the answer to CreateMultipartUpload has no UploadId"))
    }

    /// Uploads a part, counted from 1, and returns its tag.
    pub async fn put_part(
        &self,
        name: &Name,
        upload_id: &str,
        number: usize,
        piece: &Piece,
    ) -> Result<String, Failure> {
        let query = format!(
            "?partNumber={number}&uploadId={}",
            utf8_percent_encode(upload_id, QUERY)
        );
        let request = Request::new(Method::PUT, self.target(&name.key, &query)?, &piece.bytes);
        let answer = self.send(with_md5(request, piece)?).await?;
        let etag = answer.header(ETAG.as_str());
        etag.map(str::to_owned)
            .ok_or_else(|| Failure::again("the answer to UploadPart has no ETag"))
    }

    /// Makes an object of the parts.
    pub async fn complete(
        &self,
        object: &Description,
        name: &Name,
        upload_id: &str,
        etags: &[String],
    ) -> Result<(), Failure> {
        let query = format!("?uploadId={}", utf8_percent_encode(upload_id, QUERY));
        let body = completion(etags);
        let request = || {
            Ok(Request::new(
                Method::POST,
                self.target(&name.key, &query)?,
                body.as_bytes(),
            ))
        };
        let answer = self.send_conditionally(object, request).await?;
        // The service may answer with success before it has tried.
        if String::from_utf8_lossy(&answer.body).contains("<Error>") {
            return Err(refused(&ServiceError::of(&answer)));
        }
        Ok(())
    }

    /// Gives an upload in parts up, so that nothing is paid for it.
    pub async fn abort(&self, name: &Name, upload_id: &str) -> Result<(), Failure> {
        let query = format!("?uploadId={}", utf8_percent_encode(upload_id, QUERY));
        let request = Request::new(Method::DELETE, self.target(&name.key, &query)?, &[]);
        match self.send(request).await {
            Ok(_) | Err(Failure::NoSuchUpload) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Who has this name: `None` if nobody has.
    pub async fn holder(&self, name: &Name) -> Result<Option<Holder>, CallError> {
        let Ok(target) = self.target(&name.key, "") else {
            return Ok(None);
        };
        match self
            .client
            .send(Request::new(Method::HEAD, target, &[]))
            .await
        {
            Ok(answer) => {
                let id = answer.header(ID.as_str());
                Ok(Some(Holder {
                    id: id.map(str::to_owned),
                }))
            }
            Err(CallError::Refused(error)) if error.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a request that must not replace an object, unless that is wanted or the service cannot tell.
    async fn send_conditionally<'a>(
        &self,
        object: &Description,
        request: impl Fn() -> Result<Request<'a>, Failure>,
    ) -> Result<Answer, Failure> {
        if !object.settings.overwrites && self.conditional.get() {
            let conditional = request()?.with_header(IF_NONE_MATCH, HeaderValue::from_static("*"));
            match self.client.send(conditional).await {
                Err(CallError::Refused(error)) if is_about_conditions(&error) => {
                    let answer = self.send(request()?).await?;
                    // It was the condition indeed.
                    self.conditional.set(false);
                    return Ok(answer);
                }
                result => return result.map_err(|error| failed(&error)),
            }
        }
        self.send(request()?).await
    }

    async fn send(&self, request: Request<'_>) -> Result<Answer, Failure> {
        self.client
            .send(request)
            .await
            .map_err(|error| failed(&error))
    }

    fn target(&self, key: &str, query: &str) -> Result<PathAndQuery, Failure> {
        let text = format!("{}/{}{query}", self.path, utf8_percent_encode(key, PATH));
        PathAndQuery::try_from(text)
            .map_err(|error| Failure::again(format!("'{key}' cannot stand in a request: {error}")))
    }
}

/// S3-compatible services without conditional writes say that they do not implement the header.
fn is_about_conditions(error: &ServiceError) -> bool {
    error.status == 501 || error.code == "NotImplemented"
}

/// Codes with which S3 says that something in it failed; one that comes with status 200 is an error too.
const FAILED_CODES: [&str; 3] = ["InternalError", "InternalFailure", "ServiceUnavailable"];

fn is_busy(error: &ServiceError) -> bool {
    let code = error.code.as_str();
    error.is_throttled() || matches!(error.status, 500 | 502 | 504) || FAILED_CODES.contains(&code)
}

/// What a call's failure means for its upload.
pub fn failed(error: &CallError) -> Failure {
    match error {
        CallError::Refused(error) => refused(error),
        error => Failure::again(error.to_string()),
    }
}

fn refused(error: &ServiceError) -> Failure {
    match (error.status, error.code.as_str()) {
        (412, _) | (_, "PreconditionFailed") => Failure::Exists,
        (_, "NoSuchUpload") => Failure::NoSuchUpload,
        (_, "InvalidPart" | "InvalidPartOrder" | "EntityTooSmall") => {
            Failure::BadParts(error.to_string())
        }
        _ => Failure::Again {
            why: error.to_string(),
            after: error.retry_after,
            progress: false,
            is_busy: is_busy(error),
        },
    }
}

/// The request with the headers that belong to the object.
fn described<'a>(
    request: Request<'a>,
    object: &Description,
    name: &Name,
) -> Result<Request<'a>, Failure> {
    let settings = &object.settings;
    let mark = (!name.is_unique && !settings.overwrites).then_some(object.id.as_str());
    let headers = [
        (CONTENT_TYPE, settings.content_type.as_deref()),
        (CONTENT_ENCODING, settings.encoding.content_encoding()),
        (ACL, settings.canned_acl.as_deref()),
        (STORAGE_CLASS, settings.storage_class.as_deref()),
        (SSE, settings.sse.as_deref()),
        (SSE_KEY, settings.sse_kms_key_id.as_deref()),
        (ID, mark),
    ];
    headers
        .into_iter()
        .filter_map(|(header, value)| Some((header, value?)))
        .try_fold(request, |request, (header, value)| {
            Ok(request.with_header(header, header_value(value)?))
        })
}

fn with_md5<'a>(request: Request<'a>, piece: &Piece) -> Result<Request<'a>, Failure> {
    let request = request.with_payload_hash(piece.hash.clone());
    match &piece.md5 {
        None => Ok(request),
        Some(md5) => Ok(request.with_header(CONTENT_MD5, header_value(md5)?)),
    }
}

fn header_value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text)
        .map_err(|_| Failure::again(format!("'{text}' cannot stand in a header")))
}

fn completion(etags: &[String]) -> String {
    let mut xml =
        String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (number, etag) in (1..).zip(etags) {
        let etag = etag.replace('&', "&amp;").replace('<', "&lt;");
        // Writing to a text cannot fail.
        let _ = write!(
            xml,
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        );
    }
    xml.push_str("</CompleteMultipartUpload>");
    xml
}
