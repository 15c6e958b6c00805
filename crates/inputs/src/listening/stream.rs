//! A connection of any kind: TCP, a unix socket, TLS.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use rustix::net::Shutdown;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::socket::Plain;

/// How long an answer may wait until its receiver takes it.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// A connection, encrypted or not, through which bytes can be read.
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
    /// Over TLS, whose handshake is done.
    Tls(Box<TlsStream<Socket>>),
}

/// What TLS runs over.
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl From<Plain> for Stream {
    fn from(plain: Plain) -> Stream {
        match plain {
            Plain::Tcp(stream, _) => Stream::Tcp(stream),
            Plain::Unix(stream) => Stream::Unix(stream),
        }
    }
}

impl From<Plain> for Socket {
    fn from(plain: Plain) -> Socket {
        match plain {
            Plain::Tcp(stream, _) => Socket::Tcp(stream),
            Plain::Unix(stream) => Socket::Unix(stream),
        }
    }
}

impl Stream {
    /// Waits until a read would not have to wait. May be cancelled.
    pub async fn readable(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.readable().await,
            Stream::Unix(stream) => stream.readable().await,
            // What is decrypted stays in the session until it is taken.
            Stream::Tls(stream) => {
                let ready = std::future::poll_fn(|context| {
                    let filled = Pin::new(&mut **stream).poll_fill_buf(context);
                    filled.map(|outcome| outcome.map(|_| ()))
                });
                ready.await.or_else(end_without_notice)
            }
        }
    }

    /// Appends at most `size` bytes to `buffer`, without waiting; 0 is the end.
    pub fn try_read(&mut self, buffer: &mut BytesMut, size: usize) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.try_read_buf(&mut buffer.limit(size)),
            Stream::Unix(stream) => stream.try_read_buf(&mut buffer.limit(size)),
            Stream::Tls(stream) => decrypted(stream, buffer, size),
        }
    }

    /// Sends `bytes`. A receiver that does not take them in time is an error: nobody may hold a connection up by not
    /// reading.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = async {
            match self {
                Stream::Tcp(stream) => stream.write_all(bytes).await,
                Stream::Unix(stream) => stream.write_all(bytes).await,
                Stream::Tls(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
            }
        };
        match tokio::time::timeout(WRITE_PATIENCE, sent).await {
            Ok(outcome) => outcome,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the sender does not read its answers",
            )),
        }
    }

    /// A second descriptor of the connection, and whether it is a unix socket; none if it is encrypted, or the system has no
    /// more descriptors.
    pub fn duplicate(&self) -> Option<(OwnedFd, bool)> {
        let (socket, is_unix) = match self {
            Stream::Tcp(stream) => (stream.as_fd(), false),
            Stream::Unix(stream) => (stream.as_fd(), true),
            Stream::Tls(_) => return None,
        };
        Some((socket.try_clone_to_owned().ok()?, is_unix))
    }

    /// Ends both ways, whoever else has the connection.
    pub fn end(&self) {
        // It fails when the sender is gone already.
        let _ = match self {
            Stream::Tcp(stream) => rustix::net::shutdown(stream.as_fd(), Shutdown::Both),
            Stream::Unix(stream) => rustix::net::shutdown(stream.as_fd(), Shutdown::Both),
            Stream::Tls(_) => Ok(()),
        };
    }

    /// How many bytes have arrived and are not read; none if only reading to the end will tell: then the way in is ended.
    pub fn arrived(&self) -> io::Result<Option<u64>> {
        match self {
            Stream::Tcp(stream) => Ok(Some(rustix::io::ioctl_fionread(stream)?)),
            Stream::Unix(stream) => Ok(Some(rustix::io::ioctl_fionread(stream)?)),
            Stream::Tls(_) => {
                self.refuse_more();
                Ok(None)
            }
        }
    }

    /// Ends the way in: a sender on a unix socket gets an error from now on, and what was sent before can be read to its
    /// end. Over TCP the sender learns it when the connection is closed.
    pub fn refuse_more(&self) {
        // It fails when the sender is gone already; then there is nothing to end.
        let _ = match self {
            Stream::Tcp(stream) => rustix::net::shutdown(stream.as_fd(), Shutdown::Read),
            Stream::Unix(stream) => rustix::net::shutdown(stream.as_fd(), Shutdown::Read),
            Stream::Tls(stream) => match stream.get_ref().0 {
                Socket::Tcp(stream) => rustix::net::shutdown(stream.as_fd(), Shutdown::Read),
                Socket::Unix(stream) => rustix::net::shutdown(stream.as_fd(), Shutdown::Read),
            },
        };
    }
}

/// Takes what is decrypted already, and decrypts what has arrived.
fn decrypted(
    stream: &mut TlsStream<Socket>,
    buffer: &mut BytesMut,
    size: usize,
) -> io::Result<usize> {
    // Whoever waits says so with `readable`.
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(&mut *stream).poll_fill_buf(&mut context) {
        Poll::Ready(Ok(bytes)) => {
            let mut part = bytes.take(size);
            let taken = part.remaining();
            buffer.put(&mut part);
            Pin::new(stream).consume(taken);
            Ok(taken)
        }
        Poll::Ready(Err(error)) => end_without_notice(error).map(|()| 0),
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Many senders just close. What they sent shows by itself whether it is whole.
fn end_without_notice(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Ok(()),
        _ => Err(error),
    }
}

macro_rules! either {
    ($self:ident, $($kind:ident)|+, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            $(Self::$kind($stream) => { let $stream = Pin::new($stream); $call })+
        }
    };
}

macro_rules! both_ways {
    ($name:ident, $($kind:ident)|+) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                either!(self, $($kind)|+, stream => stream.poll_read(context, buffer))
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                either!(self, $($kind)|+, stream => stream.poll_write(context, bytes))
            }

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                either!(self, $($kind)|+, stream => stream.poll_flush(context))
            }

            fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                either!(self, $($kind)|+, stream => stream.poll_shutdown(context))
            }
        }
    };
}

both_ways!(Socket, Tcp | Unix);
both_ways!(Stream, Tcp | Unix | Tls);
