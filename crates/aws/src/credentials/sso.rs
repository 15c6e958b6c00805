//! Credentials of a sign-in at IAM Identity Center (`aws sso login`): a role of an account, for the token that the
//! sign-in left in `~/.aws/sso/cache`.

mod token;

use http::header::HeaderName;
use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

use super::reach::{FORM, Reach, send};
use super::{Credentials, header_secret};
use crate::call_error::CallError;
use crate::client::Request;
use crate::endpoint::Service;
use crate::shared_config::Profiles;

const BEARER_TOKEN: HeaderName = HeaderName::from_static("x-amz-sso_bearer_token");

/// Who signed in where, and the role that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignIn {
    profile: String,
    /// The name of the `sso-session` section; `None` for the older form that stands in the profile itself.
    session: Option<String>,
    start_url: String,
    region: String,
    account_id: String,
    role_name: String,
}

impl SignIn {
    /// The sign-in of a profile; `None` if it has none.
    pub fn of(profiles: &Profiles, profile: &str) -> Result<Option<Self>, String> {
        let own = |key: &str| profiles.value(profile, key).map(str::to_owned);
        let required = |key: &str| own(key).ok_or_else(|| format!("{key} is missing"));
        let session = own("sso_session");
        let (start_url, region) = match &session {
            None if own("sso_start_url").is_none() => return Ok(None),
            None => (required("sso_start_url")?, required("sso_region")?),
            Some(name) => {
                let of_session = |key: &str| {
                    let value = profiles.sso_session(name, key);
                    value
                        .map(str::to_owned)
                        .ok_or_else(|| format!("[sso-session {name}] has no {key}"))
                };
                (of_session("sso_start_url")?, of_session("sso_region")?)
            }
        };
        Ok(Some(Self {
            profile: profile.to_owned(),
            session,
            start_url,
            region,
            account_id: required("sso_account_id")?,
            role_name: required("sso_role_name")?,
        }))
    }

    /// In words, for people.
    pub fn text(&self) -> String {
        match &self.session {
            Some(name) => format!("sign-in of sso-session {name}"),
            None => format!("sign-in at {}", self.start_url),
        }
    }

    /// What the user has to run.
    fn login(&self) -> String {
        match &self.session {
            Some(name) => format!("aws sso login --sso-session {name}"),
            None => format!("aws sso login --profile {}", self.profile),
        }
    }
}

/// Asks the portal for credentials of the role.
pub(super) async fn load(sign_in: &SignIn, reach: &Reach) -> Result<Credentials, String> {
    let token = token::current(sign_in, reach).await?;
    let client = reach
        .unsigned(reach.service(Service::SSO, &sign_in.region))
        .map_err(|error| error.to_string())?;
    let encoded = |text| utf8_percent_encode(text, FORM);
    let target = format!(
        "/federation/credentials?role_name={}&account_id={}",
        encoded(&sign_in.role_name),
        encoded(&sign_in.account_id)
    );
    let target = PathAndQuery::try_from(target).map_err(|error| error.to_string())?;
    let token = header_secret(&token).ok_or("the token holds characters that a header cannot")?;
    let request = Request::new(Method::GET, target, b"").with_header(BEARER_TOKEN, token);
    let what = format!(
        "{}, account {}, role {}",
        sign_in.text(),
        sign_in.account_id,
        sign_in.role_name
    );
    match send(&client, request).await {
        Ok(answer) => read(&answer.body).map_err(|problem| format!("{what}: {problem}")),
        Err(CallError::Refused(error)) if error.status == StatusCode::UNAUTHORIZED.as_u16() => {
            Err(format!("{what}: {error}: run {}", sign_in.login()))
        }
        Err(error) => Err(format!("{what}: {error}")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    role_credentials: RoleCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    /// Milliseconds since 1970.
    expiration: i64,
}

fn read(body: &[u8]) -> Result<Credentials, String> {
    // The error must not show the text: it holds secrets.
    let Answer {
        role_credentials: found,
    } = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("the answer is not a credentials document (line {line}, column {column})")
    })?;
    let ends = Timestamp::from_millisecond(found.expiration)
        .map_err(|_| "the answer has an expiration that is not a time")?;
    Credentials::new(
        &found.access_key_id,
        &found.secret_access_key,
        Some(&found.session_token),
    )
    .map(|credentials| credentials.until(Some(ends)))
    .map_err(|error| format!("the answer is unusable: {error}"))
}
