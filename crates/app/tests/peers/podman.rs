//! Log files in the CRI format, written by a real runtime and read with the post's EKS configuration, whose `docker` parser
//! does not know that format.

use serde_json::Value;

use crate::harness::containers::Podman;
use crate::harness::folder;
use crate::harness::lake::Lake;
use crate::harness::lines::{AGENT, Lines, assert_exactly_once, assert_parsed, unescaped};
use crate::harness::peer::peers;
use crate::harness::places::Eks;
use crate::harness::router::Router;
use crate::harness::web::Web;

/// The text of a CRI line: behind `TIME STREAM TAG `.
fn text_of(line: &str) -> &str {
    line.splitn(4, ' ').nth(3).unwrap_or_default()
}

#[test]
fn podman_cri_lines() {
    let Some([aws]) = peers(["FLUMEN_PEER_AWS"]) else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    let Some(podman) = Podman::start(folder) else {
        return;
    };
    let lake = Lake::start(folder, &aws);
    lake.create_stream("eks-stream", "eks");
    let eks = Eks::place(folder);
    let router = Router::tailing(&eks.configuration, &lake);
    let log = eks.containers.join("web_default_nginx.log");
    let mut web = Web::new(folder);
    podman.start_nginx("web", &web, &log);
    web.visit(300);
    podman.stop("web");

    let file = std::fs::read_to_string(&log).expect("Podman's log file");
    let file = unescaped(&file);
    let written = Lines::written(file.lines().map(text_of));
    assert!(written.len() > 300, "{written:?}");
    lake.delivered("eks", written.len());
    let warnings = router
        .log()
        .lines()
        .filter(|line| line.contains("[ warn]") && line.contains("CRI"))
        .count();
    router.terminate();
    let records = lake.records("eks");
    assert_exactly_once(&written, &records);
    assert_parsed(&records, "/ok/000001", &unescaped(AGENT));
    assert_eq!(
        warnings, 1,
        "one warning says that the lines are read as CRI"
    );
    lake.terminate();
}

/// Empty lines, several scripts and a terminal's colours come through; bytes that are not UTF-8 become private-use code points,
/// one each, as in Fluent Bit.
#[test]
fn podman_odd_lines() {
    let Some([aws]) = peers(["FLUMEN_PEER_AWS"]) else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    let Some(podman) = Podman::start(folder) else {
        return;
    };
    let lake = Lake::start(folder, &aws);
    lake.create_stream("eks-stream", "eks");
    let eks = Eks::place(folder);
    let router = Router::tailing(&eks.configuration, &lake);
    let script = r#"
        printf 'tab\there "quotes" back\\slash <a&b>\n\n'
        printf 'caf\303\251 \346\227\245\346\234\254\n'
        printf 'bad \377\376 utf8\n'
        printf '\033[31mred\033[0m\n'
        echo to stderr >&2"#;
    podman.run_shell(script, &eks.containers.join("odd_default_shell.log"));
    let mut logs: Vec<String> = lake.delivered("eks", 6).iter().map(log_of).collect();
    router.terminate();
    logs.sort();
    let mut expected = [
        "",
        "\u{1b}[31mred\u{1b}[0m",
        "bad \u{e0ff}\u{e0fe} utf8",
        "café 日本",
        // The post's `docker` parser decodes escapes, and takes the backslash from what is none.
        "tab\there \"quotes\" backslash <a&b>",
        "to stderr",
    ];
    expected.sort();
    assert_eq!(logs, expected);
    assert_eq!(lake.records("eks").len(), expected.len());
    lake.terminate();
}

fn log_of(record: &Value) -> String {
    let log = record["log"]
        .as_str()
        .unwrap_or_else(|| panic!("a record without `log`: {record}"));
    log.trim_end_matches('\n').to_owned()
}
