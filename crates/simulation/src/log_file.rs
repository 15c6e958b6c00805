//! A file that a program writes and the router follows. It outlives both.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::world::World;

/// Lines of text, which are only ever added to.
#[derive(Default)]
pub struct LogFile {
    content: RefCell<Content>,
    /// Told when it has grown.
    pub grown: Notify,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    /// Where each line begins, and the end.
    starts: Vec<u64>,
}

impl LogFile {
    /// The end of the last whole line.
    pub fn end(&self) -> u64 {
        self.content.borrow().bytes.len() as u64
    }

    fn append(&self, line: &str) {
        let mut content = self.content.borrow_mut();
        let start = content.bytes.len() as u64;
        content.starts.push(start);
        content.bytes.extend_from_slice(line.as_bytes());
        content.bytes.push(b'\n');
        drop(content);
        self.grown.notify_one();
    }

    /// Where the whole lines end that begin at `start`, before `end` and within about `most` bytes, at least one.
    pub fn lines_end(&self, start: u64, end: u64, most: u64) -> u64 {
        let content = self.content.borrow();
        let length = content.bytes.len() as u64;
        let first = content.starts.partition_point(|at| *at <= start);
        let ends = content.starts[first..].iter().copied().chain([length]);
        let within = ends.take_while(|at| *at <= end);
        let mut best = start;
        for at in within {
            if at - start > most && best > start {
                break;
            }
            best = at;
        }
        best
    }

    /// Whether a line begins at `position`, or the file ends there.
    pub fn is_boundary(&self, position: u64) -> bool {
        position == self.end()
            || self
                .content
                .borrow()
                .starts
                .binary_search(&position)
                .is_ok()
    }

    /// The bytes of `range`.
    pub fn read(&self, range: Range<u64>) -> Vec<u8> {
        self.content.borrow().bytes[range.start as usize..range.end as usize].to_vec()
    }

    /// Where line `number` lies, with its newline.
    pub fn line(&self, number: u32) -> Range<u64> {
        let content = self.content.borrow();
        let start = content.starts[number as usize];
        let next = content.starts.get(number as usize + 1).copied();
        start..next.unwrap_or(content.bytes.len() as u64)
    }

    /// How many lines there are.
    pub fn len(&self) -> u32 {
        self.content.borrow().starts.len() as u32
    }
}

/// The program that writes file `index`, to its end.
pub async fn write(world: Rc<World>, index: usize) {
    let plan = world.scenario.tails[index];
    let mut left = plan.lines;
    while left > 0 {
        let burst = world.dice(|dice| dice.number(1..30)) as u32;
        for _ in 0..burst.min(left) {
            let id = world.book.borrow_mut().add(index);
            world.files[index].append(&id.text());
            left -= 1;
        }
        let pause = world.dice(|dice| dice.time(Duration::from_millis(1)..plan.pause));
        tokio::time::sleep(pause).await;
    }
}
