//! Long chains of operators. A parser makes `a OR b OR c …` a tree that is as deep as the chain is long, and DataFusion
//! takes the square of the depth to find the types of such a tree: thousands of alternatives, as generated statements
//! have them, would take minutes. Chains that may be grouped in any way become flat trees; others have a limit.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value};

/// Chains up to this length are left as they are.
const SHORT: usize = 32;
/// The longest chain of operators that cannot be regrouped.
pub(super) const LONGEST: usize = 1_000;

/// Regroups the chain that begins at `expr`. An error is the length of a chain that is too long.
pub(super) fn flatten(expr: &mut Expr) -> Result<(), usize> {
    let Expr::BinaryOp { op, .. } = &*expr else {
        return Ok(());
    };
    if !may_be_regrouped(op) {
        let length = left_depth(expr);
        return if length > LONGEST {
            Err(length)
        } else {
            Ok(())
        };
    }
    if left_depth(expr) > SHORT {
        let op = op.clone();
        let operands = operands(
            std::mem::replace(expr, Expr::Value(Value::Null.into())),
            &op,
        );
        *expr = grouped(operands, &op);
    }
    Ok(())
}

/// Whether `(a op b) op c` is `a op (b op c)` for all values, NULL included. Not so for numbers, which may overflow.
fn may_be_regrouped(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::And | BinaryOperator::Or | BinaryOperator::StringConcat
    )
}

/// How many operators there are one below the other, to the left.
fn left_depth(expr: &Expr) -> usize {
    let (mut depth, mut expr) = (0, expr);
    while let Expr::BinaryOp { left, .. } = expr {
        (depth, expr) = (depth + 1, left);
    }
    depth
}

/// What `op` joins, in order.
fn operands(expr: Expr, op: &BinaryOperator) -> Vec<Expr> {
    let (mut found, mut left_to_do) = (Vec::new(), vec![expr]);
    while let Some(next) = left_to_do.pop() {
        match next {
            Expr::BinaryOp {
                left,
                op: its_op,
                right,
            } if its_op == *op => {
                left_to_do.push(*right);
                left_to_do.push(*left);
            }
            other => found.push(other),
        }
    }
    found
}

/// A tree of least depth with `operands`, of which there is one at least, in order.
fn grouped(mut operands: Vec<Expr>, op: &BinaryOperator) -> Expr {
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut rest = operands.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => Expr::BinaryOp {
                    left: Box::new(left),
                    op: op.clone(),
                    right: Box::new(right),
                },
                None => left,
            });
        }
        operands = pairs;
    }
    operands
        .pop()
        .unwrap_or_else(|| Expr::Value(Value::Null.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::trino::{TrinoStatement, parse, rewrite};

    fn query(text: &str) -> Box<datafusion::sql::sqlparser::ast::Query> {
        match parse(text) {
            Ok(TrinoStatement::Query(query)) => query,
            other => panic!("{other:?}"),
        }
    }

    /// Statements are read and planned with room for deep ones, which a test's thread does not have.
    fn with_room(test: fn()) {
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        let outcome = thread.spawn(test).expect("a thread").join();
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    #[test]
    fn a_long_chain_keeps_its_order_and_its_text() {
        with_room(long_chains);
    }

    fn long_chains() {
        for (op, length) in [(" OR ", 33), (" AND ", 1_000), (" || ", 20_001)] {
            let names: Vec<String> = (0..length).map(|n| format!("c{n}")).collect();
            let text = format!("SELECT {} AS x", names.join(op));
            let mut query = query(&text);
            rewrite(&mut query).expect("rewritten");
            assert_eq!(query.to_string(), text);
        }
    }

    #[test]
    fn a_chain_that_cannot_be_regrouped_has_a_limit() {
        with_room(limit);
    }

    fn limit() {
        let sum = |length| format!("SELECT {}1 AS x", "1 + ".repeat(length));
        assert!(rewrite(&mut query(&sum(LONGEST))).is_ok());
        let error = rewrite(&mut query(&sum(LONGEST + 1))).expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::QueryTooLarge);
        assert_eq!(
            error.to_string(),
            "QUERY_TOO_LARGE: 1001 operators follow one another, at most 1000 may: put parts in parentheses or subqueries"
        );
    }
}
