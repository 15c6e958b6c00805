//! Complete frames → batches on the road.

use std::rc::Rc;

use bytes::Bytes;
use plugin::Emitter;
use record::{Batch, Origin, Permit, Tag};

use super::Shared;
use super::events::{self, Entries};
use super::frame::{Carrier, Frame, Place};
use super::gunzip;
use super::owed::Owed;

/// Entries of more bytes than this make batches of their own, and go on in pieces.
const LARGE: usize = 256 << 10;
/// How much memory the records of a piece take, besides the bytes that were read.
const PIECE: usize = 4 << 20;
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
    /// Room for the bytes of the current read, until a batch takes it.
    permit: Option<Permit>,
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
            permit: None,
        }
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
            match entries.read(&mut batch) {
                Ok(replaced) => self.count_time(replaced),
                Err(reason) => {
                    self.emit(batch, &mut of);
                    return Err(reason);
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
