//! What the monitoring server can do besides telling: reload the configuration. And who may ask what.
//!
//! * A name that resolves to a loopback address by an attacker's doing (DNS rebinding) is refused: on a loopback socket the
//!   `Host` must be an address, `localhost`, or the name that the server was told to listen on.
//! * A page of another origin is refused.
//! * What changes state needs the token, unless the caller is a program on this machine: on a loopback socket, and no
//!   browser.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, ORIGIN, TRANSFER_ENCODING,
};
use hyper::{StatusCode, Uri};
use plugin::LocalFuture;

/// What a browser says about where a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Loads the configuration anew; an error says why everything stays as it was.
pub type Reload = Rc<dyn Fn() -> LocalFuture<'static, Result<(), String>>>;

/// What the server may change, and who may ask for it.
#[derive(Clone, Default)]
pub struct Admin {
    /// Reloads; `None`: that is not enabled.
    pub reload: Option<Reload>,
    /// What callers from elsewhere must know.
    pub token: Option<String>,
    /// The name or address that the server was told to listen on.
    pub listen: String,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// This end.
    pub local: SocketAddr,
    /// The caller's.
    pub peer: SocketAddr,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub StatusCode, pub &'static str);

impl Admin {
    /// Whether the request may be answered at all.
    pub fn may_ask(&self, uri: &Uri, headers: &HeaderMap, ends: Ends) -> Result<(), Refused> {
        if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
            return Err(Refused(
                StatusCode::BAD_REQUEST,
                "content-length and transfer-encoding exclude each other\n",
            ));
        }
        let host = host(uri, headers)?;
        if let Some(host) = host
            && ends.local.ip().to_canonical().is_loopback()
            && !self.is_own_name(name_of(host))
        {
            return Err(Refused(
                StatusCode::FORBIDDEN,
                "this host is not served here; ask for localhost or an address\n",
            ));
        }
        match headers.get(ORIGIN) {
            None => Ok(()),
            Some(origin) => {
                let origin = origin.to_str().unwrap_or_default();
                let authority = origin.split_once("://").map(|(_, authority)| authority);
                match authority.is_some() && authority == host {
                    true => Ok(()),
                    false => Err(Refused(
                        StatusCode::FORBIDDEN,
                        "pages of other origins are not answered\n",
                    )),
                }
            }
        }
    }

    /// Whether the caller may change state.
    pub fn may_change(&self, headers: &HeaderMap, ends: Ends) -> Result<(), Refused> {
        let is_browser = headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE);
        let is_here = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        if is_here(ends.local) && is_here(ends.peer) && !is_browser {
            return Ok(());
        }
        let Some(token) = &self.token else {
            return Err(Refused(
                StatusCode::FORBIDDEN,
                "from elsewhere than this machine this needs a token, and none is configured\n",
            ));
        };
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        match given {
            Some(given) if are_equal(given, token.as_bytes()) => Ok(()),
            _ => Err(Refused(
                StatusCode::UNAUTHORIZED,
                "this needs the token: Authorization: Bearer TOKEN\n",
            )),
        }
    }

    fn is_own_name(&self, name: &str) -> bool {
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        literal.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || name.eq_ignore_ascii_case(&self.listen)
    }
}

/// The host and port that the request names, if it names one; naming several is an error.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<&'a str>, Refused> {
    let bad = |words| Refused(StatusCode::BAD_REQUEST, words);
    let mut hosts = headers.get_all(HOST).iter();
    let named = match (uri.authority(), hosts.next()) {
        (Some(authority), _) => Some(authority.as_str()),
        (None, Some(host)) => Some(host.to_str().map_err(|_| bad("the host is not text\n"))?),
        (None, None) => None,
    };
    match hosts.next() {
        Some(_) => Err(bad("there is more than one host\n")),
        None => Ok(named),
    }
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

/// Compares in a time that does not tell where the difference is.
fn are_equal(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1:2020";
    const ELSEWHERE: &str = "10.0.0.7:2020";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    hyper::header::HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn ends(local: &str, peer: &str) -> Ends {
        Ends {
            local: local.parse().expect("an address"),
            peer: peer.parse().expect("an address"),
        }
    }

    fn admin(token: Option<&str>) -> Admin {
        Admin {
            reload: None,
            token: token.map(str::to_owned),
            listen: "router.internal".into(),
        }
    }

    #[test]
    fn foreign_hosts_and_origins_are_refused() {
        let cases: [(&str, &[(&str, &str)], u16); 14] = [
            (HERE, &[], 0),
            (HERE, &[("host", "localhost:2020")], 0),
            (HERE, &[("host", "127.0.0.1:2020")], 0),
            (HERE, &[("host", "[::1]:2020")], 0),
            (HERE, &[("host", "Router.Internal")], 0),
            (HERE, &[("host", "evil.example:2020")], 403),
            (HERE, &[("host", "localhost.evil.example")], 403),
            (ELSEWHERE, &[("host", "router.logging.svc:2020")], 0),
            (
                HERE,
                &[
                    ("host", "localhost:2020"),
                    ("origin", "http://localhost:2020"),
                ],
                0,
            ),
            (
                HERE,
                &[
                    ("host", "localhost:2020"),
                    ("origin", "http://evil.example"),
                ],
                403,
            ),
            (HERE, &[("host", "localhost:2020"), ("origin", "null")], 403),
            (HERE, &[("origin", "null")], 403),
            (
                ELSEWHERE,
                &[("host", "10.0.0.7:2020"), ("origin", "http://10.0.0.7")],
                403,
            ),
            (
                HERE,
                &[("content-length", "1"), ("transfer-encoding", "chunked")],
                400,
            ),
        ];
        for (local, pairs, status) in cases {
            let pairs: Vec<(&'static str, &'static str)> = pairs.to_vec();
            let answer = admin(None).may_ask(
                &Uri::from_static("/api/v1/health"),
                &headers(&pairs),
                ends(local, "127.0.0.1:4000"),
            );
            let got = answer.map_or_else(|refused| refused.0.as_u16(), |()| 0);
            assert_eq!(got, status, "{local} {pairs:?}");
        }
    }

    #[test]
    fn state_is_changed_from_this_machine_or_with_the_token() {
        let cases: [(&str, &str, Option<&str>, &[(&str, &str)], u16); 9] = [
            (HERE, "127.0.0.1:4000", None, &[], 0),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:2", None, &[], 0),
            (
                HERE,
                "127.0.0.1:4000",
                None,
                &[("origin", "http://localhost:2020")],
                403,
            ),
            (
                HERE,
                "127.0.0.1:4000",
                None,
                &[("sec-fetch-site", "cross-site")],
                403,
            ),
            (
                ELSEWHERE,
                "10.0.0.9:4000",
                None,
                &[("authorization", "Bearer x")],
                403,
            ),
            (ELSEWHERE, "10.0.0.9:4000", Some("secret"), &[], 401),
            (
                ELSEWHERE,
                "10.0.0.9:4000",
                Some("secret"),
                &[("authorization", "Bearer secre")],
                401,
            ),
            (
                ELSEWHERE,
                "10.0.0.9:4000",
                Some("secret"),
                &[("authorization", "Bearer secrex")],
                401,
            ),
            (
                ELSEWHERE,
                "10.0.0.9:4000",
                Some("secret"),
                &[("authorization", "Bearer secret")],
                0,
            ),
        ];
        for (local, peer, token, pairs, status) in cases {
            let pairs: Vec<(&'static str, &'static str)> = pairs.to_vec();
            let answer = admin(token).may_change(&headers(&pairs), ends(local, peer));
            let got = answer.map_or_else(|refused| refused.0.as_u16(), |()| 0);
            assert_eq!(got, status, "{local} {peer} {token:?} {pairs:?}");
        }
    }
}
