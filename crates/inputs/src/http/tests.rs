//! The input against real connections.

mod fuzz;
mod limits;
mod requests;
mod rig;
