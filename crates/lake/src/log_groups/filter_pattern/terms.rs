//! Patterns of terms: `ERROR "not found" -DEBUG`, `?WARN ?ERROR`, `%4[0-9]{2}%`.

use memchr::memmem::Finder;

use super::PatternError;
use super::regex::Regex;
use super::scanner::Scanner;

/// Terms, by what they ask for.
#[derive(Debug, Default)]
pub struct Terms {
    /// All have to be there.
    required: Vec<Term>,
    /// None may be there.
    excluded: Vec<Term>,
    /// One has to be there; looked at only where there are no other terms.
    optional: Vec<Term>,
}

#[derive(Debug)]
enum Term {
    Text(Box<Finder<'static>>),
    Regex(Regex),
}

impl Terms {
    /// Reads terms with blanks between them.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut scanner = Scanner::new(text);
        let mut terms = Self::default();
        while let Some(first) = scanner.peek() {
            let list = match first {
                '-' => &mut terms.excluded,
                '?' => &mut terms.optional,
                _ => &mut terms.required,
            };
            if matches!(first, '-' | '?') {
                scanner.bump();
            }
            list.push(Term::parse(&mut scanner)?);
            if scanner.peek().is_some_and(|next| !next.is_whitespace()) {
                return Err(scanner.error(
                    "terms with other characters than letters, digits, - and _ have to be in double quotes",
                ));
            }
            scanner.skip_blanks();
        }
        Ok(terms)
    }

    /// Whether `message` has what it should and has not what it should not.
    pub fn match_message(&self, message: &str) -> bool {
        if self.required.is_empty() && self.excluded.is_empty() {
            return self.optional.iter().any(|term| term.is_in(message));
        }
        self.required.iter().all(|term| term.is_in(message))
            && !self.excluded.iter().any(|term| term.is_in(message))
    }
}

impl Term {
    fn parse(scanner: &mut Scanner<'_>) -> Result<Self, PatternError> {
        let text = match scanner.peek() {
            Some('"') => scanner.quoted('"')?,
            Some('%') => return scanner.regex().map(Self::Regex),
            _ => scanner
                .take_while(|one| one.is_alphanumeric() || matches!(one, '-' | '_'))
                .to_owned(),
        };
        match text.as_str() {
            "" => Err(scanner.error(
                "a term is missing; one with other characters than letters, digits, - and _ has to be in double \
                 quotes",
            )),
            _ => Ok(Self::Text(Box::new(Finder::new(&text).into_owned()))),
        }
    }

    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(finder) => finder.find(message.as_bytes()).is_some(),
            Self::Regex(regex) => regex.is_in(message),
        }
    }
}
