//! The durable positions of files: what the real database code reads and writes, with a history to lose the end of.
//!
//! The database itself is in memory, made anew for every life from what is durable: that SQLite keeps its promises is
//! not what is tested here.

use std::cell::RefCell;
use std::path::PathBuf;

use buffer::positions::{
    Changes, Facts, Fingerprint, JournalMode, Location, Position, RowKey, Store, Synchronous,
};

use crate::book::Finding;
use crate::text::Id;
use crate::world::World;

/// What was written about each file, the newest last.
pub struct Positions(Vec<RefCell<Vec<Position>>>);

/// The database in one life of the router, for one file.
pub struct Open {
    file: usize,
    store: Store,
    key: RowKey,
    /// What it says about the file.
    pub position: Option<Position>,
}

impl Positions {
    /// Nothing about `files` files.
    pub fn new(files: usize) -> Positions {
        Positions((0..files).map(|_| RefCell::default()).collect())
    }

    /// Opens the database as it is on the disk.
    ///
    /// # Panics
    /// When SQLite fails in memory.
    pub fn open(&self, file: usize) -> Open {
        let location = Location {
            path: PathBuf::from(":memory:"),
            synchronous: Synchronous::Normal,
            journal_mode: JournalMode::Memory,
            exclusive: false,
        };
        let mut store = Store::open(location).expect("in memory");
        // Any key names a new row; this one is not in use as the store has none.
        let key = store.new_key();
        if let Some(position) = self.0[file].borrow().last() {
            let rows = [(key, Some(position.clone()))].into();
            let changes = Changes { rows, scan: None };
            store.apply(&changes).expect("in memory");
        }
        let loaded = store.load().expect("in memory").pop();
        let (key, position) = match loaded {
            Some((key, position)) => (key, Some(position)),
            None => (key, None),
        };
        Open {
            file,
            store,
            key,
            position,
        }
    }

    /// What is durable about a file.
    pub fn durable(&self, file: usize) -> Option<Position> {
        self.0[file].borrow().last().cloned()
    }

    /// The last `count` writes are lost.
    pub fn forget(&self, file: usize, count: usize) {
        let mut history = self.0[file].borrow_mut();
        let left = history.len().saturating_sub(count);
        history.truncate(left);
    }
}

impl Open {
    /// Writes a position; it is durable when this returns.
    ///
    /// # Panics
    /// When SQLite fails in memory.
    pub fn write(&mut self, world: &World, position: Position) -> Result<(), Finding> {
        let rows = [(self.key, Some(position.clone()))].into();
        let changes = Changes { rows, scan: None };
        self.store.apply(&changes).expect("in memory");
        let before = world.positions.durable(self.file);
        world.positions.0[self.file]
            .borrow_mut()
            .push(position.clone());
        if let Some(before) = before {
            is_monotone(&before, &position)?;
        }
        for number in 0..world.files[self.file].len() {
            if is_covered(world, self.file, &position, number) {
                let source = self.file as u8;
                world.covered(Id { source, number })?;
            }
        }
        Ok(())
    }
}

/// A position of file `file` that says what is delivered.
pub fn position(file: usize, offset: u64, delivered: Vec<std::ops::Range<u64>>) -> Position {
    let name = PathBuf::from(format!("/logs/{file}.log"));
    Position {
        name: name.clone(),
        inode: file as u64 + 1,
        offset,
        rotated: false,
        marker: Fingerprint::NONE,
        facts: Some(Facts {
            origin: name.clone(),
            path: name,
            device: 1,
            birth: None,
            head: Fingerprint::NONE,
            tail: Fingerprint::NONE,
            generation: 0,
            source: None,
            delivered,
        }),
    }
}

/// Whether nobody has to read line `number` again.
pub fn is_covered(world: &World, file: usize, position: &Position, number: u32) -> bool {
    let line = world.files[file].line(number);
    let beyond = position.facts.iter().flat_map(|facts| &facts.delivered);
    let holds = |range: &std::ops::Range<u64>| range.start <= line.start && line.end <= range.end;
    line.end <= position.offset || beyond.into_iter().any(holds)
}

/// Whether `new` covers all that `old` covers.
fn is_monotone(old: &Position, new: &Position) -> Result<(), Finding> {
    let covers = |range: &std::ops::Range<u64>| {
        let mut at = range.start.max(new.offset);
        for own in new.facts.iter().flat_map(|facts| &facts.delivered) {
            if own.start <= at {
                at = at.max(own.end);
            }
        }
        at >= range.end
    };
    let prefix = 0..old.offset;
    let beyond = old.facts.iter().flat_map(|facts| &facts.delivered);
    match std::iter::once(&prefix).chain(beyond).all(covers) {
        true => Ok(()),
        false => Err(format!("a position went back from {old:?} to {new:?}")),
    }
}
