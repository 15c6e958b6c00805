//! What an opening parenthesis begins, and references to groups.

use super::ast::{Node, Reference};
use super::charset::Charset;
use super::parser::{Flags, Parser};
use crate::Error;

impl Parser<'_> {
    /// Reads a group whose parenthesis at `start` has been read.
    pub fn group(&mut self, start: usize) -> Result<Node, Error> {
        if !self.take('?') {
            self.has_plain_group = true;
            if self.named_only {
                return self.closed(start);
            }
            return self.capture(start, None);
        }
        if self.take_str("<=") {
            return self.look(start, true, false);
        }
        if self.take_str("<!") {
            return self.look(start, true, true);
        }
        let Some(c) = self.next() else {
            return Err(self.error(start, "this group is not closed"));
        };
        match c {
            ':' => self.closed(start),
            '=' => self.look(start, false, false),
            '!' => self.look(start, false, true),
            '>' => Ok(Node::Atomic(Box::new(self.closed(start)?))),
            '~' => Ok(Node::Absent(Box::new(self.closed(start)?))),
            '#' => self.comment(start),
            '(' => self.conditional(start),
            '<' | '\'' => {
                let name = self.group_name(if c == '<' { '>' } else { '\'' })?;
                self.capture(start, Some(&name))
            }
            _ => {
                self.at -= c.len_utf8();
                self.options(start)
            }
        }
    }

    /// The alternatives up to the closing parenthesis, which is read too. Options set inside end with it.
    fn closed(&mut self, start: usize) -> Result<Node, Error> {
        let flags = self.flags;
        let node = self.alternatives()?;
        self.flags = flags;
        match self.take(')') {
            true => Ok(node),
            false => Err(self.error(start, "this group is not closed")),
        }
    }

    fn capture(&mut self, start: usize, name: Option<&str>) -> Result<Node, Error> {
        let group = self.groups.add(name);
        Ok(Node::Capture {
            group,
            node: Box::new(self.closed(start)?),
        })
    }

    fn look(&mut self, start: usize, behind: bool, negated: bool) -> Result<Node, Error> {
        let node = self.closed(start)?;
        if behind && !has_fixed_branches(&node) {
            let reason = "each alternative of a look-behind must have a fixed length";
            return Err(self.error(start, reason));
        }
        Ok(Node::Look {
            behind,
            negated,
            node: Box::new(node),
        })
    }

    fn comment(&mut self, start: usize) -> Result<Node, Error> {
        while let Some(c) = self.next() {
            match c {
                '\\' => drop(self.next()),
                ')' => return Ok(Node::Empty),
                _ => {}
            }
        }
        Err(self.error(start, "this comment is not closed"))
    }

    /// `(?imx-imx)`, which holds up to the end of the group around it, or `(?imx-imx:…)`.
    fn options(&mut self, start: usize) -> Result<Node, Error> {
        let mut flags = self.flags;
        let mut on = true;
        loop {
            let at = self.at;
            match self.next() {
                None => return Err(self.error(start, "this group is not closed")),
                Some('-') => on = false,
                Some(')') => {
                    self.flags = flags;
                    // The caller's group ends where these alternatives end, so that they are all that is left of it.
                    return self.alternatives();
                }
                Some(':') => {
                    let outer = std::mem::replace(&mut self.flags, flags);
                    let node = self.closed(start)?;
                    self.flags = outer;
                    return Ok(node);
                }
                Some(letter) => self.option(letter, at, on, &mut flags)?,
            }
        }
    }

    fn option(&self, letter: char, at: usize, on: bool, flags: &mut Flags) -> Result<(), Error> {
        match letter {
            'i' => flags.ignore_case = on,
            'm' => flags.dot_all = on,
            'x' => flags.extended = on,
            'a' if on => flags.charset = Charset::Ascii,
            'u' if on => flags.charset = Charset::Unicode,
            'd' if on => flags.charset = Charset::Default,
            _ => {
                let reason = format!("`{letter}` is not an option of a group (i, m, x, a, d, u)");
                return Err(self.error(at, reason));
            }
        }
        Ok(())
    }

    /// A name up to `end`, which is read too.
    fn group_name(&mut self, end: char) -> Result<String, Error> {
        let start = self.at;
        let rest = self.rest();
        let Some(len) = rest.find(end) else {
            return Err(self.error(start, "this group name is not closed"));
        };
        let name = &rest[..len];
        if name.is_empty() {
            return Err(self.error(start, "a group name must not be empty"));
        }
        if name.starts_with(|c: char| c.is_ascii_digit() || c == '-') || name.contains(')') {
            return Err(self.error(start, format!("`{name}` is not a group name")));
        }
        self.at += len + end.len_utf8();
        Ok(name.to_owned())
    }

    /// `(?(<name>)yes|no)`, whose second parenthesis has been read.
    fn conditional(&mut self, start: usize) -> Result<Node, Error> {
        let at = self.at;
        let reference = match self.peek() {
            Some('<') => {
                self.at += 1;
                self.reference('>')?
            }
            Some('\'') => {
                self.at += 1;
                self.reference('\'')?
            }
            _ => Reference::Number(self.take_digits(10, 9).parse().unwrap_or(0)),
        };
        if reference == Reference::Number(0) || !self.take(')') {
            return Err(self.error(at, "a condition must be a group's number or `<name>`"));
        }
        self.references.push((at, reference.clone()));
        let (yes, no) = match self.closed(start)? {
            Node::Alternation(mut branches) if branches.len() == 2 => {
                let no = branches.swap_remove(1);
                (branches.swap_remove(0), no)
            }
            Node::Alternation(_) => {
                return Err(self.error(start, "a conditional has at most two alternatives"));
            }
            node => (node, Node::Empty),
        };
        Ok(Node::Conditional {
            on: reference,
            yes: Box::new(yes),
            no: Box::new(no),
        })
    }

    /// `\k<name>`, `\k'name'`, `\k<1>`, `\k<-1>`
    pub fn named_backreference(&mut self, start: usize) -> Result<Node, Error> {
        match self.delimited_reference(start)? {
            Reference::Number(0) => Err(self.error(start, "the whole match is not a group")),
            reference => Ok(self.backreference(start, reference)),
        }
    }

    pub fn backreference(&mut self, start: usize, to: Reference) -> Node {
        self.references.push((start, to.clone()));
        Node::Backreference {
            to,
            ignore_case: self.flags.ignore_case,
        }
    }

    /// `\g<name>`, `\g<1>`, `\g<-1>`, `\g<0>`
    pub fn call(&mut self, start: usize) -> Result<Node, Error> {
        let reference = self.delimited_reference(start)?;
        self.references.push((start, reference.clone()));
        Ok(Node::Call(reference))
    }

    fn delimited_reference(&mut self, start: usize) -> Result<Reference, Error> {
        if self.take('<') {
            self.reference('>')
        } else if self.take('\'') {
            self.reference('\'')
        } else {
            Err(self.error(start, "`<name>` must follow"))
        }
    }

    fn reference(&mut self, end: char) -> Result<Reference, Error> {
        let start = self.at;
        let rest = self.rest();
        let len = rest.find(end).unwrap_or(rest.len());
        let text = &rest[..len];
        if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+')) {
            let number: isize = match text.parse() {
                Ok(number) if len < rest.len() => number,
                _ => return Err(self.error(start, format!("`{text}` is not a group's number"))),
            };
            self.at += len + end.len_utf8();
            let count = self.groups.count as isize;
            let number = match text.as_bytes()[0] {
                b'-' => count + 1 + number,
                b'+' => count + number,
                _ => number,
            };
            return Ok(Reference::Number(
                usize::try_from(number).unwrap_or(usize::MAX),
            ));
        }
        self.group_name(end).map(Reference::Name)
    }
}

/// Onigmo allows alternatives of different lengths, but only on the outermost level.
fn has_fixed_branches(node: &Node) -> bool {
    match node {
        Node::Alternation(branches) => branches.iter().all(|branch| branch.fixed_chars().is_some()),
        node => node.fixed_chars().is_some(),
    }
}
