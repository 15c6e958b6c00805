//! The sink's port: connections, requests, and what becomes of each.

use std::io;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::faults::Fate;
use super::reply::{Body, Reply};
use super::s3::{self, Call};
use super::{Sink, firehose, kinesis, logs, logs_listing};
use crate::report::Sent;
use crate::tally::Verdict;

/// The largest body of a JSON request: Kinesis takes 10 MiB, which are 14 in base64.
const JSON_MAX: usize = 16 << 20;
/// How long nothing is accepted after an attempt failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct Cut;

/// Accepts connections for ever.
pub async fn serve(sink: &Sink, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, as a rule: connections have to end before there can be new ones.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if sink.state().is_out(&sink.faults()) {
            sink.state().counts.outages += 1;
            continue;
        }
        // Answers are written whole, so waiting for more to send only costs time.
        let _ = stream.set_nodelay(true);
        let (sink, tls) = (sink.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => connection(sink, stream).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        connection(sink, stream).await;
                    }
                }
            }
        });
    }
}

async fn connection(sink: Sink, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(|request| answer(sink.clone(), request));
    // Ends with an error when it is cut, and when a client breaks off.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(sink: Sink, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/report" && matches!(parts.method, Method::GET | Method::POST) {
        return report(&sink, body).await;
    }
    let faults = sink.faults();
    let fate = sink.state().draw(&faults).ok_or(Cut)?;
    let (target, is_s3) = match parts.headers.get("x-amz-target") {
        Some(target) => (target.to_str().unwrap_or_default(), false),
        None => ("", true),
    };
    let verdict = match fate {
        Fate::CutBefore => return Err(Cut),
        Fate::CutAfter | Fate::CutWithin => Verdict::None,
        Fate::Answered => Verdict::Given,
        Fate::Throttled | Fate::Expired => {
            read(body, usize::MAX, |_| Ok(())).await?;
            return Ok(refusal(fate, target, is_s3).into_response());
        }
    };
    let reply = match is_s3 {
        true => object(&sink, &parts, body, verdict).await?,
        false => json(&sink, target, body, verdict).await?,
    };
    match fate {
        Fate::CutAfter => Err(Cut),
        Fate::CutWithin => Ok(broken_off(reply)),
        _ => Ok(reply.into_response()),
    }
}

async fn report(sink: &Sink, body: Incoming) -> Result<Response<Body>, Cut> {
    let mut sent = Vec::new();
    read(body, JSON_MAX, |piece| {
        sent.extend_from_slice(piece);
        Ok(())
    })
    .await?;
    let sent: Option<Sent> = match sent.is_empty() {
        true => None,
        false => match serde_json::from_slice(&sent) {
            Ok(sent) => Some(sent),
            Err(error) => {
                let message = format!("what was sent cannot be read: {error}");
                return Ok(
                    Reply::refusal(false, 400, "SerializationException", &message).into_response(),
                );
            }
        },
    };
    Ok(Reply::json(sink.report(sent.as_ref()).json()).into_response())
}

async fn json(sink: &Sink, target: &str, body: Incoming, verdict: Verdict) -> Result<Reply, Cut> {
    let mut whole = Vec::new();
    let is_complete = read(body, JSON_MAX, |piece| {
        whole.extend_from_slice(piece);
        Ok(())
    })
    .await?;
    let faults = sink.faults();
    let mut state = sink.state();
    state.counts.bytes += whole.len() as u64;
    if !is_complete {
        state.note_invalid("a body is too large");
        return Ok(Reply::refusal(
            false,
            413,
            "RequestEntityTooLargeException",
            "the body is too large",
        ));
    }
    let (service, operation) = target.split_once('.').unwrap_or((target, ""));
    let outcome = match (service, operation) {
        ("Firehose_20150804", "PutRecordBatch") => {
            firehose::put_record_batch(&mut state, &faults, &whole, verdict)
        }
        ("Kinesis_20131202", "PutRecords") => {
            kinesis::put_records(&mut state, &faults, &whole, verdict)
        }
        ("Logs_20140328", "PutLogEvents") => logs::put_log_events(&mut state, &whole, verdict),
        ("Logs_20140328", "DescribeLogGroups" | "DescribeLogStreams") => {
            logs_listing::describe(&whole)
        }
        ("Logs_20140328", "CreateLogGroup" | "CreateLogStream" | "PutRetentionPolicy") => {
            Ok(b"{}".to_vec())
        }
        _ => {
            state.note_invalid(&format!("{target} is not served"));
            let message = format!("{target} is not served by this sink");
            return Ok(Reply::refusal(
                false,
                400,
                "UnknownOperationException",
                &message,
            ));
        }
    };
    Ok(match outcome {
        Ok(answer) => Reply::json(answer),
        Err(why) => {
            state.note_invalid(&format!("{operation}: {why}"));
            let code = match service {
                "Logs_20140328" => "InvalidParameterException",
                _ => "InvalidArgumentException",
            };
            Reply::refusal(false, 400, code, &why)
        }
    })
}

async fn object(
    sink: &Sink,
    parts: &Parts,
    body: Incoming,
    verdict: Verdict,
) -> Result<Reply, Cut> {
    let call = Call::of(parts);
    let takes_content = matches!(call, Call::Put | Call::Part(..));
    let content = content(body, takes_content).await?;
    let mut state = sink.state();
    let outcome = content.map_err(|error| format!("the body cannot be unpacked: {error}"));
    let outcome = outcome.and_then(|content| {
        state.counts.bytes += content.fingerprint.bytes;
        s3::answer(&mut state, call, parts.uri.path(), content, verdict)
    });
    Ok(outcome.unwrap_or_else(|why| {
        state.note_invalid(&why);
        Reply::refusal(true, 400, "InvalidRequest", &why)
    }))
}

/// Looks through a body to its end.
async fn content(
    mut body: Incoming,
    takes_content: bool,
) -> Result<io::Result<super::state::Content>, Cut> {
    let mut found = s3::Body::new();
    let mut outcome = Ok(());
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Cut)?.into_data() else {
            continue;
        };
        if takes_content && outcome.is_ok() {
            outcome = found.feed(&piece);
        }
    }
    Ok(outcome.and_then(|()| found.end()))
}

/// Reads a body to its end and hands over its pieces as long as they are not more than `limit` bytes: whether they are
/// not.
async fn read(
    mut body: Incoming,
    limit: usize,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<bool, Cut> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Cut)?.into_data() else {
            continue;
        };
        bytes += piece.len();
        if bytes <= limit {
            take(&piece).map_err(|_| Cut)?;
        }
    }
    Ok(bytes <= limit)
}

fn refusal(fate: Fate, target: &str, is_s3: bool) -> Reply {
    if fate == Fate::Expired {
        return match is_s3 {
            true => Reply::refusal(true, 400, "ExpiredToken", "The provided token has expired."),
            false => Reply::refusal(
                false,
                400,
                "ExpiredTokenException",
                "The security token included in the request is expired",
            ),
        };
    }
    let (status, code) = match target.split_once('.') {
        None => (503, "SlowDown"),
        Some(("Firehose_20150804", _)) => (503, "ServiceUnavailableException"),
        Some(("Kinesis_20131202", _)) => (400, "ProvisionedThroughputExceededException"),
        Some(_) => (400, "ThrottlingException"),
    };
    Reply::refusal(is_s3, status, code, "Rate exceeded")
}

/// Sends the first half of an answer and then cuts the connection.
fn broken_off(reply: Reply) -> Response<Body> {
    let half = reply.body.slice(..reply.body.len() / 2);
    let frames = [
        Ok(Frame::data(half)),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let (parts, _) = reply.into_response().into_parts();
    Response::from_parts(parts, BodyExt::boxed_unsync(body))
}
