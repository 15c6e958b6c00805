//! What a value is compared with, and how.

use std::cmp::Ordering;

use super::PatternError;
use super::regex::Regex;
use super::scanner::Scanner;

/// `=` and its relatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// Reads an operator.
    pub fn parse(scanner: &mut Scanner<'_>) -> Result<Self, PatternError> {
        let known = [
            ("!=", Self::NotEqual),
            ("<=", Self::LessOrEqual),
            (">=", Self::GreaterOrEqual),
            ("=", Self::Equal),
            ("<", Self::Less),
            (">", Self::Greater),
        ];
        known
            .into_iter()
            .find_map(|(text, operator)| scanner.eat(text).then_some(operator))
            .ok_or_else(|| scanner.error("expected one of = != < > <= >="))
    }

    /// Whether it asks which of two numbers is the larger one.
    fn orders(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Whether two numbers stand to each other as it says.
    fn holds(self, left: f64, right: f64) -> bool {
        match left.partial_cmp(&right) {
            None => self == Self::NotEqual,
            Some(Ordering::Less) => {
                matches!(self, Self::Less | Self::LessOrEqual | Self::NotEqual)
            }
            Some(Ordering::Equal) => {
                matches!(self, Self::Equal | Self::LessOrEqual | Self::GreaterOrEqual)
            }
            Some(Ordering::Greater) => {
                matches!(self, Self::Greater | Self::GreaterOrEqual | Self::NotEqual)
            }
        }
    }

    /// Whether equality, or its absence, is what it asks for.
    fn wants(self, equal: bool) -> bool {
        match self {
            Self::Equal => equal,
            Self::NotEqual => !equal,
            _ => false,
        }
    }
}

/// An operator and what stands to the right of it.
#[derive(Debug)]
pub struct Comparison {
    operator: Operator,
    literal: Literal,
}

#[derive(Debug)]
enum Literal {
    /// A number that was not in quotes, and how it was written.
    Number(f64, String),
    Text(Glob),
    Regex(Regex),
}

impl Comparison {
    /// Reads an operator and a value. An unquoted value ends at a blank or at one of `ends`.
    pub fn parse(scanner: &mut Scanner<'_>, ends: &str) -> Result<Self, PatternError> {
        let operator = Operator::parse(scanner)?;
        scanner.skip_blanks();
        let place = scanner.place();
        let literal = Literal::parse(scanner, ends)?;
        if operator.orders() && !matches!(literal, Literal::Number(..)) {
            return Err(scanner.error_at(place, "< > <= >= take an unquoted number"));
        }
        Ok(Self { operator, literal })
    }

    /// Whether a JSON text fits. A number in the pattern is compared by its spelling.
    pub fn fits_text(&self, text: &str) -> bool {
        self.operator.wants(match &self.literal {
            Literal::Number(_, spelling) => text == spelling,
            Literal::Text(glob) => glob.fits(text),
            Literal::Regex(regex) => regex.is_in(text),
        })
    }

    /// Whether a JSON number fits, given as it is spelt.
    pub fn fits_number(&self, spelling: &str) -> bool {
        match &self.literal {
            Literal::Number(literal, _) => spelling
                .parse()
                .is_ok_and(|number: f64| self.operator.holds(number, *literal)),
            Literal::Text(glob) => self.operator.wants(glob.fits(spelling)),
            Literal::Regex(regex) => self.operator.wants(regex.is_in(spelling)),
        }
    }

    /// Whether a field fits: as a number if both look like one, else as a text.
    pub fn fits_field(&self, field: &str) -> bool {
        let is_number = || is_number(field);
        match &self.literal {
            Literal::Number(..) if is_number() => self.fits_number(field),
            _ => self.fits_text(field),
        }
    }
}

impl Literal {
    fn parse(scanner: &mut Scanner<'_>, ends: &str) -> Result<Self, PatternError> {
        match scanner.peek() {
            Some('"') => return scanner.quoted('"').map(|text| Self::Text(Glob::new(&text))),
            Some('%') => return scanner.regex().map(Self::Regex),
            _ => {}
        }
        let place = scanner.place();
        let text = scanner.take_while(|one| {
            !one.is_whitespace() && !ends.contains(one) && !"\"%=<>!&|()".contains(one)
        });
        if text.is_empty() {
            return Err(scanner.error_at(place, "a value is missing after the operator"));
        }
        if text.eq_ignore_ascii_case("null") {
            let what = "null has to be in quotes, or asked for with IS NULL";
            return Err(scanner.error_at(place, what));
        }
        Ok(match text.parse() {
            Ok(number) if is_number(text) => Self::Number(number, text.to_owned()),
            _ => Self::Text(Glob::new(text)),
        })
    }
}

/// Digits with an optional sign, fraction and exponent; not `inf` and `nan`, which Rust reads too.
fn is_number(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
        && text.parse::<f64>().is_ok()
}

/// A text in which `*` stands for any characters.
#[derive(Debug)]
struct Glob {
    first: String,
    /// What follows each `*`; none if there is no `*`.
    more: Vec<String>,
}

impl Glob {
    fn new(text: &str) -> Self {
        let mut pieces = text.split('*').map(str::to_owned);
        Self {
            first: pieces.next().unwrap_or_default(),
            more: pieces.collect(),
        }
    }

    /// Whether the whole of `text` fits.
    fn fits(&self, text: &str) -> bool {
        let Some((last, middle)) = self.more.split_last() else {
            return text == self.first;
        };
        let Some(mut rest) = text.strip_prefix(self.first.as_str()) else {
            return false;
        };
        for piece in middle {
            // The first place is the best one: it leaves the most for what follows.
            match rest.find(piece.as_str()) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}
