//! Requests to the monitoring server, changed anywhere: it answers or closes the connection, and goes on.

use std::rc::Rc;
use std::time::Duration;

use monitor::{Admin, HealthLimits, Monitor, Pipeline, Watched, serve};
use plugin::{Level, Log};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// What no answer may show.
const TOKEN: &str = "the-canary";
const GET: &str = "GET /api/v1/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn monitor() -> Monitor {
    let pipeline = Pipeline {
        inputs: vec![],
        filters: vec![],
        outputs: vec![],
        emitter: None,
    };
    let limits = HealthLimits {
        errors: 5,
        retries_failed: 5,
        period_seconds: 60,
    };
    let admin = Admin {
        reload: Some(Rc::new(|| Box::pin(async { Ok(()) }))),
        token: Some(TOKEN.to_owned()),
        listen: "127.0.0.1".to_owned(),
    };
    let names = [vec!["tail"], vec![], vec!["stdout"]];
    Monitor::new(Watched::new(pipeline), admin, limits, true, names)
}

async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // It may be answered, or cut off, before all is sent.
    let _ = stream.write_all(request).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let ended = tokio::time::timeout(Duration::from_secs(60), reading).await;
    let _ = ended.expect("an end of the connection");
    answer
}

#[test]
fn fuzz_monitoring() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = LocalSet::new();
    let address = local.block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        tokio::task::spawn_local(serve(
            listener,
            Rc::new(monitor()),
            Log::new("", Level::Off),
        ));
        address
    });
    let reload = "POST /api/v2/reload HTTP/1.1\r\nHost: 127.0.0.1:2020\r\nOrigin: http://127.0.0.1:2020\r\n\
                  Authorization: Bearer the-canary\r\nContent-Length: 2\r\n\r\n{}";
    let chunked = "PUT /api/v2/reload HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    fuzz::Target::new("monitoring")
        .seeds([
            GET,
            reload,
            chunked,
            "HEAD http://localhost/api/v1/health HTTP/1.0\r\n\r\n",
        ])
        .words([
            "/api/v1/metrics/prometheus",
            "/api/v2/health",
            "/api/v1/uptime",
            "/api/v1/plugins",
            "\r\n\r\n",
            "://",
        ])
        .words([
            "Host: evil",
            "Origin: null",
            "Sec-Fetch-Site: cross-site",
            "Expect: 100-continue",
            "Upgrade: h2c",
        ])
        .run(|request| {
            let answer = local.block_on(&runtime, exchange(address, request));
            let is_answer = answer.is_empty() || answer.starts_with(b"HTTP/1.");
            assert!(is_answer, "{}", answer.escape_ascii());
            assert!(
                !answer
                    .windows(TOKEN.len())
                    .any(|part| part == TOKEN.as_bytes()),
                "no secret in an answer"
            );
        });
    let answer = local.block_on(&runtime, exchange(address, GET.as_bytes()));
    assert!(answer.starts_with(b"HTTP/1.1 200"), "it goes on");
}
