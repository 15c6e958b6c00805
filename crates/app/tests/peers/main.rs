//! Flumen among real programs: container engines whose logs it reads, clients that talk to its lake, senders that it did
//! not write. Each test starts its own, and checks that every line that was written is in the objects exactly once.
//!
//! `cargo xtask test` installs the programs and names them in `FLUMEN_PEER_…` variables; a test whose programs are not
//! there prints `skipped: …` and why. By hand: `eval "$(cargo xtask peers)"`.
#![cfg(feature = "query")]

mod harness;

mod aws_cli;
mod boto3;
mod docker;
mod fluent_logger;
mod outputs;
mod podman;
