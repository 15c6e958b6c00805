//! The client of one service: signs requests, sends them, and reads what became of them.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Uri};

use crate::call_error::CallError;
use crate::clock::Clock;
use crate::credentials::{Credentials, CredentialsProvider};
use crate::endpoint::{Endpoint, EndpointChoice, EndpointError, Resolved, Service};
use crate::environment::Environment;
use crate::error_class::{ErrorClass, is_about_the_clock};
use crate::net::NetOptions;
use crate::proxy::Proxy;
use crate::service_error::ServiceError;
use crate::signer::{PayloadHash, Signer};
use crate::tls::{Tls, TlsError, TlsOptions};
use crate::transport::{Answer, Connections, Enough, Reached, Transport};

/// What the name of a server begins with that is a lake.
const LAKE: &str = "flumen-lake/";
const X_AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// Our headers and the signer's, without the map growing.
const HEADERS_MAX: usize = 12;
/// As many as requests are under way at once, mostly.
const SPARE_HEADS: usize = 10;

/// Which service, where, and how it is reached.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The service to call.
    pub service: Service,
    /// The option `region`: part of the host name and of each signature.
    pub region: String,
    /// The option `endpoint`: `[http://|https://]host[:port]`. `None` goes by the environment, then by AWS's naming.
    pub endpoint: Option<String>,
    /// The option `port`, for an endpoint that names none.
    pub port: Option<u16>,
    /// The option `profile`: whose `endpoint_url` counts. Credentials have their own options.
    pub profile: Option<String>,
    /// The option `auto_retry_requests`: whether a request that met a closed connection is sent again at once.
    pub auto_retry_requests: bool,
    /// The option `extra_user_agent`, appended to `flumen/VERSION`.
    pub extra_user_agent: Option<String>,
    /// `tls.*`.
    pub tls: TlsOptions,
    /// `net.*`.
    pub net: NetOptions,
}

impl ClientOptions {
    /// Fluent Bit's defaults.
    pub fn new(service: Service, region: impl Into<String>) -> Self {
        Self {
            service,
            region: region.into(),
            endpoint: None,
            port: None,
            profile: None,
            auto_retry_requests: true,
            extra_user_agent: None,
            tls: TlsOptions::default(),
            net: NetOptions::default(),
        }
    }
}

/// Options that no client can be made from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The endpoint, region or proxy.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A `tls.*` option.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// `extra_user_agent` holds characters that a header cannot carry.
    #[error("extra_user_agent {0:?} holds characters that a header cannot carry")]
    UserAgent(String),
}

/// A request, but for what the client adds: `host`, `user-agent` and the signature.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    method: Method,
    target: PathAndQuery,
    /// The operation of the JSON 1.1 protocol, whose two headers are added when the request is sent.
    operation: Option<&'static str>,
    headers: HeaderMap,
    body: &'a [u8],
    /// The body's hash, if it is known already.
    hash: Option<PayloadHash>,
    enough: Option<Enough>,
}

impl<'a> Request<'a> {
    /// `target` goes below the endpoint's path, as it is. The body is not copied.
    pub fn new(method: Method, target: PathAndQuery, body: &'a [u8]) -> Self {
        Self {
            method,
            target,
            operation: None,
            headers: HeaderMap::new(),
            body,
            hash: None,
            enough: None,
        }
    }

    /// A call of the JSON 1.1 protocol: `operation` is the value of `x-amz-target`, as
    /// `Firehose_20150804.PutRecordBatch`.
    pub fn json(operation: &'static str, body: &'a [u8]) -> Self {
        Self {
            operation: Some(operation),
            ..Self::new(Method::POST, PathAndQuery::from_static("/"), body)
        }
    }

    /// The same with one more header, which is signed.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with the hash of its body, which is then not taken when it is signed.
    pub fn with_payload_hash(mut self, hash: PayloadHash) -> Self {
        self.hash = Some(hash);
        self
    }

    /// The same with an answer whose body may end where it has said enough: what follows is received and forgotten.
    pub fn with_enough(mut self, enough: Enough) -> Self {
        self.enough = Some(enough);
        self
    }
}

/// A client of one service in one region. May be shared by the tasks of a thread; each thread better has its own, with
/// its own connections, while credentials are shared through the provider.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    /// Heads of requests that are done with, for the memory of the next ones.
    spare_heads: Mutex<Vec<Parts>>,
    signer: Signer,
    credentials: Option<CredentialsProvider>,
    clock: Clock,
    auto_retry_requests: bool,
    host: HeaderValue,
    user_agent: HeaderValue,
    endpoint_origin: String,
    /// A [`Server`], as a number.
    server: AtomicU8,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Nobody has yet.
    Unheard,
    /// A lake of Flumen's, which named itself in its last answer.
    Lake,
    /// Anybody else: AWS, as a rule.
    Other,
}

impl Client {
    /// Reads the options, the environment and the files they name; connects to nothing.
    pub fn new(
        options: ClientOptions,
        credentials: CredentialsProvider,
        environment: &Environment,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            credentials: Some(credentials),
            ..Self::unsigned(options, environment)?
        })
    }

    /// A client whose requests are not signed.
    pub(crate) fn unsigned(
        options: ClientOptions,
        environment: &Environment,
    ) -> Result<Self, SetupError> {
        let Resolved { endpoint, origin } = Endpoint::resolve(
            &EndpointChoice {
                service: options.service,
                region: &options.region,
                endpoint: options.endpoint.as_deref(),
                port: options.port,
                profile: options.profile.as_deref(),
            },
            environment,
        )?;
        let proxy = match options.net.proxy_env_ignore {
            true => None,
            false => Proxy::of_environment(environment, &endpoint)?,
        };
        let host = HeaderValue::try_from(endpoint.authority()).map_err(|_| {
            EndpointError::new(
                "endpoint",
                endpoint.host(),
                "the host cannot stand in a header",
            )
        })?;
        let tls = Tls::new(&options.tls)?;
        Ok(Self {
            transport: Transport::new(endpoint, options.net, tls, proxy),
            spare_heads: Mutex::default(),
            signer: Signer::new(options.service, options.region),
            credentials: None,
            clock: Clock::new(environment.clone()),
            auto_retry_requests: options.auto_retry_requests,
            host,
            user_agent: user_agent(options.extra_user_agent.as_deref())?,
            endpoint_origin: origin,
            server: AtomicU8::new(Server::Unheard as u8),
        })
    }

    /// Where requests go.
    pub fn endpoint(&self) -> &Endpoint {
        self.transport.endpoint()
    }

    /// What the endpoint was taken from, in words: an option, a variable, a key of a file, or AWS's naming.
    pub fn endpoint_origin(&self) -> &str {
        &self.endpoint_origin
    }

    /// Calls an operation of the JSON 1.1 protocol; see [`Request::json`] and [`Client::send`].
    pub async fn post_json(
        &self,
        operation: &'static str,
        body: impl AsRef<[u8]>,
    ) -> Result<Answer, CallError> {
        self.send(Request::json(operation, body.as_ref())).await
    }

    /// Sends a request and reads its answer, whose status is 2xx.
    ///
    /// What can be mended on the spot is, each at most once per call: a connection that the peer had closed before it
    /// saw the request (with `auto_retry_requests`), a date that the service finds wrong, credentials that it finds
    /// expired or revoked while there are newer ones. Everything else is the caller's to decide.
    ///
    /// Must run on a tokio runtime with time and I/O. A dropped call closes its connection.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, CallError> {
        let mut attempt = Attempt::default();
        loop {
            let credentials = match (&self.credentials, &attempt.credentials) {
                (None, _) => None,
                (_, Some(renewed)) => Some(renewed.clone()),
                (Some(provider), None) => Some(provider.credentials().await?),
            };
            match self
                .attempt(&request, credentials.as_ref(), attempt.connections())
                .await
            {
                Ok(answer) => return Ok(answer),
                Err(error) if self.mend(&error, credentials.as_ref(), &mut attempt).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        request: &Request<'_>,
        credentials: Option<&Credentials>,
        connections: Connections,
    ) -> Result<Answer, CallError> {
        let mut head = self.head(request);
        if let Some(credentials) = credentials {
            let now = SystemTime::from(self.clock.now());
            match &request.hash {
                Some(hash) => self.signer.sign_hashed(&mut head, hash, credentials, now),
                None => self.signer.sign(&mut head, request.body, credentials, now),
            }
        }
        let answer = self
            .transport
            .exchange_for(&head, request.body, connections, request.enough)
            .await;
        self.recycle(head);
        let answer = answer?;
        self.hear(&answer);
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(ServiceError::of(&answer).into())
        }
    }

    /// Who has answered last.
    pub fn server(&self) -> Server {
        match self.server.load(Ordering::Relaxed) {
            known if known == Server::Lake as u8 => Server::Lake,
            known if known == Server::Other as u8 => Server::Other,
            _ => Server::Unheard,
        }
    }

    fn hear(&self, answer: &Answer) {
        let name = answer.header("server").unwrap_or_default();
        let server = match name.starts_with(LAKE) {
            true => Server::Lake,
            false => Server::Other,
        };
        self.server.store(server as u8, Ordering::Relaxed);
    }

    fn recycle(&self, mut head: Parts) {
        head.headers.clear();
        let mut spare = self.spare_heads();
        if spare.len() < SPARE_HEADS {
            spare.push(head);
        }
    }

    fn spare_heads(&self) -> MutexGuard<'_, Vec<Parts>> {
        self.spare_heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn head(&self, request: &Request<'_>) -> Parts {
        let spare = self.spare_heads().pop();
        let mut head = spare.unwrap_or_else(|| {
            let (mut head, ()) = http::Request::new(()).into_parts();
            head.headers = HeaderMap::with_capacity(HEADERS_MAX);
            head
        });
        head.method = request.method.clone();
        head.uri = self.uri(&request.target);
        if let Some(operation) = request.operation {
            let content_type = HeaderValue::from_static("application/x-amz-json-1.1");
            head.headers.insert(CONTENT_TYPE, content_type);
            // An operation that cannot stand in a header is none that a service knows.
            let target = HeaderValue::from_maybe_shared(Bytes::from_static(operation.as_bytes()));
            let target = target.unwrap_or(HeaderValue::from_static(""));
            head.headers.insert(X_AMZ_TARGET, target);
        }
        for (name, value) in &request.headers {
            head.headers.append(name, value.clone());
        }
        head.headers.insert(HOST, self.host.clone());
        head.headers.insert(USER_AGENT, self.user_agent.clone());
        head
    }

    fn uri(&self, target: &PathAndQuery) -> Uri {
        let below = match (self.transport.endpoint().path(), target.as_str()) {
            ("/", _) => None,
            (base, "/") => PathAndQuery::try_from(base).ok(),
            (base, target) => PathAndQuery::try_from(format!("{base}{target}")).ok(),
        };
        // Two paths make one, unless it gets longer than 64 kB, which no service takes.
        Uri::from(below.unwrap_or_else(|| target.clone()))
    }

    /// Removes the cause of a failure if that is in our power and has not been tried in this call.
    async fn mend(
        &self,
        error: &CallError,
        used: Option<&Credentials>,
        attempt: &mut Attempt,
    ) -> bool {
        match error {
            CallError::Credentials(_) => false,
            CallError::NoAnswer(error) => {
                let unprocessed =
                    matches!(error.reached, Reached::Unsent | Reached::ClosedWhileIdle);
                self.auto_retry_requests && unprocessed && first_time(&mut attempt.reconnected)
            }
            CallError::Refused(error) => self.mend_refusal(error, used, attempt).await,
        }
    }

    async fn mend_refusal(
        &self,
        error: &ServiceError,
        used: Option<&Credentials>,
        attempt: &mut Attempt,
    ) -> bool {
        let off = error.date.filter(|_| is_about_the_clock(&error.code));
        if off.is_some_and(|date| self.clock.correct(date)) {
            return first_time(&mut attempt.redated);
        }
        let (Some(provider), Some(used)) = (&self.credentials, used) else {
            return false;
        };
        if error.class() != ErrorClass::RefreshCredentials || !first_time(&mut attempt.renewed) {
            return false;
        }
        attempt.credentials = provider.instead_of(used).await;
        attempt.credentials.is_some()
    }
}

/// What has been tried in a call.
#[derive(Default)]
struct Attempt {
    reconnected: bool,
    redated: bool,
    renewed: bool,
    /// What to sign with instead of what the provider gave first.
    credentials: Option<Credentials>,
}

impl Attempt {
    fn connections(&self) -> Connections {
        if self.reconnected {
            Connections::Fresh
        } else {
            Connections::KeptAlive
        }
    }
}

fn first_time(flag: &mut bool) -> bool {
    !std::mem::replace(flag, true)
}

fn user_agent(extra: Option<&str>) -> Result<HeaderValue, SetupError> {
    let own = concat!("flumen/", env!("CARGO_PKG_VERSION"));
    match extra.filter(|extra| !extra.is_empty()) {
        None => Ok(HeaderValue::from_static(own)),
        Some(extra) => HeaderValue::try_from(format!("{own}-{extra}"))
            .map_err(|_| SetupError::UserAgent(extra.to_owned())),
    }
}
