//! Places where a test lets the lake fail or die. Without the feature `failpoints` there are none.
//!
//! `FLUMEN_FAILPOINTS=NAME=ACTION[*COUNT][,…]`, read when the first one is reached: `exit` ends the process at once, as
//! `kill -9` would; `error` fails the operation. With a count it happens at the COUNT-th time, once; without, every time.

/// Fails or ends the process if a test wants it at `name`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn io(_name: &'static str) -> std::io::Result<()> {
    Ok(())
}

#[cfg(feature = "failpoints")]
pub use active::io;

#[cfg(feature = "failpoints")]
mod active {
    use std::collections::HashMap;
    use std::io;
    use std::sync::{Mutex, OnceLock, PoisonError};

    #[derive(Clone, Copy)]
    enum Action {
        Exit,
        Error,
    }

    struct Point {
        action: Action,
        /// How often it is still passed before it acts; none: it acts every time.
        left: Option<u64>,
    }

    /// See the other form.
    pub fn io(name: &'static str) -> io::Result<()> {
        static POINTS: OnceLock<Mutex<HashMap<String, Point>>> = OnceLock::new();
        let points = POINTS.get_or_init(|| Mutex::new(configured()));
        let mut points = points.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(point) = points.get_mut(name) else {
            return Ok(());
        };
        match &mut point.left {
            None => {}
            Some(0) => return Ok(()),
            Some(left) => {
                *left -= 1;
                if *left > 0 {
                    return Ok(());
                }
            }
        }
        match point.action {
            // No destructor runs and nothing is flushed.
            Action::Exit => rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            )
            .map_err(io::Error::from),
            Action::Error => Err(io::Error::other(format!("failpoint {name}"))),
        }
    }

    fn configured() -> HashMap<String, Point> {
        let text = std::env::var("FLUMEN_FAILPOINTS").unwrap_or_default();
        text.split(',').filter_map(parse).collect()
    }

    fn parse(one: &str) -> Option<(String, Point)> {
        let (name, action) = one.trim().split_once('=')?;
        let (action, left) = match action.split_once('*') {
            Some((action, count)) => (action, Some(count.parse().ok()?)),
            None => (action, None),
        };
        let action = match action {
            "exit" => Action::Exit,
            "error" => Action::Error,
            _ => return None,
        };
        Some((name.to_owned(), Point { action, left }))
    }
}
