//! The groups of options that the engine and all plugins share.

use std::path::PathBuf;
use std::time::Duration;

use config::{
    AfterDecoding, DecoderKind, Diagnostics, Entry, FieldType, FilterCommon, Grace, InputCommon,
    LogLevel, MultilineParserOptions, NetOptions, NetServerOptions, Options, OutputCommon,
    ParserFormat, ParserOptions, Position, RetryLimit, Section, SectionKind, ServiceOptions,
    Severity, TlsOptions, UtcOffset,
};

fn section(kind: SectionKind, lines: &str) -> Section {
    let mut section = Section::new(
        kind,
        kind.word(),
        Position::new(PathBuf::from("a.conf"), 1, 1),
    );
    for (number, line) in (2..).zip(lines.lines()) {
        let (key, value) = line.split_once(' ').expect("key and value");
        let at = Position::new(PathBuf::from("a.conf"), number, 1);
        section
            .entries
            .push(Entry::plain(key, at.clone(), value, at));
    }
    section
}

/// Reads `lines`, which must be without fault.
#[track_caller]
fn good<T: Options>(kind: SectionKind, lines: &str) -> T {
    let mut diagnostics = Diagnostics::new();
    let options = T::read(&section(kind, lines), &mut diagnostics);
    assert_eq!(diagnostics.to_string(), "", "{lines}");
    options.expect("no finding, so there are options")
}

/// Reads `lines`, which must give one finding; its severity, its message and whether there are options all the same.
#[track_caller]
fn one_fault<T: Options>(kind: SectionKind, lines: &str) -> (Severity, String, bool) {
    let mut diagnostics = Diagnostics::new();
    let options = T::read(&section(kind, lines), &mut diagnostics);
    assert_eq!(diagnostics.len(), 1, "{lines}: {diagnostics}");
    let finding = diagnostics.iter().next().expect("one");
    (finding.severity, finding.message.clone(), options.is_some())
}

#[test]
fn tables_are_without_fault() {
    for table in [
        ServiceOptions::table(),
        InputCommon::table(),
        FilterCommon::table(),
        OutputCommon::table(),
        NetOptions::table(),
        NetServerOptions::table(),
        TlsOptions::table(),
        ParserOptions::table(),
        MultilineParserOptions::table(),
    ] {
        assert_eq!(config::table_faults(&table), [""; 0]);
    }
}

#[test]
fn empty_sections_have_fluent_bits_defaults() {
    let service: ServiceOptions = good(SectionKind::Service, "");
    assert_eq!(service.flush.0, Duration::from_secs(1));
    assert_eq!(service.grace, Grace::Within(Duration::from_secs(5)));
    assert_eq!(service.log_level, None);
    assert_eq!(service.http_port, 2020);
    assert_eq!(service.multiline_buffer_limit.0, 2_097_152);
    assert_eq!(service.backlog_mem_limit.0, 100_000_000);
    assert!(service.storage_metrics.0 && service.escape_unicode.0 && !service.http_server.0);

    let input: InputCommon = good(SectionKind::Input, "name dummy");
    assert_eq!(
        (input.tag, input.mem_buf_limit.0, input.storage_type),
        (None, 0, None)
    );
    let output: OutputCommon = good(SectionKind::Output, "name null");
    assert_eq!(
        (output.retry_limit, output.total_limit_size.0),
        (RetryLimit::Unset, None)
    );
    let net: NetOptions = good(SectionKind::Output, "name http");
    assert_eq!(net.connect_timeout.0, Duration::from_secs(10));
    let tls: TlsOptions = good(SectionKind::Output, "name http");
    assert!(tls.verify && !tls.enabled.0 && !tls.verify_hostname.0);
}

#[test]
fn retry_limit_has_words_and_numbers() {
    for (text, expected) in [
        ("no_limits", RetryLimit::Unlimited),
        ("False", RetryLimit::Unlimited),
        ("off", RetryLimit::Unlimited),
        ("no_retries", RetryLimit::NoRetries),
        ("7", RetryLimit::Limited(7)),
    ] {
        let output: OutputCommon = good(SectionKind::Output, &format!("retry_limit {text}"));
        assert_eq!(output.retry_limit, expected);
    }
    for text in ["0", "-1", "never"] {
        let (severity, message, read) =
            one_fault::<OutputCommon>(SectionKind::Output, &format!("retry_limit {text}"));
        assert_eq!((severity, read), (Severity::Warning, true));
        assert_eq!(
            message,
            format!("'retry_limit': '{text}' is not a number of retries and counts as 1")
        );
    }
}

#[test]
fn engine_keys_are_refused_at_load_where_fluent_bit_refuses_them() {
    for line in [
        "mem_buf_limit 5 MB",
        "storage.type disk",
        "threaded 1",
        "log_level verbose",
        "thread.ring_buffer.window 101",
        "rate_window 0",
        "rate_gate.resume_ratio 1",
        "rate_gate.max_records 5x",
    ] {
        let (severity, _, read) = one_fault::<InputCommon>(SectionKind::Input, line);
        assert_eq!((severity, read), (Severity::Error, false), "{line}");
    }
    for line in ["storage.total_limit_size 5XB", "log_level 3"] {
        assert_eq!(
            one_fault::<OutputCommon>(SectionKind::Output, line).0,
            Severity::Error,
            "{line}"
        );
    }
    assert_eq!(
        one_fault::<InputCommon>(SectionKind::Input, "routable 1").0,
        Severity::Warning
    );
}

#[test]
fn repeated_engine_keys_warn_and_the_last_wins() {
    let section = section(SectionKind::Input, "name dummy\ntag a\ntag b");
    let mut diagnostics = Diagnostics::new();
    let input = InputCommon::read(&section, &mut diagnostics).expect("a warning only");
    assert_eq!(input.tag.as_deref(), Some("b"));
    assert_eq!(
        diagnostics
            .iter()
            .map(|finding| finding.severity)
            .collect::<Vec<_>>(),
        [Severity::Warning]
    );
}

#[test]
fn a_file_overrides_the_command_line_in_silence() {
    let mut section = section(SectionKind::Service, "flush 5");
    section.entries.insert(
        0,
        Entry::plain("flush", Position::argument(2), "1", Position::argument(2)),
    );
    let mut diagnostics = Diagnostics::new();
    let service = ServiceOptions::read(&section, &mut diagnostics).expect("good");
    assert_eq!(service.flush.0, Duration::from_secs(5));
    assert_eq!(diagnostics.to_string(), "");
}

#[test]
fn filters_need_a_match() {
    let (severity, message, _) = one_fault::<FilterCommon>(SectionKind::Filter, "name grep");
    assert_eq!(
        (severity, message.as_str()),
        (
            Severity::StartError,
            "filter 'grep' needs 'match' or 'match_regex'"
        )
    );
    let filter: FilterCommon = good(SectionKind::Filter, "name grep\nmatch_regex ^kube");
    assert_eq!(filter.match_regex.as_deref(), Some("^kube"));
}

#[test]
fn keys_of_the_engine_are_known_to_every_plugin_of_the_kind() {
    let lines = "name x\nmatch *\nhost h\nport 1\ntls on\nnet.keepalive off\noauth2.enable on\nworkers 2\nactive yes";
    let net: NetOptions = good(SectionKind::Output, lines);
    assert!(!net.keepalive);
    let (severity, message, _) = one_fault::<NetOptions>(SectionKind::Output, "name x\ntag y");
    assert_eq!(
        (severity, message.as_str()),
        (Severity::Error, "output 'x' has no option 'tag'")
    );
}

#[test]
fn service_keys_that_are_unknown_are_ignored_with_a_warning() {
    let (severity, message, read) = one_fault::<ServiceOptions>(SectionKind::Service, "flsh 5");
    assert_eq!(
        (severity, message.as_str(), read),
        (Severity::Warning, "service has no option 'flsh'", true)
    );
}

#[test]
fn service_values_that_fluent_bit_refuses_are_errors() {
    for line in [
        "flush 0",
        "flush -1",
        "flush abc",
        "log_level loud",
        "coro_stack_size 100",
    ] {
        let (severity, _, read) = one_fault::<ServiceOptions>(SectionKind::Service, line);
        assert_eq!((severity, read), (Severity::Error, false), "{line}");
    }
    assert_eq!(
        one_fault::<ServiceOptions>(SectionKind::Service, "storage.sync fast").0,
        Severity::StartError
    );
    assert_eq!(
        one_fault::<ServiceOptions>(SectionKind::Service, "http_server 1").0,
        Severity::Warning
    );
    let service: ServiceOptions = good(
        SectionKind::Service,
        "flush 0.25\ngrace -1\nlog_level WARNING\nparsers_file a\nparsers_file b",
    );
    assert_eq!(service.flush.0, Duration::from_millis(250));
    assert_eq!(
        (service.grace, service.log_level),
        (Grace::Unlimited, Some(LogLevel::Warn))
    );
    assert_eq!(
        service.parsers_file,
        [PathBuf::from("a"), PathBuf::from("b")]
    );
}

#[test]
fn telemetry_is_refused_as_a_flat_key() {
    let mut diagnostics = Diagnostics::new();
    let section = section(SectionKind::Service, "telemetry.metrics on");
    assert!(ServiceOptions::read(&section, &mut diagnostics).is_none());
    assert!(diagnostics.has_errors());
}

#[test]
fn parser_definitions_read_in_full() {
    let parser: ParserOptions = good(
        SectionKind::Parser,
        "name nginx\nformat REGEX\nregex ^(?<a>x)$\ntime_key t\ntime_format %s\ntime_keep on\ntime_offset -0330\n\
         types a:integer b:bool\ndecode_field_as escaped_utf8 log do_next\ndecode_field json   log",
    );
    assert_eq!(
        (parser.name.as_str(), parser.format),
        ("nginx", ParserFormat::Regex)
    );
    assert_eq!(parser.utc_offset(), Some(UtcOffset(-12_600)));
    assert_eq!(
        parser.types.0,
        [
            ("a".into(), FieldType::Integer),
            ("b".into(), FieldType::Bool)
        ]
    );
    let rules: Vec<_> = parser
        .decoders
        .0
        .iter()
        .map(|rule| (rule.replaces, rule.decoder, rule.field.as_str(), rule.then))
        .collect();
    assert_eq!(
        rules,
        [
            (true, DecoderKind::EscapedUtf8, "log", AfterDecoding::DoNext),
            (false, DecoderKind::Json, "log", AfterDecoding::Stop),
        ],
    );
}

#[test]
fn bad_parser_definitions_are_refused_at_load() {
    for lines in [
        "format json",
        "name a",
        "name a\nformat xml",
        "name a\nformat regex",
        "name a\nformat json\ntime_zone Europe/Zurich",
        "name a\nformat json\ntime_format %s\ntime_zone UTC\ntime_offset +0100",
        "name a\nformat json\ntime_format %s\ntime_offset 5",
    ] {
        let (severity, _, read) = one_fault::<ParserOptions>(SectionKind::Parser, lines);
        assert_eq!((severity, read), (Severity::Error, false), "{lines}");
    }
}

#[test]
fn a_bad_decoder_spoils_all_decoders() {
    let mut diagnostics = Diagnostics::new();
    let lines = "name a\nformat json\ndecode_field_as escaped log\ndecode_field jsn log";
    let parser = ParserOptions::read(&section(SectionKind::Parser, lines), &mut diagnostics)
        .expect("a warning only");
    assert_eq!(parser.decoders.0, []);
    assert_eq!(diagnostics.worst(), Some(Severity::Warning));
}

#[test]
fn in_parser_definitions_the_first_key_wins() {
    let mut diagnostics = Diagnostics::new();
    let lines = "name a\nformat json\ntime_key x\ntime_key y";
    let parser = ParserOptions::read(&section(SectionKind::Parser, lines), &mut diagnostics)
        .expect("a warning only");
    assert_eq!(parser.time_key, "x");
    assert_eq!(diagnostics.len(), 1);
}

#[test]
fn multiline_rules_are_checked_as_a_whole() {
    let parser: MultilineParserOptions = good(
        SectionKind::MultilineParser,
        "name go\ntype regex\nflush_timeout 1000\nrule \"start_state, other\" \"/^panic: \\\"x\\\"/\" \"next\"\n\
         rule \"next\" \"/^ +/\" \"next\"",
    );
    assert_eq!(parser.rules[0].from, ["start_state", "other"]);
    assert_eq!(parser.rules[0].pattern, "/^panic: \"x\"/");
    assert_eq!(parser.flush_timeout.0, Duration::from_secs(1));
    for lines in [
        "name a\ntype regx",
        "name a\ntype regex\nrule \"next\" \"/a/\"",
        "name a\ntype regex\nrule \"start_state\" \"/a/\" \"nowhere\"",
        "name a\ntype regex\nrule alone",
    ] {
        let (severity, _, read) =
            one_fault::<MultilineParserOptions>(SectionKind::MultilineParser, lines);
        assert_eq!((severity, read), (Severity::Error, false), "{lines}");
    }
}
