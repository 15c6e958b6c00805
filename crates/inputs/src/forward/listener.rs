//! The socket that senders connect to.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::{BufMut, BytesMut};
use plugin::{BuildError, Handover};
use rustix::net::Shutdown;
use tokio::net::{TcpStream, UnixStream};

use super::ForwardOptions;

/// The name of the socket in a handover.
const SOCKET: &str = "listener";

/// A connection of either kind.
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Waits until a read would not have to wait.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.readable().await,
            Stream::Unix(stream) => stream.readable().await,
        }
    }

    /// Appends at most `size` bytes to `buffer`, without waiting; 0 is the end.
    pub fn try_read(&self, buffer: &mut BytesMut, size: usize) -> io::Result<usize> {
        let mut part = buffer.limit(size);
        match self {
            Stream::Tcp(stream) => stream.try_read_buf(&mut part),
            Stream::Unix(stream) => stream.try_read_buf(&mut part),
        }
    }

    /// Sends `bytes`.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Stream::Tcp(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
                Stream::Unix(stream) => {
                    stream.writable().await?;
                    stream.try_write(bytes)
                }
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends the way in: a sender on a unix socket gets an error from now on, and what was sent before can be read to its
    /// end. Over TCP the sender learns it when the connection is closed.
    pub fn refuse_more(&self) {
        let socket = match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        };
        // It fails when the sender is gone already; then there is nothing to end.
        let _ = rustix::net::shutdown(socket, Shutdown::Read);
    }
}

/// A listening socket.
pub enum Listener {
    /// TCP, and where it listens.
    Tcp(tokio::net::TcpListener, String),
    /// A unix socket and its path.
    Unix(tokio::net::UnixListener, PathBuf),
}

impl Listener {
    /// Listens as the options say, or takes over the socket that the instance before gave up.
    pub fn bind(options: &ForwardOptions, handover: Handover) -> Result<Listener, BuildError> {
        let inherited = handover
            .descriptors
            .into_iter()
            .find(|(name, _)| name == SOCKET)
            .map(|(_, socket)| socket);
        match &options.unix_path {
            Some(path) => Listener::unix(path, options, inherited).map_err(|error| {
                BuildError(format!(
                    "cannot listen on unix_path {}: {error}",
                    path.display()
                ))
            }),
            None => {
                let address = format!("{}:{}", options.listen, options.port);
                Listener::tcp(&address, inherited)
                    .map_err(|error| BuildError(format!("cannot listen on {address}: {error}")))
            }
        }
    }

    fn tcp(address: &str, inherited: Option<OwnedFd>) -> io::Result<Listener> {
        let listener = match inherited {
            Some(socket) => std::net::TcpListener::from(socket),
            None => std::net::TcpListener::bind(address)?,
        };
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        Ok(Listener::Tcp(
            tokio::net::TcpListener::from_std(listener)?,
            address,
        ))
    }

    fn unix(
        path: &Path,
        options: &ForwardOptions,
        inherited: Option<OwnedFd>,
    ) -> io::Result<Listener> {
        let listener = match inherited {
            Some(socket) => std::os::unix::net::UnixListener::from(socket),
            None => {
                remove_old_socket(path)?;
                std::os::unix::net::UnixListener::bind(path)?
            }
        };
        if let Some(mode) = options.unix_perm {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode.0))?;
        }
        listener.set_nonblocking(true)?;
        Ok(Listener::Unix(
            tokio::net::UnixListener::from_std(listener)?,
            path.to_owned(),
        ))
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Listener::Tcp(listener, _) => Stream::Tcp(listener.accept().await?.0),
            Listener::Unix(listener, _) => Stream::Unix(listener.accept().await?.0),
        })
    }

    /// Gives the socket up. Connections that nobody accepted yet wait in it.
    pub fn into_handover(self) -> Handover {
        let socket = match self {
            Listener::Tcp(listener, _) => listener.into_std().map(OwnedFd::from),
            Listener::Unix(listener, _) => listener.into_std().map(OwnedFd::from),
        };
        Handover {
            descriptors: socket
                .into_iter()
                .map(|socket| (SOCKET.to_owned(), socket))
                .collect(),
            state: Vec::new(),
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

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Tcp(_, address) => f.write_str(address),
            Listener::Unix(_, path) => write!(f, "unix://{}", path.display()),
        }
    }
}
