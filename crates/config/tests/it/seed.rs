//! The configurations that the project comes from load as they are.

use std::fs;
use std::path::Path;

use config::{
    Diagnostics, Document, FilterCommon, InputCommon, MemoryHost, Options, OutputCommon,
    ParserFormat, ParserOptions, ServiceOptions,
};

fn load(main: &str, parsers: &str) -> (Document, Diagnostics) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/seed");
    let read = |name: &str| fs::read(folder.join(name)).expect("readable");
    let host = MemoryHost::new()
        .with_file("etc/main.conf", read(main))
        .with_file("etc/parsers.conf", read(parsers));
    let mut diagnostics = Diagnostics::new();
    let document = Document::load(
        &host,
        Some(Path::new("etc/main.conf")),
        Vec::new(),
        &mut diagnostics,
    );
    (document, diagnostics)
}

#[test]
fn eks_loads_without_a_finding() {
    let (document, mut diagnostics) = load("eks-fluent-bit.conf", "parsers.conf");
    let service = ServiceOptions::read(&document.service, &mut diagnostics).expect("good");
    assert_eq!(service.parsers_file, [Path::new("parsers.conf")]);
    let input = InputCommon::read_part(&document.inputs[0], &mut diagnostics).expect("good");
    assert_eq!(
        (input.tag.as_deref(), input.mem_buf_limit.0),
        (Some("kube.*"), 5_000_000)
    );
    FilterCommon::read_part(&document.filters[0], &mut diagnostics).expect("good");
    let output = OutputCommon::read_part(&document.outputs[0], &mut diagnostics).expect("good");
    assert_eq!(output.match_tags.as_deref(), Some("**"));
    let parsers: Vec<_> = document
        .parsers
        .iter()
        .map(|parser| ParserOptions::read(parser, &mut diagnostics).expect("good"))
        .collect();
    assert_eq!(
        parsers
            .iter()
            .map(|parser| parser.name.as_str())
            .collect::<Vec<_>>(),
        ["nginx", "docker"]
    );
    assert_eq!(
        (parsers[1].format, parsers[1].time_keep),
        (ParserFormat::Json, true)
    );
    assert_eq!(parsers[1].decoders.0.len(), 1);
    assert!(
        parsers[0]
            .regex
            .as_deref()
            .is_some_and(|regex| regex.ends_with(r#"\"-\"$"#))
    );
    assert_eq!(diagnostics.to_string(), "");
}

#[test]
fn ecs_loads_without_a_finding() {
    for parsers in ["parsers.conf", "parsers-as-printed.conf"] {
        let (document, mut diagnostics) = load("ecs-fluent-bit.conf", parsers);
        assert_eq!(
            document.inputs[0].text("unix_path"),
            Some("/var/run/fluent.sock")
        );
        ServiceOptions::read(&document.service, &mut diagnostics).expect("good");
        for parser in &document.parsers {
            ParserOptions::read(parser, &mut diagnostics).expect("good");
        }
        assert_eq!(diagnostics.to_string(), "");
    }
}
