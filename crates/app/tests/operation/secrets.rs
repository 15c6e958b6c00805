//! Secrets stand in configurations; they must not stand anywhere else.

use std::path::Path;
use std::process::Command;

use crate::router::{Router, until};

const CANARY: &str = "canary7hZ2q";

/// Every option that holds a secret, with mistakes around that make messages.
fn sections() -> String {
    format!(
        "[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port 0\n    Unix_Path ${{NO_SUCH}}\n\
         [OUTPUT]\n    Name kinesis_firehose\n    Match *\n    Region us-east-1\n    Delivery_Stream s\n    \
         Endpoint http://user:{CANARY}@127.0.0.1:1\n    External_Id {CANARY}\n    \
         Role_ARN arn:aws:iam::123456789012:role/r\n    TLS.Key_Passwd {CANARY}\n"
    )
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_flumen"))
        .args(arguments)
        .args(["-c", "flumen.conf"])
        .current_dir(folder)
        .envs([
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", CANARY),
            ("AWS_SESSION_TOKEN", CANARY),
            ("FLUMEN_ADMIN_TOKEN", CANARY),
        ])
        .output()
        .expect("it runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn assert_silent(where_from: &str, text: &str) {
    assert!(!text.contains(CANARY), "{where_from}: {text}");
}

#[test]
fn no_secret_is_in_messages_about_a_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let mistakes = [
        sections(),
        // Secrets under keys that do not exist, and beside values that are none.
        sections().replace("External_Id", "Extrenal_Id"),
        sections().replace("TLS.Key_Passwd", "Shared_Key"),
        format!("{}    Retry_Limit {CANARY}x\n", sections()).replace("canary7hZ2qx", "some"),
        format!(
            "[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port 0\n    Shared_Key {CANARY}\n    Security.Users me {CANARY}\n\
             [OUTPUT]\n    Name null\n    Match nothing\n"
        ),
    ];
    for text in mistakes {
        std::fs::write(folder.path().join("flumen.conf"), &text).expect("written");
        for arguments in [&["check"][..], &["--dry-run"], &["-vv", "--dry-run"]] {
            let printed = run(folder.path(), arguments);
            assert!(!printed.is_empty());
            assert_silent(&format!("{arguments:?} {text}"), &printed);
        }
    }
}

#[test]
fn no_secret_is_in_logs_metrics_or_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let sections = format!(
        "[INPUT]\n    Name dummy\n    Rate 10\n\
         [OUTPUT]\n    Name kinesis_firehose\n    Match *\n    Region us-east-1\n    Delivery_Stream s\n    \
         Endpoint http://127.0.0.1:1\n    External_Id {CANARY}\n    Log_Level debug\n    Retry_Limit 1\n\
         [OUTPUT]\n    Name cloudwatch_logs\n    Match *\n    Region us-east-1\n    Log_Group_Name g\n    Log_Stream_Name s\n    \
         Endpoint http://127.0.0.1:1\n"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.envs([
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", CANARY),
        ("AWS_SESSION_TOKEN", CANARY),
        ("FLUMEN_ADMIN_TOKEN", CANARY),
    ]);
    let mut router = Router::start_by(command, folder.path(), &sections, &["-vv"]);
    until("failures", || {
        (router.metric("fluentbit_output_retries_total{name=\"kinesis_firehose.0\"} ") > 0)
            .then_some(())
    });
    // A reload with mistakes beside secrets.
    router.configure(&sections.replace("Region us-east-1", &format!("Regoin {CANARY}")));
    let mut answers = vec![router.ask("POST", "/api/v2/reload", "")];
    for path in [
        "/",
        "/api/v1/metrics",
        "/api/v1/metrics/prometheus",
        "/api/v1/health",
        "/api/v1/plugins",
        "/api/v2/health",
        "/api/v2/reload",
    ] {
        answers.push(router.ask("GET", path, ""));
    }
    assert!(answers[0].contains("400 Bad Request"), "{}", answers[0]);
    assert_silent("the monitoring server", &answers.join("\n"));
    router.signal("TERM");
    assert!(router.wait().success());
    assert_silent("the log", &router.log());
}
