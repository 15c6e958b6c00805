//! The plugins of the simulated router: everything between them is the real engine.

use engine::Registry;

pub mod files;
pub mod output;
pub mod senders;
mod sieve;

/// All of them.
pub const REGISTRY: Registry = Registry {
    inputs: &[&files::PLUGIN, &senders::PLUGIN],
    filters: &[&sieve::PLUGIN],
    outputs: &[&output::PLUGIN],
};

/// Which part of the scenario an instance stands for.
#[derive(Clone, Debug, config::Options)]
pub struct Part {
    /// Its index.
    #[option(name = "part", default = "0")]
    pub part: u32,
}
