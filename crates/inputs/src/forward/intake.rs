//! Complete frames → batches on the road.

use std::rc::Rc;

use bytes::Bytes;
use plugin::Emitter;
use record::msgpack::Error;
use record::{Batch, Origin, Permit, Tag};

use super::Shared;
use super::events::{self, Entries};
use super::frame::{self, Carrier, Frame, Place};
use super::gunzip;
use super::owed::Owed;

/// Entries of more bytes than this make batches of their own, and go on in pieces.
const LARGE: usize = 256 << 10;
/// How much memory the records of a piece take, besides the bytes that were read.
const PIECE: usize = 4 << 20;
/// Messages of at most so many bytes that are not whole are read anew when more of them has come, rather than passed over to find
/// where they end.
const SMALL: usize = 4 << 10;
/// How many of its records are read before it is looked at how much memory they take.
const AT_ONCE: usize = 256;
/// How many tags may alternate in one read before batches are cut. Batches of one read share its bytes, and each counts
/// them as its own.
const GROUPS_MAX: usize = 16;

/// Makes batches of the frames of one connection.
pub struct Intake {
    shared: Rc<Shared>,
    emitter: Emitter,
    /// What their sender is owed.
    pub owed: Owed,
    /// The last incoming tag, and the tag that its records get.
    tag: Option<(Vec<u8>, Tag)>,
    /// Records of the current read, one batch for each tag and each chunk.
    groups: Vec<Group>,
    /// Records of messages at the start of the current read, whose bytes cannot be shared yet.
    ahead: Option<Batch>,
    /// Room for the bytes of the current read, until a batch takes it.
    permit: Option<Permit>,
}

/// What became of a message that was to be taken ahead.
#[derive(Debug, PartialEq)]
pub enum Ahead {
    /// It is taken, and ends there.
    End(usize),
    /// It is small, and so many bytes at least are missing.
    Incomplete(usize),
    /// It has to go the way of all frames; it may be none.
    Other,
}

/// Records of one tag: of one chunk, or of frames that nobody waits for.
struct Group {
    batch: Batch,
    chunk: Option<Bytes>,
    /// Its frame breaks the protocol: what could be read of it is sent on, but not acknowledged.
    is_broken: bool,
}

impl Intake {
    /// Nothing has come yet.
    pub fn new(shared: Rc<Shared>, emitter: Emitter) -> Intake {
        Intake {
            shared,
            emitter,
            owed: Owed::new(),
            tag: None,
            groups: Vec::new(),
            ahead: None,
            permit: None,
        }
    }

    /// Takes the message at `at` of `bytes` if the whole of it is there, it has no options, at most `limit` bytes, and the tag of
    /// those that were taken like that from the same bytes. It is sent on with what [`Intake::take`] takes next, whose source must
    /// begin with the same bytes, and comes before that.
    pub fn take_ahead(&mut self, bytes: &[u8], at: usize, limit: usize) -> Ahead {
        let Some((incoming, time_at)) = frame::begins_message(bytes, at) else {
            return Ahead::Other;
        };
        let Some(batch) = self.batch_ahead(incoming) else {
            return Ahead::Other;
        };
        let most = limit.saturating_sub(time_at - at);
        match events::usual_message(batch, bytes, time_at, most) {
            Ok(end) => Ahead::End(end),
            Err(Error::Incomplete { needed }) => {
                match (bytes.len() - at).saturating_add(needed) <= SMALL.min(limit) {
                    true => Ahead::Incomplete(needed),
                    false => Ahead::Other,
                }
            }
            Err(Error::Malformed { .. }) => Ahead::Other,
        }
    }

    /// None is taken ahead of what comes next after all: no memory is kept for it.
    pub fn end_ahead(&mut self) {
        self.ahead = None;
    }

    /// The batch for messages that are taken ahead, unless it is one for another tag than `incoming`.
    fn batch_ahead(&mut self, incoming: &[u8]) -> Option<&mut Batch> {
        if self.ahead.is_none() {
            let tag = self.tag(incoming);
            self.ahead = Some(Batch::new(tag, Bytes::new()));
        }
        let ((last, tag), batch) = self.tag.as_ref().zip(self.ahead.as_mut())?;
        (last == incoming && batch.tag() == tag).then_some(batch)
    }

    /// Sends on the records of `frames`, which lie in `source`; `permit` is the room for it. What comes before a mistake
    /// is sent on too; the error says what breaks the protocol.
    pub async fn take(
        &mut self,
        source: &Bytes,
        frames: &[Place],
        permit: Option<Permit>,
    ) -> Result<(), &'static str> {
        self.permit = permit;
        let ahead = self.ahead.take().map(|batch| Group {
            batch: batch.with_source(source.clone()),
            chunk: None,
            is_broken: false,
        });
        self.groups.extend(ahead);
        let mut outcome = Ok(());
        for place in frames {
            outcome = self.frame(source, place).await;
            if outcome.is_err() {
                break;
            }
        }
        self.emit_groups();
        self.permit = None;
        outcome
    }

    async fn frame(&mut self, source: &Bytes, place: &Place) -> Result<(), &'static str> {
        let Frame {
            tag,
            carrier,
            options,
        } = Frame::read(source, place)?;
        let chunk = options.chunk.map(|chunk| source.slice(chunk));
        if options.is_other_signal {
            self.pass_over_signal(chunk);
            return Ok(());
        }
        let tag = self.tag(&source[tag]);
        match carrier {
            Carrier::Message(at) => {
                let group = self.group(tag, source, chunk);
                let replaced = events::message(
                    &mut self.groups[group].batch,
                    at..place.range.end,
                    options.metadata,
                );
                let replaced = replaced.inspect_err(|_| self.note_broken(group))?;
                self.count_time(replaced);
                Ok(())
            }
            Carrier::Forward(range, count) => {
                self.entries(tag, source, Entries::new(range, Some(count)), chunk)
                    .await
            }
            Carrier::Packed(range) => {
                self.entries(tag, source, Entries::new(range, None), chunk)
                    .await
            }
            Carrier::Compressed(range) => {
                let limit = self.shared.options.frame_limit();
                let unpacked = Bytes::from(gunzip::unpack(&source[range], limit)?);
                let all = Entries::new(0..unpacked.len(), None);
                self.pieces(tag, unpacked, all, chunk).await
            }
        }
    }

    async fn entries(
        &mut self,
        tag: Tag,
        source: &Bytes,
        mut entries: Entries,
        chunk: Option<Bytes>,
    ) -> Result<(), &'static str> {
        if entries.len() > LARGE {
            return self.pieces(tag, source.clone(), entries, chunk).await;
        }
        let group = self.group(tag, source, chunk);
        while !entries.is_done() {
            entries.read_usual(&mut self.groups[group].batch, usize::MAX);
            if entries.is_done() {
                break;
            }
            let replaced = entries.read(&mut self.groups[group].batch);
            let replaced = replaced.inspect_err(|_| self.note_broken(group))?;
            self.count_time(replaced);
        }
        Ok(())
    }

    /// Entries that may be too many for one batch: before each further batch there must be room for it.
    async fn pieces(
        &mut self,
        tag: Tag,
        mut source: Bytes,
        mut entries: Entries,
        chunk: Option<Bytes>,
    ) -> Result<(), &'static str> {
        // What came before goes first.
        self.emit_groups();
        let mut of = chunk.map(|chunk| self.begin(chunk));
        let mut batch = Batch::new(tag.clone(), source.clone());
        while !entries.is_done() {
            entries.read_usual(&mut batch, AT_ONCE);
            if !entries.is_done() {
                match entries.read(&mut batch) {
                    Ok(replaced) => self.count_time(replaced),
                    Err(reason) => {
                        self.emit(batch, &mut of);
                        return Err(reason);
                    }
                }
            }
            if batch.footprint() - source.len() > PIECE && !entries.is_done() {
                self.emit(batch, &mut of);
                self.permit = Some(self.room_for_piece().await);
                source = source.slice(entries.rebase()..);
                batch = Batch::new(tag.clone(), source.clone());
            }
        }
        self.emit(batch, &mut of);
        if of.is_some() {
            self.owed.complete();
        }
        Ok(())
    }

    /// Waits for memory, but not when there is nothing left to wait for.
    async fn room_for_piece(&self) -> Permit {
        loop {
            tokio::select! {
                biased;
                permit = self.shared.gate.take(PIECE) => return permit,
                () = self.owed.changed(), if !self.owed.is_settled() => {}
                () = std::future::ready(()), if self.owed.is_settled() => return self.shared.gate.nothing(),
            }
        }
    }

    /// The batch for `tag`, among the groups; a new one for a chunk. In each group records keep their order.
    fn group(&mut self, tag: Tag, source: &Bytes, chunk: Option<Bytes>) -> usize {
        let same = |group: &Group| group.chunk.is_none() && *group.batch.tag() == tag;
        if chunk.is_none()
            && let Some(group) = self.groups.iter().rposition(same)
        {
            return group;
        }
        if self.groups.len() == GROUPS_MAX {
            self.emit_groups();
        }
        let batch = Batch::new(tag, source.clone());
        self.groups.push(Group {
            batch,
            chunk,
            is_broken: false,
        });
        self.groups.len() - 1
    }

    fn note_broken(&mut self, group: usize) {
        self.groups[group].is_broken = true;
    }

    fn emit_groups(&mut self) {
        let mut groups = std::mem::take(&mut self.groups);
        for group in groups.drain(..) {
            let mut of = group.chunk.map(|chunk| self.begin(chunk));
            self.emit(group.batch, &mut of);
            if of.is_some() && !group.is_broken {
                self.owed.complete();
            }
        }
        self.groups = groups;
    }

    /// Begins a chunk.
    fn begin(&mut self, id: Bytes) -> ChunkOrigin {
        self.owed.begin(id.clone());
        ChunkOrigin { id, origin: None }
    }

    /// Sends on records of the chunk `of` that was begun last, or of none.
    fn emit(&mut self, batch: Batch, of: &mut Option<ChunkOrigin>) {
        if batch.is_empty() {
            return;
        }
        let batch = match of {
            Some(of) => {
                let origin = of.origin(&batch);
                self.owed.own_of_chunk(batch).with_origin(origin)
            }
            None => self.owed.own(batch),
        };
        let permit = self
            .permit
            .take()
            .unwrap_or_else(|| self.shared.gate.nothing());
        self.emitter.emit(batch.with_permit(permit));
    }

    fn pass_over_signal(&mut self, chunk: Option<Bytes>) {
        let dropped = &self.shared.counters.other_signals;
        if dropped.get() == 0 {
            self.shared.context.log.warn(format_args!(
                "a sender sends metrics or traces, which are dropped: only logs are understood"
            ));
        }
        dropped.add(1);
        if let Some(chunk) = chunk {
            self.owed.begin(chunk);
            self.owed.complete();
        }
    }

    fn count_time(&self, is_replaced: bool) {
        if is_replaced {
            self.shared.counters.invalid_times.add(1);
        }
    }

    /// The tag that records of a frame with the tag `incoming` get.
    fn tag(&mut self, incoming: &[u8]) -> Tag {
        match &self.tag {
            Some((last, tag)) if last == incoming => tag.clone(),
            _ => {
                let tag = self.shared.tag(incoming);
                self.tag = Some((incoming.to_vec(), tag.clone()));
                tag
            }
        }
    }
}

/// What the records of a chunk are known by when it is sent again.
struct ChunkOrigin {
    id: Bytes,
    origin: Option<Origin>,
}

impl ChunkOrigin {
    /// The length of an id that may be a digest of what the chunk holds, as Fluent Bit makes it.
    const DIGEST_LEN: usize = 24;

    /// Where `batch`, the first one or a later one of the chunk, comes from. A chunk of events whose times are whole
    /// seconds may hold the same as another one and have the same id, without being that one.
    fn origin(&mut self, batch: &Batch) -> Origin {
        *self.origin.get_or_insert_with(|| {
            let time = batch.records().first().map(|record| record.time);
            let is_whole = time.is_none_or(|time| time.subsec_nanos() == 0);
            match is_whole && self.id.len() == Self::DIGEST_LEN {
                true => Origin::NONE,
                false => Origin::of(&[b"forward", batch.tag().as_bytes(), &self.id]),
            }
        })
    }
}
