//! What `flumen` says about itself.

use std::process::ExitCode;

/// The commands and what they do.
pub const COMMANDS: &[(&str, &str)] = &[
    (
        "run",
        "run the router: flumen run -c FILE, or just flumen -c FILE",
    ),
    (
        "check",
        "say everything that is wrong with a configuration, and where: flumen check -c FILE",
    ),
    (
        "aws",
        "look at credentials, endpoints and destinations of AWS outputs: flumen aws doctor -c FILE",
    ),
    #[cfg(feature = "bench")]
    (
        "bench",
        "write load, count what arrives, play AWS's load matrix, inject faults: flumen bench faults",
    ),
    #[cfg(feature = "query")]
    (
        "demo",
        "play the whole story on this machine: two clusters, routers, delivery streams, SQL",
    ),
    (
        "dlq",
        "look at records that outputs gave up, and send them once more: flumen dlq ls -c FILE",
    ),
    #[cfg(feature = "lake")]
    (
        "lake",
        "run Firehose, Kinesis, CloudWatch Logs, S3, STS and IAM on this machine: flumen lake --data DIR",
    ),
    #[cfg(feature = "query")]
    (
        "query",
        "ask in Athena's SQL: flumen query --data DIR \"SELECT …\"",
    ),
];

/// One screen: what there is and where to begin.
pub fn overview() -> String {
    let mut text = format!(
        "flumen {} carries container logs from where they are written to where they are asked about.\n\n\
         Usage: flumen COMMAND …   or, with Fluent Bit's flags: flumen -c FILE\n\nCommands:\n",
        env!("CARGO_PKG_VERSION")
    );
    for (name, what) in COMMANDS {
        text.push_str(&format!("  {name:<7} {what}\n"));
    }
    let first = if cfg!(feature = "query") {
        "flumen demo"
    } else {
        "flumen -i dummy -o stdout"
    };
    text.push_str(&format!("\nBegin with: {first}\nMore: flumen COMMAND --help; flumen -i tail -h for a plugin's options\n"));
    text
}

/// The router's flags.
pub fn router() -> String {
    format!(
        "The router's flags are Fluent Bit's:\n{}",
        config::flags_help()
    )
}

/// Names the nearest command.
pub fn unknown_command(given: &str) -> ExitCode {
    let names: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
    eprint!("flumen: there is no command '{given}'");
    match config::nearest(given, names.iter().copied()) {
        Some(near) => eprintln!("; did you mean '{near}'?"),
        None => eprintln!("; there are: {}", names.join(", ")),
    }
    ExitCode::FAILURE
}
