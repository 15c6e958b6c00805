//! Finds where a frame ends, however it is cut into reads: every byte is looked at once.

use record::msgpack::{Error, Reader, Type};

/// What is known of a frame that has not arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Bytes of the frame that were passed.
    at: usize,
    /// Values that must still follow.
    pending: usize,
    /// Where the last element of the frame begins, once that is passed.
    last: Option<usize>,
}

/// What a scan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The frame ends.
    End(Extent),
    /// At least so many bytes more are needed.
    Incomplete(usize),
}

/// How far a frame reaches, in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it ends.
    pub len: usize,
    /// Where its last element begins; in an empty frame where it ends.
    pub last: usize,
}

/// Why a frame is refused for its size.
pub const TOO_LARGE: &str = "a frame is larger than buffer_max_size";

impl Scan {
    /// At the start of a frame.
    pub fn new() -> Scan {
        Scan {
            at: 0,
            pending: 1,
            last: None,
        }
    }

    /// Whether nothing was passed.
    pub fn is_new(&self) -> bool {
        self.at == 0
    }

    /// Goes on in `frame`: all bytes since the frame's start. An error says what is wrong; a frame that claims more than
    /// `limit` bytes is one, before they arrive.
    pub fn advance(&mut self, frame: &[u8], limit: usize) -> Result<Found, &'static str> {
        let start = self.at;
        let mut reader = Reader::new(&frame[start..]);
        while self.pending > 0 {
            if self.at == 0
                && !matches!(
                    reader.peek(),
                    Ok(Type::Array) | Err(Error::Incomplete { .. })
                )
            {
                return Err("a frame is an array");
            }
            match reader.pass() {
                Ok(children) => {
                    self.at = start + reader.offset();
                    self.pending = (self.pending - 1).saturating_add(children);
                }
                Err(Error::Incomplete { needed }) => {
                    let needed = needed.saturating_add(self.pending - 1);
                    return match frame.len().saturating_add(needed) <= limit {
                        true => Ok(Found::Incomplete(needed)),
                        false => Err(TOO_LARGE),
                    };
                }
                Err(Error::Malformed { reason, .. }) => return Err(reason),
            }
            // Before the last element more than one value is pending.
            let before_last = match self.last {
                None => self.pending.saturating_sub(1),
                Some(_) => self.pending,
            };
            self.pending -= reader.pass_plain(before_last);
            self.at = start + reader.offset();
            if self.pending <= 1 && self.last.is_none() {
                self.last = Some(self.at);
            }
            if self.at.saturating_add(self.pending) > limit {
                return Err(TOO_LARGE);
            }
        }
        let len = self.at;
        Ok(Found::End(Extent {
            len,
            last: self.last.unwrap_or(len),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_lie_are_refused_before_the_bytes_come() {
        for lie in [
            &b"\xdd\xff\xff\xff\xff"[..],
            b"\x92\xdf\xff\xff\xff\xff",
            b"\x92\xdb\xff\xff\xff\xff",
            b"\x92\xa1a\xc6\xff\xff\xff\xff",
            b"\x92\xa1a\xc9\xff\xff\xff\xff\x00",
        ] {
            assert_eq!(Scan::new().advance(lie, 1000), Err(TOO_LARGE), "{lie:x?}");
        }
    }

    #[test]
    fn a_frame_of_the_limit_passes_and_one_byte_more_does_not() {
        let frame = b"\x92\xa1a\xc4\x03abc";
        assert_eq!(
            Scan::new().advance(frame, frame.len()),
            Ok(Found::End(Extent {
                len: frame.len(),
                last: 3
            }))
        );
        assert_eq!(Scan::new().advance(frame, frame.len() - 1), Err(TOO_LARGE));
    }

    #[test]
    fn the_last_element_is_found_however_the_frame_is_cut() {
        let frames: [(&[u8], usize); 6] = [
            (b"\x90", 1),
            (b"\x91\xa1a", 1),
            (b"\x92\xa1a\x92\x01\xa1b", 3),
            (b"\x93\xa1a\x01\x81\xa1k\xa1v", 4),
            (
                b"\x94\xa1a\x01\x82\xa1k\xa1v\xa1l\x81\xa1m\xa1n\x81\xa5chunk\xa1c",
                16,
            ),
            (b"\x94\xa1a\xa1b\xa1c\xa1d", 7),
        ];
        for (frame, last) in frames {
            let len = frame.len();
            for cut in 0..len {
                let mut scan = Scan::new();
                let found = scan.advance(&frame[..cut], 1000);
                assert!(
                    matches!(found, Ok(Found::Incomplete(_))),
                    "{frame:x?} {cut}"
                );
                let found = scan.advance(frame, 1000);
                assert_eq!(
                    found,
                    Ok(Found::End(Extent { len, last })),
                    "{frame:x?} {cut}"
                );
            }
        }
    }

    #[test]
    fn deep_nesting_takes_no_stack_and_no_second_look() {
        let mut scan = Scan::new();
        let deep = vec![0x91; 200_000];
        for end in 1..=deep.len() {
            assert_eq!(
                scan.advance(&deep[..end], 1 << 20),
                Ok(Found::Incomplete(1))
            );
        }
    }

    #[test]
    fn other_protocols_are_recognised_at_their_first_byte() {
        for text in [
            &b"GET / HTTP/1.1"[..],
            b"[\"tag\"]",
            b"\x16\x03\x01",
            b"\xc0",
            b"\xc1",
            b"\x80",
        ] {
            assert_eq!(
                Scan::new().advance(&text[..1], 1000),
                Err("a frame is an array"),
                "{text:x?}"
            );
        }
    }
}
