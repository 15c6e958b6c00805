//! Open connections that go on in the next instance: their descriptors, and what was read of a record whose rest has not
//! come yet.
//!
//! Nothing is told to the senders, and nothing that they wrote is lost: what is not read waits in the socket.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use plugin::{Handover, Shard};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

use super::socket::Plain;

/// What the connections of a handover are named, by their kind. The others are sockets that listen.
const TCP: &str = "connection tcp";
const UNIX: &str = "connection unix";
/// The form of the state: this byte, then for each connection a length in four bytes, little-endian, and so many bytes.
const VERSION: u8 = 1;
/// How long connections have to come to a place where they can go on elsewhere: those that wait for memory in the middle
/// of a record cannot at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection of the instance before.
pub struct Passed {
    /// The connection.
    pub plain: Plain,
    /// What was read of it and belongs to a record that is not whole.
    pub rest: BytesMut,
}

/// The connections of an instance that ends, on their way to the next one.
#[derive(Default)]
pub struct PassedOn {
    /// Connections that may still read.
    reading: Cell<usize>,
    changed: Notify,
    /// `None` once they are on their way.
    connections: RefCell<Option<Vec<(&'static str, OwnedFd, BytesMut)>>>,
}

/// A connection that may read, until it is dropped.
pub struct Reading(Rc<PassedOn>);

impl PassedOn {
    /// Nothing has come yet.
    pub fn new() -> Rc<PassedOn> {
        Rc::new(PassedOn {
            connections: RefCell::new(Some(Vec::new())),
            ..PassedOn::default()
        })
    }

    /// Counts a connection that reads from now on.
    pub fn reading(self: &Rc<PassedOn>) -> Reading {
        self.reading.set(self.reading.get() + 1);
        Reading(Rc::clone(self))
    }

    /// Adds to `handover`, which has no state, what connections have passed on; waits until those that read have done so.
    pub async fn hand_over(&self, handover: &mut Handover) {
        let all = async {
            while self.reading.get() > 0 {
                self.changed.notified().await;
            }
        };
        // The others end as if nobody came after.
        let _ = tokio::time::timeout(PATIENCE, all).await;
        let connections = self.connections.take().unwrap_or_default();
        if connections.is_empty() {
            return;
        }
        handover.state.push(VERSION);
        for (name, descriptor, rest) in connections {
            handover.state.extend((rest.len() as u32).to_le_bytes());
            handover.state.extend_from_slice(&rest);
            handover.descriptors.push((name.to_owned(), descriptor));
        }
    }
}

impl Reading {
    /// Passes the connection behind `descriptor` on with the `rest` of what was read. Returns whether it could be: if not,
    /// the next instance has started without it.
    pub fn pass_on(&self, descriptor: OwnedFd, is_unix: bool, rest: &BytesMut) -> bool {
        let name = if is_unix { UNIX } else { TCP };
        match &mut *self.0.connections.borrow_mut() {
            Some(connections) if u32::try_from(rest.len()).is_ok() => {
                connections.push((name, descriptor, rest.clone()));
                true
            }
            _ => false,
        }
    }

    /// Whether the next instance still waits for connections.
    pub fn is_waited_for(&self) -> bool {
        self.0.connections.borrow().is_some()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.reading.set(self.0.reading.get() - 1);
        self.0.changed.notify_one();
    }
}

/// The same out of everything that a shard gets: the connections of its own, and for the first one those of shards that are
/// no more.
pub fn take_all(handover: &mut Handover, shard: Shard) -> Vec<Passed> {
    let mut passed = take(handover);
    for (number, given) in &mut handover.of_others {
        let of_other = take(given);
        if shard.index == 0 && *number >= shard.count {
            passed.extend(of_other);
        }
    }
    passed
}

/// Takes the connections out of `handover`. What cannot be understood is closed: its sender connects again.
pub fn take(handover: &mut Handover) -> Vec<Passed> {
    let is_connection = |name: &str| name == TCP || name == UNIX;
    let all = std::mem::take(&mut handover.descriptors).into_iter();
    let (connections, others): (Vec<_>, Vec<_>) = all.partition(|(name, _)| is_connection(name));
    handover.descriptors = others;
    let mut state = &*std::mem::take(&mut handover.state);
    if connections.is_empty() || state.try_get_u8() != Ok(VERSION) {
        return Vec::new();
    }
    let mut passed = Vec::with_capacity(connections.len());
    for (name, descriptor) in connections {
        let Some(rest) = rest(&mut state) else {
            break;
        };
        if let Ok(plain) = plain(&name, descriptor) {
            passed.push(Passed { plain, rest });
        }
    }
    passed
}

fn rest(state: &mut &[u8]) -> Option<BytesMut> {
    let len = usize::try_from(state.try_get_u32_le().ok()?).ok()?;
    Some(BytesMut::from(state.split_off(..len)?))
}

fn plain(name: &str, descriptor: OwnedFd) -> std::io::Result<Plain> {
    if name == UNIX {
        let stream = std::os::unix::net::UnixStream::from(descriptor);
        stream.set_nonblocking(true)?;
        return Ok(Plain::Unix(UnixStream::from_std(stream)?));
    }
    let stream = std::net::TcpStream::from(descriptor);
    stream.set_nonblocking(true)?;
    let peer = stream.peer_addr()?;
    Ok(Plain::Tcp(TcpStream::from_std(stream)?, peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_passed_on_is_taken() {
        let passed_on = PassedOn::new();
        let (one, _sender) = UnixStream::pair().expect("a pair");
        let descriptor = || OwnedFd::from(one.into_std().expect("a socket"));
        let (reading, silent) = (passed_on.reading(), passed_on.reading());
        assert!(reading.pass_on(descriptor(), true, &BytesMut::from("half")));
        let mut handover = Handover::default();
        let give = async {
            passed_on.hand_over(&mut handover).await;
        };
        tokio::join!(give, async { drop((reading, silent)) });
        assert!(!passed_on.reading().is_waited_for());
        let mut cut_off = handover.state.clone();
        cut_off.pop();
        let taken = take(&mut handover);
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].rest, "half");
        assert!(matches!(taken[0].plain, Plain::Unix(_)));
        let mut rest = &cut_off[1..];
        assert_eq!(super::rest(&mut rest), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_come_in_time_stays() {
        let passed_on = PassedOn::new();
        let reading = passed_on.reading();
        let mut handover = Handover::default();
        passed_on.hand_over(&mut handover).await;
        assert!(handover.descriptors.is_empty() && handover.state.is_empty());
        let (one, _sender) = UnixStream::pair().expect("a pair");
        let descriptor = OwnedFd::from(one.into_std().expect("a socket"));
        assert!(!reading.pass_on(descriptor, true, &BytesMut::new()));
    }
}
