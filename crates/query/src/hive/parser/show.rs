//! `SHOW …` and `DESCRIBE`.

use crate::error::Result;
use crate::hive::ast::{HiveStatement, ObjectName};
use crate::hive::lexer::TokenKind;

use super::Parser;

impl Parser {
    pub(super) fn show(&mut self) -> Result<HiveStatement> {
        if self.eat_word("databases") || self.eat_word("schemas") {
            return Ok(HiveStatement::ShowDatabases {
                pattern: self.pattern()?,
            });
        }
        if self.eat_word("tables") {
            let database = self.in_database()?;
            return Ok(HiveStatement::ShowTables {
                database,
                pattern: self.pattern()?,
            });
        }
        if self.eat_word("views") {
            let database = self.in_database()?;
            return Ok(HiveStatement::ShowViews {
                database,
                pattern: self.pattern()?,
            });
        }
        if self.eat_word("columns") {
            return self.show_columns();
        }
        if self.eat_word("partitions") {
            return Ok(HiveStatement::ShowPartitions {
                table: self.object_name()?,
            });
        }
        if self.eat_word("tblproperties") {
            let table = self.object_name()?;
            let key = if self.eat_sign('(') {
                let key = self.string()?;
                self.expect_sign(')')?;
                Some(key)
            } else {
                None
            };
            return Ok(HiveStatement::ShowProperties { table, key });
        }
        if self.eat_word("create") {
            if self.eat_word("view") {
                return Ok(HiveStatement::ShowCreateView {
                    view: self.object_name()?,
                });
            }
            self.expect_word("table")?;
            return Ok(HiveStatement::ShowCreateTable {
                table: self.object_name()?,
            });
        }
        Err(self
            .unexpected("DATABASES, TABLES, VIEWS, COLUMNS, PARTITIONS, TBLPROPERTIES or CREATE"))
    }

    /// `SHOW COLUMNS IN [db.]t [IN db]`
    fn show_columns(&mut self) -> Result<HiveStatement> {
        if !(self.eat_word("in") || self.eat_word("from")) {
            return Err(self.unexpected("FROM or IN"));
        }
        let mut table = self.object_name()?;
        if let Some(database) = self.in_database()? {
            table.database = Some(database);
        }
        Ok(HiveStatement::ShowColumns { table })
    }

    fn in_database(&mut self) -> Result<Option<String>> {
        if self.eat_word("in") || self.eat_word("from") {
            self.name().map(Some)
        } else {
            Ok(None)
        }
    }

    fn pattern(&mut self) -> Result<Option<String>> {
        let like = self.eat_word("like");
        match self.peek().kind {
            TokenKind::String { .. } => self.string().map(Some),
            _ if like => Err(self.unexpected("a pattern")),
            _ => Ok(None),
        }
    }

    /// `DESCRIBE [EXTENDED | FORMATTED] [db.]t [column]`
    pub(super) fn describe(&mut self) -> Result<HiveStatement> {
        let follows_a_name = |parser: &Parser| {
            !matches!(
                parser.peek_after(1).kind,
                TokenKind::End | TokenKind::Sign(_)
            )
        };
        let detailed =
            follows_a_name(self) && (self.eat_word("extended") || self.eat_word("formatted"));
        let table: ObjectName = self.object_name()?;
        let column = match self.peek().kind {
            TokenKind::Word { .. } => Some(self.name()?),
            _ => None,
        };
        Ok(HiveStatement::Describe {
            table,
            column,
            detailed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hive::parse;

    #[test]
    fn patterns_and_databases_are_optional() {
        let cases = [
            ("SHOW TABLES", None, None),
            ("SHOW TABLES IN Logs", Some("logs"), None),
            (
                "show tables from logs 'fluent*|x'",
                Some("logs"),
                Some("fluent*|x"),
            ),
            ("show tables like '*'", None, Some("*")),
        ];
        for (text, database, pattern) in cases {
            let expected = HiveStatement::ShowTables {
                database: database.map(str::to_owned),
                pattern: pattern.map(str::to_owned),
            };
            assert_eq!(parse(text).expect(text), expected);
        }
    }

    #[test]
    fn describe_takes_a_table_a_column_and_a_degree_of_detail() {
        let HiveStatement::Describe {
            table,
            column,
            detailed,
        } = parse("DESCRIBE FORMATTED db.t user").expect("parsed")
        else {
            panic!("not DESCRIBE");
        };
        assert_eq!(
            (table.name.as_str(), column.as_deref(), detailed),
            ("t", Some("user"), true)
        );
        let HiveStatement::Describe {
            table, detailed, ..
        } = parse("desc extended").expect("parsed")
        else {
            panic!("not DESCRIBE");
        };
        assert_eq!((table.name.as_str(), detailed), ("extended", false));
    }

    #[test]
    fn an_unknown_subject_names_the_known_ones() {
        let error = parse("SHOW GRANTS").expect_err("unknown");
        assert!(
            error
                .message()
                .starts_with("mismatched input 'GRANTS' expecting DATABASES"),
            "{error}"
        );
    }
}
