//! Watches every station: the counters of the running pipeline, whether it is healthy, and Fluent Bit's monitoring API.
//!
//! The engine counts into [`Pipeline`]; nothing here changes how records travel.
//!
//! Conservation, for every output: routed = delivered + filtered + dropped (by reason) + in flight.

mod counters;
mod health;
mod prometheus;
mod report;
mod server;

pub use counters::{FilterCounters, InputCounters, OutputCounters, Pipeline};
pub use health::{Health, HealthLimits};
pub use server::{Monitor, serve};
