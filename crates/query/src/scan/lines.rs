//! Cutting a stream of bytes into lines, with one buffer.

use std::io::{self, Read};

/// Longest line that is read; Trino's limit for text files.
pub(super) const MAX_LINE_BYTES: usize = 100 * 1024 * 1024;

/// How much is read at once. The buffer grows beyond it only for a line that is longer.
const READ_BYTES: usize = 256 * 1024;

/// Reads lines off a source.
pub(super) struct LineReader<R> {
    source: R,
    buffer: Vec<u8>,
    /// What has been read but not handed out: `buffer[start..end]`.
    start: usize,
    end: usize,
    ended: bool,
    max_line_bytes: usize,
}

impl<R: Read> LineReader<R> {
    pub(super) fn new(source: R) -> LineReader<R> {
        LineReader::with_limit(source, MAX_LINE_BYTES)
    }

    fn with_limit(source: R, max_line_bytes: usize) -> LineReader<R> {
        LineReader {
            source,
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            ended: false,
            max_line_bytes,
        }
    }

    /// The next line without its newline; the last one needs none. Nothing at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(newline) = memchr::memchr(b'\n', &unread[searched..]) {
                let line = self.start..self.start + searched + newline;
                self.start = line.end + 1;
                return Ok(Some(without_return(&self.buffer[line])));
            }
            searched = unread.len();
            if self.ended {
                let line = self.start..self.end;
                self.start = self.end;
                return Ok((!line.is_empty()).then(|| without_return(&self.buffer[line])));
            }
            if searched > self.max_line_bytes {
                let message = format!("a line is longer than {} bytes", self.max_line_bytes);
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.ended = count == 0;
                    self.end += count;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(3).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn lines(text: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = LineReader::new(Trickle(text));
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line().expect("line") {
            lines.push(line.to_vec());
        }
        lines
    }

    #[test]
    fn lines_are_cut_wherever_the_reads_end() {
        assert_eq!(
            lines(b"one\r\n\ntwo\nlast"),
            [
                b"one".to_vec(),
                b"".to_vec(),
                b"two".to_vec(),
                b"last".to_vec()
            ]
        );
        assert_eq!(lines(b"one\n"), [b"one".to_vec()]);
        assert!(lines(b"").is_empty());
        let long = [vec![b'x'; 2 * READ_BYTES + 1], b"\ny".to_vec()].concat();
        assert_eq!(
            lines(&long).iter().map(Vec::len).collect::<Vec<_>>(),
            [2 * READ_BYTES + 1, 1]
        );
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let mut reader = LineReader::with_limit(io::repeat(b'x'), 1_000_000);
        let error = reader.next_line().expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(reader.buffer.len() <= 4_000_000);
    }
}
