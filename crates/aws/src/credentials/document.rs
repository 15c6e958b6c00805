//! The JSON document in which containers, the instance metadata service and `credential_process` hand out credentials.

use std::str::FromStr;

use jiff::Timestamp;
use serde::Deserialize;

use super::Credentials;

/// The members of all three forms.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Document {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    /// Containers and the metadata service call it so.
    token: Option<String>,
    /// `credential_process` calls it so.
    session_token: Option<String>,
    expiration: Option<String>,
    /// `credential_process` only, and 1.
    pub version: Option<u32>,
    /// The metadata service: `Success`, or what went wrong. Containers write errors with lower-case names.
    #[serde(alias = "code")]
    code: Option<String>,
    #[serde(alias = "message")]
    message: Option<String>,
}

impl Document {
    /// Reads a document. Errors tell the place only: the text holds secrets.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| {
            format!(
                "not a credentials document (line {}, column {})",
                error.line(),
                error.column()
            )
        })
    }

    /// What an error document says, in short.
    pub fn complaint(&self) -> Option<String> {
        let code = self.code.as_deref().filter(|code| *code != "Success")?;
        let message = self
            .message
            .as_deref()
            .map(|text| format!(": {text}"))
            .unwrap_or_default();
        Some(crate::service_error::shortened(&format!("{code}{message}")))
    }

    pub fn credentials(&self) -> Result<Credentials, String> {
        if let Some(complaint) = self.complaint() {
            return Err(complaint);
        }
        let member = |value: &'_ Option<String>, name: &str| {
            value.clone().ok_or_else(|| format!("{name} is missing"))
        };
        let key = member(&self.access_key_id, "AccessKeyId")?;
        let secret = member(&self.secret_access_key, "SecretAccessKey")?;
        let token = self.token.as_deref().or(self.session_token.as_deref());
        let credentials =
            Credentials::new(&key, &secret, token).map_err(|error| error.to_string())?;
        match &self.expiration {
            None => Ok(credentials),
            Some(text) => {
                let expires = Timestamp::from_str(text)
                    .map_err(|_| format!("Expiration {text:?} is not a time"))?;
                Ok(credentials.until(Some(expires)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_all_forms_are_read() {
        let cases = [
            (
                r#"{"AccessKeyId":"A","SecretAccessKey":"s","Token":"t","Expiration":"2026-11-22T10:00:00Z"}"#,
                Ok("A"),
            ),
            (
                r#"{"Version":1,"AccessKeyId":"B","SecretAccessKey":"s","SessionToken":"t"}"#,
                Ok("B"),
            ),
            (
                r#"{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"C","SecretAccessKey":"s","Token":null}"#,
                Ok("C"),
            ),
            (
                r#"{"AccessKeyId":"A","SecretAccessKey":"s","Expiration":"2026-11-22T10:00:00.5+09:00"}"#,
                Ok("A"),
            ),
            (
                r#"{"AccessKeyId":"A","SecretAccessKey":"s","Expiration":"soon"}"#,
                Err("not a time"),
            ),
            (r#"{"AccessKeyId":"A"}"#, Err("SecretAccessKey is missing")),
            (
                r#"{"code":"AccessDenied","message":"who are you"}"#,
                Err("AccessDenied: who are you"),
            ),
            (
                r#"{"Code":"AssumeRoleUnauthorizedAccess"}"#,
                Err("AssumeRoleUnauthorizedAccess"),
            ),
            ("{}", Err("AccessKeyId is missing")),
            ("<html>", Err("line 1, column 1")),
            (
                r#"{"SecretAccessKey":{"hush":1}}"#,
                Err("not a credentials document"),
            ),
        ];
        for (text, expected) in cases {
            let found =
                Document::parse(text.as_bytes()).and_then(|document| document.credentials());
            match (found, expected) {
                (Ok(found), Ok(key)) => assert_eq!(found.access_key_id(), key),
                (Err(found), Err(part)) => assert!(
                    found.contains(part) && !found.contains("hush"),
                    "{text}: {found}"
                ),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_end_is_read() {
        let text =
            r#"{"AccessKeyId":"A","SecretAccessKey":"s","Expiration":"2026-11-22T10:00:00Z"}"#;
        let credentials = Document::parse(text.as_bytes())
            .unwrap()
            .credentials()
            .unwrap();
        assert_eq!(
            credentials.expires().unwrap().to_string(),
            "2026-11-22T10:00:00Z"
        );
    }
}
