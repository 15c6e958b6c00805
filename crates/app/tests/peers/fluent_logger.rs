//! Senders of the forward protocol that were written by others: Python's fluent-logger, and the four carrier modes packed
//! by Python's msgpack.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::lake::Lake;
use crate::harness::peer::peers;
use crate::harness::process::{Process, output_of};
use crate::harness::router::Router;
use crate::harness::wait::{until, until_some};
use crate::harness::{folder, free_port};

/// A router's configuration: the forward protocol on a socket and a port, everything to one delivery stream.
fn configuration(folder: &Path, socket: &Path, port: u16) -> PathBuf {
    let text = format!(
        "[INPUT]
    Name forward
    unix_path {}
[INPUT]
    Name forward
    Listen 127.0.0.1
    Port {port}
[OUTPUT]
    Name kinesis_firehose
    Match *
    delivery_stream app-stream
    region us-west-2
    time_key time
    time_key_format %Y-%m-%dT%H:%M:%S.%3N
",
        socket.display()
    );
    let path = folder.join("forward.conf");
    fs::write(&path, text).expect("a configuration");
    path
}

fn script(python: &Path, name: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scripts");
    let mut command = Command::new(python);
    command.arg(scripts.join(name));
    command
}

/// The records by their `id`, each of which must be there once.
fn by_id(records: Vec<Value>) -> BTreeMap<String, Value> {
    let mut sorted = BTreeMap::new();
    for record in records {
        let id = record["id"]
            .as_str()
            .unwrap_or_else(|| panic!("a record without id: {record}"))
            .to_owned();
        assert_eq!(sorted.insert(id, record.clone()), None, "twice: {record}");
    }
    sorted
}

#[test]
fn fluent_logger_for_python() {
    const COUNT: usize = 1500;
    let Some([aws, python]) = peers(["FLUMEN_PEER_AWS", "FLUMEN_PEER_PYTHON"]) else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    let lake = Lake::start(folder, &aws);
    lake.create_stream("app-stream", "app/");
    let socket = folder.join("forward.sock");
    let port = free_port();
    let router = Router::listening(&configuration(folder, &socket, port), &socket, &lake);
    until("the router's port", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });

    let addresses = [
        format!("unix://{}", socket.display()),
        format!("127.0.0.1:{port}"),
    ];
    let mut senders = Vec::new();
    for (number, address) in addresses.iter().enumerate() {
        for nanoseconds in ["false", "true"] {
            let mut command = script(&python, "fluent_logger.py");
            command.args([address, nanoseconds, &COUNT.to_string()]);
            senders.push(Process::start(
                &format!("sender-{number}-{nanoseconds}"),
                &mut command,
                folder,
            ));
        }
    }
    for sender in &mut senders {
        let status = until_some("a sender to end", || sender.ended());
        assert!(status.success(), "{}", sender.log());
    }

    lake.delivered("app/", senders.len() * COUNT);
    router.terminate();
    let records = by_id(lake.records("app/"));
    assert_eq!(records.len(), senders.len() * COUNT);
    for address in &addresses {
        for (nanoseconds, time) in [
            ("false", "2026-11-22T17:00:01.000"),
            // A quarter: the package takes the nanoseconds from a float, which holds few fractions as they are.
            ("true", "2026-11-22T17:00:01.250"),
        ] {
            let id = format!("{address}/{nanoseconds}/1250");
            let expected = json!({
                "id": id,
                "text": "café 日本 \"quoted\" \\ \t\n",
                "list": [1, -1, 9_223_372_036_854_775_808_u64, 0.5, null, true, {"deep": []}],
                "time": time,
            });
            assert_eq!(records[&id], expected);
        }
    }
    lake.terminate();
}

#[test]
fn forward_modes_with_acknowledgements() {
    const COUNT: usize = 200;
    let Some([aws, python]) = peers(["FLUMEN_PEER_AWS", "FLUMEN_PEER_PYTHON"]) else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    let lake = Lake::start(folder, &aws);
    lake.create_stream("app-stream", "app/");
    let socket = folder.join("forward.sock");
    let router = Router::listening(&configuration(folder, &socket, free_port()), &socket, &lake);

    let mut command = script(&python, "forward_modes.py");
    let acknowledged = output_of(command.arg(&socket).arg(COUNT.to_string()));
    assert_eq!(acknowledged.lines().count(), COUNT + 3);
    // An acknowledgement means delivered: the router may die now.
    drop(router);

    lake.delivered("app/", 4 * COUNT);
    let records = by_id(lake.records("app/"));
    for mode in ["message", "forward", "packed", "gzip"] {
        for number in 0..COUNT {
            let record = &records[&format!("{mode}/{number}")];
            let time = format!("2026-11-22T17:{:02}:{:02}.000", number / 60, number % 60);
            assert_eq!(record["time"], time, "{record}");
        }
    }
    assert_eq!(records.len(), 4 * COUNT);
    lake.terminate();
}
