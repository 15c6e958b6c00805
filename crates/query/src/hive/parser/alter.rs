//! `ALTER TABLE`.

use crate::error::{Error, ErrorKind, Result};
use crate::hive::ast::{AlterTable, HiveStatement, NewPartition};

use super::Parser;

impl Parser {
    pub(super) fn alter(&mut self) -> Result<HiveStatement> {
        self.expect_word("table")?;
        let table = self.object_name()?;
        let action = self.alter_action()?;
        Ok(HiveStatement::AlterTable { table, action })
    }

    fn alter_action(&mut self) -> Result<AlterTable> {
        if self.eat_word("add") {
            if self.eat_word("columns") {
                return Ok(AlterTable::AddColumns(self.column_defs()?));
            }
            return self.add_partitions();
        }
        if self.eat_word("replace") {
            self.expect_word("columns")?;
            return Ok(AlterTable::ReplaceColumns(self.column_defs()?));
        }
        if self.eat_word("drop") {
            return self.drop_partitions();
        }
        if self.eat_word("set") {
            return self.set();
        }
        if self.peek().is_word("partition") {
            return self.alter_partition();
        }
        let position = self.peek().position;
        if self.eat_word("rename") || self.eat_word("change") {
            let message = "Athena has neither ALTER TABLE … RENAME TO nor CHANGE COLUMN";
            return Err(Error::at(ErrorKind::ParseException, position, message));
        }
        Err(self.unexpected("ADD, DROP, SET, REPLACE COLUMNS or PARTITION"))
    }

    fn add_partitions(&mut self) -> Result<AlterTable> {
        let if_not_exists = self.if_not_exists()?;
        let mut partitions = Vec::new();
        loop {
            let spec = self.partition_spec()?;
            let location = if self.eat_word("location") {
                Some(self.string()?)
            } else {
                None
            };
            partitions.push(NewPartition { spec, location });
            if !self.peek().is_word("partition") {
                return Ok(AlterTable::AddPartitions {
                    if_not_exists,
                    partitions,
                });
            }
        }
    }

    fn drop_partitions(&mut self) -> Result<AlterTable> {
        let if_exists = self.if_exists()?;
        let mut specs = vec![self.partition_spec()?];
        while self.eat_sign(',') {
            specs.push(self.partition_spec()?);
        }
        Ok(AlterTable::DropPartitions { if_exists, specs })
    }

    fn set(&mut self) -> Result<AlterTable> {
        if self.eat_word("location") {
            return Ok(AlterTable::SetLocation {
                partition: None,
                location: self.string()?,
            });
        }
        if self.eat_word("tblproperties") {
            return Ok(AlterTable::SetProperties(self.properties()?));
        }
        Err(self.unexpected("LOCATION or TBLPROPERTIES"))
    }

    /// `PARTITION (…) RENAME TO PARTITION (…)` or `PARTITION (…) SET LOCATION '…'`
    fn alter_partition(&mut self) -> Result<AlterTable> {
        let from = self.partition_spec()?;
        if self.eat_word("rename") {
            self.expect_word("to")?;
            return Ok(AlterTable::RenamePartition {
                from,
                to: self.partition_spec()?,
            });
        }
        self.expect_word("set")?;
        self.expect_word("location")?;
        Ok(AlterTable::SetLocation {
            partition: Some(from),
            location: self.string()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hive::parse;

    fn action(text: &str) -> AlterTable {
        match parse(text).expect(text) {
            HiveStatement::AlterTable { action, .. } => action,
            other => panic!("{other:?}"),
        }
    }

    fn spec(key: &str, value: &str) -> Vec<(String, String)> {
        vec![(key.into(), value.into())]
    }

    #[test]
    fn partitions_come_and_go() {
        assert_eq!(
            action(
                "ALTER TABLE t ADD IF NOT EXISTS PARTITION (dt='a') LOCATION 's3://b/a/' PARTITION (dt=7)"
            ),
            AlterTable::AddPartitions {
                if_not_exists: true,
                partitions: vec![
                    NewPartition {
                        spec: spec("dt", "a"),
                        location: Some("s3://b/a/".into())
                    },
                    NewPartition {
                        spec: spec("dt", "7"),
                        location: None
                    },
                ],
            }
        );
        assert_eq!(
            action("ALTER TABLE t DROP PARTITION (dt='a'), PARTITION (dt='b')"),
            AlterTable::DropPartitions {
                if_exists: false,
                specs: vec![spec("dt", "a"), spec("dt", "b")]
            }
        );
        assert_eq!(
            action("ALTER TABLE t PARTITION (dt='a') RENAME TO PARTITION (dt='b')"),
            AlterTable::RenamePartition {
                from: spec("dt", "a"),
                to: spec("dt", "b")
            }
        );
    }

    #[test]
    fn what_athena_lacks_is_refused_by_name() {
        let error = parse("ALTER TABLE t RENAME TO u").expect_err("refused");
        assert!(error.message().contains("RENAME TO"), "{error}");
    }
}
