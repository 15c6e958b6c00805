//! What becomes of a request. Messages and statuses are upstream's where it has one for the case.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use plugin::Emitter;
use record::Time;
use tokio::sync::{Notify, oneshot};

use super::intake::{Intake, Source};
use super::unpack::Packing;
use super::{Instance, body};
use crate::gate::Room;
use crate::numbered::Numbered;

/// Why a request is not taken, as its client is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub message: &'static str,
}

/// What a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Json,
    Form,
}

pub const UNPROCESSABLE: Refusal = Refusal::bad_request("error: unable to process records\n");

impl Refusal {
    pub const fn bad_request(message: &'static str) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            message,
        }
    }
}

/// The answer to `request`, when it is known what became of its records.
pub async fn answer(
    request: Request<Incoming>,
    instance: &Rc<Instance>,
    emitter: &Emitter,
) -> Response<Full<Bytes>> {
    if instance.options.enable_health_endpoint
        && request.method() == Method::GET
        && request.uri().path() == "/health"
    {
        return success(instance, StatusCode::OK, health());
    }
    match take(request, instance, emitter).await {
        Ok(()) => success(instance, instance.answers.status, Bytes::new()),
        Err(refusal) => {
            if refusal.status.is_client_error() {
                instance.counters.refused_requests.add(1);
            }
            instance.notices.warn(format_args!(
                "a request is answered with {}: {}",
                refusal.status.as_u16(),
                refusal.message.trim_end()
            ));
            error(&refusal)
        }
    }
}

async fn take(
    request: Request<Incoming>,
    instance: &Rc<Instance>,
    emitter: &Emitter,
) -> Result<(), Refusal> {
    let (head, incoming) = request.into_parts();
    let path = head.uri.path();
    let Some(path) = path.strip_prefix('/') else {
        return Err(Refusal::bad_request("error: invalid request\n"));
    };
    if head.method != Method::POST {
        return Err(Refusal::bad_request("error: invalid HTTP method\n"));
    }
    let content = Content::of(&head.headers)?;
    let packing = Packing::of(head.headers.get(CONTENT_ENCODING));
    // Kept until the records are answered for: a body that goes beyond the limit is the only one that does.
    let mut room = Room::default();
    let bytes = body::read(incoming, packing, instance, &mut room).await?;
    if bytes.is_empty() {
        return Err(Refusal::bad_request("error: no payload found\n"));
    }
    let changed = Arc::new(Notify::new());
    let mut intake = Intake {
        instance,
        emitter,
        source: Source {
            tag: instance.tag_of_path(path),
            address: instance.address(&head.headers),
            time: Time::now(),
        },
        records: Numbered::new(&changed),
        changed: &changed,
        room: &mut room,
        groups: Vec::new(),
    };
    match content {
        Content::Json => intake.json(bytes).await?,
        Content::Form => intake.form(bytes)?,
    }
    let records = intake.records;
    settle(records, changed, instance).await
}

/// Waits until all records are answered for. Whether the client still waits or not, somebody does.
async fn settle(
    records: Numbered,
    changed: Arc<Notify>,
    instance: &Rc<Instance>,
) -> Result<(), Refusal> {
    let (told, verdict) = oneshot::channel();
    instance.unanswered.begin();
    let shared = Rc::clone(instance);
    tokio::task::spawn_local(async move {
        while !records.is_settled() && records.refused() == 0 {
            changed.notified().await;
        }
        let refused = records.refused();
        if told.send(refused == 0).is_err() && refused > 0 {
            shared.counters.refused.add(refused);
            shared.context.log.error(format_args!(
                "{refused} records could not be taken on and are lost: their client is gone"
            ));
        }
        shared.unanswered.end();
    });
    match verdict.await {
        Ok(true) => Ok(()),
        _ => Err(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "error: the records could not be taken on, send them again\n",
        }),
    }
}

impl Content {
    /// What the header says, whatever parameters follow.
    fn of(headers: &HeaderMap) -> Result<Content, Refusal> {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Err(Refusal::bad_request(
                "error: header 'Content-Type' is not set\n",
            ));
        };
        let media_type = value.as_bytes().split(|&byte| byte == b';').next();
        let media_type = media_type.unwrap_or_default().trim_ascii_end();
        if media_type.eq_ignore_ascii_case(b"application/json") {
            Ok(Content::Json)
        } else if media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            Ok(Content::Form)
        } else {
            Err(Refusal::bad_request("error: invalid 'Content-Type'\n"))
        }
    }
}

impl Instance {
    /// The client's address as proxies pass it on, if it is asked for.
    fn address(&self, headers: &HeaderMap) -> Option<Vec<u8>> {
        if !self.options.add_remote_addr {
            return None;
        }
        let list = headers.get("x-forwarded-for")?.as_bytes();
        let first = list.split(|&byte| byte == b',').next()?.trim_ascii();
        (!first.is_empty()).then(|| first.to_vec())
    }
}

fn success(instance: &Instance, status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in &instance.answers.headers {
        headers.append(name.clone(), value.clone());
    }
    response
}

fn error(refusal: &Refusal) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(refusal.message.as_bytes())));
    *response.status_mut() = refusal.status;
    if matches!(
        refusal.status,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
    ) {
        // The rest of the body is not read.
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn health() -> Bytes {
    let now = Time::now();
    Bytes::from(format!(
        "{{\n  \"status\": \"ok\",\n  \"message\": \"records are received\",\n  \"timestamp\": \"{}.{:09}\"\n}}\n",
        now.seconds(),
        now.subsec_nanos()
    ))
}
