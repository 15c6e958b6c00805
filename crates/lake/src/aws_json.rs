//! The AWS JSON 1.1 protocol: how its services answer and refuse.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use s3s::Body;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::delivered::Fenced;
use crate::signature::SignatureError;
use crate::streams::Refusal;

const JSON_1_1: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");

/// An error that AWS has a code for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

impl ApiError {
    /// The caller's fault.
    pub fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.into(),
        }
    }

    /// Our fault, and over soon, one hopes: clients try again.
    pub fn unavailable(message: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self {
            status,
            code: "ServiceUnavailableException",
            message: message.into(),
        }
    }

    /// There is no room for more on the disk.
    pub fn no_room() -> Self {
        Self::unavailable(
            "The disk of the lake is full; what is buffered has to become objects first.",
        )
    }

    /// An operation or a service that is not there.
    pub fn unknown_operation(message: impl Into<String>) -> Self {
        Self::client("UnknownOperationException", message)
    }

    /// A body that is not what the operation takes.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::client("SerializationException", message)
    }

    /// The answer that says so.
    pub fn answer(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Error<'a> {
            #[serde(rename = "__type")]
            code: &'a str,
            message: &'a str,
        }
        let mut response = answer(&Error {
            code: self.code,
            message: &self.message,
        });
        *response.status_mut() = self.status;
        response
    }
}

impl From<Fenced> for ApiError {
    fn from(fenced: Fenced) -> Self {
        Self::client("WriterFencedException", fenced.to_string())
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Shape(message) => Self::client("ValidationException", message),
            Refusal::Argument(message) => Self::client("InvalidArgumentException", message),
        }
    }
}

impl From<SignatureError> for ApiError {
    fn from(error: SignatureError) -> Self {
        let code = match &error {
            SignatureError::Missing => "MissingAuthenticationTokenException",
            SignatureError::Incomplete(_) => "IncompleteSignatureException",
            SignatureError::UnknownKey => "UnrecognizedClientException",
            SignatureError::ExpiredToken => "ExpiredTokenException",
            SignatureError::NotForThis(_) | SignatureError::Mismatch => "InvalidSignatureException",
        };
        Self::client(code, error.to_string())
    }
}

/// The items of a list: at most `MOST`, and how many there were. A longer list is read to its end and not kept.
pub struct AtMost<T, const MOST: usize> {
    pub items: Vec<T>,
    pub count: usize,
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for AtMost<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
            type Value = AtMost<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::with_capacity(MOST);
                while items.len() < MOST {
                    match list.next_element()? {
                        Some(item) => items.push(item),
                        None => {
                            return Ok(AtMost {
                                count: items.len(),
                                items,
                            });
                        }
                    }
                }
                let mut count = items.len();
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(AtMost { items, count })
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// Reads a request's body.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::serialization(error.to_string()))
}

/// An answer with `output` in it.
pub fn answer(output: &impl Serialize) -> Response<Body> {
    // What we answer are plain structures and texts, which always serialize.
    answer_bytes(serde_json::to_vec(output).unwrap_or_default().into())
}

/// An answer of JSON that is written already.
pub fn answer_bytes(json: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(json));
    response.headers_mut().insert(CONTENT_TYPE, JSON_1_1);
    response
}
