//! The flags, in the order in which they stand.

use std::path::Path;

use config::{
    Action, CommandLine, Diagnostics, Document, HelpTopic, Host, InputCommon, LogLevel, MemoryHost,
    Options, SectionKind, ServiceOptions,
};

fn parse(line: &str) -> (CommandLine, String) {
    let mut diagnostics = Diagnostics::new();
    let arguments = line
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(Into::into);
    let parsed = CommandLine::parse(arguments, &mut diagnostics);
    (parsed, diagnostics.to_string())
}

/// Reads a line, which must be without fault.
#[track_caller]
fn good(line: &str) -> CommandLine {
    let (parsed, findings) = parse(line);
    assert_eq!(findings, "", "{line}");
    parsed
}

/// The sections as `kind: key=value, …`.
fn sections(line: &CommandLine) -> Vec<String> {
    let entries = |section: &config::Section| {
        let pairs = section.entries.iter().map(|entry| {
            format!(
                "{}={}",
                entry.key,
                entry
                    .value
                    .as_text()
                    .expect("the command line has only text")
            )
        });
        pairs.collect::<Vec<_>>().join(", ")
    };
    line.sections
        .iter()
        .map(|section| format!("{}: {}", section.kind.word(), entries(section)))
        .collect()
}

#[test]
fn flags_apply_to_the_section_before_them() {
    let line = good(
        "-i dummy -p rate=5 -t a -p dummy={\"a\":\"=\"} -F grep -m a* -p Regex=a=b -o null -m b",
    );
    assert_eq!(
        sections(&line),
        [
            "input: name=dummy, rate=5, tag=a, dummy={\"a\":\"=\"}",
            "filter: name=grep, match=a*, regex=a=b",
            "output: name=null, match=b",
        ],
    );
}

#[test]
fn a_tag_goes_to_the_last_section_whatever_it_is() {
    assert_eq!(
        sections(&good("-i x -o y -t z")),
        ["input: name=x", "output: name=y, tag=z"]
    );
}

#[test]
fn service_flags_make_one_section_in_front() {
    let line = good(
        "-i dummy -f 0.5 -b /store -l log -H -L :: -P 2021 -d -Y -W -Z -s 8192 -R p1 -R p2 --enable-fips",
    );
    assert_eq!(
        sections(&line)[0],
        "service: flush=0.5, storage.path=/store, log_file=log, http_server=on, http_listen=::, http_port=2021, daemon=on, \
         hot_reload=on, hot_reload.ensure_thread_safety=off, enable_chunk_trace=on, coro_stack_size=8192, parsers_file=p1, \
         parsers_file=p2, security.fips_mode=on",
    );
    assert_eq!(
        line.sections[0].position.to_string(),
        "<command line>, argument 4"
    );
}

#[test]
fn spellings_are_those_of_getopt() {
    for line in [
        "-c a.conf",
        "-ca.conf",
        "--config a.conf",
        "--config=a.conf",
        "--conf a.conf",
        "--co=a.conf",
    ] {
        match parse(line) {
            (parsed, findings) if findings.is_empty() => {
                assert_eq!(
                    parsed.config_file.as_deref(),
                    Some(Path::new("a.conf")),
                    "{line}"
                );
            }
            (_, findings) => assert!(
                line.starts_with("--co=") && findings.contains("may be any of"),
                "{findings}"
            ),
        }
    }
    assert_eq!(sections(&good("-f=1")), ["service: flush==1"]);
    let line = good("-Dvvc a.conf");
    assert!(line.dry_run);
    assert_eq!(
        (line.log_level, line.config_file.as_deref()),
        (LogLevel::Trace, Some(Path::new("a.conf")))
    );
}

#[test]
fn the_log_level_goes_up_and_off() {
    for (line, level) in [
        ("", LogLevel::Info),
        ("-v", LogLevel::Debug),
        ("-vvvv", LogLevel::Trace),
        ("-v -q", LogLevel::Off),
        ("-q -v", LogLevel::Error),
    ] {
        assert_eq!(good(line).log_level, level, "{line}");
    }
    assert!(good("-q").is_quiet());
    let host = MemoryHost::new().with_variable("FLB_LOG_LEVEL", "trace");
    let in_effect = |host: &dyn Host, service| LogLevel::in_effect(LogLevel::Debug, service, host);
    assert_eq!(in_effect(&MemoryHost::new(), None), LogLevel::Debug);
    assert_eq!(
        in_effect(&MemoryHost::new(), Some(LogLevel::Warn)),
        LogLevel::Warn
    );
    assert_eq!(in_effect(&host, Some(LogLevel::Warn)), LogLevel::Trace);
    assert_eq!(
        in_effect(
            &MemoryHost::new().with_variable("FLB_LOG_LEVEL", "loud"),
            None
        ),
        LogLevel::Debug
    );
}

#[test]
fn help_and_version_act_where_they_stand() {
    assert_eq!(good("-V --nonsense").action, Action::Version);
    assert_eq!(
        good("-h -o x").action,
        Action::Help(HelpTopic {
            plugin: None,
            json: false
        })
    );
    let topic = |line| match good(line).action {
        Action::Help(topic) => (topic.plugin, topic.json),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(
        topic("-i tail -h"),
        (Some((SectionKind::Input, "tail".into())), false)
    );
    assert_eq!(
        topic("-i tail -o s3 -p a=b --help-json"),
        (Some((SectionKind::Output, "s3".into())), true)
    );
    assert_eq!(
        topic("-r labels -h"),
        (Some((SectionKind::Other, "labels".into())), false)
    );
}

#[test]
fn mistakes_name_the_nearest_flag_and_the_argument() {
    let (parsed, findings) = parse("-c a.conf --dryrun --hlep=x -x --http_ l --flush");
    let expected = "\
error: there is no flag '--dryrun'
  --> <command line>, argument 3
   = help: did you mean '--dry-run'?

error: there is no flag '--hlep'
  --> <command line>, argument 4
   = help: did you mean '--help'?

error: there is no flag '-x'
  --> <command line>, argument 5
   = help: --help lists the flags

error: '--http_' may be any of --http_server, --http_listen, --http_port
  --> <command line>, argument 6

warning: the argument 'l' is ignored
  --> <command line>, argument 7

error: '--flush' needs a value: SECONDS
  --> <command line>, argument 8";
    assert_eq!(findings, expected);
    assert_eq!(parsed.config_file.as_deref(), Some(Path::new("a.conf")));
}

#[test]
fn what_fluent_bit_ignores_is_ignored_with_a_warning() {
    for (line, sections_left) in [
        ("-p a=b", 0),
        ("-t a", 0),
        ("-m a", 0),
        ("-i dummy -m a", 1),
        ("-i dummy -p ab", 1),
        ("-i dummy -p a=", 1),
        ("stray", 0),
        ("-e x.so", 0),
        ("--trace x", 0),
    ] {
        let (parsed, findings) = parse(line);
        assert!(findings.starts_with("warning: "), "{line}: {findings}");
        assert_eq!(parsed.sections.len(), sections_left, "{line}");
        assert!(
            parsed
                .sections
                .iter()
                .all(|section| section.entries.len() == 1),
            "{line}"
        );
    }
    assert!(parse("-M 512").1.starts_with("error: "));
    assert!(parse("--quiet=yes").1.starts_with("error: "));
}

#[test]
fn other_flags_are_kept() {
    let line = good("-w /dir -T SELECT -S --supervisor -C custom");
    assert_eq!(line.working_directory.as_deref(), Some(Path::new("/dir")));
    assert_eq!(line.stream_tasks, ["SELECT"]);
    assert!(line.supervisor && line.support_report);
    assert_eq!(sections(&line), ["custom: name=custom"]);
}

#[test]
fn names_may_carry_an_address() {
    for (name, expected) in [
        (
            "http://host:8080/a/b",
            "name=http, host=host, listen=host, port=8080, uri=/a/b",
        ),
        ("tcp://host", "name=tcp, host=host, listen=host"),
        (
            "tcp://[::1]:24224",
            "name=tcp, host=::1, listen=::1, ipv6=on, port=24224",
        ),
        (
            "es://h/index/type",
            "name=es, host=h, listen=h, uri=/index/type",
        ),
        ("plain", "name=plain"),
        ("://x", "name=://x"),
    ] {
        let line = good(&format!("-o {name}"));
        let mut diagnostics = Diagnostics::new();
        let document = Document::load(&MemoryHost::new(), None, line.sections, &mut diagnostics);
        let entries = document.outputs[0].entries.iter();
        let found: Vec<_> = entries
            .map(|entry| format!("{}={}", entry.key, entry.value.as_text().expect("text")))
            .collect();
        assert_eq!(
            (found.join(", "), diagnostics.to_string()),
            (expected.to_owned(), String::new())
        );
    }
    let mut diagnostics = Diagnostics::new();
    let line = good("-i tcp://:5000 -i tcp://h:1 -p port=2 -t x");
    let document = Document::load(&MemoryHost::new(), None, line.sections, &mut diagnostics);
    assert_eq!(document.inputs[1].text("port"), Some("2"));
    assert_eq!(
        diagnostics.to_string(),
        "error: ':5000' is not an address\n  --> <command line>, argument 2\n   = help: write name://host:port/uri, an IPv6 \
         address in brackets",
    );
    // Nobody has to take the keys that follow from the address.
    let mut diagnostics = Diagnostics::new();
    InputCommon::read(&document.inputs[1], &mut diagnostics);
    assert_eq!(diagnostics.to_string(), "");
}

#[test]
fn the_command_line_and_the_file_make_one_configuration() {
    let host = MemoryHost::new().with_file(
        "a.conf",
        "[SERVICE]\n    Flush 5\n[INPUT]\n    Name dummy\n",
    );
    let line = good("-c a.conf -f 1 -i head -o null -m *");
    let mut diagnostics = Diagnostics::new();
    let document = Document::load(
        &host,
        line.config_file.as_deref(),
        line.sections,
        &mut diagnostics,
    );
    let names: Vec<_> = document
        .inputs
        .iter()
        .filter_map(|input| input.plugin_name())
        .collect();
    assert_eq!(names, ["head", "dummy"]);
    let service = ServiceOptions::read(&document.service, &mut diagnostics).expect("good");
    assert_eq!(service.flush.0.as_secs(), 5);
    assert_eq!(diagnostics.to_string(), "");
}

#[test]
fn the_help_has_a_line_for_every_flag() {
    let help = config::flags_help();
    assert!(help.contains("  -c, --config FILE "), "{help}");
    assert!(help.contains("      --supervisor "), "{help}");
    assert_eq!(help.lines().count(), 41);
}
