//! Policies as documents: what IAM refuses to keep.

use http::StatusCode;
use serde_json::Value;

use crate::aws_query::QueryError;

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Says who may assume a role.
    Trust,
    /// Says what may be done.
    Permissions,
}

/// Checks that a document is a policy.
pub fn check(document: &str, kind: Kind) -> Result<(), QueryError> {
    let invalid_json = match kind {
        Kind::Trust => "This policy contains invalid Json",
        Kind::Permissions => "Syntax errors in policy.",
    };
    let policy: Value = serde_json::from_str(document).map_err(|_| malformed(invalid_json))?;
    let policy = policy.as_object().ok_or_else(|| malformed(invalid_json))?;
    let known = ["Version", "Id", "Statement"];
    if policy.keys().any(|key| !known.contains(&key.as_str())) {
        return Err(malformed("Syntax errors in policy."));
    }
    match policy.get("Version").map(Value::as_str) {
        None | Some(Some("2012-10-17" | "2008-10-17")) => {}
        Some(_) => return Err(malformed("The policy must contain a valid version string.")),
    }
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return Err(malformed("Syntax errors in policy.")),
    };
    statements
        .into_iter()
        .try_for_each(|statement| check_statement(statement, kind))
}

fn check_statement(statement: &Value, kind: Kind) -> Result<(), QueryError> {
    let statement = statement
        .as_object()
        .ok_or_else(|| malformed("Syntax errors in policy."))?;
    let has = |name: &str| statement.contains_key(name);
    if !matches!(
        statement.get("Effect").and_then(Value::as_str),
        Some("Allow" | "Deny")
    ) {
        return Err(malformed("Syntax errors in policy."));
    }
    if has("Action") == has("NotAction") {
        return Err(malformed("Policy statement must contain actions."));
    }
    let actions = texts(statement.get("Action").or(statement.get("NotAction")))
        .filter(|actions| !actions.is_empty())
        .ok_or_else(|| malformed("Syntax errors in policy."))?;
    match kind {
        Kind::Trust => {
            if !has("Principal") && !has("NotPrincipal") {
                return Err(malformed("Missing required field Principal"));
            }
            if has("Resource") || has("NotResource") {
                return Err(malformed("Has prohibited field Resource"));
            }
            let is_sts = |action: &&str| {
                action
                    .get(..4)
                    .is_some_and(|start| start.eq_ignore_ascii_case("sts:"))
            };
            if !actions.iter().all(is_sts) {
                return Err(malformed(
                    "AssumeRole policy may only specify STS AssumeRole actions.",
                ));
            }
        }
        Kind::Permissions => {
            if has("Principal") || has("NotPrincipal") {
                return Err(malformed("Policy document should not specify a principal."));
            }
            if has("Resource") == has("NotResource") {
                return Err(malformed("Policy statement must contain resources."));
            }
            if texts(statement.get("Resource").or(statement.get("NotResource"))).is_none() {
                return Err(malformed("Syntax errors in policy."));
            }
            let has_vendor = |action: &&str| {
                *action == "*"
                    || action
                        .split_once(':')
                        .is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty())
            };
            if !actions.iter().all(has_vendor) {
                let message =
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
                return Err(malformed(message));
            }
        }
    }
    Ok(())
}

/// One text, or each of several.
fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    match value? {
        Value::String(one) => Some(vec![one]),
        Value::Array(several) => several.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// How long a policy is to IAM: white space does not count.
pub fn length(document: &str) -> usize {
    document.chars().filter(|one| !one.is_whitespace()).count()
}

fn malformed(message: &'static str) -> QueryError {
    QueryError::new(StatusCode::BAD_REQUEST, "MalformedPolicyDocument", message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documents_are_refused_for_what_is_wrong_with_them() {
        let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"firehose.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
        let permissions =
            r#"{"Statement":[{"Effect":"Allow","Action":["s3:PutObject","*"],"Resource":"*"}]}"#;
        assert_eq!(check(trust, Kind::Trust), Ok(()));
        assert_eq!(check(permissions, Kind::Permissions), Ok(()));
        for (document, kind, told) in [
            ("", Kind::Trust, "invalid Json"),
            ("[]", Kind::Trust, "invalid Json"),
            ("{", Kind::Permissions, "Syntax errors"),
            ("{}", Kind::Permissions, "Syntax errors"),
            (r#"{"Statement":[]}"#, Kind::Permissions, "Syntax errors"),
            (permissions, Kind::Trust, "Principal"),
            (trust, Kind::Permissions, "should not specify a principal"),
            (
                &trust.replace("2012-10-17", "2012-10-18"),
                Kind::Trust,
                "version",
            ),
            (
                &trust.replace("sts:AssumeRole", "s3:PutObject"),
                Kind::Trust,
                "STS",
            ),
            (
                &trust.replace("\"Principal\"", "\"Resource\":\"*\",\"Principal\""),
                Kind::Trust,
                "Resource",
            ),
            (
                &trust.replace("Allow", "Perhaps"),
                Kind::Trust,
                "Syntax errors",
            ),
            (
                &permissions.replace("s3:PutObject", "PutObject"),
                Kind::Permissions,
                "vendor",
            ),
            (
                &permissions.replace(",\"Resource\":\"*\"", ""),
                Kind::Permissions,
                "resources",
            ),
            (
                &permissions.replace("\"Resource\":\"*\"", "\"Resource\":1"),
                Kind::Permissions,
                "Syntax errors",
            ),
            (
                &permissions.replace("Action", "NoAction"),
                Kind::Permissions,
                "actions",
            ),
            (
                &permissions.replace("Statement", "Statements"),
                Kind::Permissions,
                "Syntax errors",
            ),
        ] {
            let error = check(document, kind).unwrap_err();
            assert_eq!(error.code, "MalformedPolicyDocument");
            assert!(
                error.message.contains(told),
                "{document}: {}",
                error.message
            );
        }
    }

    proptest! {
        #[test]
        fn no_document_is_too_strange(document: String) {
            let _ = check(&document, Kind::Trust);
            let _ = check(&document, Kind::Permissions);
        }
    }
}
