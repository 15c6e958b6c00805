//! Where and when is measured, and what.

use std::process::{Command, Stdio};

use super::contestant::Contestant;

/// Processor, cores, kernel, and how busy the machine is.
pub fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("unknown");
    format!("{cores} cores of {model}, Linux {kernel}, load average {load} at the start")
}

/// Today.
pub fn date() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// What the program says of itself; an error if it does not run at all.
pub fn version(contestant: &Contestant) -> Result<String, String> {
    let program = contestant.program.display();
    let output = Command::new(&contestant.program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program} does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match (output.status.success(), text.lines().next()) {
        (true, Some(line)) if !line.is_empty() => Ok(line.to_owned()),
        (true, _) => Ok(contestant.name().to_owned()),
        (false, _) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or("it said nothing");
            let status = output.status;
            Err(format!("{program} --version ends with {status}: {last}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_run_is_an_error() {
        let version = |path: &str| version(&format!("vector={path}").parse().unwrap());
        assert!(version("/bin/true").unwrap().contains("coreutils"));
        assert!(
            version("/bin/false")
                .unwrap_err()
                .contains("exit status: 1")
        );
        assert!(version("/etc/passwd").unwrap_err().contains("does not run"));
        assert!(describe().contains("cores of"));
    }
}
