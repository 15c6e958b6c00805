//! Reading a pattern from left to right.

use super::PatternError;
use super::regex::Regex;
use crate::limits;

/// A place in a pattern.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    regexes: usize,
}

impl<'a> Scanner<'a> {
    /// Stands at the first character that is no blank.
    pub fn new(text: &'a str) -> Self {
        let mut scanner = Self {
            text,
            at: 0,
            regexes: 0,
        };
        scanner.skip_blanks();
        scanner
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next character.
    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes past the next character.
    pub fn bump(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    /// Goes past blanks.
    pub fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Goes past `expected` if it is next.
    pub fn eat(&mut self, expected: &str) -> bool {
        let next = self.rest().starts_with(expected);
        if next {
            self.at += expected.len();
        }
        next
    }

    /// Goes past `word`, in whatever case, and the blanks before it, if it is next and ends there.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let rest = self.rest().trim_start();
        let next = rest
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
            && !rest[word.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_');
        if next {
            self.skip_blanks();
            self.at += word.len();
        }
        next
    }

    /// The characters from here on that fit.
    pub fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|one| !fits(one)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Reads a text in `quote`s, at the first of which the scanner stands. A backslash keeps the next character.
    pub fn quoted(&mut self, quote: char) -> Result<String, PatternError> {
        let start = self.at;
        self.bump();
        let mut text = String::new();
        while let Some(next) = self.peek() {
            self.bump();
            match next {
                '\\' => {
                    let kept = self.peek();
                    // Only what would end the text needs the backslash; in front of anything else it is itself.
                    if kept != Some(quote) && kept != Some('\\') {
                        text.push('\\');
                    } else {
                        text.extend(kept);
                        self.bump();
                    }
                }
                next if next == quote => return Ok(text),
                next => text.push(next),
            }
        }
        Err(self.error_at(
            start,
            &format!("a text that begins with {quote} does not end"),
        ))
    }

    /// Reads a regular expression between `%`, at the first of which the scanner stands.
    pub fn regex(&mut self) -> Result<Regex, PatternError> {
        let start = self.at;
        self.bump();
        let text = self.take_while(|next| next != '%');
        if !self.eat("%") {
            let what = "a regular expression that begins with % does not end";
            return Err(self.error_at(start, what));
        }
        self.regexes += 1;
        if self.regexes > limits::FILTER_PATTERN_REGEXES {
            let most = limits::FILTER_PATTERN_REGEXES;
            return Err(PatternError(format!(
                "Your input has exceeded the maximum of {most} regular expressions per filter pattern."
            )));
        }
        Regex::parse(text).map_err(|what| self.error_at(start, &what))
    }

    /// This place, for an error that is seen later.
    pub fn place(&self) -> usize {
        self.at
    }

    /// An error at this place.
    pub fn error(&self, what: &str) -> PatternError {
        self.error_at(self.at, what)
    }

    /// An error at a place that was passed.
    pub fn error_at(&self, place: usize, what: &str) -> PatternError {
        let at = self.text[..place].chars().count() + 1;
        PatternError(format!("Invalid filter pattern: {what} at character {at}"))
    }
}
