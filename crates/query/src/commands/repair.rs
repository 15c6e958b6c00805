//! `MSCK REPAIR TABLE`: adds the partitions whose folders are named `key=value`.

use crate::catalog::Partition;
use crate::error::{Error, ErrorKind, Result};
use crate::hive::ast::ObjectName;
use crate::scan::{S3Location, list_partition_folders, unescape_partition_value};

use super::partitions::path;
use super::{Answer, CommandContext, execution};

pub(super) fn repair(name: &ObjectName, context: &CommandContext<'_>) -> Result<Answer> {
    let (database, table) = context.table(name)?;
    if table.partition_keys.is_empty() {
        let help = "the table has no PARTITIONED BY clause; all objects below its location are read as they are";
        return Err(
            execution(format_args!("table {} is not partitioned", table.name)).with_help(help),
        );
    }
    let location = S3Location::parse(&table.location)
        .map_err(|fault| Error::new(ErrorKind::HiveInvalidMetadata, fault))?;
    let keys: Vec<&str> = table
        .partition_keys
        .iter()
        .map(|key| key.name.as_str())
        .collect();
    let folders = list_partition_folders(&context.objects_root, &location, &keys)?;
    let added = context
        .catalog
        .update_table(&database, &table.name, |table| {
            let mut added = Vec::new();
            for (escaped, location) in folders {
                let values: Vec<String> = escaped
                    .iter()
                    .map(|value| unescape_partition_value(value))
                    .collect();
                if table
                    .partitions
                    .iter()
                    .all(|partition| partition.values != values)
                {
                    added.push(format!("{}:{}", table.name, path(table, &values)));
                    table.partitions.push(Partition {
                        values,
                        location: location.to_string(),
                    });
                }
            }
            Ok(added)
        })?;
    let mut lines = Vec::new();
    if !added.is_empty() {
        lines.push(format!(
            "Partitions not in metastore:\t{}",
            added.join("\t")
        ));
        lines.extend(
            added
                .iter()
                .map(|partition| format!("Repair: Added partition to metastore {partition}")),
        );
    }
    Ok(Answer {
        kind: crate::execution::StatementKind::Ddl,
        ..Answer::lines("MSCK_REPAIR_TABLE", "result", lines)
    })
}
