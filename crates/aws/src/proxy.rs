//! The HTTP proxy of the environment: as in Fluent Bit, `HTTP_PROXY` opens a tunnel with CONNECT for plain and
//! encrypted endpoints alike.

use std::io;
use std::net::IpAddr;

use http::HeaderValue;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;

use crate::endpoint::{Endpoint, EndpointError};
use crate::environment::Environment;

/// A proxy's answer to CONNECT is a status line and a few headers.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// Where to ask for tunnels.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub host: String,
    pub port: u16,
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// The proxy for this endpoint: `HTTP_PROXY` or `http_proxy`, unless `NO_PROXY` (`no_proxy`) names the host or it
    /// is this machine.
    pub fn of_environment(
        environment: &Environment,
        endpoint: &Endpoint,
    ) -> Result<Option<Self>, EndpointError> {
        let either = |names: [&'static str; 2]| {
            names
                .into_iter()
                .find_map(|name| environment.variable(name).map(|value| (name, value)))
        };
        let Some((name, text)) = either(["HTTP_PROXY", "http_proxy"]) else {
            return Ok(None);
        };
        let (_, excluded) = either(["NO_PROXY", "no_proxy"]).unwrap_or_default();
        if is_this_machine(endpoint.host()) || is_excluded(endpoint.host(), &excluded) {
            return Ok(None);
        }
        Self::parse(&text)
            .map(Some)
            .map_err(|problem| EndpointError::new(name, &text, problem))
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err("the scheme is not known; a proxy is reached by http://"),
        };
        let (user, address) = rest
            .rsplit_once('@')
            .map_or((None, rest), |(user, address)| (Some(user), address));
        let endpoint = Endpoint::parse(&format!("http://{address}"), None)?;
        let authorization = user.map(basic).transpose()?;
        Ok(Self {
            host: endpoint.host().to_owned(),
            port: endpoint.port(),
            authorization,
        })
    }

    /// Makes a fresh connection to the proxy one to `target` (`host:port`).
    pub async fn tunnel(&self, stream: &TcpStream, target: &str) -> io::Result<()> {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(value) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        write_all(stream, &request).await?;
        check_answer(&read_answer(stream).await?)
    }
}

fn basic(user: &str) -> Result<HeaderValue, &'static str> {
    let decoded: Vec<u8> = percent_decode_str(user).collect();
    let encoded = base64_simd::STANDARD.encode_to_string(decoded);
    crate::credentials::header_secret(&format!("Basic {encoded}"))
        .ok_or("the user name or password cannot be sent")
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// `*` excludes all hosts; a name excludes itself and what lies below it.
fn is_excluded(host: &str, list: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            let name = entry.trim_start_matches("*.").trim_start_matches('.');
            let below = host
                .strip_suffix(name)
                .is_some_and(|rest| rest.ends_with('.'));
            entry == "*" || host.eq_ignore_ascii_case(name) || below
        })
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads up to the empty line. The far end speaks only when spoken to, so nothing of it can follow.
async fn read_answer(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut chunk = [0_u8; 1024];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.readable().await?;
        match stream.try_read(&mut chunk) {
            Ok(0) => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the proxy closed the connection",
                ));
            }
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the proxy's answer has no end",
            ));
        }
    }
    Ok(answer)
}

fn check_answer(answer: &[u8]) -> io::Result<()> {
    let text = String::from_utf8_lossy(answer);
    let line = text.lines().next().unwrap_or_default();
    let status = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .unwrap_or_default();
    if status.len() == 3 && status.starts_with('2') {
        return Ok(());
    }
    let shown: String = line
        .chars()
        .filter(|character| !character.is_control())
        .take(80)
        .collect();
    Err(io::Error::new(
        io::ErrorKind::ConnectionRefused,
        format!("the proxy answered {shown:?}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy_of(host: &str, variables: &[(&str, &str)]) -> Result<Option<(String, u16)>, String> {
        let endpoint = Endpoint::parse(host, None).unwrap();
        let environment = Environment::fixed(variables.iter().copied());
        match Proxy::of_environment(&environment, &endpoint) {
            Ok(proxy) => Ok(proxy.map(|proxy| (proxy.host, proxy.port))),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_environment_names_the_proxy_and_its_exceptions() {
        let proxy = ("HTTP_PROXY", "http://user:pass@proxy.example:3128/");
        let found = Ok(Some(("proxy.example".to_owned(), 3128)));
        let host = "firehose.us-east-1.amazonaws.com";
        assert_eq!(proxy_of(host, &[]), Ok(None));
        assert_eq!(proxy_of(host, &[proxy]), found);
        assert_eq!(
            proxy_of(host, &[("http_proxy", "proxy.example:3128")]),
            found
        );
        assert_eq!(proxy_of("http://127.0.0.1:4566", &[proxy]), Ok(None));
        assert_eq!(proxy_of("http://[::1]:4566", &[proxy]), Ok(None));
        let excluded = [
            ("*", true),
            ("amazonaws.com", true),
            (".amazonaws.com, x", true),
            (host, true),
        ];
        let others = [("aws.com", false), ("firehose", false), ("", false)];
        for (list, direct) in excluded.into_iter().chain(others) {
            let expected = if direct { Ok(None) } else { found.clone() };
            assert_eq!(
                proxy_of(host, &[proxy, ("NO_PROXY", list)]),
                expected,
                "{list:?}"
            );
        }
        let error = proxy_of(host, &[("HTTP_PROXY", "socks5://u:geheim@proxy")]).unwrap_err();
        assert!(
            error.contains("scheme") && !error.contains("geheim"),
            "{error}"
        );
    }

    #[test]
    fn only_a_2xx_answer_opens_the_tunnel() {
        assert!(check_answer(b"HTTP/1.1 200 Connection established\r\n\r\n").is_ok());
        for refused in [
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "SSH-2.0\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(check_answer(refused.as_bytes()).is_err(), "{refused}");
        }
    }

    #[test]
    fn user_and_password_are_decoded_and_kept_out_of_debug() {
        let proxy = Proxy::parse("http://us%40er:p%3Aw@proxy:1").unwrap();
        let value = proxy.authorization.unwrap();
        assert_eq!(
            value,
            format!(
                "Basic {}",
                base64_simd::STANDARD.encode_to_string("us@er:p:w")
            )
        );
        assert_eq!(format!("{value:?}"), "Sensitive");
    }
}
