//! The engine for what only Ruby's syntax has: the pattern is written out again in fancy-regex's own syntax, with everything
//! on which the two disagree spelled out.

use std::fmt::Write as _;
use std::sync::OnceLock;

use fancy_regex::{Regex, RegexBuilder};
use regex_syntax::hir::ClassUnicode;

use crate::Error;
use crate::captures::Slots;
use crate::syntax::{Greed, Groups, Node, Syntax};

/// Up to how many bytes of text a search may take how many steps. Onigmo has no limit; a text that needs more counts as one
/// that does not match. A step may look at all of the text, so that a long one gets fewer: otherwise a single line of a
/// mebibyte would keep a pattern like `(?>a+)+b` busy for hours.
const STEPS_MAX: [(usize, usize); 3] = [
    (4 << 10, 1_000_000),
    (64 << 10, 64 << 10),
    (usize::MAX, 2 << 10),
];
/// Bytes that each delegated part may take when compiled.
const DELEGATE_BYTES_MAX: usize = 1 << 20;
/// Instructions of a program. A call is written out where it stands, nineteen times for each group that calls itself, so that
/// two calls inside each other would fill gibibytes.
const INSTRUCTIONS_MAX: usize = 1 << 15;

/// A backtracking program.
#[derive(Debug)]
pub(crate) struct Backtrack {
    /// In the engine's own syntax.
    text: String,
    /// One for each row of [`STEPS_MAX`], made when a text needs it.
    by_length: [OnceLock<Option<Regex>>; STEPS_MAX.len()],
}

impl Backtrack {
    /// Compiles any pattern that has no absent operator of variable length.
    pub fn new(syntax: &Syntax) -> Result<Backtrack, Error> {
        let text = Writer::write(syntax).map_err(|reason| Error::new(0, reason))?;
        let [(_, steps), ..] = STEPS_MAX;
        let regex = compile(&text, steps)
            .map_err(|error| Error::new(0, format!("this pattern cannot be compiled ({error})")))?;
        let by_length: [OnceLock<Option<Regex>>; STEPS_MAX.len()] = Default::default();
        let _ = by_length[0].set(Some(regex));
        Ok(Backtrack { text, by_length })
    }

    /// The program that may search a text of `length` bytes.
    fn regex(&self, length: usize) -> Option<&Regex> {
        let row = STEPS_MAX.iter().position(|(up_to, _)| length <= *up_to)?;
        let make = || compile(&self.text, STEPS_MAX[row].1).ok();
        self.by_length[row].get_or_init(make).as_ref()
    }

    /// Searches `text`. A search that needs too many steps finds nothing.
    pub fn captures(&self, text: &str, slots: &mut Slots) -> bool {
        let found = self.regex(text.len()).map(|regex| regex.captures(text));
        let Some(Ok(Some(found))) = found else {
            return false;
        };
        for group in 0..found.len() {
            slots.set(group, found.get(group).map(|part| part.range()));
        }
        true
    }

    /// Whether `text` has a match.
    pub fn is_match(&self, text: &str) -> bool {
        let regex = self.regex(text.len());
        regex.is_some_and(|regex| regex.is_match(text).unwrap_or(false))
    }
}

fn compile(text: &str, steps: usize) -> Result<Regex, fancy_regex::Error> {
    RegexBuilder::new(text)
        .backtrack_limit(steps)
        .delegate_size_limit(DELEGATE_BYTES_MAX)
        .delegate_dfa_size_limit(DELEGATE_BYTES_MAX)
        .max_prog_size(INSTRUCTIONS_MAX)
        // What it makes of `(?:(?:a+?)+)*` finds less than the pattern does.
        .optimize(false)
        .build()
}

struct Writer<'a> {
    groups: &'a Groups,
    out: String,
    /// What is written is written once more elsewhere, where its groups have their numbers.
    is_copy: bool,
}

type Written = Result<(), &'static str>;

impl Writer<'_> {
    fn write(syntax: &Syntax) -> Result<String, &'static str> {
        let mut writer = Writer {
            groups: &syntax.groups,
            out: String::new(),
            is_copy: false,
        };
        writer.node(&syntax.root)?;
        Ok(writer.out)
    }

    fn node(&mut self, node: &Node) -> Written {
        match node {
            Node::Empty => self.push("(?:)"),
            Node::Char(c) => self.char(*c),
            Node::Class(class) => self.class(class),
            Node::LineStart => self.push(r"(?:\A|(?<=\n)(?!\z))"),
            Node::LineEnd => self.push(r"(?=\n|\z)"),
            Node::TextStart => self.push(r"\A"),
            Node::TextEnd => self.push(r"\z"),
            Node::TextEndNewline => self.push(r"(?=\n?\z)"),
            Node::WordBoundary { negated, ascii } => self.word_boundary(*negated, *ascii),
            Node::Concat(nodes) => nodes.iter().try_for_each(|node| self.node(node)),
            Node::Alternation(nodes) => self.alternation(nodes),
            Node::Capture { node, .. } if self.is_copy => self.wrapped("(?:", node, ")"),
            Node::Capture { node, .. } => self.wrapped("(", node, ")"),
            Node::Repeat {
                node,
                min,
                max,
                greed,
            } => self.repeat(node, *min, *max, *greed),
            Node::Look {
                behind,
                negated,
                node,
            } => {
                let open = match (behind, negated) {
                    (false, false) => "(?=",
                    (false, true) => "(?!",
                    (true, false) => "(?<=",
                    (true, true) => "(?<!",
                };
                self.wrapped(open, node, ")")
            }
            Node::Atomic(node) => self.wrapped("(?>", node, ")"),
            Node::Absent(node) => self.absent(node),
            Node::LineBreak => self.push(r"(?>\r\n|[\n\x0B\f\r\x{85}\x{2028}\x{2029}])"),
            Node::Keep => self.push(r"\K"),
            Node::Backreference { .. } | Node::Conditional { .. } if self.is_copy => {
                Err("a reference to a group inside an absent operator is not supported")
            }
            Node::Backreference { to, ignore_case } => {
                let groups = self.groups.find(to);
                self.backreference(&groups, *ignore_case)
            }
            Node::Call(to) => self.call(&self.groups.find(to)),
            Node::Conditional { on, yes, no } => {
                let groups = self.groups.find(on);
                self.conditional(&groups, yes, no)
            }
        }
    }

    fn push(&mut self, text: &str) -> Written {
        self.out.push_str(text);
        Ok(())
    }

    fn wrapped(&mut self, open: &str, node: &Node, close: &str) -> Written {
        self.push(open)?;
        self.node(node)?;
        self.push(close)
    }

    fn char(&mut self, c: char) -> Written {
        match c.is_ascii_alphanumeric() {
            true => self.out.push(c),
            false => self.code(c),
        }
        Ok(())
    }

    fn code(&mut self, c: char) {
        write!(self.out, r"\x{{{:X}}}", u32::from(c)).expect("a string takes everything");
    }

    fn class(&mut self, class: &ClassUnicode) -> Written {
        if class.ranges().is_empty() {
            return self.push("(?!)");
        }
        self.out.push('[');
        for range in class.ranges() {
            self.code(range.start());
            self.out.push('-');
            self.code(range.end());
        }
        self.push("]")
    }

    fn word_boundary(&mut self, negated: bool, ascii: bool) -> Written {
        self.push(match (negated, ascii) {
            (false, false) => r"\b",
            (true, false) => r"\B",
            (false, true) => {
                r"(?:(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])|(?<![0-9A-Za-z_])(?=[0-9A-Za-z_]))"
            }
            (true, true) => {
                r"(?:(?<=[0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<![0-9A-Za-z_])(?![0-9A-Za-z_]))"
            }
        })
    }

    fn alternation(&mut self, nodes: &[Node]) -> Written {
        self.push("(?:")?;
        for (index, node) in nodes.iter().enumerate() {
            if index > 0 {
                self.out.push('|');
            }
            self.node(node)?;
        }
        self.push(")")
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>, greed: Greed) -> Written {
        if node.fixed_chars() == Some(0) {
            // Once is as good as many times, and fancy-regex refuses to repeat an assertion.
            return match (min, greed) {
                (0, Greed::Lazy) => self.wrapped("(?:|", node, ")"),
                (0, _) => self.wrapped("(?:(?:", node, ")|)"),
                _ => self.node(node),
            };
        }
        if greed == Greed::Possessive {
            self.push("(?>")?;
        }
        self.wrapped("(?:", node, ")")?;
        match (min, max) {
            (0, None) => self.out.push('*'),
            (1, None) => self.out.push('+'),
            (0, Some(1)) => self.out.push('?'),
            (min, None) => write!(self.out, "{{{min},}}").expect("a string takes everything"),
            (min, Some(max)) => {
                write!(self.out, "{{{min},{max}}}").expect("a string takes everything");
            }
        }
        match greed {
            Greed::Greedy => Ok(()),
            Greed::Lazy => self.push("?"),
            Greed::Possessive => self.push(")"),
        }
    }

    /// Everything up to the last character of the first match of `node`, or less. Known only when all matches of `node` are
    /// equally long: then no match ends before the first one that begins.
    fn absent(&mut self, node: &Node) -> Written {
        let Some(len) = node.fixed_chars() else {
            return Err("an absent operator whose pattern has no fixed length is not supported");
        };
        if len == 0 {
            return match node {
                Node::Empty => self.push("(?!)"),
                _ => Err("an absent operator around an assertion is not supported"),
            };
        }
        let any = r"[\x{0}-\x{10FFFF}]";
        self.is_copy = true;
        self.wrapped("(?:(?!", node, ")")?;
        self.is_copy = false;
        self.push(any)?;
        self.wrapped(")*(?:(?=", node, ")")?;
        self.push(any)?;
        write!(self.out, "{{0,{}}})?", len - 1).expect("a string takes everything");
        Ok(())
    }

    fn backreference(&mut self, groups: &[usize], ignore_case: bool) -> Written {
        self.push(if ignore_case { "(?i:" } else { "(?:" })?;
        for (index, group) in groups.iter().rev().enumerate() {
            let bar = if index > 0 { "|" } else { "" };
            write!(self.out, r"{bar}\{group}").expect("a string takes everything");
        }
        self.push(")")
    }

    fn call(&mut self, groups: &[usize]) -> Written {
        match groups {
            [group] => {
                write!(self.out, r"\g<{group}>").expect("a string takes everything");
                Ok(())
            }
            _ => Err("a call of a group whose name is used more than once is ambiguous"),
        }
    }

    fn conditional(&mut self, groups: &[usize], yes: &Node, no: &Node) -> Written {
        let [group] = groups else {
            return Err("a condition on a name that several groups have is not supported");
        };
        write!(self.out, "(?({group})").expect("a string takes everything");
        self.wrapped("(?:", yes, ")|")?;
        self.wrapped("(?:", no, "))")
    }
}
