//! What a service answers, before it becomes HTTP.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

/// The body of every answer. One that is to break off yields an error.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

const JSON: &str = "application/x-amz-json-1.1";
const XML: &str = "application/xml";

/// An answer.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    content_type: &'static str,
    /// Of an object or part.
    etag: Option<String>,
    /// What is sent.
    pub body: Bytes,
}

impl Reply {
    /// JSON.
    pub fn json(body: impl Into<Bytes>) -> Reply {
        Reply {
            status: StatusCode::OK,
            content_type: JSON,
            etag: None,
            body: body.into(),
        }
    }

    /// S3's XML.
    pub fn xml(body: impl Into<Bytes>) -> Reply {
        Reply {
            content_type: XML,
            ..Reply::json(body)
        }
    }

    /// No content, but a status.
    pub fn status(status: u16) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).unwrap_or_default(),
            ..Reply::xml(Bytes::new())
        }
    }

    /// The same with the tag of an object.
    pub fn with_etag(mut self, etag: &str) -> Reply {
        self.etag = Some(format!("\"{etag}\""));
        self
    }

    /// An error in the form of the service.
    pub fn refusal(is_s3: bool, status: u16, code: &str, message: &str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        let reply = match is_s3 {
            true => Reply::xml(format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            )),
            false => {
                let error = serde_json::json!({"__type": code, "message": message});
                Reply::json(error.to_string())
            }
        };
        Reply { status, ..reply }
    }

    /// As HTTP.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(
            Full::new(self.body)
                .map_err(|never| match never {})
                .boxed_unsync(),
        );
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(
            HeaderName::from_static("x-amzn-requestid"),
            HeaderValue::from_static("00000000-0000-4000-8000-000000000000"),
        );
        if let Some(etag) = self.etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
            headers.insert(http::header::ETAG, etag);
        }
        response
    }
}
