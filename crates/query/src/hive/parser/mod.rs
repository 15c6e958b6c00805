//! The parser's spine: looking at tokens, names, strings, and which statement begins here.

mod alter;
mod create;
mod show;

use crate::error::{Error, ErrorKind, Result};

use super::ast::{HiveStatement, ObjectName, PartitionSpec, Properties};
use super::lexer::{Token, TokenKind, tokenize};

/// Parses one statement; a semicolon at its end is tolerated.
pub(crate) fn parse(text: &str) -> Result<HiveStatement> {
    let mut parser = Parser::new(text)?;
    let statement = parser.statement()?;
    parser.eat_sign(';');
    parser.expect_end()?;
    Ok(statement)
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    pub(super) fn new(text: &str) -> Result<Parser> {
        Ok(Parser {
            tokens: tokenize(text)?,
            next: 0,
        })
    }

    fn statement(&mut self) -> Result<HiveStatement> {
        if self.eat_word("create") {
            return self.create();
        }
        if self.eat_word("drop") {
            return self.drop();
        }
        if self.eat_word("show") {
            return self.show();
        }
        if self.eat_word("describe") || self.eat_word("desc") {
            return self.describe();
        }
        if self.eat_word("msck") {
            self.expect_word("repair")?;
            self.expect_word("table")?;
            return Ok(HiveStatement::RepairTable {
                table: self.object_name()?,
            });
        }
        if self.eat_word("alter") {
            return self.alter();
        }
        Err(self.unexpected("CREATE, DROP, SHOW, DESCRIBE, MSCK REPAIR or ALTER"))
    }

    fn drop(&mut self) -> Result<HiveStatement> {
        if self.eat_word("table") {
            let if_exists = self.if_exists()?;
            return Ok(HiveStatement::DropTable {
                name: self.object_name()?,
                if_exists,
            });
        }
        if self.eat_word("view") {
            let if_exists = self.if_exists()?;
            return Ok(HiveStatement::DropView {
                name: self.object_name()?,
                if_exists,
            });
        }
        if self.eat_word("database") || self.eat_word("schema") {
            let if_exists = self.if_exists()?;
            let name = self.name()?;
            let cascade = self.eat_word("cascade");
            if !cascade {
                self.eat_word("restrict");
            }
            return Ok(HiveStatement::DropDatabase {
                name,
                if_exists,
                cascade,
            });
        }
        Err(self.unexpected("TABLE, VIEW, DATABASE or SCHEMA"))
    }

    // What all statements are made of.

    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn peek_after(&self, count: usize) -> &Token {
        &self.tokens[(self.next + count).min(self.tokens.len() - 1)]
    }

    pub(super) fn advance(&mut self) {
        self.next += 1;
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek().is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.eat_word(word) {
            Ok(())
        } else {
            Err(self.unexpected(&word.to_uppercase()))
        }
    }

    pub(super) fn eat_sign(&mut self, sign: char) -> bool {
        let found = self.peek().kind == TokenKind::Sign(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect_sign(&mut self, sign: char) -> Result<()> {
        if self.eat_sign(sign) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("'{sign}'")))
        }
    }

    pub(super) fn expect_end(&self) -> Result<()> {
        if self.peek().kind == TokenKind::End {
            Ok(())
        } else {
            Err(self.unexpected("<EOF>"))
        }
    }

    /// The error for the next token, where `expected` should stand.
    pub(super) fn unexpected(&self, expected: &str) -> Error {
        let token = self.peek();
        let found = match &token.kind {
            TokenKind::Word { text, .. } | TokenKind::Number(text) => text.clone(),
            TokenKind::String { text, quote } => format!("{quote}{text}{quote}"),
            TokenKind::Sign(sign) => sign.to_string(),
            TokenKind::End => "<EOF>".into(),
        };
        let message = format!("mismatched input '{found}' expecting {expected}");
        Error::at(ErrorKind::ParseException, token.position, message)
    }

    /// One name: a word, reserved or not, or text in back-quotes or double quotes. Lower-cased.
    pub(super) fn name(&mut self) -> Result<String> {
        let name = match &self.peek().kind {
            TokenKind::Word { text, .. } | TokenKind::String { text, quote: '"' } => {
                text.to_lowercase()
            }
            _ => return Err(self.unexpected("a name")),
        };
        self.advance();
        Ok(name)
    }

    fn object_name(&mut self) -> Result<ObjectName> {
        let position = self.peek().position;
        let mut parts = vec![self.name()?];
        while parts.len() < 3 && self.eat_sign('.') {
            parts.push(self.name()?);
        }
        let mut last_first = parts.into_iter().rev();
        Ok(ObjectName {
            name: last_first.next().unwrap_or_default(),
            database: last_first.next(),
            catalog: last_first.next(),
            position,
        })
    }

    pub(super) fn string(&mut self) -> Result<String> {
        let TokenKind::String { text, .. } = &self.peek().kind else {
            return Err(self.unexpected("a string"));
        };
        let text = text.clone();
        self.advance();
        Ok(text)
    }

    pub(super) fn integer(&mut self) -> Result<u32> {
        let number = match &self.peek().kind {
            TokenKind::Number(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            return Err(self.unexpected("a whole number"));
        };
        self.advance();
        Ok(number)
    }

    fn if_exists(&mut self) -> Result<bool> {
        if !(self.peek().is_word("if") && self.peek_after(1).is_word("exists")) {
            return Ok(false);
        }
        self.next += 2;
        Ok(true)
    }

    fn if_not_exists(&mut self) -> Result<bool> {
        if !(self.peek().is_word("if") && self.peek_after(1).is_word("not")) {
            return Ok(false);
        }
        self.next += 2;
        self.expect_word("exists")?;
        Ok(true)
    }

    /// `('key'='value', …)`
    fn properties(&mut self) -> Result<Properties> {
        self.expect_sign('(')?;
        let mut properties = Properties::new();
        loop {
            let key = self.string()?;
            self.expect_sign('=')?;
            let value = self.string()?;
            properties.retain(|(existing, _)| *existing != key);
            properties.push((key, value));
            if !self.eat_sign(',') {
                break;
            }
        }
        self.expect_sign(')')?;
        Ok(properties)
    }

    /// `PARTITION (key = value, …)`; values may be strings, numbers or bare words.
    fn partition_spec(&mut self) -> Result<PartitionSpec> {
        self.expect_word("partition")?;
        self.expect_sign('(')?;
        let mut spec = PartitionSpec::new();
        loop {
            let key = self.name()?;
            self.expect_sign('=')?;
            let negative = self.eat_sign('-');
            let value = match &self.peek().kind {
                TokenKind::String { text, .. } => text.clone(),
                TokenKind::Number(text) if negative => format!("-{text}"),
                TokenKind::Number(text) => text.clone(),
                _ => return Err(self.unexpected("a constant value")),
            };
            self.advance();
            spec.push((key, value));
            if !self.eat_sign(',') {
                break;
            }
        }
        self.expect_sign(')')?;
        Ok(spec)
    }
}
