//! What a lake is opened with.

use std::fmt;
use std::path::PathBuf;

use crate::durability::SyncMode;
use crate::log::Logger;

/// Settings of a [`Lake`](crate::Lake).
#[derive(Clone)]
pub struct Options {
    /// The folder that holds everything: `objects/`, `streams/`, `logs/` and, written by the query side, `catalog/`.
    /// Made if it is missing.
    pub data: PathBuf,
    /// The one access key id that requests are signed with.
    pub access_key_id: String,
    /// The secret that belongs to it.
    pub secret_access_key: String,
    /// The region named in ARNs and answers. Requests may be signed for any region: clients with a custom endpoint
    /// often name one they did not choose.
    pub region: String,
    /// The 12 digits of the account named in ARNs and answers.
    pub account_id: String,
    /// What an acknowledgement promises.
    pub sync: SyncMode,
    /// Where the lake's log lines go. Silent by default.
    pub logger: Logger,
}

impl Options {
    /// The defaults of `flumen lake`, for a lake in `data`.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            access_key_id: "flumen".to_owned(),
            secret_access_key: "flumen".to_owned(),
            region: "us-west-2".to_owned(),
            account_id: "123456789012".to_owned(),
            sync: SyncMode::Full,
            logger: Logger::silent(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("data", &self.data)
            .field("access_key_id", &self.access_key_id)
            .field("region", &self.region)
            .field("account_id", &self.account_id)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_keeps_the_secret() {
        let options = Options {
            secret_access_key: "canary".to_owned(),
            ..Options::new("/tmp/x")
        };
        assert!(!format!("{options:?}").contains("canary"));
    }
}
