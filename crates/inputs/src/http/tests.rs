//! The input against real connections.

mod limits;
mod requests;
mod rig;
