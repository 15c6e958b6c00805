//! One sender: bytes in, batches out, and an end that leaves nothing behind.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use plugin::{Emitter, Stop};
use tokio::sync::Notify;

use super::{Framing, Instance};
use crate::gate::{Need, Room};
use crate::listening::door::{Arrival, Guest};
use crate::listening::pace::Pace;
use crate::listening::passed_on::Reading;
use crate::listening::seats::Seat;
use crate::listening::stream::Stream;
use crate::numbered::Numbered;

/// The least and the most that is read at once.
const READ_MIN: usize = 16 << 10;
const READ_MAX: usize = 256 << 10;

/// How a connection learns that its instance ends, and what becomes of it then.
pub struct End {
    /// Nothing is read after it.
    pub stop: Stop,
    /// The way to the next instance.
    pub reading: Reading,
}

/// Lets a sender in, and receives until it is done or must go.
pub async fn serve(arrival: Arrival, instance: Rc<Instance>, emitter: Emitter, end: End) {
    let entered = tokio::select! {
        biased;
        entered = arrival.enter() => entered,
        () = end.stop.requested() => return,
    };
    match entered {
        Ok(guest) => Connection::new(guest, instance, emitter).run(end).await,
        Err(reason) => {
            instance.counters.turned_down.add(1);
            instance
                .notices
                .warn(format_args!("a connection is closed: {reason}"));
        }
    }
}

/// A connection.
struct Connection {
    stream: Stream,
    seat: Seat,
    pace: Pace,
    instance: Rc<Instance>,
    emitter: Emitter,
    framing: Framing,
    source: Source,
    /// What was read and is no whole record yet.
    buffer: BytesMut,
    /// How much the next read asks for.
    read_size: usize,
    room: Room,
    owed: Owed,
}

/// What every record of a connection says about its origin, if it is asked for.
pub struct Source {
    /// The key, and `tcp://ADDRESS:PORT`.
    pub field: Option<(String, String)>,
}

/// What is still to be answered for.
struct Owed {
    records: Numbered,
    changed: Arc<Notify>,
}

/// How the reading of a connection came to its end.
enum Done {
    /// The sender is done, or everything was read that had arrived before a stop.
    Read,
    /// The next instance goes on with it.
    PassedOn,
}

/// Why a connection is closed before its sender closes it.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("incoming data exceeds 'Buffer_Size' ({} KB)", .0 / 1024)]
    TooLarge(usize),
    #[error("memory is used up, and the sender is too slow in the middle of a record")]
    Slow,
    #[error("it was silent, and makes room for others")]
    GaveWay,
}

/// A value that is larger than a record may be.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

impl Connection {
    fn new(guest: Guest, instance: Rc<Instance>, emitter: Emitter) -> Connection {
        let peer = guest.peer.map_or(String::new(), |peer| peer.to_string());
        let key = instance.options.source_address_key.clone();
        Connection {
            stream: guest.stream,
            seat: guest.seat,
            // Who types lines by hand may take any time, as long as nobody waits.
            pace: Pace::new(None),
            framing: instance.framing(),
            source: Source {
                field: key.map(|key| (key, format!("tcp://{peer}"))),
            },
            instance,
            emitter,
            buffer: guest.rest,
            read_size: READ_MIN,
            room: Room::default(),
            owed: Owed::new(),
        }
    }

    /// Receives until the sender is done or a stop; then waits until everything is answered for.
    async fn run(mut self, end: End) {
        match self.receive(&end).await {
            Ok(Done::Read) => self.take(true).unwrap_or_default(),
            Ok(Done::PassedOn) => {}
            Err(closed) => self.give_up(&closed),
        }
        drop(end);
        let Connection {
            instance, mut owed, ..
        } = self;
        while !owed.is_settled(&instance) {
            owed.changed.notified().await;
        }
    }

    async fn receive(&mut self, end: &End) -> Result<Done, Closed> {
        let stop = &end.stop;
        let mut is_stopping = false;
        // Once a stop is requested: how many bytes that had arrived by then are still to be read.
        let mut arrived: Option<u64> = None;
        while arrived != Some(0) {
            let is_settled = self.owed.is_settled(&self.instance);
            let has_begun = !self.buffer.is_empty();
            if is_settled && !has_begun {
                self.room.end_excess();
            }
            self.seat.set_busy(!is_settled);
            let in_excess = is_settled && self.room.is_in_excess();
            let bytes = self.buffer.len() + self.read_size;
            let need = Need {
                bytes,
                // A line says nothing about its length.
                whole: bytes,
                has_begun,
                is_settled,
            };
            let gate = &self.instance.gate;
            let somebody_waits = || async move {
                if !in_excess {
                    gate.wanted().await;
                }
            };
            tokio::select! {
                ready = gate.ready(&mut self.stream, &mut self.room, need, (&self.pace, &self.seat)) => {
                    ready?;
                    match self.read()? {
                        Some(0) => return Ok(Done::Read),
                        Some(read) => arrived = arrived.map(|left| left.saturating_sub(read as u64)),
                        None => {}
                    }
                }
                () = self.owed.changed.notified() => {}
                () = self.pace.gives_way(somebody_waits), if has_begun => return Err(Closed::Slow),
                () = self.seat.must_leave(), if is_settled => return Err(Closed::GaveWay),
                () = stop.requested(), if !is_stopping => {
                    is_stopping = true;
                    if stop.has_successor() && self.pass_on(&end.reading) {
                        return Ok(Done::PassedOn);
                    }
                    arrived = self.stream.arrived()?;
                }
            }
        }
        Ok(Done::Read)
    }

    /// Lets the next instance go on with the connection.
    fn pass_on(&self, reading: &Reading) -> bool {
        if !self.framing.is_plain() {
            return false;
        }
        let other = self.stream.duplicate();
        other.is_some_and(|(socket, is_unix)| reading.pass_on(socket, is_unix, &self.buffer))
    }

    /// Reads once, as much as there is room for, and sends whole records on. How much was read; 0 is the end, none that
    /// there was nothing after all.
    fn read(&mut self) -> Result<Option<usize>, Closed> {
        let size = self.room.held().saturating_sub(self.buffer.len()).max(1);
        if self.buffer.capacity() - self.buffer.len() < size.div_ceil(4) {
            self.buffer.reserve(size);
        }
        let read = match self.stream.try_read(&mut self.buffer, size) {
            Ok(read) => Some(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => return Err(error.into()),
        };
        self.room.note_read(read.unwrap_or(0));
        self.adapt(read.unwrap_or(0));
        match read {
            Some(read) if read > 0 => {
                self.seat.note_heard();
                self.pace.note(read);
                self.take(false)
                    .map_err(|TooLarge| Closed::TooLarge(self.instance.record_max))?;
            }
            // The room was made for nothing.
            _ => {
                let gate = &self.instance.gate;
                gate.part(&mut self.room, 0, self.buffer.len());
            }
        }
        Ok(read)
    }

    /// A read that got what it asked for asks for more the next time, one that got little for less. A sender that is
    /// silent keeps no large buffer.
    fn adapt(&mut self, read: usize) {
        if read == 0 {
            if self.buffer.is_empty() && self.buffer.capacity() > READ_MIN {
                self.buffer = BytesMut::new();
            }
        } else if read >= self.read_size {
            self.read_size = (self.read_size * 2).min(READ_MAX);
        } else if read < self.read_size / 4 {
            self.read_size = (self.read_size / 2).max(READ_MIN);
        }
    }

    /// Sends on what is whole; with `is_end`, what the sender left unfinished is done with too.
    fn take(&mut self, is_end: bool) -> Result<(), TooLarge> {
        let (instance, buffer) = (&*self.instance, &mut self.buffer);
        let (batch, outcome) = match &mut self.framing {
            Framing::Lines(lines) => (lines.take(buffer, is_end, instance, &self.source), Ok(())),
            Framing::Values(values) => values.take(buffer, is_end, instance, &self.source),
        };
        match batch {
            Some(batch) if !batch.is_empty() => {
                self.pace.restart();
                let gate = &self.instance.gate;
                let permit = gate
                    .part(&mut self.room, batch.source().len(), self.buffer.len())
                    .unwrap_or_else(|| gate.nothing());
                self.emitter
                    .emit(self.owed.records.own(batch).with_permit(permit));
            }
            _ => {
                let gate = &self.instance.gate;
                gate.part(&mut self.room, 0, self.buffer.len());
            }
        }
        outcome
    }

    /// Sends on what was whole before the connection broke; the rest is dropped and counted.
    fn give_up(&mut self, closed: &Closed) {
        let notices = &self.instance.notices;
        notices.warn(format_args!("a connection is closed: {closed}"));
        match closed {
            Closed::TooLarge(_) => self.instance.counters.too_large.add(1),
            Closed::Io(_) | Closed::Slow | Closed::GaveWay if !self.buffer.is_empty() => {
                self.instance.counters.cut_off.add(1);
                notices.warn(format_args!(
                    "the first {} bytes of a record whose rest did not come are dropped",
                    self.buffer.len()
                ));
            }
            Closed::Io(_) | Closed::Slow | Closed::GaveWay => {}
        }
        self.buffer = BytesMut::new();
        self.room = Room::default();
    }
}

impl Owed {
    fn new() -> Owed {
        let changed = Arc::new(Notify::new());
        Owed {
            records: Numbered::new(&changed),
            changed,
        }
    }

    /// Whether everything is answered for. What was refused is lost, and is counted: nobody can be told.
    fn is_settled(&mut self, instance: &Instance) -> bool {
        let lost = self.records.give_up_refused();
        if lost > 0 {
            instance.counters.refused.add(lost);
            instance.context.log.error(format_args!(
                "{lost} records could not be taken on and are lost: their sender cannot be told"
            ));
        }
        self.records.is_settled()
    }
}
