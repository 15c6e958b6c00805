//! What the columns of a result are called.
//!
//! DataFusion wants every column of a projection to have a name of its own; Trino does not. So columns
//! without a name, and second columns of the same name, get an internal name here, and [`Headers`]
//! remembers what to show instead.

use std::collections::{HashMap, HashSet};

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr,
};

/// The names to show for internal names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    /// Nothing stands for a column without a name.
    shown: HashMap<String, Option<String>>,
}

impl Headers {
    /// The heading of the column at `position` (from 0) whose internal name is `name`.
    pub(crate) fn heading(&self, name: &str, position: usize) -> String {
        match self.shown.get(name) {
            None => name.to_owned(),
            Some(Some(shown)) => shown.clone(),
            Some(None) => format!("_col{position}"),
        }
    }

    /// Whether the column was given a name in the query.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.shown.get(name) != Some(&None)
    }
}

/// Gives every column of a query a name of its own.
pub(super) fn name_columns(query: &mut Query) -> Headers {
    let mut headers = Headers::default();
    let mut renamed = Vec::new();
    name_body(&mut query.body, &mut headers, &mut renamed);
    if let Some(order_by) = &mut query.order_by
        && let OrderByKind::Expressions(orders) = &mut order_by.kind
    {
        for order in orders {
            // An expression of the select list is that column. A plain name is looked up among the names
            // of the result first, so it stays.
            if matches!(order.expr, Expr::Identifier(_)) {
                continue;
            }
            if let Some((_, name)) = renamed.iter().find(|(expr, _)| *expr == order.expr) {
                order.expr = Expr::Identifier(internal(name));
            }
        }
    }
    headers
}

/// The headings of a union are those of its first query.
fn name_body(body: &mut SetExpr, headers: &mut Headers, renamed: &mut Vec<(Expr, String)>) {
    match body {
        SetExpr::Select(select) => name_select(select, headers, renamed),
        SetExpr::SetOperation { left, right, .. } => {
            name_body(left, headers, renamed);
            name_body(right, &mut Headers::default(), &mut Vec::new());
        }
        SetExpr::Values(values) => {
            let columns = values.rows.first().map_or(0, |row| row.content.len());
            headers
                .shown
                .extend((1..=columns).map(|number| (format!("column{number}"), None)));
        }
        // Queries in parentheses are visited as queries of their own.
        _ => {}
    }
}

fn name_select(select: &mut Select, headers: &mut Headers, renamed: &mut Vec<(Expr, String)>) {
    let has_wildcard = select.projection.iter().any(|item| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    });
    let mut taken = HashSet::new();
    for (index, item) in select.projection.iter_mut().enumerate() {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = column_name(expr);
                let unique = name.as_ref().is_some_and(|name| taken.insert(name.clone()));
                // Beside a wildcard a plain column is there twice.
                if unique && !has_wildcard {
                    continue;
                }
                let internal_name = name
                    .as_ref()
                    .map_or_else(|| format!("_col{index}"), |name| format!("{name}${index}"));
                headers.shown.insert(internal_name.clone(), name.clone());
                if name.is_none() {
                    renamed.push((expr.clone(), internal_name.clone()));
                }
                *item = SelectItem::ExprWithAlias {
                    expr: expr.clone(),
                    alias: internal(&internal_name),
                };
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                if !taken.insert(alias.value.clone()) {
                    let internal_name = format!("{}${index}", alias.value);
                    headers
                        .shown
                        .insert(internal_name.clone(), Some(alias.value.clone()));
                    *alias = internal(&internal_name);
                } else {
                    renamed.push((expr.clone(), alias.value.clone()));
                }
            }
            _ => {}
        }
    }
}

/// The name that a column has without an alias: that of the column or field it stands for.
fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(name.value.clone()),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.clone()),
        Expr::Nested(inner) => column_name(inner),
        _ => None,
    }
}

fn internal(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trino::parse::{TrinoStatement, parse};

    /// The rewritten query and the headings that its own names stand for.
    fn named(text: &str) -> (String, Headers) {
        let TrinoStatement::Query(mut query) = parse(text).expect(text) else {
            panic!("no query")
        };
        let headers = name_columns(&mut query);
        (query.to_string(), headers)
    }

    #[test]
    fn only_columns_without_a_name_of_their_own_get_one() {
        let (text, headers) = named("SELECT a, t.b, count(*), c AS d FROM t GROUP BY 1");
        assert_eq!(
            text,
            r#"SELECT a, t.b, count(*) AS "_col2", c AS d FROM t GROUP BY 1"#
        );
        assert_eq!(headers.heading("_col2", 2), "_col2");
        assert_eq!(headers.heading("d", 3), "d");
        assert!(!headers.is_named("_col2") && headers.is_named("d"));
    }

    #[test]
    fn the_number_of_a_nameless_column_is_its_place_in_the_result() {
        let (text, headers) = named("SELECT *, 1 FROM t");
        assert_eq!(text, r#"SELECT *, 1 AS "_col1" FROM t"#);
        assert_eq!(headers.heading("_col1", 9), "_col9");
    }

    #[test]
    fn repeated_columns_are_told_apart_and_shown_alike() {
        let (text, headers) = named("SELECT a, a, b AS a FROM t");
        assert_eq!(text, r#"SELECT a, a AS "a$1", b AS "a$2" FROM t"#);
        assert_eq!(
            [headers.heading("a$1", 1), headers.heading("a$2", 2)],
            ["a", "a"]
        );
    }

    #[test]
    fn ordering_by_an_expression_of_the_select_list_means_that_column() {
        let (text, _) =
            named("SELECT DISTINCT lower(a), b + 1 AS c FROM t ORDER BY lower(a) DESC, b + 1, b");
        assert_eq!(
            text,
            r#"SELECT DISTINCT lower(a) AS "_col0", b + 1 AS c FROM t ORDER BY "_col0" DESC, "c", b"#
        );
        let (text, _) = named("SELECT a AS b, b AS a FROM t ORDER BY a");
        assert_eq!(text, "SELECT a AS b, b AS a FROM t ORDER BY a");
    }
}
