//! The outer parts of a frame: tag, carrier, options.

use std::ops::Range;

use record::msgpack::{Error, Reader, Type};

/// A complete frame. All ranges are of the bytes that hold it.
#[derive(Debug, PartialEq)]
pub struct Frame {
    /// The tag as it came.
    pub tag: Range<usize>,
    /// What holds the records.
    pub carrier: Carrier,
    /// What it says about itself.
    pub options: FrameOptions,
}

/// Where a frame lies.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its bytes.
    pub range: Range<usize>,
    /// Where its last element begins, counted from its start.
    pub last: usize,
}

/// How records are carried.
#[derive(Clone, Debug, PartialEq)]
pub enum Carrier {
    /// One record: where its time begins; its body follows.
    Message(usize),
    /// Entries, and how many there are.
    Forward(Range<usize>, usize),
    /// The bytes of entries.
    Packed(Range<usize>),
    /// The same, compressed with gzip.
    Compressed(Range<usize>),
}

/// What a frame says about itself. What is not named here means nothing to this input (`size`, say).
#[derive(Debug, Default, PartialEq)]
pub struct FrameOptions {
    /// To be acknowledged under this name.
    pub chunk: Option<Range<usize>>,
    /// Not logs but metrics or traces, which this input cannot carry.
    pub is_other_signal: bool,
    /// Metadata of the record of a Message.
    pub metadata: Option<Range<usize>>,
    /// The entries are said to be compressed.
    is_compressed: bool,
}

/// The largest `chunk`. Real ones have some 24 bytes.
const CHUNK_MAX: usize = 256;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

impl Frame {
    /// Reads the outer parts of the frame at `place` of `source`, which is one whole msgpack array. An error says what
    /// breaks the protocol.
    pub fn read(source: &[u8], place: &Place) -> Result<Frame, &'static str> {
        let frame = &source[place.range.clone()];
        let mut parts = Parts {
            start: place.range.start,
            frame,
            reader: Reader::new(frame),
            last: place.last,
        };
        parts.frame().map_err(|error| match error {
            Fault::Shape(reason) | Fault::Msgpack(Error::Malformed { reason, .. }) => reason,
            Fault::Msgpack(Error::Incomplete { .. }) => "a value reaches beyond its frame",
        })
    }
}

/// The tag of the frame at `at` of `bytes` and where that ends, if the frame begins as a message without options and with a time
/// as senders write it.
#[inline]
pub fn begins_message(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    const ARRAY_OF_3: u8 = 0x93;
    const SECONDS_OR_EVENT_TIME: [u8; 3] = [0xce, 0xd2, 0xd7];
    if *bytes.get(at)? != ARRAY_OF_3 {
        return None;
    }
    let mut reader = Reader::new(&bytes[at + 1..]);
    let tag = reader.str().ok()?;
    let is_time = SECONDS_OR_EVENT_TIME.contains(reader.rest().first()?);
    is_time.then(|| (tag, at + 1 + reader.offset()))
}

enum Fault {
    Shape(&'static str),
    Msgpack(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Msgpack(error)
    }
}

struct Parts<'a> {
    /// Where the frame starts in its source.
    start: usize,
    frame: &'a [u8],
    reader: Reader<'a>,
    last: usize,
}

impl<'a> Parts<'a> {
    fn frame(&mut self) -> Result<Frame, Fault> {
        let elements = self.reader.array()?;
        if elements < 2 {
            return Err(Fault::Shape("a frame has at least two elements"));
        }
        if self.reader.peek()? != Type::Str {
            return Err(Fault::Shape("the first element of a frame is its tag"));
        }
        let tag = self.body(Reader::str)?;
        let (carrier, used) = self.carrier(elements)?;
        let options = (elements > used).then(|| self.options()).transpose()?;
        let carrier = match (&options, carrier) {
            (Some(options), Carrier::Packed(entries)) => self.packed(entries, options)?,
            (_, carrier) => carrier,
        };
        Ok(Frame {
            tag,
            carrier,
            options: options.unwrap_or_default(),
        })
    }

    /// The carrier, and how many elements of the frame come before its options.
    fn carrier(&mut self, elements: usize) -> Result<(Carrier, usize), Fault> {
        let start = self.start + self.reader.offset();
        if elements >= 3 && self.begins_with_event_time() && self.reader.pass_plain(1) == 1 {
            return self.message(start, elements);
        }
        match self.reader.peek()? {
            Type::Array => {
                match elements {
                    // As of a message.
                    2 => self.reader.go_to(self.frame.len()),
                    3 => self.reader.go_to(self.last),
                    _ => {
                        self.skip()?;
                    }
                }
                let whole = start..self.start + self.reader.offset();
                let mut entries = Reader::new(self.bytes(&whole));
                let count = entries.array()?;
                let entries = whole.start + entries.offset()..whole.end;
                Ok((Carrier::Forward(entries, count), 2))
            }
            Type::Str | Type::Bin => Ok((Carrier::Packed(self.body(Reader::str_or_bin)?), 2)),
            Type::Int | Type::Ext if elements >= 3 => {
                self.skip()?;
                self.message(start, elements)
            }
            Type::Int | Type::Ext => Err(Fault::Shape("a message has a time and a record")),
            _ => Err(Fault::Shape(
                "the second element of a frame is entries, packed entries or a time",
            )),
        }
    }

    /// The time as Fluent Bit, Fluentd and Docker write it.
    fn begins_with_event_time(&self) -> bool {
        self.reader.rest().first() == Some(&0xd7)
    }

    /// A record behind its time, which begins at `time` of the source.
    fn message(&mut self, time: usize, elements: usize) -> Result<(Carrier, usize), Fault> {
        if self.reader.peek()? != Type::Map {
            return Err(Fault::Shape("a record is a map"));
        }
        match elements {
            // Nothing follows the record, or the options do, which are known to begin there.
            3 => {}
            4 => self.reader.go_to(self.last),
            _ => {
                self.skip()?;
            }
        }
        Ok((Carrier::Message(time), 3))
    }

    fn options(&mut self) -> Result<FrameOptions, Fault> {
        let mut options = FrameOptions::default();
        match self.reader.peek()? {
            Type::Nil => return Ok(options),
            Type::Map => {}
            _ => return Err(Fault::Shape("the options of a frame are a map")),
        }
        for _ in 0..self.reader.map()? {
            if self.reader.peek()? != Type::Str {
                return Err(Fault::Shape("the name of an option is text"));
            }
            match (self.reader.str()?, self.reader.peek()?) {
                (b"chunk", Type::Str) => options.chunk = Some(self.chunk()?),
                (b"chunk", _) => return Err(Fault::Shape("the option 'chunk' is text")),
                (b"fluent_signal", Type::Int) => options.is_other_signal = self.reader.int()? != 0,
                (b"compressed", Type::Str) => options.is_compressed = is_gzip(self.reader.str()?)?,
                (b"metadata", Type::Map) => options.metadata = Some(self.skip()?),
                _ => {
                    self.skip()?;
                }
            }
        }
        Ok(options)
    }

    fn chunk(&mut self) -> Result<Range<usize>, Fault> {
        let chunk = self.body(Reader::str)?;
        match chunk.len() {
            0..=CHUNK_MAX => Ok(chunk),
            _ => Err(Fault::Shape("the option 'chunk' has more than 256 bytes")),
        }
    }

    /// With options, compressed entries are recognised by how they begin, whatever the options say, as upstream.
    fn packed(&self, entries: Range<usize>, options: &FrameOptions) -> Result<Carrier, Fault> {
        let bytes = self.bytes(&entries);
        if bytes.starts_with(GZIP) {
            return Ok(Carrier::Compressed(entries));
        }
        if bytes.starts_with(ZSTD) {
            return Err(Fault::Shape(
                "the only compression understood is gzip, not zstd",
            ));
        }
        match options.is_compressed {
            true => Err(Fault::Shape(
                "the entries are not the gzip data that they are said to be",
            )),
            false => Ok(Carrier::Packed(entries)),
        }
    }

    /// Takes text or bytes with `read`: where they lie.
    fn body(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<&'a [u8], Error>,
    ) -> Result<Range<usize>, Error> {
        let len = read(&mut self.reader)?.len();
        let end = self.start + self.reader.offset();
        Ok(end - len..end)
    }

    /// Passes over one value: where it lies.
    fn skip(&mut self) -> Result<Range<usize>, Error> {
        self.body(|reader| reader.skip(usize::MAX))
    }

    fn bytes(&self, range: &Range<usize>) -> &'a [u8] {
        &self.frame[range.start - self.start..range.end - self.start]
    }
}

fn is_gzip(method: &[u8]) -> Result<bool, Fault> {
    match method {
        b"gzip" => Ok(true),
        b"text" => Ok(false),
        _ => Err(Fault::Shape("the only compression understood is gzip")),
    }
}
