//! From the options of an AWS output to a client, and from a failed call to the answer for its request.

use aws::{
    CallError, Client, ClientOptions, CredentialsOptions, CredentialsProvider, Environment,
    ErrorClass, Service,
};
use config::{NetOptions, Options, TlsOptions, TlsVersion};
use plugin::{Answer, BuildError, OutputContext, Reason};

/// What a call's failure means for the whole request.
pub fn failed(error: &CallError) -> Answer {
    let why = error.to_string();
    match error.class() {
        ErrorClass::Retry | ErrorClass::RefreshCredentials => Answer::Again {
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
        self.client_with_user_agent(service, None, context)
    }

    /// The same with a text behind the `User-Agent`.
    pub fn client_with_user_agent(
        &self,
        service: Service,
        extra_user_agent: Option<&str>,
        context: &OutputContext,
    ) -> Result<Client, BuildError> {
        self.connection
            .client_with_user_agent(service, &self.region, extra_user_agent, context)
    }
}

/// How an AWS service is reached, wherever it is.
#[derive(Clone, Debug, Options)]
pub struct ConnectionOptions {
    /// The endpoint to use instead of the service's own: a host with or without a scheme and a port. Without it the
    /// standard `AWS_ENDPOINT_URL_…` variables count.
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
        self.client_with_user_agent(service, region, None, context)
    }

    /// The same with a text behind the `User-Agent`.
    pub fn client_with_user_agent(
        &self,
        service: Service,
        region: &str,
        extra_user_agent: Option<&str>,
        context: &OutputContext,
    ) -> Result<Client, BuildError> {
        let environment = Environment::process();
        let (tls, net) = (self.tls(context), self.net()?);
        let credentials = CredentialsOptions {
            region: region.to_owned(),
            profile: self.profile.clone(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
            sts_endpoint: self.sts_endpoint.clone(),
            tls: tls.clone(),
            net: net.clone(),
        };
        let options = ClientOptions {
            endpoint: self.endpoint.clone(),
            port: self.port,
            profile: self.profile.clone(),
            auto_retry_requests: self.auto_retry_requests,
            extra_user_agent: extra_user_agent.map(str::to_owned),
            tls,
            net,
            ..ClientOptions::new(service, region)
        };
        CredentialsProvider::new(&credentials, &environment)
            .and_then(|provider| Client::new(options, provider, &environment))
            .map_err(|error| BuildError(error.to_string()))
    }

    fn tls(&self, context: &OutputContext) -> aws::TlsOptions {
        let tls = &self.tls;
        let version = |version: Option<TlsVersion>| match version? {
            TlsVersion::V1_3 => Some(aws::TlsVersion::V1_3),
            TlsVersion::V1_2 => Some(aws::TlsVersion::V1_2),
            TlsVersion::V1_0 | TlsVersion::V1_1 => {
                context.log.warn(format_args!(
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
