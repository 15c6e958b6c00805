//! Fluentd's forward protocol, from the sender's side.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use record::Time;
use record::msgpack::{Error, Reader, write};

use super::GenerateCommand;
use super::socket::{Address, Socket};
use super::target::Block;

/// Frames that may wait for their acknowledgements.
const WINDOW: usize = 256;

/// How records travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Each alone, as Docker's log driver sends them
    Message,
    /// Lists of entries
    Forward,
    /// Packed entries, as Fluentd and Fluent Bit send them
    Packed,
    /// Packed entries in gzip
    Compressed,
}

/// A sender.
pub struct Forward {
    socket: Socket,
    frames: Frames,
    /// Frames that were sent and not acknowledged, oldest first.
    pending: VecDeque<Frame>,
    answers: Vec<u8>,
    resent: u64,
}

/// What is acknowledged together: one frame, or without acknowledgements several.
struct Frame {
    /// By what it is acknowledged.
    chunk: Option<String>,
    bytes: Vec<u8>,
    lines: u64,
}

impl Forward {
    /// Connects to a receiver.
    pub fn connect(address: Address, command: &GenerateCommand) -> io::Result<Forward> {
        Ok(Forward {
            socket: Socket::connect(address)?,
            frames: Frames {
                tag: command.tag.clone(),
                mode: command.mode,
                acks: command.acks,
                container: format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..)),
            },
            pending: VecDeque::new(),
            answers: Vec::new(),
            resent: 0,
        })
    }

    /// Sends lines; with acknowledgements waits while too many of them are missing.
    pub fn write(&mut self, block: &Block) -> io::Result<()> {
        let frames = self.frames.make(block);
        if !self.frames.acks {
            for frame in frames {
                self.resent += self.socket.send(&frame.bytes)? * frame.lines;
            }
            return Ok(());
        }
        let all: Vec<u8> = frames
            .iter()
            .flat_map(|frame| &frame.bytes)
            .copied()
            .collect();
        self.pending.extend(frames);
        if let Err(error) = self.socket.write_all(&all) {
            self.send_again(error)?;
        }
        while self.pending.len() >= WINDOW {
            self.receive()?;
        }
        Ok(())
    }

    /// Waits for every acknowledgement. How many lines were sent again.
    pub fn finish(mut self) -> io::Result<u64> {
        while !self.pending.is_empty() {
            self.receive()?;
        }
        Ok(self.resent)
    }

    /// Reads once from the receiver.
    fn receive(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        match self.socket.read(&mut piece) {
            Ok(0) => self.send_again(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.answers.extend_from_slice(&piece[..read]);
                self.acknowledge()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{} frames are not acknowledged", self.pending.len()),
            )),
            Err(error) => self.send_again(error),
        }
    }

    fn acknowledge(&mut self) -> io::Result<()> {
        loop {
            let mut reader = Reader::new(&self.answers);
            match ack(&mut reader) {
                Ok(chunk) => {
                    let is_other =
                        |frame: &Frame| frame.chunk.as_deref().map(str::as_bytes) != Some(chunk);
                    self.pending.retain(is_other);
                    let used = reader.offset();
                    self.answers.drain(..used);
                }
                Err(Error::Incomplete { .. }) => return Ok(()),
                Err(Error::Malformed { reason, .. }) => {
                    let text = format!("the receiver's answer is no acknowledgement: {reason}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
    }

    /// The connection is broken: everything that is not acknowledged goes over a new one.
    fn send_again(&mut self, error: io::Error) -> io::Result<()> {
        self.answers.clear();
        loop {
            if self.socket.reconnect().is_err() {
                return Err(error);
            }
            let again = &self.pending;
            if again
                .iter()
                .all(|frame| self.socket.write_all(&frame.bytes).is_ok())
            {
                self.resent += self.pending.iter().map(|frame| frame.lines).sum::<u64>();
                return Ok(());
            }
        }
    }
}

/// `{"ack": chunk}`.
fn ack<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    let malformed = |reason| Error::Malformed { offset: 0, reason };
    if reader.map()? != 1 || reader.str()? != b"ack" {
        return Err(malformed("not a map of 'ack'"));
    }
    reader.str()
}

/// Makes frames of lines.
struct Frames {
    tag: String,
    mode: Mode,
    acks: bool,
    container: String,
}

impl Frames {
    /// The frames of a block.
    fn make(&self, block: &Block) -> Vec<Frame> {
        let now = Time::now();
        if self.mode != Mode::Message {
            return vec![self.entries(now, block)];
        }
        let mut frames: Vec<Frame> = Vec::new();
        for line in block.lines() {
            match frames.last_mut() {
                Some(last) if !self.acks => {
                    self.message(now, line, &mut last.bytes);
                    last.lines += 1;
                }
                _ => {
                    let mut bytes = Vec::with_capacity(line.len() + 256);
                    let chunk = self.message(now, line, &mut bytes);
                    frames.push(Frame {
                        chunk,
                        bytes,
                        lines: 1,
                    });
                }
            }
        }
        frames
    }

    fn entries(&self, now: Time, block: &Block) -> Frame {
        let mut entries = Vec::with_capacity(block.text.len() + 256);
        for line in block.lines() {
            write::array_header(2, &mut entries);
            write::time(now, &mut entries);
            self.record(line, &mut entries);
        }
        let (mut bytes, lines) = (Vec::with_capacity(entries.len() + 256), block.ends.len());
        write::array_header(3, &mut bytes);
        write::str(self.tag.as_bytes(), &mut bytes);
        let mut options = vec![("size", Value::Count(lines as u64))];
        match self.mode {
            Mode::Forward => {
                write::array_header(lines, &mut bytes);
                bytes.extend_from_slice(&entries);
            }
            Mode::Compressed => {
                write::bin(&gzip(&entries), &mut bytes);
                options.push(("compressed", Value::Text("gzip".to_owned())));
            }
            Mode::Packed | Mode::Message => write::bin(&entries, &mut bytes),
        }
        let chunk = self.chunk();
        options.extend(chunk.clone().map(|chunk| ("chunk", Value::Text(chunk))));
        push_options(&options, &mut bytes);
        Frame {
            chunk,
            bytes,
            lines: lines as u64,
        }
    }

    fn message(&self, now: Time, line: &[u8], out: &mut Vec<u8>) -> Option<String> {
        let chunk = self.chunk();
        write::array_header(3 + usize::from(chunk.is_some()), out);
        write::str(self.tag.as_bytes(), out);
        // Docker sends whole seconds.
        write::int(now.seconds(), out);
        self.record(line, out);
        if let Some(chunk) = &chunk {
            push_options(&[("chunk", Value::Text(chunk.clone()))], out);
        }
        chunk
    }

    /// What Docker's log driver says of a line.
    fn record(&self, line: &[u8], out: &mut Vec<u8>) {
        write::map_header(4, out);
        for (key, value) in [
            ("container_id", self.container.as_bytes()),
            ("container_name", b"/bench"),
            ("source", b"stdout"),
            ("log", line),
        ] {
            write::str(key.as_bytes(), out);
            write::str(value, out);
        }
    }

    fn chunk(&self) -> Option<String> {
        self.acks.then(|| format!("{:032x}", fastrand::u128(..)))
    }
}

enum Value {
    Text(String),
    Count(u64),
}

fn push_options(options: &[(&str, Value)], out: &mut Vec<u8>) {
    write::map_header(options.len(), out);
    for (name, value) in options {
        write::str(name.as_bytes(), out);
        match value {
            Value::Text(text) => write::str(text.as_bytes(), out),
            Value::Count(count) => write::uint(*count, out),
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use record::msgpack::read;
    use record::{Batch, Tag, Value as Field};

    use super::*;

    fn frames(mode: Mode, acks: bool) -> Vec<Frame> {
        let mut block = Block::default();
        for line in ["one", "two \"2\"", "three"] {
            block.text.extend_from_slice(line.as_bytes());
            block.text.push(b'\n');
            block.ends.push(block.text.len());
        }
        let frames = Frames {
            tag: "app".into(),
            mode,
            acks,
            container: "c1".into(),
        };
        frames.make(&block)
    }

    /// The field `log` of each entry.
    fn logs(entries: &[u8]) -> Vec<String> {
        let (mut at, mut logs) = (0, Vec::new());
        while at < entries.len() {
            let mut batch = Batch::new(Tag::new("t"), entries[at..].to_vec().into());
            let span = batch.span(0..entries.len() - at);
            let (record, used) = read::event(&mut batch, span).expect("an event");
            at += used;
            assert!(record.time.seconds() > 1_700_000_000);
            match batch.get(record.body, b"log") {
                Some(Field::Str(text)) => {
                    logs.push(String::from_utf8_lossy(batch.bytes(text)).into())
                }
                other => panic!("{other:?}"),
            }
        }
        logs
    }

    #[test]
    fn every_form_is_read_back() {
        let expected = ["one", "two \"2\"", "three"];
        for mode in [Mode::Forward, Mode::Packed, Mode::Compressed] {
            for acks in [false, true] {
                let frames = frames(mode, acks);
                assert_eq!((frames.len(), frames[0].lines), (1, 3));
                let mut reader = Reader::new(&frames[0].bytes);
                assert_eq!(reader.array().unwrap(), 3);
                assert_eq!(reader.str().unwrap(), b"app");
                let entries = match mode {
                    Mode::Forward => {
                        let start = reader.offset();
                        let mut inner = Reader::new(&frames[0].bytes[start..]);
                        assert_eq!(inner.array().unwrap(), 3);
                        let first = start + inner.offset();
                        reader.skip(usize::MAX).unwrap();
                        frames[0].bytes[first..reader.offset()].to_vec()
                    }
                    Mode::Compressed => {
                        let mut unpacked = Vec::new();
                        flate2::read::GzDecoder::new(reader.str_or_bin().unwrap())
                            .read_to_end(&mut unpacked)
                            .unwrap();
                        unpacked
                    }
                    _ => reader.str_or_bin().unwrap().to_vec(),
                };
                assert_eq!(logs(&entries), expected, "{mode:?}");
                let options = reader.map().unwrap();
                assert_eq!(
                    options,
                    1 + usize::from(acks) + usize::from(mode == Mode::Compressed)
                );
                assert_eq!(frames[0].chunk.is_some(), acks);
            }
        }
    }

    #[test]
    fn messages_are_single_and_each_is_acknowledged_by_itself() {
        let together = frames(Mode::Message, false);
        assert_eq!((together.len(), together[0].lines), (1, 3));
        let mut reader = Reader::new(&together[0].bytes);
        for _ in 0..3 {
            assert_eq!(reader.array().unwrap(), 3);
            assert_eq!(reader.str().unwrap(), b"app");
            assert!(reader.int().unwrap() > 1_700_000_000);
            assert_eq!(reader.map().unwrap(), 4);
            (0..8).for_each(|_| assert!(reader.skip(usize::MAX).is_ok()));
        }
        assert_eq!(reader.offset(), together[0].bytes.len());
        let single = frames(Mode::Message, true);
        assert_eq!(single.len(), 3);
        for frame in &single {
            assert_eq!(Reader::new(&frame.bytes).array().unwrap(), 4);
            assert!(frame.chunk.is_some() && frame.lines == 1);
        }
    }

    /// Reads whole frames from a connection and answers those that `answers` wants; how many it read.
    fn receive(mut stream: std::os::unix::net::UnixStream, mut answers: impl FnMut(usize) -> bool) {
        let (mut bytes, mut piece, mut frames) = (Vec::new(), [0; 4096], 0);
        loop {
            let mut reader = Reader::new(&bytes);
            if reader.skip(usize::MAX).is_ok() {
                let end = reader.offset();
                let frame: Vec<u8> = bytes.drain(..end).collect();
                frames += 1;
                if !answers(frames) {
                    return;
                }
                // The chunk is the last thing in a frame.
                let chunk = &frame[frame.len() - 32..];
                let mut ack = b"\x81\xa3ack".to_vec();
                write::str(chunk, &mut ack);
                stream.write_all(&ack).unwrap();
                continue;
            }
            match stream.read(&mut piece).unwrap() {
                0 => return,
                read => bytes.extend_from_slice(&piece[..read]),
            }
        }
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_over_a_new_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let receiver = std::thread::spawn(move || {
            let (first, _) = listener.accept().unwrap();
            // Two frames are answered, then it goes away.
            receive(first, |frames| frames <= 2);
            let (second, _) = listener.accept().unwrap();
            let mut count = 0;
            receive(second, |frames| {
                count = frames;
                true
            });
            count
        });
        let mut forward = Forward {
            socket: Socket::connect(Address::Unix(path)).unwrap(),
            frames: Frames {
                tag: "app".into(),
                mode: Mode::Packed,
                acks: true,
                container: "c1".into(),
            },
            pending: VecDeque::new(),
            answers: Vec::new(),
            resent: 0,
        };
        let mut block = Block::default();
        block.text.extend_from_slice(b"line\n");
        block.ends.push(5);
        for _ in 0..5 {
            forward.write(&block).unwrap();
        }
        let resent = forward.finish().unwrap();
        // Whether the two answers arrived before the connection broke is not up to the sender.
        assert!((3..=5).contains(&resent), "{resent}");
        assert_eq!(receiver.join().unwrap() as u64, resent);
    }
}
