//! AssumeRoleWithWebIdentity: credentials for who has a token of an identity provider.

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Wanted, write_session};
use crate::aws_query::{Params, QueryError, Xml};
use crate::lake::Inner;
use crate::limits;
use crate::streams::Violations;

const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

/// What a token says of itself. Its signature is not verified.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: i64,
    /// One audience or several.
    aud: Option<Value>,
}

/// `AssumeRoleWithWebIdentity`.
pub fn assume_role(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let mut violations = Violations::default();
    let token = params.get("WebIdentityToken");
    match token {
        Some(token) => {
            violations.length(token, "webIdentityToken", limits::WEB_IDENTITY_TOKEN_CHARS);
        }
        None => violations.add_missing("webIdentityToken"),
    }
    let wanted = Wanted::parse(params, violations)?;
    let claims = Claims::read(token.unwrap_or_default())?;
    if claims.exp <= Timestamp::now().as_second() {
        let message = "Token expired: current date/time must be before the expiration date/time";
        return Err(QueryError::new(
            StatusCode::BAD_REQUEST,
            "ExpiredTokenException",
            message,
        ));
    }
    let role = wanted.role.find(lake);
    let role = role
        .filter(|role| is_trusted(&role.trust_policy, &claims))
        .ok_or_else(|| {
            let message = format!("Not authorized to perform {ACTION}");
            QueryError::new(StatusCode::FORBIDDEN, "AccessDenied", message)
        })?;
    let (issued, principal) = wanted.issue(lake, Some(&role))?;
    let mut xml = Xml::default();
    xml.text("SubjectFromWebIdentityToken", &claims.sub);
    if let Some(audience) = claims.audiences().first() {
        xml.text("Audience", audience);
    }
    xml.text("Provider", &claims.iss);
    write_session(&mut xml, &issued, Some(&principal));
    Ok(xml)
}

impl Claims {
    /// The claims of a JWT: the second of its three parts.
    fn read(token: &str) -> Result<Self, QueryError> {
        let mut parts = token.split('.');
        let claims = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(_), Some(claims), Some(_), None) => claims,
            _ => "",
        };
        let json = base64_simd::URL_SAFE_NO_PAD
            .decode_to_vec(claims.trim_end_matches('='))
            .ok();
        json.and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(|| {
            let message = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)";
            QueryError::new(StatusCode::BAD_REQUEST, "InvalidIdentityToken", message)
        })
    }

    fn audiences(&self) -> Vec<&str> {
        match &self.aud {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The provider as ARNs and condition keys name it: the issuer without scheme.
    fn provider(&self) -> &str {
        self.iss.strip_prefix("https://").unwrap_or(&self.iss)
    }

    /// The values of a condition key such as `oidc.example.com/id:sub`; `None` if it is not one of this provider.
    fn values(&self, key: &str) -> Option<Vec<&str>> {
        match key.strip_prefix(self.provider())?.strip_prefix(':')? {
            "sub" => Some(vec![&self.sub]),
            "aud" => Some(self.audiences()),
            _ => None,
        }
    }
}

/// Whether a trust policy lets in who has a token with these claims. What is not understood does not let in.
fn is_trusted(policy: &str, claims: &Claims) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return false;
    };
    let statements = each(policy.get("Statement"));
    let of_action = |statement: &&Value| {
        each(statement.get("Action"))
            .iter()
            .any(|action| is_action(action))
    };
    let has_effect = |statement: &Value, effect: &str| {
        statement.get("Effect").and_then(Value::as_str) == Some(effect)
    };
    let matching: Vec<&Value> = statements.into_iter().filter(of_action).collect();
    // One that denies under conditions is taken to deny.
    !matching
        .iter()
        .any(|statement| has_effect(statement, "Deny"))
        && matching.iter().any(|statement| {
            has_effect(statement, "Allow")
                && is_federated(statement, claims)
                && holds(statement, claims)
        })
}

fn is_action(action: &Value) -> bool {
    let action = action.as_str().unwrap_or_default();
    action == "*" || action.eq_ignore_ascii_case("sts:*") || action.eq_ignore_ascii_case(ACTION)
}

fn is_federated(statement: &Value, claims: &Claims) -> bool {
    let principal = statement
        .get("Principal")
        .and_then(|principal| principal.get("Federated"));
    each(principal)
        .iter()
        .filter_map(|one| one.as_str())
        .any(|one| {
            let name = one
                .split_once(":oidc-provider/")
                .map_or(one, |(_, name)| name);
            name == claims.provider()
        })
}

fn holds(statement: &Value, claims: &Claims) -> bool {
    let Some(conditions) = statement.get("Condition") else {
        return true;
    };
    let Some(conditions) = conditions.as_object() else {
        return false;
    };
    conditions.iter().all(|(operator, keys)| {
        let Some(keys) = keys.as_object() else {
            return false;
        };
        keys.iter().all(|(key, wanted)| {
            let wanted = each(Some(wanted));
            let mut wanted = wanted.iter().filter_map(|one| one.as_str());
            let Some(found) = claims.values(key) else {
                return false;
            };
            match operator.as_str() {
                "StringEquals" => wanted.any(|wanted| found.contains(&wanted)),
                "StringLike" => {
                    wanted.any(|wanted| found.iter().any(|found| is_like(wanted, found)))
                }
                _ => false,
            }
        })
    })
}

/// Whether `text` fits `pattern`, in which `*` is any text and `?` any character.
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where to go on if what follows the last star does not fit.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at + 1, from));
            at += 1;
        } else if pattern
            .get(at)
            .is_some_and(|one| *one == '?' || *one == text[from])
        {
            at += 1;
            from += 1;
        } else if let Some((behind, taken)) = star {
            star = Some((behind, taken + 1));
            (at, from) = (behind, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|one| *one == '*')
}

/// One value, or each of several.
fn each(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(several)) => several.iter().collect(),
        Some(one) => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_fit_as_they_do_in_iam() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a*", "abc", true),
            ("*c", "abcbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*:default:*", "system:default:fluent-bit", true),
            ("*:default:*", "system:other:fluent-bit", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(is_like(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn trust_is_what_a_policy_says() {
        let claims = Claims {
            iss: "https://oidc.example.com/id".to_owned(),
            sub: "system:serviceaccount:default:fluent-bit".to_owned(),
            exp: 0,
            aud: Some(json!(["sts.amazonaws.com"])),
        };
        let statement = |more: Value| {
            let mut statement = json!({
                "Effect": "Allow", "Action": ACTION,
                "Principal": { "Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.example.com/id" },
            });
            statement
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            statement
        };
        let key = "oidc.example.com/id:sub";
        let condition =
            |operator: &str, value: &str| json!({ "Condition": { operator: { key: value } } });
        for (statements, trusted) in [
            (statement(json!({})), true),
            (json!([statement(json!({}))]), true),
            (
                statement(json!({ "Action": ["sts:TagSession", "sts:AssumeRoleWithWebIdentity"] })),
                true,
            ),
            (statement(json!({ "Action": "sts:AssumeRole" })), false),
            (statement(json!({ "Effect": "Deny" })), false),
            (
                json!([statement(json!({})), statement(json!({ "Effect": "Deny" }))]),
                false,
            ),
            (
                statement(
                    json!({ "Principal": { "Federated": "arn:aws:iam::1:oidc-provider/other" } }),
                ),
                false,
            ),
            (
                statement(json!({ "Principal": { "Service": "firehose.amazonaws.com" } })),
                false,
            ),
            (statement(condition("StringEquals", &claims.sub)), true),
            (statement(condition("StringEquals", "other")), false),
            (
                statement(condition(
                    "StringLike",
                    "system:serviceaccount:*:fluent-bit",
                )),
                true,
            ),
            (statement(condition("StringNotEquals", "other")), false),
            (
                statement(
                    json!({ "Condition": { "StringEquals": { "oidc.example.com/id:aud": "sts.amazonaws.com" } } }),
                ),
                true,
            ),
            (
                statement(json!({ "Condition": { "StringEquals": { "aws:SourceIp": "x" } } })),
                false,
            ),
            (statement(json!({ "Condition": "x" })), false),
        ] {
            let policy = json!({ "Statement": statements }).to_string();
            assert_eq!(is_trusted(&policy, &claims), trusted, "{policy}");
        }
        assert!(!is_trusted("nonsense", &claims));
    }
}
