//! One sender: bytes in, batches out, and an end that leaves nothing behind.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use plugin::{Emitter, Stop};
use record::{Batch, Ledger, Position};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::{Framing, Instance};
use crate::gate::{Gate, Room};

/// The least and the most that is read at once.
const READ_MIN: usize = 16 << 10;
const READ_MAX: usize = 256 << 10;
/// A sender that is silent for so long in the middle of a record that lies beyond the memory limit is disconnected: all
/// others wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection.
pub struct Connection {
    stream: TcpStream,
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

/// The records of a connection, numbered as they are sent on.
struct Owed {
    ledger: Arc<Ledger>,
    changed: Arc<Notify>,
    next: u64,
}

/// Why a connection is closed before its sender closes it.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("incoming data exceeds 'Buffer_Size' ({} KB)", .0 / 1024)]
    TooLarge(usize),
    #[error("memory is used up, and the sender is silent in the middle of a record")]
    Silent,
}

/// A value that is larger than a record may be.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

impl Connection {
    /// A connection that has received nothing.
    pub fn new(
        stream: TcpStream,
        peer: SocketAddr,
        instance: Rc<Instance>,
        emitter: Emitter,
    ) -> Connection {
        let key = instance.options.source_address_key.clone();
        Connection {
            stream,
            framing: instance.framing(),
            source: Source {
                field: key.map(|key| (key, format!("tcp://{peer}"))),
            },
            instance,
            emitter,
            buffer: BytesMut::new(),
            read_size: READ_MIN,
            room: Room::default(),
            owed: Owed::new(),
        }
    }

    /// Receives until the sender is done or a stop; then waits until everything is answered for.
    pub async fn run(mut self, stop: Stop) {
        match self.receive(&stop).await {
            Ok(()) => self.take(true).unwrap_or_default(),
            Err(closed) => self.give_up(&closed),
        }
        let Connection {
            instance, mut owed, ..
        } = self;
        while !owed.is_settled(&instance) {
            owed.changed.notified().await;
        }
    }

    async fn receive(&mut self, stop: &Stop) -> Result<(), Closed> {
        // Once a stop is requested: how many bytes that had arrived by then are still to be read.
        let mut arrived: Option<u64> = None;
        while arrived != Some(0) {
            let is_settled = self.owed.is_settled(&self.instance);
            if is_settled && self.buffer.is_empty() {
                self.room.end_excess();
            }
            let others_wait = is_settled && self.room.is_in_excess();
            let bytes = self.buffer.len() + self.read_size;
            tokio::select! {
                ready = ready(&self.stream, &self.instance.gate, &mut self.room, (bytes, is_settled)) => {
                    ready?;
                    match self.read()? {
                        Some(0) => return Ok(()),
                        Some(read) => arrived = arrived.map(|left| left.saturating_sub(read as u64)),
                        None => {}
                    }
                }
                () = self.owed.changed.notified() => {}
                () = stop.requested(), if arrived.is_none() => {
                    arrived = Some(rustix::io::ioctl_fionread(&self.stream).map_err(io::Error::from)?);
                }
                () = tokio::time::sleep(PATIENCE), if others_wait => return Err(Closed::Silent),
            }
        }
        Ok(())
    }

    /// Reads once, as much as there is room for, and sends whole records on. How much was read; 0 is the end, none that
    /// there was nothing after all.
    fn read(&mut self) -> Result<Option<usize>, Closed> {
        let size = self.room.held().saturating_sub(self.buffer.len()).max(1);
        if self.buffer.capacity() - self.buffer.len() < size.div_ceil(4) {
            self.buffer.reserve(size);
        }
        let read = match self
            .stream
            .try_read_buf(&mut (&mut self.buffer).limit(size))
        {
            Ok(read) => Some(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => return Err(error.into()),
        };
        self.room.note_read(read.unwrap_or(0));
        self.adapt(read.unwrap_or(0));
        if read.is_some_and(|read| read > 0) {
            self.take(false)
                .map_err(|TooLarge| Closed::TooLarge(self.instance.record_max))?;
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
                let permit = self
                    .room
                    .part_with(batch.source().len(), self.buffer.len())
                    .unwrap_or_else(|| self.instance.gate.nothing());
                self.emitter.emit(self.owed.own(batch).with_permit(permit));
            }
            _ => {
                self.room.part_with(0, self.buffer.len());
            }
        }
        outcome
    }

    /// Sends on what was whole before the connection broke; the rest is dropped and counted.
    fn give_up(&mut self, closed: &Closed) {
        let log = &self.instance.context.log;
        log.warn(format_args!("a connection is closed: {closed}"));
        match closed {
            Closed::TooLarge(_) => self.instance.counters.too_large.add(1),
            Closed::Io(_) | Closed::Silent if !self.buffer.is_empty() => {
                self.instance.counters.cut_off.add(1);
                log.warn(format_args!(
                    "the first {} bytes of a record whose rest did not come are dropped",
                    self.buffer.len()
                ));
            }
            Closed::Io(_) | Closed::Silent => {}
        }
        self.buffer = BytesMut::new();
        self.room = Room::default();
    }
}

/// Waits until there are bytes to read, and then for room; idle senders need none.
async fn ready(
    stream: &TcpStream,
    gate: &Gate,
    room: &mut Room,
    (bytes, is_settled): (usize, bool),
) -> io::Result<()> {
    stream.readable().await?;
    gate.widen(room, bytes, is_settled).await;
    Ok(())
}

impl Owed {
    fn new() -> Owed {
        let changed = Arc::new(Notify::new());
        let notice = Arc::clone(&changed);
        Owed {
            ledger: Ledger::with_notice(0, move || notice.notify_one()),
            changed,
            next: 0,
        }
    }

    /// Numbers the records of `batch` and answers for them.
    fn own(&mut self, mut batch: Batch) -> Batch {
        let first = self.next;
        self.next += batch.len() as u64;
        for (offset, record) in (first..).zip(batch.records_mut()) {
            record.position = Position { offset, len: 1 };
        }
        batch.with_obligation(self.ledger.open(first..self.next))
    }

    /// Whether everything is answered for. What was refused is lost, and is counted: nobody can be told.
    fn is_settled(&mut self, instance: &Instance) -> bool {
        for range in self.ledger.refused() {
            let lost = range.end - range.start;
            instance.counters.refused.add(lost);
            instance.context.log.error(format_args!(
                "{lost} records could not be taken on and are lost: their sender cannot be told"
            ));
            self.ledger.skip(range);
        }
        self.ledger.is_settled()
    }
}
