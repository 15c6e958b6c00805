//! Values from plain text fields, with the rules of Hive's LazySimpleSerDe: what does not parse is NULL.

use crate::time::civil::Civil;
use crate::time::iso;

use super::column::{ColumnBuilder, cut, parse_float};
use super::json::Decimal;

impl ColumnBuilder {
    /// Adds the value that a field's text stands for.
    pub(super) fn push_plain(&mut self, text: &str) {
        match self {
            ColumnBuilder::Text(builder, limit) => builder.append_value(cut(text, *limit)),
            ColumnBuilder::Binary(builder) => builder.append_value(text),
            ColumnBuilder::Boolean(builder) => builder.append_option(parse_boolean(text)),
            ColumnBuilder::TinyInt(builder) => builder.append_option(text.trim().parse().ok()),
            ColumnBuilder::SmallInt(builder) => builder.append_option(text.trim().parse().ok()),
            ColumnBuilder::Int(builder) => builder.append_option(text.trim().parse().ok()),
            ColumnBuilder::BigInt(builder) => builder.append_option(text.trim().parse().ok()),
            ColumnBuilder::Float(builder) => {
                builder.append_option(parse_float(text).map(|number| number as f32))
            }
            ColumnBuilder::Double(builder) => builder.append_option(parse_float(text)),
            ColumnBuilder::Decimal(builder, precision, scale) => {
                let decimal = Decimal::parse(text.trim());
                builder
                    .append_option(decimal.and_then(|decimal| decimal.scaled(*precision, *scale)));
            }
            ColumnBuilder::Date(builder) => {
                let days = iso::parse_date(text.trim()).map(Civil::days);
                builder.append_option(days.and_then(|days| days.try_into().ok()));
            }
            ColumnBuilder::Timestamp(builder) => {
                builder.append_option(parse_timestamp(text.trim()))
            }
            nested => nested.push_null(),
        }
    }
}

fn parse_boolean(text: &str) -> Option<bool> {
    match text.trim() {
        yes if yes.eq_ignore_ascii_case("true") => Some(true),
        no if no.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn parse_timestamp(text: &str) -> Option<i64> {
    iso::parse_plain_timestamp(text)
        .or_else(|| iso::parse_date(text))
        .map(Civil::to_millis)
}
