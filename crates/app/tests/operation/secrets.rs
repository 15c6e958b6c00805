//! Secrets stand in configurations; they must not stand anywhere else.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::router::{Router, free_port, until};

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
        .env("STATE_DIRECTORY", folder.join("state-directory"))
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

/// A configuration with one input: its name, and further lines.
fn with_input(lines: &str) -> String {
    format!("[INPUT]\n    Name {lines}\n[OUTPUT]\n    Name null\n    Match nothing\n")
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
        // Users without a key, an unreadable key with a password, a secret of OAuth 2.
        with_input(&format!("forward\n    Security.Users me {CANARY}")),
        with_input(&format!(
            "forward\n    Shared_Key {CANARY}\n    Empty_Shared_Key on"
        )),
        with_input(&format!(
            "tcp\n    tls on\n    tls.crt_file flumen.conf\n    tls.key_file flumen.conf\n    tls.key_passwd {CANARY}"
        )),
        with_input(&format!(
            "http\n    oauth2.validate on\n    oauth2.client_secret {CANARY}"
        )),
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
    let router = Router::start_by(command, folder.path(), &sections, &["-vv"]);
    until("failures", || {
        (router.metric("fluentbit_output_retries_total{name=\"kinesis_firehose.0\"} ") > 0)
            .then_some(())
    });
    // A reload with mistakes beside secrets.
    router.configure(&sections.replace("Region us-east-1", &format!("Regoin {CANARY}")));
    let answer = router.ask("POST", "/api/v2/reload", "");
    assert!(answer.contains("400 Bad Request"), "{answer}");
    assert_silent("the answer to a reload", &answer);
    assert_nothing_is_told(router);
}

/// Asks all that can be asked, ends the router, and reads its log.
fn assert_nothing_is_told(mut router: Router) {
    for path in [
        "/",
        "/api/v1/metrics",
        "/api/v1/metrics/prometheus",
        "/api/v1/health",
        "/api/v1/plugins",
        "/api/v2/health",
        "/api/v2/reload",
    ] {
        assert_silent(path, &router.ask("GET", path, ""));
    }
    router.signal("TERM");
    assert!(router.wait().success());
    assert_silent("the log", &router.log());
}

#[test]
fn no_secret_of_a_listener_is_told_to_those_who_do_not_know_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let router = Router::start(
        folder.path(),
        &with_input(&format!(
            "forward\n    Listen 127.0.0.1\n    Port {port}\n    Shared_Key {CANARY}\n    Security.Users me {CANARY}"
        )),
        &["-vv"],
    );
    let mut stream = until("the listener", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let digest = "0".repeat(128);
    let ping = [
        b"\x96\xa4PING\xa1h\xa1s\xd9\x80",
        digest.as_bytes(),
        b"\xa2me\xd9\x80",
        digest.as_bytes(),
    ]
    .concat();
    stream.write_all(&ping).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("HELO"), "{answer}");
    assert_silent("the answer to a wrong proof", &answer);
    router.until_logged("shared_key mismatch", 1);
    assert_nothing_is_told(router);
}

/// A service that reads the head of one request and says nothing.
fn one_request(listener: &TcpListener) -> String {
    let (stream, _) = listener.accept().expect("a client");
    let lines = BufReader::new(stream).lines();
    let head = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty());
    head.collect::<Vec<String>>().join("\n")
}

#[test]
fn no_secret_of_a_profile_or_of_a_program_is_told() {
    let document = format!(
        r#"{{"Version":1,"AccessKeyId":"AKIAFROMPROGRAM","SecretAccessKey":"{CANARY}","SessionToken":"{CANARY}"}}"#
    );
    let keys = format!("aws_secret_access_key = {CANARY}\naws_session_token = {CANARY}\n");
    let profile = format!("[p]\naws_access_key_id = AKIAFROMPROFILE\n{keys}");
    for (credentials, config, document, key) in [
        (&*profile, "", "", Some("AKIAFROMPROFILE")),
        (
            "",
            "[profile p]\ncredential_process = cat document\n",
            &*document,
            Some("AKIAFROMPROGRAM"),
        ),
        // What cannot be read is not shown either.
        (
            "",
            "[profile p]\ncredential_process = cat document\n",
            &document[..document.len() - 1],
            None,
        ),
        (&*format!("[p]\n{keys}"), "", "", None),
        (&*profile.replace(" = ", " "), "", "", None),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [
            ("credentials", credentials),
            ("config", config),
            ("document", document),
        ] {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let sections = format!(
            "[INPUT]\n    Name dummy\n    Rate 10\n\
             [OUTPUT]\n    Name kinesis_firehose\n    Match *\n    Region us-east-1\n    Delivery_Stream s\n    \
             Profile p\n    Endpoint http://127.0.0.1:{port}\n    Log_Level debug\n    Retry_Limit 1\n"
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
        command
            .env(
                "AWS_SHARED_CREDENTIALS_FILE",
                folder.path().join("credentials"),
            )
            .env("AWS_CONFIG_FILE", folder.path().join("config"))
            .env("AWS_EC2_METADATA_DISABLED", "true");
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ] {
            command.env_remove(name);
        }
        let router = Router::start_by(command, folder.path(), &sections, &["-vv"]);
        if let Some(key) = key {
            let head = one_request(&listener);
            // Otherwise nothing was there to be told.
            assert!(head.contains(key) && head.contains(CANARY), "{head}");
        }
        drop(listener);
        until("failures", || {
            (router.metric("fluentbit_output_retries_total{name=\"kinesis_firehose.0\"} ") > 0)
                .then_some(())
        });
        assert_nothing_is_told(router);
    }
}
