//! AWS credentials: the value, and the sources it comes from.
//!
//! The order of the sources is Fluent Bit's. One thing differs: a source that is configured but fails ends the search
//! with its error, where Fluent Bit goes on to the next one and then stays with that. A pod whose role could not be
//! assumed for a moment must not sign as its node from then on.

mod chain;
mod container;
mod document;
mod instance;
mod process;
mod profile;
mod provider;
mod reach;
mod sso;
mod sts;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;
use jiff::Timestamp;

pub use chain::{CredentialsError, Look};
pub use provider::{CredentialsOptions, CredentialsProvider};

/// What a request is signed with: an access key, its secret, and for temporary ones a session token and an end.
///
/// Cheap to clone. Neither the secret nor the token shows in `Debug`.
#[derive(Clone)]
pub struct Credentials(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<HeaderValue>,
    expires: Option<Timestamp>,
    source: String,
}

/// A key, secret or token that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    /// The access key id is empty or holds something else than letters, digits and underscores.
    #[error("the access key id is not made of letters, digits and underscores")]
    AccessKeyId,
    /// The secret is empty.
    #[error("the secret access key is empty")]
    SecretAccessKey,
    /// The session token holds characters that a header cannot.
    #[error("the session token holds characters that a header cannot carry")]
    SessionToken,
}

impl Credentials {
    /// Credentials that do not expire; an empty session token counts as none.
    pub fn new(
        access_key_id: &str,
        secret_access_key: &str,
        session_token: Option<&str>,
    ) -> Result<Self, InvalidCredentials> {
        let access_key_id = access_key_id.trim();
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if access_key_id.is_empty() || !access_key_id.bytes().all(word) {
            return Err(InvalidCredentials::AccessKeyId);
        }
        let secret_access_key = secret_access_key.trim();
        if secret_access_key.is_empty() {
            return Err(InvalidCredentials::SecretAccessKey);
        }
        let session_token = match session_token
            .map(str::trim)
            .filter(|token| !token.is_empty())
        {
            None => None,
            Some(token) => Some(header_secret(token).ok_or(InvalidCredentials::SessionToken)?),
        };
        Ok(Self(Arc::new(Parts {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token,
            expires: None,
            source: String::new(),
        })))
    }

    /// The same credentials with an end.
    pub fn expiring(self, at: SystemTime) -> Self {
        let expires = Timestamp::try_from(at).ok();
        self.until(expires)
    }

    fn until(self, expires: Option<Timestamp>) -> Self {
        let mut parts = Arc::unwrap_or_clone(self.0);
        parts.expires = expires;
        Self(Arc::new(parts))
    }

    /// The same credentials with word of where they came from.
    fn out_of(self, source: impl Into<String>) -> Self {
        let mut parts = Arc::unwrap_or_clone(self.0);
        parts.source = source.into();
        Self(Arc::new(parts))
    }

    /// The public half of the key pair, as it stands in each signature.
    pub fn access_key_id(&self) -> &str {
        &self.0.access_key_id
    }

    pub(crate) fn secret_access_key(&self) -> &str {
        &self.0.secret_access_key
    }

    pub(crate) fn session_token(&self) -> Option<&HeaderValue> {
        self.0.session_token.as_ref()
    }

    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.0.expires
    }

    /// When they end; `None` if they do not.
    pub fn expiry(&self) -> Option<SystemTime> {
        self.0.expires.map(SystemTime::from)
    }

    /// Where they came from, in words: `environment`, `profile dev (sign-in of sso-session corp)`, `container` …
    /// Empty for those that a caller made.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether both would sign alike.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.access_key_id == other.0.access_key_id
                && self.0.secret_access_key == other.0.secret_access_key
                && self.0.session_token == other.0.session_token)
    }
}

/// A header value that is left out of debug output.
pub(crate) fn header_secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("access_key_id", &self.0.access_key_id)
            .field("expires", &self.0.expires)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_of_debug() {
        let credentials = Credentials::new("AKIDEXAMPLE", "the-secret", Some("the-token")).unwrap();
        let shown = format!("{credentials:?} {:?}", credentials.session_token());
        assert!(shown.contains("AKIDEXAMPLE"));
        assert!(
            !shown.contains("the-secret") && !shown.contains("the-token"),
            "{shown}"
        );
    }

    #[test]
    fn what_cannot_be_credentials_is_refused() {
        let cases = [
            ("", "s", None, InvalidCredentials::AccessKeyId),
            ("AK/ID", "s", None, InvalidCredentials::AccessKeyId),
            ("AKID", " ", None, InvalidCredentials::SecretAccessKey),
            ("AKID", "s", Some("a\nb"), InvalidCredentials::SessionToken),
        ];
        for (key, secret, token, expected) in cases {
            assert_eq!(Credentials::new(key, secret, token).unwrap_err(), expected);
        }
        assert!(
            Credentials::new(" AKID ", "s", Some(""))
                .unwrap()
                .session_token()
                .is_none()
        );
    }
}
