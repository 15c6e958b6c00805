//! What must not bring the router down, or make it lose what could be kept: each case runs the real binary, and asserts
//! what it says, how it ends or goes on, what it delivers (everything that could be kept, exactly once), and that it never
//! took 64 MiB of memory.
//!
//! A case for which this machine has no means (a file system to fill, say) prints `skipped: …` and why.

mod harness;

mod configuration;
mod dead_endpoint;
mod few_descriptors;
mod files;
mod forward;
mod full_disk;
mod http;
mod http_wire;
mod monitoring;
mod odd_files;
mod other_programs;
mod records;
mod tcp;
