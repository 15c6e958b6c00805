//! Functions that are other expressions in disguise: `if` is a `CASE`, `max_by` an ordered `first_value`.
//!
//! Everything here is decided by the name and the number of arguments alone. Functions whose meaning
//! depends on the types of their arguments are in [`crate::functions`].

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, Ident, LambdaFunction, ObjectName, OrderByExpr,
    OrderByOptions, UnaryOperator, Value, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;

/// Names of Trino's that are spelt otherwise by DataFusion and mean the same.
const RENAMED: [(&str, &str); 16] = [
    ("arbitrary", "any_value"),
    ("every", "bool_and"),
    ("bitwise_and_agg", "bit_and"),
    ("bitwise_or_agg", "bit_or"),
    ("bitwise_xor_agg", "bit_xor"),
    ("listagg", "string_agg"),
    ("variance", "var_samp"),
    ("transform", "array_transform"),
    ("filter", "array_filter"),
    ("any_match", "array_any_match"),
    ("array_average", "array_avg"),
    ("row", "struct"),
    ("ceiling", "ceil"),
    ("power", "pow"),
    ("rand", "random"),
    ("substring", "substr"),
];

/// Functions that count with numbers without sign in DataFusion, which mix badly with others.
const UNSIGNED: [&str; 6] = [
    "row_number",
    "rank",
    "dense_rank",
    "ntile",
    "approx_distinct",
    "array_position",
];

/// Digests that DataFusion has under one name.
const DIGESTS: [&str; 3] = ["md5", "sha256", "sha512"];

/// A call of a function that the registry or DataFusion knows.
pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Function(function(name, args))
}

fn function(name: &str, args: Vec<Expr>) -> Function {
    let args = args
        .into_iter()
        .map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)))
        .collect();
    Function {
        name: ObjectName::from(vec![Ident::with_quote('"', name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }
}

/// What a call is rewritten to; nothing if it stays. The error is the message for the user.
pub(super) fn rewrite_call(function: &mut Function) -> Result<Option<Expr>, String> {
    let Some(name) = simple_name(&function.name) else {
        return Ok(None);
    };
    if let Some(clock) = clock(&name, &function.args) {
        return Ok(Some(clock));
    }
    if UNSIGNED.contains(&name.as_str()) {
        return Ok(Some(call(
            "cast(bigint)",
            vec![Expr::Function(function.clone())],
        )));
    }
    if let Some((_, renamed)) = RENAMED.iter().find(|(trino, _)| *trino == name) {
        set_name(function, renamed);
    }
    let Some(args) = plain_args(&function.args) else {
        return Ok(None);
    };
    match (name.as_str(), args.as_slice()) {
        ("if", [condition, then]) => Ok(Some(case(condition, then, None))),
        ("if", [condition, then, otherwise]) => Ok(Some(case(condition, then, Some(otherwise)))),
        ("if", _) => Err("function if takes 2 or 3 arguments".into()),
        ("try", [tried]) => Ok(Some(null_instead_of_error(tried))),
        ("date", [value]) => Ok(Some(call("cast(date)", vec![value.clone()]))),
        (digest, [value]) if DIGESTS.contains(&digest) => {
            Ok(Some(call("digest", vec![value.clone(), text(digest)])))
        }
        ("array_sort", [array]) => {
            // NULLs come last, as in every order of Trino's.
            Ok(Some(call(
                "array_sort",
                vec![array.clone(), text("ASC"), text("NULLS LAST")],
            )))
        }
        ("array_sort", _) => Err("function array_sort is supported with 1 argument".into()),
        ("mod", [left, right]) => Ok(Some(binary(left, BinaryOperator::Modulo, right))),
        ("all_match" | "none_match", [array, Expr::Lambda(lambda)]) => {
            Ok(Some(no_match(&name, array, lambda)))
        }
        ("count_if", [condition]) => {
            let one = case(condition, &number("1"), None);
            Ok(Some(aggregate(function, "count", vec![one])))
        }
        ("approx_percentile", [value, Expr::Array(percentages)]) => {
            let each = |percentage: &Expr| {
                let args = vec![value.clone(), percentage.clone()];
                aggregate(function, "approx_percentile_cont", args)
            };
            Ok(Some(Expr::Array(datafusion::sql::sqlparser::ast::Array {
                elem: percentages.elem.iter().map(each).collect(),
                named: true,
            })))
        }
        ("approx_percentile", [value, percentage]) => {
            let args = vec![value.clone(), percentage.clone()];
            Ok(Some(aggregate(function, "approx_percentile_cont", args)))
        }
        ("approx_percentile", [value, weight, percentage]) => {
            let args = vec![value.clone(), weight.clone(), percentage.clone()];
            Ok(Some(aggregate(
                function,
                "approx_percentile_cont_with_weight",
                args,
            )))
        }
        ("approx_percentile", _) => Err("function approx_percentile takes 2 or 3 arguments".into()),
        ("max_by", [value, by]) => Ok(Some(extreme_by(function, value, by, false))),
        ("min_by", [value, by]) => Ok(Some(extreme_by(function, value, by, true))),
        ("max_by" | "min_by", _) => Err(format!("function {name} is supported with 2 arguments")),
        ("max" | "min", [_, _]) => Err(format!("function {name} is supported with 1 argument")),
        ("listagg", _) => {
            // The order stands behind the arguments in Trino and among them in DataFusion.
            let order = std::mem::take(&mut function.within_group);
            if !order.is_empty()
                && let FunctionArguments::List(list) = &mut function.args
            {
                list.clauses.push(FunctionArgumentClause::OrderBy(order));
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// The functions of the current time, with and without parentheses.
fn clock(name: &str, args: &FunctionArguments) -> Option<Expr> {
    let no_args = match args {
        FunctionArguments::None => true,
        FunctionArguments::List(list) => list.args.is_empty(),
        FunctionArguments::Subquery(_) => false,
    };
    let now = || vec![call("now", Vec::new())];
    match name {
        "now" | "current_timestamp" if no_args => {
            Some(call("cast(timestamp with time zone)", now()))
        }
        "localtimestamp" if no_args => Some(call("cast(timestamp)", now())),
        _ => None,
    }
}

pub(super) fn simple_name(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(|ident| ident.value.clone()),
        _ => None,
    }
}

fn set_name(function: &mut Function, name: &str) {
    let span = function
        .name
        .0
        .first()
        .and_then(|part| part.as_ident())
        .map(|ident| ident.span);
    let mut ident = Ident::with_quote('"', name);
    if let Some(span) = span {
        ident.span = span;
    }
    function.name = ObjectName::from(vec![ident]);
}

fn plain_args(args: &FunctionArguments) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = args else {
        return None;
    };
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(plain).collect()
}

/// A call of another aggregate with the same `OVER`, `FILTER` and `DISTINCT`.
fn aggregate(from: &Function, name: &str, args: Vec<Expr>) -> Expr {
    let mut call = function(name, args);
    call.filter.clone_from(&from.filter);
    call.over.clone_from(&from.over);
    if let (FunctionArguments::List(new), FunctionArguments::List(old)) =
        (&mut call.args, &from.args)
    {
        new.duplicate_treatment = old.duplicate_treatment;
    }
    Expr::Function(call)
}

/// The value of the row where `by` is largest or smallest: the first one in that order that has a `by`.
fn extreme_by(from: &Function, value: &Expr, by: &Expr, ascending: bool) -> Expr {
    let mut call = function("first_value", vec![value.clone()]);
    let has_by = Expr::IsNotNull(Box::new(Expr::Nested(Box::new(by.clone()))));
    let filter = match &from.filter {
        Some(filter) => binary(&Expr::Nested(filter.clone()), BinaryOperator::And, &has_by),
        None => has_by,
    };
    call.filter = Some(Box::new(filter));
    call.over.clone_from(&from.over);
    if let FunctionArguments::List(list) = &mut call.args {
        list.clauses
            .push(FunctionArgumentClause::OrderBy(vec![OrderByExpr {
                expr: by.clone(),
                options: OrderByOptions {
                    asc: Some(ascending),
                    nulls_first: Some(false),
                },
                with_fill: None,
            }]));
    }
    Expr::Function(call)
}

fn case(condition: &Expr, then: &Expr, otherwise: Option<&Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition: condition.clone(),
            result: then.clone(),
        }],
        else_result: otherwise.map(|expr| Box::new(expr.clone())),
    }
}

/// `all_match(a, x -> p)` is: no element for which p is not true. `none_match`: none for which it is.
fn no_match(name: &str, array: &Expr, lambda: &LambdaFunction) -> Expr {
    let mut lambda = lambda.clone();
    if name == "all_match" {
        lambda.body = Box::new(not(Expr::Nested(lambda.body)));
    }
    not(call(
        "array_any_match",
        vec![array.clone(), Expr::Lambda(lambda)],
    ))
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(expr),
    }
}

pub(super) fn binary(left: &Expr, op: BinaryOperator, right: &Expr) -> Expr {
    let operand = |expr: &Expr| Box::new(Expr::Nested(Box::new(expr.clone())));
    Expr::Nested(Box::new(Expr::BinaryOp {
        left: operand(left),
        op,
        right: operand(right),
    }))
}

pub(super) fn number(digits: &str) -> Expr {
    Expr::Value(Value::Number(digits.to_owned(), false).into())
}

fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).into())
}

/// `try(x)`: casts in it give NULL instead of an error, and so do divisions by zero.
fn null_instead_of_error(tried: &Expr) -> Expr {
    let mut tried = tried.clone();
    let _ = tried.visit(&mut Softener);
    Expr::Nested(Box::new(tried))
}

struct Softener;

impl VisitorMut for Softener {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => {
                if let Some(name) =
                    simple_name(&function.name).filter(|name| name.starts_with("cast("))
                {
                    set_name(function, &format!("try_{name}"));
                }
            }
            Expr::BinaryOp {
                op: BinaryOperator::Divide | BinaryOperator::Modulo,
                right,
                ..
            } => {
                let divisor = std::mem::replace(right.as_mut(), Expr::Value(Value::Null.into()));
                **right = call("nullif", vec![divisor, number("0")]);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
