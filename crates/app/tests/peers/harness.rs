//! What the tests stand on: programs started and ended, places, conditions to wait for.

pub mod containers;
pub mod lake;
pub mod lines;
pub mod peer;
pub mod places;
pub mod process;
pub mod router;
pub mod wait;
pub mod web;

use std::path::{Path, PathBuf};

/// The post's bucket.
pub const BUCKET: &str = "mh9-firelens-demo";

/// A folder of the test's own, removed at its end. Its path is short, because sockets lie in it.
pub fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("flumen-")
        .tempdir_in("/tmp")
        .expect("a folder in /tmp")
}

/// A file or folder of the repository's `tests/`.
pub fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests")
        .join(path)
}

/// A TCP port of the loopback address that nobody listens on at this moment.
pub fn free_port() -> u16 {
    bench::free_port().expect("a free port")
}
