//! A request, as the sink reads it from a connection.

use std::io::{self, BufRead};

use serde_json::Value;

/// One HTTP request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST` …
    pub method: String,
    /// The path, and what stands behind the question mark.
    pub target: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, as it came.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads one; `None` is the end of the connection.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or what comes is no request with a `Content-Length`.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
        let Some(first) = line(reader)? else {
            return Ok(None);
        };
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::Error::other(format!("no request: {first}")));
        };
        let mut request = Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        while let Some(header) = line(reader)?.filter(|header| !header.is_empty()) {
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            let header = (name.to_ascii_lowercase(), value.trim().to_owned());
            request.headers.push(header);
        }
        let length = request.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(io::Error::other)?;
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The service and the operation of AWS's JSON protocol; `None` for S3.
    pub fn operation(&self) -> Option<(&str, &str)> {
        self.header("x-amz-target")?.split_once('.')
    }

    /// The body, which must be JSON.
    ///
    /// # Errors
    ///
    /// When it is none: a program that sends that is at fault.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = String::from_utf8_lossy(&self.body);
            format!("a request that is no JSON: {error}: {text}")
        })
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_follow_each_other() {
        let mut text: &[u8] =
            b"POST / HTTP/1.1\r\nX-Amz-Target: A_1.Put\r\nContent-Length: 2\r\n\r\n{}\
            PUT /b/k?x=1 HTTP/1.1\r\n\r\n";
        let first = Request::read(&mut text).unwrap().expect("a request");
        assert_eq!(first.operation(), Some(("A_1", "Put")));
        assert_eq!(first.json(), Ok(serde_json::json!({})));
        let second = Request::read(&mut text).unwrap().expect("a request");
        assert_eq!(second.target, "/b/k?x=1");
        assert!(Request::read(&mut text).unwrap().is_none());
    }
}
