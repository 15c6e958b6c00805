//! Dates and times as Athena reads and writes them: no Arrow here, only numbers and text.

pub(crate) mod civil;
pub(crate) mod iso;
pub(crate) mod joda;
pub(crate) mod mysql;
mod names;
mod reader;
pub(crate) mod zone;

pub(crate) const MILLIS_PER_SECOND: i64 = 1_000;
pub(crate) const MILLIS_PER_DAY: i64 = 86_400_000;
