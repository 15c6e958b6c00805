//! From what a pattern says to the form that automata are built from, where that is possible without any change of meaning.

use regex_syntax::hir::{Capture, Class, Hir, Look, Repetition};

use crate::syntax::{Greed, Node};

/// The pattern has something that no automaton can do: look-around, back-references, atomic groups …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotRegular;

/// The pattern as an expression of `regex-syntax`. Group numbers stay the same.
pub(crate) fn lower(root: &Node) -> Result<Hir, NotRegular> {
    translate(root, false)
}

/// `consumes_after`: at least one character is consumed between the end of `node` and the end of every match.
fn translate(node: &Node, consumes_after: bool) -> Result<Hir, NotRegular> {
    Ok(match node {
        Node::Empty => Hir::empty(),
        Node::Char(c) => Hir::literal(c.to_string().into_bytes()),
        Node::Class(class) => Hir::class(Class::Unicode(class.clone())),
        // Onigmo's `^` does not match behind a newline that ends the text; no match begins there if something must follow.
        Node::LineStart if consumes_after => Hir::look(Look::StartLF),
        Node::LineEnd => Hir::look(Look::EndLF),
        Node::TextStart => Hir::look(Look::Start),
        Node::TextEnd => Hir::look(Look::End),
        Node::WordBoundary { negated: false, ascii: false } => Hir::look(Look::WordUnicode),
        Node::WordBoundary { negated: true, ascii: false } => Hir::look(Look::WordUnicodeNegate),
        Node::WordBoundary { negated: false, ascii: true } => Hir::look(Look::WordAscii),
        Node::Concat(nodes) => concat(nodes, consumes_after)?,
        Node::Alternation(nodes) => {
            let branches = nodes.iter().map(|node| translate(node, consumes_after));
            Hir::alternation(branches.collect::<Result<_, _>>()?)
        }
        Node::Capture { group, node } => Hir::capture(Capture {
            index: u32::try_from(*group).map_err(|_| NotRegular)?,
            name: None,
            sub: Box::new(translate(node, consumes_after)?),
        }),
        Node::Repeat { node, min, max, greed } => {
            repetition(node, (*min, *max), *greed, consumes_after)?
        }
        Node::LineStart
        | Node::TextEndNewline
        // Between the bytes of one character it would match.
        | Node::WordBoundary { negated: true, ascii: true }
        | Node::Look { .. }
        | Node::Atomic(_)
        | Node::Absent(_)
        | Node::LineBreak
        | Node::Keep
        | Node::Backreference { .. }
        | Node::Call(_)
        | Node::Conditional { .. } => return Err(NotRegular),
    })
}

fn concat(nodes: &[Node], consumes_after: bool) -> Result<Hir, NotRegular> {
    let mut parts = Vec::with_capacity(nodes.len());
    let mut consumes = consumes_after;
    for node in nodes.iter().rev() {
        parts.push(translate(node, consumes)?);
        consumes |= node.min_chars() > 0;
    }
    parts.reverse();
    Ok(Hir::concat(parts))
}

fn repetition(
    node: &Node,
    (min, max): (u32, Option<u32>),
    greed: Greed,
    consumes_after: bool,
) -> Result<Hir, NotRegular> {
    if greed == Greed::Possessive {
        return Err(NotRegular);
    }
    let sub = Box::new(translate(node, consumes_after)?);
    let greedy = greed == Greed::Greedy;
    Ok(Hir::repetition(Repetition {
        min,
        max,
        greedy,
        sub,
    }))
}
