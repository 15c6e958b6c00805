//! A small S3 with a script of what goes wrong.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use percent_encoding::percent_decode_str;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it is processed.
    Good,
    /// It is refused with a status and a code.
    Refused(u16, &'static str),
    /// The connection ends before it is processed.
    Cut,
    /// It is processed, and the connection ends before the answer.
    CutAfter,
    /// It is processed and answered with an error.
    ErrorAfter,
    /// It is not answered, for ever.
    Silent,
}

#[derive(Clone, Debug, Default)]
pub struct Object {
    pub body: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Upload {
    key: String,
    headers: BTreeMap<String, String>,
    parts: BTreeMap<usize, Vec<u8>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    /// Objects that took the place of others.
    replaced: u32,
    uploads: BTreeMap<String, Upload>,
    begun: u32,
    script: VecDeque<(&'static str, Fault)>,
    /// Methods and targets.
    seen: Vec<String>,
    /// Whether conditional writes are known.
    unconditional: bool,
    /// Whether HEAD is refused.
    no_head: bool,
}

/// A running server. Ends with its runtime.
pub struct Server {
    state: RefCell<State>,
    port: u16,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Server {
    pub async fn start() -> Rc<Server> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Rc::new(Server {
            state: RefCell::default(),
            port: listener.local_addr().expect("an address").port(),
        });
        let accepting = Rc::clone(&server);
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                spawn_local(Rc::clone(&accepting).serve(stream));
            }
        });
        server
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next request whose method and target begin like this meets this fault.
    pub fn then(&self, request: &'static str, fault: Fault) {
        self.state.borrow_mut().script.push_back((request, fault));
    }

    pub fn knows_no_conditions(&self) {
        self.state.borrow_mut().unconditional = true;
    }

    pub fn refuses_head(&self) {
        self.state.borrow_mut().no_head = true;
    }

    pub fn put(&self, key: &str, body: &[u8]) {
        let object = Object {
            body: body.to_vec(),
            ..Object::default()
        };
        self.state
            .borrow_mut()
            .objects
            .insert(key.to_owned(), object);
    }

    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.state.borrow().objects.clone()
    }

    pub fn keys(&self) -> Vec<String> {
        self.state.borrow().objects.keys().cloned().collect()
    }

    pub fn replaced(&self) -> u32 {
        self.state.borrow().replaced
    }

    /// Uploads in parts that were begun and not ended.
    pub fn open_uploads(&self) -> usize {
        self.state.borrow().uploads.len()
    }

    /// Forgets the uploads in parts, as a rule of the bucket may.
    pub fn expire_uploads(&self) {
        self.state.borrow_mut().uploads.clear();
    }

    /// How many requests began like this.
    pub fn seen(&self, request: &str) -> usize {
        let state = self.state.borrow();
        state
            .seen
            .iter()
            .filter(|seen| seen.starts_with(request))
            .count()
    }

    async fn serve(self: Rc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read(&mut stream).await {
            let line = request.line();
            self.state.borrow_mut().seen.push(line.clone());
            let reply = match self.fault(&line) {
                Fault::Good => self.answer(request),
                Fault::Refused(status, code) => Reply::error(status, code),
                Fault::Cut => return,
                Fault::CutAfter => {
                    self.answer(request);
                    return;
                }
                Fault::ErrorAfter => {
                    self.answer(request);
                    Reply::error(500, "InternalError")
                }
                Fault::Silent => std::future::pending().await,
            };
            if stream.write_all(&reply.bytes()).await.is_err() {
                return;
            }
        }
    }

    fn fault(&self, line: &str) -> Fault {
        let script = &mut self.state.borrow_mut().script;
        match script.front() {
            Some((request, fault)) if line.starts_with(request) => {
                let fault = *fault;
                script.pop_front();
                fault
            }
            _ => Fault::Good,
        }
    }

    fn answer(&self, request: Request) -> Reply {
        let state = &mut *self.state.borrow_mut();
        let upload_id = request.query.get("uploadId").cloned();
        match (request.method.as_str(), upload_id) {
            ("HEAD", _) => state.head(&request),
            ("PUT", None) => state.create(&request.path, &request.headers, request.body.clone()),
            ("PUT", Some(id)) => state.put_part(&id, request),
            ("POST", None) if request.query.contains_key("uploads") => state.begin(request),
            ("POST", Some(id)) => state.complete(&id, &request),
            ("DELETE", Some(id)) => match state.uploads.remove(&id) {
                Some(_) => Reply::good(204, ""),
                None => Reply::error(404, "NoSuchUpload"),
            },
            _ => Reply::error(405, "MethodNotAllowed"),
        }
    }
}

impl State {
    fn head(&self, request: &Request) -> Reply {
        if self.no_head {
            return Reply::error(403, "");
        }
        match self.objects.get(&request.path) {
            None => Reply::error(404, ""),
            Some(object) => Reply {
                headers: object.headers.clone().into_iter().collect(),
                ..Reply::good(200, "")
            },
        }
    }

    fn create(&mut self, key: &str, headers: &BTreeMap<String, String>, body: Vec<u8>) -> Reply {
        if headers.contains_key("if-none-match") {
            if self.unconditional {
                return Reply::error(501, "NotImplemented");
            }
            if self.objects.contains_key(key) {
                return Reply::error(412, "PreconditionFailed");
            }
        }
        let headers = headers.clone();
        if let Some(old) = self
            .objects
            .insert(key.to_owned(), Object { body, headers })
        {
            self.replaced += u32::from(old.body != self.objects[key].body);
        }
        Reply::good(200, "")
    }

    fn begin(&mut self, request: Request) -> Reply {
        self.begun += 1;
        let id = format!("id/{}+=", self.begun);
        let upload = Upload {
            key: request.path,
            headers: request.headers,
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        let body = format!(
            "<?xml version=\"1.0\"?><InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        );
        Reply::good(200, &body)
    }

    fn put_part(&mut self, id: &str, request: Request) -> Reply {
        let Some(upload) = self
            .uploads
            .get_mut(id)
            .filter(|upload| upload.key == request.path)
        else {
            return Reply::error(404, "NoSuchUpload");
        };
        let number: usize = request.query["partNumber"].parse().expect("a number");
        upload.parts.insert(number, request.body);
        Reply {
            headers: vec![("ETag".to_owned(), format!("\"{number}\""))],
            ..Reply::good(200, "")
        }
    }

    fn complete(&mut self, id: &str, request: &Request) -> Reply {
        let Some(upload) = self.uploads.get(id) else {
            return Reply::error(404, "NoSuchUpload");
        };
        let xml = String::from_utf8_lossy(&request.body);
        for number in upload.parts.keys() {
            let part =
                format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{number}\"</ETag></Part>");
            if !xml.contains(&part) {
                return Reply::error(400, "InvalidPart");
            }
        }
        if xml.matches("<Part>").count() != upload.parts.len() {
            return Reply::error(400, "InvalidPart");
        }
        let (key, body) = (upload.key.clone(), upload.parts.values().flatten().copied());
        let (body, mut headers) = (body.collect(), upload.headers.clone());
        if let Some(condition) = request.headers.get("if-none-match") {
            headers.insert("if-none-match".to_owned(), condition.clone());
        }
        let reply = self.create(&key, &headers, body);
        if reply.status == 200 {
            self.uploads.remove(id);
        }
        reply
    }
}

impl Request {
    /// The method, the path, and the names of the query's parameters.
    fn line(&self) -> String {
        let names: Vec<&str> = self.query.keys().map(String::as_str).collect();
        format!("{} /{}?{}", self.method, self.path, names.join("&"))
    }
}

impl Reply {
    fn good(status: u16, body: &str) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    fn error(status: u16, code: &str) -> Reply {
        let body = match code {
            "" => String::new(),
            code => format!("<Error><Code>{code}</Code><Message>scripted</Message></Error>"),
        };
        Reply::good(status, &body)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} x\r\n", self.status);
        for (name, value) in &self.headers {
            // Of an object's own headers only its metadata come back.
            if name.starts_with("x-amz-meta-") || name == "ETag" {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if self.status != 204 {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let len = headers
        .get("content-length")
        .map_or(0, |len| len.parse().expect("a length"));
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.ok()?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
    Some(Request {
        method,
        path: decoded(path.strip_prefix("/logs/").expect("the bucket")),
        query: query.collect(),
        headers,
        body,
    })
}
