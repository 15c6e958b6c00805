//! Connections that are made anew when they break.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How long a receiver may be away.
const AWAY_MAX: Duration = Duration::from_secs(30);
/// Between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(50);
/// How long an acknowledgement may take.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `HOST:PORT`.
    Tcp(String),
    /// A unix socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Address::Unix(path.into()));
        }
        if text.starts_with('/') {
            return Ok(Address::Unix(text.into()));
        }
        let address = text.strip_prefix("tcp://").unwrap_or(text);
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Address::Tcp(address.to_owned()))
            }
            _ => Err(format!("'{text}' is neither HOST:PORT nor unix:PATH")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => f.write_str(address),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection to an address.
pub struct Socket {
    address: Address,
    stream: Stream,
}

impl Socket {
    /// Connects once.
    pub fn connect(address: Address) -> io::Result<Socket> {
        let stream = match &address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(SILENCE_MAX))?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(SILENCE_MAX))?;
                Stream::Unix(stream)
            }
        };
        Ok(Socket { address, stream })
    }

    /// Makes the connection anew; tries for a while.
    pub fn reconnect(&mut self) -> io::Result<()> {
        let start = Instant::now();
        loop {
            match Socket::connect(self.address.clone()) {
                Ok(new) => {
                    *self = new;
                    return Ok(());
                }
                Err(error) if start.elapsed() > AWAY_MAX => return Err(error),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Sends `bytes`, from their start again over a new connection if this one breaks. How often it broke.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let mut broken = 0;
        while let Err(error) = self.write_all(bytes) {
            broken += 1;
            self.reconnect().map_err(|_| error)?;
        }
        Ok(broken)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, address) in [
            ("127.0.0.1:24224", Address::Tcp("127.0.0.1:24224".into())),
            ("tcp://[::1]:5170", Address::Tcp("[::1]:5170".into())),
            ("unix:/run/f.sock", Address::Unix("/run/f.sock".into())),
            ("unix:///run/f.sock", Address::Unix("/run/f.sock".into())),
            ("/run/f.sock", Address::Unix("/run/f.sock".into())),
        ] {
            assert_eq!(text.parse(), Ok(address), "{text}");
        }
        assert!("24224".parse::<Address>().is_err() && ":24224".parse::<Address>().is_err());
    }
}
