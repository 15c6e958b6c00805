//! The input against real sockets.

mod frames;
mod limits;
mod rig;
mod samples;
mod security;
mod senders;
