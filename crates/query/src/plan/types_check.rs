//! Comparisons and arithmetic that Trino refuses and DataFusion would answer by converting silently.
//!
//! Columns of log tables are mostly text, so `size > 1000` would compare texts: `'9'` would be more than
//! `'1000'`. Athena says that the types do not fit, and so do we.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::error::{Error, ErrorKind, Position};
use crate::types::sql_name;

use super::translate;

/// Checks the operands of `=`, `<`, `+` and the like when they are planned.
#[derive(Debug)]
pub(super) struct OperatorCheck;

impl ExprPlanner for OperatorCheck {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let kind = match expr.op {
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq => Operation::Comparison,
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo => Operation::Arithmetic,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        check(&expr.left, &expr.op.to_string(), &expr.right, kind, schema)?;
        Ok(PlannerResult::Original(expr))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Comparison,
    Arithmetic,
}

/// Sorts of types between which nothing is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Text,
    Number,
    Boolean,
    Time,
    Binary,
    Other,
}

fn sort_of(data_type: &DataType) -> Option<Sort> {
    Some(match data_type {
        DataType::Null => return None,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Sort::Text,
        DataType::Boolean => Sort::Boolean,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Sort::Binary,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Sort::Time,
        DataType::Interval(_) | DataType::Duration(_) => Sort::Other,
        number if number.is_numeric() => Sort::Number,
        _ => Sort::Other,
    })
}

fn check(
    left: &Expr,
    operator: &str,
    right: &Expr,
    operation: Operation,
    schema: &DFSchema,
) -> Result<()> {
    // A column that does not exist is reported when its name is looked up.
    let (Ok(left_type), Ok(right_type)) = (left.get_type(schema), right.get_type(schema)) else {
        return Ok(());
    };
    let (Some(left_sort), Some(right_sort)) = (sort_of(&left_type), sort_of(&right_type)) else {
        return Ok(());
    };
    let fits = match operation {
        Operation::Comparison => {
            left_sort == right_sort || left_sort == Sort::Other || right_sort == Sort::Other
        }
        Operation::Arithmetic => {
            let operand = |sort| !matches!(sort, Sort::Text | Sort::Boolean | Sort::Binary);
            operand(left_sort) && operand(right_sort)
        }
    };
    if fits {
        return Ok(());
    }
    let [left_name, right_name] =
        [(left, &left_type), (right, &right_type)].map(|(expr, found)| name_of(expr, found));
    let message = format!("Cannot apply operator: {left_name} {operator} {right_name}");
    let position = [left, right].into_iter().find_map(place);
    let error = Error::new(ErrorKind::TypeMismatch, message)
        .with_position(position)
        .with_help_maybe(advice([(left, left_sort), (right, right_sort)]));
    Err(DataFusionError::External(Box::new(error)))
}

/// Whole literals are called what Trino calls them.
fn name_of(expr: &Expr, data_type: &DataType) -> String {
    match expr {
        Expr::Literal(datafusion::common::ScalarValue::Int64(Some(value)), _)
            if i32::try_from(*value).is_ok() =>
        {
            "integer".into()
        }
        _ => sql_name(data_type),
    }
}

/// How to write the comparison of a text with something else.
fn advice(operands: [(&Expr, Sort); 2]) -> Option<String> {
    let [first, second] = operands;
    let ((text, _), (other, sort)) = if first.1 == Sort::Text {
        (first, second)
    } else {
        (second, first)
    };
    let Expr::Column(column) = text else {
        return (sort == Sort::Time).then(|| {
            "write the literal as DATE '2019-11-22' or TIMESTAMP '2019-11-22 13:01:02'".into()
        });
    };
    match (sort, other) {
        (Sort::Number, Expr::Literal(value, _)) => Some(format!(
            "write CAST({} AS bigint), or '{value}' to compare text",
            column.name
        )),
        (Sort::Number, _) => Some(format!("write CAST({} AS bigint)", column.name)),
        (Sort::Time, _) => Some(format!("write CAST({} AS timestamp)", column.name)),
        _ => None,
    }
}

fn place(expr: &Expr) -> Option<Position> {
    let span = expr.spans()?.first()?;
    Some(Position {
        line: span.start.line as usize,
        column: span.start.column as usize,
    })
}

/// Checks `BETWEEN` and `IN`, which the planner does not ask about.
pub(super) fn check_comparisons(plan: &LogicalPlan) -> Result<(), Error> {
    let checked = plan.apply_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                match part {
                    Expr::Between(between) => {
                        for limit in [&between.low, &between.high] {
                            check(
                                &between.expr,
                                "BETWEEN",
                                limit,
                                Operation::Comparison,
                                &schema,
                            )?;
                        }
                    }
                    Expr::InList(in_list) => {
                        for candidate in &in_list.list {
                            check(
                                &in_list.expr,
                                "IN",
                                candidate,
                                Operation::Comparison,
                                &schema,
                            )?;
                        }
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    checked
        .map(|_| ())
        .map_err(|error| translate(error, &crate::trino::Rewritten::default()))
}
