//! `flumen -c FILE`, delivering to a test's lake.

use std::path::Path;
use std::process::Command;

use super::lake::Lake;
use super::process::Process;
use super::wait::until;

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
        command.env("STATE_DIRECTORY", folder.join("state"));
        Router {
            process: Process::start("router", &mut command, folder),
        }
    }

    /// Starts a router, and waits until it listens on the unix socket that its configuration names.
    pub fn listening(configuration: &Path, socket: &Path, lake: &Lake) -> Router {
        Router::started(configuration, lake, "its socket", |_| socket.exists())
    }

    /// Starts a router, and waits until it tails a file that is there already. What is written from then on, to that or to
    /// files that are found later, it reads from the first line.
    pub fn tailing(configuration: &Path, lake: &Lake) -> Router {
        Router::started(configuration, lake, "its first file", |log| {
            log.contains("inotify_fs_add()")
        })
    }

    fn started(
        configuration: &Path,
        lake: &Lake,
        what: &str,
        ready: impl Fn(&str) -> bool,
    ) -> Router {
        let mut router = Router::start(configuration, lake);
        until(&format!("the router and {what}"), || {
            let log = router.log();
            assert!(router.process.ended().is_none(), "the router ended: {log}");
            ready(&log)
        });
        router
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
