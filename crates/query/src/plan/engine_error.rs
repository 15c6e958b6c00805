//! DataFusion's errors in Athena's words.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{Column, DataFusionError, Diagnostic, SchemaError};

use crate::error::{Error, ErrorKind, Position, did_you_mean};
use crate::trino::Rewritten;

/// Turns an error of planning or running a query into ours. `found` knows where the query names things.
pub(crate) fn translate(error: DataFusionError, found: &Rewritten) -> Error {
    let error = translated(&error, None, found);
    if error.position().is_some() || error.kind() != ErrorKind::FunctionNotFound {
        return error;
    }
    let function = error
        .message()
        .split("for function ")
        .nth(1)
        .and_then(|rest| rest.split('.').next());
    let position = function.and_then(|name| found.functions.get(name)).copied();
    error.with_position(position)
}

fn translated(
    error: &DataFusionError,
    diagnostic: Option<&Diagnostic>,
    found: &Rewritten,
) -> Error {
    match error {
        DataFusionError::External(inner) => external(inner.as_ref(), diagnostic, found),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            translated(inner, Some(diagnostic), found)
        }
        DataFusionError::Context(_, inner) => translated(inner, diagnostic, found),
        DataFusionError::Shared(inner) => translated(inner, diagnostic, found),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => translated(first, diagnostic, found),
            None => Error::new(ErrorKind::Internal, "no error in a collection of errors"),
        },
        DataFusionError::SchemaError(fault, _) => schema_error(fault, diagnostic, found),
        DataFusionError::ArrowError(fault, _) => arrow_error(fault, diagnostic, found),
        DataFusionError::Plan(message) => plan_error(message, diagnostic),
        DataFusionError::NotImplemented(message) => {
            Error::new(ErrorKind::NotSupported, first_line(message))
        }
        DataFusionError::ResourcesExhausted(message) => {
            let help = "group or sort less at once, or give the query more memory";
            let message = format!("Query exceeded its memory limit: {}", first_line(message));
            Error::new(ErrorKind::ExceededMemoryLimit, message).with_help(help)
        }
        DataFusionError::Execution(message) => execution_error(message),
        DataFusionError::IoError(fault) => Error::io("run the query", fault),
        other => Error::new(ErrorKind::Internal, first_line(&other.strip_backtrace())),
    }
}

/// Our own errors travel through DataFusion boxed, sometimes inside of another error of its.
fn external(
    error: &(dyn std::error::Error + Send + Sync + 'static),
    diagnostic: Option<&Diagnostic>,
    found: &Rewritten,
) -> Error {
    if let Some(ours) = error.downcast_ref::<Error>() {
        return ours.clone();
    }
    match error.downcast_ref::<DataFusionError>() {
        Some(inner) => translated(inner, diagnostic, found),
        None => Error::new(ErrorKind::Internal, first_line(&error.to_string())),
    }
}

fn arrow_error(error: &ArrowError, diagnostic: Option<&Diagnostic>, found: &Rewritten) -> Error {
    match error {
        ArrowError::DivideByZero => Error::new(ErrorKind::DivisionByZero, "Division by zero"),
        ArrowError::ExternalError(inner) => external(inner.as_ref(), diagnostic, found),
        ArrowError::CastError(message) | ArrowError::ParseError(message) => {
            Error::new(ErrorKind::InvalidCastArgument, first_line(message))
        }
        ArrowError::ArithmeticOverflow(message) => {
            Error::new(ErrorKind::NumericValueOutOfRange, first_line(message))
        }
        other => Error::new(ErrorKind::Internal, first_line(&other.to_string())),
    }
}

fn schema_error(fault: &SchemaError, diagnostic: Option<&Diagnostic>, found: &Rewritten) -> Error {
    match fault {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => {
            let name = field.flat_name();
            let position = position(diagnostic).or_else(|| column_place(field, found));
            let help = did_you_mean(
                &field.name,
                valid_fields.iter().map(|valid| valid.name.as_str()),
            );
            Error::new(
                ErrorKind::SyntaxError,
                format!("Column '{name}' cannot be resolved"),
            )
            .with_position(position)
            .with_help_maybe(help)
        }
        SchemaError::AmbiguousReference { field } => {
            let position = position(diagnostic).or_else(|| column_place(field, found));
            Error::new(
                ErrorKind::SyntaxError,
                format!("Column '{}' is ambiguous", field.flat_name()),
            )
            .with_position(position)
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            let message = format!("Column '{name}' is there more than once");
            Error::new(ErrorKind::SyntaxError, message)
                .with_help("give one of them another name with AS")
        }
    }
}

fn column_place(column: &Column, found: &Rewritten) -> Option<Position> {
    found
        .columns
        .get(&column.flat_name())
        .or_else(|| found.columns.get(&column.name))
        .copied()
}

fn position(diagnostic: Option<&Diagnostic>) -> Option<Position> {
    let start = diagnostic?.span?.start;
    Some(Position {
        line: start.line as usize,
        column: start.column as usize,
    })
}

fn plan_error(message: &str, diagnostic: Option<&Diagnostic>) -> Error {
    let position = position(diagnostic);
    let message = first_line(message);
    if message.contains("GROUP BY") && message.contains("aggregate") {
        let column = message.split('"').nth(1).unwrap_or_default();
        let column = column.rsplit('.').next().unwrap_or_default();
        let message =
            format!("'{column}' must be an aggregate expression or appear in GROUP BY clause");
        return Error::new(ErrorKind::SyntaxError, message).with_position(position);
    }
    if message.contains("not allowed in the WHERE clause") {
        let message =
            "WHERE clause cannot contain aggregations, window functions or grouping operations";
        return Error::new(ErrorKind::SyntaxError, message)
            .with_position(position)
            .with_help("use HAVING");
    }
    if let Some(error) = bad_arguments(&message) {
        return error;
    }
    Error::new(ErrorKind::SyntaxError, message).with_position(position)
}

/// DataFusion's own functions complain about their arguments in several ways, all of them long.
fn bad_arguments(message: &str) -> Option<Error> {
    let complaint = message.contains("failed to match any signature")
        || message.contains("No function matches")
        || message.contains("to satisfy a call to")
        || message.contains("coercion failed");
    let name = message.split('\'').nth(1).filter(|_| complaint)?;
    let text = ["received String", "Utf8"]
        .iter()
        .any(|sign| message.contains(sign));
    let found = if text { " (varchar)" } else { "" };
    let error = Error::new(
        ErrorKind::FunctionNotFound,
        format!("Unexpected parameters{found} for function {name}"),
    );
    Some(if text {
        error.with_help("convert text to a number with CAST(… AS bigint) or CAST(… AS double)")
    } else {
        error
    })
}

fn execution_error(message: &str) -> Error {
    let message = first_line(message);
    if message.to_lowercase().contains("divide by zero") {
        return Error::new(ErrorKind::DivisionByZero, "Division by zero");
    }
    if message.starts_with("Scalar subquery returned more than one row") {
        return Error::new(
            ErrorKind::SubqueryMultipleRows,
            "Scalar sub-query has returned multiple rows",
        );
    }
    Error::new(ErrorKind::InvalidFunctionArgument, message)
}

/// Further lines are advice about DataFusion or a backtrace.
fn first_line(message: &str) -> String {
    message
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned()
}
