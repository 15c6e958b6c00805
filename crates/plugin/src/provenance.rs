//! Which records a request carries, in terms that hold over a restart.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use record::{Batch, Origin, Position};

/// Where the records of a request come from, in their order: fixed before its first attempt, so that a service that keeps
/// track of it recognises what is sent again after a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance(Vec<(Origin, Position)>);

impl Provenance {
    /// Adds `records` of `batch`.
    ///
    /// Copies of a record under other tags, and the records that a filter made of one, have its position: their origins are
    /// told apart here by tag and place, so that none is taken for a repeat of another.
    pub fn add(&mut self, batch: &Batch, records: Range<u32>) {
        let Some(names) = RecordNames::of(batch) else {
            let none = (Origin::NONE, Position::default());
            self.0.extend(std::iter::repeat_n(none, records.len()));
            return;
        };
        // One that stands for no position is told from others by nothing.
        let none = (Origin::NONE, Position::default());
        self.0
            .extend(records.map(|index| names.name(index).unwrap_or(none)));
    }

    /// The records: [`Origin::NONE`] for one whose source gives no positions.
    pub fn records(&self) -> &[(Origin, Position)] {
        &self.0
    }
}

/// Tells the records of one batch from all others, in terms that hold over a restart.
#[derive(Debug)]
pub struct RecordNames<'a> {
    batch: &'a Batch,
    /// Of the records under their tag.
    own: Origin,
}

impl<'a> RecordNames<'a> {
    /// Of the records of `batch`; `None`: its source gives no positions.
    pub fn of(batch: &'a Batch) -> Option<RecordNames<'a>> {
        let source = batch.origin();
        let own = || Origin::of(&[&source.to_bytes(), batch.tag().as_bytes()]);
        (!source.is_none()).then(|| RecordNames { batch, own: own() })
    }

    /// Of the record at `index`: it is another one if either differs. `None`: it stands for no position.
    ///
    /// Copies under other tags, and the records that a filter made of one, have its position: their origins differ by tag
    /// and place.
    #[inline]
    pub fn name(&self, index: u32) -> Option<(Origin, Position)> {
        let all = self.batch.records();
        let position = all[index as usize].position;
        if position.len == 0 {
            return None;
        }
        let before = all[..index as usize].iter().rev();
        let place = before
            .take_while(|other| other.position.offset == position.offset)
            .count();
        let origin = match place {
            0 => self.own,
            _ => self.at_place(place),
        };
        Some((origin, position))
    }

    #[cold]
    fn at_place(&self, place: usize) -> Origin {
        let (source, tag) = (self.batch.origin().to_bytes(), self.batch.tag().as_bytes());
        Origin::of(&[&source, tag, &(place as u64).to_le_bytes()])
    }
}

/// Names a router with its state, to a service that keeps track of what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The same as long as the router's state is.
    pub id: [u8; 16],
    /// Grows with each start.
    pub epoch: u64,
}

/// Who the router is, for outputs that ask: nobody if it has no state that outlives it. Asking creates the state, so it is
/// asked only when a service keeps track.
#[derive(Clone, Default)]
pub struct WriterSource(Option<Arc<dyn Fn() -> Option<Writer> + Send + Sync>>);

impl WriterSource {
    /// One that asks `find`.
    pub fn new(find: impl Fn() -> Option<Writer> + Send + Sync + 'static) -> WriterSource {
        WriterSource(Some(Arc::new(find)))
    }

    /// Who the router is to the service that the output `name` writes to.
    pub fn writer(&self, name: &str) -> Option<Writer> {
        let router = self.0.as_ref()?()?;
        let id = Origin::of(&[b"writer", &router.id, name.as_bytes()]);
        Some(Writer {
            id: id.to_bytes(),
            epoch: router.epoch,
        })
    }
}

impl fmt::Debug for WriterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriterSource")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use record::{Record, Tag};

    use super::*;

    fn batch(tag: &str, origin: Origin, offsets: &[u64]) -> Batch {
        let mut batch = Batch::new(Tag::from(tag), Bytes::new()).with_origin(origin);
        for offset in offsets {
            batch.push_record(Record {
                position: Position {
                    offset: *offset,
                    len: 5,
                },
                ..Record::default()
            });
        }
        batch
    }

    fn of(batch: &Batch, records: Range<u32>) -> Vec<(Origin, Position)> {
        let mut provenance = Provenance::default();
        provenance.add(batch, records);
        provenance.records().to_vec()
    }

    #[test]
    fn a_record_is_told_from_its_copies() {
        let file = Origin::of(&[b"file"]);
        let one = of(&batch("a", file, &[0, 5, 5, 5, 10]), 0..5);
        // Made of one, they are three; and the same whatever request they are in.
        let alone = of(&batch("a", file, &[0, 5, 5, 5, 10]), 2..4);
        assert_eq!(alone, one[2..4]);
        let other = of(&batch("b", file, &[0, 5]), 0..2);
        let again = of(&batch("a", file, &[5, 10]), 0..2);
        assert_eq!(again, [one[1], one[4]]);
        let mut all = [one, other].concat();
        all.sort_by_key(|(origin, position)| (*origin, position.offset));
        all.dedup();
        assert_eq!(all.len(), 7);
    }

    #[test]
    fn without_an_origin_there_is_none() {
        let none = of(&batch("a", Origin::NONE, &[0, 5]), 0..2);
        assert_eq!(none, [(Origin::NONE, Position::default()); 2]);
        let mut nowhere = batch("a", Origin::of(&[b"file"]), &[3]);
        nowhere.records_mut()[0].position.len = 0;
        assert_eq!(of(&nowhere, 0..1), none[..1]);
    }
}
