//! From what a pattern says to the form that automata are built from, where that is possible without any change of meaning.

use regex_syntax::hir::{Capture, Class, Hir, Look, Repetition};

use crate::syntax::{Greed, Node};

/// The pattern has something that no automaton can do: look-around, back-references, atomic groups …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotRegular;

/// A pattern that automata can search.
#[derive(Debug)]
pub(crate) struct Regular {
    /// The expression. Group numbers stay the same.
    pub hir: Hir,
    /// Whether a match that begins at the end of the text does not count, unless the text is empty. Onigmo's `^` does not
    /// match behind a newline that ends the text; that of the expression does.
    pub not_at_end: bool,
}

/// The pattern as an expression of `regex-syntax`.
pub(crate) fn lower(root: &Node) -> Result<Regular, NotRegular> {
    let mut translator = Translator { not_at_end: false };
    let hir = translator.node(
        root,
        Place {
            leads: true,
            consumes_after: false,
        },
    )?;
    Ok(Regular {
        hir,
        not_at_end: translator.not_at_end,
    })
}

/// Where in a match a part stands.
#[derive(Clone, Copy)]
struct Place {
    /// Every match begins with it.
    leads: bool,
    /// At least one character is consumed between its end and the end of every match.
    consumes_after: bool,
}

struct Translator {
    not_at_end: bool,
}

impl Translator {
    fn node(&mut self, node: &Node, place: Place) -> Result<Hir, NotRegular> {
        let inner = Place {
            leads: false,
            ..place
        };
        Ok(match node {
            Node::Empty => Hir::empty(),
            Node::Char(c) => Hir::literal(c.to_string().into_bytes()),
            Node::Class(class) => Hir::class(Class::Unicode(class.clone())),
            Node::LineStart => self.line_start(place)?,
            Node::LineEnd => Hir::look(Look::EndLF),
            Node::TextStart => Hir::look(Look::Start),
            Node::TextEnd => Hir::look(Look::End),
            Node::WordBoundary { negated, ascii } => Hir::look(word_boundary(*negated, *ascii)?),
            Node::Concat(nodes) => self.concat(nodes, place)?,
            Node::Alternation(nodes) => {
                let branches = nodes.iter().map(|node| self.node(node, inner));
                Hir::alternation(branches.collect::<Result<_, _>>()?)
            }
            Node::Capture { group, node } => Hir::capture(Capture {
                index: u32::try_from(*group).map_err(|_| NotRegular)?,
                name: None,
                sub: Box::new(self.node(node, place)?),
            }),
            Node::Repeat {
                greed: Greed::Possessive,
                ..
            } => return Err(NotRegular),
            Node::Repeat {
                node,
                min,
                max,
                greed,
            } => {
                let sub = Box::new(self.node(node, inner)?);
                let greedy = *greed == Greed::Greedy;
                Hir::repetition(Repetition {
                    min: *min,
                    max: *max,
                    greedy,
                    sub,
                })
            }
            Node::TextEndNewline
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

    fn line_start(&mut self, place: Place) -> Result<Hir, NotRegular> {
        if !place.consumes_after {
            if !place.leads {
                return Err(NotRegular);
            }
            self.not_at_end = true;
        }
        Ok(Hir::look(Look::StartLF))
    }

    fn concat(&mut self, nodes: &[Node], place: Place) -> Result<Hir, NotRegular> {
        let mut parts = Vec::with_capacity(nodes.len());
        let mut consumes_after = place.consumes_after;
        for (index, node) in nodes.iter().enumerate().rev() {
            let leads = place.leads && index == 0;
            parts.push(self.node(
                node,
                Place {
                    leads,
                    consumes_after,
                },
            )?);
            consumes_after |= node.min_chars() > 0;
        }
        parts.reverse();
        Ok(Hir::concat(parts))
    }
}

fn word_boundary(negated: bool, ascii: bool) -> Result<Look, NotRegular> {
    match (negated, ascii) {
        (false, false) => Ok(Look::WordUnicode),
        (true, false) => Ok(Look::WordUnicodeNegate),
        (false, true) => Ok(Look::WordAscii),
        // It would match between the bytes of one character.
        (true, true) => Err(NotRegular),
    }
}
