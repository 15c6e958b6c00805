//! Where a service is reached: from the option `endpoint`, the standard variables, the shared config file, or AWS's
//! own naming by service, region and partition.

use std::fmt;
use std::str::FromStr;

use http::uri::Authority;

use crate::environment::Environment;
use crate::shared_config::{Sections, SharedFiles, profile_name};

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

/// Host name endings by region prefix (Fluent Bit's table).
const PARTITIONS: &[(&str, &str)] = &[
    ("cn-", "amazonaws.com.cn"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
];
/// The ending of all other hosts.
const COMMERCIAL: &str = "amazonaws.com";

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
    /// and `endpoint_url` in the shared config file, `service.region.suffix` over TLS.
    ///
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true` leaves the option and the default only.
    pub(crate) fn resolve(
        choice: &EndpointChoice<'_>,
        environment: &Environment,
    ) -> Result<Self, EndpointError> {
        let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if choice.region.is_empty() || !choice.region.bytes().all(label) {
            let problem = "a region is lower-case letters, digits and dashes, as us-east-1";
            return Err(EndpointError::new("region", choice.region, problem));
        }
        if let Some(text) = choice.endpoint.filter(|text| !text.is_empty()) {
            return Self::parse(text, choice.port)
                .map_err(|problem| EndpointError::new("option endpoint", text, problem));
        }
        if let Some((origin, text)) = configured(choice, environment) {
            return Self::parse(&text, choice.port)
                .map_err(|problem| EndpointError::new(&origin, &text, problem));
        }
        Ok(Self::of_region(choice))
    }

    fn of_region(choice: &EndpointChoice<'_>) -> Self {
        let region = choice.region;
        let partition = PARTITIONS
            .iter()
            .find(|(prefix, _)| region.starts_with(prefix));
        let suffix = partition.map_or(COMMERCIAL, |(_, suffix)| suffix);
        Self {
            tls: true,
            host: format!("{}.{region}.{suffix}", choice.service.name),
            port: choice.port.unwrap_or(443),
            path: "/".to_owned(),
        }
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
    fn hosts_follow_the_partition_of_the_region() {
        let cases = [
            ("us-east-1", "https://firehose.us-east-1.amazonaws.com"),
            (
                "us-gov-west-1",
                "https://firehose.us-gov-west-1.amazonaws.com",
            ),
            ("cn-north-1", "https://firehose.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "https://firehose.us-iso-east-1.c2s.ic.gov"),
            (
                "us-isob-east-1",
                "https://firehose.us-isob-east-1.sc2s.sgov.gov",
            ),
            (
                "us-isof-south-1",
                "https://firehose.us-isof-south-1.csp.hci.ic.gov",
            ),
            (
                "eu-isoe-west-1",
                "https://firehose.eu-isoe-west-1.cloud.adc-e.uk",
            ),
            (
                "eusc-de-east-1",
                "https://firehose.eusc-de-east-1.amazonaws.eu",
            ),
        ];
        for (region, expected) in cases {
            let endpoint = Endpoint::of_region(&choice(region, None, None));
            assert_eq!(endpoint.to_string(), expected);
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
        let cases: [(Option<&str>, Variables<'_>, &str); 8] = [
            (
                Some("https://option"),
                &[service, general, file],
                "https://option",
            ),
            (None, &[service, general, file], "http://service"),
            (None, &[other, general, file], "http://general"),
            (None, &[other, file], "http://file"),
            (None, &[file, dev], "http://section"),
            (None, &[other], own),
            (None, &[service, general, file, ignore], own),
            (Some("option"), &[service, ignore], "https://option"),
        ];
        for (option, variables, expected) in cases {
            let environment = Environment::fixed(variables.iter().copied());
            let endpoint =
                Endpoint::resolve(&choice("us-east-1", option, None), &environment).unwrap();
            assert_eq!(endpoint.to_string(), expected, "{variables:?}");
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
