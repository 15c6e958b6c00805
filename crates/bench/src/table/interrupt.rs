//! Ctrl-C and SIGTERM: measuring ends in order, so that no router goes on and no folder stays behind.

use std::sync::atomic::{AtomicBool, Ordering};

/// What a program ends with that Ctrl-C has ended, as shells count it.
pub const EXIT: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Listens for signals from now on. A second one ends this program at once.
pub fn listen() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("the runtime cannot be started: {error}"))?;
    let listen = move || {
        runtime.block_on(async {
            crate::signal().await;
            ASKED.store(true, Ordering::Relaxed);
            crate::signal().await;
        });
        std::process::exit(EXIT.into());
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let thread = thread.spawn(listen);
    thread.map_err(|error| format!("a thread cannot be started: {error}"))?;
    Ok(())
}

/// Whether a signal has come.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
