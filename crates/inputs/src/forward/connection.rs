//! One sender: bytes in, acknowledgements back.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use plugin::{Emitter, Stop};

use super::Shared;
use super::frame::Place;
use super::intake::{Ahead, Intake};
use super::owed::Refused;
use super::scan::{Extent, Found, Scan};
use crate::gate::{Need, Room};
use crate::listening::door::{Arrival, Guest};
use crate::listening::pace::Pace;
use crate::listening::passed_on::Reading;
use crate::listening::seats::Seat;
use crate::listening::stream::Stream;

/// The least and the most that is read at once; larger frames take several reads.
const READ_MIN: usize = 16 << 10;
const READ_MAX: usize = 64 << 10;
/// A sender that is slow for so long in the middle of a frame is gone, or means no good.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a connection learns that its instance ends, and what becomes of it then.
pub struct End {
    /// Nothing is read after it.
    pub stop: Stop,
    /// The way to the next instance.
    pub reading: Reading,
}

/// Lets a sender in, and receives until it is done or must go.
pub async fn serve(arrival: Arrival, shared: Rc<Shared>, emitter: Emitter, end: End) {
    let mut buffer = BytesMut::new();
    let entered = tokio::select! {
        biased;
        entered = enter(arrival, &shared, &mut buffer) => entered,
        () = end.stop.requested() => return,
    };
    match entered {
        Ok(guest) => {
            Connection::new(guest, buffer, shared, emitter)
                .run(end)
                .await
        }
        Err(reason) => {
            shared.counters.turned_down.add(1);
            shared
                .notices
                .warn(format_args!("a connection is closed: {reason}"));
        }
    }
}

async fn enter(arrival: Arrival, shared: &Shared, buffer: &mut BytesMut) -> Result<Guest, String> {
    let is_passed = arrival.is_passed();
    let mut guest = arrival.enter().await?;
    *buffer = std::mem::take(&mut guest.rest);
    if let Some(secrets) = &shared.secrets {
        if is_passed {
            return Err(
                "its sender has not shown that it may send, and must from now on".to_owned(),
            );
        }
        tokio::select! {
            checked = secrets.check(&mut guest.stream, buffer) => checked?,
            () = guest.seat.must_leave() => return Err("the handshake gives way to others".to_owned()),
        }
    }
    Ok(guest)
}

/// A connection.
struct Connection {
    stream: Stream,
    seat: Seat,
    pace: Pace,
    shared: Rc<Shared>,
    intake: Intake,
    /// What was read of frames that are not complete.
    buffer: BytesMut,
    scan: Scan,
    /// How many bytes at least are missing of the frame that is not complete.
    missing: usize,
    /// How much the next read asks for.
    read_size: usize,
    room: Room,
    /// The frames of a read; kept for its memory.
    frames: Vec<Place>,
}

/// How the reading of a connection came to its end.
#[derive(Debug)]
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
    #[error("{0}")]
    Malformed(&'static str),
    #[error("{0} records could not be taken on and are not acknowledged")]
    Refused(u64),
    #[error("the sender is too slow in the middle of a frame")]
    Slow,
    #[error("it was silent, and makes room for others")]
    GaveWay,
}

impl Connection {
    fn new(guest: Guest, buffer: BytesMut, shared: Rc<Shared>, emitter: Emitter) -> Connection {
        Connection {
            stream: guest.stream,
            seat: guest.seat,
            pace: Pace::new(Some(PATIENCE)),
            intake: Intake::new(Rc::clone(&shared), emitter),
            shared,
            buffer,
            scan: Scan::new(),
            missing: 0,
            read_size: READ_MIN,
            room: Room::default(),
            frames: Vec::new(),
        }
    }

    /// Receives until the sender is done, breaks the protocol, or a stop; then waits for the last answers.
    async fn run(mut self, end: End) {
        let outcome = self.receive(&end).await;
        let is_passed_on = matches!(outcome, Ok(Done::PassedOn));
        if !is_passed_on {
            self.report(&outcome);
        }
        drop(end);
        self.buffer = BytesMut::new();
        self.room = Room::default();
        self.settle(is_passed_on).await;
    }

    async fn receive(&mut self, end: &End) -> Result<Done, Closed> {
        let stop = &end.stop;
        let mut is_stopping = false;
        // What came with the handshake.
        self.take_frames().await.map_err(Closed::Malformed)?;
        loop {
            let is_settled = self.intake.owed.is_settled();
            let has_begun = !self.buffer.is_empty();
            if is_settled && !has_begun {
                self.room.end_excess();
            }
            self.seat.set_busy(!is_settled);
            let in_excess = is_settled && self.room.is_in_excess();
            let bytes = self.buffer.len() + self.read_size;
            let need = Need {
                bytes,
                whole: bytes.max(self.buffer.len() + self.missing),
                has_begun,
                is_settled,
            };
            let gate = &self.shared.gate;
            let somebody_waits = || async move {
                if !in_excess {
                    gate.wanted().await;
                }
            };
            tokio::select! {
                ready = gate.ready(&mut self.stream, &mut self.room, need, (&self.pace, &self.seat)) => {
                    ready?;
                    if self.read().await? {
                        return Ok(Done::Read);
                    }
                }
                () = self.intake.owed.changed() => self.acknowledge().await?,
                () = self.pace.gives_way(somebody_waits), if has_begun => return Err(Closed::Slow),
                () = self.seat.must_leave(), if is_settled => return Err(Closed::GaveWay),
                () = stop.requested(), if !is_stopping => {
                    is_stopping = true;
                    if stop.has_successor() && self.pass_on(&end.reading) {
                        return Ok(Done::PassedOn);
                    }
                    // The sender cannot send more; what it has sent can be read to its end.
                    self.stream.refuse_more();
                }
            }
        }
    }

    /// Lets the next instance go on with the connection. Who had to show that it may send has to do so there, too.
    fn pass_on(&self, reading: &Reading) -> bool {
        if self.shared.secrets.is_some() || !reading.is_waited_for() {
            return false;
        }
        let other = self.stream.duplicate();
        other.is_some_and(|(socket, is_unix)| reading.pass_on(socket, is_unix, &self.buffer))
    }

    /// Reads once, as much as there is room for, and sends complete frames on. Returns whether the sender is done.
    async fn read(&mut self) -> Result<bool, Closed> {
        let size = self.room.held().saturating_sub(self.buffer.len()).max(1);
        if self.buffer.capacity() - self.buffer.len() < size.div_ceil(4) {
            self.buffer.reserve(size);
        }
        let read = match self.stream.try_read(&mut self.buffer, size) {
            Ok(0) => return Ok(true),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        self.room.note_read(read);
        if read > 0 {
            self.seat.note_heard();
            self.pace.note(read);
        }
        self.adapt(read);
        let outcome = self.take_frames().await;
        outcome.map(|()| false).map_err(Closed::Malformed)
    }

    /// A read that got what it asked for asks for more the next time, one that got little for less. A sender that is
    /// silent keeps no large buffer.
    fn adapt(&mut self, read: usize) {
        if read == 0 {
            if self.buffer.is_empty() && self.buffer.capacity() > READ_MIN {
                self.buffer = BytesMut::new();
            }
            return;
        }
        if read >= self.read_size {
            self.read_size = (self.read_size * 2).min(READ_MAX);
        } else if read < self.read_size / 4 {
            self.read_size = (self.read_size / 2).max(READ_MIN);
        }
    }

    /// Sends every complete frame of the buffer on. What breaks the protocol is an error after the frames before it.
    async fn take_frames(&mut self) -> Result<(), &'static str> {
        let (end, scanned) = self.scan_frames();
        let left = self.buffer.len() - end;
        let permit = self.shared.gate.part(&mut self.room, end, left);
        if end == 0 {
            self.intake.end_ahead();
            return scanned;
        }
        self.pace.restart();
        let source = self.buffer.split_to(end).freeze();
        let taken = self.intake.take(&source, &self.frames, permit).await;
        self.frames.clear();
        taken.and(scanned)
    }

    /// Takes usual messages at the start of the buffer and notes where the frames behind them lie. Returns where the last complete
    /// one ends.
    fn scan_frames(&mut self) -> (usize, Result<(), &'static str>) {
        let limit = self.shared.options.frame_limit();
        self.missing = 0;
        let mut at = self.take_ahead(limit);
        while self.missing == 0 && at < self.buffer.len() {
            match self.scan.advance(&self.buffer[at..], limit) {
                Ok(Found::End(Extent { len, last })) => {
                    self.frames.push(Place {
                        range: at..at + len,
                        last,
                    });
                    at += len;
                    self.scan = Scan::new();
                }
                Ok(Found::Incomplete(missing)) => {
                    self.missing = missing;
                    break;
                }
                Err(reason) => return (at, Err(reason)),
            }
        }
        (at, Ok(()))
    }

    /// Takes usual messages at the start of the buffer, which need not be passed over before they are read. Returns where the last
    /// one ends.
    fn take_ahead(&mut self, limit: usize) -> usize {
        let mut at = 0;
        while self.scan.is_new() && at < self.buffer.len() {
            match self.intake.take_ahead(&self.buffer, at, limit) {
                Ahead::End(end) => at = end,
                Ahead::Incomplete(missing) => {
                    self.missing = missing;
                    break;
                }
                Ahead::Other => break,
            }
        }
        at
    }

    /// Sends the acknowledgements that are due. A sender that waits for one that will not come is disconnected, so that it
    /// sends again.
    async fn acknowledge(&mut self) -> Result<(), Closed> {
        let answer = self.intake.owed.due();
        if !answer.is_empty() {
            self.stream.write_all(&answer).await?;
        }
        if self.intake.owed.is_settled() {
            self.room.end_excess();
        }
        match self.count_refused() {
            0 => Ok(()),
            awaited => Err(Closed::Refused(awaited)),
        }
    }

    /// Counts records that are lost; returns how many will be sent again.
    fn count_refused(&mut self) -> u64 {
        let Refused { awaited, lost } = self.intake.owed.refused();
        if lost > 0 {
            self.shared.counters.refused.add(lost);
            self.shared.context.log.error(format_args!(
                "{lost} records could not be taken on and are lost: their sender waits for no acknowledgement"
            ));
        }
        awaited
    }

    fn report(&self, outcome: &Result<Done, Closed>) {
        let (notices, counters) = (&self.shared.notices, &self.shared.counters);
        if let Err(error) = outcome {
            notices.warn(format_args!("a connection is closed: {error}"));
        }
        match (outcome, self.buffer.len()) {
            (Err(Closed::Malformed(_)), _) => counters.malformed.add(1),
            (_, 0) => {}
            (_, left) => {
                counters.cut_off.add(1);
                notices.warn(format_args!(
                    "a connection ended in the middle of a frame, whose first {left} bytes are dropped"
                ));
            }
        }
    }

    /// Waits until every record is answered for. A sender that waits for no acknowledgement is let go at once. One that
    /// goes on with the next instance gets its acknowledgements from here, and is let go there if one will not come.
    async fn settle(mut self, is_passed_on: bool) {
        while self.intake.owed.is_awaited() {
            if let Err(error) = self.acknowledge().await {
                if is_passed_on {
                    self.stream.end();
                }
                self.shared
                    .context
                    .log
                    .debug(format_args!("a sender goes without answers: {error}"));
                break;
            }
            if self.intake.owed.is_awaited() {
                self.intake.owed.changed().await;
            }
        }
        let Connection {
            stream,
            shared,
            mut intake,
            ..
        } = self;
        drop(stream);
        loop {
            let refused = intake.owed.refused();
            shared.counters.refused.add(refused.lost);
            if refused.awaited > 0 || intake.owed.is_settled() {
                return;
            }
            intake.owed.changed().await;
        }
    }
}
