//! `net.*` options.

use crate::number::Seconds;
use crate::{Form, FromText, Options, Parsed, Refusal};

/// How names are looked up on the network. Only the first letter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DnsMode {
    /// Over UDP.
    Udp,
    /// Over TCP.
    Tcp,
}

impl FromText for DnsMode {
    const FORM: Form = Form::new("choice", "`UDP` or `TCP`");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        Ok(
            match text.chars().next().map(|first| first.to_ascii_uppercase()) {
                Some('T') => Self::Tcp.into(),
                Some('U') => Self::Udp.into(),
                _ => Parsed::doubtful(
                    Self::Udp,
                    format!("'{text}' is neither UDP nor TCP and counts as UDP"),
                ),
            },
        )
    }
}

/// What looks names up. Only the first letter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DnsResolver {
    /// A resolver of its own, without blocking.
    Async,
    /// The system's `getaddrinfo`.
    Legacy,
}

impl FromText for DnsResolver {
    const FORM: Form = Form::new("choice", "`ASYNC` or `LEGACY`");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        Ok(
            match text.chars().next().map(|first| first.to_ascii_uppercase()) {
                Some('L') => Self::Legacy.into(),
                Some('A') => Self::Async.into(),
                _ => Parsed::doubtful(
                    Self::Async,
                    format!("'{text}' is neither ASYNC nor LEGACY and counts as ASYNC"),
                ),
            },
        )
    }
}

/// Connections that the router opens.
#[derive(Debug, Clone, PartialEq, Options)]
pub struct NetOptions {
    /// How names are looked up; by default what the service says.
    #[option(name = "net.dns.mode")]
    pub dns_mode: Option<DnsMode>,
    /// What looks names up; by default what the service says.
    #[option(name = "net.dns.resolver")]
    pub dns_resolver: Option<DnsResolver>,
    /// Whether IPv4 addresses are tried first.
    #[option(name = "net.dns.prefer_ipv4", default = "false")]
    pub prefer_ipv4: bool,
    /// Whether IPv6 addresses are tried first.
    #[option(name = "net.dns.prefer_ipv6", default = "false")]
    pub prefer_ipv6: bool,
    /// Whether connections are used again.
    #[option(name = "net.keepalive", default = "true")]
    pub keepalive: bool,
    /// How long an unused connection is kept.
    #[option(name = "net.keepalive_idle_timeout", default = "30s")]
    pub keepalive_idle_timeout: Seconds,
    /// How often a connection is used before it is closed.
    #[option(name = "net.keepalive_max_recycle", default = "2000")]
    pub keepalive_max_recycle: i64,
    /// Whether the system sends TCP keep-alive probes.
    #[option(name = "net.tcp_keepalive", default = "off")]
    pub tcp_keepalive: bool,
    /// Seconds from the last data to the first probe; -1 is the system's default.
    #[option(name = "net.tcp_keepalive_time", default = "-1")]
    pub tcp_keepalive_time: i64,
    /// Seconds between probes; -1 is the system's default.
    #[option(name = "net.tcp_keepalive_interval", default = "-1")]
    pub tcp_keepalive_interval: i64,
    /// Probes without an answer after which the connection is given up; -1 is the system's default.
    #[option(name = "net.tcp_keepalive_probes", default = "-1")]
    pub tcp_keepalive_probes: i64,
    /// How long a connection may take to be made, the TLS handshake included.
    #[option(name = "net.connect_timeout", default = "10s")]
    pub connect_timeout: Seconds,
    /// Whether a connection that took too long is logged as an error.
    #[option(name = "net.connect_timeout_log_error", default = "true")]
    pub connect_timeout_log_error: bool,
    /// How long a connection in use may stay silent; 0 is no limit.
    #[option(name = "net.io_timeout", default = "0s")]
    pub io_timeout: Seconds,
    /// The local address to connect from.
    #[option(name = "net.source_address")]
    pub source_address: Option<String>,
    /// The most connections of one worker; 0 is no limit.
    #[option(name = "net.max_worker_connections", default = "0")]
    pub max_worker_connections: i64,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are ignored.
    #[option(name = "net.proxy_env_ignore", default = "false")]
    pub proxy_env_ignore: bool,
}

/// Connections that the router accepts.
#[derive(Debug, Clone, PartialEq, Options)]
pub struct NetServerOptions {
    /// Whether several sockets may listen on the same port.
    #[option(name = "net.share_port", default = "false")]
    pub share_port: bool,
    /// How many connections may wait to be accepted.
    #[option(name = "net.backlog", default = "128")]
    pub backlog: i64,
    /// How long a connection may stay silent; 0 is no limit.
    #[option(name = "net.io_timeout", default = "0s")]
    pub io_timeout: Seconds,
    /// How long the TLS handshake may take.
    #[option(name = "net.accept_timeout", default = "10s")]
    pub accept_timeout: Seconds,
    /// Whether a handshake that took too long is logged as an error.
    #[option(name = "net.accept_timeout_log_error", default = "true")]
    pub accept_timeout_log_error: bool,
    /// Whether connections stay open for more requests.
    #[option(name = "net.keepalive", default = "true")]
    pub keepalive: bool,
}
