//! One writer: makes lines as they are due and hands them to its target.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::target::{Block, Target};
use super::{Pace, Progress};
use crate::line::Lines;
use crate::report::Sent;

/// The most that goes out at once.
const BLOCK: usize = 64 << 10;
/// The longest sleep: a signal is seen at least so often.
const NAP: Duration = Duration::from_millis(100);

/// A writer, ready to run on a thread of its own.
pub struct Writer {
    /// Its name in marks.
    pub id: u32,
    /// Where lines go.
    pub target: Target,
    /// When they go.
    pub pace: Pace,
    /// How many.
    pub count: Option<u64>,
    /// Until when.
    pub end: Option<Instant>,
    /// Whom it tells.
    pub progress: Arc<Progress>,
}

impl Writer {
    /// Writes until it is done or told to stop.
    pub fn run(mut self, mut lines: Lines) -> Result<Sent, String> {
        let mut block = Block::default();
        let (mut done, mut bytes) = (0, 0);
        while !self.is_over(&lines) {
            let now = Instant::now();
            let due = self.pace.due(now);
            block.clear();
            while done < due && block.text.len() < BLOCK && !self.is_complete(&lines) {
                let start = block.text.len();
                lines.push(&mut block.text);
                block.ends.push(block.text.len());
                done += self.pace.units(block.text.len() - start);
                if self.pace.is_each_line() {
                    break;
                }
            }
            if block.ends.is_empty() {
                std::thread::sleep(self.pace.wait(done, now).min(NAP));
                continue;
            }
            self.target
                .write(&block)
                .map_err(|error| format!("{} lines were written, then: {error}", lines.made()))?;
            bytes += block.text.len() as u64;
            let progress = &self.progress;
            progress
                .lines
                .fetch_add(block.ends.len() as u64, Ordering::Relaxed);
            progress
                .bytes
                .fetch_add(block.text.len() as u64, Ordering::Relaxed);
        }
        let resent = self
            .target
            .finish()
            .map_err(|error| format!("{} lines were written, then: {error}", lines.made()))?;
        Ok(Sent {
            writers: [(self.id, lines.made())].into(),
            lines: lines.made(),
            bytes,
            seconds: 0.0,
            resent,
        })
    }

    fn is_over(&self, lines: &Lines) -> bool {
        self.is_complete(lines)
            || self.progress.stop.load(Ordering::Relaxed)
            || self.end.is_some_and(|end| Instant::now() >= end)
    }

    fn is_complete(&self, lines: &Lines) -> bool {
        self.count.is_some_and(|count| lines.made() >= count)
    }
}
