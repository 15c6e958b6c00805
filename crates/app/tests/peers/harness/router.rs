//! `flumen -c FILE`, delivering to a test's lake.

use std::path::Path;
use std::process::Command;

use super::lake::Lake;
use super::process::Process;

/// A running router.
pub struct Router {
    process: Process,
}

impl Router {
    /// Starts a router with `configuration`; its log is `router.log` beside that.
    pub fn start(configuration: &Path, lake: &Lake) -> Router {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
        lake.point(command.arg("-c").arg(configuration));
        let folder = configuration
            .parent()
            .expect("a configuration lies in a folder");
        Router {
            process: Process::start("router", &mut command, folder),
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Ends the router as its supervisor would. It delivers what it holds and must leave with exit code 0.
    pub fn terminate(self) {
        let log = self.process.log();
        let status = self.process.terminate();
        assert!(status.success(), "the router: {status}\n{log}");
    }
}
