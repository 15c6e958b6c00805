//! `storage.pause_on_chunks_overlimit`: an input waits rather than fill the disk while its output takes nothing.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::router::{Router, free_port, until};

/// Six times what may be in memory.
const LINES: usize = 12_000;
const LINE: usize = 1_000;

fn sections(port: u16, output: &str) -> String {
    format!(
        "    storage.max_chunks_up 1\n\
         [INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n    Format none\n    storage.type filesystem\n    \
         storage.pause_on_chunks_overlimit on\n\
         [OUTPUT]\n    Match *\n    Name {output}\n"
    )
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let sizes = entries.filter_map(|entry| entry.metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
}

#[test]
fn an_input_that_is_to_wait_fills_neither_memory_nor_disk_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    // Takes connections and says nothing.
    let dead = TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let endpoint = dead.local_addr().expect("bound");
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.envs([
        ("AWS_ACCESS_KEY_ID", "flumen"),
        ("AWS_SECRET_ACCESS_KEY", "flumen"),
    ]);
    let firehose = format!(
        "kinesis_firehose\n    Region us-east-1\n    Delivery_Stream s\n    Endpoint http://{endpoint}"
    );
    let mut router = Router::start_by(command, folder.path(), &sections(port, &firehose), &[]);
    let mut sender = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let sending = std::thread::spawn(move || {
        let line = format!("{}\n", "x".repeat(LINE - 1));
        (0..LINES).for_each(|_| sender.write_all(line.as_bytes()).expect("nobody parts"));
    });
    router.until_logged("[input] tcp.0 paused (storage buf overlimit", 1);
    let gauge = |name: &str| router.metric(&format!("fluentbit_input_{name}{{name=\"tcp.0\"}} "));
    until("the monitor to say so", || {
        (gauge("ingestion_paused") == 1 && gauge("storage_overlimit") == 1).then_some(())
    });
    let storage = router.ask("GET", "/api/v1/storage", "");
    assert!(storage.contains("\"overlimit\":true"), "{storage}");
    let taken = gauge("bytes_total");
    assert!(taken < (LINES * LINE / 2) as u64, "{taken} bytes are taken");
    assert!(!sending.is_finished());
    let on_disk = bytes_in(&folder.path().join("state-directory/wal"));
    assert!(on_disk < (LINES * LINE / 2) as u64, "{on_disk} bytes");
    // Another output takes what comes from now on.
    router.configure(&sections(port, "file\n    Path .\n    File out"));
    router.signal("HUP");
    sending.join().expect("all is taken");
    until("all that was sent", || {
        (gauge("bytes_total") >= (LINES * (LINE - 1)) as u64).then_some(())
    });
    until("the monitor to say so", || {
        (gauge("ingestion_paused") == 0 && gauge("storage_overlimit") == 0).then_some(())
    });
    router.signal("TERM");
    assert!(router.wait().success());
}
