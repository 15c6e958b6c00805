//! The running pipeline: takes batches from inputs, runs the filters, routes, and sees to it that every record of every
//! route is answered for.
//!
//! ```text
//! input ─▶ Road (filters, routes) ─▶ Runner of each output ─▶ requests ─▶ answers ─▶ obligations settled ─▶ input
//! ```
//!
//! * [`Plan`] is a checked configuration: what will run. Making one reports every mistake and touches nothing.
//! * [`Pipeline`] is a running plan on one thread (a shard): inputs, filters and outputs share it without locks.
//! * [`Shards`] is what several of them have together, and the way to tell all of them something.
//!
//! Invariants: the engine knows no plugin by name; nothing here waits while a batch is routed (what limits inputs is their
//! budget); a record's obligation is settled only by an answer, a counted drop or a filter, and a panic refuses it.

mod builder;
mod conservation;
mod ending;
mod identity;
mod idle;
mod input_task;
mod instance;
mod letters;
mod memory;
mod output_task;
mod oversight;
mod pace;
mod pipeline;
mod plan;
mod program;
mod read_ahead;
mod reading_on;
mod reload;
mod retry;
mod road;
mod runner;
mod shards;
mod storage;
mod watchdog;

pub use letters::{DeadLetter, LetterBox, LettersRead, Replay};
pub use memory::LIMIT_MIN as MEMORY_LIMIT_MIN;
pub use pipeline::{Controller, Handovers, Pipeline, PipelineError, Reloaded};
pub use plan::{Plan, Registry};
pub use shards::{Member, Shards, deal};
pub use storage::{SimulatedDisk, state_name};
