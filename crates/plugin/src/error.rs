//! Why a plugin could not be built.

/// A plugin refused to start: its options were readable but cannot work together or in this place.
///
/// The message says what is wrong and what is allowed, without the instance's name (the engine adds it).
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(pub String);

impl From<String> for BuildError {
    fn from(message: String) -> BuildError {
        BuildError(message)
    }
}

impl From<&str> for BuildError {
    fn from(message: &str) -> BuildError {
        BuildError(message.to_owned())
    }
}
