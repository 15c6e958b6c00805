//! What a pattern consists of, with flags and names already resolved.

use regex_syntax::hir::ClassUnicode;

/// How a repetition chooses among the counts that it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Greed {
    /// As many as possible.
    Greedy,
    /// As few as possible.
    Lazy,
    /// As many as possible, and never fewer afterwards.
    Possessive,
}

/// How a pattern names one of its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Number(usize),
    Name(String),
}

/// A part of a pattern.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Matches without consuming anything.
    Empty,
    /// One character.
    Char(char),
    /// One character of a set.
    Class(ClassUnicode),
    /// `^`: at the start of the text, or after a newline that does not end it.
    LineStart,
    /// `$`: at the end of the text, or before a newline.
    LineEnd,
    /// `\A`, and `\G`, since every search begins at the start of the text.
    TextStart,
    /// `\z`
    TextEnd,
    /// `\Z`: at the end of the text, or before a newline that ends it.
    TextEndNewline,
    /// `\b` or `\B`.
    WordBoundary {
        /// Whether it is `\B`.
        negated: bool,
        /// Whether only ASCII has word characters.
        ascii: bool,
    },
    /// One after the other.
    Concat(Vec<Node>),
    /// The first that leads to a match.
    Alternation(Vec<Node>),
    /// A group that captures. Numbers count from 1 in the order of opening parentheses.
    Capture { group: usize, node: Box<Node> },
    /// A part several times.
    Repeat {
        node: Box<Node>,
        min: u32,
        max: Option<u32>,
        greed: Greed,
    },
    /// `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`
    Look {
        behind: bool,
        negated: bool,
        node: Box<Node>,
    },
    /// `(?>…)`
    Atomic(Box<Node>),
    /// `(?~…)`: the longest text that does not contain a match.
    Absent(Box<Node>),
    /// `\R`
    LineBreak,
    /// `\K`: the match begins here.
    Keep,
    /// The text of a group, of several with the same name the last that has one.
    Backreference { to: Reference, ignore_case: bool },
    /// The pattern of a group once more; 0 is the whole pattern.
    Call(Reference),
    /// One of two patterns, depending on whether a group has matched.
    Conditional {
        on: Reference,
        yes: Box<Node>,
        no: Box<Node>,
    },
}

impl Node {
    /// The fewest characters that a match can have; for calls, which may be recursive, 0.
    pub fn min_chars(&self) -> usize {
        match self {
            Node::Char(_) | Node::Class(_) | Node::LineBreak => 1,
            Node::Concat(nodes) => nodes
                .iter()
                .fold(0, |sum, node| sum.saturating_add(node.min_chars())),
            Node::Alternation(nodes) => nodes.iter().map(Node::min_chars).min().unwrap_or(0),
            Node::Capture { node, .. } | Node::Atomic(node) => node.min_chars(),
            Node::Repeat { node, min, .. } => node.min_chars().saturating_mul(*min as usize),
            Node::Conditional { yes, no, .. } => yes.min_chars().min(no.min_chars()),
            _ => 0,
        }
    }

    /// The number of characters of every match, if all have the same.
    pub fn fixed_chars(&self) -> Option<usize> {
        match self {
            Node::Char(_) | Node::Class(_) => Some(1),
            Node::Concat(nodes) => nodes.iter().map(Node::fixed_chars).sum(),
            Node::Alternation(nodes) => {
                let mut lengths = nodes.iter().map(Node::fixed_chars);
                let first = lengths.next()??;
                lengths.all(|length| length == Some(first)).then_some(first)
            }
            Node::Capture { node, .. } | Node::Atomic(node) => node.fixed_chars(),
            Node::Repeat {
                node,
                min,
                max: Some(max),
                ..
            } if min == max => node.fixed_chars()?.checked_mul(*min as usize),
            Node::LineBreak
            | Node::Repeat { .. }
            | Node::Absent(_)
            | Node::Backreference { .. }
            | Node::Call(_)
            | Node::Conditional { .. } => None,
            _ => Some(0),
        }
    }
}

/// The groups of a pattern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    /// How many there are, not counting the whole match.
    pub count: usize,
    /// Names in the order of their first groups, each with its groups in order.
    pub names: Vec<(String, Vec<usize>)>,
}

impl Groups {
    /// The groups that `reference` names, in order. Empty if there is none.
    pub fn find(&self, reference: &Reference) -> Vec<usize> {
        match reference {
            Reference::Number(number) if *number <= self.count => vec![*number],
            Reference::Number(_) => Vec::new(),
            Reference::Name(name) => {
                let known = self.names.iter().find(|(known, _)| known == name);
                known.map(|(_, groups)| groups.clone()).unwrap_or_default()
            }
        }
    }

    /// Adds a group and gives its number.
    pub fn add(&mut self, name: Option<&str>) -> usize {
        self.count += 1;
        let group = self.count;
        let Some(name) = name else { return group };
        match self.names.iter_mut().find(|(known, _)| known == name) {
            Some((_, groups)) => groups.push(group),
            None => self.names.push((name.to_owned(), vec![group])),
        }
        group
    }
}
