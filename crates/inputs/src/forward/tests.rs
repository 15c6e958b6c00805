//! The input against real sockets.

mod fluent_bit;
mod frames;
mod fuzz;
mod limits;
mod rig;
mod samples;
mod security;
mod senders;
