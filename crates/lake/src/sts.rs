//! STS's wire face: the query protocol. It says who somebody is and issues temporary credentials.
//!
//! Whoever has the lake's keys may assume every role; roles need not exist. A role that does exist in
//! [`iam`](crate::iam) lends its id and bounds the session's length.
//!
//! AssumeRoleWithWebIdentity comes without a signature, and the lake cannot ask an identity provider for its keys: the
//! token's signature is not verified. So it is open only for roles that exist and whose trust policy says so. Such a role
//! is open to everybody who reaches the port and knows what its trust policy asks of a token.

mod web_identity;

use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use s3s::Body;

use crate::aws_query::{self, Dialect, Params, QueryError, Xml};
use crate::iam::Role;
use crate::lake::Inner;
use crate::limits;
use crate::signature::{Issued, Principal, derived_id};
use crate::streams::Violations;

/// How STS answers.
pub const DIALECT: Dialect = Dialect {
    namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
    version: "2011-06-15",
};

/// Operations that need no signature.
pub const UNSIGNED: [&str; 2] = ["AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"];

/// Answers a request; `caller` is who signed it, unless nobody had to. `id` is what the answer calls the request.
pub fn call(
    lake: &Inner,
    params: &Params,
    caller: Option<&Principal>,
    id: &str,
) -> Result<Response<Body>, QueryError> {
    let action = params.get("Action").unwrap_or_default();
    let answer = |result| aws_query::answer(DIALECT, action, Some(result), id);
    match action {
        "GetCallerIdentity" => Ok(answer(caller_identity(lake, &signer(lake, caller)))),
        "AssumeRole" => assume_role(lake, params, caller).map(answer),
        "AssumeRoleWithWebIdentity" => web_identity::assume_role(lake, params).map(answer),
        "GetSessionToken" => session_token(lake, params, caller).map(answer),
        other => Err(unknown_action(other, DIALECT)),
    }
}

/// What both services of this protocol say to an operation that they have not.
pub fn unknown_action(action: &str, dialect: Dialect) -> QueryError {
    let version = dialect.version;
    match action {
        "" => QueryError::new(
            StatusCode::BAD_REQUEST,
            "MissingAction",
            "The request must contain the parameter Action.",
        ),
        action => QueryError::new(
            StatusCode::BAD_REQUEST,
            "InvalidAction",
            format!("Could not find operation {action} for version {version}"),
        ),
    }
}

/// Who signs with the lake's own key is a user by the name of that key.
fn signer(lake: &Inner, caller: Option<&Principal>) -> Principal {
    let options = &lake.options;
    caller.cloned().unwrap_or_else(|| Principal {
        arn: format!(
            "arn:aws:iam::{}:user/{}",
            options.account_id, options.access_key_id
        ),
        user_id: format!("AIDA{}", derived_id(&options.access_key_id, 17)),
        assumed_role: false,
    })
}

fn caller_identity(lake: &Inner, caller: &Principal) -> Xml {
    let mut xml = Xml::default();
    xml.text("Arn", &caller.arn);
    xml.text("UserId", &caller.user_id);
    xml.text("Account", &lake.options.account_id);
    xml
}

/// The role that a request names, and the name of the session to be.
struct Wanted {
    role: RoleName,
    session: String,
    seconds: i64,
}

/// The parts of a role's ARN that matter.
struct RoleName {
    arn: String,
    account: String,
    name: String,
}

impl Wanted {
    fn parse(params: &Params, mut violations: Violations) -> Result<Self, QueryError> {
        let arn = params.get("RoleArn");
        match arn {
            Some(arn) => violations.length(arn, "roleArn", limits::ASSUMED_ROLE_ARN_CHARS),
            None => violations.add_missing("roleArn"),
        }
        let session = params.get("RoleSessionName");
        match session {
            Some(name) => {
                let path = "roleSessionName";
                violations.length(name, path, limits::SESSION_NAME_CHARS);
                violations.pattern(name, path, r"[\w+=,.@-]*", is_name);
            }
            None => violations.add_missing("roleSessionName"),
        }
        if let Some(external) = params.get("ExternalId") {
            violations.length(external, "externalId", limits::EXTERNAL_ID_CHARS);
        }
        let name = ("DurationSeconds", "durationSeconds");
        let seconds = params.number(name, limits::ROLE_SESSION_SECS, &mut violations);
        QueryError::check(violations)?;
        Ok(Self {
            role: RoleName::parse(arn.unwrap_or_default())?,
            session: session.unwrap_or_default().to_owned(),
            seconds,
        })
    }

    /// A session of the role, which `stored` describes if it exists.
    fn issue(
        &self,
        lake: &Inner,
        stored: Option<&Role>,
    ) -> Result<(Issued, Principal), QueryError> {
        if stored.is_some_and(|role| self.seconds > i64::from(role.max_session_duration)) {
            let message =
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
            return Err(QueryError::validation(message));
        }
        let role_id = match stored {
            Some(role) => role.id.clone(),
            None => format!("AROA{}", derived_id(&self.role.arn, 17)),
        };
        let (account, name, session) = (&self.role.account, &self.role.name, &self.session);
        let principal = Principal {
            arn: format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
            user_id: format!("{role_id}:{session}"),
            assumed_role: true,
        };
        Ok((issue(lake, principal.clone(), self.seconds), principal))
    }
}

impl RoleName {
    /// Reads `arn:aws:iam::ACCOUNT:role/PATH/NAME`.
    fn parse(arn: &str) -> Result<Self, QueryError> {
        let invalid = || QueryError::validation(format!("{arn} is invalid"));
        let (head, rest) = arn.split_once(":iam::").ok_or_else(invalid)?;
        let (account, path) = rest.split_once(":role/").ok_or_else(invalid)?;
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        match head.starts_with("arn:aws") && is_account && !name.is_empty() && is_name(name) {
            true => Ok(Self {
                arn: arn.to_owned(),
                account: account.to_owned(),
                name: name.to_owned(),
            }),
            false => Err(invalid()),
        }
    }

    /// The role as IAM has it.
    fn find(&self, lake: &Inner) -> Option<Role> {
        let role = lake.identities.role(&self.name)?;
        (role.arn(&lake.options.account_id) == self.arn).then_some(role)
    }
}

/// `AssumeRole`.
fn assume_role(
    lake: &Inner,
    params: &Params,
    caller: Option<&Principal>,
) -> Result<Xml, QueryError> {
    let wanted = Wanted::parse(params, Violations::default())?;
    let (_, _, chained) = limits::ROLE_SESSION_SECS;
    if caller.is_some_and(|caller| caller.assumed_role) && wanted.seconds > chained {
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
        return Err(QueryError::validation(message));
    }
    let role = wanted.role.find(lake);
    let (issued, principal) = wanted.issue(lake, role.as_ref())?;
    let mut xml = Xml::default();
    write_session(&mut xml, &issued, Some(&principal));
    Ok(xml)
}

/// `GetSessionToken`.
fn session_token(
    lake: &Inner,
    params: &Params,
    caller: Option<&Principal>,
) -> Result<Xml, QueryError> {
    if caller.is_some() {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(QueryError::new(
            StatusCode::FORBIDDEN,
            "AccessDenied",
            message,
        ));
    }
    let mut violations = Violations::default();
    let name = ("DurationSeconds", "durationSeconds");
    let seconds = params.number(name, limits::SESSION_TOKEN_SECS, &mut violations);
    QueryError::check(violations)?;
    let mut xml = Xml::default();
    write_session(&mut xml, &issue(lake, signer(lake, None), seconds), None);
    Ok(xml)
}

fn issue(lake: &Inner, principal: Principal, seconds: i64) -> Issued {
    let expires = Timestamp::now() + SignedDuration::from_secs(seconds);
    lake.credentials.sessions.issue(principal, expires)
}

fn write_session(xml: &mut Xml, issued: &Issued, role: Option<&Principal>) {
    if let Some(role) = role {
        xml.open("AssumedRoleUser");
        xml.text("AssumedRoleId", &role.user_id);
        xml.text("Arn", &role.arn);
        xml.close("AssumedRoleUser");
    }
    xml.open("Credentials");
    xml.text("AccessKeyId", &issued.access_key_id);
    xml.text("SecretAccessKey", &issued.secret_access_key);
    xml.text("SessionToken", &issued.session_token);
    xml.time("Expiration", issued.expires);
    xml.close("Credentials");
}

/// The characters of names in STS and IAM.
pub fn is_name(name: &str) -> bool {
    name.chars()
        .all(|one| one.is_ascii_alphanumeric() || "_+=,.@-".contains(one))
}
