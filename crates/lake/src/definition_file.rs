//! Files that say what something in the lake is: JSON with the number of its format, replaced durably and in one step.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is stored in a file of its own.
pub(crate) trait Defined: Serialize + DeserializeOwned {
    /// The file's name.
    const FILE: &'static str;
    /// The version of the stored form that is written. A reader that meets a later one leaves the thing alone.
    const FORMAT: u32;

    /// The version that was read.
    fn format(&self) -> u32;
}

/// Stores `definition` in `folder`, which survives a loss of power once this returns.
pub(crate) fn store<T: Defined>(definition: &T, folder: &Path) -> io::Result<()> {
    let temporary = folder.join(format!("{}.new", T::FILE));
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(definition)?)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(T::FILE))?;
    File::open(folder)?.sync_all()
}

/// Reads the definition in `folder`. An error says when it has another format.
pub(crate) fn load<T: Defined>(folder: &Path) -> io::Result<T> {
    let definition: T = serde_json::from_slice(&fs::read(folder.join(T::FILE))?)?;
    match definition.format() {
        format if format == T::FORMAT => Ok(definition),
        other => Err(io::Error::other(format!(
            "{} has format {other}; this lake reads format {}",
            T::FILE,
            T::FORMAT
        ))),
    }
}
