//! Inputs: one file per plugin, named as in a user's configuration.
//!
//! To add one: write its file after the model of `tail.rs` (options, the static `PLUGIN`, behaviour, tests; details in a
//! folder of the same name), declare it here and put its `PLUGIN` into [`ALL`].
//!
//! Invariants: no input knows a filter, an output or the engine; none blocks its shard for long, and what may block (the
//! database of positions) has a thread of its own.

mod dummy;
mod forward;
mod gate;
mod http;
mod listening;
mod numbered;
mod stdin;
mod tail;
mod tcp;
#[cfg(test)]
mod test_road;
#[cfg(test)]
mod test_tls;

use plugin::InputPlugin;

/// Every input that a configuration can name.
pub static ALL: &[&InputPlugin] = &[
    &dummy::PLUGIN,
    &forward::PLUGIN,
    &http::PLUGIN,
    &stdin::PLUGIN,
    &tail::PLUGIN,
    &tcp::PLUGIN,
];
