//! What is wrong with an input, and where it is kept.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

/// What an input did.
pub enum Failure {
    /// It panicked, with these words.
    Panic(String),
    /// It took so long.
    Slow(Duration),
    /// It took so many bytes.
    Memory(usize),
}

impl Failure {
    /// Keeps the input and fails the test.
    pub fn report(self, target: &str, folder: &Path, input: &[u8]) -> ! {
        speak();
        let what = match self {
            Failure::Panic(message) => message,
            Failure::Slow(took) => format!("it took {took:?}"),
            Failure::Memory(bytes) => format!("it took {bytes} bytes of memory"),
        };
        let place = match store(folder, input) {
            Ok(path) => format!("kept in {}", path.display()),
            Err(error) => format!("not kept: {error}"),
        };
        let shown = input[..input.len().min(512)].escape_ascii();
        panic!(
            "{target}: {what}\n  input of {} bytes, {place}: b\"{shown}\"",
            input.len()
        );
    }
}

/// Writes an input to a file that is named after its content.
pub fn store(folder: &Path, input: &[u8]) -> io::Result<PathBuf> {
    // FNV-1a: stays the same from one compiler to the next.
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let path = folder.join(format!("{hash:016x}"));
    std::fs::create_dir_all(folder)?;
    std::fs::write(&path, input)?;
    Ok(path)
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the panics of this thread from being printed: while an input is made smaller, there are many.
pub fn keep_quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IS_QUIET.get() {
                LAST.with_borrow_mut(|last| *last = info.to_string());
            } else {
                usual(info);
            }
        }));
    });
    IS_QUIET.set(true);
}

/// Undoes [`keep_quiet`].
fn speak() {
    IS_QUIET.set(false);
}

/// Place and message of the last panic of this thread.
pub fn last_message() -> String {
    LAST.take()
}
