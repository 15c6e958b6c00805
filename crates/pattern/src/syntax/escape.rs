//! What a backslash begins, inside and outside of classes.

use regex_syntax::hir::ClassUnicode;

use super::ast::{Node, Reference};
use super::charset::{self, Charset};
use super::parser::Parser;
use crate::Error;

/// What an escape stands for that means the same everywhere.
pub(super) enum Escaped {
    Char(char),
    Class(ClassUnicode),
}

impl Parser<'_> {
    /// Reads what follows a backslash at `start`, outside of classes.
    pub fn escape(&mut self, start: usize) -> Result<Node, Error> {
        let rest_at = self.at;
        let Some(c) = self.next() else {
            return Err(self.error(start, "there is nothing to escape behind this backslash"));
        };
        let node = match c {
            'A' | 'G' => Node::TextStart,
            'z' => Node::TextEnd,
            'Z' => Node::TextEndNewline,
            'b' | 'B' => {
                let ascii = self.flags.charset == Charset::Ascii;
                Node::WordBoundary {
                    negated: c == 'B',
                    ascii,
                }
            }
            'K' => Node::Keep,
            'R' => Node::LineBreak,
            'X' => return Err(self.error(start, r"`\X` (grapheme clusters) is not supported")),
            'k' => return self.named_backreference(start),
            'g' => return self.call(start),
            '1'..='9' => {
                self.at = rest_at;
                return self.numbered(start);
            }
            _ => {
                self.at = rest_at;
                return Ok(match self.common_escape(start)? {
                    Escaped::Char(c) => self.literal(c),
                    Escaped::Class(class) => Node::Class(class),
                });
            }
        };
        Ok(node)
    }

    /// Reads what follows a backslash at `start` and means the same inside and outside of classes.
    pub fn common_escape(&mut self, start: usize) -> Result<Escaped, Error> {
        let Some(c) = self.next() else {
            return Err(self.error(start, "there is nothing to escape behind this backslash"));
        };
        let c = match c {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\x0C',
            'v' => '\x0B',
            'a' => '\x07',
            'e' => '\x1B',
            'x' => return self.hex(start).map(Escaped::Char),
            'u' => return self.unicode(start).map(Escaped::Char),
            '0'..='7' => {
                self.at -= 1;
                let digits = self.take_digits(8, 3);
                let value = u32::from_str_radix(digits, 8).expect("octal digits");
                return self.coded(start, value).map(Escaped::Char);
            }
            'c' | 'C' | 'M' => return self.control(start, c).map(Escaped::Char),
            'p' | 'P' if self.peek() == Some('{') => {
                return self.property(start, c == 'P').map(Escaped::Class);
            }
            _ => match charset::shorthand(c, self.flags.charset) {
                Some(class) => return Ok(Escaped::Class(class)),
                None => c,
            },
        };
        Ok(Escaped::Char(c))
    }

    /// `\x41` or `\x{41}`; values above 7F are the bytes of a character, which must be complete.
    fn hex(&mut self, start: usize) -> Result<char, Error> {
        if self.take('{') {
            let digits = self.take_digits(16, 8);
            let c = u32::from_str_radix(digits, 16)
                .ok()
                .and_then(char::from_u32);
            return match c {
                Some(c) if self.take('}') => Ok(c),
                _ => Err(self.error(start, r"`\x{…}` must hold the number of a character")),
            };
        }
        let digits = self.take_digits(16, 2);
        match u32::from_str_radix(digits, 16) {
            Ok(value) => self.coded(start, value),
            Err(_) => Err(self.error(start, r"`\x` must be followed by hexadecimal digits")),
        }
    }

    fn unicode(&mut self, start: usize) -> Result<char, Error> {
        let digits = self.take_digits(16, 4);
        let value = u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| digits.len() == 4);
        match value.and_then(char::from_u32) {
            Some(c) => Ok(c),
            None => Err(self.error(
                start,
                r"`\u` must be followed by the four digits of a character",
            )),
        }
    }

    /// The character of a byte written as a number, with the escaped bytes behind it that complete it.
    fn coded(&mut self, start: usize, value: u32) -> Result<char, Error> {
        let invalid = "these escaped bytes are not a character in UTF-8";
        let first = u8::try_from(value).map_err(|_| self.error(start, invalid))?;
        let len = match first {
            0..=0x7F => return Ok(first as char),
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return Err(self.error(start, invalid)),
        };
        let mut bytes = [first, 0, 0, 0];
        for byte in &mut bytes[1..len] {
            *byte = self
                .escaped_byte()
                .ok_or_else(|| self.error(start, invalid))?;
        }
        let text = std::str::from_utf8(&bytes[..len]).map_err(|_| self.error(start, invalid))?;
        Ok(text.chars().next().expect("one character"))
    }

    fn escaped_byte(&mut self) -> Option<u8> {
        let (radix, digits) = if self.take_str(r"\x") {
            (16, self.take_digits(16, 2))
        } else if self.take('\\') {
            (8, self.take_digits(8, 3))
        } else {
            return None;
        };
        u8::from_str_radix(digits, radix).ok()
    }

    /// `\cx`, `\C-x`, `\M-x`
    fn control(&mut self, start: usize, kind: char) -> Result<char, Error> {
        if kind == 'M' {
            return Err(self.error(start, r"`\M-` makes bytes that are no character in UTF-8"));
        }
        if kind == 'C' && !self.take('-') {
            return Err(self.error(start, r"`\C` must be followed by `-` and a character"));
        }
        let inner = self.at;
        let c = match self.next() {
            None => return Err(self.error(start, "a character must follow this control escape")),
            Some('?') => return Ok('\x7F'),
            Some('\\') => match self.common_escape(inner)? {
                Escaped::Char(c) => c,
                Escaped::Class(_) => {
                    return Err(self.error(inner, "a set has no control character"));
                }
            },
            Some(c) => c,
        };
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => Ok((byte & 0x1F) as char),
            _ => Err(self.error(inner, "only ASCII has control characters")),
        }
    }

    /// `\p{Name}`, `\p{^Name}`, `\P{Name}`
    fn property(&mut self, start: usize, mut negated: bool) -> Result<ClassUnicode, Error> {
        self.at += 1;
        negated ^= self.take('^');
        let rest = self.rest();
        let Some(end) = rest.find('}') else {
            return Err(self.error(start, "the closing brace of this property is missing"));
        };
        self.at += end + 1;
        let Some(mut class) = charset::property(&rest[..end]) else {
            let reason = format!("`{}` is not the name of a character property", &rest[..end]);
            return Err(self.error(start, reason));
        };
        if self.flags.ignore_case && !class.is_ascii() {
            class.case_fold_simple();
        }
        if negated {
            class.negate();
        }
        Ok(class)
    }

    /// `\1`: a back-reference, or an octal number when it has more digits than there are groups so far.
    fn numbered(&mut self, start: usize) -> Result<Node, Error> {
        let at = self.at;
        let digits = self.take_digits(10, usize::MAX);
        let number = digits.parse().unwrap_or(usize::MAX);
        if number <= 9 || number <= self.groups.count {
            return Ok(self.backreference(start, Reference::Number(number)));
        }
        self.at = at;
        match self.common_escape(start)? {
            Escaped::Char(c) => Ok(self.literal(c)),
            Escaped::Class(class) => Ok(Node::Class(class)),
        }
    }
}
