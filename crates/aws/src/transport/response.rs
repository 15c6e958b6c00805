//! Reads an HTTP/1.1 answer out of bytes as they arrive (RFC 9112). Pure: no I/O.
//!
//! Written by hand because it stands on the hot road: head and body are slices of one buffer that is used again, so that
//! an answer costs no allocation.

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;

use super::{Answer, Enough, Problem};

/// The services' headers take less than 1 kB.
pub(super) const HEAD_BYTES_MAX: usize = 32 * 1024;
/// So many headers may an answer have.
const HEADERS_MAX: usize = 64;
/// A head, and as much of the body as says whether anything failed: so much is kept before more is wanted.
const BEGINNING_BYTES: usize = 2 * 1024;
/// A line with the size of a chunk, its extensions included, or a line of the trailer.
const CHUNK_LINE_BYTES_MAX: usize = 4 * 1024;

/// What is known of the answer so far.
pub(super) struct Response {
    to_head: bool,
    bytes_max: usize,
    /// Asked once, of what has come of the body with the first of its bytes.
    enough: Option<Enough>,
    state: State,
}

enum State {
    Head,
    Body { head: Head, framing: Framing },
}

/// A head that has been read.
struct Head {
    status: StatusCode,
    bytes: Bytes,
    keeps_connection: bool,
}

/// Where the body ends.
enum Framing {
    Length(usize),
    /// It has said enough: what there is of it, and how many bytes follow.
    Passing(Bytes, usize),
    Chunks(Chunks),
    UntilClosed,
}

/// The body's pieces so far, and what comes next.
struct Chunks {
    body: BytesMut,
    next: Chunk,
}

enum Chunk {
    Size,
    Data(usize),
    EndOfData,
    Trailer,
}

/// A complete answer.
pub(super) struct Complete {
    pub answer: Answer,
    /// Whether the connection may carry another request.
    pub keeps_connection: bool,
}

impl Response {
    /// `to_head`: the request's method was HEAD, so that no body follows. `bytes_max` is for the body.
    pub fn new(to_head: bool, bytes_max: usize) -> Self {
        Self {
            to_head,
            bytes_max,
            enough: None,
            state: State::Head,
        }
    }

    /// The same with bodies of announced length that end with what is `enough` of them.
    pub fn ending_with(mut self, enough: Option<Enough>) -> Self {
        self.enough = enough;
        self
    }

    /// How many bytes may be read at once: few while what comes next may be enough.
    pub fn wanted(&self) -> usize {
        match self.enough {
            Some(_) => BEGINNING_BYTES,
            None => usize::MAX,
        }
    }

    /// How many bytes come next that need not be kept.
    pub fn unwanted(&self) -> usize {
        match &self.state {
            State::Body {
                framing: Framing::Passing(_, left),
                ..
            } => *left,
            _ => 0,
        }
    }

    /// So many of them have come.
    pub fn pass(&mut self, bytes: usize) {
        if let State::Body {
            framing: Framing::Passing(_, left),
            ..
        } = &mut self.state
        {
            *left -= bytes;
        }
    }

    /// Takes what it can from `input`. `closed`: nothing will follow.
    pub fn read(
        &mut self,
        input: &mut BytesMut,
        closed: bool,
    ) -> Result<Option<Complete>, Problem> {
        loop {
            match std::mem::replace(&mut self.state, State::Head) {
                State::Head => match read_head(input)? {
                    // Interim answers announce the real one.
                    Some((head, _)) if head.status.is_informational() => {}
                    Some((head, framing)) => {
                        let framing = self.framing(&head, framing)?;
                        self.state = State::Body { head, framing };
                    }
                    None if closed => return Err(Problem::Closed),
                    None => return Ok(None),
                },
                State::Body { head, mut framing } => {
                    self.ask(&head, &mut framing, input);
                    return match self.read_body(&mut framing, input, closed)? {
                        Some(body) => Ok(Some(complete(head, framing, body))),
                        None if closed => Err(Problem::Closed),
                        None => {
                            self.state = State::Body { head, framing };
                            Ok(None)
                        }
                    };
                }
            }
        }
    }

    fn framing(&self, head: &Head, framing: Framing) -> Result<Framing, Problem> {
        let none = self.to_head
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        match framing {
            _ if none => Ok(Framing::Length(0)),
            Framing::Length(length) if length > self.bytes_max => Err(Problem::TooLarge),
            framing => Ok(framing),
        }
    }

    /// Looks once whether what there is of the body is enough.
    fn ask(&mut self, head: &Head, framing: &mut Framing, input: &mut BytesMut) {
        let Framing::Length(length) = *framing else {
            self.enough = None;
            return;
        };
        if !head.status.is_success() {
            self.enough = None;
        }
        if input.is_empty() || input.len() >= length {
            return;
        }
        if self.enough.take().is_some_and(|enough| enough(input)) {
            let left = length - input.len();
            *framing = Framing::Passing(input.split().freeze(), left);
        }
    }

    fn read_body(
        &self,
        framing: &mut Framing,
        input: &mut BytesMut,
        closed: bool,
    ) -> Result<Option<Bytes>, Problem> {
        match framing {
            Framing::Length(length) if input.len() >= *length => {
                Ok(Some(input.split_to(*length).freeze()))
            }
            // Perhaps no room is needed for the most of it.
            Framing::Length(_) if self.enough.is_some() => Ok(None),
            Framing::Length(length) => {
                input.reserve(*length - input.len());
                Ok(None)
            }
            Framing::Passing(body, 0) => Ok(Some(std::mem::take(body))),
            Framing::Passing(..) => Ok(None),
            Framing::Chunks(chunks) => chunks.read(input, self.bytes_max),
            Framing::UntilClosed if input.len() > self.bytes_max => Err(Problem::TooLarge),
            Framing::UntilClosed => Ok(closed.then(|| input.split().freeze())),
        }
    }
}

fn complete(head: Head, framing: Framing, body: Bytes) -> Complete {
    Complete {
        keeps_connection: head.keeps_connection && !matches!(framing, Framing::UntilClosed),
        answer: Answer {
            status: head.status,
            head: head.bytes,
            body,
        },
    }
}

/// The head and what it says about the body, if it is there as a whole.
fn read_head(input: &mut BytesMut) -> Result<Option<(Head, Framing)>, Problem> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let length = match parsed.parse(input) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if input.len() > HEAD_BYTES_MAX => {
            return Err(Problem::HeadTooLarge);
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Problem::HeadTooLarge),
        Err(error) => return Err(Problem::Malformed(error.to_string())),
    };
    if length > HEAD_BYTES_MAX {
        return Err(Problem::HeadTooLarge);
    }
    let status = parsed
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| Problem::Malformed("no status".into()))?;
    let mut keeps_connection = parsed.version == Some(1);
    let mut framing = Framing::UntilClosed;
    for header in parsed.headers.iter() {
        if header.name.eq_ignore_ascii_case("connection") {
            keeps_connection = keeps_connection && !names(header.value, b"close");
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !names(header.value, b"chunked") {
                return Err(Problem::Malformed("an unknown transfer encoding".into()));
            }
            framing = Framing::Chunks(Chunks {
                body: BytesMut::new(),
                next: Chunk::Size,
            });
        } else if header.name.eq_ignore_ascii_case("content-length")
            && !matches!(framing, Framing::Chunks(_))
        {
            framing = Framing::Length(content_length(header.value)?);
        }
    }
    let head = Head {
        status,
        bytes: input.split_to(length).freeze(),
        keeps_connection,
    };
    Ok(Some((head, framing)))
}

/// Whether a list of words separated by commas has this one.
fn names(list: &[u8], word: &[u8]) -> bool {
    list.split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(word))
}

fn content_length(value: &[u8]) -> Result<usize, Problem> {
    std::str::from_utf8(value)
        .ok()
        .map(str::trim)
        .filter(|text| !text.starts_with('+'))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Problem::Malformed("a content-length that is no number".into()))
}

impl Chunks {
    /// The body, once its last chunk and the trailer are there.
    fn read(&mut self, input: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, Problem> {
        loop {
            match self.next {
                Chunk::Size => {
                    let Some((line, size)) = chunk_size(input)? else {
                        return Ok(None);
                    };
                    input.advance(line);
                    if size > bytes_max - self.body.len() {
                        return Err(Problem::TooLarge);
                    }
                    self.next = match size {
                        0 => Chunk::Trailer,
                        size => Chunk::Data(size),
                    };
                }
                Chunk::Data(size) => {
                    let piece = input.split_to(size.min(input.len()));
                    self.body.extend_from_slice(&piece);
                    if piece.len() < size {
                        self.next = Chunk::Data(size - piece.len());
                        return Ok(None);
                    }
                    self.next = Chunk::EndOfData;
                }
                Chunk::EndOfData => match input.get(..2) {
                    None => return Ok(None),
                    Some(b"\r\n") => {
                        input.advance(2);
                        self.next = Chunk::Size;
                    }
                    Some(_) => return Err(Problem::Malformed("a chunk without end".into())),
                },
                Chunk::Trailer => match memchr::memchr(b'\n', input) {
                    None if input.len() > CHUNK_LINE_BYTES_MAX => {
                        return Err(Problem::HeadTooLarge);
                    }
                    None => return Ok(None),
                    Some(end) => {
                        let line = input.split_to(end + 1);
                        if line.trim_ascii().is_empty() {
                            return Ok(Some(self.body.split().freeze()));
                        }
                    }
                },
            }
        }
    }
}

/// The length of the line with a chunk's size, and that size.
fn chunk_size(input: &[u8]) -> Result<Option<(usize, usize)>, Problem> {
    match httparse::parse_chunk_size(input) {
        Ok(httparse::Status::Complete((line, size))) => {
            let size = usize::try_from(size).map_err(|_| Problem::TooLarge)?;
            Ok(Some((line, size)))
        }
        Ok(httparse::Status::Partial) if input.len() > CHUNK_LINE_BYTES_MAX => {
            Err(Problem::Malformed("a chunk whose size does not end".into()))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(Problem::Malformed("a chunk without a size".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, body, and whether the connection may be used again; the input comes in pieces of `step` bytes.
    fn read(text: &str, to_head: bool, step: usize) -> Result<(u16, String, bool), String> {
        let mut response = Response::new(to_head, 20);
        let mut input = BytesMut::new();
        let pieces = text.as_bytes().chunks(step).map(Some).chain([None]);
        for piece in pieces {
            input.extend_from_slice(piece.unwrap_or_default());
            let read = response.read(&mut input, piece.is_none());
            if let Some(complete) = read.map_err(|problem| problem.to_string())? {
                let body = String::from_utf8(complete.answer.body.to_vec()).expect("text");
                let status = complete.answer.status.as_u16();
                return Ok((status, body, complete.keeps_connection));
            }
        }
        Err("never complete".into())
    }

    #[test]
    fn answers_end_where_their_head_says_however_they_arrive() {
        let cases: &[(&str, bool, (u16, &str, bool))] = &[
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
                false,
                (200, "abc", true),
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
                true,
                (200, "", true),
            ),
            ("HTTP/1.1 204 \r\n\r\n", false, (204, "", true)),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
                false,
                (200, "x", true),
            ),
            (
                "HTTP/1.1 503 No\r\nConnection: Close\r\ncontent-length:0\r\n\r\n",
                false,
                (503, "", false),
            ),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx",
                false,
                (200, "x", false),
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\nto the end",
                false,
                (200, "to the end", false),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nt: x\r\n\r\n",
                false,
                (200, "abc0123456789", true),
            ),
        ];
        for (text, to_head, (status, body, keeps)) in cases {
            for step in 1..=text.len() {
                let expected = Ok((*status, (*body).to_owned(), *keeps));
                assert_eq!(read(text, *to_head, step), expected, "{text} by {step}");
            }
        }
    }

    /// The body of what is kept of an answer that comes in pieces of `step` bytes, where `abc` is enough, how many bytes were
    /// passed, and whether the connection may be used again.
    fn passed(text: &str, step: usize) -> Result<(String, usize, bool), String> {
        let enough: Enough = |body| body.starts_with(b"abc");
        let mut response = Response::new(false, 20).ending_with(Some(enough));
        let (mut input, mut rest, mut passed) = (BytesMut::new(), text.as_bytes(), 0);
        loop {
            let unwanted = response.unwanted();
            let most = if unwanted > 0 { unwanted } else { step };
            let (piece, after) = rest.split_at(most.min(step).min(rest.len()));
            rest = after;
            if unwanted > 0 {
                response.pass(piece.len());
                passed += piece.len();
            } else {
                input.extend_from_slice(piece);
            }
            let read = response.read(&mut input, piece.is_empty());
            if let Some(complete) = read.map_err(|problem| problem.to_string())? {
                let body = String::from_utf8(complete.answer.body.to_vec()).expect("text");
                let usable = complete.keeps_connection && input.is_empty() && rest.is_empty();
                return Ok((body, passed, usable));
            }
        }
    }

    #[test]
    fn what_follows_what_is_enough_is_passed() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        let good = format!("{head}abcdefghi");
        let all = |body: &str, passed, usable| Ok((body.to_owned(), passed, usable));
        assert_eq!(passed(&good, head.len() + 4), all("abcd", 5, true));
        assert_eq!(passed(&good, head.len() + 8), all("abcdefgh", 1, true));
        assert_eq!(passed(&good, head.len()), all("abcdefghi", 0, true));
        // It is asked once, of the first piece.
        assert_eq!(passed(&good, 1), all("abcdefghi", 0, true));
        let cut = passed(&good[..good.len() - 1], head.len() + 4);
        assert!(cut.is_err_and(|problem| problem.contains("closed")));
        let other = good.replace("200 OK", "500 No");
        assert_eq!(passed(&other, head.len() + 4), all("abcdefghi", 0, true));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";
        assert_eq!(passed(chunked, chunked.len() - 9), all("abcd", 0, true));
    }

    #[test]
    fn little_is_wanted_until_it_is_known_whether_that_is_enough() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let refused = "HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n";
        for (text, wanted) in [
            ("HTTP/1.1 200", BEGINNING_BYTES),
            (head, BEGINNING_BYTES),
            (&format!("{head}x"), usize::MAX),
            (chunked, usize::MAX),
            (refused, usize::MAX),
        ] {
            let mut response = Response::new(false, 20).ending_with(Some(|_| false));
            let complete = response.read(&mut BytesMut::from(text), false);
            assert!(complete.is_ok_and(|complete| complete.is_none()), "{text}");
            assert_eq!(response.wanted(), wanted, "{text}");
        }
        assert_eq!(Response::new(false, 20).wanted(), usize::MAX);
    }

    /// However an answer arrives, it is the same one, or fails the same way.
    #[test]
    fn fuzz_responses() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nt: x\r\n\r\n";
        let plain = "HTTP/1.1 400 Bad\r\nContent-Length: 3\r\nConnection: close\r\nDate: Sun, 22 Nov 2026 13:05:09 GMT\r\n\r\nabc";
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nx";
        ::fuzz::Target::new("responses")
            .seeds([chunked, plain, interim, "HTTP/1.1 204 \r\n\r\n"])
            .words([
                "\r\n",
                "\r\n\r\n",
                "0\r\n\r\n",
                "ffffffffffffffff\r\n",
                "Content-Length: ",
                "chunked",
                "HTTP/1.1 ",
            ])
            .run(|bytes| {
                // A body that is text, however it is cut.
                let text: String = bytes.iter().map(|byte| char::from(byte & 0x7f)).collect();
                let whole = read(&text, false, text.len().max(1));
                for step in [1, 7] {
                    let pieces = read(&text, false, step);
                    match (&whole, &pieces) {
                        // What follows the answer, and what is wrong with it, may be seen sooner or later.
                        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces, "by {step}"),
                        (Err(_), Err(_)) => {}
                        (whole, pieces) => panic!("{whole:?} or, by {step}, {pieces:?}"),
                    }
                }
            });
    }

    #[test]
    fn what_is_no_answer_is_named() {
        let long_head = format!(
            "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
            "y".repeat(HEAD_BYTES_MAX)
        );
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "a: b\r\n".repeat(HEADERS_MAX + 1)
        );
        let cases = [
            ("", "closed"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc", "closed"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n",
                "larger than",
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n0123456789012345678901",
                "larger than",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n15\r\n",
                "larger than",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
                "no HTTP",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc",
                "no HTTP",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
                "no HTTP",
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "no HTTP"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
            (&long_head, "too large"),
            (&many, "too large"),
        ];
        for (text, expected) in cases {
            for step in [1, 7, text.len().max(1)] {
                let problem = read(text, false, step).expect_err(text);
                assert!(problem.contains(expected), "{text}: {problem}");
            }
        }
    }
}
