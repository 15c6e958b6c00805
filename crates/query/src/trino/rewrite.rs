//! The pass over the syntax tree between parsing and planning.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, ObjectName, Query, Select, SetExpr, Spanned, TableFactor,
    Value, ValueWithSpan, VisitMut, VisitorMut,
};

use crate::error::{Error, ErrorKind, Position, Result, did_you_mean};
use crate::functions;
use crate::time::zone;

use super::calls::{call, rewrite_call, simple_name};
use super::chains;
use super::like::pattern_for_arrow;
use super::naming::{Headers, name_columns};

/// What the rewriting found out about a query besides changing it.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    /// What to call the columns of the result.
    pub headers: Headers,
    /// Where tables are named first, for errors: the text of the name → its place.
    pub tables: HashMap<String, Position>,
    /// Where columns are named first, with and without their qualifier.
    pub columns: HashMap<String, Position>,
    /// Where functions are called first.
    pub functions: HashMap<String, Position>,
    /// Whether `"$path"` or another hidden column is asked for.
    pub hidden_columns: bool,
}

/// Makes a query mean to DataFusion what it means to Athena.
pub(crate) fn rewrite(query: &mut Query) -> Result<Rewritten> {
    let mut rewriter = Rewriter {
        found: Rewritten::default(),
        depth: 0,
    };
    if let ControlFlow::Break(error) = query.visit(&mut rewriter) {
        return Err(*error);
    }
    // After the visit, so that an expression is compared with the rewritten select list.
    let mut found = rewriter.found;
    found.headers = name_columns(query);
    Ok(found)
}

struct Rewriter {
    found: Rewritten,
    /// How many queries the visited node is inside of.
    depth: usize,
}

type Flow = ControlFlow<Box<Error>>;

impl VisitorMut for Rewriter {
    type Break = Box<Error>;

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> Flow {
        let name = relation
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(|ident| ident.value.as_str());
        let name = name.collect::<Vec<_>>().join(".");
        if relation
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .any(|ident| ident.quote_style == Some('\''))
        {
            let message = format!("mismatched input ''{name}''. Expecting: the name of a table");
            return ControlFlow::Break(Box::new(Error::new(ErrorKind::SyntaxError, message)));
        }
        if let Some(position) = place(relation) {
            self.found.tables.entry(name).or_insert(position);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        let refused = [
            (select.into.is_some(), "SELECT INTO"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (select.qualify.is_some(), "QUALIFY"),
            (select.top.is_some(), "TOP"),
            (
                !select.sort_by.is_empty() || !select.cluster_by.is_empty(),
                "SORT BY and CLUSTER BY",
            ),
        ];
        match refused.into_iter().find(|(present, _)| *present) {
            Some((_, what)) => refuse(
                place(select),
                &format!("{what} is not part of Athena's SQL"),
            ),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        self.depth += 1;
        if matches!(
            *query.body,
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
        ) {
            return refuse(
                place(query),
                "statements that change data are not supported",
            );
        }
        if !query.locks.is_empty() || query.for_clause.is_some() {
            return refuse(
                place(query),
                "FOR UPDATE and the like are not part of Athena's SQL",
            );
        }
        ControlFlow::Continue(())
    }

    /// Nested queries get names for their columns too; the outermost one is named by [`rewrite`].
    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        self.depth -= 1;
        if self.depth > 0 {
            name_columns(query);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        let at = place(factor);
        match factor {
            TableFactor::Table {
                sample: Some(_), ..
            }
            | TableFactor::Derived {
                sample: Some(_), ..
            } => refuse(at, "TABLESAMPLE is not supported"),
            TableFactor::Table {
                version: Some(_), ..
            } => refuse(at, "FOR TIMESTAMP AS OF needs an Iceberg table"),
            TableFactor::Table { args: Some(_), .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::Function { .. } => refuse(at, "table functions are not supported"),
            TableFactor::UNNEST {
                with_ordinality: true,
                ..
            } => refuse(at, "UNNEST … WITH ORDINALITY is not supported"),
            TableFactor::MatchRecognize { .. } => refuse(at, "MATCH_RECOGNIZE is not supported"),
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => {
                refuse(at, "PIVOT is not part of Athena's SQL")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        chains::flatten(expr).map_err(|length| {
            let message = format!(
                "{length} operators follow one another, at most {} may: put parts in parentheses or subqueries",
                chains::LONGEST
            );
            Error::new(ErrorKind::QueryTooLarge, message)
        }).map_or_else(|error| ControlFlow::Break(Box::new(error)), ControlFlow::Continue)
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        let at = cheap_place(expr);
        match self.rewrite_expr(expr, at) {
            Ok(Some(rewritten)) => *expr = rewritten,
            Ok(None) => {}
            Err(fault) => {
                let at = at.or_else(|| place(expr));
                return ControlFlow::Break(Box::new(fault.with_position(at)));
            }
        }
        ControlFlow::Continue(())
    }
}

impl Rewriter {
    fn found_column(&mut self, name: &str, at: Option<Position>) {
        if let Some(at) = at {
            self.found.columns.entry(name.to_owned()).or_insert(at);
        }
    }

    fn rewrite_expr(&mut self, expr: &mut Expr, at: Option<Position>) -> Result<Option<Expr>> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidFunctionArgument, message);
        match expr {
            Expr::Function(function) => {
                if let (Some(name), Some(at)) = (simple_name(&function.name), at) {
                    self.found.functions.entry(name).or_insert(at);
                }
                let rewritten = rewrite_call(function)
                    .map_err(|message| Error::new(ErrorKind::FunctionNotFound, message))?;
                if rewritten.is_none() {
                    known_function(function)?;
                }
                Ok(rewritten)
            }
            Expr::Identifier(name) => {
                self.found_column(&name.value, at);
                self.found.hidden_columns |= name.value.starts_with('$');
                Ok(None)
            }
            Expr::CompoundIdentifier(names) => {
                let parts: Vec<&str> = names.iter().map(|name| name.value.as_str()).collect();
                self.found_column(&parts.join("."), at);
                self.found_column(parts.last().copied().unwrap_or_default(), at);
                self.found.hidden_columns |=
                    names.last().is_some_and(|name| name.value.starts_with('$'));
                Ok(None)
            }
            Expr::Like {
                pattern,
                escape_char,
                ..
            } => {
                let escape = match escape_char.as_ref().map(|escape| &escape.value) {
                    Some(Value::SingleQuotedString(escape)) => Some(escape.clone()),
                    _ => None,
                };
                if let Some(converted) =
                    pattern_for_arrow(pattern, escape.as_deref()).map_err(invalid)?
                {
                    **pattern = converted;
                    *escape_char = None;
                }
                Ok(None)
            }
            Expr::ILike { .. } | Expr::RLike { .. } | Expr::SimilarTo { .. } => {
                let message = "ILIKE, RLIKE and SIMILAR TO are not part of Athena's SQL";
                Err(Error::new(ErrorKind::NotSupported, message)
                    .with_help("use regexp_like(text, pattern)"))
            }
            Expr::AtTimeZone {
                timestamp,
                time_zone,
            } => Ok(Some(call(
                "at_timezone",
                vec![(**timestamp).clone(), (**time_zone).clone()],
            ))),
            Expr::Extract { field, expr, .. } => {
                let name = field.to_string().to_lowercase();
                Ok(Some(call(&name, vec![(**expr).clone()])))
            }
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let mut args = vec![(**expr).clone()];
                args.extend(
                    [substring_from, substring_for]
                        .into_iter()
                        .flatten()
                        .map(|arg| (**arg).clone()),
                );
                Ok(Some(call("substr", args)))
            }
            Expr::Position { expr, r#in } => Ok(Some(call(
                "strpos",
                vec![(**r#in).clone(), (**expr).clone()],
            ))),
            Expr::TypedString(typed) => {
                let type_name = typed.data_type.to_string().to_lowercase();
                Ok(typed
                    .value
                    .clone()
                    .into_string()
                    .and_then(|text| typed_literal(&type_name, &text)))
            }
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Arrow | BinaryOperator::LongArrow,
                ..
            } => {
                let message = format!("the operator after {left} is not part of Athena's SQL");
                Err(Error::new(ErrorKind::SyntaxError, message))
            }
            _ => Ok(None),
        }
    }
}

/// An error for a function that there is not, with the nearest one that there is.
fn known_function(function: &Function) -> Result<()> {
    let name = simple_name(&function.name).unwrap_or_else(|| function.name.to_string());
    let registry = functions::registry();
    if registry.is_known(&name) {
        return Ok(());
    }
    let message = format!("Function '{name}' not registered");
    let help = did_you_mean(&name, registry.names());
    Err(Error::new(ErrorKind::FunctionNotFound, message).with_help_maybe(help))
}

/// `DATE '…'`, `TIMESTAMP '…'`: casts, of which the second may name a zone behind the time.
fn typed_literal(type_name: &str, text: &str) -> Option<Expr> {
    let literal = |text: &str| {
        let value = Value::SingleQuotedString(text.to_owned());
        Expr::Value(ValueWithSpan::from(value))
    };
    if type_name.starts_with("timestamp")
        && let Some((time, zone_name)) = text.trim().rsplit_once(' ')
        && zone::named(zone_name).is_some()
    {
        let time = call("cast(timestamp)", vec![literal(time)]);
        return Some(call("with_timezone", vec![time, literal(zone_name)]));
    }
    let sql_type = super::SqlType::parse(type_name).ok()?;
    Some(call(
        &super::cast::cast_name(&sql_type, false),
        vec![literal(text)],
    ))
}

fn refuse(at: Option<Position>, message: &str) -> Flow {
    ControlFlow::Break(Box::new(
        Error::new(ErrorKind::NotSupported, message).with_position(at),
    ))
}

/// The place of an expression that is no chain of operators: such a chain is as deep as it is long, and looking for the
/// place of each of its links would take the square of its length.
fn cheap_place(expr: &Expr) -> Option<Position> {
    match expr {
        Expr::BinaryOp { .. } => None,
        other => place(other),
    }
}

fn place(node: &impl Spanned) -> Option<Position> {
    let start = node.span().start;
    (start.line > 0).then_some(Position {
        line: start.line as usize,
        column: start.column as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trino::parse::{TrinoStatement, parse};

    fn rewritten(text: &str) -> Result<String> {
        let TrinoStatement::Query(mut query) = parse(text)? else {
            panic!("no query")
        };
        rewrite(&mut query)?;
        Ok(query.to_string())
    }

    #[test]
    fn expressions_become_what_datafusion_answers_alike() {
        let cases = [
            (
                "SELECT if(a, b, c) x",
                "SELECT CASE WHEN a THEN b ELSE c END AS x",
            ),
            (
                "SELECT count_if(a) FILTER (WHERE b) x",
                r#"SELECT "count"(CASE WHEN a THEN 1 END) FILTER (WHERE b) AS x"#,
            ),
            (
                "SELECT max_by(a, b) x",
                r#"SELECT "first_value"(a ORDER BY b DESC NULLS LAST) FILTER (WHERE (b) IS NOT NULL) AS x"#,
            ),
            (
                "SELECT approx_percentile(a, ARRAY[0.5, 0.9]) x",
                r#"SELECT ARRAY["approx_percentile_cont"(a, 0.5), "approx_percentile_cont"(a, 0.9)] AS x"#,
            ),
            (
                "SELECT TRY(CAST(a AS bigint) / b) x",
                r#"SELECT ("try_cast(bigint)"(a) / "nullif"(b, 0)) AS x"#,
            ),
            (
                "SELECT CAST(a AS array(varchar)) x",
                r#"SELECT "cast(array(varchar))"(a) AS x"#,
            ),
            (
                "SELECT a LIKE '50#%' ESCAPE '#' x",
                r"SELECT a LIKE '50\%' AS x",
            ),
            ("SELECT EXTRACT(HOUR FROM a) x", r#"SELECT "hour"(a) AS x"#),
            (
                "SELECT a AT TIME ZONE 'UTC' x",
                r#"SELECT "at_timezone"(a, 'UTC') AS x"#,
            ),
            (
                "SELECT substring(a FROM 2 FOR 3) x",
                r#"SELECT "substr"(a, 2, 3) AS x"#,
            ),
            (
                "SELECT DATE '2019-11-22' x",
                r#"SELECT "cast(date)"('2019-11-22') AS x"#,
            ),
            (
                "SELECT TIMESTAMP '2019-11-22 01:02:03 Asia/Tokyo' x",
                r#"SELECT "with_timezone"("cast(timestamp)"('2019-11-22 01:02:03'), 'Asia/Tokyo') AS x"#,
            ),
            (
                "SELECT x FROM (SELECT count(*), 1 FROM t)",
                r#"SELECT x FROM (SELECT count(*) AS "_col0", 1 AS "_col1" FROM t)"#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(rewritten(text).expect(text), expected);
        }
    }

    #[test]
    fn what_would_be_misunderstood_is_refused_at_its_place() {
        let cases = [
            (
                "SELECT * FROM t TABLESAMPLE BERNOULLI (10)",
                "NOT_SUPPORTED: line 1:15: TABLESAMPLE is not supported",
            ),
            (
                "SELECT a ILIKE 'x' FROM t",
                "NOT_SUPPORTED: line 1:8: ILIKE",
            ),
            (
                "SELECT 1 FROM UNNEST(a) WITH ORDINALITY",
                "NOT_SUPPORTED: line 1:",
            ),
            (
                "SELECT if(a) FROM t",
                "FUNCTION_NOT_FOUND: line 1:8: function if takes 2 or 3 arguments",
            ),
        ];
        for (text, expected) in cases {
            let error = rewritten(text).expect_err(text).to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
