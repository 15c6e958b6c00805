//! IAM's wire face: the query protocol. Roles and policies are kept and answered; nothing is enforced by them.
//!
//! Who has the lake's keys may do everything; the one thing that looks at a role is
//! [AssumeRoleWithWebIdentity](crate::sts). Served is what a log path's set-up calls: roles, their inline policies, managed
//! policies and attaching them. IAM is global: requests may be signed for any region.

mod document;
mod policies;
mod role_policies;
mod roles;
mod store;

use http::{Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::Body;

use crate::aws_query::{self, Dialect, Params, QueryError, Xml};
use crate::lake::Inner;
use crate::limits;
use crate::streams::Violations;
use crate::sts::{is_name, unknown_action};

pub use store::{Identities, Role};

/// How IAM answers.
pub const DIALECT: Dialect = Dialect {
    namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
    version: "2010-05-08",
};

/// What is left as it is of policies in answers, which are encoded as URLs are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Answers a request whose signature was verified; `id` is what the answer calls it.
pub fn call(lake: &Inner, params: &Params, id: &str) -> Result<Response<Body>, QueryError> {
    let action = params.get("Action").unwrap_or_default();
    let result = match action {
        "CreateRole" => roles::create(lake, params).map(Some),
        "GetRole" => roles::get(lake, params).map(Some),
        "ListRoles" => roles::list(lake, params).map(Some),
        "UpdateAssumeRolePolicy" => roles::update_trust(lake, params).map(|()| None),
        "DeleteRole" => roles::delete(lake, params).map(|()| None),
        "PutRolePolicy" => role_policies::put(lake, params).map(|()| None),
        "GetRolePolicy" => role_policies::get(lake, params).map(Some),
        "ListRolePolicies" => role_policies::list(lake, params).map(Some),
        "DeleteRolePolicy" => role_policies::delete(lake, params).map(|()| None),
        "AttachRolePolicy" => role_policies::attach(lake, params).map(|()| None),
        "DetachRolePolicy" => role_policies::detach(lake, params).map(|()| None),
        "ListAttachedRolePolicies" => role_policies::list_attached(lake, params).map(Some),
        "CreatePolicy" => policies::create(lake, params).map(Some),
        "GetPolicy" => policies::get(lake, params).map(Some),
        "GetPolicyVersion" => policies::get_version(lake, params).map(Some),
        "ListPolicies" => policies::list(lake, params).map(Some),
        "DeletePolicy" => policies::delete(lake, params).map(|()| None),
        other => Err(unknown_action(other, DIALECT)),
    };
    result.map(|result| aws_query::answer(DIALECT, action, result, id))
}

/// A parameter that has to be there.
fn required<'p>(
    params: &'p Params,
    (name, path): (&str, &str),
    violations: &mut Violations,
) -> &'p str {
    match params.get(name) {
        Some(value) => value,
        None => {
            violations.add_missing(path);
            ""
        }
    }
}

/// The name of a role.
fn role_name<'p>(params: &'p Params, violations: &mut Violations) -> &'p str {
    let name = required(params, ("RoleName", "roleName"), violations);
    check_name(name, "roleName", limits::ROLE_NAME_CHARS, violations);
    name
}

/// The name of a policy.
fn policy_name<'p>(params: &'p Params, violations: &mut Violations) -> &'p str {
    let name = required(params, ("PolicyName", "policyName"), violations);
    check_name(name, "policyName", limits::POLICY_NAME_CHARS, violations);
    name
}

fn check_name(name: &str, path: &str, most: usize, violations: &mut Violations) {
    if !name.is_empty() {
        violations.length(name, path, (1, most));
        violations.pattern(name, path, r"[\w+=,.@-]+", is_name);
    }
}

/// The path of a role or policy: `/`, or something between slashes.
fn path(params: &Params, violations: &mut Violations) -> String {
    let path = params.get("Path").unwrap_or("/");
    violations.length(path, "path", (1, limits::IAM_PATH_CHARS));
    violations.pattern(
        path,
        "path",
        r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)",
        |path| {
            let printable = path.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
            printable && path.starts_with('/') && path.ends_with('/')
        },
    );
    path.to_owned()
}

/// Where a listing begins, and how much of it is wanted.
struct PageRequest {
    after: String,
    limit: usize,
}

impl PageRequest {
    fn parse(params: &Params) -> Result<Self, QueryError> {
        let mut violations = Violations::default();
        let (most, usual) = limits::LISTED_IDENTITIES;
        let limit = params.number(("MaxItems", "maxItems"), (1, most, usual), &mut violations);
        QueryError::check(violations)?;
        let marker = params.get("Marker").unwrap_or_default();
        let after = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(marker).ok();
        let after = after.and_then(|after| String::from_utf8(after).ok());
        Ok(Self {
            after: after.ok_or_else(|| QueryError::validation("Invalid Marker."))?,
            limit: limit as usize,
        })
    }

    /// Writes a page of `entries`, which are ordered by their names, and whether it is the last.
    fn write<T>(
        &self,
        (list, entries): (&str, impl Iterator<Item = (String, T)>),
        mut write: impl FnMut(&mut Xml, &str, &T),
    ) -> Xml {
        let mut xml = Xml::default();
        let mut entries = entries.filter(|(name, _)| *name > self.after);
        let mut last = String::new();
        xml.open(list);
        for (name, entry) in entries.by_ref().take(self.limit) {
            write(&mut xml, &name, &entry);
            last = name;
        }
        xml.close(list);
        let truncated = entries.next().is_some();
        xml.text("IsTruncated", if truncated { "true" } else { "false" });
        if truncated {
            xml.text(
                "Marker",
                &base64_simd::URL_SAFE_NO_PAD.encode_to_string(last),
            );
        }
        xml
    }
}

fn encoded(policy: &str) -> String {
    utf8_percent_encode(policy, ENCODED).to_string()
}

fn write_tags(xml: &mut Xml, tags: &std::collections::BTreeMap<String, String>) {
    if tags.is_empty() {
        return;
    }
    xml.open("Tags");
    for (key, value) in tags {
        xml.open("member");
        xml.text("Key", key);
        xml.text("Value", value);
        xml.close("member");
    }
    xml.close("Tags");
}

/// The tags of a request that creates something.
fn tags(
    params: &Params,
    violations: &mut Violations,
) -> std::collections::BTreeMap<String, String> {
    let tags = params.tags("Tags");
    for (key, value) in &tags {
        violations.length(key, "tags", (1, limits::TAG_KEY_CHARS));
        violations.length(value, "tags", (0, limits::TAG_VALUE_CHARS));
    }
    if tags.len() > limits::TAGS {
        let constraint = format!(
            "Member must have length less than or equal to {}",
            limits::TAGS
        );
        violations.add_unshown("tags", &constraint);
    }
    tags
}

fn no_such_entity(message: impl Into<String>) -> QueryError {
    QueryError::new(StatusCode::NOT_FOUND, "NoSuchEntity", message)
}

fn no_such_role(name: &str) -> QueryError {
    no_such_entity(format!("The role with name {name} cannot be found."))
}

fn conflict(code: &'static str, message: impl Into<String>) -> QueryError {
    QueryError::new(StatusCode::CONFLICT, code, message)
}

impl From<std::io::Error> for QueryError {
    fn from(error: std::io::Error) -> Self {
        QueryError::unavailable(format!("the change cannot be stored: {error}"))
    }
}
