//! A walker over msgpack bytes that trusts no length.

use super::head::{Head, head, plain_end};

/// Why bytes are not the msgpack that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside a value: at least `needed` more are required.
    #[error("incomplete: at least {needed} more bytes are needed")]
    Incomplete {
        /// How many bytes more, at least. What the lengths in the bytes claim: compare it with a limit.
        needed: usize,
    },
    /// The bytes can never become what was asked for.
    #[error("{reason} at byte {offset}")]
    Malformed {
        /// Bytes from the start.
        offset: usize,
        /// What was wrong there.
        reason: &'static str,
    },
}

impl Error {
    /// Whether more bytes might help.
    pub fn is_incomplete(self) -> bool {
        matches!(self, Error::Incomplete { .. })
    }

    /// The same error where `more` values must still follow.
    pub(super) fn followed_by(self, more: usize) -> Error {
        match self {
            Error::Incomplete { needed } => Error::Incomplete {
                needed: needed.saturating_add(more),
            },
            malformed => malformed,
        }
    }
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// nil
    Nil,
    /// true, false
    Bool,
    /// Any integer.
    Int,
    /// 32 or 64 bits.
    Float,
    /// Text.
    Str,
    /// Bytes.
    Bin,
    /// An array.
    Array,
    /// A map.
    Map,
    /// An extension.
    Ext,
}

/// Walks over msgpack bytes: for the frames of protocols, whose shape is known. Nothing is copied or allocated.
///
/// After an error the reader stands where it stood before the call.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Bytes read so far.
    #[inline]
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The bytes not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// What comes next.
    #[inline]
    pub fn peek(&self) -> Result<Type, Error> {
        Ok(match head(self.bytes, self.at)?.0 {
            Head::Nil => Type::Nil,
            Head::Bool(_) => Type::Bool,
            Head::Int(_) | Head::Uint(_) => Type::Int,
            Head::Float(_) => Type::Float,
            Head::Str(_) => Type::Str,
            Head::Bin(_) => Type::Bin,
            Head::Array(_) => Type::Array,
            Head::Map(_) => Type::Map,
            Head::Ext(..) => Type::Ext,
        })
    }

    /// The header of an array: how many items follow.
    #[inline]
    pub fn array(&mut self) -> Result<usize, Error> {
        self.scalar("expected an array", |head| match head {
            Head::Array(len) => Some(len),
            _ => None,
        })
    }

    /// The header of a map: how many pairs follow.
    #[inline]
    pub fn map(&mut self) -> Result<usize, Error> {
        self.scalar("expected a map", |head| match head {
            Head::Map(len) => Some(len),
            _ => None,
        })
    }

    /// Text.
    #[inline]
    pub fn str(&mut self) -> Result<&'a [u8], Error> {
        self.body("expected a string", |head| matches!(head, Head::Str(_)))
            .map(|(_, body)| body)
    }

    /// Bytes.
    pub fn bin(&mut self) -> Result<&'a [u8], Error> {
        self.body("expected binary data", |head| matches!(head, Head::Bin(_)))
            .map(|(_, body)| body)
    }

    /// Text or bytes: old senders know no binary data.
    pub fn str_or_bin(&mut self) -> Result<&'a [u8], Error> {
        let wanted = |head| matches!(head, Head::Str(_) | Head::Bin(_));
        self.body("expected a string or binary data", wanted)
            .map(|(_, body)| body)
    }

    /// An extension: its type and its bytes.
    pub fn ext(&mut self) -> Result<(i8, &'a [u8]), Error> {
        match self.body("expected an extension", |head| {
            matches!(head, Head::Ext(..))
        })? {
            (Head::Ext(kind, _), body) => Ok((kind, body)),
            _ => unreachable!("only extensions are let through"),
        }
    }

    /// An integer that fits into `i64`.
    pub fn int(&mut self) -> Result<i64, Error> {
        self.scalar("expected an integer of 64 bits", |head| match head {
            Head::Int(value) => Some(value),
            _ => None,
        })
    }

    /// An integer that is not negative.
    pub fn uint(&mut self) -> Result<u64, Error> {
        self.scalar(
            "expected an integer that is not negative",
            |head| match head {
                Head::Int(value) => u64::try_from(value).ok(),
                Head::Uint(value) => Some(value),
                _ => None,
            },
        )
    }

    /// A float.
    pub fn float(&mut self) -> Result<f64, Error> {
        self.scalar("expected a float", |head| match head {
            Head::Float(value) => Some(value),
            _ => None,
        })
    }

    /// `true` or `false`.
    pub fn bool(&mut self) -> Result<bool, Error> {
        self.scalar("expected true or false", |head| match head {
            Head::Bool(value) => Some(value),
            _ => None,
        })
    }

    /// nil.
    pub fn nil(&mut self) -> Result<(), Error> {
        self.scalar("expected nil", |head| (head == Head::Nil).then_some(()))
    }

    /// Passes over one value of any kind and gives its bytes. More than `limit` bytes are an error as soon as the lengths
    /// in it claim them.
    pub fn skip(&mut self, limit: usize) -> Result<&'a [u8], Error> {
        let mut at = self.at;
        let mut pending = 1usize;
        while pending > 0 {
            pending -= 1;
            let (head, end) = head(self.bytes, at).map_err(|error| error.followed_by(pending))?;
            pending = pending.saturating_add(head.children());
            at = end.saturating_add(head.body());
            if (at - self.at).saturating_add(pending) > limit {
                return Err(Error::Malformed {
                    offset: self.at,
                    reason: "larger than the limit",
                });
            }
            if at > self.bytes.len() {
                return Err(Error::Incomplete {
                    needed: (at - self.bytes.len()).saturating_add(pending),
                });
            }
        }
        let value = &self.bytes[self.at..at];
        self.at = at;
        Ok(value)
    }

    /// Passes over one value but not into it: how many values it says to hold.
    #[inline]
    pub fn pass(&mut self) -> Result<usize, Error> {
        let (head, end) = head(self.bytes, self.at)?;
        let end = end.saturating_add(head.body());
        if end > self.bytes.len() {
            return Err(Error::Incomplete {
                needed: end - self.bytes.len(),
            });
        }
        self.at = end;
        Ok(head.children())
    }

    /// Passes over texts and other values that hold no others and are usual, `most` at most, up to the first that is something
    /// else or not whole: how many.
    #[inline]
    pub fn pass_plain(&mut self, most: usize) -> usize {
        let (mut at, mut passed) = (self.at, 0);
        while passed < most
            && let Some(end) = plain_end(self.bytes, at)
        {
            at = end;
            passed += 1;
        }
        self.at = at;
        passed
    }

    /// Goes on `offset` bytes after the start, where a value is known to begin.
    ///
    /// # Panics
    /// When that is beyond the end.
    pub fn go_to(&mut self, offset: usize) {
        assert!(offset <= self.bytes.len());
        self.at = offset;
    }

    #[inline]
    fn scalar<T>(
        &mut self,
        reason: &'static str,
        wanted: impl Fn(Head) -> Option<T>,
    ) -> Result<T, Error> {
        let (head, end) = head(self.bytes, self.at)?;
        let value = wanted(head).ok_or(Error::Malformed {
            offset: self.at,
            reason,
        })?;
        self.at = end;
        Ok(value)
    }

    #[inline]
    fn body(
        &mut self,
        reason: &'static str,
        wanted: impl Fn(Head) -> bool,
    ) -> Result<(Head, &'a [u8]), Error> {
        let (head, start) = head(self.bytes, self.at)?;
        if !wanted(head) {
            return Err(Error::Malformed {
                offset: self.at,
                reason,
            });
        }
        let rest = &self.bytes[start..];
        let Some(body) = rest.get(..head.body()) else {
            return Err(Error::Incomplete {
                needed: head.body() - rest.len(),
            });
        };
        self.at = start + body.len();
        Ok((head, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `["tag", [1, 2], {"chunk": "x"}, nil, true, 1.5, bin, ext, -1, 2^63]`
    const FRAME: &[u8] =
        b"\x9a\xa3tag\x92\x01\x02\x81\xa5chunk\xa1x\xc0\xc3\xcb\x3f\xf8\0\0\0\0\0\0\
        \xc4\x02\x01\x02\xd4\x07\x09\xff\xcf\x80\0\0\0\0\0\0\0";

    #[test]
    fn a_frame_is_walked_through() {
        let mut reader = Reader::new(FRAME);
        assert_eq!(reader.peek(), Ok(Type::Array));
        assert_eq!(reader.array(), Ok(10));
        assert_eq!(reader.str(), Ok(&b"tag"[..]));
        assert_eq!(reader.skip(3), Ok(&b"\x92\x01\x02"[..]));
        assert_eq!(reader.map(), Ok(1));
        assert_eq!(reader.str_or_bin(), Ok(&b"chunk"[..]));
        assert_eq!(reader.str_or_bin(), Ok(&b"x"[..]));
        assert_eq!(reader.nil(), Ok(()));
        assert_eq!(reader.bool(), Ok(true));
        assert_eq!(reader.float(), Ok(1.5));
        assert_eq!(reader.bin(), Ok(&b"\x01\x02"[..]));
        assert_eq!(reader.peek(), Ok(Type::Ext));
        assert_eq!(reader.ext(), Ok((7, &b"\x09"[..])));
        assert_eq!(reader.int(), Ok(-1));
        assert_eq!(reader.uint(), Ok(1 << 63));
        assert_eq!((reader.offset(), reader.rest()), (FRAME.len(), &b""[..]));
        assert_eq!(reader.peek(), Err(Error::Incomplete { needed: 1 }));
    }

    #[test]
    fn values_are_passed_one_by_one_and_not_entered() {
        let mut reader = Reader::new(FRAME);
        let mut children = Vec::new();
        while !reader.rest().is_empty() {
            children.push(reader.pass().expect("it is whole"));
        }
        // The frame, its tag, an array with two, a map of one pair, and seven scalars.
        assert_eq!(children, [10, 0, 2, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut plain = Reader::new(
            b"\xa1a\xd9\x01b\xda\x00\x01c\xd7\x00abcdefgh\x05\xff\xc0\xc2\xa0\x90\xa2x",
        );
        assert_eq!((plain.pass_plain(2), plain.offset()), (2, 5));
        assert_eq!((plain.pass_plain(2), plain.offset()), (2, 19));
        assert_eq!((plain.pass_plain(9), plain.offset()), (5, 24));
        assert_eq!(plain.array(), Ok(0));
        assert_eq!((plain.pass_plain(9), plain.offset()), (0, 25));
        plain.go_to(5);
        assert_eq!(plain.str(), Ok(&b"c"[..]));
        let mut cut = Reader::new(b"\xd9\x05ab");
        assert_eq!(cut.pass(), Err(Error::Incomplete { needed: 3 }));
        assert_eq!(cut.offset(), 0);
        assert_eq!(
            Reader::new(b"\xd9").pass(),
            Err(Error::Incomplete { needed: 1 })
        );
    }

    #[test]
    fn what_is_not_wanted_is_not_taken() {
        let mut reader = Reader::new(b"\x01\xff\xcf\x80\0\0\0\0\0\0\0\xa1x");
        let expected = |offset, reason| Error::Malformed { offset, reason };
        assert_eq!(reader.array(), Err(expected(0, "expected an array")));
        assert_eq!(reader.str(), Err(expected(0, "expected a string")));
        assert_eq!(reader.nil(), Err(expected(0, "expected nil")));
        assert_eq!(reader.uint(), Ok(1));
        assert_eq!(
            reader.uint(),
            Err(expected(1, "expected an integer that is not negative"))
        );
        assert_eq!(reader.int(), Ok(-1));
        assert_eq!(
            reader.int(),
            Err(expected(2, "expected an integer of 64 bits"))
        );
        assert_eq!(reader.uint(), Ok(1 << 63));
        assert_eq!(reader.bin(), Err(expected(11, "expected binary data")));
        assert_eq!(reader.offset(), 11);
    }

    #[test]
    fn what_claims_too_much_is_not_skipped() {
        let too_large = Err(Error::Malformed {
            offset: 0,
            reason: "larger than the limit",
        });
        assert_eq!(
            Reader::new(b"\xdb\xff\xff\xff\xff").skip(1 << 20),
            too_large
        );
        assert_eq!(
            Reader::new(b"\xdd\xff\xff\xff\xff").skip(1 << 20),
            too_large
        );
        assert_eq!(Reader::new(b"\xa2hi").skip(2), too_large);
        assert_eq!(Reader::new(b"\xa2hi").skip(3), Ok(&b"\xa2hi"[..]));
        let deep = [vec![0x91; 5_000_000], vec![0xc0]].concat();
        assert_eq!(
            Reader::new(&deep).skip(deep.len()).map(<[u8]>::len),
            Ok(deep.len())
        );
    }
}
