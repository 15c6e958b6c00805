//! Customer managed policies.

use jiff::Timestamp;

use super::document::{self, Kind};
use super::store::{FORMAT, Policy, State, key};
use super::{
    PageRequest, conflict, encoded, no_such_entity, path, policy_name, required, tags, write_tags,
};
use crate::aws_query::{Params, QueryError, Xml};
use crate::lake::Inner;
use crate::limits;
use crate::signature::random_id;
use crate::streams::Violations;

const VERSION: &str = "v1";

/// `CreatePolicy`.
pub fn create(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let mut violations = Violations::default();
    let name = policy_name(params, &mut violations);
    let document = required(
        params,
        ("PolicyDocument", "policyDocument"),
        &mut violations,
    );
    let description = params.get("Description");
    if let Some(description) = description {
        violations.length(description, "description", (0, limits::DESCRIPTION_CHARS));
    }
    let path = path(params, &mut violations);
    let tags = tags(params, &mut violations);
    QueryError::check(violations)?;
    document::check(document, Kind::Permissions)?;
    let (_, _, most) = limits::POLICY_CHARS;
    if document::length(document) > most {
        let message = format!("Cannot exceed quota for PolicySize: {most}");
        return Err(conflict("LimitExceeded", message));
    }
    let policy = Policy {
        format: FORMAT,
        name: name.to_owned(),
        id: format!("ANPA{}", random_id(17)),
        path,
        created: Timestamp::now(),
        document: document.to_owned(),
        description: description.map(str::to_owned),
        tags,
    };
    lake.identities
        .change_policy(name, |state, present| match present {
            Some(_) => {
                let message = format!(
                    "A policy called {name} already exists. Duplicate names are not allowed."
                );
                Err(conflict("EntityAlreadyExists", message))
            }
            None if state.policies.len() >= limits::POLICIES => {
                let message = format!(
                    "Cannot exceed quota for PoliciesPerAccount: {}",
                    limits::POLICIES
                );
                Err(conflict("LimitExceeded", message))
            }
            None => Ok(Some(policy.clone())),
        })?;
    let mut xml = Xml::default();
    write(lake, &mut xml, ("Policy", &policy, 0));
    Ok(xml)
}

/// `GetPolicy`.
pub fn get(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let policy = named(lake, params)?;
    let attachments = attachments(
        &lake.identities.read(),
        &policy.arn(&lake.options.account_id),
    );
    let mut xml = Xml::default();
    write(lake, &mut xml, ("Policy", &policy, attachments));
    Ok(xml)
}

/// `GetPolicyVersion`.
pub fn get_version(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let policy = named(lake, params)?;
    let mut violations = Violations::default();
    let version = required(params, ("VersionId", "versionId"), &mut violations);
    QueryError::check(violations)?;
    if version != VERSION {
        let arn = policy.arn(&lake.options.account_id);
        return Err(no_such_entity(format!(
            "Policy {arn} version {version} does not exist or is not attachable."
        )));
    }
    let mut xml = Xml::default();
    xml.open("PolicyVersion");
    xml.text("Document", &encoded(&policy.document));
    xml.text("VersionId", VERSION);
    xml.text("IsDefaultVersion", "true");
    xml.time("CreateDate", policy.created);
    xml.close("PolicyVersion");
    Ok(xml)
}

/// `ListPolicies`: by name. Those of AWS itself are not kept here.
pub fn list(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let page = PageRequest::parse(params)?;
    let prefix = params.get("PathPrefix").unwrap_or("/");
    let ours = params.get("Scope") != Some("AWS");
    let only_attached = params.get("OnlyAttached") == Some("true");
    let state = lake.identities.read();
    let policies = state.policies.iter().filter_map(|(key, policy)| {
        let count = attachments(&state, &policy.arn(&lake.options.account_id));
        let wanted = ours && policy.path.starts_with(prefix) && (count > 0 || !only_attached);
        wanted.then(|| (key.clone(), (policy, count)))
    });
    Ok(
        page.write(("Policies", policies), |xml, _, (policy, count)| {
            write(lake, xml, ("member", policy, *count));
        }),
    )
}

/// `DeletePolicy`: of one that no role has.
pub fn delete(lake: &Inner, params: &Params) -> Result<(), QueryError> {
    let policy = named(lake, params)?;
    let arn = policy.arn(&lake.options.account_id);
    lake.identities
        .change_policy(&policy.name, |state, present| match present {
            None => Err(no_such_entity(format!("Policy {arn} was not found."))),
            Some(_) if attachments(state, &arn) > 0 => Err(conflict(
                "DeleteConflict",
                "Cannot delete a policy attached to entities.",
            )),
            Some(_) => Ok(None),
        })
}

/// The policy that a request names by its ARN.
fn named(lake: &Inner, params: &Params) -> Result<Policy, QueryError> {
    let mut violations = Violations::default();
    let arn = required(params, ("PolicyArn", "policyArn"), &mut violations);
    violations.length(arn, "policyArn", limits::ASSUMED_ROLE_ARN_CHARS);
    QueryError::check(violations)?;
    let state = lake.identities.read();
    let policy = name_in(arn).and_then(|name| state.policies.get(&key(name)));
    let policy = policy.filter(|policy| policy.arn(&lake.options.account_id) == arn);
    policy
        .cloned()
        .ok_or_else(|| no_such_entity(format!("Policy {arn} was not found.")))
}

/// The name in a policy's ARN.
pub fn name_in(arn: &str) -> Option<&str> {
    let (_, path) = arn.split_once(":policy/")?;
    path.rsplit('/').next()
}

fn attachments(state: &State, arn: &str) -> usize {
    state
        .roles
        .values()
        .filter(|role| role.attached.contains(arn))
        .count()
}

fn write(lake: &Inner, xml: &mut Xml, (element, policy, attachments): (&str, &Policy, usize)) {
    xml.open(element);
    xml.text("PolicyName", &policy.name);
    xml.text("PolicyId", &policy.id);
    xml.text("Arn", &policy.arn(&lake.options.account_id));
    xml.text("Path", &policy.path);
    xml.text("DefaultVersionId", VERSION);
    xml.text("AttachmentCount", &attachments.to_string());
    xml.text("PermissionsBoundaryUsageCount", "0");
    xml.text("IsAttachable", "true");
    if let Some(description) = &policy.description {
        xml.text("Description", description);
    }
    xml.time("CreateDate", policy.created);
    xml.time("UpdateDate", policy.created);
    write_tags(xml, &policy.tags);
    xml.close(element);
}
