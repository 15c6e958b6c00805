//! A lake to test, and requests to it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use lake::{Counters, Lake, Logger, OpenError, Options};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a test waits for something that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running lake in a folder that goes away with the test.
pub struct TestLake {
    pub lake: Lake,
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    folder: Arc<tempfile::TempDir>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

/// Opens a lake as soon as an earlier one that was abandoned has let go of the folder: what it had under way on other threads
/// holds its lock.
async fn open(options: Options) -> Lake {
    let end = Instant::now() + PATIENCE;
    loop {
        match Lake::open(options.clone()).await {
            Err(OpenError::Data { source, .. })
                if source.kind() == ErrorKind::ResourceBusy && Instant::now() < end =>
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            opened => return opened.unwrap(),
        }
    }
}

impl TestLake {
    pub async fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap())).await
    }

    pub async fn start_in(folder: Arc<tempfile::TempDir>) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let logger =
            Logger::to(move |level, line| lines.lock().unwrap().push(format!("{level:?}: {line}")));
        let options = Options {
            logger,
            ..Options::new(folder.path())
        };
        let lake = open(options).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = lake.clone();
        let server = tokio::spawn(async move {
            serving.serve(listener, async { drop(stopped.await) }).await;
        });
        Self {
            lake,
            address,
            log,
            folder,
            stop,
            server,
        }
    }

    /// Stops as `flumen lake` does and starts again on the same folder.
    pub async fn restart(self) -> Self {
        self.stop.send(()).unwrap();
        self.server.await.unwrap();
        self.lake.close().await;
        drop(self.lake);
        Self::start_in(self.folder).await
    }

    /// Goes away without a word, as far as a part of a process can, and gives the folder.
    pub async fn abandon(self) -> Arc<tempfile::TempDir> {
        self.server.abort();
        let _ = self.server.await;
        self.folder
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub fn logged(&self, text: &str) -> bool {
        self.log
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains(text))
    }

    /// Every object of a bucket: key and content, by key.
    pub fn objects(&self, bucket: &str) -> Vec<(String, Vec<u8>)> {
        let root = self.path("objects").join(bucket);
        let mut objects = Vec::new();
        collect(&root, &root, &mut objects);
        objects.sort();
        objects
    }

    pub async fn firehose(&self, operation: &str, input: Value) -> Answer {
        self.call(Call::firehose(operation, input.to_string()))
            .await
    }

    /// Creates a delivery stream to `bucket` with these members more.
    pub async fn create_stream(&self, name: &str, more: Value) {
        let mut destination = json!({
            "RoleARN": "arn:aws:iam::123456789012:role/firehose_delivery_role",
            "BucketARN": "arn:aws:s3:::logs-bucket",
        });
        destination
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let input = json!({ "DeliveryStreamName": name, "ExtendedS3DestinationConfiguration": destination });
        let answer = self.firehose("CreateDeliveryStream", input).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Puts one batch that has to be taken.
    pub async fn put(&self, stream: &str, records: &[&[u8]]) {
        let answer = self
            .firehose("PutRecordBatch", batch(stream, records))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub async fn call(&self, call: Call) -> Answer {
        send(self.address, call.signed(self.address, SystemTime::now())).await
    }

    /// Waits until the counters are as they should be.
    pub async fn until(&self, holds: impl Fn(&Counters) -> bool) {
        let waiting = async {
            while !holds(&self.lake.counters()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{:?}", self.lake.counters());
    }
}

/// `PutRecordBatch`'s input.
pub fn batch(stream: &str, records: &[&[u8]]) -> Value {
    let records: Vec<Value> = records
        .iter()
        .map(|record| json!({ "Data": base64_simd::STANDARD.encode_to_string(record) }))
        .collect();
    json!({ "DeliveryStreamName": stream, "Records": records })
}

fn collect(root: &Path, folder: &Path, objects: &mut Vec<(String, Vec<u8>)>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, objects);
        } else {
            let key = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            objects.push((key, std::fs::read(path).unwrap()));
        }
    }
}

/// A request to be signed.
#[derive(Clone)]
pub struct Call {
    pub method: Method,
    /// Path and query, encoded.
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub service: &'static str,
    pub access_key_id: &'static str,
    pub secret: &'static str,
    pub unsigned_payload: bool,
    /// The body is in chunks, with a trailer.
    pub trailer: bool,
}

impl Call {
    pub fn firehose(operation: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = [
            ("x-amz-target", format!("Firehose_20150804.{operation}")),
            ("content-type", "application/x-amz-json-1.1".to_owned()),
        ];
        let headers = headers
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec();
        Self {
            headers,
            body: body.into(),
            service: "firehose",
            ..Self::s3(Method::POST, "/")
        }
    }

    /// An operation of STS or IAM.
    pub fn query(service: &'static str, action: &str, params: &[(&str, &str)]) -> Self {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut form = format!("Version=2011-06-15&Action={}", encode(action));
        for (name, value) in params {
            form.push_str(&format!("&{name}={}", encode(value)));
        }
        let content_type = "application/x-www-form-urlencoded; charset=utf-8";
        Self {
            service,
            ..Self::s3(Method::POST, "/")
        }
        .header("content-type", content_type)
        .body(form)
    }

    /// The request without a signature, to `host`.
    pub fn unsigned(&self, host: &str) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(format!("http://127.0.0.1{}", self.uri))
            .header("host", host);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::from(self.body.clone())).unwrap()
    }

    pub fn kinesis(operation: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut call = Self::firehose(operation, body);
        call.headers[0].1 = format!("Kinesis_20131202.{operation}");
        call.service = "kinesis";
        call
    }

    pub fn s3(method: Method, uri: &str) -> Self {
        Self {
            method,
            uri: uri.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            service: "s3",
            access_key_id: "flumen",
            secret: "flumen",
            unsigned_payload: false,
            trailer: false,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    /// The request with its signature in a header.
    pub fn signed(&self, address: SocketAddr, time: SystemTime) -> Request<Full<Bytes>> {
        self.apply(address, time, SigningSettings::default())
    }

    /// The request with its signature in the URL.
    pub fn presigned(
        &self,
        address: SocketAddr,
        time: SystemTime,
        expires: Duration,
    ) -> Request<Full<Bytes>> {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(expires);
        Self {
            unsigned_payload: true,
            ..self.clone()
        }
        .apply(address, time, settings)
    }

    fn apply(
        &self,
        address: SocketAddr,
        time: SystemTime,
        mut settings: SigningSettings,
    ) -> Request<Full<Bytes>> {
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            if settings.signature_location == SignatureLocation::Headers {
                settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            }
        }
        let identity = Credentials::new(self.access_key_id, self.secret, None, None, "test").into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region("us-west-2")
            .name(self.service)
            .time(time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let url = format!("http://{address}{}", self.uri);
        let host = address.to_string();
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let headers = headers.chain([("host", host.as_str())]);
        let body = match (self.unsigned_payload, self.trailer) {
            (true, _) => SignableBody::UnsignedPayload,
            (_, true) => SignableBody::StreamingUnsignedPayloadTrailer,
            _ => SignableBody::Bytes(&self.body),
        };
        let signable =
            SignableRequest::new(self.method.as_str(), &url, headers.clone(), body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = Request::builder().method(&self.method).uri(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Full::from(self.body.clone())).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

/// What the lake said.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}: {}", self.status, self.text()))
    }

    /// Status and code of an error in JSON.
    pub fn error(&self) -> (u16, String) {
        (
            self.status.as_u16(),
            self.json()["__type"].as_str().unwrap().to_owned(),
        )
    }

    /// Status and code of an error in XML.
    pub fn s3_error(&self) -> (u16, String) {
        (self.status.as_u16(), self.xml("Code"))
    }

    /// The text of an XML answer's first element of that name.
    pub fn xml(&self, name: &str) -> String {
        self.all_xml(name)
            .first()
            .unwrap_or_else(|| panic!("no {name} in {}", self.text()))
            .clone()
    }

    /// The texts of all elements of that name.
    pub fn all_xml(&self, name: &str) -> Vec<String> {
        let start = format!("<{name}>");
        let pieces = self.text().split(&start).skip(1);
        pieces
            .map(|piece| piece.split("</").next().unwrap().to_owned())
            .collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends `request` over a connection of its own.
pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    // To a server, not a proxy, only path and query are sent.
    parts.uri = parts
        .uri
        .path_and_query()
        .unwrap()
        .as_str()
        .parse()
        .unwrap();
    let response = sender
        .send_request(Request::from_parts(parts, body))
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let server = parts
        .headers
        .get("server")
        .map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(
        server.as_deref(),
        Some(lake::SERVER_NAME),
        "{}",
        parts.status
    );
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}
