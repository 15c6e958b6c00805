//! Entries of a request, each of which may stand for several records.

use std::any::Any;

use plugin::{DeliveryId, Request};

/// A record and where it comes from.
pub type Origin = (DeliveryId, u32);

/// How many records the entries of a request stand for, where that is not one each: travels as the request's note.
#[derive(Debug, Default)]
pub struct Entries {
    /// For each entry, how many records it and those before it stand for.
    ends: Vec<u32>,
}

impl Entries {
    /// The next entry ends with the `records`-th record of the request.
    pub fn push(&mut self, records: u32) {
        self.ends.push(records);
    }

    /// The note of a request; starts anew.
    pub fn take(&mut self) -> Box<dyn Any> {
        Box::new(std::mem::take(self))
    }

    /// How many entries `request` has.
    pub fn count(request: &Request) -> u32 {
        Entries::of(request).map_or(request.parts.len(), |entries| entries.ends.len() as u32)
    }

    /// The records that entry number `index` of `request` stands for.
    pub fn records(request: &Request, index: u32) -> std::ops::Range<u32> {
        let Some(entries) = Entries::of(request) else {
            return index..index + 1;
        };
        let before = |index: u32| match index.checked_sub(1) {
            None => 0,
            Some(before) => entries.ends.get(before as usize).copied().unwrap_or(0),
        };
        before(index)..before(index + 1)
    }

    /// How many records each entry of `request` stands for, if that is not one each.
    pub fn counts(request: &Request) -> Option<impl ExactSizeIterator<Item = u32>> {
        let ends = &Entries::of(request)?.ends;
        let counts = ends
            .iter()
            .enumerate()
            .map(|(index, end)| end - index.checked_sub(1).map_or(0, |before| ends[before]));
        Some(counts)
    }

    fn of(request: &Request) -> Option<&Entries> {
        request.note.as_ref()?.downcast_ref()
    }
}
