//! The socket that senders connect to.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use plugin::{BuildError, Handover, InputContext};
use rustix::net::sockopt;
use tokio::net::{TcpStream, UnixStream};

use super::shards::{self, Share};

/// What the sockets of a handover are named after: followed by where they listen if an instance gave them up, alone if a
/// supervisor (systemd) opened them, whatever the options say.
const SOCKET: &str = "listener";

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Address and port.
    Tcp(String, u16),
    /// A path, and the permissions that the socket gets.
    Unix(PathBuf, Option<u32>),
}

/// A listening socket.
pub struct Socket {
    kind: Kind,
    /// What it is called in a handover.
    name: String,
}

enum Kind {
    Tcp(tokio::net::TcpListener, SocketAddr),
    Unix(tokio::net::UnixListener, PathBuf),
}

/// A connection that was accepted.
pub enum Plain {
    /// Over TCP, and from where.
    Tcp(TcpStream, SocketAddr),
    /// Over a unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Listens at `place`, or takes over the socket that the instance before gave up, if it listened there.
    /// In a router with several shards they share it; what the other shards of the process before gave up is good, too.
    pub fn bind(
        place: &Place,
        handover: Handover,
        context: &InputContext,
    ) -> Result<(Socket, Option<Share>), BuildError> {
        let name = format!("{SOCKET} {place}");
        let others = handover.of_others.into_iter();
        let others = others.flat_map(|(_, given)| given.descriptors);
        let mut all = handover.descriptors.into_iter().chain(others);
        let inherited = all
            .find(|(known, _)| *known == name || known == SOCKET)
            .map(|(_, socket)| socket);
        let bound = match context.shard.has_others() {
            false => bound(place, inherited).map(|socket| (socket, None)),
            true => {
                let name = format!("{} {place}", context.name);
                let joined = shards::join(name, context.shard, || bound(place, inherited));
                joined.map(|(socket, share)| (socket, Some(share)))
            }
        };
        let socket = bound.and_then(|(socket, share)| {
            let kind = Kind::of(place, socket)?;
            Ok((Socket { kind, name }, share))
        });
        socket.map_err(|error| BuildError(format!("cannot listen on {place}: {error}")))
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<Plain> {
        Ok(match &self.kind {
            Kind::Tcp(listener, _) => {
                let (stream, peer) = listener.accept().await?;
                keep_alive(&stream);
                Plain::Tcp(stream, peer)
            }
            Kind::Unix(listener, _) => Plain::Unix(listener.accept().await?.0),
        })
    }

    /// Gives the socket up. Connections that nobody accepted yet wait in it; a unix socket keeps its path.
    pub fn into_handover(self) -> Handover {
        let socket = match self.kind {
            Kind::Tcp(listener, _) => listener.into_std().map(OwnedFd::from),
            Kind::Unix(listener, _) => listener.into_std().map(OwnedFd::from),
        };
        Handover {
            descriptors: socket
                .into_iter()
                .map(|socket| (self.name.clone(), socket))
                .collect(),
            ..Handover::default()
        }
    }

    /// The TCP address, with the port that was chosen.
    #[cfg(test)]
    pub fn local_addr(&self) -> SocketAddr {
        match self.kind {
            Kind::Tcp(_, address) => address,
            Kind::Unix(..) => panic!("a unix socket"),
        }
    }

    /// Whether other machines can reach it.
    pub fn is_exposed(&self) -> bool {
        matches!(self.kind, Kind::Tcp(_, address) if !address.ip().is_loopback())
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Tcp(_, address) => address.fmt(f),
            Kind::Unix(_, path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address, port) => write!(f, "{address}:{port}"),
            Place::Unix(path, _) => write!(f, "unix_path {}", path.display()),
        }
    }
}

/// The socket that was inherited, or a new one.
fn bound(place: &Place, inherited: Option<OwnedFd>) -> io::Result<OwnedFd> {
    let socket = match (inherited, place) {
        (Some(socket), _) => socket,
        (None, Place::Tcp(address, port)) => {
            std::net::TcpListener::bind(format!("{address}:{port}"))?.into()
        }
        (None, Place::Unix(path, _)) => {
            remove_old_socket(path)?;
            std::os::unix::net::UnixListener::bind(path)?.into()
        }
    };
    if let Place::Unix(path, Some(mode)) = place {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))?;
    }
    Ok(socket)
}

impl Kind {
    fn of(place: &Place, socket: OwnedFd) -> io::Result<Kind> {
        match place {
            Place::Tcp(..) => {
                let listener = std::net::TcpListener::from(socket);
                listener.set_nonblocking(true)?;
                let bound = listener.local_addr()?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                Ok(Kind::Tcp(listener, bound))
            }
            Place::Unix(path, _) => {
                let listener = std::os::unix::net::UnixListener::from(socket);
                listener.set_nonblocking(true)?;
                let listener = tokio::net::UnixListener::from_std(listener)?;
                Ok(Kind::Unix(listener, path.clone()))
            }
        }
    }
}

/// A socket that a process before left behind is in the way; anything else at that path is not ours to remove.
fn remove_old_socket(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is something that is not a socket",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => folder_exists(path),
        Err(error) => Err(error),
    }
}

fn folder_exists(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") && !folder.is_dir() => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no folder {}", folder.display()),
        )),
        _ => Ok(()),
    }
}

/// Lets the kernel find out within minutes that a machine at the other end is gone, instead of keeping its connection
/// for ever.
fn keep_alive(stream: &TcpStream) {
    const IDLE: std::time::Duration = std::time::Duration::from_secs(60);
    const INTERVAL: std::time::Duration = std::time::Duration::from_secs(15);
    const PROBES: u32 = 4;
    let socket = stream.as_fd();
    // A socket without it works, too.
    let _ = sockopt::set_socket_keepalive(socket, true)
        .and_then(|()| sockopt::set_tcp_keepidle(socket, IDLE))
        .and_then(|()| sockopt::set_tcp_keepintvl(socket, INTERVAL))
        .and_then(|()| sockopt::set_tcp_keepcnt(socket, PROBES));
}
