//! The hot road allocates nothing per record: from the post's EKS configuration's tail to Firehose, what is left is per
//! request of 500 records (signing, HTTP, bookkeeping), and a batch now and then.
//!
//! Allocations are counted on the shard's thread alone: the thread that reads, parses, filters, encodes, signs and sends.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use config::{Diagnostics, Document, LogLevel, SystemHost};
use engine::{Pipeline, Plan, Registry};
use tokio::task::LocalSet;

struct Counting;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // The thread's storage may be gone while it ends; nothing is counted then.
    let _ = COUNTING.try_with(|counting| {
        if counting.get() {
            ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
        }
    });
}

// SAFETY: everything is left to the system's allocator; counting touches only thread-local cells without destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WARM_UP: u64 = 40_000;
const MEASURED: u64 = 80_000;

#[test]
fn allocations_are_per_request_and_not_per_record() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let delivered = Arc::new(AtomicU64::new(0));
    let address = serve(Arc::clone(&delivered));
    // SAFETY: the only test of this program; no other thread reads the environment now.
    unsafe {
        std::env::set_var("AWS_ENDPOINT_URL", format!("http://{address}"));
        std::env::set_var("AWS_ACCESS_KEY_ID", "flumen");
        std::env::set_var("AWS_SECRET_ACCESS_KEY", "flumen");
        std::env::set_var("STATE_DIRECTORY", folder.path().join("state"));
    }
    let config = seed_config(folder.path());
    let log = folder
        .path()
        .join("containers/nginx_default_nginx-0123.log");
    std::fs::write(&log, "").expect("written");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let allocations = runtime.block_on(LocalSet::new().run_until(async {
        let pipeline = Pipeline::build(plan(&config), LogLevel::Error)
            .unwrap_or_else(|error| panic!("{error}"));
        let input = pipeline.counters().inputs[0].own.clone();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        pipeline
            .run(async {
                // What is there before the file is followed is not read (Read_from_Head off).
                let opened = input.counter("files_opened_total", "");
                while opened.get() == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                carry(&log, WARM_UP, &delivered).await;
                COUNTING.set(true);
                carry(&log, MEASURED, &delivered).await;
                COUNTING.set(false);
                let _ = sender.send(ALLOCATIONS.get());
            })
            .await;
        receiver.await.expect("measured")
    }));
    println!("{allocations} allocations for {MEASURED} records");
    // Less than one per 80 records: four per request of 500, and two for each batch that is read, which may be small because
    // little is read ahead.
    assert!(
        allocations * 80 < MEASURED,
        "{allocations} allocations for {MEASURED} records"
    );
}

/// Appends `lines` to the log file and waits until they are delivered.
async fn carry(log: &Path, lines: u64, delivered: &AtomicU64) {
    let was_counting = COUNTING.replace(false);
    let line = concat!(
        r#"{"log":"10.0.0.1 - - [22/Nov/2026:13:05:09 +0000] \"GET /index.html HTTP/1.1\" 200 612 \"-\" \"curl/8.5.0\" \"-\"\n","#,
        r#""stream":"stdout","time":"2026-11-22T13:05:09.250000000Z"}"#,
        "\n"
    );
    let before = delivered.load(Ordering::Acquire);
    let mut file = OpenOptions::new().append(true).open(log).expect("open");
    file.write_all(line.repeat(lines as usize).as_bytes())
        .expect("written");
    COUNTING.set(was_counting);
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    while delivered.load(Ordering::Acquire) < before + lines {
        assert!(
            std::time::Instant::now() < deadline,
            "only {} arrived",
            delivered.load(Ordering::Acquire) - before
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The post's EKS configuration with the paths of a node replaced by paths of `folder`.
fn seed_config(folder: &Path) -> PathBuf {
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/seed");
    std::fs::create_dir(folder.join("containers")).expect("made");
    std::fs::copy(seed.join("parsers.conf"), folder.join("parsers.conf")).expect("copied");
    let text = std::fs::read_to_string(seed.join("eks-fluent-bit.conf")).expect("readable");
    let text = text
        .replace(
            "/var/log/containers",
            &folder.join("containers").display().to_string(),
        )
        .replace(
            "/var/log/flb_kube.db",
            &folder.join("flb_kube.db").display().to_string(),
        );
    let config = folder.join("fluent-bit.conf");
    std::fs::write(&config, text).expect("written");
    config
}

fn plan(config: &Path) -> Plan {
    let registry = Registry {
        inputs: inputs::ALL,
        filters: filters::ALL,
        outputs: outputs::ALL,
    };
    let mut diagnostics = Diagnostics::new();
    let document = Document::load(&SystemHost, Some(config), Vec::new(), &mut diagnostics);
    let parsers = parsers::Definitions::new(&document.parsers, LogLevel::Error, &mut diagnostics);
    let folder = config.parent().expect("a folder").to_owned();
    let plan = Plan::new(
        &document,
        registry,
        Arc::new(parsers),
        folder,
        &mut diagnostics,
    );
    plan.unwrap_or_else(|| panic!("{diagnostics}"))
}

/// A Firehose that takes everything, on threads of its own.
fn serve(delivered: Arc<AtomicU64>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let delivered = Arc::clone(&delivered);
            std::thread::spawn(move || answer(stream, &delivered));
        }
    });
    address
}

fn answer(stream: TcpStream, delivered: &AtomicU64) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let records = body
            .windows(8)
            .filter(|window| window == b"\"Data\":\"")
            .count();
        let answer = b"{\"FailedPutCount\":0,\"RequestResponses\":[]}";
        write!(
            writer,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        )
        .ok()?;
        writer.write_all(answer).ok()?;
        delivered.fetch_add(records as u64, Ordering::AcqRel);
    }
}
