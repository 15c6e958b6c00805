//! The router of a run.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::case::Case;
use super::configuration::{self, Listen, REGION};
use crate::generate::Address;
use crate::process::Process;

const START_MAX: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// Starts a router for `case` that sends to `endpoint`, and waits until it listens. Without `keeps_credentials` it signs
/// with made-up ones.
pub fn start(
    case: &Case,
    name: &str,
    folder: &Path,
    (endpoint, keeps_credentials): (&str, bool),
) -> Result<(Process, Address), String> {
    let listen = Listen::choose(case.source, folder).map_err(|error| error.to_string())?;
    let file = folder.join("fluent-bit.conf");
    std::fs::write(&file, configuration::text(case, &listen, name, folder))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    // What it keeps is gone with the run.
    let state = folder.join("state").display().to_string();
    let mut variables = vec![
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", REGION),
        ("STATE_DIRECTORY", &state),
    ];
    if !keeps_credentials {
        variables.extend([
            ("AWS_ACCESS_KEY_ID", "flumen"),
            ("AWS_SECRET_ACCESS_KEY", "flumen"),
            ("AWS_SESSION_TOKEN", ""),
        ]);
    }
    let arguments = ["-c".to_owned(), file.display().to_string()];
    let mut router = Process::start(&arguments, &variables, &folder.join("router.log"))?;
    let end = Instant::now() + START_MAX;
    while !is_listening(&listen) {
        router.check()?;
        if Instant::now() > end {
            return Err(format!(
                "it does not listen after {} s",
                START_MAX.as_secs()
            ));
        }
        std::thread::sleep(LOOK);
    }
    let address = match listen {
        Listen::Unix(path) => Address::Unix(path),
        Listen::Tcp(port) => Address::Tcp(format!("127.0.0.1:{port}")),
    };
    Ok((router, address))
}

fn is_listening(listen: &Listen) -> bool {
    match listen {
        Listen::Unix(path) => UnixStream::connect(path).is_ok(),
        Listen::Tcp(port) => TcpStream::connect(("127.0.0.1", *port)).is_ok(),
    }
}
