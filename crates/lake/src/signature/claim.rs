//! What a signed request says of itself.

use http::request::Parts;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::ALGORITHM;

/// The parts of an `Authorization` header and the time that belongs to it. Nothing of it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub access_key_id: String,
    /// `YYYYMMDD`.
    pub date: String,
    pub region: String,
    pub service: String,
    /// Lower-case, in the order given.
    pub signed_headers: Vec<String>,
    pub signature: [u8; 32],
    /// `YYYYMMDDTHHMMSSZ`.
    pub timestamp: String,
}

/// Why there is no claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimError {
    /// There is no `Authorization` header.
    Missing,
    /// Something is missing from it.
    Incomplete(String),
}

impl Claim {
    /// Reads the claim in a request's headers.
    pub fn parse(parts: &Parts) -> Result<Self, ClaimError> {
        let header = parts
            .headers
            .get(http::header::AUTHORIZATION)
            .ok_or(ClaimError::Missing)?;
        let header = header
            .to_str()
            .map_err(|_| incomplete("the Authorization header is not ASCII"))?;
        let fields = header
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '));
        let fields = fields.ok_or_else(|| {
            incomplete(format!(
                "the Authorization header does not begin with {ALGORITHM}"
            ))
        })?;
        let (access_key_id, scope) = parse_credential(field(fields, "Credential")?)?;
        let signed_headers = field(fields, "SignedHeaders")?
            .split(';')
            .map(str::to_ascii_lowercase)
            .collect();
        let signature = parse_hex(field(fields, "Signature")?)
            .ok_or_else(|| incomplete("'Signature' is not 64 hexadecimal digits"))?;
        let timestamp = parts
            .headers
            .get("x-amz-date")
            .and_then(|date| date.to_str().ok());
        let timestamp = timestamp
            .ok_or_else(|| {
                incomplete("Authorization header requires existence of a 'X-Amz-Date' header.")
            })?
            .to_owned();
        let [date, region, service] = scope.map(str::to_owned);
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            date,
            region,
            service,
            signed_headers,
            signature,
            timestamp,
        })
    }

    /// The service a request says it is for, before anything is checked: from the `Authorization` header or the
    /// credential in the URL.
    pub fn service_of(parts: &Parts) -> Option<String> {
        if let Some(header) = parts.headers.get(http::header::AUTHORIZATION) {
            let credential = field(header.to_str().ok()?.split_once(' ')?.1, "Credential").ok()?;
            return parse_credential(credential)
                .ok()
                .map(|(_, [_, _, service])| service.to_owned());
        }
        let query = parts.uri.query()?;
        let credential = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
        let credential = percent_encoding::percent_decode_str(credential)
            .decode_utf8()
            .ok()?;
        parse_credential(&credential)
            .ok()
            .map(|(_, [_, _, service])| service.to_owned())
    }

    /// When the request was signed, if the timestamp is one.
    pub fn time(&self) -> Option<Timestamp> {
        let time = DateTime::strptime("%Y%m%dT%H%M%SZ", &self.timestamp).ok()?;
        time.to_zoned(TimeZone::UTC)
            .ok()
            .map(|time| time.timestamp())
    }
}

/// The value of `name=…` among fields that commas separate.
fn field<'a>(fields: &'a str, name: &str) -> Result<&'a str, ClaimError> {
    let mut fields = fields.split(',').map(str::trim);
    let found = fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    found.ok_or_else(|| incomplete(format!("Authorization header requires '{name}' parameter.")))
}

/// The access key id, and date, region and service of `id/date/region/service/aws4_request`. Ids may have slashes.
fn parse_credential(credential: &str) -> Result<(&str, [&str; 3]), ClaimError> {
    let mut parts = credential.rsplitn(5, '/');
    match (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) {
        (Some("aws4_request"), Some(service), Some(region), Some(date), Some(id)) => {
            Ok((id, [date, region, service]))
        }
        _ => Err(incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
        ))),
    }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    (digits.len() == 64)
        .then(|| bytes.try_into().ok())
        .flatten()
}

fn incomplete(message: impl Into<String>) -> ClaimError {
    ClaimError::Incomplete(message.into())
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn parts(authorization: &str) -> Parts {
        let request = Request::post("/")
            .header("authorization", authorization)
            .header("x-amz-date", "20261122T130000Z");
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn fields_may_have_any_spacing() {
        let signature = "aB".repeat(32);
        for separator in [", ", ",", " , "] {
            let header = [
                "AWS4-HMAC-SHA256 Credential=a/b/20261122/r/s/aws4_request",
                "SignedHeaders=Host;x",
                &format!("Signature={signature}"),
            ]
            .join(separator);
            let claim = Claim::parse(&parts(&header)).unwrap();
            assert_eq!(
                (claim.access_key_id.as_str(), claim.service.as_str()),
                ("a/b", "s")
            );
            assert_eq!(claim.signed_headers, ["host", "x"]);
            assert_eq!(claim.signature, [0xab; 32]);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (header, told) in [
            ("AWS4-HMAC-SHA256", "does not begin"),
            ("Basic Zmx1bWVu", "does not begin"),
            ("AWS4-HMAC-SHA256 SignedHeaders=host", "'Credential'"),
            (
                "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host",
                "5 slash-delimited",
            ),
            (
                "AWS4-HMAC-SHA256 Credential=a/d/r/s/aws4_request, SignedHeaders=host",
                "'Signature'",
            ),
            (
                "AWS4-HMAC-SHA256 Credential=a/d/r/s/aws4_request, SignedHeaders=host, Signature=ab",
                "64 hexadecimal",
            ),
        ] {
            match Claim::parse(&parts(header)) {
                Err(ClaimError::Incomplete(message)) => {
                    assert!(message.contains(told), "{header}: {message}")
                }
                other => panic!("{header}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(header in "(AWS4-HMAC-SHA256 ?)?[ -~]{0,80}") {
            let parts = parts(&header);
            let _ = Claim::service_of(&parts);
            let _ = Claim::parse(&parts).map(|claim| claim.time());
        }
    }
}
