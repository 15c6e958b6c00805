//! Where the records of one batch go.

use std::collections::HashMap;
use std::ops::Range;

use plugin::Emit;
use record::{Batch, Emission, Origin, Receipt, Tag, TagFault};

use crate::emitter::Emissions;

/// The records of one batch that get another tag, by that tag, in the order of their first record.
#[derive(Default)]
pub struct Targets {
    targets: Vec<Target>,
    /// Beyond a few, targets are looked up here.
    by_tag: HashMap<Tag, usize>,
    last: usize,
    records: usize,
}

/// Up to so many, comparing is quicker than looking up.
const FEW: usize = 8;

struct Target {
    tag: Tag,
    /// Records that only go there.
    moved: Runs,
    /// Records that keep their old tag too.
    copied: Runs,
}

/// Ascending records; neighbours share a range.
#[derive(Default)]
struct Runs(Vec<Range<u32>>);

impl Runs {
    fn push(&mut self, record: u32) {
        match self.0.last_mut() {
            Some(last) if last.end == record => last.end += 1,
            _ => self.0.push(record..record + 1),
        }
    }
}

impl Targets {
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// How many records get another tag.
    pub fn records(&self) -> usize {
        self.records
    }

    pub fn clear(&mut self) {
        self.targets.clear();
        self.by_tag.clear();
        (self.last, self.records) = (0, 0);
    }

    /// Adds a record, the next one of the batch or a later one.
    pub fn add(&mut self, tag: &[u8], record: u32, keep: bool) -> Result<(), TagFault> {
        let index = match self.find(tag) {
            Some(index) => index,
            None => {
                let tag = Tag::checked(tag)?;
                self.by_tag.insert(tag.clone(), self.targets.len());
                self.targets.push(Target {
                    tag,
                    moved: Runs::default(),
                    copied: Runs::default(),
                });
                self.targets.len() - 1
            }
        };
        self.last = index;
        self.records += 1;
        match keep {
            true => self.targets[index].copied.push(record),
            false => self.targets[index].moved.push(record),
        }
        Ok(())
    }

    fn find(&self, tag: &[u8]) -> Option<usize> {
        let is_it = |target: &Target| target.tag.as_bytes() == tag;
        if self.targets.get(self.last).is_some_and(is_it) {
            return Some(self.last);
        }
        match self.targets.len() > FEW {
            true => self.by_tag.get(tag).copied(),
            false => self.targets.iter().position(is_it),
        }
    }

    /// Emits the records and takes those that only go elsewhere out of `batch`.
    pub fn emit(
        &mut self,
        batch: &mut Batch,
        emission: Emission,
        emissions: &Emissions,
        road: &dyn Emit,
    ) {
        if let [Target { tag, moved, .. }] = self.targets.as_slice()
            && moved.0 == [0..batch.len() as u32]
        {
            let nothing = batch.sibling(tag.clone());
            let whole = std::mem::replace(batch, nothing);
            road.emit(whole.with_tag(tag.clone()).with_emission(emission));
            self.clear();
            return;
        }
        let targets = std::mem::take(&mut self.targets);
        self.clear();
        // Copies first: they need what is owed for the records as long as it is together.
        for target in targets.iter().filter(|target| !target.copied.0.is_empty()) {
            let origin = emissions.origin_of_copy(batch, &target.tag);
            let mut copies = batch.sibling(target.tag.clone()).with_origin(origin);
            let mut fork = batch.receipt_mut().fork();
            for run in &target.copied.0 {
                batch.copy_into(&mut copies, run.clone(), &mut fork);
            }
            // The rest was not copied: it is owed once, as before.
            fork.settle_all();
            road.emit(copies.with_emission(emission));
        }
        let mut leave = vec![false; batch.len()];
        let mut receipt = std::mem::replace(batch.receipt_mut(), Receipt::none());
        for target in targets.iter().filter(|target| !target.moved.0.is_empty()) {
            let mut moved = batch.sibling(target.tag.clone());
            for run in &target.moved.0 {
                batch.copy_into(&mut moved, run.clone(), &mut receipt);
                leave[run.start as usize..run.end as usize].fill(true);
            }
            road.emit(moved.with_emission(emission));
        }
        *batch.receipt_mut() = receipt;
        let mut leave = leave.into_iter();
        batch.records_mut().retain(|_| leave.next() != Some(true));
    }
}

impl Emissions {
    /// The origin of copies: their positions are those of the records that keep the old tag, and must not be taken for the same.
    fn origin_of_copy(&self, batch: &Batch, tag: &Tag) -> Origin {
        let origin = batch.origin();
        match origin.is_none() {
            true => Origin::NONE,
            false => Origin::of(&[
                b"copy",
                self.name().as_bytes(),
                tag.as_bytes(),
                &origin.to_bytes(),
            ]),
        }
    }
}
