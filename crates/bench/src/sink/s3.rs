//! S3: PutObject and multipart uploads. Objects are looked through while they arrive; a mark may lie across the end of a
//! part, unless the object is compressed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use http::request::Parts;

use super::reply::Reply;
use super::state::{Content, Edges, State, Upload};
use crate::mark::Mark;
use crate::scan::Document;
use crate::tally::Verdict;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Call {
    /// PutObject.
    Put,
    /// CreateMultipartUpload.
    Create,
    /// UploadPart: the upload and the part's number.
    Part(String, u32),
    /// CompleteMultipartUpload.
    Complete(String),
    /// AbortMultipartUpload.
    Abort(String),
    /// HeadBucket or HeadObject: every bucket is there, and the objects that came.
    Head,
    /// Nothing that is served.
    Other,
}

impl Call {
    /// Reads method and query.
    pub fn of(parts: &Parts) -> Call {
        let query = parts.uri.query().unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = query
                .split('&')
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
        };
        let upload = value("uploadId");
        let number = value("partNumber").and_then(|number| number.parse().ok());
        match (&parts.method, upload, number) {
            (&Method::PUT, Some(upload), Some(number)) => Call::Part(upload, number),
            (&Method::PUT, None, None) => Call::Put,
            (&Method::POST, Some(upload), _) => Call::Complete(upload),
            (&Method::POST, None, _) if value("uploads").is_some() => Call::Create,
            (&Method::DELETE, Some(upload), _) => Call::Abort(upload),
            (&Method::HEAD, None, None) => Call::Head,
            _ => Call::Other,
        }
    }
}

type Found = Box<dyn FnMut(Mark) + Send>;

/// Looks through a body in pieces.
pub struct Body {
    /// Marks in the order in which they were found.
    marks: Arc<Mutex<Content>>,
    document: Document<Found>,
    hasher: crc32fast::Hasher,
    bytes: u64,
    edges: Edges,
}

impl Body {
    /// Nothing has come yet.
    pub fn new() -> Body {
        let marks = Arc::new(Mutex::new(Content::default()));
        let found = Arc::clone(&marks);
        Body {
            marks,
            document: Document::new(Box::new(move |mark| lock(&found).push(mark))),
            hasher: crc32fast::Hasher::new(),
            bytes: 0,
            edges: Edges::default(),
        }
    }

    /// The next piece.
    pub fn feed(&mut self, piece: &[u8]) -> std::io::Result<()> {
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
        self.edges.feed(piece);
        self.document.feed(piece)
    }

    /// What it holds.
    pub fn end(self) -> std::io::Result<Content> {
        self.document.end()?;
        let mut content = std::mem::take(&mut *lock(&self.marks));
        content.fingerprint.crc = self.hasher.finalize();
        content.fingerprint.bytes = self.bytes;
        content.edges = self.edges;
        Ok(content)
    }
}

fn lock(content: &Mutex<Content>) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what a request asks for; an error says why it cannot.
pub fn answer(
    state: &mut State,
    call: Call,
    path: &str,
    content: Content,
    verdict: Verdict,
) -> Result<Reply, String> {
    let etag = format!(
        "{:08x}{:024x}",
        content.fingerprint.crc, content.fingerprint.bytes
    );
    let (bucket, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((path, ""));
    match call {
        Call::Put if key.is_empty() => Ok(Reply::status(200)),
        Call::Put => {
            state.accept_object(path, &[content], verdict);
            Ok(Reply::status(200).with_etag(&etag))
        }
        Call::Create => {
            let id = format!("{:032x}", state.random.u128(..));
            state.uploads.insert(id.clone(), Upload::default());
            Ok(Reply::xml(format!(
                "<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>\
                 </InitiateMultipartUploadResult>"
            )))
        }
        Call::Part(upload, number) => {
            let upload = open(state, &upload)?;
            upload.parts.insert(number, content);
            Ok(Reply::status(200).with_etag(&etag))
        }
        Call::Complete(id) => {
            let upload = open(state, &id)?;
            let parts: Vec<Content> = std::mem::take(&mut upload.parts).into_values().collect();
            // Completing again is answered as before.
            if !std::mem::replace(&mut upload.is_done, true) {
                state.accept_object(path, &parts, verdict);
            }
            Ok(Reply::xml(format!(
                "<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key><ETag>\"{id}-1\"</ETag>\
                 </CompleteMultipartUploadResult>"
            )))
        }
        Call::Abort(id) => {
            state.uploads.remove(&id);
            Ok(Reply::status(204))
        }
        Call::Head if key.is_empty() || state.has_object(path) => Ok(Reply::status(200)),
        Call::Head => Ok(Reply::status(404)),
        Call::Other => Err("this is no call of S3 that the sink knows".to_owned()),
    }
}

fn open<'a>(state: &'a mut State, id: &str) -> Result<&'a mut Upload, String> {
    state
        .uploads
        .get_mut(id)
        .ok_or_else(|| format!("there is no upload {id}"))
}
