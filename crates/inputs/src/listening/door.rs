//! Who comes in: accepting, TLS, and an end to that when there is no room or no descriptor.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use config::TlsOptions;
use plugin::{BuildError, Counter, Handover, InputContext, Log};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::notices::Notices;
use super::passed_on::{self, Passed};
use super::seats::{Seat, Seats};
use super::shards::Share;
use super::socket::{Place, Plain, Socket};
use super::stream::Stream;
use super::tls;

/// How long nothing is accepted after an attempt failed, at first and at most: the reason, no descriptor left mostly,
/// does not go at once.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long a handshake may take.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// How many handshakes may be under way: they hold memory before anybody has shown who they are.
const HANDSHAKES_MAX: usize = 128;
/// What one listener may take of the descriptors that the process may have open.
const SHARE_OF_DESCRIPTORS: u64 = 2;
/// The most connections of one listener, however many descriptors there are.
const CONNECTIONS_MAX: usize = 16_384;

/// A listening socket and what stands behind it.
pub struct Door {
    socket: Socket,
    /// Its part in it, if several shards accept.
    share: Option<Share>,
    /// Connections of the instance before, which come in first.
    passed: RefCell<VecDeque<Passed>>,
    tls: Option<TlsAcceptor>,
    seats: Seats,
    /// How many shards share the places.
    shards: usize,
    handshakes: Rc<Seats>,
    notices: Rc<Notices>,
    turned_away: Counter,
    /// Until when nothing is accepted, and how long the last pause was.
    pause: Cell<Option<(Instant, Duration)>>,
}

/// A connection that was accepted and may have to be encrypted still.
pub struct Arrival {
    plain: Plain,
    tls: Option<TlsAcceptor>,
    handshakes: Rc<Seats>,
    seat: Seat,
    /// What the instance before has read of it and left; none if it is a new one.
    rest: Option<BytesMut>,
}

/// A connection that can be read from.
pub struct Guest {
    /// The connection.
    pub stream: Stream,
    /// From where; nothing on a unix socket.
    pub peer: Option<SocketAddr>,
    /// Its place.
    pub seat: Seat,
    /// What the instance before has read of it and left.
    pub rest: BytesMut,
}

impl Door {
    /// Listens at `place`; `protocols` are offered over TLS.
    ///
    /// # Errors
    /// When that is not possible, or not as protected as `options` say.
    pub fn open(
        place: &Place,
        options: &TlsOptions,
        protocols: &[&[u8]],
        context: &InputContext,
        mut handover: Handover,
    ) -> Result<Door, BuildError> {
        let tls = tls::acceptor(options, protocols, &context.log)?;
        let passed = passed_on::take_all(&mut handover, context.shard).into();
        let (socket, share) = Socket::bind(place, handover, context)?;
        context.log.info(format_args!("listening on {socket}"));
        Ok(Door {
            socket,
            share,
            passed: RefCell::new(passed),
            tls,
            seats: Seats::new(connections_max().div_ceil(context.shard.count)),
            shards: context.shard.count,
            handshakes: Rc::new(Seats::new(HANDSHAKES_MAX)),
            notices: Rc::new(Notices::new(&context.log)),
            turned_away: context.metrics.counter(
                "connections_turned_away_total",
                "Connections that were closed at once, because there was no place for one more.",
            ),
            pause: Cell::new(None),
        })
    }

    /// At most `limit` connections at once, if that is fewer.
    pub fn with_limit(mut self, limit: usize) -> Door {
        let limit = limit.min(connections_max()).div_ceil(self.shards);
        self.seats = Seats::new(limit);
        self
    }

    /// Where messages about connections go.
    pub fn notices(&self) -> Rc<Notices> {
        Rc::clone(&self.notices)
    }

    /// Whether other machines can reach it.
    pub fn is_exposed(&self) -> bool {
        self.socket.is_exposed()
    }

    /// Where it listens on TCP.
    #[cfg(test)]
    pub fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// The next connection. May be cancelled: a pause goes on afterwards.
    pub async fn accept(&self) -> Arrival {
        if let Some(share) = &self.share {
            share.begin();
        }
        while let Some(passed) = self.next_passed() {
            match self.admit(passed.plain, Some(passed.rest)) {
                Some(arrival) => return arrival,
                None => continue,
            }
        }
        loop {
            if let Some((until, _)) = self.pause.get() {
                sleep_until(until).await;
            }
            let plain = match self.next_new().await {
                Ok(plain) => plain,
                Err(error) => {
                    self.take_pause(&error);
                    continue;
                }
            };
            self.pause.set(None);
            if let Some(arrival) = self.admit(plain, None) {
                return arrival;
            }
        }
    }

    /// The next connection that comes in, if it is this shard's turn.
    async fn next_new(&self) -> io::Result<Plain> {
        let Some(share) = &self.share else {
            return self.socket.accept().await;
        };
        loop {
            share.turn().await;
            tokio::select! {
                biased;
                accepted = self.socket.accept() => return accepted,
                () = share.end_of_turn() => {}
            }
        }
    }

    /// The next connection of the instance before.
    fn next_passed(&self) -> Option<Passed> {
        self.passed.borrow_mut().pop_front()
    }

    /// Gives a connection its place, if there is one.
    fn admit(&self, plain: Plain, rest: Option<BytesMut>) -> Option<Arrival> {
        let Some(seat) = self.seats.take() else {
            self.turned_away.add(1);
            self.notices
                .warn(format_args!("a connection is turned away: there are as many as there may be, and all wait for the router"));
            return None;
        };
        let counted = self.share.as_ref().map(Share::count);
        let seat = seat.counted(counted);
        Some(Arrival {
            plain,
            tls: self.tls.clone(),
            handshakes: Rc::clone(&self.handshakes),
            seat,
            rest,
        })
    }

    /// Gives the socket up for the next start.
    pub fn into_handover(self) -> Handover {
        self.socket.into_handover()
    }

    /// Waits before the next attempt, unless it was only that connection which failed.
    fn take_pause(&self, error: &io::Error) {
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        ) {
            return;
        }
        self.notices
            .warn(format_args!("cannot accept a connection: {error}"));
        // A descriptor that a silent connection holds is better used by the next one.
        self.seats.free_one();
        let (first, most) = PAUSE;
        let pause = self
            .pause
            .get()
            .map_or(first, |(_, last)| (last * 2).min(most));
        self.pause.set(Some((Instant::now() + pause, pause)));
    }
}

impl Arrival {
    /// Whether it comes from the instance before, which let it in.
    pub fn is_passed(&self) -> bool {
        self.rest.is_some()
    }

    /// Encrypts the connection, if it must be. What is wrong is said in the error.
    pub async fn enter(self) -> Result<Guest, String> {
        let Arrival {
            plain,
            tls,
            handshakes,
            seat,
            rest,
        } = self;
        if rest.is_some() && tls.is_some() {
            return Err("it is not encrypted, and must be from now on".to_owned());
        }
        let peer = match &plain {
            Plain::Tcp(_, peer) => Some(*peer),
            Plain::Unix(_) => None,
        };
        let stream = match tls {
            None => Stream::from(plain),
            Some(tls) => shake_hands(plain, &tls, &handshakes, &seat).await?,
        };
        Ok(Guest {
            stream,
            peer,
            seat,
            rest: rest.unwrap_or_default(),
        })
    }
}

async fn shake_hands(
    plain: Plain,
    tls: &TlsAcceptor,
    handshakes: &Seats,
    seat: &Seat,
) -> Result<Stream, String> {
    let place = handshakes
        .take()
        .ok_or("too many handshakes are under way")?;
    tokio::select! {
        outcome = timeout(HANDSHAKE_PATIENCE, tls.accept(plain.into())) => match outcome {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(format!("the TLS handshake failed: {error}")),
            Err(_) => Err("the TLS handshake took too long".to_owned()),
        },
        () = place.must_leave() => Err("the TLS handshake gives way to others".to_owned()),
        () = seat.must_leave() => Err("the TLS handshake gives way to others".to_owned()),
    }
}

/// Says once how to protect a listener that anybody on the network may send to.
pub fn note_exposed(log: &Log, how: &str) {
    log.info(format_args!(
        "whoever reaches this address over the network can send records: {how}"
    ));
}

/// How many connections a listener may have: its share of the descriptors.
fn connections_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let share = limit
        .current
        .map_or(CONNECTIONS_MAX as u64, |all| all / SHARE_OF_DESCRIPTORS);
    usize::try_from(share).map_or(CONNECTIONS_MAX, |share| share.clamp(16, CONNECTIONS_MAX))
}
