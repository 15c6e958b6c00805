//! Where a service is reached: from the option `endpoint`, the standard variables, the shared config file, or AWS's
//! own naming by service, region and partition.

mod naming;

use std::fmt;
use std::str::FromStr;

use http::uri::Authority;

use crate::environment::Environment;
use crate::shared_config::{Sections, SharedFiles, profile_name};
use naming::Variant;

/// An AWS service as signatures, host names and endpoint variables name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    name: &'static str,
    identifier: &'static str,
}

impl Service {
    /// Amazon Data Firehose.
    pub const FIREHOSE: Self = Self::new("firehose", "FIREHOSE");
    /// Kinesis Data Streams.
    pub const KINESIS: Self = Self::new("kinesis", "KINESIS");
    /// CloudWatch Logs.
    pub const CLOUDWATCH_LOGS: Self = Self::new("logs", "CLOUDWATCH_LOGS");
    /// S3, whose signatures follow rules of their own.
    pub const S3: Self = Self::new("s3", "S3");
    /// The security token service, which assumes roles.
    pub const STS: Self = Self::new("sts", "STS");
    /// The portal of IAM Identity Center, which hands out credentials of roles. Not signed.
    pub(crate) const SSO: Self = Self::new("portal.sso", "SSO");
    /// The token service of IAM Identity Center. Not signed.
    pub(crate) const SSO_OIDC: Self = Self::new("oidc", "SSO_OIDC");

    /// A service by its signing name (which also starts its host name) and its identifier in
    /// `AWS_ENDPOINT_URL_<identifier>`.
    pub const fn new(name: &'static str, identifier: &'static str) -> Self {
        Self { name, identifier }
    }

    /// The name in the signature's scope, and the first label of the host name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// What decides on an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndpointChoice<'a> {
    pub service: Service,
    pub region: &'a str,
    /// The option `endpoint`.
    pub endpoint: Option<&'a str>,
    /// The option `port`, for endpoints that name none.
    pub port: Option<u16>,
    /// The option `profile`: whose `endpoint_url` counts in the shared config file.
    pub profile: Option<&'a str>,
}

/// A place to send requests to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

/// An endpoint and what it was taken from.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub endpoint: Endpoint,
    /// In words: an option, a variable, a key of a file, or AWS's naming.
    pub origin: String,
}

/// An endpoint, or a region that one should be made from, which cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin} {text:?}: {problem}")]
pub struct EndpointError {
    origin: String,
    text: String,
    problem: &'static str,
}

impl Endpoint {
    /// The first of: the option, `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL`, the profile's `services` section
    /// and `endpoint_url` in the shared config file, and AWS's own name for it over TLS: the FIPS or dual-stack one if
    /// `AWS_USE_FIPS_ENDPOINT` or `AWS_USE_DUALSTACK_ENDPOINT` (or the profile) says so.
    ///
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true` leaves the option and AWS's names only.
    pub(crate) fn resolve(
        choice: &EndpointChoice<'_>,
        environment: &Environment,
    ) -> Result<Resolved, EndpointError> {
        let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if choice.region.is_empty() || !choice.region.bytes().all(label) {
            let problem = "a region is lower-case letters, digits and dashes, as us-east-1";
            return Err(EndpointError::new("region", choice.region, problem));
        }
        let given = choice.endpoint.filter(|text| !text.is_empty());
        let named = given.map(|text| ("option endpoint".to_owned(), text.to_owned()));
        let Some((origin, text)) = named.or_else(|| configured(choice, environment)) else {
            let variant = Variant::of(choice.profile, environment);
            return Self::of_region(choice, variant);
        };
        match Self::parse(&text, choice.port) {
            Ok(endpoint) => Ok(Resolved { endpoint, origin }),
            Err(problem) => Err(EndpointError::new(&origin, &text, problem)),
        }
    }

    fn of_region(choice: &EndpointChoice<'_>, variant: Variant) -> Result<Resolved, EndpointError> {
        let host = naming::host(choice.service, choice.region, variant)
            .map_err(|problem| EndpointError::new("region", choice.region, problem))?;
        let endpoint = Self {
            tls: true,
            host,
            port: choice.port.unwrap_or(443),
            path: "/".to_owned(),
        };
        let origin = variant.text().to_owned();
        Ok(Resolved { endpoint, origin })
    }

    /// Reads `[http://|https://]host[:port][/path]`; without a scheme it is TLS, as in Fluent Bit. `port` is used
    /// where the text names none.
    pub(crate) fn parse(text: &str, port: Option<u16>) -> Result<Self, &'static str> {
        let (tls, rest) = match text.split_once("://") {
            None => (true, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some(_) => return Err("the scheme is not known; allowed are http:// and https://"),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err("an endpoint carries no user name or password");
        }
        let unfit = "expected [http://|https://]host[:port][/path]";
        if rest
            .contains(|character: char| "?#".contains(character) || !character.is_ascii_graphic())
        {
            return Err(unfit);
        }
        let authority = Authority::from_str(authority).map_err(|_| unfit)?;
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let bare = authority.as_str().len() == authority.host().len();
        let port = match authority.port_u16() {
            None if !bare => return Err("the port is not a number from 1 to 65535"),
            Some(0) => return Err("the port is not a number from 1 to 65535"),
            named => named.or(port).unwrap_or(if tls { 443 } else { 80 }),
        };
        if host.is_empty() {
            return Err(unfit);
        }
        let path = if path.is_empty() {
            "/"
        } else {
            path.trim_end_matches('/')
        };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            path: if path.is_empty() { "/" } else { path }.to_owned(),
        })
    }

    /// Whether the connection is encrypted.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Host name or address, an IPv6 one without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path below which requests go: `/`, or one without a slash at its end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The `Host` header: the host with its port unless that is the scheme's own.
    pub fn authority(&self) -> String {
        let default = if self.tls { 443 } else { 80 };
        let host = self.bracketed_host();
        if self.port == default {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// `host:port` always with the port, as a proxy wants it.
    pub(crate) fn host_and_port(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    /// The same endpoint with this address in place of its name.
    pub(crate) fn at(self, address: std::net::IpAddr) -> Self {
        Self {
            host: address.to_string(),
            ..self
        }
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let path = if self.path == "/" { "" } else { &self.path };
        write!(formatter, "{scheme}://{}{path}", self.authority())
    }
}

impl EndpointError {
    /// `origin` is the option or variable that holds `text`, of which a user name and password are not shown.
    pub(crate) fn new(origin: &str, text: &str, problem: &'static str) -> Self {
        let text = match text.rsplit_once('@') {
            None => text.to_owned(),
            Some((_, address)) => format!("…@{address}"),
        };
        Self {
            origin: origin.to_owned(),
            text,
            problem,
        }
    }
}

/// The endpoint that variables or the shared config file name, with where it was found.
fn configured(choice: &EndpointChoice<'_>, environment: &Environment) -> Option<(String, String)> {
    if environment.says_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        return None;
    }
    for name in [
        format!("AWS_ENDPOINT_URL_{}", choice.service.identifier),
        "AWS_ENDPOINT_URL".to_owned(),
    ] {
        if let Some(text) = environment.variable(&name) {
            return Some((name, text));
        }
    }
    in_shared_config(choice, environment)
}

fn in_shared_config(
    choice: &EndpointChoice<'_>,
    environment: &Environment,
) -> Option<(String, String)> {
    let path = SharedFiles::locate(environment).config?;
    let sections = Sections::read(&path).ok()??;
    let profile = profile_name(choice.profile, environment);
    let ignored = sections.in_config(&profile, "ignore_configured_endpoint_urls");
    if ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let of_service = sections
        .in_config(&profile, "services")
        .and_then(|services| {
            let key = format!(
                "{}.endpoint_url",
                choice.service.identifier.to_ascii_lowercase()
            );
            sections.value(&format!("services {services}"), &key)
        });
    let text = of_service.or_else(|| sections.in_config(&profile, "endpoint_url"))?;
    Some((
        format!("endpoint_url of profile {profile} in {}", path.display()),
        text.to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn choice<'a>(
        region: &'a str,
        endpoint: Option<&'a str>,
        port: Option<u16>,
    ) -> EndpointChoice<'a> {
        EndpointChoice {
            service: Service::FIREHOSE,
            region,
            endpoint,
            port,
            profile: None,
        }
    }

    #[test]
    fn endpoint_texts_are_read_or_refused() {
        let cases = [
            ("localhost", None, Ok("https://localhost")),
            ("localhost:4566", None, Ok("https://localhost:4566")),
            ("https://vpce.example/", None, Ok("https://vpce.example")),
            (
                "HTTP://127.0.0.1:4566",
                Some(443),
                Ok("http://127.0.0.1:4566"),
            ),
            ("http://host", None, Ok("http://host")),
            ("http://host/", Some(8080), Ok("http://host:8080")),
            (
                "https://host:443/base/path/",
                None,
                Ok("https://host/base/path"),
            ),
            ("http://[::1]:4566", None, Ok("http://[::1]:4566")),
            ("ftp://host", None, Err("scheme")),
            ("http://user:secret@host", None, Err("password")),
            ("http://host:port", None, Err("")),
            ("http://host:0", None, Err("port")),
            ("http://host:70000", None, Err("")),
            ("http://", None, Err("expected")),
            ("http://a b", None, Err("expected")),
            ("http://host?x=1", None, Err("expected")),
        ];
        for (text, port, expected) in cases {
            match (Endpoint::parse(text, port), expected) {
                (Ok(endpoint), Ok(expected)) => {
                    assert_eq!(endpoint.to_string(), expected, "{text}")
                }
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{text}: {problem}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        assert_eq!(
            Endpoint::parse("http://[::1]:4566", None).unwrap().host(),
            "::1"
        );
    }

    #[test]
    fn the_order_is_option_service_variable_general_variable_file_default() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(
            &path,
            "[default]\nendpoint_url = http://file\n[profile dev]\nservices = s\n[services s]\nfirehose =\n  endpoint_url = http://section\n",
        )
        .unwrap();
        let file = ("AWS_CONFIG_FILE", path.to_str().unwrap());
        let service = ("AWS_ENDPOINT_URL_FIREHOSE", "http://service");
        let general = ("AWS_ENDPOINT_URL", "http://general");
        let other = ("AWS_ENDPOINT_URL_S3", "http://other");
        let dev = ("AWS_PROFILE", "dev");
        let ignore = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        let own = "https://firehose.us-east-1.amazonaws.com";
        let fips = ("AWS_USE_FIPS_ENDPOINT", "true");
        let cases: [(Option<&str>, Variables<'_>, &str, &str); 10] = [
            (
                Some("https://option"),
                &[service, general, file],
                "https://option",
                "option endpoint",
            ),
            (None, &[service, general, file], "http://service", service.0),
            (None, &[other, general, file], "http://general", general.0),
            (None, &[other, file], "http://file", "profile default"),
            (None, &[file, dev], "http://section", "profile dev"),
            (None, &[other], own, "AWS's name"),
            (None, &[service, general, file, ignore], own, "AWS's name"),
            (
                Some("option"),
                &[service, ignore],
                "https://option",
                "option",
            ),
            (Some("option"), &[fips], "https://option", "option"),
            (
                None,
                &[fips],
                "https://firehose-fips.us-east-1.amazonaws.com",
                "AWS's FIPS endpoint",
            ),
        ];
        for (option, variables, expected, origin) in cases {
            let environment = Environment::fixed(variables.iter().copied());
            let found =
                Endpoint::resolve(&choice("us-east-1", option, None), &environment).unwrap();
            assert_eq!(found.endpoint.to_string(), expected, "{variables:?}");
            assert!(found.origin.contains(origin), "{}", found.origin);
        }
    }

    #[test]
    fn errors_name_where_the_text_stands() {
        let environment = Environment::fixed([("AWS_ENDPOINT_URL", "htp://x")]);
        let error = Endpoint::resolve(&choice("us-east-1", None, None), &environment).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AWS_ENDPOINT_URL \"htp://x\": the scheme is not known; allowed are http:// and https://"
        );
        let secret = choice("us-east-1", Some("http://user:hush@host"), None);
        let error = Endpoint::resolve(&secret, &environment)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("…@host") && !error.contains("hush"),
            "{error}"
        );
        let error = Endpoint::resolve(
            &choice("us east", None, None),
            &Environment::fixed::<&str, &str>([]),
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("region \"us east\"")
        );
    }
}
