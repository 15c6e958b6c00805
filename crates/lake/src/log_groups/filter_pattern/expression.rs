//! Conditions joined with `&&`, `||` and parentheses.

use super::PatternError;
use super::scanner::Scanner;

/// How deep parentheses may be nested.
const DEPTH: usize = 64;

/// Conditions, and how they are joined.
#[derive(Debug)]
pub enum Expression<C> {
    All(Vec<Expression<C>>),
    Any(Vec<Expression<C>>),
    One(C),
}

impl<C> Expression<C> {
    /// Reads an expression; `condition` reads one condition, with no blanks in front.
    pub fn parse<'a>(
        scanner: &mut Scanner<'a>,
        condition: &mut impl FnMut(&mut Scanner<'a>) -> Result<C, PatternError>,
    ) -> Result<Self, PatternError> {
        Self::any(scanner, condition, 0)
    }

    fn any<'a>(
        scanner: &mut Scanner<'a>,
        condition: &mut impl FnMut(&mut Scanner<'a>) -> Result<C, PatternError>,
        depth: usize,
    ) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        loop {
            parts.push(Self::all(scanner, condition, depth)?);
            if !scanner.eat("||") {
                return Ok(Self::joined(parts, Self::Any));
            }
        }
    }

    fn all<'a>(
        scanner: &mut Scanner<'a>,
        condition: &mut impl FnMut(&mut Scanner<'a>) -> Result<C, PatternError>,
        depth: usize,
    ) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        loop {
            scanner.skip_blanks();
            parts.push(if scanner.eat("(") {
                if depth == DEPTH {
                    return Err(scanner.error("parentheses are nested too deep"));
                }
                let inner = Self::any(scanner, condition, depth + 1)?;
                if !scanner.eat(")") {
                    return Err(scanner.error("expected )"));
                }
                inner
            } else {
                Self::One(condition(scanner)?)
            });
            scanner.skip_blanks();
            if !scanner.eat("&&") {
                return Ok(Self::joined(parts, Self::All));
            }
        }
    }

    fn joined(mut parts: Vec<Self>, join: fn(Vec<Self>) -> Self) -> Self {
        match parts.len() {
            1 => parts.remove(0),
            _ => join(parts),
        }
    }

    /// Whether it holds where `holds` says which conditions do.
    pub fn holds(&self, holds: &impl Fn(&C) -> bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(holds)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(holds)),
            Self::One(condition) => holds(condition),
        }
    }
}
