//! A profile of the shared files: keys of its own, or a program that prints some.

use std::path::{Path, PathBuf};

use super::Credentials;
use super::chain::Miss;
use super::process;
use crate::environment::Environment;
use crate::shared_config::{Sections, SharedFiles, profile_name};

/// What a profile may hold that Fluent Bit does not follow, and neither do we.
const NOT_FOLLOWED: [&str; 5] = [
    "role_arn",
    "source_profile",
    "sso_session",
    "sso_start_url",
    "login_session",
];

/// The profile of an option, or the environment's.
#[derive(Debug)]
pub(super) struct SharedProfile {
    option: Option<String>,
}

/// One file that was looked at: its path, and its sections if it is there.
type File = Option<(PathBuf, Sections)>;

impl SharedProfile {
    pub fn new(option: Option<String>) -> Self {
        Self { option }
    }

    /// Keys in the credentials file, keys in the config file, `credential_process` in either.
    pub async fn load(&self, environment: &Environment) -> Result<Credentials, Miss> {
        let profile = profile_name(self.option.as_deref(), environment);
        let paths = SharedFiles::locate(environment);
        let credentials = read(paths.credentials.as_deref())?;
        let config = read(paths.config.as_deref())?;
        let of = |key: &str| {
            let first = credentials
                .as_ref()
                .and_then(|(_, file)| file.in_credentials(&profile, key));
            first.or_else(|| {
                config
                    .as_ref()
                    .and_then(|(_, file)| file.in_config(&profile, key))
            })
        };
        match (
            of("aws_access_key_id"),
            of("aws_secret_access_key"),
            of("credential_process"),
        ) {
            (Some(key), Some(secret), _) => {
                Credentials::new(key, secret, of("aws_session_token")).map_err(Miss::failed)
            }
            (_, _, Some(command)) => process::run(command).await.map_err(Miss::Failed),
            _ => Err(Miss::Absent(nothing_in(
                &profile,
                &paths,
                [&credentials, &config],
                of,
            ))),
        }
    }
}

fn read(path: Option<&Path>) -> Result<File, Miss> {
    let Some(path) = path else { return Ok(None) };
    match Sections::read(path) {
        Ok(sections) => Ok(sections.map(|sections| (path.to_owned(), sections))),
        Err(error) => Err(Miss::Failed(format!("read {}: {error}", path.display()))),
    }
}

/// Why a profile yields nothing, for the one who has to mend it.
fn nothing_in<'a>(
    profile: &str,
    paths: &SharedFiles,
    files: [&File; 2],
    of: impl Fn(&str) -> Option<&'a str>,
) -> String {
    let there: Vec<_> = files
        .into_iter()
        .flatten()
        .map(|(path, _)| path.display().to_string())
        .collect();
    if there.is_empty() {
        let sought: Vec<_> = [&paths.credentials, &paths.config]
            .into_iter()
            .flatten()
            .collect();
        return match sought.as_slice() {
            [] => "HOME is not set".to_owned(),
            sought => {
                let sought: Vec<_> = sought
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                format!("there is no {}", sought.join(" and no "))
            }
        };
    }
    let there = there.join(" or ");
    if let Some(key) = NOT_FOLLOWED.into_iter().find(|key| of(key).is_some()) {
        return format!(
            "profile {profile} in {there} has {key}, which is not followed (use the option role_arn)"
        );
    }
    format!("profile {profile} has no complete key pair and no credential_process in {there}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(credentials: &str, config: &str, option: Option<&str>) -> Result<String, Miss> {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (
            folder.path().join("credentials"),
            folder.path().join("config"),
        );
        std::fs::write(&first, credentials).unwrap();
        std::fs::write(&second, config).unwrap();
        let environment = Environment::fixed([
            ("AWS_SHARED_CREDENTIALS_FILE", first.to_str().unwrap()),
            ("AWS_CONFIG_FILE", second.to_str().unwrap()),
        ]);
        let profile = SharedProfile::new(option.map(str::to_owned));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(profile.load(&environment))
            .map(|found| found.access_key_id().to_owned())
    }

    const PAIR: &str = "aws_access_key_id = FIRST\naws_secret_access_key = s\n";

    #[test]
    fn keys_of_the_credentials_file_come_before_those_of_the_config_file() {
        let first =
            format!("[default]\n{PAIR}[dev]\naws_access_key_id = DEV\naws_secret_access_key = s\n");
        let second = "[profile dev]\naws_access_key_id = X\n[profile other]\naws_access_key_id = OTHER\naws_secret_access_key = s\n";
        assert_eq!(load(&first, second, None).unwrap(), "FIRST");
        assert_eq!(load(&first, second, Some("dev")).unwrap(), "DEV");
        assert_eq!(load(&first, second, Some("other")).unwrap(), "OTHER");
    }

    #[test]
    fn a_program_is_asked_when_there_are_no_keys() {
        let program = r#"credential_process = /bin/echo {\"Version\":1,\"AccessKeyId\":\"ECHO\",\"SecretAccessKey\":\"s\"}"#;
        let config = format!("[default]\n{program}\n");
        assert_eq!(load("", &config, None).unwrap(), "ECHO");
        assert_eq!(
            load(&format!("[default]\n{PAIR}"), &config, None).unwrap(),
            "FIRST"
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let cases = [
            (
                load("", "", None),
                "profile default has no complete key pair",
            ),
            (
                load("[dev]\naws_access_key_id = A\n", "", Some("dev")),
                "profile dev has no complete key pair",
            ),
            (
                load("", "[profile dev]\nrole_arn = arn:x\n", Some("dev")),
                "has role_arn, which is not followed",
            ),
        ];
        for (found, part) in cases {
            match found {
                Err(Miss::Absent(text)) => assert!(text.contains(part), "{text}"),
                found => panic!("{found:?}"),
            }
        }
        assert!(matches!(
            load(
                "[default]\ncredential_process = /no/such/program\n",
                "",
                None
            ),
            Err(Miss::Failed(_))
        ));
    }

    #[test]
    fn without_files_the_places_are_named() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let load = |environment| match runtime.block_on(SharedProfile::new(None).load(&environment))
        {
            Err(Miss::Absent(text)) => text,
            found => panic!("{found:?}"),
        };
        assert_eq!(
            load(Environment::fixed([("HOME", "/nowhere")])),
            "there is no /nowhere/.aws/credentials and no /nowhere/.aws/config"
        );
        assert_eq!(
            load(Environment::fixed::<&str, &str>([])),
            "HOME is not set"
        );
    }
}
