//! The policies of roles: inline ones, and managed ones that are attached.

use super::document::{self, Kind};
use super::policies::name_in;
use super::store::{Role, State, key};
use super::{
    PageRequest, conflict, encoded, no_such_entity, no_such_role, policy_name, required, role_name,
};
use crate::aws_query::{Params, QueryError, Xml};
use crate::lake::Inner;
use crate::limits;
use crate::streams::Violations;

/// What the ARNs of AWS's own policies begin with. All of them are taken to exist.
const OF_AWS: &str = "arn:aws:iam::aws:policy/";

/// `PutRolePolicy`: adds a policy, or puts it in the place of the one of its name.
pub fn put(lake: &Inner, params: &Params) -> Result<(), QueryError> {
    let mut violations = Violations::default();
    let (name, policy) = (
        role_name(params, &mut violations),
        policy_name(params, &mut violations),
    );
    let document = required(
        params,
        ("PolicyDocument", "policyDocument"),
        &mut violations,
    );
    QueryError::check(violations)?;
    document::check(document, Kind::Permissions)?;
    change(lake, name, |_, role| {
        role.policies.insert(policy.to_owned(), document.to_owned());
        let (_, most, _) = limits::POLICY_CHARS;
        let size: usize = role
            .policies
            .values()
            .map(|policy| document::length(policy))
            .sum();
        match size <= most {
            true => Ok(()),
            false => {
                let message =
                    format!("Maximum policy size of {most} bytes exceeded for role {name}");
                Err(conflict("LimitExceeded", message))
            }
        }
    })
}

/// `GetRolePolicy`.
pub fn get(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let (name, policy) = both_names(params)?;
    let role = lake
        .identities
        .role(name)
        .ok_or_else(|| no_such_role(name))?;
    let document = role
        .policies
        .get(policy)
        .ok_or_else(|| no_such_policy(policy))?;
    let mut xml = Xml::default();
    xml.text("RoleName", &role.name);
    xml.text("PolicyName", policy);
    xml.text("PolicyDocument", &encoded(document));
    Ok(xml)
}

/// `ListRolePolicies`: the inline ones, by name.
pub fn list(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let (role, page) = listed(lake, params)?;
    let names = role.policies.into_keys().map(|name| (name, ()));
    Ok(page.write(("PolicyNames", names), |xml, name, ()| {
        xml.text("member", name)
    }))
}

/// `DeleteRolePolicy`.
pub fn delete(lake: &Inner, params: &Params) -> Result<(), QueryError> {
    let (name, policy) = both_names(params)?;
    change(lake, name, |_, role| {
        let removed = role.policies.remove(policy);
        removed.map(drop).ok_or_else(|| no_such_policy(policy))
    })
}

/// `AttachRolePolicy`. One that is attached already stays so.
pub fn attach(lake: &Inner, params: &Params) -> Result<(), QueryError> {
    let (name, arn) = name_and_arn(params)?;
    let account = &lake.options.account_id;
    change(lake, name, |state, role| {
        let exists = name_in(arn)
            .and_then(|policy| state.policies.get(&key(policy)))
            .is_some_and(|policy| policy.arn(account) == arn);
        if !exists && !arn.starts_with(OF_AWS) {
            let message = format!("Policy {arn} does not exist or is not attachable.");
            return Err(no_such_entity(message));
        }
        role.attached.insert(arn.to_owned());
        match role.attached.len() <= limits::ATTACHED_POLICIES {
            true => Ok(()),
            false => {
                let most = limits::ATTACHED_POLICIES;
                let message = format!("Cannot exceed quota for PoliciesPerRole: {most}");
                Err(conflict("LimitExceeded", message))
            }
        }
    })
}

/// `DetachRolePolicy`.
pub fn detach(lake: &Inner, params: &Params) -> Result<(), QueryError> {
    let (name, arn) = name_and_arn(params)?;
    change(lake, name, |_, role| match role.attached.remove(arn) {
        true => Ok(()),
        false => Err(no_such_entity(format!("Policy {arn} was not found."))),
    })
}

/// `ListAttachedRolePolicies`: by ARN.
pub fn list_attached(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let (role, page) = listed(lake, params)?;
    let arns = role.attached.into_iter().map(|arn| (arn, ()));
    Ok(page.write(("AttachedPolicies", arns), |xml, arn, ()| {
        xml.open("member");
        xml.text("PolicyName", name_in(arn).unwrap_or_default());
        xml.text("PolicyArn", arn);
        xml.close("member");
    }))
}

fn change(
    lake: &Inner,
    name: &str,
    change: impl FnOnce(&State, &mut Role) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    lake.identities.change_role(name, |state, role| {
        let mut role = role.ok_or_else(|| no_such_role(name))?;
        change(state, &mut role)?;
        Ok(Some(role))
    })
}

fn listed(lake: &Inner, params: &Params) -> Result<(Role, PageRequest), QueryError> {
    let mut violations = Violations::default();
    let name = role_name(params, &mut violations);
    QueryError::check(violations)?;
    let page = PageRequest::parse(params)?;
    let role = lake
        .identities
        .role(name)
        .ok_or_else(|| no_such_role(name))?;
    Ok((role, page))
}

fn both_names(params: &Params) -> Result<(&str, &str), QueryError> {
    let mut violations = Violations::default();
    let names = (
        role_name(params, &mut violations),
        policy_name(params, &mut violations),
    );
    QueryError::check(violations)?;
    Ok(names)
}

fn name_and_arn(params: &Params) -> Result<(&str, &str), QueryError> {
    let mut violations = Violations::default();
    let name = role_name(params, &mut violations);
    let arn = required(params, ("PolicyArn", "policyArn"), &mut violations);
    violations.length(arn, "policyArn", limits::ASSUMED_ROLE_ARN_CHARS);
    QueryError::check(violations)?;
    Ok((name, arn))
}

fn no_such_policy(name: &str) -> QueryError {
    no_such_entity(format!("The role policy with name {name} cannot be found."))
}
