//! `CREATE EXTERNAL TABLE` and `CREATE DATABASE`.

use crate::error::{Error, ErrorKind, Result};
use crate::hive::ast::{ColumnDef, CreateTable, Delimiters, HiveStatement, RowFormat, StoredAs};

use super::Parser;

/// The clauses after the column list, in the only order that Athena takes them.
const CLAUSES: [&str; 8] = [
    "comment",
    "partitioned",
    "clustered",
    "row",
    "with",
    "stored",
    "location",
    "tblproperties",
];

impl Parser {
    pub(super) fn create(&mut self) -> Result<HiveStatement> {
        if self.eat_word("database") || self.eat_word("schema") {
            return self.create_database();
        }
        if self.peek().is_word("table") {
            let help = "tables over files are made with CREATE EXTERNAL TABLE; Flumen has neither Iceberg \
                        tables nor CREATE TABLE … AS SELECT";
            let message = "missing EXTERNAL at 'TABLE'";
            let position = self.peek().position;
            return Err(Error::at(ErrorKind::ParseException, position, message).with_help(help));
        }
        if !self.eat_word("external") {
            return Err(self.unexpected("EXTERNAL TABLE, DATABASE, SCHEMA or VIEW"));
        }
        self.expect_word("table")?;
        self.create_table()
    }

    fn create_database(&mut self) -> Result<HiveStatement> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.name()?;
        let comment = if self.eat_word("comment") {
            Some(self.string()?)
        } else {
            None
        };
        let location = if self.eat_word("location") {
            Some(self.string()?)
        } else {
            None
        };
        let properties = if self.eat_word("with") {
            self.expect_word("dbproperties")?;
            self.properties()?
        } else {
            Vec::new()
        };
        Ok(HiveStatement::CreateDatabase {
            name,
            if_not_exists,
            comment,
            location,
            properties,
        })
    }

    fn create_table(&mut self) -> Result<HiveStatement> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.object_name()?;
        let mut table = CreateTable {
            name,
            if_not_exists,
            columns: self.column_defs()?,
            comment: None,
            partitioned_by: Vec::new(),
            row_format: None,
            serde_properties: Vec::new(),
            stored_as: None,
            location: None,
            properties: Vec::new(),
        };
        let mut last = 0;
        while let Some(rank) = CLAUSES.iter().position(|word| self.peek().is_word(word)) {
            let repeated = rank + 1 == last;
            // WITH SERDEPROPERTIES may stand on either side of STORED AS.
            if rank < last && CLAUSES[rank] != "with" {
                return Err(self.out_of_order(repeated));
            }
            last = last.max(rank + 1);
            self.table_clause(&mut table)?;
        }
        Ok(HiveStatement::CreateTable(Box::new(table)))
    }

    fn out_of_order(&self, repeated: bool) -> Error {
        let error = self.unexpected("<EOF>");
        if repeated {
            return error.with_help("each clause may stand once");
        }
        error.with_help(
            "the clauses stand in the order COMMENT, PARTITIONED BY, CLUSTERED BY, ROW FORMAT, \
             WITH SERDEPROPERTIES, STORED AS, LOCATION, TBLPROPERTIES",
        )
    }

    fn table_clause(&mut self, table: &mut CreateTable) -> Result<()> {
        if self.eat_word("comment") {
            table.comment = Some(self.string()?);
        } else if self.eat_word("partitioned") {
            self.expect_word("by")?;
            table.partitioned_by = self.column_defs()?;
        } else if self.eat_word("clustered") {
            self.bucketing()?;
        } else if self.eat_word("row") {
            self.expect_word("format")?;
            table.row_format = Some(self.row_format()?);
        } else if self.eat_word("with") {
            self.expect_word("serdeproperties")?;
            table.serde_properties = self.properties()?;
        } else if self.eat_word("stored") {
            self.expect_word("as")?;
            table.stored_as = Some(self.stored_as()?);
        } else if self.eat_word("location") {
            let position = self.peek().position;
            table.location = Some((self.string()?, position));
        } else {
            self.expect_word("tblproperties")?;
            table.properties = self.properties()?;
        }
        Ok(())
    }

    /// `(name type [COMMENT 'text'], …)`
    pub(super) fn column_defs(&mut self) -> Result<Vec<ColumnDef>> {
        self.expect_sign('(')?;
        let mut columns = Vec::new();
        loop {
            let position = self.peek().position;
            let name = self.name()?;
            let hive_type = self.hive_type()?;
            let comment = if self.eat_word("comment") {
                Some(self.string()?)
            } else {
                None
            };
            columns.push(ColumnDef {
                name,
                hive_type,
                comment,
                position,
            });
            if !self.eat_sign(',') {
                break;
            }
        }
        self.expect_sign(')')?;
        Ok(columns)
    }

    /// `CLUSTERED BY (a, b) [SORTED BY …] INTO n BUCKETS`: how files were written, of no use to a reader.
    fn bucketing(&mut self) -> Result<()> {
        self.expect_word("by")?;
        self.expect_sign('(')?;
        self.name()?;
        while self.eat_sign(',') {
            self.name()?;
        }
        self.expect_sign(')')?;
        self.expect_word("into")?;
        self.integer()?;
        self.expect_word("buckets")
    }

    fn row_format(&mut self) -> Result<RowFormat> {
        if self.eat_word("serde") {
            return Ok(RowFormat::SerDe {
                class: self.string()?,
            });
        }
        self.expect_word("delimited")?;
        let mut delimiters = Delimiters::default();
        loop {
            if self.eat_word("fields") {
                delimiters.field = Some(self.terminated_by()?);
                if self.eat_word("escaped") {
                    self.expect_word("by")?;
                    delimiters.escape = Some(self.string()?);
                }
            } else if self.eat_word("collection") {
                self.expect_word("items")?;
                delimiters.collection = Some(self.terminated_by()?);
            } else if self.eat_word("map") {
                self.expect_word("keys")?;
                delimiters.map_key = Some(self.terminated_by()?);
            } else if self.eat_word("lines") {
                delimiters.line = Some(self.terminated_by()?);
            } else if self.eat_word("null") {
                self.expect_word("defined")?;
                self.expect_word("as")?;
                delimiters.null = Some(self.string()?);
            } else {
                return Ok(RowFormat::Delimited(delimiters));
            }
        }
    }

    fn terminated_by(&mut self) -> Result<String> {
        self.expect_word("terminated")?;
        self.expect_word("by")?;
        self.string()
    }

    fn stored_as(&mut self) -> Result<StoredAs> {
        if !self.eat_word("inputformat") {
            return Ok(StoredAs::Format(self.name()?));
        }
        let input = self.string()?;
        self.expect_word("outputformat")?;
        Ok(StoredAs::Classes {
            input,
            output: self.string()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Position;
    use crate::hive::parse;

    fn table(text: &str) -> CreateTable {
        match parse(text).expect(text) {
            HiveStatement::CreateTable(table) => *table,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_clauses_are_read() {
        let table = table(
            "CREATE EXTERNAL TABLE IF NOT EXISTS `awsdatacatalog`.Logs.`Nginx` (
               `user` string COMMENT 'who', size int, tags map<string,array<string>>)
             COMMENT 'access'
             PARTITIONED BY (dt string, hour int)
             ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
             WITH SERDEPROPERTIES ('ignore.malformed.json'='true', 'mapping.user'='User')
             STORED AS INPUTFORMAT 'in' OUTPUTFORMAT 'out'
             LOCATION 's3://b/p/'
             TBLPROPERTIES (\"classification\"=\"json\");",
        );
        assert_eq!(table.name.catalog.as_deref(), Some("awsdatacatalog"));
        assert_eq!(table.name.database.as_deref(), Some("logs"));
        assert_eq!(table.name.name, "nginx");
        assert!(table.if_not_exists);
        assert_eq!(table.columns[0].name, "user");
        assert_eq!(table.columns[0].comment.as_deref(), Some("who"));
        assert_eq!(
            table.columns[2].hive_type.to_string(),
            "map<string,array<string>>"
        );
        assert_eq!(table.partitioned_by.len(), 2);
        assert_eq!(
            table.serde_properties[1],
            ("mapping.user".into(), "User".into())
        );
        assert_eq!(
            table.stored_as,
            Some(StoredAs::Classes {
                input: "in".into(),
                output: "out".into()
            })
        );
        assert_eq!(
            table.location.map(|(location, _)| location).as_deref(),
            Some("s3://b/p/")
        );
        assert_eq!(table.properties, [("classification".into(), "json".into())]);
    }

    #[test]
    fn delimited_rows_and_properties_after_the_storage_format() {
        let table = table(
            r"create external table t (a string) row format delimited fields terminated by '\t' escaped by '\\'
              collection items terminated by '\002' lines terminated by '\n' null defined as ''
              stored as textfile with serdeproperties ('x'='y') location 's3://b/'",
        );
        let Some(RowFormat::Delimited(delimiters)) = table.row_format else {
            panic!("not delimited")
        };
        assert_eq!(delimiters.field.as_deref(), Some("\t"));
        assert_eq!(delimiters.escape.as_deref(), Some("\\"));
        assert_eq!(delimiters.collection.as_deref(), Some("\u{2}"));
        assert_eq!(delimiters.null.as_deref(), Some(""));
        assert_eq!(table.stored_as, Some(StoredAs::Format("textfile".into())));
        assert_eq!(table.serde_properties.len(), 1);
    }

    #[test]
    fn reserved_words_are_names_without_quotes() {
        let columns = table(
            "CREATE EXTERNAL TABLE t (user string, date date, time string, table int) LOCATION ''",
        )
        .columns;
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["user", "date", "time", "table"]);
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let cases = [
            ("CREATE TABLE t (a int)", 8, "missing EXTERNAL at 'TABLE'"),
            (
                "CREATE EXTERNAL TABLE t (a strng)",
                28,
                "unknown type 'strng'",
            ),
            (
                "CREATE EXTERNAL TABLE t (a int",
                31,
                "mismatched input '<EOF>' expecting ')'",
            ),
            (
                "CREATE EXTERNAL TABLE t (a int) LOCATION 'x' COMMENT 'y'",
                46,
                "mismatched input 'COMMENT' expecting <EOF>",
            ),
            (
                "CREATE EXTERNAL TABLE t (a int) LOKATION 'x'",
                33,
                "mismatched input 'LOKATION' expecting <EOF>",
            ),
            (
                "CREATE EXTERNAL TABLE t (a int) TBLPROPERTIES ('a' 'b')",
                52,
                "mismatched input ''b'' expecting '='",
            ),
        ];
        for (text, column, message) in cases {
            let error = parse(text).expect_err(text);
            assert_eq!(
                (error.position(), error.message()),
                (Some(Position { line: 1, column }), message)
            );
        }
    }
}
