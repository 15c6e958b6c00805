//! How the services that hand out credentials are reached: STS and IAM Identity Center.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::{CredentialsOptions, CredentialsProvider};
use crate::call_error::CallError;
use crate::client::{Client, ClientOptions, Request, SetupError};
use crate::endpoint::Service;
use crate::environment::Environment;
use crate::net::NetOptions;
use crate::tls::TlsOptions;
use crate::transport::Answer;

/// Fluent Bit's limit for credential calls.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// What stays as it is in forms and queries.
pub(super) const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The options of an output as far as they say how to get at credentials, and the process around it.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    pub environment: Environment,
    pub tls: TlsOptions,
    region: String,
    profile: Option<String>,
    sts_endpoint: Option<String>,
    net: NetOptions,
}

impl Reach {
    /// Connections are made for one call each: an hour passes until the next.
    pub fn new(options: &CredentialsOptions, environment: &Environment) -> Self {
        let net = NetOptions {
            connect_timeout: options.net.connect_max().min(CONNECT_MAX),
            keepalive: false,
            ..options.net.clone()
        };
        Self {
            environment: environment.clone(),
            tls: options.tls.clone(),
            region: options.region.clone(),
            profile: options.profile.clone(),
            sts_endpoint: options.sts_endpoint.clone(),
            net,
        }
    }

    /// STS in the region of the output.
    pub fn sts(&self) -> ClientOptions {
        ClientOptions {
            endpoint: self.sts_endpoint.clone(),
            ..self.service(Service::STS, &self.region)
        }
    }

    /// A service in some region, reached as the output's own.
    pub fn service(&self, service: Service, region: &str) -> ClientOptions {
        ClientOptions {
            profile: self.profile.clone(),
            tls: self.tls.clone(),
            net: self.net.clone(),
            ..ClientOptions::new(service, region)
        }
    }

    /// A client that does not sign.
    pub fn unsigned(&self, options: ClientOptions) -> Result<Client, SetupError> {
        Client::unsigned(options, &self.environment)
    }

    /// A client that signs with what the provider gives.
    pub fn signed(
        &self,
        options: ClientOptions,
        provider: CredentialsProvider,
    ) -> Result<Client, SetupError> {
        Client::new(options, provider, &self.environment)
    }
}

/// Sends a request. Boxed, because a client may ask a provider that sends a request in turn.
pub(super) fn send<'a>(
    client: &'a Client,
    request: Request<'a>,
) -> Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send + 'a>> {
    Box::pin(client.send(request))
}
