//! A profile of the shared files: keys, a sign-in, a program, or a role assumed with what another profile has.

mod steps;

use super::chain::Miss;
use super::provider::CredentialsProvider;
use super::reach::Reach;
use super::sts::{AssumedRole, WebIdentity};
use super::{Credentials, chain, container, instance, process, sso};
use crate::shared_config::{Profiles, profile_name};
use steps::{Base, Steps};

/// The profile of an option, or the environment's.
#[derive(Debug)]
pub(super) struct SharedProfile {
    option: Option<String>,
}

impl SharedProfile {
    pub fn new(option: Option<String>) -> Self {
        Self { option }
    }

    /// What the profile has, and the roles that it wants assumed with it.
    pub async fn load(&self, reach: &Reach) -> Result<Credentials, Miss> {
        let profile = profile_name(self.option.as_deref(), &reach.environment);
        let profiles = Profiles::read(&reach.environment).map_err(Miss::Failed)?;
        let Steps { base, roles } = steps::of(&profiles, &profile)?;
        let begin = base.text();
        let mut credentials = load_base(base, reach)
            .await
            .map_err(|problem| Miss::Failed(format!("profile {profile}: {problem}")))?;
        let roles_text: String = roles
            .iter()
            .map(|role| format!(", role {}", role.arn))
            .collect();
        for role in roles {
            let provider = CredentialsProvider::fixed(credentials);
            let client = reach.signed(reach.sts(), provider).map_err(Miss::failed)?;
            credentials = AssumedRole::new(client, role)
                .load()
                .await
                .map_err(|error| Miss::Failed(format!("profile {profile}: {}", last(&error))))?;
        }
        Ok(credentials.out_of(format!("profile {profile} ({begin}{roles_text})")))
    }
}

/// What the last place that was looked at says, without the words around it.
fn last(error: &super::CredentialsError) -> String {
    let look = error.looks().last();
    look.map_or_else(|| error.to_string(), |look| look.found.clone())
}

async fn load_base(base: Base, reach: &Reach) -> Result<Credentials, String> {
    let environment = &reach.environment;
    let found = match base {
        Base::Keys(credentials) => Ok(credentials),
        Base::Process(command) => process::run(&command).await.map_err(Miss::Failed),
        Base::SignIn(sign_in) => sso::load(&sign_in, reach).await.map_err(Miss::Failed),
        Base::WebIdentity { role, token_file } => {
            let client = reach.unsigned(reach.sts());
            let identity = WebIdentity::new(client.map_err(|error| error.to_string())?);
            let assumed = identity.assume(&role, &token_file).await;
            assumed.map_err(Miss::Failed)
        }
        Base::Environment => chain::from_environment(environment),
        Base::Container => container::load(environment, &reach.tls).await,
        Base::Instance => instance::load(environment).await,
    };
    // What a profile names has to be there: nothing of it is passed over.
    found.map_err(|miss| match miss {
        Miss::Absent(text) | Miss::Failed(text) => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::CredentialsOptions;
    use crate::environment::Environment;

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
        load_with(&environment, option)
    }

    fn load_with(environment: &Environment, option: Option<&str>) -> Result<String, Miss> {
        let profile = SharedProfile::new(option.map(str::to_owned));
        let reach = Reach::new(&CredentialsOptions::default(), environment);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(profile.load(&reach))
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
                load("", "[profile dev]\nlogin_session = x\n", Some("dev")),
                "has login_session, which is not followed",
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
        let load = |environment| match load_with(&environment, None) {
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
