//! Clients of several services that share credentials and the options of one output.

use aws::{
    Client, ClientOptions, CredentialsProvider, Environment, NetOptions, Service, TlsOptions,
};
use plugin::BuildError;

use super::ConnectionOptions;

/// The options of an output, ready to make clients with.
pub struct Access {
    pub(super) region: String,
    pub(super) options: ConnectionOptions,
    pub(super) credentials: CredentialsProvider,
    pub(super) environment: Environment,
    pub(super) tls: TlsOptions,
    pub(super) net: NetOptions,
}

impl Access {
    /// The credentials that all clients sign with.
    pub fn credentials(&self) -> &CredentialsProvider {
        &self.credentials
    }

    /// A client of the output's service.
    pub fn client(&self, service: Service) -> Result<Client, BuildError> {
        self.client_with_user_agent(service, None)
    }

    /// The same with a text behind the `User-Agent`.
    pub fn client_with_user_agent(
        &self,
        service: Service,
        extra_user_agent: Option<&str>,
    ) -> Result<Client, BuildError> {
        self.make(ClientOptions {
            endpoint: self.options.endpoint.clone(),
            port: self.options.port,
            extra_user_agent: extra_user_agent.map(str::to_owned),
            ..self.service(service)
        })
    }

    /// A client of STS, at `sts_endpoint` if there is one, else at `endpoint` (`None` is STS's own).
    pub fn sts(&self, endpoint: Option<String>) -> Result<Client, BuildError> {
        self.make(ClientOptions {
            endpoint: self.options.sts_endpoint.clone().or(endpoint),
            ..self.service(Service::STS)
        })
    }

    fn service(&self, service: Service) -> ClientOptions {
        ClientOptions {
            profile: self.options.profile.clone(),
            auto_retry_requests: self.options.auto_retry_requests,
            tls: self.tls.clone(),
            net: self.net.clone(),
            ..ClientOptions::new(service, &self.region)
        }
    }

    fn make(&self, options: ClientOptions) -> Result<Client, BuildError> {
        Client::new(options, self.credentials.clone(), &self.environment)
            .map_err(|error| BuildError(error.to_string()))
    }
}
