//! The document with the published results, of which each command writes its own part.

use std::path::Path;

use super::program::Program;

const TITLE: &str = "# Reliability\n\nWhat a router loses and what it delivers twice when things go wrong, measured on the program \
itself. `flumen bench faults --markdown FILE` and `flumen bench kill --markdown FILE` write this page.\n";

/// Replaces the part `name` of the document at `path`, or appends it; the document is made if it is missing.
pub fn put(path: &Path, name: &str, part: &str) -> Result<(), String> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => TITLE.to_owned(),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    std::fs::write(path, with(&old, name, part))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn with(document: &str, name: &str, part: &str) -> String {
    let (begin, end) = (
        format!("<!-- {name} -->\n"),
        format!("<!-- end of {name} -->\n"),
    );
    let part = format!("{begin}{}\n{end}", part.trim_end());
    let around = document
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    match around {
        Some((before, after)) => format!("{before}{part}{after}"),
        None => format!("{}\n\n{part}", document.trim_end()),
    }
}

/// One paragraph: when, on what machine, with which programs.
pub fn circumstances(programs: &[Program]) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or("?".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory: u64 = field(&read("/proc/meminfo"), "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or(0);
    let versions: Vec<String> = programs
        .iter()
        .map(|program| format!("{} ({})", program.name, program.version))
        .collect();
    let build = match cfg!(debug_assertions) {
        true => ", a build for development",
        false => "",
    };
    format!(
        "{}; {cores} cores of {}, {} GiB of memory, Linux {}; {}{build}.",
        jiff::Zoned::now().strftime("%Y-%m-%d"),
        field(&read("/proc/cpuinfo"), "model name"),
        memory.div_ceil(1 << 20),
        read("/proc/sys/kernel/osrelease").trim(),
        versions.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_the_rest_stays() {
        let first = with(TITLE, "faults", "one\n\n");
        assert!(
            first.starts_with("# Reliability") && first.ends_with("-->\n"),
            "{first}"
        );
        let both = with(&first, "kills", "two");
        let again = with(&both, "faults", "three\nlines");
        assert!(
            again.contains("three\nlines\n<!-- end of faults -->"),
            "{again}"
        );
        assert!(
            again.contains("\ntwo\n") && !again.contains("\none\n"),
            "{again}"
        );
        assert_eq!(with(&again, "faults", "three\nlines"), again);
    }
}
