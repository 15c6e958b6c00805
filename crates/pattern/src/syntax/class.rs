//! `[…]`: ranges, POSIX brackets, nested sets, intersections.

use regex_syntax::hir::ClassUnicode;

use super::ast::Node;
use super::charset;
use super::escape::Escaped;
use super::parser::Parser;
use crate::Error;

/// One item of a class.
enum Item {
    Char(char),
    Set(ClassUnicode),
}

impl Parser<'_> {
    /// Reads a class whose bracket at `start` has been read.
    pub fn class(&mut self, start: usize) -> Result<Node, Error> {
        self.class_set(start, 1).map(Node::Class)
    }

    fn class_set(&mut self, start: usize, depth: usize) -> Result<ClassUnicode, Error> {
        if depth > 50 {
            return Err(self.error(start, "classes are nested more than 50 deep"));
        }
        let negated = self.take('^');
        let mut whole: Option<ClassUnicode> = None;
        let mut part = ClassUnicode::empty();
        let mut is_empty = true;
        loop {
            if self.take_str("&&") {
                whole = Some(intersection(whole, &part));
                part = ClassUnicode::empty();
                is_empty = false;
                continue;
            }
            let at = self.at;
            match self.next() {
                None => return Err(self.error(start, "this class is not closed")),
                // The first bracket is a character if another one can close the class.
                Some(']') if is_empty && self.rest().contains(']') => {
                    self.range_or_char(']', at, &mut part)?;
                }
                Some(']') if is_empty => return Err(self.error(start, "this class is empty")),
                Some(']') => break,
                Some(c) => match self.class_item(c, at, depth)? {
                    Item::Char(c) => self.range_or_char(c, at, &mut part)?,
                    Item::Set(set) => {
                        part.union(&set);
                        self.after_set(&mut part)?;
                    }
                },
            }
            is_empty = false;
        }
        let mut class = match whole {
            Some(_) => intersection(whole, &part),
            None => part,
        };
        if negated {
            class.negate();
        }
        Ok(class)
    }

    fn class_item(&mut self, c: char, at: usize, depth: usize) -> Result<Item, Error> {
        match c {
            '[' => match self.posix_bracket(at)? {
                Some(set) => Ok(Item::Set(set)),
                None => self.class_set(at, depth + 1).map(Item::Set),
            },
            '\\' if self.take('b') => Ok(Item::Char('\x08')),
            '\\' if self.take_str("R") => Ok(Item::Char('R')),
            '\\' => Ok(match self.common_escape(at)? {
                Escaped::Char(c) => Item::Char(c),
                Escaped::Class(set) => Item::Set(set),
            }),
            _ => Ok(Item::Char(c)),
        }
    }

    /// Adds `c`, or the range that it begins.
    fn range_or_char(&mut self, c: char, at: usize, part: &mut ClassUnicode) -> Result<(), Error> {
        let dash = self.at;
        if !self.take('-') {
            self.add(c, c, part);
            return Ok(());
        }
        let end_at = self.at;
        match self.peek() {
            // A dash before the end, or before an operator, is a character.
            None | Some(']') => self.at = dash,
            Some('&') if self.rest().starts_with("&&") => self.at = dash,
            Some('[') => return Err(self.error(end_at, "a range cannot end with a set")),
            Some(_) => {
                let end = self.next().expect("just seen");
                match self.class_item(end, end_at, 0)? {
                    Item::Char(end) if end < c => {
                        return Err(self.error(at, format!("the range `{c}-{end}` is empty")));
                    }
                    Item::Char(end) => {
                        self.add(c, end, part);
                        return self.after_set(part);
                    }
                    Item::Set(_) => {
                        return Err(self.error(end_at, "a range cannot end with a set"));
                    }
                }
            }
        }
        self.add(c, c, part);
        Ok(())
    }

    /// A dash behind a range or a set is a character.
    fn after_set(&mut self, part: &mut ClassUnicode) -> Result<(), Error> {
        if self.take('-') {
            part.union(&charset::range('-', '-'));
        }
        Ok(())
    }

    fn add(&self, start: char, end: char, part: &mut ClassUnicode) {
        match self.flags.ignore_case {
            true => part.union(&charset::folded(start, end)),
            false => part.union(&charset::range(start, end)),
        }
    }

    /// `[:alpha:]`, whose first bracket at `start` has been read; none if it is a nested class.
    fn posix_bracket(&mut self, start: usize) -> Result<Option<ClassUnicode>, Error> {
        let Some(rest) = self.rest().strip_prefix(':') else {
            return Ok(None);
        };
        let negated = rest.starts_with('^');
        let name = &rest[usize::from(negated)..];
        let len = name.bytes().take_while(u8::is_ascii_alphabetic).count();
        if !name[len..].starts_with(":]") {
            return Ok(None);
        }
        let Some(mut set) = charset::posix(&name[..len], self.flags.charset) else {
            let reason = format!("`{}` is not the name of a POSIX bracket", &name[..len]);
            return Err(self.error(start, reason));
        };
        if self.flags.ignore_case && !set.is_ascii() {
            set.case_fold_simple();
        }
        if negated {
            set.negate();
        }
        self.at += 1 + usize::from(negated) + len + 2;
        Ok(Some(set))
    }
}

fn intersection(whole: Option<ClassUnicode>, part: &ClassUnicode) -> ClassUnicode {
    match whole {
        None => part.clone(),
        Some(mut whole) => {
            whole.intersect(part);
            whole
        }
    }
}
