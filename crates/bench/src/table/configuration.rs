//! The cases in each router's language: the same work, in the form that its users would write, and otherwise with its
//! defaults. Every router reads from the head, sends what it has within about a second (objects of S3 within five), and
//! trusts the sinks' certificate.

mod fluent_bit;
mod fluentd;
mod vector;

pub use fluent_bit::PARSERS;

use std::path::{Path, PathBuf};

use super::case::Case;
use super::contestant::{Contestant, Kind};

/// The region of everything.
pub const REGION: &str = "us-west-2";
/// The stream, group or bucket that everybody sends to.
const NAME: &str = "flumen-bench";

/// NGINX's pattern with the group names of Rust's regular expressions. The newline that docker keeps in `log` is no part
/// of a line.
const NGINX: &str = r#"^(?P<remote>[^ ]*) (?P<host>[^ ]*) (?P<user>[^ ]*) \[(?P<time>[^\]]*)\] "(?P<method>\S+)(?: +(?P<path>[^"]*?)(?: +\S*)?)?" (?P<code>[^ ]*) (?P<size>[^ ]*)(?: "(?P<referer>[^"]*)" "(?P<agent>[^"]*)")? "-"\n?$"#;
/// CRI's.
const CRI: &str = r"^(?P<time>[^ ]+) (?P<stream>stdout|stderr) (?P<logtag>[^ ]*) (?P<message>.*)$";
/// How NGINX writes times.
const NGINX_TIME: &str = "%d/%b/%Y:%H:%M:%S %z";

/// What a configuration needs to know.
pub struct Place<'a> {
    /// The run's own folder.
    pub folder: &'a Path,
    /// The folder of the log files.
    pub logs: &'a Path,
    /// The socket of the forward protocol.
    pub socket: &'a Path,
    /// The certificate of all sinks.
    pub ca_file: &'a Path,
    /// The port of each sink.
    pub ports: &'a [u16],
}

/// Writes the configuration, and returns the arguments that the program takes; an error says that it cannot be written.
pub fn write(
    contestant: &Contestant,
    case: &Case,
    place: &Place<'_>,
) -> Result<Vec<String>, String> {
    let (name, text, option) = match contestant.kind {
        Kind::Flumen | Kind::FluentBit => {
            put(place, "parsers.conf", fluent_bit::PARSERS)?;
            ("fluent-bit.conf", fluent_bit::text(case, place), "-c")
        }
        Kind::Vector => ("vector.toml", vector::text(case, place), "--config"),
        Kind::Fluentd => ("fluentd.conf", fluentd::text(case, place), "-c"),
    };
    let file = put(place, name, &text)?;
    Ok(vec![option.to_owned(), file.display().to_string()])
}

fn put(place: &Place<'_>, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = place.folder.join(name);
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::super::case;
    use super::*;

    /// Every case in a language: case name and text.
    fn texts(of: fn(&Case, &Place<'_>) -> String) -> Vec<(String, String)> {
        let write = |case: &Case| {
            let place = Place {
                folder: Path::new("/t"),
                logs: Path::new("/t/logs"),
                socket: Path::new("/t/forward.sock"),
                ca_file: Path::new("/t/ca.pem"),
                ports: &[1, 2, 3][..case.destination.sinks()],
            };
            (case.name(), of(case, &place))
        };
        case::all().iter().map(write).collect()
    }

    #[test]
    fn every_language_has_every_case() {
        let languages: [fn(&Case, &Place<'_>) -> String; 3] =
            [fluent_bit::text, vector::text, fluentd::text];
        for language in languages {
            for (name, text) in texts(language) {
                let sinks = if name.starts_with("fan-out") { 3 } else { 1 };
                for port in 1..=sinks {
                    let named = [format!("localhost:{port}"), format!("port {port}\n")];
                    assert!(
                        named.iter().any(|port| text.contains(port)),
                        "{name}: {text}"
                    );
                }
                let source = match name.starts_with("forward") {
                    true => "/t/forward.sock",
                    false => "/t/logs/*.log",
                };
                assert!(text.contains(source), "{name}: {text}");
                // Fluentd is told by the environment.
                let trusts = text.matches("/t/ca.pem").count();
                assert!(trusts == sinks || text.contains("@type"), "{name}: {text}");
            }
        }
    }

    #[test]
    fn only_rates_limit_fluent_bits_memory() {
        for (name, text) in texts(fluent_bit::text) {
            assert_eq!(
                text.contains("Mem_Buf_Limit"),
                !name.ends_with("drain"),
                "{name}"
            );
        }
    }
}
