//! Panics of the code under test: none may happen but those that the simulation makes.

use std::cell::RefCell;
use std::sync::Once;

use crate::plugins::output::MeantPanic;

thread_local! {
    static SEEN: RefCell<Option<String>> = const { RefCell::new(None) };
    static INSIDE: RefCell<bool> = const { RefCell::new(false) };
}

/// Remembers panics of this thread instead of printing them.
pub fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().is::<MeantPanic>() {
                return;
            }
            if INSIDE.try_with(|inside| *inside.borrow()) != Ok(true) {
                return before(info);
            }
            SEEN.with_borrow_mut(|seen| seen.get_or_insert_with(|| info.to_string()).truncate(500));
        }));
    });
    INSIDE.set(true);
    SEEN.set(None);
}

/// The first panic since then, if there was one; they are printed again from now on.
pub fn take() -> Option<String> {
    INSIDE.set(false);
    SEEN.take()
}

/// The first panic so far.
pub fn seen() -> Option<String> {
    SEEN.with_borrow(Clone::clone)
}
