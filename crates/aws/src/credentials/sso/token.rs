//! The token of a sign-in: a file that `aws sso login` writes and that every AWS tool renews in place.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::uri::PathAndQuery;
use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::SignIn;
use crate::client::Request;
use crate::credentials::reach::{Reach, send};
use crate::endpoint::Service;

/// A token that ends this soon is renewed, as AWS's SDKs do.
const RENEW_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// The file. What else stands in it is kept.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    access_token: String,
    expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_expires_at: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A token that is valid now, renewed if it ends soon. An error says what to run.
pub(super) async fn current(sign_in: &SignIn, reach: &Reach) -> Result<String, String> {
    let path = path(sign_in, reach)?;
    let now = reach.environment.now();
    let token = Token::read(&path)
        .map_err(|problem| format!("{}: {problem}: run {}", sign_in.text(), sign_in.login()))?;
    let ends = time(&token.expires_at).ok_or_else(|| {
        format!(
            "{}: expiresAt {:?} is not a time: run {}",
            path.display(),
            token.expires_at,
            sign_in.login()
        )
    })?;
    if ends.duration_since(now) > RENEW_AHEAD {
        return Ok(token.access_token);
    }
    match renewed(&token, sign_in, reach, now).await {
        Ok(renewed) => {
            // Whoever cannot write the file has a token nevertheless, and signs in again when that has ended.
            drop(renewed.write(&path));
            Ok(renewed.access_token)
        }
        Err(_) if now < ends => Ok(token.access_token),
        Err(problem) => Err(format!(
            "{} ended at {ends}{problem}: run {}",
            sign_in.text(),
            sign_in.login()
        )),
    }
}

/// `~/.aws/sso/cache/`, and the SHA-1 of the session's name or, in the older form, of the start URL.
fn path(sign_in: &SignIn, reach: &Reach) -> Result<PathBuf, String> {
    let home = reach.environment.home().ok_or("HOME is not set")?;
    let key = sign_in.session.as_deref().unwrap_or(&sign_in.start_url);
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    let name: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = home.join(".aws").join("sso").join("cache");
    Ok(folder.join(format!("{name}.json")))
}

/// A new token for the refresh token. The error is empty where there is nothing to renew it with.
async fn renewed(
    token: &Token,
    sign_in: &SignIn,
    reach: &Reach,
    now: Timestamp,
) -> Result<Token, String> {
    let registered = token
        .registration_expires_at
        .as_deref()
        .is_none_or(|text| time(text).is_some_and(|ends| now < ends));
    // The older form has no refresh token, and AWS's tools renew none there.
    let (Some(_), true, Some(refresh_token), Some(client_id), Some(client_secret)) = (
        &sign_in.session,
        registered,
        &token.refresh_token,
        &token.client_id,
        &token.client_secret,
    ) else {
        return Err(String::new());
    };
    let body = serde_json::json!({
        "clientId": client_id,
        "clientSecret": client_secret,
        "grantType": "refresh_token",
        "refreshToken": refresh_token,
    })
    .to_string();
    let failed = |problem: String| format!(" and could not be renewed ({problem})");
    let client = reach
        .unsigned(reach.service(Service::SSO_OIDC, &sign_in.region))
        .map_err(|error| failed(error.to_string()))?;
    let request = Request::new(
        Method::POST,
        PathAndQuery::from_static("/token"),
        body.as_bytes(),
    )
    .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let answer = send(&client, request)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let created: Created = serde_json::from_slice(&answer.body)
        .map_err(|_| failed("the answer holds no token".to_owned()))?;
    let ends = now
        .checked_add(SignedDuration::from_secs(created.expires_in))
        .map_err(|error| failed(error.to_string()))?;
    Ok(Token {
        access_token: created.access_token,
        expires_at: ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        refresh_token: created
            .refresh_token
            .or_else(|| Some(refresh_token.clone())),
        client_id: Some(client_id.clone()),
        client_secret: Some(client_secret.clone()),
        registration_expires_at: token.registration_expires_at.clone(),
        rest: token.rest.clone(),
    })
}

/// The answer of `CreateToken`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    access_token: String,
    /// Seconds.
    expires_in: i64,
    refresh_token: Option<String>,
}

/// RFC 3339; older tools wrote `UTC` for `Z`.
fn time(text: &str) -> Option<Timestamp> {
    text.replace("UTC", "Z").parse().ok()
}

impl Token {
    fn read(path: &Path) -> Result<Self, String> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err("nobody has signed in".to_owned());
            }
            Err(error) => return Err(format!("read {}: {error}", path.display())),
        };
        // The error must not show the text: it holds secrets.
        serde_json::from_slice(&bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!(
                "{} holds no token (line {line}, column {column})",
                path.display()
            )
        })
    }

    /// Replaces the file in one step, readable by its owner only.
    fn write(&self, path: &Path) -> io::Result<()> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let text = serde_json::to_vec(self)?;
        let (process, number) = (std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
        let new = path.with_extension(format!("{process}.{number}.new"));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&new, path));
        if written.is_err() {
            drop(std::fs::remove_file(&new));
        }
        written
    }
}
