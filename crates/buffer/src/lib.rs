//! What must survive the process: how far each source was delivered, and what cannot be read again.
//!
//! [`positions`] keeps the place in every file that `tail` follows, in Fluent Bit's own database. [`fs`] is the door to
//! files for everything else, [`wal`] keeps records that cannot be read again, [`dead_letters`] those that were given up,
//! [`chunks`] reads what Fluent Bit left.
//!
//! Invariants: everything that touches a disk runs on a thread of its own, never on a shard; nothing here knows a plugin.

pub mod chunks;
pub mod dead_letters;
pub mod fs;
pub mod positions;
pub mod wal;
