//! Compiling: from text to the engine that fits.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::automaton::{General, OnePass};
use crate::backtrack::Backtrack;
use crate::regular::{self, Regular};
use crate::scan::Program;
use crate::syntax::{self, Groups, Source};
use crate::{Error, Matcher};

/// How a pattern is searched, from the cheapest to the most capable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Literals, runs of a class and optional groups behind an anchor or a literal.
    Scan,
    /// An automaton that never has a choice.
    OnePass,
    /// Automata for everything else that is regular.
    General,
    /// Backtracking, for what only Ruby's syntax has. It allocates, and gives up on a text after a
    /// million steps, or fewer where the text is long.
    Backtrack,
}

/// A compiled regular expression. Cheap to clone.
#[derive(Clone)]
pub struct Pattern(Arc<Compiled>);

pub(crate) struct Compiled {
    text: String,
    groups: Groups,
    pub(crate) program: Compilation,
}

pub(crate) enum Compilation {
    Scan {
        program: Program,
        fallback: Fallback,
    },
    OnePass(Box<OnePass>),
    General(General),
    Backtrack(Box<Backtrack>),
}

/// The automaton for texts on which a scanner gives up. Made when it is needed first, which is hardly ever.
pub(crate) struct Fallback {
    regular: Regular,
    general: OnceLock<Option<General>>,
}

impl Fallback {
    pub fn get(&self) -> Option<&General> {
        self.general
            .get_or_init(|| General::new(&self.regular).ok())
            .as_ref()
    }
}

impl Pattern {
    /// Compiles `text`: bare, `/pattern/` or `/pattern/imx`.
    ///
    /// # Errors
    ///
    /// When it is not a pattern, or one that is too large or not supported.
    pub fn new(text: &str) -> Result<Pattern, Error> {
        let source = Source::new(text);
        let in_text = |error: Error| Error {
            offset: error.offset + source.offset,
            ..error
        };
        let syntax = syntax::parse(source.pattern, source.flags).map_err(in_text)?;
        let program = match regular::lower(&syntax.root) {
            Ok(regular) => Compilation::regular(regular).map_err(in_text)?,
            Err(regular::NotRegular) => {
                Compilation::Backtrack(Box::new(Backtrack::new(&syntax).map_err(in_text)?))
            }
        };
        let compiled = Compiled {
            text: text.to_owned(),
            groups: syntax.groups,
            program,
        };
        Ok(Pattern(Arc::new(compiled)))
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// How it is searched.
    pub fn engine(&self) -> Engine {
        match self.0.program {
            Compilation::Scan { .. } => Engine::Scan,
            Compilation::OnePass(_) => Engine::OnePass,
            Compilation::General(_) => Engine::General,
            Compilation::Backtrack(_) => Engine::Backtrack,
        }
    }

    /// The named groups with their numbers: by name in the order of first appearance, and the groups that share a name in order.
    /// This is the order in which Fluent Bit makes fields of them.
    pub fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        let names = self.0.groups.names.iter();
        names.flat_map(|(name, groups)| groups.iter().map(|group| (name.as_str(), *group)))
    }

    /// How many groups capture, not counting the whole match.
    pub fn group_count(&self) -> usize {
        self.0.groups.count
    }

    /// What searching needs, for one thread.
    pub fn matcher(&self) -> Matcher {
        Matcher::new(self.clone())
    }

    pub(crate) fn compiled(&self) -> &Compiled {
        &self.0
    }
}

impl Compilation {
    fn regular(regular: Regular) -> Result<Compilation, Error> {
        if let Some(program) = Program::new(&regular.hir) {
            let fallback = Fallback {
                regular,
                general: OnceLock::new(),
            };
            return Ok(Compilation::Scan { program, fallback });
        }
        if let Some(onepass) = OnePass::new(&regular) {
            return Ok(Compilation::OnePass(Box::new(onepass)));
        }
        General::new(&regular).map(Compilation::General)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern")
            .field(&self.text())
            .field(&self.engine())
            .finish()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
