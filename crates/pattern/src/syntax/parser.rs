//! Pattern text to [`Node`]s: alternatives, sequences, single characters. Groups, classes, escapes and quantifiers have
//! files of their own.

use super::ast::{Groups, Node, Reference};
use super::charset::{self, Charset};
use crate::Error;

/// Deeper patterns are refused: what reads and compiles them is recursive.
const DEPTH_MAX: usize = 200;

/// What `(?imx-imx)` and the letters behind the last slash switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Flags {
    /// `i`
    pub ignore_case: bool,
    /// `m`: a dot matches newlines too.
    pub dot_all: bool,
    /// `x`: white space and comments in the pattern mean nothing.
    pub extended: bool,
    /// `d`, `a`, `u`
    pub charset: Charset,
}

/// A pattern that was read.
#[derive(Debug)]
pub(crate) struct Syntax {
    pub root: Node,
    pub groups: Groups,
}

/// Reads a pattern. Offsets of errors count from the start of `pattern`.
pub(crate) fn parse(pattern: &str, flags: Flags) -> Result<Syntax, Error> {
    let mut parser = Parser::new(pattern, flags, false);
    let mut root = parser.pattern()?;
    if !parser.groups.names.is_empty() && parser.has_plain_group {
        // A named group turns off capturing by all plain ones, also by those in front of it.
        parser = Parser::new(pattern, flags, true);
        root = parser.pattern()?;
    }
    parser.check_references()?;
    Ok(Syntax {
        root,
        groups: parser.groups,
    })
}

pub(super) struct Parser<'a> {
    pattern: &'a str,
    pub at: usize,
    pub flags: Flags,
    pub groups: Groups,
    /// Only named groups capture.
    pub named_only: bool,
    pub has_plain_group: bool,
    depth: usize,
    /// References to be checked at the end, with their places.
    pub references: Vec<(usize, Reference)>,
}

impl<'a> Parser<'a> {
    fn new(pattern: &'a str, flags: Flags, named_only: bool) -> Parser<'a> {
        Parser {
            pattern,
            at: 0,
            flags,
            groups: Groups::default(),
            named_only,
            has_plain_group: false,
            depth: 0,
            references: Vec::new(),
        }
    }

    fn pattern(&mut self) -> Result<Node, Error> {
        let root = self.alternatives()?;
        if self.peek() == Some(')') {
            return Err(self.error(self.at, "there is no opening parenthesis for this one"));
        }
        Ok(root)
    }

    /// Reads up to a closing parenthesis or the end, which is left unread.
    pub fn alternatives(&mut self) -> Result<Node, Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let reason = format!("groups are nested more than {DEPTH_MAX} deep");
            return Err(self.error(self.at, reason));
        }
        let mut branches = vec![self.sequence()?];
        while self.take('|') {
            branches.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(match branches.len() {
            1 => branches.swap_remove(0),
            _ => Node::Alternation(branches),
        })
    }

    fn sequence(&mut self) -> Result<Node, Error> {
        let mut nodes = Vec::new();
        loop {
            self.skip_extended();
            let start = self.at;
            match self.peek() {
                None | Some('|' | ')') => break,
                Some('*' | '+' | '?') => {
                    return Err(self.error(start, "there is nothing to repeat in front of this"));
                }
                Some(_) => {}
            }
            let atom = self.atom()?;
            nodes.push(self.quantified(atom)?);
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.swap_remove(0),
            _ => Node::Concat(nodes),
        })
    }

    fn atom(&mut self) -> Result<Node, Error> {
        let start = self.at;
        let c = self.next().expect("the caller saw a character");
        match c {
            '(' => self.group(start),
            '[' => self.class(start),
            '\\' => self.escape(start),
            '.' => Ok(Node::Class(charset::any(self.flags.dot_all))),
            '^' => Ok(Node::LineStart),
            '$' => Ok(Node::LineEnd),
            _ => Ok(self.literal(c)),
        }
    }

    /// One character, or the set of its cases.
    pub fn literal(&self, c: char) -> Node {
        if self.flags.ignore_case {
            let class = charset::folded(c, c);
            if class
                .ranges()
                .iter()
                .map(|range| range.len())
                .sum::<usize>()
                > 1
            {
                return Node::Class(class);
            }
        }
        Node::Char(c)
    }

    fn check_references(&self) -> Result<(), Error> {
        for (at, reference) in &self.references {
            let reason = match reference {
                Reference::Number(0) => continue,
                Reference::Number(_) if !self.groups.names.is_empty() => {
                    "a group cannot be referred to by number when others have names".to_owned()
                }
                _ if !self.groups.find(reference).is_empty() => continue,
                Reference::Number(number) => {
                    format!("there is no group {number} among the {}", self.groups.count)
                }
                Reference::Name(name) => format!("there is no group called `{name}`"),
            };
            return Err(self.error(*at, reason));
        }
        Ok(())
    }

    /// In extended mode, white space and comments up to the next thing that means something.
    pub fn skip_extended(&mut self) {
        if !self.flags.extended {
            return;
        }
        while let Some(c) = self.peek() {
            if c == '#' {
                let rest = self.rest();
                self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
            } else if c.is_whitespace() {
                self.at += c.len_utf8();
            } else {
                break;
            }
        }
    }

    pub fn rest(&self) -> &'a str {
        &self.pattern[self.at..]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    pub fn take_str(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Takes digits of `radix`, at most `max`, and gives their text.
    pub fn take_digits(&mut self, radix: u32, max: usize) -> &'a str {
        let rest = self.rest();
        let len = rest
            .bytes()
            .take(max)
            .take_while(|&byte| (byte as char).is_digit(radix))
            .count();
        self.at += len;
        &rest[..len]
    }

    pub fn error(&self, at: usize, reason: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::new(at, reason)
    }
}
