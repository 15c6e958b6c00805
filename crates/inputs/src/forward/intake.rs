//! Complete frames → batches on the road.

use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use plugin::Emitter;
use record::{Batch, Permit, Position, Tag};

use super::Shared;
use super::events::{self, Entries};
use super::frame::{Carrier, Frame};
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
    /// Records of the current read, one batch for each tag.
    groups: Vec<Group>,
    /// Room for the bytes of the current read, until a batch takes it.
    permit: Option<Permit>,
}

/// Records of one tag.
struct Group {
    batch: Batch,
    /// Chunks to acknowledge, and which records of the batch they stand for.
    chunks: Vec<(Range<usize>, Bytes)>,
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
        frames: &[Range<usize>],
        permit: Option<Permit>,
    ) -> Result<(), &'static str> {
        self.permit = permit;
        let mut outcome = Ok(());
        for range in frames {
            outcome = self.frame(source, range.clone()).await;
            if outcome.is_err() {
                break;
            }
        }
        self.emit_groups();
        self.permit = None;
        outcome
    }

    async fn frame(&mut self, source: &Bytes, range: Range<usize>) -> Result<(), &'static str> {
        let Frame {
            tag,
            carrier,
            options,
        } = Frame::read(source, range.clone())?;
        let chunk = options.chunk.map(|chunk| source.slice(chunk));
        if options.is_other_signal {
            self.pass_over_signal(chunk);
            return Ok(());
        }
        let tag = self.tag(&source[tag]);
        match carrier {
            Carrier::Message(at) => {
                let group = self.group(tag, source);
                let before = self.groups[group].batch.len();
                let replaced = events::message(
                    &mut self.groups[group].batch,
                    at..range.end,
                    options.metadata,
                )?;
                self.count_time(replaced);
                self.groups[group].note(before, chunk);
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
        let group = self.group(tag, source);
        let before = self.groups[group].batch.len();
        while !entries.is_done() {
            let replaced = entries.read(&mut self.groups[group].batch)?;
            self.count_time(replaced);
        }
        self.groups[group].note(before, chunk);
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
        let first = self.owed.next();
        let mut batch = Batch::new(tag.clone(), source.clone());
        while !entries.is_done() {
            match entries.read(&mut batch) {
                Ok(replaced) => self.count_time(replaced),
                Err(reason) => {
                    self.emit(batch, false);
                    return Err(reason);
                }
            }
            if batch.footprint() - source.len() > PIECE && !entries.is_done() {
                self.emit(batch, chunk.is_some());
                self.permit = Some(self.room_for_piece().await);
                source = source.slice(entries.rebase()..);
                batch = Batch::new(tag.clone(), source.clone());
            }
        }
        self.emit(batch, chunk.is_some());
        if let Some(chunk) = chunk {
            self.owed.expect(first..self.owed.next(), chunk);
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

    /// The batch for `tag`, among the groups. In each group records keep their order.
    fn group(&mut self, tag: Tag, source: &Bytes) -> usize {
        if let Some(group) = self
            .groups
            .iter()
            .rposition(|group| *group.batch.tag() == tag)
        {
            return group;
        }
        if self.groups.len() == GROUPS_MAX {
            self.emit_groups();
        }
        let batch = Batch::new(tag, source.clone());
        self.groups.push(Group {
            batch,
            chunks: Vec::new(),
        });
        self.groups.len() - 1
    }

    fn emit_groups(&mut self) {
        let mut groups = std::mem::take(&mut self.groups);
        for Group { batch, chunks } in groups.drain(..) {
            let first = self.owed.next();
            self.emit(batch, !chunks.is_empty());
            for (records, chunk) in chunks {
                let records = first + records.start as u64..first + records.end as u64;
                self.owed.expect(records, chunk);
            }
        }
        self.groups = groups;
    }

    fn emit(&mut self, mut batch: Batch, awaited: bool) {
        if batch.is_empty() {
            return;
        }
        let first = self.owed.next();
        for (offset, record) in (first..).zip(batch.records_mut()) {
            record.position = Position { offset, len: 1 };
        }
        let obligation = self.owed.open(batch.len());
        let permit = self
            .permit
            .take()
            .unwrap_or_else(|| self.shared.gate.nothing());
        let batch = batch
            .with_obligation(obligation)
            .with_awaited(awaited)
            .with_permit(permit);
        self.emitter.emit(batch);
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
            self.owed.expect(self.owed.next()..self.owed.next(), chunk);
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

impl Group {
    /// Notes that the records since `first` are acknowledged as `chunk`.
    fn note(&mut self, first: usize, chunk: Option<Bytes>) {
        if let Some(chunk) = chunk {
            self.chunks.push((first..self.batch.len(), chunk));
        }
    }
}
