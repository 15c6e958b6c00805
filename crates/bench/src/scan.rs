//! Finds marks in documents that come in pieces: text, packed with gzip or not, and Parquet.

mod parquet;

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use crate::mark::{self, Mark};

const GZIP: &[u8] = b"\x1f\x8b";

/// Finds marks in a text that comes in pieces, wherever it is cut.
pub struct Scanner<F> {
    found: F,
    /// The last bytes, which may begin a mark.
    carry: Vec<u8>,
}

impl<F: FnMut(Mark)> Scanner<F> {
    /// `found` gets each mark.
    pub fn new(found: F) -> Scanner<F> {
        Scanner {
            found,
            carry: Vec::with_capacity(2 * mark::LEN),
        }
    }

    fn feed(&mut self, piece: &[u8]) {
        const REST: usize = mark::LEN - 1;
        // A mark in here lies across the cut: neither part alone is long enough for one.
        self.carry.extend(&piece[..piece.len().min(REST)]);
        mark::find(&self.carry).for_each(&mut self.found);
        mark::find(piece).for_each(&mut self.found);
        if piece.len() >= REST {
            self.carry.clear();
            self.carry.extend(&piece[piece.len() - REST..]);
        } else {
            let start = self.carry.len().saturating_sub(REST);
            self.carry.drain(..start);
        }
    }
}

impl<F: FnMut(Mark)> Write for Scanner<F> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.feed(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A document whose first bytes say whether it is packed.
pub struct Document<F: FnMut(Mark)>(State<F>);

enum State<F: FnMut(Mark)> {
    /// Too little has come to say.
    Start(Vec<u8>, Scanner<F>),
    Plain(Scanner<F>),
    Gzip(Box<MultiGzDecoder<Scanner<F>>>),
    /// All of it, because it is read from its end.
    Parquet(Vec<u8>, Scanner<F>),
    Ended,
}

impl<F: FnMut(Mark)> Document<F> {
    /// `found` gets each mark.
    pub fn new(found: F) -> Document<F> {
        Document(State::Start(Vec::new(), Scanner::new(found)))
    }

    /// The next piece. An error says that it is not the gzip data that it began as. In Parquet of more than 256 MiB, and in
    /// a part of such a file, nothing is found.
    pub fn feed(&mut self, piece: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            State::Plain(scanner) => scanner.write_all(piece),
            State::Gzip(decoder) => decoder.write_all(piece),
            State::Parquet(file, _) => {
                file.extend_from_slice(piece);
                if file.len() > parquet::BYTES_MAX {
                    self.0 = State::Ended;
                }
                Ok(())
            }
            State::Ended => Ok(()),
            State::Start(head, _) => {
                head.extend_from_slice(piece);
                match head.len() < GZIP.len().max(parquet::MAGIC.len()) {
                    true => Ok(()),
                    false => self.begin(),
                }
            }
        }
    }

    /// Nothing follows.
    pub fn end(mut self) -> io::Result<()> {
        if let State::Start(..) = self.0 {
            self.begin()?;
        }
        match self.0 {
            State::Gzip(mut decoder) => decoder.try_finish(),
            State::Parquet(file, mut scanner) => parquet::marks(file.into(), &mut scanner.found),
            _ => Ok(()),
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        if let State::Start(head, scanner) = std::mem::replace(&mut self.0, State::Ended) {
            self.0 = if head.starts_with(GZIP) {
                State::Gzip(Box::new(MultiGzDecoder::new(scanner)))
            } else if head.starts_with(parquet::MAGIC) {
                State::Parquet(Vec::new(), scanner)
            } else {
                State::Plain(scanner)
            };
            return self.feed(&head);
        }
        Ok(())
    }
}

/// The marks of a whole document.
pub fn document(bytes: &[u8], found: impl FnMut(Mark)) -> io::Result<()> {
    let mut document = Document::new(found);
    document.feed(bytes)?;
    document.end()
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn lines(count: u64) -> Vec<u8> {
        let mut text = Vec::new();
        for seq in 0..count {
            text.extend_from_slice(b"{\"log\":\"");
            Mark { writer: 9, seq }.write(&mut text);
            text.extend_from_slice(&b"x\"}\n"[..(seq % 5) as usize]);
        }
        text
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #[test]
        fn every_mark_is_found_once_however_the_document_is_cut(
            sizes in prop::collection::vec(1usize..100, 1..40),
            packed in any::<bool>(),
        ) {
            let text = lines(50);
            let bytes = match packed {
                // Members follow each other, as when a writer packs each flush alone.
                true => [gzip(&text[..500]), gzip(&text[500..])].concat(),
                false => text,
            };
            let mut found = Vec::new();
            let mut document = Document::new(|mark: Mark| found.push(mark.seq));
            let (mut rest, mut sizes) = (&bytes[..], sizes.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                document.feed(piece).unwrap();
                rest = after;
            }
            document.end().unwrap();
            prop_assert_eq!(found, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn parquet_is_looked_through_however_it_is_cut() {
        let file = parquet::tests::file(500);
        for size in [1, 3, 1000, file.len()] {
            let mut found = 0;
            let mut document = Document::new(|_| found += 1);
            file.chunks(size)
                .for_each(|piece| document.feed(piece).unwrap());
            document.end().unwrap();
            assert_eq!(found, 400, "in pieces of {size} bytes");
        }
        let part = document(&file[..file.len() - 1], |_| panic!("a part has no marks"));
        assert!(part.is_ok(), "a part is not a broken file");
    }

    #[test]
    fn broken_gzip_is_an_error() {
        let packed = gzip(&lines(100));
        assert!(document(&packed[..packed.len() / 2], |_| {}).is_err());
        assert!(document(b"\x1f\x8bnonsense", |_| {}).is_err());
        assert!(document(b"", |_| {}).is_ok() && document(b"x", |_| {}).is_ok());
    }
}
