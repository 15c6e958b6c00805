//! Credentials of an EC2 instance's role: the instance metadata service, version 2 only.
//!
//! Fluent Bit falls back on version 1; AWS's newer tools do not, and neither does Flumen: whoever can make a process
//! on the instance send one GET has the role's keys with it.

use std::time::Duration;

use http::header::HOST;
use http::{Method, Request, StatusCode};

use super::Credentials;
use super::chain::Miss;
use super::document::Document;
use super::header_secret;
use crate::endpoint::Endpoint;
use crate::environment::Environment;
use crate::net::NetOptions;
use crate::tls::{Tls, TlsOptions};
use crate::transport::{Answer, Connections, Transport};

const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const TOKEN_LIFE_SECS: &str = "21600";
/// The service is in the same machine; where it is not, the address leads nowhere and every search waits this long.
const CONNECT_MAX: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(5);

pub(super) async fn load(environment: &Environment) -> Result<Credentials, Miss> {
    if environment.says_true("AWS_EC2_METADATA_DISABLED") {
        return Err(Miss::absent("AWS_EC2_METADATA_DISABLED is true"));
    }
    let service = Metadata::of(environment)?;
    let token = service.token().await?;
    let role = service.role(&token).await?;
    let answer = service
        .get(&format!("{ROLES}{role}"), &token)
        .await
        .map_err(Miss::Failed)?;
    if answer.status != StatusCode::OK {
        return Err(Miss::Failed(format!(
            "role {role}: HTTP status {}",
            answer.status.as_u16()
        )));
    }
    let document = Document::parse(&answer.body).and_then(|document| document.credentials());
    document.map_err(|problem| Miss::Failed(format!("role {role}: {problem}")))
}

struct Metadata(Transport);

impl Metadata {
    fn of(environment: &Environment) -> Result<Self, Miss> {
        let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
        let ipv6 = environment
            .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")
            .is_some_and(|mode| mode.eq_ignore_ascii_case("IPv6"));
        let text = environment
            .variable(variable)
            .unwrap_or_else(|| if ipv6 { IPV6 } else { IPV4 }.to_owned());
        let endpoint = Endpoint::parse(&text, None)
            .map_err(|problem| Miss::Failed(format!("{variable} {text:?}: {problem}")))?;
        let tls = Tls::new(&TlsOptions::default()).map_err(Miss::failed)?;
        let net = NetOptions {
            connect_timeout: CONNECT_MAX,
            io_timeout: ANSWER_MAX,
            ..NetOptions::default()
        };
        Ok(Self(Transport::new(endpoint, net, tls, None)))
    }

    /// A session token. Without one there is no instance, or none that lets us know.
    async fn token(&self) -> Result<String, Miss> {
        let header = ("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE_SECS);
        let answer = self
            .ask(Method::PUT, "/latest/api/token", header)
            .await
            .map_err(|problem| {
                Miss::Absent(format!(
                    "{problem} (from inside a container the hop limit must be 2 or more)"
                ))
            })?;
        match (answer.status, std::str::from_utf8(&answer.body)) {
            (StatusCode::OK, Ok(token)) if header_secret(token.trim()).is_some() => {
                Ok(token.trim().to_owned())
            }
            (status, _) => Err(Miss::Absent(format!(
                "no session token: HTTP status {}",
                status.as_u16()
            ))),
        }
    }

    /// The name of the instance's role.
    async fn role(&self, token: &str) -> Result<String, Miss> {
        let answer = self.get(ROLES, token).await.map_err(Miss::Failed)?;
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        let role = text.lines().next().unwrap_or_default().trim();
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        match answer.status {
            StatusCode::OK if !role.is_empty() && role.bytes().all(word) => Ok(role.to_owned()),
            StatusCode::OK | StatusCode::NOT_FOUND => Err(Miss::absent("the instance has no role")),
            status => Err(Miss::Failed(format!(
                "list the roles: HTTP status {}",
                status.as_u16()
            ))),
        }
    }

    async fn get(&self, target: &str, token: &str) -> Result<Answer, String> {
        self.ask(Method::GET, target, ("x-aws-ec2-metadata-token", token))
            .await
    }

    async fn ask(
        &self,
        method: Method,
        target: &str,
        header: (&str, &str),
    ) -> Result<Answer, String> {
        let Self(transport) = self;
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, transport.endpoint().authority())
            .header(header.0, header.1)
            .body(())
            .map_err(|error| error.to_string())?;
        let (head, ()) = request.into_parts();
        transport
            .exchange(&head, &[], Connections::KeptAlive)
            .await
            .map_err(|error| error.to_string())
    }
}
