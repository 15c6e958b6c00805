//! Results as tables, JSON lines and CSV.

use std::io::{self, Write};

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use query::{Column, Error, Execution, Row};

/// A table holds no more rows than a person reads; the rest is counted.
const TABLE_ROWS_MAX: usize = 1_000;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON object a row; numbers and booleans as such, everything else as text.
    Json,
    /// As Athena writes its result files: every value in quotes, NULL as nothing.
    Csv,
}

/// Prints all rows to the standard output. A reader that goes away ends it quietly.
pub async fn result(execution: &mut Execution, format: Format) -> Result<(), Error> {
    let columns = execution.columns().to_vec();
    if columns.is_empty() {
        while execution.next_rows().await?.is_some() {}
        return Ok(());
    }
    match format {
        Format::Table => table(execution, &columns).await,
        Format::Json | Format::Csv => lines(execution, &columns, format).await,
    }
}

async fn table(execution: &mut Execution, columns: &[Column]) -> Result<(), Error> {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(columns.iter().map(|column| &column.name));
    let (mut shown, mut left) = (0, 0);
    while let Some(rows) = execution.next_rows().await? {
        for row in rows {
            if shown == TABLE_ROWS_MAX {
                left += 1;
                continue;
            }
            shown += 1;
            table.add_row(row.into_iter().map(Option::unwrap_or_default));
        }
    }
    println!("{table}");
    if left > 0 {
        eprintln!("{left} more rows; --format csv or json prints all");
    }
    Ok(())
}

async fn lines(execution: &mut Execution, columns: &[Column], format: Format) -> Result<(), Error> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut open = true;
    if format == Format::Csv {
        let header: Row = columns
            .iter()
            .map(|column| Some(column.name.clone()))
            .collect();
        open = writeln!(out, "{}", csv(&header)).is_ok();
    }
    while let Some(rows) = execution.next_rows().await? {
        for row in rows {
            let line = if format == Format::Csv {
                csv(&row)
            } else {
                json(columns, row)
            };
            open = open && writeln!(out, "{line}").is_ok();
        }
        if !open {
            return Ok(());
        }
    }
    let _ = out.flush();
    Ok(())
}

fn csv(row: &Row) -> String {
    let cells: Vec<String> = row
        .iter()
        .map(|cell| {
            cell.as_ref().map_or_else(String::new, |text| {
                format!("\"{}\"", text.replace('"', "\"\""))
            })
        })
        .collect();
    cells.join(",")
}

fn json(columns: &[Column], row: Row) -> String {
    let mut object = serde_json::Map::new();
    for (column, cell) in columns.iter().zip(row) {
        let value = match cell {
            None => serde_json::Value::Null,
            Some(text) if is_plain(&column.type_name) => {
                serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))
            }
            Some(text) => serde_json::Value::String(text),
        };
        object.insert(column.name.clone(), value);
    }
    serde_json::Value::Object(object).to_string()
}

/// Whether values of the type read the same in JSON.
fn is_plain(type_name: &str) -> bool {
    [
        "boolean", "tinyint", "smallint", "integer", "bigint", "float", "double",
    ]
    .contains(&type_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_tells_null_from_empty() {
        assert_eq!(
            csv(&vec![Some("a\"b".into()), None, Some(String::new())]),
            "\"a\"\"b\",,\"\""
        );
    }
}
