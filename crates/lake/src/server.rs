//! The lake's port: connections, requests, and what each of them may cost.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HeaderName, HeaderValue, SERVER};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use s3s::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::aws_json::ApiError;
use crate::lake::{Inner, Lake};
use crate::route::{self, Service};
use crate::{firehose, limits, logs, signature};

/// What every answer says of who gave it. Routers recognise a lake by it.
pub const SERVER_NAME: &str = concat!("flumen-lake/", env!("CARGO_PKG_VERSION"));

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const S3_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const S3_ID_2: HeaderName = HeaderName::from_static("x-amz-id-2");

impl Lake {
    /// Serves requests on `listener` until `stop` is done; then lets those under way end, for [`limits::GRACE`].
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let connections = Arc::new(Semaphore::new(limits::CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            // Never closed, so a permit comes as soon as a connection ends.
            let accept = async {
                (
                    Arc::clone(&connections).acquire_owned().await,
                    listener.accept().await,
                )
            };
            let (permit, accepted) = tokio::select! {
                () = &mut stop => break,
                accepted = accept => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let connection = graceful.watch(self.connection(stream));
                    tokio::spawn(async move {
                        // Clients that break off or send what is no HTTP are no concern of ours.
                        let _ = connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of descriptors, as a rule: connections have to end before there can be new ones.
                    let logger = &self.inner().options.logger;
                    logger.warn(format_args!("a connection could not be accepted: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(limits::GRACE, graceful.shutdown()).await;
    }

    fn connection(
        &self,
        stream: TcpStream,
    ) -> impl GracefulConnection<Error = hyper::Error> + Send + 'static {
        // Answers are written whole, so waiting for more to send only costs time.
        let _ = stream.set_nodelay(true);
        let lake = self.clone();
        let service = service_fn(move |request| {
            let lake = lake.clone();
            async move { Ok::<_, Infallible>(answer(lake.inner(), request).await) }
        });
        builder().serve_connection(TokioIo::new(stream), service)
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_READ)
        .max_headers(limits::HEADERS)
        .max_header_size(limits::HEADER_BYTES);
    builder
}

async fn answer(lake: &Inner, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let id = Uuid::new_v4().to_string();
    let mut response = match route::service(&parts) {
        service @ (Service::Firehose(_) | Service::Logs(_)) => {
            match json_request(lake, &service, &parts, body).await {
                Ok(response) => response,
                Err(error) => error.answer(),
            }
        }
        Service::S3 => lake.s3.answer(Request::from_parts(parts, body), &id).await,
        Service::OtherJson(name) => not_served(name).answer(),
        Service::Other(name) => not_served(&name).answer(),
    };
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static(SERVER_NAME));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(S3_ID_2, id.clone());
        headers.insert(S3_REQUEST_ID, id.clone());
        headers.insert(REQUEST_ID, id);
    }
    response
}

fn not_served(service: &str) -> ApiError {
    ApiError::unknown_operation(format!(
        "{service} is not served here; this is Flumen's lake, which has Firehose, CloudWatch Logs and S3"
    ))
}

async fn json_request(
    lake: &Inner,
    service: &Service,
    parts: &Parts,
    body: Incoming,
) -> Result<Response<Body>, ApiError> {
    let now = jiff::Timestamp::now();
    let name = match service {
        Service::Logs(_) => "logs",
        _ => "firehose",
    };
    let claim = signature::verify_head(parts, name, &lake.credentials, now)?;
    // Never closed, so a permit always comes.
    let _permit = lake.bodies.acquire().await;
    let body = match read_body(body).await? {
        Read::Whole(body) => body,
        Read::TooLarge => return Ok(too_large()),
    };
    signature::verify(parts, &claim, &body, &lake.credentials)?;
    match service {
        Service::Firehose(operation) => firehose::call(lake, operation, &body).await,
        Service::Logs(operation) => logs::call(lake, operation, &parts.headers, &body).await,
        // Nobody else comes here.
        _ => Err(not_served(name)),
    }
}

enum Read {
    Whole(Bytes),
    TooLarge,
}

/// Reads a body within its limits of size and time. A larger one is read on for a while but not kept: a client that is
/// still sending would not see the answer.
async fn read_body(mut body: Incoming) -> Result<Read, ApiError> {
    let reading = async {
        let mut whole = BytesMut::new();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| ApiError::serialization(format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            length += data.len();
            if length <= limits::FIREHOSE_BODY_BYTES {
                whole.extend_from_slice(&data);
            } else if length > limits::DISCARDED_BODY_BYTES {
                break;
            } else {
                whole = BytesMut::new();
            }
        }
        Ok(if length <= limits::FIREHOSE_BODY_BYTES {
            Read::Whole(whole.freeze())
        } else {
            Read::TooLarge
        })
    };
    match tokio::time::timeout(limits::BODY_READ, reading).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ApiError {
            status: StatusCode::REQUEST_TIMEOUT,
            code: "RequestTimeoutException",
            message: format!(
                "the body did not arrive within {} s",
                limits::BODY_READ.as_secs()
            ),
        }),
    }
}

fn too_large() -> Response<Body> {
    let error = ApiError {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: "RequestEntityTooLargeException",
        message: format!(
            "the body is larger than {} bytes",
            limits::FIREHOSE_BODY_BYTES
        ),
    };
    let mut response = error.answer();
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
