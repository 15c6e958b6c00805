//! Faults in the router itself, made on purpose: the oracle must see each of them.

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// An input acknowledges a chunk when it has it, not when it is delivered or durable.
    AcknowledgesAtOnce,
    /// A file's position is written as far as was read, not as far as was delivered.
    CommitsWhatWasRead,
    /// What was refused is not read again.
    ForgetsRefused,
    /// Records that a service refused for now count as delivered.
    IgnoresExceptions,
    /// A request that was not answered counts as delivered.
    IgnoresSilence,
    /// A request that was answered is sent again.
    SendsTwice,
    /// Delivered ranges beyond the position are forgotten at a restart.
    ForgetsDelivered,
    /// Positions are never written.
    NeverCommits,
    /// Memory is not given back.
    LeaksMemory,
    /// Memory is not asked for.
    ReadsWithoutPermit,
    /// Filtered records are refused instead of answered for.
    RefusesFiltered,
    /// The disk says that it synced and did not.
    SyncDoesNothing,
}

impl Mutation {
    /// All of them.
    pub const ALL: &[Mutation] = &[
        Mutation::AcknowledgesAtOnce,
        Mutation::CommitsWhatWasRead,
        Mutation::ForgetsRefused,
        Mutation::IgnoresExceptions,
        Mutation::IgnoresSilence,
        Mutation::SendsTwice,
        Mutation::ForgetsDelivered,
        Mutation::NeverCommits,
        Mutation::LeaksMemory,
        Mutation::ReadsWithoutPermit,
        Mutation::RefusesFiltered,
        Mutation::SyncDoesNothing,
    ];

    /// The one with this name.
    pub fn named(name: &str) -> Option<Mutation> {
        let is_it = |mutation: &&Mutation| format!("{mutation:?}").eq_ignore_ascii_case(name);
        Mutation::ALL
            .iter()
            .copied()
            .find(|mutation| is_it(&mutation))
    }
}
