//! Credentials of a container: the ECS agent, EKS Pod Identity, Greengrass, or any server that
//! `AWS_CONTAINER_CREDENTIALS_FULL_URI` names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Method, Request};

use super::chain::Miss;
use super::document::Document;
use super::{Credentials, header_secret};
use crate::endpoint::Endpoint;
use crate::environment::Environment;
use crate::net::NetOptions;
use crate::tls::{Tls, TlsOptions};
use crate::transport::{Connections, Transport};

/// Where the ECS agent answers relative URIs.
const ECS_AGENT: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Where the EKS Pod Identity agent answers.
const POD_IDENTITY: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 23);
const POD_IDENTITY_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23);

/// Fluent Bit's limit for credential calls.
const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(5);

const RELATIVE_URI: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

pub(super) async fn load(environment: &Environment, tls: &TlsOptions) -> Result<Credentials, Miss> {
    let uri = uri(environment)?;
    let endpoint = allowed(Endpoint::parse(&uri.base, None).map_err(|problem| uri.fault(problem))?)
        .await
        .map_err(|problem| uri.fault(problem))?;
    let head = Request::builder()
        .method(Method::GET)
        .uri(&uri.target)
        .header(HOST, endpoint.authority())
        .header("accept", "application/json");
    let head = match authorization(environment)? {
        Some(token) => head.header(AUTHORIZATION, token),
        None => head,
    };
    let (head, ()) = head
        .body(())
        .map_err(|_| uri.fault("is not a URL"))?
        .into_parts();
    let tls = Tls::new(tls).map_err(Miss::failed)?;
    let net = NetOptions {
        connect_timeout: CONNECT_MAX,
        io_timeout: ANSWER_MAX,
        keepalive: false,
        ..NetOptions::default()
    };
    let transport = Transport::new(endpoint, net, tls, None);
    let answer = transport
        .exchange(&head, &[], Connections::Fresh)
        .await
        .map_err(|error| uri.fault(error))?;
    let document = Document::parse(&answer.body);
    if !answer.status.is_success() {
        let said = document
            .ok()
            .and_then(|document| document.complaint())
            .unwrap_or_default();
        return Err(uri.fault(format_args!(
            "HTTP status {} {said}",
            answer.status.as_u16()
        )));
    }
    document
        .and_then(|document| document.credentials())
        .map_err(|problem| uri.fault(problem))
}

/// The URI to ask, split into where and what, and the variable it comes from.
#[derive(Debug, PartialEq, Eq)]
struct Uri {
    variable: &'static str,
    base: String,
    target: String,
}

impl Uri {
    fn fault(&self, problem: impl std::fmt::Display) -> Miss {
        Miss::Failed(format!(
            "{} ({}{}): {problem}",
            self.variable, self.base, self.target
        ))
    }
}

/// The relative URI takes precedence over the full one.
fn uri(environment: &Environment) -> Result<Uri, Miss> {
    if let Some(target) = environment.variable(RELATIVE_URI) {
        let base = format!("http://{ECS_AGENT}");
        let uri = Uri {
            variable: RELATIVE_URI,
            base,
            target,
        };
        return if uri.target.starts_with('/') {
            Ok(uri)
        } else {
            Err(uri.fault("does not start with a slash"))
        };
    }
    let full = environment
        .variable(FULL_URI)
        .ok_or_else(|| Miss::Absent(format!("neither {RELATIVE_URI} nor {FULL_URI} is set")))?;
    let host = full.find("://").map_or(0, |at| at + 3);
    let path = full[host..]
        .find(['/', '?'])
        .map_or(full.len(), |at| host + at);
    let (base, target) = full.split_at(path);
    let target = if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("/{target}")
    };
    let uri = Uri {
        variable: FULL_URI,
        base: base.to_owned(),
        target,
    };
    if host == 0 {
        Err(uri.fault("has no scheme; allowed are http:// and https://"))
    } else {
        Ok(uri)
    }
}

/// Plain HTTP goes to this machine and the agents only, since the token goes with it. A name is resolved here, and the
/// address that was checked is the one connected to.
async fn allowed(endpoint: Endpoint) -> Result<Endpoint, String> {
    if endpoint.tls() {
        return Ok(endpoint);
    }
    let addresses = tokio::net::lookup_host((endpoint.host(), endpoint.port()))
        .await
        .map_err(|error| error.to_string())?;
    let addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
    match addresses.iter().find(|address| !is_agent(**address)) {
        Some(address) => Err(format!(
            "plain HTTP is allowed to this machine and to the ECS and EKS agents only, not to {address}"
        )),
        None => match addresses.first() {
            Some(address) => Ok(endpoint.at(*address)),
            None => Err("the name has no address".to_owned()),
        },
    }
}

fn is_agent(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_loopback() || address == ECS_AGENT || address == POD_IDENTITY
        }
        IpAddr::V6(address) => address.is_loopback() || address == POD_IDENTITY_V6,
    }
}

/// The token for the server, from the file (which is renewed, so it is read each time) or the variable.
fn authorization(environment: &Environment) -> Result<Option<HeaderValue>, Miss> {
    let file = environment.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    let token = match file {
        Some(path) => {
            let text = std::fs::read_to_string(&path);
            Some(
                text.map_err(|error| Miss::Failed(format!("read the token file {path}: {error}")))?,
            )
        }
        None => environment.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    let Some(token) = token else { return Ok(None) };
    match header_secret(token.trim_end_matches(['\r', '\n'])) {
        Some(value) => Ok(Some(value)),
        None => Err(Miss::failed(
            "the authorization token holds characters that a header cannot carry",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn the_uri_comes_from_two_variables() {
        let ecs = (RELATIVE_URI, "/v2/credentials/x?id=1");
        let full = (FULL_URI, "http://169.254.170.23/v1/credentials");
        let cases: [(Variables<'_>, &str, &str); 5] = [
            (&[ecs], "http://169.254.170.2", "/v2/credentials/x?id=1"),
            (
                &[ecs, full],
                "http://169.254.170.2",
                "/v2/credentials/x?id=1",
            ),
            (&[full], "http://169.254.170.23", "/v1/credentials"),
            (
                &[(FULL_URI, "https://host:8443?x=1")],
                "https://host:8443",
                "/?x=1",
            ),
            (&[(FULL_URI, "https://host")], "https://host", "/"),
        ];
        for (variables, base, target) in cases {
            let uri = uri(&Environment::fixed(variables.iter().copied())).unwrap();
            assert_eq!((uri.base.as_str(), uri.target.as_str()), (base, target));
        }
        let bad: [&[(&str, &str)]; 2] = [
            &[(RELATIVE_URI, "//evil.example")],
            &[(FULL_URI, "host/path")],
        ];
        assert_eq!(
            uri(&Environment::fixed(bad[0].iter().copied()))
                .unwrap()
                .base,
            "http://169.254.170.2"
        );
        assert!(matches!(
            uri(&Environment::fixed(bad[1].iter().copied())),
            Err(Miss::Failed(_))
        ));
        assert!(matches!(
            uri(&Environment::fixed::<&str, &str>([])),
            Err(Miss::Absent(_))
        ));
    }

    #[test]
    fn plain_http_goes_to_agents_only() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let cases = [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://169.254.170.2", true),
            ("http://169.254.170.23", true),
            ("http://[fd00:ec2::23]", true),
            ("http://[::ffff:169.254.170.2]", true),
            ("https://203.0.113.9", true),
            ("http://169.254.169.254", false),
            ("http://203.0.113.9", false),
            ("http://[::ffff:203.0.113.9]", false),
            ("http://10.0.0.1", false),
        ];
        for (text, expected) in cases {
            let endpoint = Endpoint::parse(text, None).unwrap();
            assert_eq!(
                runtime.block_on(allowed(endpoint)).is_ok(),
                expected,
                "{text}"
            );
        }
    }
}
