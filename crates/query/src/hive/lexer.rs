//! Hive's words, strings, numbers and signs.

use crate::error::{Error, ErrorKind, Position, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A bare or back-quoted word, as written without its quotes.
    Word {
        text: String,
        quoted: bool,
    },
    /// A string in single or double quotes, unescaped.
    String {
        text: String,
        quote: char,
    },
    Number(String),
    Sign(char),
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub position: Position,
}

impl Token {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, TokenKind::Word { text, quoted: false } if text.eq_ignore_ascii_case(word))
    }
}

/// Cuts a statement into tokens; the last one is always [`TokenKind::End`].
pub(super) fn tokenize(text: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { text, offset: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let position = lexer.position();
        let kind = lexer.next_kind()?;
        let ended = kind == TokenKind::End;
        tokens.push(Token { kind, position });
        if ended {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    fn position(&self) -> Position {
        Position::of_offset(self.text, self.offset)
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.offset += end;
        &rest[..end]
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest().starts_with("--") {
                self.take_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                let end = self.rest().find("*/").ok_or_else(|| {
                    Error::at(
                        ErrorKind::ParseException,
                        self.position(),
                        "comment without end",
                    )
                })?;
                self.offset += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn next_kind(&mut self) -> Result<TokenKind> {
        let Some(first) = self.rest().chars().next() else {
            return Ok(TokenKind::End);
        };
        match first {
            '\'' | '"' => self.string(first),
            '`' => self.quoted_word(),
            _ if is_word_char(first) && !first.is_ascii_digit() => {
                let text = self.take_while(is_word_char).to_owned();
                Ok(TokenKind::Word {
                    text,
                    quoted: false,
                })
            }
            _ if first.is_ascii_digit() => {
                let text = self.take_while(|c| is_word_char(c) || c == '.').to_owned();
                Ok(TokenKind::Number(text))
            }
            _ => {
                self.offset += first.len_utf8();
                Ok(TokenKind::Sign(first))
            }
        }
    }

    /// A back-quoted word; a doubled back-quote stands for one.
    fn quoted_word(&mut self) -> Result<TokenKind> {
        let start = self.position();
        self.offset += 1;
        let mut text = String::new();
        loop {
            text.push_str(self.take_while(|c| c != '`'));
            if self.rest().starts_with("``") {
                text.push('`');
                self.offset += 2;
            } else if self.rest().starts_with('`') {
                self.offset += 1;
                return Ok(TokenKind::Word { text, quoted: true });
            } else {
                return Err(Error::at(
                    ErrorKind::ParseException,
                    start,
                    "missing closing back-quote",
                ));
            }
        }
    }

    fn string(&mut self, quote: char) -> Result<TokenKind> {
        let start = self.position();
        self.offset += 1;
        let mut text = String::new();
        loop {
            text.push_str(self.take_while(|c| c != quote && c != '\\'));
            let mut rest = self.rest().chars();
            match (rest.next(), rest.next()) {
                (Some('\\'), Some(_)) => self.escape(&mut text),
                (Some(sign), _) if sign == quote => {
                    self.offset += 1;
                    return Ok(TokenKind::String { text, quote });
                }
                _ => {
                    return Err(Error::at(
                        ErrorKind::ParseException,
                        start,
                        "missing closing quote",
                    ));
                }
            }
        }
    }

    /// One escape of Hive's string literals; an unknown one stands for the character itself.
    fn escape(&mut self, text: &mut String) {
        let after = &self.rest()[1..];
        if let Some(character) = numbered_escape(after, 3, 8, 0) {
            text.push(character);
            self.offset += 4;
            return;
        }
        if let Some(character) = numbered_escape(after, 4, 16, 1).filter(|_| after.starts_with('u'))
        {
            text.push(character);
            self.offset += 6;
            return;
        }
        let Some(escaped) = after.chars().next() else {
            return;
        };
        match escaped {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'b' => text.push('\u{8}'),
            '0' => text.push('\0'),
            'Z' => text.push('\u{1a}'),
            '%' | '_' => text.extend(['\\', escaped]),
            other => text.push(other),
        }
        self.offset += 1 + escaped.len_utf8();
    }
}

/// The character whose number stands in `digits` digits of `radix` after `skip` bytes of `text`.
fn numbered_escape(text: &str, digits: usize, radix: u32, skip: usize) -> Option<char> {
    let number = text.get(skip..skip + digits)?;
    if !number.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    char::from_u32(u32::from_str_radix(number, radix).ok()?)
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Vec<String> {
        let tokens = tokenize(text).expect("tokens");
        tokens
            .into_iter()
            .filter_map(|token| match token.kind {
                TokenKind::String { text, .. } => Some(text),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn strings_are_unescaped_as_hive_does() {
        let cases = [
            (r"'plain'", "plain"),
            (r#""double""#, "double"),
            (r"'it\'s'", "it's"),
            (r"'\\d+'", r"\d+"),
            (r"'\d'", "d"),
            (r"'\001'", "\u{1}"),
            (r"'é'", "é"),
            (r"'a\tb'", "a\tb"),
            (r"'a\%b'", r"a\%b"),
        ];
        for (written, meant) in cases {
            assert_eq!(strings(written), [meant], "{written}");
        }
    }

    #[test]
    fn comments_and_quotes_know_their_place() {
        let tokens = tokenize("/* a\n */ -- b\n `od``d`").expect("tokens");
        assert_eq!(
            tokens[0].kind,
            TokenKind::Word {
                text: "od`d".into(),
                quoted: true
            }
        );
        assert_eq!(tokens[0].position, Position { line: 3, column: 2 });
    }

    #[test]
    fn what_has_no_end_is_an_error_at_its_start() {
        for text in ["x 'abc", "x `abc", "x /* abc", "x 'abc\\"] {
            let error = tokenize(text).expect_err(text);
            assert_eq!(
                error.position(),
                Some(Position { line: 1, column: 3 }),
                "{text}"
            );
        }
    }
}
