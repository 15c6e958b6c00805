//! Watches every station: the counters of the running pipeline, whether it is healthy, and Fluent Bit's monitoring API.
//!
//! The engine counts into [`Pipeline`]; nothing here changes how records travel.
//!
//! Conservation, for every output: routed = delivered + filtered + dropped (by reason) + returned + in flight.

mod admin;
mod alarms;
mod conservation;
mod counters;
mod health;
mod prometheus;
mod report;
mod server;
mod storage;
mod sum;
mod watched;

pub use admin::{Admin, Reload};
pub use alarms::Alarms;
pub use conservation::imbalances;
pub use counters::{FilterCounters, InputCounters, OutputCounters, Pipeline};
pub use health::{Health, HealthLimits};
pub use server::{Monitor, serve};
pub use storage::StorageGauges;
pub use watched::Watched;
