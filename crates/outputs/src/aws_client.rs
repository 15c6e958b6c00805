//! From the options of an AWS output to a client, and from a failed call to the answer for its request.

mod access;
mod expiry;
mod header;
mod peer;

use aws::{
    CallError, Client, CredentialsOptions, CredentialsProvider, Environment, ErrorClass, Service,
};
use config::{NetOptions, Options, TlsOptions, TlsVersion};
use plugin::{Answer, BuildError, Log, OutputContext, Reason};

pub use access::Access;
pub use peer::Peer;

/// What a call's failure means for the whole request.
pub fn failed(error: &CallError) -> Answer {
    let mut why = error.to_string();
    if let Some(advice) = error.advice() {
        why = format!("{}; {advice}", why.trim_end_matches('.'));
    }
    match error.class() {
        ErrorClass::Retry | ErrorClass::RefreshCredentials | ErrorClass::Stop => Answer::Again {
            after: error.retry_after(),
            why,
            throttled: error.is_throttled(),
        },
        ErrorClass::Split => Answer::Never {
            reason: Reason("request_too_large"),
            why,
        },
        ErrorClass::Permanent => Answer::Never {
            reason: Reason("refused"),
            why,
        },
    }
}

/// Options that every AWS output has.
#[derive(Clone, Debug, Options)]
pub struct AwsOptions {
    /// The AWS region.
    #[option(name = "region", required)]
    pub region: String,
    /// The way there.
    #[option(flatten)]
    pub connection: ConnectionOptions,
}

impl AwsOptions {
    /// A client of `service` with these options and the environment of the process.
    pub fn client(&self, service: Service, context: &OutputContext) -> Result<Client, BuildError> {
        self.connection.client(service, &self.region, context)
    }

    /// The same with a text behind the `User-Agent`.
    pub fn client_with_user_agent(
        &self,
        service: Service,
        extra_user_agent: Option<&str>,
        context: &OutputContext,
    ) -> Result<Client, BuildError> {
        let access = self.connection.watched(&self.region, context)?;
        access.client_with_user_agent(service, extra_user_agent)
    }
}

/// How an AWS service is reached, wherever it is.
#[derive(Clone, Debug, Options)]
pub struct ConnectionOptions {
    /// The endpoint to use instead of the service's own: a host with or without a scheme and a port. Without it the
    /// standard `AWS_ENDPOINT_URL_…` variables count, then `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT`.
    #[option(name = "endpoint")]
    pub endpoint: Option<String>,
    /// The port of an endpoint that names none.
    #[option(name = "port")]
    pub port: Option<u16>,
    /// A role to assume.
    #[option(name = "role_arn")]
    pub role_arn: Option<String>,
    /// The external id to name when the role is assumed.
    #[option(name = "external_id")]
    pub external_id: Option<String>,
    /// The endpoint of STS, for `role_arn`.
    #[option(name = "sts_endpoint")]
    pub sts_endpoint: Option<String>,
    /// The profile of the shared configuration files.
    #[option(name = "profile")]
    pub profile: Option<String>,
    /// Whether a request that met a closed connection, and so cannot have been processed, is sent again at once.
    #[option(name = "auto_retry_requests", default = "true")]
    pub auto_retry_requests: bool,
    /// Connections.
    #[option(flatten)]
    pub net: NetOptions,
    /// Encryption.
    #[option(flatten)]
    pub tls: TlsOptions,
}

impl ConnectionOptions {
    /// A client of `service` in `region` with these options and the environment of the process.
    pub fn client(
        &self,
        service: Service,
        region: &str,
        context: &OutputContext,
    ) -> Result<Client, BuildError> {
        self.watched(region, context)?.client(service)
    }

    /// Access whose credentials' end is a metric of the output.
    fn watched(&self, region: &str, context: &OutputContext) -> Result<Access, BuildError> {
        let access = self.access(region, &context.log)?;
        expiry::watch(access.credentials(), &context.metrics);
        Ok(access)
    }

    /// What clients of this region share. Options that cannot be honoured are told to `log`.
    pub fn access(&self, region: &str, log: &Log) -> Result<Access, BuildError> {
        self.warn_about_unused(log);
        let environment = Environment::process();
        let (tls, net) = (self.tls(log), self.net()?);
        let options = CredentialsOptions {
            region: region.to_owned(),
            profile: self.profile.clone(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
            sts_endpoint: self.sts_endpoint.clone(),
            tls: tls.clone(),
            net: net.clone(),
        };
        let credentials = CredentialsProvider::new(&options, &environment)
            .map_err(|error| BuildError(error.to_string()))?;
        Ok(Access {
            region: region.to_owned(),
            options: self.clone(),
            credentials,
            environment,
            tls,
            net,
        })
    }

    /// Says which options have no effect here.
    fn warn_about_unused(&self, log: &Log) {
        let unused = [
            (
                self.tls.key_passwd.is_some(),
                "tls.key_passwd",
                "the private key must not be encrypted",
            ),
            (
                self.tls.ciphers.is_some(),
                "tls.ciphers",
                "only safe cipher suites are spoken",
            ),
            (
                self.net.dns_mode.is_some(),
                "net.dns.mode",
                "the system looks names up",
            ),
            (
                self.net.dns_resolver.is_some(),
                "net.dns.resolver",
                "the system looks names up",
            ),
            (
                self.net.max_worker_connections > 0,
                "net.max_worker_connections",
                "there are as many connections as requests under way, which a throttling service makes fewer",
            ),
        ];
        for (_, option, why) in unused.iter().filter(|(set, ..)| *set) {
            log.warn(format_args!("'{option}' has no effect: {why}"));
        }
    }

    fn tls(&self, log: &Log) -> aws::TlsOptions {
        let tls = &self.tls;
        let version = |version: Option<TlsVersion>| match version? {
            TlsVersion::V1_3 => Some(aws::TlsVersion::V1_3),
            TlsVersion::V1_2 => Some(aws::TlsVersion::V1_2),
            TlsVersion::V1_0 | TlsVersion::V1_1 => {
                log.warn(format_args!(
                    "TLS versions below 1.2 are not spoken: 1.2 is the oldest used"
                ));
                Some(aws::TlsVersion::V1_2)
            }
        };
        aws::TlsOptions {
            verify: tls.verify,
            ca_file: tls.ca_file.clone(),
            ca_path: tls.ca_path.clone(),
            crt_file: tls.crt_file.clone(),
            key_file: tls.key_file.clone(),
            vhost: tls.vhost.clone(),
            min_version: version(tls.min_version),
            max_version: version(tls.max_version),
            ..aws::TlsOptions::default()
        }
    }

    fn net(&self) -> Result<aws::NetOptions, BuildError> {
        let net = &self.net;
        let seconds = |value: i64| {
            u64::try_from(value)
                .ok()
                .map(std::time::Duration::from_secs)
        };
        let source_address = match &net.source_address {
            None => None,
            Some(text) => match text.parse() {
                Ok(address) => Some(address),
                Err(_) => {
                    return Err(format!("net.source_address '{text}' is not an IP address").into());
                }
            },
        };
        Ok(aws::NetOptions {
            connect_timeout: net.connect_timeout.0,
            io_timeout: net.io_timeout.0,
            keepalive: net.keepalive,
            keepalive_idle_timeout: net.keepalive_idle_timeout.0,
            keepalive_max_recycle: u32::try_from(net.keepalive_max_recycle).unwrap_or(0),
            tcp_keepalive: net.tcp_keepalive.then(|| aws::TcpKeepalive {
                time: seconds(net.tcp_keepalive_time),
                interval: seconds(net.tcp_keepalive_interval),
                probes: u32::try_from(net.tcp_keepalive_probes).ok(),
            }),
            prefer: match (net.prefer_ipv4, net.prefer_ipv6) {
                (true, _) => Some(aws::AddressFamily::Ipv4),
                (false, true) => Some(aws::AddressFamily::Ipv6),
                (false, false) => None,
            },
            source_address,
            proxy_env_ignore: net.proxy_env_ignore,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Diagnostics, Entry, Position, Section, SectionKind};
    use plugin::Level;

    fn refusal(status: u16, code: &str, message: &str) -> CallError {
        let body = format!(r#"{{"__type":"{code}","message":"{message}"}}"#);
        CallError::Refused(aws::ServiceError::of(&aws::Answer::of(status, &[], &body)))
    }

    /// `again`, `again throttled` or `never REASON`.
    fn shown(answer: &Answer) -> String {
        match answer {
            Answer::Again {
                throttled: true, ..
            } => "again throttled".to_owned(),
            Answer::Again { .. } => "again".to_owned(),
            Answer::Never { reason, .. } => format!("never {}", reason.0),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_records_gives_them_up() {
        let cases = [
            (503, "ServiceUnavailableException", "again throttled"),
            (500, "InternalFailure", "again"),
            (400, "SomethingNew", "again"),
            (400, "AccessDeniedException", "again"),
            (400, "ExpiredTokenException", "again"),
            (400, "ResourceNotFoundException", "again"),
            (400, "InvalidKMSResourceException", "again"),
            (400, "SubscriptionRequiredException", "again"),
            (
                413,
                "RequestEntityTooLargeException",
                "never request_too_large",
            ),
            (400, "SerializationException", "never refused"),
        ];
        for (status, code, expected) in cases {
            assert_eq!(
                shown(&failed(&refusal(status, code, "m"))),
                expected,
                "{code}"
            );
        }
        let name = refusal(
            400,
            "ValidationException",
            "Value 'a b' at 'deliveryStreamName' failed",
        );
        assert_eq!(shown(&failed(&name)), "again");
    }

    #[test]
    fn what_somebody_must_mend_is_said() {
        let error = refusal(400, "ResourceNotFoundException", "ds not found.");
        let Answer::Again { why, .. } = failed(&error) else {
            panic!("given up");
        };
        let expected = "ResourceNotFoundException (HTTP status 400): ds not found; create it, or correct its name, the \
                        region or the account";
        assert_eq!(why, expected);
    }

    fn options(entries: &[(&str, &str)]) -> ConnectionOptions {
        let nowhere = Position::argument(1);
        let mut section = Section::new(SectionKind::Output, "output", nowhere.clone());
        for (key, value) in entries {
            section
                .entries
                .push(Entry::plain(key, nowhere.clone(), *value, nowhere.clone()));
        }
        let mut diagnostics = Diagnostics::new();
        ConnectionOptions::read_part(&section, &mut diagnostics)
            .unwrap_or_else(|| panic!("{diagnostics}"))
    }

    #[test]
    fn old_versions_of_tls_are_raised() {
        let raised = options(&[
            ("tls.min_version", "TLSv1.1"),
            ("tls.max_version", "TLSv1.3"),
        ]);
        let tls = raised.tls(&Log::new("", Level::Off));
        assert_eq!(tls.min_version, Some(aws::TlsVersion::V1_2));
        assert_eq!(tls.max_version, Some(aws::TlsVersion::V1_3));
        assert!(tls.verify_hostname);
    }

    #[test]
    fn a_source_address_must_be_one() {
        let wrong = options(&[("net.source_address", "eth0")]);
        let error = wrong.access("us-east-1", &Log::new("", Level::Off)).err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error, "net.source_address 'eth0' is not an IP address");
    }
}
