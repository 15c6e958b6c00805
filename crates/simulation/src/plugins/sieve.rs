//! A filter that drops some records and gives others another tag.

use bytes::Bytes;
use plugin::{BuildError, Filter, FilterCall, FilterContext, FilterPlugin};
use record::{Batch, Field, Obligation, Record, Tag, Value};

use super::Part;
use crate::mutation::Mutation;
use crate::text::{Id, Way};
use crate::world::World;

/// The filter of every scenario that has one.
pub static PLUGIN: FilterPlugin = FilterPlugin::new::<Sieve>("sim_sieve");

struct Sieve;

impl Filter for Sieve {
    type Options = Part;

    fn build(_: Part, _: &FilterContext) -> Result<Sieve, BuildError> {
        Ok(Sieve)
    }

    fn filter(&mut self, batch: &mut Batch, call: &FilterCall<'_>) {
        let ways: Vec<Way> = batch
            .records()
            .iter()
            .map(|record| way(batch, record))
            .collect();
        for (index, _) in ways
            .iter()
            .enumerate()
            .filter(|(_, way)| **way == Way::Retag)
        {
            let index = index as u32;
            let mut obligations = batch.carve(index..index + 1).into_obligations();
            let obligation = obligations.next().unwrap_or_else(Obligation::none);
            call.emit.emit(retagged(batch, index, obligation));
        }
        if World::current().is_mutated(Mutation::RefusesFiltered)
            && let Some(index) = ways.iter().position(|way| *way == Way::Drop)
        {
            drop(batch.carve(index as u32..index as u32 + 1));
        }
        let mut ways = ways.into_iter();
        batch.retain(|_, _| ways.next() == Some(Way::Pass));
    }
}

/// What becomes of a record; what is not whole passes, for the output to find.
fn way(batch: &Batch, record: &Record) -> Way {
    if batch.tag().as_bytes().starts_with(b"r") {
        return Way::Pass;
    }
    text(batch, record)
        .and_then(Id::read)
        .map_or(Way::Pass, Id::way)
}

fn text<'a>(batch: &'a Batch, record: &Record) -> Option<&'a [u8]> {
    match batch.get(record.body, b"log") {
        Some(Value::Str(span)) => Some(batch.bytes(span)),
        _ => None,
    }
}

/// A batch of the one record under its new tag.
fn retagged(batch: &Batch, index: u32, obligation: Obligation) -> Batch {
    let record = batch.records()[index as usize];
    let source = Bytes::copy_from_slice(text(batch, &record).unwrap_or_default());
    let whole = 0..source.len();
    let mut moved = Batch::new(Tag::from("r.0"), source)
        .with_obligation(obligation)
        .with_origin(batch.origin())
        .with_awaited(batch.is_awaited());
    let key = moved.put(b"log");
    let value = Value::Str(moved.span(whole));
    let mark = moved.mark();
    moved.push(Field::new(key, value));
    let body = moved.close(mark);
    moved.push_record(Record { body, ..record });
    moved
}
