//! Roles.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use jiff::Timestamp;

use super::document::{self, Kind};
use super::store::{FORMAT, Role};
use super::{
    PageRequest, conflict, encoded, no_such_role, path, required, role_name, tags, write_tags,
};
use crate::aws_query::{Params, QueryError, Xml};
use crate::lake::Inner;
use crate::limits;
use crate::signature::random_id;
use crate::streams::Violations;

/// `CreateRole`.
pub fn create(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let mut violations = Violations::default();
    let name = role_name(params, &mut violations);
    let trust = required(
        params,
        ("AssumeRolePolicyDocument", "assumeRolePolicyDocument"),
        &mut violations,
    );
    let (_, most, usual) = limits::ROLE_SESSION_SECS;
    let bounds = (usual, most, usual);
    let duration = params.number(
        ("MaxSessionDuration", "maxSessionDuration"),
        bounds,
        &mut violations,
    );
    let description = params.get("Description");
    if let Some(description) = description {
        violations.length(description, "description", (0, limits::DESCRIPTION_CHARS));
    }
    let path = path(params, &mut violations);
    let tags = tags(params, &mut violations);
    QueryError::check(violations)?;
    check_trust(trust)?;
    let role = Role {
        format: FORMAT,
        name: name.to_owned(),
        id: format!("AROA{}", random_id(17)),
        path,
        created: Timestamp::now(),
        trust_policy: trust.to_owned(),
        description: description.map(str::to_owned),
        max_session_duration: u32::try_from(duration).unwrap_or_default(),
        tags,
        policies: BTreeMap::new(),
        attached: BTreeSet::new(),
    };
    lake.identities
        .change_role(name, |state, present| match present {
            Some(_) => {
                let message = format!("Role with name {name} already exists.");
                Err(conflict("EntityAlreadyExists", message))
            }
            None if state.roles.len() >= limits::ROLES => {
                let message = format!("Cannot exceed quota for RolesPerAccount: {}", limits::ROLES);
                Err(conflict("LimitExceeded", message))
            }
            None => Ok(Some(role.clone())),
        })?;
    let mut xml = Xml::default();
    write(lake, &mut xml, ("Role", &role));
    Ok(xml)
}

/// `GetRole`.
pub fn get(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let name = named(params)?;
    let role = lake
        .identities
        .role(name)
        .ok_or_else(|| no_such_role(name))?;
    let mut xml = Xml::default();
    write(lake, &mut xml, ("Role", &role));
    Ok(xml)
}

/// `ListRoles`: by name.
pub fn list(lake: &Inner, params: &Params) -> Result<Xml, QueryError> {
    let page = PageRequest::parse(params)?;
    let prefix = params.get("PathPrefix").unwrap_or("/");
    let state = lake.identities.read();
    let roles = state
        .roles
        .iter()
        .filter(|(_, role)| role.path.starts_with(prefix));
    let roles = roles.map(|(key, role)| (key.clone(), role));
    Ok(page.write(("Roles", roles), |xml, _, role| {
        write(lake, xml, ("member", role))
    }))
}

/// `UpdateAssumeRolePolicy`.
pub fn update_trust(lake: &Inner, params: &Params) -> Result<(), QueryError> {
    let mut violations = Violations::default();
    let name = role_name(params, &mut violations);
    let trust = required(
        params,
        ("PolicyDocument", "policyDocument"),
        &mut violations,
    );
    QueryError::check(violations)?;
    check_trust(trust)?;
    lake.identities.change_role(name, |_, role| {
        let mut role = role.ok_or_else(|| no_such_role(name))?;
        role.trust_policy = trust.to_owned();
        Ok(Some(role))
    })
}

/// `DeleteRole`: of a role without policies.
pub fn delete(lake: &Inner, params: &Params) -> Result<(), QueryError> {
    let name = named(params)?;
    lake.identities.change_role(name, |_, role| {
        let role = role.ok_or_else(|| no_such_role(name))?;
        if !role.attached.is_empty() {
            let message = "Cannot delete entity, must detach all policies first.";
            return Err(conflict("DeleteConflict", message));
        }
        if !role.policies.is_empty() {
            let message = "Cannot delete entity, must delete policies first.";
            return Err(conflict("DeleteConflict", message));
        }
        Ok(None)
    })
}

fn named(params: &Params) -> Result<&str, QueryError> {
    let mut violations = Violations::default();
    let name = role_name(params, &mut violations);
    QueryError::check(violations)?;
    Ok(name)
}

fn check_trust(trust: &str) -> Result<(), QueryError> {
    document::check(trust, Kind::Trust)?;
    let (most, _, _) = limits::POLICY_CHARS;
    match document::length(trust) <= most {
        true => Ok(()),
        false => Err(QueryError::new(
            StatusCode::CONFLICT,
            "LimitExceeded",
            format!("Cannot exceed quota for ACLSizePerRole: {most}"),
        )),
    }
}

fn write(lake: &Inner, xml: &mut Xml, (element, role): (&str, &Role)) {
    xml.open(element);
    xml.text("Path", &role.path);
    xml.text("RoleName", &role.name);
    xml.text("RoleId", &role.id);
    xml.text("Arn", &role.arn(&lake.options.account_id));
    xml.time("CreateDate", role.created);
    xml.text("AssumeRolePolicyDocument", &encoded(&role.trust_policy));
    if let Some(description) = &role.description {
        xml.text("Description", description);
    }
    xml.text("MaxSessionDuration", &role.max_session_duration.to_string());
    write_tags(xml, &role.tags);
    xml.close(element);
}
