//! The flags with what they do.

use std::fmt::Write as _;

use crate::SectionKind;

/// One flag.
pub struct Flag {
    /// Its letter.
    pub short: Option<&'static str>,
    /// Its words.
    pub long: &'static [&'static str],
    /// What its value is, if it takes one.
    pub argument: Option<&'static str>,
    /// What it does.
    pub effect: Effect,
    /// What it does, in a sentence.
    doc: &'static str,
}

/// What a flag does.
#[derive(Clone, Copy)]
pub enum Effect {
    /// Sets a key of the service to the flag's value.
    Service(&'static str),
    /// Sets a key of the service to this value.
    Switch(&'static str, &'static str),
    /// Begins a section.
    Begin(SectionKind),
    /// Adds `key=value` to the last section.
    Property,
    /// Adds `match` to the last section, if that is a filter or an output.
    Match,
    /// Adds `tag` to the last section.
    Tag,
    ConfigFile,
    DryRun,
    Verbose,
    Quiet,
    WorkingDirectory,
    StreamTask,
    Sandbox,
    Supervisor,
    SupportReport,
    Version,
    Help {
        json: bool,
    },
    /// Refused on other systems.
    WindowsOnly,
    /// Accepted, for this reason.
    Ignored(&'static str),
}

impl Flag {
    /// Letter and words.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.short.into_iter().chain(self.long.iter().copied())
    }

    /// The flag as it is written.
    pub fn name(&self) -> String {
        match (self.short, self.long.first()) {
            (Some(short), Some(long)) => format!("-{short}/--{long}"),
            (Some(short), None) => format!("-{short}"),
            (None, Some(long)) => format!("--{long}"),
            (None, None) => String::new(),
        }
    }
}

const fn value(
    short: &'static str,
    long: &'static [&'static str],
    argument: &'static str,
    effect: Effect,
    doc: &'static str,
) -> Flag {
    Flag {
        short: Some(short),
        long,
        argument: Some(argument),
        effect,
        doc,
    }
}

const fn bare(
    short: &'static str,
    long: &'static [&'static str],
    effect: Effect,
    doc: &'static str,
) -> Flag {
    Flag {
        short: Some(short),
        long,
        argument: None,
        effect,
        doc,
    }
}

const fn trace(long: &'static [&'static str]) -> Flag {
    let effect = Effect::Ignored("Flumen does not trace chunks");
    Flag {
        short: None,
        long,
        argument: Some("TEXT"),
        effect,
        doc: "Accepted, without effect.",
    }
}

/// All flags in the order of the help.
pub const FLAGS: &[Flag] = &[
    value(
        "c",
        &["config"],
        "FILE",
        Effect::ConfigFile,
        "The configuration file.",
    ),
    bare(
        "D",
        &["dry-run"],
        Effect::DryRun,
        "Check the configuration and leave.",
    ),
    value(
        "i",
        &["input"],
        "NAME",
        Effect::Begin(SectionKind::Input),
        "Begin an input; NAME may be name://host:port/uri.",
    ),
    value(
        "F",
        &["filter"],
        "NAME",
        Effect::Begin(SectionKind::Filter),
        "Begin a filter.",
    ),
    value(
        "o",
        &["output"],
        "NAME",
        Effect::Begin(SectionKind::Output),
        "Begin an output; NAME may be name://host:port/uri.",
    ),
    value(
        "C",
        &["custom"],
        "NAME",
        Effect::Begin(SectionKind::Custom),
        "Begin a custom plugin.",
    ),
    value(
        "r",
        &["processor"],
        "NAME",
        Effect::Begin(SectionKind::Other),
        "Name a processor, for its help.",
    ),
    value(
        "p",
        &["prop"],
        "KEY=VALUE",
        Effect::Property,
        "Set a property of the last input, filter, output or custom plugin.",
    ),
    value(
        "m",
        &["match"],
        "PATTERN",
        Effect::Match,
        "Choose the tags for the last filter or output.",
    ),
    value(
        "t",
        &["tag"],
        "TAG",
        Effect::Tag,
        "Set the tag of the last input.",
    ),
    value(
        "R",
        &["parser"],
        "FILE",
        Effect::Service("parsers_file"),
        "Read parser definitions from a file; repeatable.",
    ),
    value(
        "T",
        &["sp-task"],
        "SQL",
        Effect::StreamTask,
        "Add a task of the stream processor.",
    ),
    value(
        "e",
        &["plugin"],
        "FILE",
        Effect::Ignored(
            "Flumen loads no shared objects; the plugins of AWS's distribution are built in",
        ),
        "Accepted, without effect.",
    ),
    value(
        "f",
        &["flush"],
        "SECONDS",
        Effect::Service("flush"),
        "The longest wait before records are sent.",
    ),
    value(
        "b",
        &["storage_path"],
        "PATH",
        Effect::Service("storage.path"),
        "The folder for what must survive a restart.",
    ),
    value(
        "l",
        &["log_file"],
        "FILE",
        Effect::Service("log_file"),
        "Append the router's own messages to a file.",
    ),
    bare(
        "v",
        &["verbose"],
        Effect::Verbose,
        "Say more; -vv says even more.",
    ),
    bare("q", &["quiet"], Effect::Quiet, "Say nothing."),
    bare(
        "H",
        &["http", "http_server"],
        Effect::Switch("http_server", "on"),
        "Run the monitoring server.",
    ),
    value(
        "L",
        &["http_listen"],
        "ADDRESS",
        Effect::Service("http_listen"),
        "The address that the monitoring server listens on.",
    ),
    value(
        "P",
        &["port", "http_port"],
        "PORT",
        Effect::Service("http_port"),
        "The port that the monitoring server listens on.",
    ),
    value(
        "w",
        &["workdir"],
        "PATH",
        Effect::WorkingDirectory,
        "Change to a folder first.",
    ),
    bare(
        "d",
        &["daemon"],
        Effect::Switch("daemon", "on"),
        "Go to the background.",
    ),
    Flag {
        short: None,
        long: &["supervisor"],
        argument: None,
        effect: Effect::Supervisor,
        doc: "Start the router again when it fails.",
    },
    bare(
        "Y",
        &["enable-hot-reload"],
        Effect::Switch("hot_reload", "on"),
        "Allow the configuration to be reloaded.",
    ),
    bare(
        "W",
        &["disable-thread-safety-on-hot-reload"],
        Effect::Switch("hot_reload.ensure_thread_safety", "off"),
        "Do not wait until everything is delivered when reloading.",
    ),
    Flag {
        short: None,
        long: &["memory"],
        argument: Some("SIZE"),
        effect: Effect::Service("memory_limit"),
        doc: "The memory that the whole process may take, such as 64M.",
    },
    Flag {
        short: None,
        long: &["workers"],
        argument: Some("N"),
        effect: Effect::Service("workers"),
        doc: "How many threads files and connections are spread over.",
    },
    Flag {
        short: None,
        long: &["sandbox"],
        argument: None,
        effect: Effect::Sandbox,
        doc: "Give up the right to touch what the configuration does not name (Landlock).",
    },
    Flag {
        short: None,
        long: &["enable-fips"],
        argument: None,
        effect: Effect::Switch("security.fips_mode", "on"),
        doc: "Allow only FIPS validated cryptography.",
    },
    value(
        "s",
        &["coro_stack_size"],
        "BYTES",
        Effect::Service("coro_stack_size"),
        "Accepted, without effect.",
    ),
    bare(
        "Z",
        &["enable-chunk-trace"],
        Effect::Switch("enable_chunk_trace", "on"),
        "Accepted, without effect.",
    ),
    trace(&["trace"]),
    trace(&["trace-input"]),
    trace(&["trace-output"]),
    trace(&["trace-output-property"]),
    value(
        "M",
        &["windows_maxstdio"],
        "N",
        Effect::WindowsOnly,
        "For Windows only.",
    ),
    bare(
        "S",
        &["sosreport"],
        Effect::SupportReport,
        "Print a report for those who help.",
    ),
    bare(
        "J",
        &["help-json"],
        Effect::Help { json: true },
        "Describe everything, or the last plugin, as a JSON schema.",
    ),
    bare(
        "h",
        &["help"],
        Effect::Help { json: false },
        "Print this help, or that of the last plugin.",
    ),
    bare("V", &["version"], Effect::Version, "Print the version."),
];

/// The flags as lines of plain text, for `--help`.
pub fn flags_help() -> String {
    let lefts: Vec<String> = FLAGS.iter().map(left_column).collect();
    let width = lefts.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (flag, left) in FLAGS.iter().zip(&lefts) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {left:width$}  {}", flag.doc);
    }
    text
}

fn left_column(flag: &Flag) -> String {
    let short = flag
        .short
        .map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    let long = flag
        .long
        .first()
        .map(|long| format!("--{long}"))
        .unwrap_or_default();
    match flag.argument {
        Some(argument) => format!("{short}{long} {argument}"),
        None => format!("{short}{long}"),
    }
}
