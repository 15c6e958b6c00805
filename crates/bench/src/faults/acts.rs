//! What is done to a router, a function for each row.

pub mod answers;
pub mod disk;
pub mod identity;
pub mod kill;
pub mod lake;
pub mod lines;
pub mod network;
pub mod process;
pub mod rotation;
pub mod routes;
