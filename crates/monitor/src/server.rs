//! The monitoring HTTP server: Fluent Bit's paths (cli-and-service reference, "Monitoring HTTP server").

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, SERVER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use plugin::Log;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_local};

use crate::admin::{Admin, Ends, Refused};
use crate::{Health, HealthLimits, Watched, prometheus, report};

/// The version whose configuration and API this program speaks.
const UPSTREAM_VERSION: &str = "5.1.1";
/// A client that does not finish its request head in this time is disconnected.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest request head; a longer one is answered with status 431.
const HEAD_MAX: usize = 16 << 10;
/// The most connections. One more takes the place of the oldest: nobody who leaves connections open shuts others out, or
/// takes the descriptors and the memory that records need.
const CONNECTIONS_MAX: usize = 64;

/// A client that does not finish its body in this time is not waited for.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest body of a request that changes something.
const BODY_MAX: usize = 64 << 10;

/// What the server tells.
pub struct Monitor {
    watched: Watched,
    admin: Admin,
    /// A reload is under way.
    is_reloading: Cell<bool>,
    health: RefCell<Health>,
    /// `Health_Check on`: whether `/api/v1/health` exists.
    health_check: bool,
    plugins: serde_json::Value,
    started: Instant,
    started_at: SystemTime,
}

type Answer = Response<Full<Bytes>>;

impl Monitor {
    /// Watches `watched`. `plugins` names what is compiled in: inputs, filters, outputs.
    pub fn new(
        watched: Watched,
        admin: Admin,
        limits: HealthLimits,
        health_check: bool,
        plugins: [Vec<&'static str>; 3],
    ) -> Monitor {
        let [inputs, filters, outputs] = plugins;
        Monitor {
            watched,
            admin,
            is_reloading: Cell::new(false),
            health: RefCell::new(Health::new(limits)),
            health_check,
            plugins: json!({"plugins": {"inputs": inputs, "filters": filters, "outputs": outputs}}),
            started: Instant::now(),
            started_at: SystemTime::now(),
        }
    }

    async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let allowed = self.admin.may_ask(request.uri(), request.headers(), ends);
        if let Err(refused) = allowed {
            return refusal(refused);
        }
        match (method, path.trim_end_matches('/')) {
            (Method::GET | Method::HEAD, path) => self.tell(path),
            (Method::POST | Method::PUT, "/api/v2/reload") => self.reload(request, ends).await,
            _ => status(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    async fn reload(&self, request: Request<Incoming>, ends: Ends) -> Answer {
        if let Err(refused) = self.admin.may_change(request.headers(), ends) {
            return refusal(refused);
        }
        match tokio::time::timeout(BODY_TIMEOUT, read_object(request.into_body())).await {
            Ok(Ok(())) => {}
            Ok(Err(refused)) => return refusal(refused),
            Err(_) => return status(StatusCode::REQUEST_TIMEOUT),
        }
        let answer = |status: StatusCode, word: &str, number: i32| {
            let report = json!({"reload": word, "status": number});
            body(status, "application/json", report.to_string())
        };
        let Some(reload) = &self.admin.reload else {
            return answer(StatusCode::OK, "not enabled", -3);
        };
        if self.is_reloading.replace(true) {
            return answer(StatusCode::BAD_REQUEST, "in progress", 1);
        }
        let outcome = reload().await;
        self.is_reloading.set(false);
        match outcome {
            Ok(()) => answer(StatusCode::OK, "done", 0),
            // The reason may quote the configuration, and with it a secret: it is in the log.
            Err(_) => answer(StatusCode::BAD_REQUEST, "refused, the log says why", -2),
        }
    }

    fn tell(&self, path: &str) -> Answer {
        match path {
            "" => json_answer(&json!({
                "fluent-bit": {"version": UPSTREAM_VERSION, "edition": "Flumen", "flags": []},
                "flumen": {"version": env!("CARGO_PKG_VERSION")},
            })),
            "/api/v1/uptime" => json_answer(&report::uptime(self.started.elapsed())),
            "/api/v1/metrics" => json_answer(&report::metrics(&self.watched.pipeline())),
            "/api/v1/metrics/prometheus" | "/api/v2/metrics/prometheus" => self.prometheus(),
            "/api/v1/plugins" => json_answer(&self.plugins),
            "/api/v1/storage" if self.watched.storage.is_shown.get() != 0 => {
                json_answer(&self.watched.all_storage().report(&self.watched.pipeline()))
            }
            "/api/v1/health" if self.health_check => self.health_v1(),
            "/api/v2/health" => self.health_v2(),
            "/api/v2/reload" => {
                json_answer(&json!({"hot_reload_count": self.watched.reloads.get()}))
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn prometheus(&self) -> Answer {
        let text = prometheus::text(&self.watched, self.started_at, self.started.elapsed());
        body(StatusCode::OK, "text/plain; version=0.0.4", text)
    }

    /// Every check that fails, in words.
    fn failing(&self) -> Vec<String> {
        let mut failing = self.health.borrow().failing();
        failing.extend(self.watched.failing());
        failing
    }

    fn health_v1(&self) -> Answer {
        let failing = self.failing();
        if failing.is_empty() {
            return body(StatusCode::OK, "text/plain", "ok\n".to_owned());
        }
        let text = format!("error\n{}\n", failing.join("\n"));
        body(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", text)
    }

    fn health_v2(&self) -> Answer {
        let health = self.health.borrow();
        let (errors, retries_failed) = health.within_period();
        let limits = health.limits();
        let failing = self.failing();
        let (status, word) = match failing.is_empty() {
            true => (StatusCode::OK, "ok"),
            false => (StatusCode::INTERNAL_SERVER_ERROR, "error"),
        };
        let mut report = json!({
            "status": word,
            "errors": errors,
            "retries_failed": retries_failed,
            "error_limit": limits.errors,
            "retry_failure_limit": limits.retries_failed,
            "period_limit": limits.period_seconds,
        });
        if !failing.is_empty() {
            report["failing"] = failing.into();
        }
        body(status, "application/json", report.to_string())
    }
}

fn json_answer(value: &serde_json::Value) -> Answer {
    body(StatusCode::OK, "application/json", value.to_string())
}

/// Reads what must be nothing, or a JSON object (whose content says nothing to us).
async fn read_object(incoming: Incoming) -> Result<(), Refused> {
    let too_long = Refused(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body is too long or broken\n",
    );
    if incoming.size_hint().lower() > BODY_MAX as u64 {
        return Err(too_long);
    }
    let limited = Limited::new(incoming, BODY_MAX);
    let collected = limited.collect().await.map_err(|_| too_long)?;
    let bytes = collected.to_bytes();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(Refused(
            StatusCode::BAD_REQUEST,
            "the body must be empty or a JSON object\n",
        )),
    }
}

fn refusal(Refused(status, words): Refused) -> Answer {
    body(status, "text/plain", words.to_owned())
}

fn status(status: StatusCode) -> Answer {
    body(status, "text/plain", String::new())
}

fn body(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = [
        (SERVER, "Flumen"),
        (CONTENT_TYPE, content_type),
        // Nothing here is for showing in a page of somebody else.
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Serves `monitor` on `listener` and samples health once a second, until dropped. Runs inside a `LocalSet`.
pub async fn serve(listener: TcpListener, monitor: Rc<Monitor>, log: Log) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut connections = VecDeque::new();
    loop {
        tokio::select! {
            _ = second.tick() => monitor.health.borrow_mut().sample(&monitor.watched.pipeline()),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Ok(local) = stream.local_addr() else { continue };
                    let ends = Ends { local, peer };
                    make_room(&mut connections);
                    connections.push_back(spawn_local(connection(stream, ends, Rc::clone(&monitor))));
                }
                Err(error) => {
                    log.warn(format_args!("cannot accept a connection: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

/// Forgets the connections that have ended, and ends the oldest if there are still too many.
fn make_room(connections: &mut VecDeque<JoinHandle<()>>) {
    connections.retain(|connection| !connection.is_finished());
    if connections.len() >= CONNECTIONS_MAX
        && let Some(oldest) = connections.pop_front()
    {
        oldest.abort();
    }
}

async fn connection(stream: tokio::net::TcpStream, ends: Ends, monitor: Rc<Monitor>) {
    let service = service_fn(|request: Request<Incoming>| {
        let monitor = Rc::clone(&monitor);
        async move { Ok::<_, Infallible>(monitor.answer(request, ends).await) }
    });
    // A client that breaks the protocol or goes away is its own problem.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InputCounters, OutputCounters, Pipeline};
    use plugin::Level;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn monitor(health_check: bool) -> Monitor {
        let input = InputCounters::new("tail.0".into(), Default::default());
        input.records.add(7);
        input
            .own
            .counter("files_opened_total", "Files opened.")
            .add(2);
        input.own.dropped("long_line").add(3);
        input.mem_size.set(100);
        input.waits_for_storage.set(1);
        let pipeline = Pipeline {
            inputs: vec![input],
            filters: vec![],
            outputs: vec![OutputCounters::new("a\"b".into(), Default::default())],
            emitter: None,
        };
        let limits = HealthLimits {
            errors: 5,
            retries_failed: 5,
            period_seconds: 60,
        };
        let watched = Watched::new(pipeline);
        watched.storage.is_shown.set(1);
        watched.storage.damaged_places.set(2);
        Monitor::new(
            watched,
            Admin::default(),
            limits,
            health_check,
            [vec!["tail"], vec![], vec!["stdout"]],
        )
    }

    async fn get(path: &str, health_check: bool) -> (String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let local = tokio::task::LocalSet::new();
        local.spawn_local(serve(
            listener,
            Rc::new(monitor(health_check)),
            Log::new("", Level::Off),
        ));
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = local
            .run_until(async move {
                let mut stream = tokio::net::TcpStream::connect(address)
                    .await
                    .expect("connect");
                stream.write_all(request.as_bytes()).await.expect("send");
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.expect("receive");
                answer
            })
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn metrics_name_every_instance() {
        let (head, body) = get("/api/v1/metrics", false).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(json["input"]["tail.0"]["records"], 7);
        assert_eq!(json["input"]["tail.0"]["files_opened"], 2);
        assert_eq!(json["output"]["a\"b"]["retries_failed"], 0);
    }

    #[tokio::test]
    async fn prometheus_text_names_what_was_dropped_and_why() {
        let (_, body) = get("/api/v1/metrics/prometheus", false).await;
        assert!(
            body.contains("fluentbit_input_dropped_total{name=\"tail.0\",reason=\"long_line\"} 3 "),
            "{body}"
        );
        assert!(
            body.contains("fluentbit_output_proc_records_total{name=\"a\\\"b\"} 0 "),
            "{body}"
        );
        assert_eq!(
            body.matches("# TYPE fluentbit_input_records_total counter")
                .count(),
            1
        );
    }

    #[tokio::test]
    async fn prometheus_text_tells_which_inputs_wait() {
        let (_, body) = get("/api/v1/metrics/prometheus", false).await;
        let value = |name: &str| {
            let sample = format!("fluentbit_input_{name}{{name=\"tail.0\"}} ");
            let mut values = body.lines().filter_map(|line| line.strip_prefix(&*sample));
            values.next().and_then(|value| value.split(' ').next())
        };
        assert_eq!(value("ingestion_paused"), Some("1"), "{body}");
        assert_eq!(value("storage_overlimit"), Some("1"));
        assert_eq!(value("storage_memory_bytes"), Some("100"));
        let damaged = "\nfluentbit_storage_damaged_places_total 2 ";
        assert!(body.contains(damaged), "{body}");
    }

    #[tokio::test]
    async fn health_exists_only_when_configured() {
        assert!(
            get("/api/v1/health", false)
                .await
                .0
                .starts_with("HTTP/1.1 404")
        );
        assert_eq!(get("/api/v1/health", true).await.1, "ok\n");
        assert!(get("/nope", true).await.0.starts_with("HTTP/1.1 404"));
    }
}
