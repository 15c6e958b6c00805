//! TCP connections with Fluent Bit's `net.*` options.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

/// Fluent Bit's `net.*` options for a client; the defaults are its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetOptions {
    /// `net.connect_timeout`: the longest wait for a connection, name look-up and TLS handshake included.
    /// Zero is the system's own patience.
    pub connect_timeout: Duration,
    /// `net.io_timeout`: the longest time without a byte in either direction while an answer is awaited. Zero, the
    /// default, is "off" in Fluent Bit and 60 s here (the read timeout of AWS's own tools): a request that nobody
    /// answers must not hold its records for ever.
    pub io_timeout: Duration,
    /// `net.keepalive`: whether connections are used again.
    pub keepalive: bool,
    /// `net.keepalive_idle_timeout`: how long an unused connection is kept.
    pub keepalive_idle_timeout: Duration,
    /// `net.keepalive_max_recycle`: how often a connection is used again; zero is without limit.
    pub keepalive_max_recycle: u32,
    /// `net.tcp_keepalive` with `net.tcp_keepalive_time`, `_interval` and `_probes`.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// `net.dns.prefer_ipv4` and `net.dns.prefer_ipv6`: which addresses of a name come first.
    pub prefer: Option<AddressFamily>,
    /// `net.source_address`: the address to connect from.
    pub source_address: Option<IpAddr>,
    /// `net.proxy_env_ignore`: whether `HTTP_PROXY` is passed over.
    pub proxy_env_ignore: bool,
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            io_timeout: Duration::ZERO,
            keepalive: true,
            keepalive_idle_timeout: Duration::from_secs(30),
            keepalive_max_recycle: 2000,
            tcp_keepalive: None,
            prefer: None,
            source_address: None,
            proxy_env_ignore: false,
        }
    }
}

/// The kernel's probing of silent connections; what is `None` stays as the system has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Silence before the first probe.
    pub time: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Unanswered probes after which the connection is dead.
    pub probes: Option<u32>,
}

/// One of the two kinds of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// Stands in for a `net.connect_timeout` of zero; Linux gives up on an address after about two minutes.
const CONNECT_MAX: Duration = Duration::from_secs(300);

impl NetOptions {
    /// The connect timeout in force.
    pub(crate) fn connect_max(&self) -> Duration {
        if self.connect_timeout.is_zero() {
            CONNECT_MAX
        } else {
            self.connect_timeout
        }
    }
}

/// Connects to the first address of the host that answers. Each address gets an equal share of the time that is left,
/// so that a dead first one does not use up the time of the others.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    options: &NetOptions,
    deadline: Instant,
) -> io::Result<TcpStream> {
    let addresses = resolve(host, port, options, deadline).await?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (at, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        match in_time(
            connect_to(*address, options),
            options,
            Instant::now() + share,
        )
        .await
        {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The result of some part of connecting, or the error that the time for the whole is over.
pub(crate) async fn in_time<T>(
    work: impl Future<Output = io::Result<T>>,
    options: &NetOptions,
    deadline: Instant,
) -> io::Result<T> {
    timeout_at(deadline, work)
        .await
        .unwrap_or_else(|_| Err(timed_out(options)))
}

fn timed_out(options: &NetOptions) -> io::Error {
    let text = format!(
        "not done within {:?} (net.connect_timeout)",
        options.connect_max()
    );
    io::Error::new(io::ErrorKind::TimedOut, text)
}

async fn resolve(
    host: &str,
    port: u16,
    options: &NetOptions,
    deadline: Instant,
) -> io::Result<Vec<SocketAddr>> {
    let found = in_time(tokio::net::lookup_host((host, port)), options, deadline).await?;
    let mut addresses: Vec<_> = found.collect();
    if let Some(source) = options.source_address {
        addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
    }
    match options.prefer {
        Some(AddressFamily::Ipv4) => addresses.sort_by_key(SocketAddr::is_ipv6),
        Some(AddressFamily::Ipv6) => addresses.sort_by_key(SocketAddr::is_ipv4),
        None => {}
    }
    Ok(addresses)
}

async fn connect_to(address: SocketAddr, options: &NetOptions) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    if let Some(source) = options.source_address {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    if let Some(keepalive) = options.tcp_keepalive {
        socket.set_keepalive(true)?;
        keepalive.apply(&socket)?;
    }
    socket.connect(address).await
}

impl TcpKeepalive {
    fn apply(&self, socket: &TcpSocket) -> io::Result<()> {
        if let Some(time) = self.time {
            sockopt::set_tcp_keepidle(socket, time)?;
        }
        if let Some(interval) = self.interval {
            sockopt::set_tcp_keepintvl(socket, interval)?;
        }
        if let Some(probes) = self.probes {
            sockopt::set_tcp_keepcnt(socket, probes)?;
        }
        Ok(())
    }
}
