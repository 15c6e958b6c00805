//! How a profile comes to credentials, as its keys say: where to begin, and which roles to assume from there.

use crate::credentials::Credentials;
use crate::credentials::chain::Miss;
use crate::credentials::sso::SignIn;
use crate::credentials::sts::Role;
use crate::shared_config::Profiles;

/// What to do for a profile.
#[derive(Debug)]
pub(super) struct Steps {
    /// The first credentials.
    pub base: Base,
    /// The roles to assume one after the other, each with the credentials of the one before.
    pub roles: Vec<Role>,
}

/// Where the first credentials come from.
#[derive(Debug)]
pub(super) enum Base {
    Keys(Credentials),
    Process(String),
    SignIn(Box<SignIn>),
    WebIdentity { role: Role, token_file: String },
    Environment,
    Container,
    Instance,
}

impl Base {
    /// In words, for people.
    pub fn text(&self) -> String {
        match self {
            Self::Keys(_) => "keys".to_owned(),
            Self::Process(_) => "credential_process".to_owned(),
            Self::SignIn(sign_in) => sign_in.text(),
            Self::WebIdentity { role, .. } => format!("web identity, role {}", role.arn),
            Self::Environment => "environment".to_owned(),
            Self::Container => "container".to_owned(),
            Self::Instance => "instance metadata".to_owned(),
        }
    }
}

/// What a profile may hold that is not followed: a sign-in of `aws login`.
const NOT_FOLLOWED: &str = "login_session";

/// Follows `source_profile` from this profile to the one that has credentials.
///
/// A role with a source comes first, as in AWS's tools; then, as in Fluent Bit, keys, and only then a sign-in or a
/// program.
pub(super) fn of(profiles: &Profiles, profile: &str) -> Result<Steps, Miss> {
    let mut roles: Vec<Role> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let mut name = profile.to_owned();
    loop {
        // A profile may name itself: its role is assumed with its own keys.
        let of_itself = seen.last() == Some(&name);
        if !of_itself && seen.contains(&name) {
            seen.push(name);
            let circle = seen.join(" → ");
            return Err(Miss::Failed(format!(
                "source_profile goes in a circle: {circle}"
            )));
        }
        let from = if of_itself {
            None
        } else {
            from(profiles, &name)?
        };
        let base = match from {
            Some(From::Profile(role, source)) => {
                roles.push(role);
                if !profiles.has(&source) {
                    return Err(Miss::Failed(format!(
                        "profile {name} has source_profile {source}, which does not exist"
                    )));
                }
                seen.push(std::mem::replace(&mut name, source));
                continue;
            }
            Some(From::Base(role, base)) => {
                roles.extend(role);
                base
            }
            None => match own(profiles, &name)? {
                Some(base) => base,
                None => return Err(nothing_in(profiles, &name, seen.last())),
            },
        };
        roles.reverse();
        return Ok(Steps { base, roles });
    }
}

/// What a role is assumed with.
enum From {
    Profile(Role, String),
    Base(Option<Role>, Base),
}

/// The profile's role, if it has one and says what to assume it with.
fn from(profiles: &Profiles, name: &str) -> Result<Option<From>, Miss> {
    let value = |key| profiles.value(name, key);
    let Some(arn) = value("role_arn") else {
        return Ok(None);
    };
    let fault = |text: String| Miss::Failed(format!("profile {name} has role_arn and {text}"));
    if value("mfa_serial").is_some() {
        let text = "mfa_serial, which asks for a code that nobody is there to type: use a role that needs none, or \
                    credential_process with a program that asks";
        return Err(fault(text.to_owned()));
    }
    let duration_secs = match value("duration_seconds") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            fault(format!(
                "duration_seconds '{text}', which is not a number of seconds (900 to 43200)"
            ))
        })?),
    };
    let role = Role {
        arn: arn.to_owned(),
        external_id: value("external_id").map(str::to_owned),
        session_name: value("role_session_name").map(str::to_owned),
        duration_secs,
    };
    match (
        value("source_profile"),
        value("credential_source"),
        value("web_identity_token_file"),
    ) {
        (Some(_), Some(_), _) => Err(fault(
            "both source_profile and credential_source: allowed is one".to_owned(),
        )),
        (Some(source), None, _) => Ok(Some(From::Profile(role, source.to_owned()))),
        (None, Some(word), _) => match named(word) {
            Some(base) => Ok(Some(From::Base(Some(role), base))),
            None => Err(fault(format!(
                "credential_source '{word}': allowed are Environment, Ec2InstanceMetadata and EcsContainer"
            ))),
        },
        (None, None, Some(file)) => {
            let token_file = file.to_owned();
            Ok(Some(From::Base(None, Base::WebIdentity { role, token_file })))
        }
        (None, None, None) if own(profiles, name)?.is_some() => Ok(None),
        (None, None, None) => Err(fault(
            "nothing to assume it with: add source_profile, credential_source or web_identity_token_file".to_owned(),
        )),
    }
}

/// A word of `credential_source`.
fn named(word: &str) -> Option<Base> {
    let bases = [
        ("Environment", Base::Environment),
        ("Ec2InstanceMetadata", Base::Instance),
        ("EcsContainer", Base::Container),
    ];
    let found = bases
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|(_, base)| base)
}

/// What the profile itself has: keys, a sign-in, a program.
fn own(profiles: &Profiles, name: &str) -> Result<Option<Base>, Miss> {
    let value = |key| profiles.value(name, key);
    if let (Some(key), Some(secret)) = (value("aws_access_key_id"), value("aws_secret_access_key"))
    {
        let keys = Credentials::new(key, secret, value("aws_session_token"));
        return keys
            .map(|keys| Some(Base::Keys(keys)))
            .map_err(|error| Miss::Failed(format!("profile {name}: {error}")));
    }
    let sign_in = SignIn::of(profiles, name)
        .map_err(|problem| Miss::Failed(format!("profile {name}: {problem}")))?;
    if let Some(sign_in) = sign_in {
        return Ok(Some(Base::SignIn(Box::new(sign_in))));
    }
    Ok(value("credential_process").map(|command| Base::Process(command.to_owned())))
}

/// Why a profile yields nothing, for the one who has to mend it.
fn nothing_in(profiles: &Profiles, name: &str, source_of: Option<&String>) -> Miss {
    let places = match profiles.places() {
        Ok(places) => places,
        Err(problem) => return Miss::Absent(problem),
    };
    if let Some(of) = source_of {
        return Miss::Failed(format!(
            "profile {name}, the source_profile of {of}, has no credentials in {places}"
        ));
    }
    Miss::Absent(match profiles.value(name, NOT_FOLLOWED) {
        Some(_) => format!("profile {name} in {places} has {NOT_FOLLOWED}, which is not followed"),
        None => format!(
            "profile {name} has no complete key pair, no sign-in and no credential_process in {places}"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    /// The steps in words: `base < role < role`, or what is wrong.
    fn shown(config: &str, profile: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, config).unwrap();
        let environment = Environment::fixed([("AWS_CONFIG_FILE", path.to_str().unwrap())]);
        match of(&Profiles::read(&environment).unwrap(), profile) {
            Ok(steps) => {
                let mut text = match &steps.base {
                    Base::Keys(keys) => format!("keys {}", keys.access_key_id()),
                    base => base.text(),
                };
                for role in &steps.roles {
                    text.push_str(&format!(" < {}", role.arn));
                }
                text
            }
            Err(Miss::Absent(text)) => format!("absent: {text}"),
            Err(Miss::Failed(text)) => format!("failed: {text}"),
        }
    }

    const KEYS: &str = "aws_access_key_id = AKID\naws_secret_access_key = s\n";

    #[test]
    fn profiles_are_followed_to_their_first_credentials() {
        let keys = |rest: &str| format!("[default]\n{KEYS}{rest}");
        let cases = [
            (keys(""), "keys AKID"),
            (
                keys("[profile p]\nrole_arn = r1\nsource_profile = default\n"),
                "keys AKID < r1",
            ),
            (
                keys(
                    "[profile p]\nrole_arn = r2\nsource_profile = q\n[profile q]\nrole_arn = r1\nsource_profile = default\n",
                ),
                "keys AKID < r1 < r2",
            ),
            (
                format!("[profile p]\nrole_arn = r1\nsource_profile = p\n{KEYS}"),
                "keys AKID < r1",
            ),
            (format!("[profile p]\nrole_arn = r1\n{KEYS}"), "keys AKID"),
            (
                "[profile p]\nrole_arn = r1\ncredential_source = Ec2InstanceMetadata\n".to_owned(),
                "instance metadata < r1",
            ),
            (
                "[profile p]\nrole_arn = r1\ncredential_source = EcsContainer\n".to_owned(),
                "container < r1",
            ),
            (
                "[profile p]\nrole_arn = r1\ncredential_source = Environment\n".to_owned(),
                "environment < r1",
            ),
            (
                "[profile p]\nrole_arn = r2\nsource_profile = w\n[profile w]\nrole_arn = r1\nweb_identity_token_file = /t\n"
                    .to_owned(),
                "web identity, role r1 < r2",
            ),
            (
                "[profile p]\nrole_arn = r1\nsource_profile = s\n[profile s]\nsso_session = corp\nsso_account_id = 1\n\
                 sso_role_name = r\n[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://x\n"
                    .to_owned(),
                "sign-in of sso-session corp < r1",
            ),
            (
                "[profile p]\ncredential_process = /bin/x\n".to_owned(),
                "credential_process",
            ),
        ];
        for (config, expected) in cases {
            let profile = if config.contains("[profile p]") {
                "p"
            } else {
                "default"
            };
            assert_eq!(shown(&config, profile), expected, "{config}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        let cases = [
            (
                "role_arn = r\n",
                "failed: profile p has role_arn and nothing to assume it with",
            ),
            (
                "role_arn = r\nsource_profile = q\n",
                "failed: profile p has source_profile q, which does not exist",
            ),
            (
                "role_arn = r\nsource_profile = q\n[profile q]\nrole_arn = s\nsource_profile = p\n",
                "failed: source_profile goes in a circle: p → q → p",
            ),
            (
                "role_arn = r\nsource_profile = q\n[profile q]\nregion = us-east-1\n",
                "failed: profile q, the source_profile of p, has no credentials",
            ),
            (
                "role_arn = r\nsource_profile = q\ncredential_source = Environment\n",
                "failed: profile p has role_arn and both",
            ),
            (
                "role_arn = r\ncredential_source = Lambda\n",
                "failed: profile p has role_arn and credential_source 'Lambda': allowed are Environment,",
            ),
            (
                "role_arn = r\nsource_profile = p\nmfa_serial = arn:x\n",
                "failed: profile p has role_arn and mfa_serial, which asks for a code",
            ),
            (
                "role_arn = r\nsource_profile = p\nduration_seconds = 1h\n",
                "failed: profile p has role_arn and duration_seconds '1h'",
            ),
            (
                "sso_session = corp\nsso_account_id = 1\nsso_role_name = r\n",
                "failed: profile p: [sso-session corp] has no sso_start_url",
            ),
            (
                "sso_start_url = https://x\nsso_region = us-east-1\n",
                "failed: profile p: sso_account_id is missing",
            ),
            (
                "region = us-east-1\n",
                "absent: profile p has no complete key pair",
            ),
        ];
        for (config, expected) in cases {
            let found = shown(&format!("[profile p]\n{config}"), "p");
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
