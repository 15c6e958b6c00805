//! Ports for programs that are told where to listen before they run.

use std::io;
use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that Linux gives to connections, and to whoever asks for any port (`ip_local_port_range`, 32768 and up): one of
/// these could be gone before the program listens.
const FIRST: u16 = 12_000;
const COUNT: u16 = 12_000;

/// Where this process goes on. Processes begin at different places, so that they rarely look at the same ones.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(fastrand::u16(..COUNT)));

/// A TCP port of the loopback address that nobody listens on at this moment, and that nobody gets who asks for any. A process
/// is not given the same twice in a row of thousands.
///
/// # Errors
/// When none can be listened on.
pub fn free_port() -> io::Result<u16> {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = (0..COUNT).map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT);
    match ports.find(is_free) {
        Some(port) => Ok(port),
        None => Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_and_given_once() {
        let first = free_port().expect("a port");
        let _taken = TcpListener::bind(("127.0.0.1", first)).expect("it is free");
        let others: Vec<u16> = (0..100).map(|_| free_port().expect("a port")).collect();
        assert!(!others.contains(&first));
        let range = FIRST..FIRST + COUNT;
        assert!(others.iter().all(|port| range.contains(port)));
        // What is taken is passed over, also when its turn comes again.
        NEXT.store(first - FIRST, Ordering::Relaxed);
        assert_ne!(free_port().expect("a port"), first);
    }
}
