//! The router against services that are not ours: moto's Firehose and S3.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::harness::lake::Lake;
use crate::harness::peer::peers;
use crate::harness::router::Router;
use crate::harness::{folder, free_port};

/// More lines than two requests may carry.
const COUNT: usize = 1300;

#[test]
fn moto_takes_what_the_router_sends() {
    let Some([aws, moto]) = peers(["FLUMEN_PEER_AWS", "FLUMEN_PEER_MOTO"]) else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    let port = free_port();
    let mut server = Command::new(moto);
    server.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    let services = Lake::with_server(&mut server, port, folder, &aws);
    services.create_stream("app-stream", "app");

    let lines: Vec<String> = (0..COUNT)
        .map(|number| format!("{{\"id\":{number},\"text\":\"a \\\"line\\\" é\"}}\n"))
        .collect();
    fs::write(folder.join("app.log"), lines.concat()).expect("a log file");
    let configuration = folder.join("tail.conf");
    let text = format!(
        "[SERVICE]
    Parsers_File parsers.conf
[INPUT]
    Name tail
    Path {}/app.log
    Parser json
    Read_from_Head On
[OUTPUT]
    Name kinesis_firehose
    Match *
    delivery_stream app-stream
    region us-west-2
",
        folder.display()
    );
    fs::write(&configuration, text).expect("a configuration");
    fs::write(
        folder.join("parsers.conf"),
        "[PARSER]\n    Name json\n    Format json\n",
    )
    .expect("a parser");
    let router = Router::start(&configuration, &services);
    services.delivered("app", COUNT);
    router.terminate();

    let mut ids: Vec<u64> = services
        .records("app")
        .iter()
        .filter_map(|record: &Value| record["id"].as_u64())
        .collect();
    ids.sort_unstable();
    assert!(
        ids.iter().copied().eq(0..COUNT as u64),
        "each exactly once: {ids:?}"
    );
}
