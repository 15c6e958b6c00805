//! Roles: `AssumeRole` and `AssumeRoleWithWebIdentity` of the security token service.

use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::uri::PathAndQuery;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::rand::{SecureRandom, SystemRandom};

use super::Credentials;
use super::chain::{CredentialsError, Look, Miss};
use crate::call_error::CallError;
use crate::client::{Client, Request};
use crate::environment::Environment;
use crate::xml;

const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The role that a token file entitles to (EKS: IAM roles for service accounts).
#[derive(Debug)]
pub(super) struct WebIdentity {
    client: Client,
}

impl WebIdentity {
    /// `client` sends unsigned requests to STS.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The token file is read each time: it is renewed long before the token ends.
    pub async fn load(&self, environment: &Environment) -> Result<Credentials, Miss> {
        let variable = |name: &str| {
            environment
                .variable(name)
                .ok_or_else(|| Miss::Absent(format!("{name} is not set")))
        };
        let path = variable("AWS_WEB_IDENTITY_TOKEN_FILE")?;
        let role = variable("AWS_ROLE_ARN")?;
        let token = std::fs::read_to_string(&path)
            .map_err(|error| Miss::Failed(format!("read the token file {path}: {error}")))?;
        let session = environment
            .variable("AWS_ROLE_SESSION_NAME")
            .unwrap_or_else(random_session_name);
        let parameters = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", &role),
            ("RoleSessionName", &session),
            ("WebIdentityToken", token.trim()),
        ];
        let answer = call(&self.client, &parameters).await;
        answer.map_err(|error| Miss::Failed(format!("role {role}: {error}")))
    }
}

/// A role assumed with other credentials (option `role_arn`).
#[derive(Debug)]
pub(super) struct AssumedRole {
    client: Client,
    role_arn: String,
    external_id: Option<String>,
}

impl AssumedRole {
    /// `client` signs requests to STS with the credentials that may assume the role.
    pub fn new(client: Client, role_arn: String, external_id: Option<String>) -> Self {
        Self {
            client,
            role_arn,
            external_id,
        }
    }

    pub async fn load(&self) -> Result<Credentials, CredentialsError> {
        let session = random_session_name();
        let mut parameters = vec![
            ("Action", "AssumeRole"),
            ("RoleArn", &self.role_arn),
            ("RoleSessionName", &session),
        ];
        parameters.extend(self.external_id.as_deref().map(|id| ("ExternalId", id)));
        call(&self.client, &parameters)
            .await
            .map_err(|problem| match problem {
                Problem::Call(CallError::Credentials(error)) => error,
                problem => {
                    let found = format!("role {}: {problem}", self.role_arn);
                    CredentialsError::of(vec![Look {
                        source: "assumed role",
                        found,
                    }])
                }
            })
    }
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the answer of STS {0}")]
    Answer(String),
}

/// Boxed, because a client may ask a provider that waits for a role in turn.
fn call<'a>(
    client: &'a Client,
    parameters: &'a [(&'a str, &'a str)],
) -> Pin<Box<dyn Future<Output = Result<Credentials, Problem>> + Send + 'a>> {
    Box::pin(post(client, parameters))
}

async fn post(client: &Client, parameters: &[(&str, &str)]) -> Result<Credentials, Problem> {
    let mut body = "Version=2011-06-15".to_owned();
    for (name, value) in parameters {
        body.extend(["&", name, "="]);
        body.extend(utf8_percent_encode(value, FORM));
    }
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let request = Request::new(
        Method::POST,
        PathAndQuery::from_static("/"),
        body.as_bytes(),
    )
    .with_header(CONTENT_TYPE, form);
    let answer = client.send(request).await?;
    read(&answer.body).map_err(Problem::Answer)
}

fn read(body: &[u8]) -> Result<Credentials, String> {
    let text = std::str::from_utf8(body).map_err(|_| "is not text")?;
    let member = |name: &str| xml::text_of(text, name).ok_or_else(|| format!("has no {name}"));
    let (key, secret) = (member("AccessKeyId")?, member("SecretAccessKey")?);
    let (token, expires) = (member("SessionToken")?, member("Expiration")?);
    let expires =
        Timestamp::from_str(&expires).map_err(|_| "has an Expiration that is not a time")?;
    let credentials = Credentials::new(&key, &secret, Some(&token))
        .map_err(|error| format!("is unusable: {error}"))?;
    Ok(credentials.until(Some(expires)))
}

/// Session names show in CloudTrail. Without randomness there (which no system lacks) the name alone must do.
fn random_session_name() -> String {
    let mut bytes = [0_u8; 8];
    let _ = SystemRandom::new().fill(&mut bytes);
    format!("flumen-{:016x}", u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_or_refused_without_showing_them() {
        let whole = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId>\
            <SecretAccessKey>hush</SecretAccessKey><SessionToken>t&amp;t</SessionToken>\
            <Expiration>2026-11-22T10:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
        let credentials = read(whole.as_bytes()).unwrap();
        assert_eq!(credentials.access_key_id(), "ASIA");
        assert_eq!(credentials.session_token().unwrap(), "t&t");
        assert_eq!(
            credentials.expires().unwrap().to_string(),
            "2026-11-22T10:00:00Z"
        );
        for (broken, part) in [
            ("10:00:00Z", "not a time"),
            ("<SessionToken>", "SessionToken"),
            ("ASIA", "unusable"),
        ] {
            let error = read(whole.replace(broken, "").as_bytes()).unwrap_err();
            assert!(error.contains(part) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn session_names_differ_and_are_of_the_allowed_form() {
        let (one, other) = (random_session_name(), random_session_name());
        assert_ne!(one, other);
        assert!(
            one.len() <= 64
                && one
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        );
    }
}
