//! The envelope in which records travel.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;

use crate::builder::Builder;
use crate::pool::Storage;
use crate::span::MAX_OFFSET;
use crate::{
    Emission, Field, Fields, Key, Obligation, Origin, Permit, Receipt, Span, Tag, Time, Value,
};

/// What a batch carries. Only logs are taken apart; the other kinds travel as the encoding they arrived in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kind {
    /// Log records.
    #[default]
    Logs,
    /// Metrics (cmetrics msgpack in the source bytes).
    Metrics,
    /// Traces (ctraces msgpack in the source bytes).
    Traces,
    /// Profiles.
    Profiles,
    /// Blobs.
    Blobs,
}

/// Where a record comes from: an ascending position of its source and how many positions it covers.
/// For a file the byte offset of the line's start and the line's length with its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Position {
    /// The first position.
    pub offset: u64,
    /// How many positions.
    pub len: u32,
}

/// Whether an entry is a record or a marker around a group of them (OpenTelemetry scopes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Marker {
    /// An ordinary record.
    #[default]
    None,
    /// Opens a group: metadata and body are the group's metadata and attributes.
    GroupStart,
    /// Closes a group.
    GroupEnd,
}

/// A log record: its parts are spans and field ranges of the batch that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Record {
    /// The time of the event.
    pub time: Time,
    /// Metadata of the event; mostly empty.
    pub metadata: Fields,
    /// The fields of the event.
    pub body: Fields,
    /// Where it comes from.
    pub position: Position,
    /// An obligation of its own in the batch's receipt, counted from 1; 0 is none.
    pub extra: u32,
    /// Record or group marker.
    pub marker: Marker,
}

/// Records of one tag, from one source, in the order of their positions.
///
/// Built by an input, changed in place by filters, then frozen ([`Batch::freeze`]) and shared by the routes.
pub struct Batch {
    id: u64,
    tag: Tag,
    kind: Kind,
    source: Bytes,
    storage: Storage,
    receipt: Receipt,
    permit: Option<Permit>,
    origin: Origin,
    emission: Emission,
    awaited: bool,
    noticed: Option<Instant>,
}

impl Batch {
    /// An empty batch of log records over `source` (at most 1 GiB), which values may point into without a copy.
    ///
    /// # Panics
    /// When `source` is larger.
    pub fn new(tag: Tag, source: Bytes) -> Batch {
        static IDS: AtomicU64 = AtomicU64::new(1);
        assert!(source.len() <= MAX_OFFSET, "a batch spans at most 1 GiB");
        Batch {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            tag,
            kind: Kind::Logs,
            source,
            storage: Storage::take(),
            receipt: Receipt::none(),
            permit: None,
            origin: Origin::NONE,
            emission: Emission::default(),
            awaited: false,
            noticed: None,
        }
    }

    /// The same with another kind.
    pub fn with_kind(mut self, kind: Kind) -> Batch {
        self.kind = kind;
        self
    }

    /// Lets `obligation` answer for all records. Without it nobody is answered.
    pub fn with_obligation(mut self, obligation: Obligation) -> Batch {
        self.receipt = Receipt::new(obligation);
        self
    }

    /// Lets the batch hold `permit` until it is dropped.
    pub fn with_permit(mut self, permit: Permit) -> Batch {
        self.permit = Some(permit);
        self
    }

    /// Says which source the positions of the records belong to. A filter that puts records into a batch of its own, under
    /// another tag say, hands the origin on with their positions.
    pub fn with_origin(mut self, origin: Origin) -> Batch {
        self.origin = origin;
        self
    }

    /// Which source the positions of the records belong to; [`Origin::NONE`] if they mean nothing after a restart.
    #[inline]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Says which filter puts the batch on the road anew, and how often that happened.
    pub fn with_emission(mut self, emission: Emission) -> Batch {
        self.emission = emission;
        self
    }

    /// Which filter put the batch on the road anew, if one did.
    #[inline]
    pub fn emission(&self) -> Emission {
        self.emission
    }

    /// Lets it lie over `source`, from which its values were read before that could be shared
    /// ([`record_of_coming_source`](crate::msgpack::read::record_of_coming_source)).
    ///
    /// # Panics
    /// When `source` is larger than 1 GiB.
    pub fn with_source(mut self, source: Bytes) -> Batch {
        assert!(source.len() <= MAX_OFFSET, "a batch spans at most 1 GiB");
        self.source = source;
        self
    }

    /// Gives all its records another tag.
    pub fn with_tag(mut self, tag: Tag) -> Batch {
        self.tag = tag;
        self
    }

    /// An empty batch of the same kind over the same source, in which spans of the source mean the same: for records that
    /// part from this one. Obligations are the caller's; memory is accounted for when it is frozen.
    pub fn sibling(&mut self, tag: Tag) -> Batch {
        let mut sibling = Batch::new(tag, self.source.clone()).with_kind(self.kind);
        sibling.permit = self.permit.as_mut().map(|permit| permit.split(0));
        sibling.origin = self.origin;
        sibling.emission = self.emission;
        sibling.awaited = self.awaited;
        sibling.noticed = self.noticed;
        sibling
    }

    /// Moves what is owed for `records` of `receipt`, this batch's or a fork of it, into `into`, and copies of the records to its
    /// end. Its records must be of the same source and come before.
    pub fn copy_into(&self, into: &mut Batch, records: Range<u32>, receipt: &mut Receipt) {
        let carved = receipt.carve(self, records.clone());
        let mut extra = into.receipt.absorb(carved);
        for record in &self.storage.records[records.start as usize..records.end as usize] {
            let mut copy = into.copy_record(self, record);
            if record.extra != 0 {
                extra += 1;
                copy.extra = extra;
            }
            into.push_record(copy);
        }
    }

    /// A permit of its own for `bytes` that outlive the batch, from the memory that the batch was given.
    pub fn permit_for(&mut self, bytes: usize) -> Option<Permit> {
        let mut permit = self.permit.as_mut()?.split(0);
        permit.resize(bytes);
        Some(permit)
    }

    /// Marks that someone waits for the answer (an acknowledgement, say): outputs send it at once.
    pub fn with_awaited(mut self, awaited: bool) -> Batch {
        self.awaited = awaited;
        self
    }

    /// Whether someone waits for the answer.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// Says since when its records may have waited for their input to read them: outputs count that as waiting too.
    pub fn with_noticed(mut self, noticed: Instant) -> Batch {
        self.noticed = Some(noticed);
        self
    }

    /// Since when its records may have waited in their source, if the input knows.
    #[inline]
    pub fn noticed(&self) -> Option<Instant> {
        self.noticed
    }

    /// A number that no other batch of this process has: for caches of spans.
    #[inline]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The tag of all its records.
    #[inline]
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// What it carries.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The shared bytes that values may point into.
    #[inline]
    pub fn source(&self) -> &Bytes {
        &self.source
    }

    /// Its records, in order.
    #[inline]
    pub fn records(&self) -> &[Record] {
        &self.storage.records
    }

    /// Its records, to be changed.
    #[inline]
    pub fn records_mut(&mut self) -> &mut Vec<Record> {
        &mut self.storage.records
    }

    /// How many records it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.storage.records.len()
    }

    /// Whether it has no record.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.storage.records.is_empty()
    }

    /// The bytes of a span of this batch.
    #[inline]
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.space(span)[span.range()]
    }

    /// The bytes in which a span lies: the source or the arena.
    #[inline]
    pub(crate) fn space(&self, span: Span) -> &[u8] {
        if span.is_in_arena() {
            &self.storage.arena
        } else {
            &self.source
        }
    }

    /// The fields of a range of this batch.
    #[inline]
    pub fn fields(&self, fields: Fields) -> &[Field] {
        &self.storage.fields[fields.range()]
    }

    /// The last field of `fields` whose key is the text `name`, as record accessors see it.
    pub fn get(&self, fields: Fields, name: &[u8]) -> Option<Value> {
        self.fields(fields)
            .iter()
            .rev()
            .find(|field| self.key_is(field.key, name))
            .map(|field| field.value)
    }

    /// Whether `key` is the text `name`.
    #[inline]
    pub fn key_is(&self, key: Key, name: &[u8]) -> bool {
        // Names are short: they are compared here rather than by a call, several times per record.
        let is_equal = |text: &[u8]| text.iter().zip(name).all(|(one, other)| one == other);
        key.span().len() == name.len() && !key.is_msgpack() && is_equal(self.bytes(key.span()))
    }

    /// Says that the first key of these fields will be looked at soon. Keys stand where a record was read, and who passes over
    /// the records of a batch would wait for each of them: nobody else needs that memory any more.
    #[inline]
    pub fn expect(&self, fields: Fields) {
        #[cfg(target_arch = "x86_64")]
        if let Some(first) = self.fields(fields).first() {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let span = first.key.span();
            let text = self.space(span).as_ptr().wrapping_add(span.range().start);
            // SAFETY: this reads nothing, and SSE belongs to every x86-64.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(text.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = fields;
    }

    /// The span of `range` of the source bytes.
    ///
    /// # Panics
    /// When `range` reaches beyond them.
    #[inline]
    pub fn span(&self, range: Range<usize>) -> Span {
        assert!(range.start <= range.end && range.end <= self.source.len());
        Span::in_source(range)
    }

    /// Copies `bytes` into the arena.
    ///
    /// # Panics
    /// When the arena would exceed 1 GiB.
    pub fn put(&mut self, bytes: &[u8]) -> Span {
        self.make(|arena| arena.extend_from_slice(bytes))
    }

    /// Lets `write` append to the arena and gives the span of what it appended. It must only append.
    ///
    /// # Panics
    /// When the arena would exceed 1 GiB.
    pub fn make(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.storage.arena.len();
        write(&mut self.storage.arena);
        assert!(
            (start..=MAX_OFFSET).contains(&self.storage.arena.len()),
            "the arena of a batch holds at most 1 GiB"
        );
        Span::in_arena(start..self.storage.arena.len())
    }

    /// Writes into the arena something made from `from`, a span of this batch.
    pub fn make_from(&mut self, from: Span, write: impl FnOnce(&[u8], &mut Vec<u8>)) -> Span {
        if !from.is_in_arena() {
            let source = self.source.clone();
            return self.make(|arena| write(&source[from.range()], arena));
        }
        let Storage { arena, made, .. } = &mut self.storage;
        made.clear();
        write(&arena[from.range()], made);
        let start = arena.len();
        assert!(
            start + made.len() <= MAX_OFFSET,
            "the arena of a batch holds at most 1 GiB"
        );
        arena.extend_from_slice(made);
        Span::in_arena(start..arena.len())
    }

    /// Lets `read` take apart `from`, a span of this batch: it gets the bytes in which the span lies and what it may
    /// append to. After an error nothing of that is left.
    #[inline]
    pub(crate) fn read<T, E>(
        &mut self,
        from: Span,
        read: impl FnOnce(&[u8], &mut Builder<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let Storage {
            arena,
            fields,
            scratch,
            made,
            ..
        } = &mut self.storage;
        let (field_mark, scratch_mark, arena_mark) = (fields.len(), scratch.len(), arena.len());
        let result = if from.is_in_arena() {
            made.clear();
            let result = read(
                arena,
                &mut Builder {
                    fields,
                    scratch,
                    made,
                    base: arena_mark,
                },
            );
            arena.extend_from_slice(made);
            result
        } else {
            read(
                &self.source,
                &mut Builder {
                    fields,
                    scratch,
                    made: arena,
                    base: 0,
                },
            )
        };
        if result.is_err() {
            fields.truncate(field_mark);
            scratch.truncate(scratch_mark);
            arena.truncate(arena_mark);
        }
        result
    }

    /// Lets `read` append to the batch what it reads from bytes that will be the batch's source. After an error nothing of that is
    /// left.
    #[inline]
    pub(crate) fn read_coming_source<T, E>(
        &mut self,
        read: impl FnOnce(&mut Builder<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let Storage {
            arena,
            fields,
            scratch,
            ..
        } = &mut self.storage;
        let marks = (fields.len(), scratch.len(), arena.len());
        let result = read(&mut Builder {
            fields,
            scratch,
            made: arena,
            base: 0,
        });
        if result.is_err() {
            fields.truncate(marks.0);
            scratch.truncate(marks.1);
            arena.truncate(marks.2);
        }
        result
    }

    /// Where the next field will lie: the start of a run for [`Batch::close`].
    #[inline]
    pub fn mark(&self) -> u32 {
        self.storage.fields.len() as u32
    }

    /// Appends a field to the run that is being written. Nothing else may write fields before the run is closed; a
    /// nested map or array is written first, or with [`Batch::nest`].
    #[inline]
    pub fn push(&mut self, field: Field) {
        self.storage.fields.push(field);
    }

    /// The run of fields written since `mark`.
    #[inline]
    pub fn close(&self, mark: u32) -> Fields {
        Fields {
            start: mark,
            len: self.storage.fields.len() as u32 - mark,
        }
    }

    /// Takes back the fields written since `mark`.
    #[inline]
    pub fn rewind(&mut self, mark: u32) {
        self.storage.fields.truncate(mark as usize);
    }

    /// Appends a copy of existing `fields` to the run that is being written.
    #[inline]
    pub fn push_copy(&mut self, fields: Fields) {
        self.storage.fields.extend_from_within(fields.range());
    }

    /// Changes one existing field.
    ///
    /// # Panics
    /// When `index` is not below the number of `fields`.
    pub fn set(&mut self, fields: Fields, index: usize, field: Field) {
        self.storage.fields[fields.range()][index] = field;
    }

    /// Opens a map or array inside a run that is being written: the fields follow with [`Batch::nest_push`], levels may
    /// nest, and [`Batch::nest_close`] moves the innermost one to its place. For readers that meet values in text order.
    pub fn nest(&mut self) -> u32 {
        self.storage.scratch.len() as u32
    }

    /// Appends a field to the innermost open level.
    pub fn nest_push(&mut self, field: Field) {
        self.storage.scratch.push(field);
    }

    /// Closes the level that `level` opened and gives its fields.
    pub fn nest_close(&mut self, level: u32) -> Fields {
        let start = self.storage.fields.len() as u32;
        let Storage {
            fields, scratch, ..
        } = &mut self.storage;
        fields.extend_from_slice(&scratch[level as usize..]);
        scratch.truncate(level as usize);
        self.close(start)
    }

    /// Abandons every level above `level` after an error.
    pub fn nest_rewind(&mut self, level: u32) {
        self.storage.scratch.truncate(level as usize);
    }

    /// Appends a record. Positions must not descend.
    #[inline]
    pub fn push_record(&mut self, record: Record) {
        self.storage.records.push(record);
    }

    /// Keeps the records that `keep` wants. Those removed count as filtered: they are answered for with their neighbours.
    pub fn retain(&mut self, mut keep: impl FnMut(&Batch, &Record) -> bool) {
        let mut records = std::mem::take(&mut self.storage.records);
        records.retain(|record| keep(self, record));
        self.storage.records = records;
    }

    /// What is owed for the records.
    pub fn receipt_mut(&mut self) -> &mut Receipt {
        &mut self.receipt
    }

    /// Takes out what is owed for `records`, for a filter that holds or re-tags them; the records stay until the filter
    /// removes them.
    pub fn carve(&mut self, records: Range<u32>) -> Receipt {
        let mut receipt = std::mem::replace(&mut self.receipt, Receipt::none());
        let carved = receipt.carve(self, records);
        self.receipt = receipt;
        carved
    }

    /// Bytes of memory that the batch holds, its source included.
    pub fn footprint(&self) -> usize {
        self.source.len() + self.storage.footprint()
    }

    /// Bytes of memory that what is in the batch takes: its footprint without room for more.
    pub fn used(&self) -> usize {
        self.source.len() + self.storage.used()
    }

    /// Ends the time of changes: the batch may now be shared by several routes. Its permit is corrected to its footprint.
    pub fn freeze(mut self) -> (Arc<Batch>, Receipt) {
        let receipt = std::mem::replace(&mut self.receipt, Receipt::none());
        self.storage.fit();
        let footprint = self.footprint();
        if let Some(permit) = &mut self.permit {
            permit.resize(footprint);
        }
        (Arc::new(self), receipt)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        std::mem::take(&mut self.storage).put();
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("tag", &self.tag)
            .field("kind", &self.kind)
            .field("records", &self.len())
            .finish()
    }
}
