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
use crate::aws_query::{Params, QueryError};
use crate::lake::{Inner, Lake};
use crate::provenance::{self, Provenance};
use crate::route::{self, Service};
use crate::signature::{self, Claim, Principal, SignatureError};
use crate::{firehose, iam, kinesis, limits, logs, sts};

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
        service @ (Service::Firehose(_) | Service::Kinesis(_) | Service::Logs(_)) => {
            match json_request(lake, &service, &parts, body).await {
                Ok(response) => response,
                Err(error) => error.answer(),
            }
        }
        Service::Sts => match sts_request(lake, &parts, body, &id).await {
            Ok(response) => response,
            Err(error) => error.answer(sts::DIALECT, &id),
        },
        Service::Iam => match iam_request(lake, &parts, body, &id).await {
            Ok(response) => response,
            Err(error) => error.answer(iam::DIALECT, &id),
        },
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
        "{service} is not served here; this is Flumen's lake, which has Firehose, Kinesis, CloudWatch Logs, S3, \
         STS and IAM"
    ))
}

async fn json_request(
    lake: &Inner,
    service: &Service,
    parts: &Parts,
    body: Incoming,
) -> Result<Response<Body>, ApiError> {
    let now = jiff::Timestamp::now();
    let (name, limit) = match service {
        Service::Kinesis(_) => ("kinesis", limits::KINESIS_BODY_BYTES),
        Service::Logs(_) => ("logs", limits::LOGS_BODY_BYTES),
        _ => ("firehose", limits::FIREHOSE_BODY_BYTES),
    };
    let claim = signature::verify_head(parts, name, &lake.credentials, now)?;
    // Never closed, so a permit always comes.
    let _permit = lake.bodies.acquire().await;
    let body = match read_body(body, limit).await? {
        Read::Whole(body) => body,
        Read::TooLarge => return Ok(too_large(limit)),
    };
    signature::verify(parts, &claim, &body, &lake.credentials)?;
    let provenance = provenance(parts, &claim);
    match service {
        Service::Firehose(operation) => {
            firehose::call(lake, operation, &body, provenance.as_ref()).await
        }
        Service::Kinesis(operation) => {
            kinesis::call(lake, operation, &body, provenance.as_ref()).await
        }
        Service::Logs(operation) => {
            logs::call(lake, operation, &parts.headers, &body, provenance.as_ref()).await
        }
        // Nobody else comes here.
        _ => Err(not_served(name)),
    }
}

/// Where a router says that the records of its request come from. What was not signed is not believed.
fn provenance(parts: &Parts, claim: &Claim) -> Option<Provenance> {
    let value = parts.headers.get(provenance::HEADER)?;
    let signed = claim.signed_headers.iter();
    let is_signed = signed
        .map(String::as_str)
        .any(|name| name == provenance::HEADER);
    is_signed
        .then(|| Provenance::parse(value.as_bytes()))
        .flatten()
}

async fn sts_request(
    lake: &Inner,
    parts: &Parts,
    body: Incoming,
    id: &str,
) -> Result<Response<Body>, QueryError> {
    let form = query_body(lake, body).await?;
    let params = params(parts, &form)?;
    let action = params.get("Action").unwrap_or_default();
    if sts::UNSIGNED.contains(&action) {
        return sts::call(lake, &params, None, id);
    }
    let caller = signer(lake, "sts", parts, &form)?;
    sts::call(lake, &params, caller.as_ref(), id)
}

async fn iam_request(
    lake: &Inner,
    parts: &Parts,
    body: Incoming,
    id: &str,
) -> Result<Response<Body>, QueryError> {
    let form = query_body(lake, body).await?;
    signer(lake, "iam", parts, &form)?;
    iam::call(lake, &params(parts, &form)?, id)
}

/// A request's parameters, which are in its body or, with Fluent Bit among others, in its URL.
fn params(parts: &Parts, form: &[u8]) -> Result<Params, QueryError> {
    let query = parts.uri.query().unwrap_or("").as_bytes();
    Params::parse(if form.is_empty() { query } else { form })
}

/// A body of the query protocol. It is small, so it may be read before it is known whether anybody has signed it.
async fn query_body(lake: &Inner, body: Incoming) -> Result<Bytes, QueryError> {
    // Never closed, so a permit always comes.
    let _permit = lake.bodies.acquire().await;
    match read_body(body, limits::QUERY_BODY_BYTES).await {
        Ok(Read::Whole(body)) => Ok(body),
        Ok(Read::TooLarge) => Err(QueryError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("the body is larger than {} bytes", limits::QUERY_BODY_BYTES),
        )),
        Err(error) => Err(QueryError::new(
            error.status,
            "MalformedInput",
            error.message,
        )),
    }
}

/// Who signed a request, if the signature holds: `None` is the lake's own key.
fn signer(
    lake: &Inner,
    service: &str,
    parts: &Parts,
    body: &[u8],
) -> Result<Option<Principal>, QueryError> {
    let now = jiff::Timestamp::now();
    let claim = signature::verify_head(parts, service, &lake.credentials, now)?;
    signature::verify(parts, &claim, body, &lake.credentials)?;
    let token = signature::session_token(parts);
    let signer = lake.credentials.principal(&claim.access_key_id, token, now);
    Ok(signer.map_err(SignatureError::from)?)
}

enum Read {
    Whole(Bytes),
    TooLarge,
}

/// Reads a body within its limits of size and time. A larger one is read on for a while but not kept: a client that is
/// still sending would not see the answer.
async fn read_body(mut body: Incoming, limit: usize) -> Result<Read, ApiError> {
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
            if length <= limit {
                whole.extend_from_slice(&data);
            } else if length > limits::DISCARDED_BODY_BYTES {
                break;
            } else {
                whole = BytesMut::new();
            }
        }
        Ok(if length <= limit {
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

fn too_large(limit: usize) -> Response<Body> {
    let error = ApiError {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: "RequestEntityTooLargeException",
        message: format!("the body is larger than {} bytes", limit),
    };
    let mut response = error.answer();
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
