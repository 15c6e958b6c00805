//! The AWS query protocol: forms in, XML out. STS and IAM speak it.

use std::collections::BTreeMap;
use std::fmt::Write;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use percent_encoding::percent_decode;
use s3s::Body;

use crate::limits;
use crate::signature::SignatureError;
use crate::streams::Violations;

/// What a service's answers are marked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The XML namespace.
    pub namespace: &'static str,
    /// The version of the API.
    pub version: &'static str,
}

/// An error that AWS has a code for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

impl QueryError {
    /// The caller's fault.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// A parameter of a wrong shape.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }

    /// Our fault, and over soon, one hopes: clients try again.
    pub fn unavailable(message: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "ServiceUnavailable", message)
    }

    /// What is wrong with parameters, if something is.
    pub fn check(violations: Violations) -> Result<(), Self> {
        violations
            .into_result()
            .map_err(|refusal| Self::validation(refusal.to_string()))
    }

    /// The answer that says so; `id` is what it calls the request.
    pub fn answer(&self, dialect: Dialect, id: &str) -> Response<Body> {
        let kind = match self.status.is_server_error() {
            true => "Receiver",
            false => "Sender",
        };
        let mut xml = Xml::default();
        xml.open("Error");
        xml.text("Type", kind);
        xml.text("Code", self.code);
        xml.text("Message", &self.message);
        xml.close("Error");
        let namespace = dialect.namespace;
        let inner = xml.0;
        let mut response = answer_bytes(format!(
            "<ErrorResponse xmlns=\"{namespace}\">{inner}<RequestId>{id}</RequestId></ErrorResponse>"
        ));
        *response.status_mut() = self.status;
        response
    }
}

impl From<SignatureError> for QueryError {
    fn from(error: SignatureError) -> Self {
        let (status, code) = match &error {
            SignatureError::Missing => (StatusCode::FORBIDDEN, "MissingAuthenticationToken"),
            SignatureError::Incomplete(_) => (StatusCode::BAD_REQUEST, "IncompleteSignature"),
            SignatureError::UnknownKey => (StatusCode::FORBIDDEN, "InvalidClientTokenId"),
            SignatureError::ExpiredToken => (StatusCode::FORBIDDEN, "ExpiredToken"),
            SignatureError::NotForThis(_) | SignatureError::Mismatch => {
                (StatusCode::FORBIDDEN, "SignatureDoesNotMatch")
            }
        };
        Self::new(status, code, error.to_string())
    }
}

/// The answer of `action` with `result` in it.
pub fn answer(dialect: Dialect, action: &str, result: Option<Xml>, id: &str) -> Response<Body> {
    let namespace = dialect.namespace;
    let result = result.map_or(String::new(), |xml| {
        format!("<{action}Result>{}</{action}Result>", xml.0)
    });
    answer_bytes(format!(
        "<{action}Response xmlns=\"{namespace}\">{result}<ResponseMetadata><RequestId>{id}</RequestId>\
         </ResponseMetadata></{action}Response>"
    ))
}

fn answer_bytes(xml: String) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes::Bytes::from(xml)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

/// XML being written. Names are ours; texts are escaped.
#[derive(Debug, Default)]
pub struct Xml(String);

impl Xml {
    /// Begins an element.
    pub fn open(&mut self, name: &str) {
        let _ = write!(self.0, "<{name}>");
    }

    /// Ends an element.
    pub fn close(&mut self, name: &str) {
        let _ = write!(self.0, "</{name}>");
    }

    /// An element with a text in it.
    pub fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        for one in text.chars() {
            match one {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '\r' => self.0.push_str("&#13;"),
                // What XML has no way to say.
                one if one.is_control() && !matches!(one, '\t' | '\n') => self.0.push('\u{fffd}'),
                one => self.0.push(one),
            }
        }
        self.close(name);
    }

    /// An element with a time in it, to the second.
    pub fn time(&mut self, name: &str, time: jiff::Timestamp) {
        self.text(name, &time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
}

/// The parameters of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a form. Of several parameters of one name the last stands.
    pub fn parse(form: &[u8]) -> Result<Self, QueryError> {
        let mut params = BTreeMap::new();
        for pair in form
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &b""[..]),
            };
            params.insert(decoded(name)?, decoded(value)?);
            if params.len() > limits::QUERY_PARAMETERS {
                let most = limits::QUERY_PARAMETERS;
                let message = format!("a request has at most {most} parameters");
                return Err(QueryError::new(
                    StatusCode::BAD_REQUEST,
                    "MalformedInput",
                    message,
                ));
            }
        }
        Ok(Self(params))
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Keys and values of `NAME.member.1.Key`, `NAME.member.1.Value` and so on.
    pub fn tags(&self, name: &str) -> BTreeMap<String, String> {
        let mut tags = BTreeMap::new();
        for number in 1.. {
            let member = |part: &str| self.get(&format!("{name}.member.{number}.{part}"));
            let Some(key) = member("Key") else {
                break;
            };
            tags.insert(
                key.to_owned(),
                member("Value").unwrap_or_default().to_owned(),
            );
        }
        tags
    }

    /// A number within bounds, or `usual`.
    pub fn number(
        &self,
        (name, path): (&str, &str),
        (least, most, usual): (i64, i64, i64),
        violations: &mut Violations,
    ) -> i64 {
        let Some(text) = self.get(name) else {
            return usual;
        };
        match text.parse() {
            Ok(number) => {
                violations.range(number, path, (least, most));
                number
            }
            Err(_) => {
                violations.add(text, path, "Member must be a number");
                usual
            }
        }
    }
}

fn decoded(text: &[u8]) -> Result<String, QueryError> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let text = percent_decode(&spaced).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| {
        QueryError::new(
            StatusCode::BAD_REQUEST,
            "MalformedInput",
            "the form is not UTF-8",
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_are_read() {
        let params =
            Params::parse(b"Action=A&b=c+d%20%2B&&e&t.member.1.Key=k&t.member.1.Value=v").unwrap();
        assert_eq!(
            (params.get("b"), params.get("e"), params.get("x")),
            (Some("c d +"), Some(""), None)
        );
        assert_eq!(
            params.tags("t"),
            BTreeMap::from([("k".to_owned(), "v".to_owned())])
        );
        assert!(Params::parse(b"a=%ff").is_err());
        let many: String = (0..=limits::QUERY_PARAMETERS)
            .map(|number| format!("{number}&"))
            .collect();
        assert!(Params::parse(many.as_bytes()).is_err());
    }

    #[test]
    fn texts_do_not_become_elements() {
        let mut xml = Xml::default();
        xml.text("A", "<b> & \u{0}\r\n");
        assert_eq!(xml.0, "<A>&lt;b&gt; &amp; \u{fffd}&#13;\n</A>");
    }

    proptest! {
        #[test]
        fn no_form_is_too_strange(form: Vec<u8>) {
            let _ = Params::parse(&form);
        }
    }
}
