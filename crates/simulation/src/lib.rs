//! A deterministic simulation of the router: the real engine, ledger, budget, positions and write-ahead log, over
//! simulated sources, services, network, disk and clock, with an oracle that knows what must be true.
//!
//! ```text
//! LogFile, Sender ─▶ plugins::{files, senders} ─▶ engine ─▶ plugins::output ─▶ Service
//!        (live on)          (die with each life of the router)          (lives on)
//! ```
//!
//! A seed decides everything: the scenario (sources, outputs, rates of faults, how each life of the router ends) and then
//! each throw of the dice in the order of events. One thread, paused clock: the same seed is the same history.
//!
//! What the oracle checks (`book`, `history`), after the invariants of the design:
//!
//! * no position and no acknowledgement covers what is neither delivered nor durable; none goes back;
//! * nothing is lost, whatever was refused, cut, killed or panicked; what is given up is counted;
//! * nothing is delivered twice but what a crash left without a durable verdict, or whose answer got lost;
//! * memory held stays within the budget, and none is held in the end;
//! * counts are balanced: routed = delivered + filtered + dropped + in flight;
//! * requests keep to their lanes and to the number that may be under way;
//! * once everything has healed, all is delivered within a bounded time, and a restart after that sends nothing.
//!
//! `cargo run --release -p simulation -- --seed N` shows a seed; the tests run many, those of `regressions.txt` first.

mod book;
mod dice;
mod disk;
mod frames;
mod history;
mod log_file;
mod mutation;
mod panics;
mod plugins;
mod positions;
mod router;
mod scenario;
mod sender;
mod service;
mod sweep;
mod text;
mod trace;
mod world;

pub use history::{Outcome, run};
pub use mutation::Mutation;
pub use sweep::sweep;
