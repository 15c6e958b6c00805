//! Ends a test whose input never comes to an end, and keeps that input.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::failure;

/// How long one input may take before everything is ended.
const ENDLESS: Duration = Duration::from_secs(60);

/// The input that is being tested, and since when.
type Current = Mutex<Option<(Instant, Vec<u8>)>>;

/// Watches one target, from a thread of its own.
pub struct Watch {
    current: Arc<Current>,
    room: Vec<u8>,
}

impl Watch {
    pub fn start(target: &'static str, folder: PathBuf) -> Watch {
        let current = Arc::new(Current::default());
        let watched = Arc::downgrade(&current);
        std::thread::spawn(move || watch(target, &folder, &watched));
        Watch {
            current,
            room: Vec::new(),
        }
    }

    pub fn begins(&mut self, input: &[u8]) {
        let mut room = std::mem::take(&mut self.room);
        room.clear();
        room.extend_from_slice(input);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some((Instant::now(), room));
    }

    pub fn ends(&mut self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        self.room = current.take().map(|(_, room)| room).unwrap_or_default();
    }
}

fn watch(target: &str, folder: &std::path::Path, watched: &Weak<Current>) {
    while let Some(current) = watched.upgrade() {
        let current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, input)) = &*current
            && since.elapsed() > ENDLESS
        {
            let stored = failure::store(folder, input);
            eprintln!(
                "{target}: no end after {ENDLESS:?}, kept: {stored:?}: b\"{}\"",
                input.escape_ascii()
            );
            std::process::exit(101);
        }
        drop(current);
        std::thread::sleep(Duration::from_millis(250));
    }
}
