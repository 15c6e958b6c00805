//! Cuts a file into lines of text.

use std::io::{self, BufRead, Read};

/// The longest line, line end not counted. Fluent Bit doubles a buffer up to 32 MiB, which also has to hold the line end.
const LINE_BYTES_MAX: usize = 32 * 1024 * 1024 - 2;

/// The longest line that may contain something else than text.
const BINARY_BYTES_MAX: usize = 1024 * 1024;

/// What some editors put before the first character of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One line of a file.
pub struct Line {
    /// From 1.
    pub number: u32,
    /// Without the line end. What is not UTF-8 is replaced by U+FFFD.
    pub text: String,
    /// What had to be changed to make it text.
    pub oddity: Option<Oddity>,
}

/// What a configuration file should not contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// Too many bytes with something among them that is not UTF-8: the line was emptied.
    Binary,
    /// A zero byte, where the line was cut off.
    ZeroByte,
    /// A byte order mark, which was removed.
    ByteOrderMark,
}

/// Why a file could not be read to its end.
pub enum LineError {
    /// The line after so many is too long.
    TooLong(u32),
    /// The file cannot be read.
    Unreadable(io::Error),
}

/// The lines of a file.
pub struct Lines {
    source: Box<dyn BufRead>,
    number: u32,
}

impl Lines {
    pub fn new(source: Box<dyn BufRead>) -> Self {
        Self { source, number: 0 }
    }

    /// The next line, or `None` at the end of the file.
    pub fn next_line(&mut self) -> Result<Option<Line>, LineError> {
        // Room for the line end, so that a line of just the allowed length is told from a longer one.
        let room = LINE_BYTES_MAX as u64 + 2;
        let mut bytes = Vec::new();
        let read = self
            .source
            .by_ref()
            .take(room)
            .read_until(b'\n', &mut bytes)
            .map_err(LineError::Unreadable)?;
        if read == 0 {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        if bytes.len() > LINE_BYTES_MAX {
            return Err(LineError::TooLong(self.number));
        }
        self.number += 1;
        let (text, oddity) = into_text(bytes, self.number == 1);
        Ok(Some(Line {
            number: self.number,
            text,
            oddity,
        }))
    }
}

fn into_text(mut bytes: Vec<u8>, first: bool) -> (String, Option<Oddity>) {
    let mut oddity = None;
    if first && bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
        oddity = Some(Oddity::ByteOrderMark);
    }
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
        oddity = oddity.or(Some(Oddity::ZeroByte));
    }
    match String::from_utf8(bytes) {
        Ok(text) => (text, oddity),
        // Replacing bytes would make the line up to three times as long.
        Err(error) if error.as_bytes().len() > BINARY_BYTES_MAX => {
            (String::new(), Some(Oddity::Binary))
        }
        Err(error) => (
            String::from_utf8_lossy(error.as_bytes()).into_owned(),
            oddity.or(Some(Oddity::NotUtf8)),
        ),
    }
}
