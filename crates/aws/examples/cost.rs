//! What a request costs: CPU time, heap allocations and resident memory of a client that posts 1 MiB bodies over
//! loopback to a server in another process, plain and encrypted.
//!
//! `cargo run --release -p aws --example cost`

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws::{
    Client, ClientOptions, Credentials, CredentialsProvider, Environment, Service, Signer,
    TlsOptions,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const BODY_BYTES: usize = 1024 * 1024;
const REQUESTS: u32 = 300;
/// An answer of Firehose to 500 records.
const ANSWER_BYTES: usize = 110_000;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything on to the system's allocator and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(),
        _ => measure(),
    }
}

fn measure() -> Result<()> {
    println!("start: {}", memory()?);
    signatures()?;
    let folder = tempfile::tempdir()?;
    let authority = folder.path().join("ca.pem");
    let server = Server::start(&authority)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let plain = format!("http://127.0.0.1:{}", server.plain);
    let encrypted = format!("https://localhost:{}", server.encrypted);
    for (name, endpoint) in [("plain", plain), ("TLS", encrypted)] {
        let tls = TlsOptions {
            ca_file: Some(authority.clone()),
            ..TlsOptions::default()
        };
        let options = ClientOptions {
            endpoint: Some(endpoint),
            tls,
            ..ClientOptions::new(Service::FIREHOSE, "us-east-1")
        };
        let client = Client::new(
            options,
            CredentialsProvider::fixed(keys()?),
            &Environment::process(),
        )?;
        runtime.block_on(posts(name, &client))?;
    }
    // What the system's authorities take: nothing listens there, but they are read for the handshake.
    let options = ClientOptions {
        endpoint: Some(format!("https://localhost:{}", server.encrypted)),
        ..ClientOptions::new(Service::FIREHOSE, "us-east-1")
    };
    let client = Client::new(
        options,
        CredentialsProvider::fixed(keys()?),
        &Environment::process(),
    )?;
    let refused = runtime.block_on(client.post_json("Firehose_20150804.PutRecordBatch", "{}"));
    println!(
        "with the system's authorities ({}): {}",
        if refused.is_err() { "read" } else { "?" },
        memory()?
    );
    Ok(())
}

fn keys() -> Result<Credentials> {
    Ok(Credentials::new(
        "AKIDEXAMPLE",
        "secret",
        Some("a-session-token"),
    )?)
}

/// Signing alone, without a body and with one.
fn signatures() -> Result<()> {
    let signer = Signer::new(Service::FIREHOSE, "us-east-1");
    let credentials = keys()?;
    let body = vec![b'x'; BODY_BYTES];
    for (name, body, times) in [("empty", &body[..0], 20_000), ("1 MiB", &body[..], 200)] {
        let (mut head, ()) = http::Request::post("/")
            .header("host", "firehose.us-east-1.amazonaws.com")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "Firehose_20150804.PutRecordBatch")
            .header("user-agent", "flumen")
            .body(())?
            .into_parts();
        let begin = (cpu(), ALLOCATIONS.load(Ordering::Relaxed));
        for _ in 0..times {
            signer.sign(&mut head, body, &credentials, SystemTime::now());
        }
        let (time, allocations) = since(begin, times);
        println!("sign {name}: {time:?}, {allocations} allocations");
    }
    Ok(())
}

async fn posts(name: &str, client: &Client) -> Result<()> {
    let body = Bytes::from(vec![b'x'; BODY_BYTES]);
    let target = "Firehose_20150804.PutRecordBatch";
    for (size, body) in [("1 MiB", body.clone()), ("1 kB", body.slice(..1024))] {
        for _ in 0..3 {
            client.post_json(target, body.clone()).await?;
        }
        let begin = (cpu(), ALLOCATIONS.load(Ordering::Relaxed));
        for _ in 0..REQUESTS {
            client.post_json(target, body.clone()).await?;
        }
        let (time, allocations) = since(begin, REQUESTS);
        println!(
            "{name}, {size} signed and posted: {time:?} CPU, {allocations} allocations; {}",
            memory()?
        );
    }
    Ok(())
}

fn since((time, allocations): (Duration, u64), times: u32) -> (Duration, u64) {
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
    ((cpu() - time) / times, allocated / u64::from(times))
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

fn memory() -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = |name: &str| {
        status
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
    };
    Ok(format!("{} ({})", line("VmRSS"), line("RssAnon")).replace(['\t', ' '], " "))
}

/// The other process.
struct Server {
    child: Child,
    plain: u16,
    encrypted: u16,
}

impl Server {
    /// Writes the certificate that the server vouches for itself with to `authority`.
    fn start(authority: &std::path::Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(authority)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let (plain, encrypted) = line.trim().split_once(' ').ok_or("no ports")?;
        let (plain, encrypted) = (plain.parse()?, encrypted.parse()?);
        Ok(Self {
            child,
            plain,
            encrypted,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn serve() -> Result<()> {
    let authority = std::env::args()
        .nth(2)
        .ok_or("where to write the certificate?")?;
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(authority, identity.cert.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        identity.signing_key.serialize_der(),
    ));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key)?;
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let encrypted = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!(
            "{} {}",
            plain.local_addr()?.port(),
            encrypted.local_addr()?.port()
        );
        loop {
            tokio::select! {
                Ok((stream, _)) = plain.accept() => {
                    tokio::spawn(converse(stream));
                }
                Ok((stream, _)) = encrypted.accept() => {
                    let tls = tls.clone();
                    tokio::spawn(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            converse(stream).await;
                        }
                    });
                }
            }
        }
    })
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let answer = Bytes::from(vec![b'y'; ANSWER_BYTES]);
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let answer = answer.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                frame?;
            }
            Ok::<_, hyper::Error>(http::Response::new(Full::new(answer)))
        }
    });
    let serving =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    drop(serving.await);
}
