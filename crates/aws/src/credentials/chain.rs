//! The sources of credentials in Fluent Bit's order, and the search through them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::profile::SharedProfile;
use super::reach::Reach;
use super::sts::WebIdentity;
use super::{Credentials, container, instance};
use crate::environment::Environment;

/// Why a source gave nothing.
#[derive(Debug)]
pub(super) enum Miss {
    /// It is not set up here: the search goes on.
    Absent(String),
    /// It is set up and failed: the search ends.
    Failed(String),
}

impl Miss {
    pub fn absent(text: impl Into<String>) -> Self {
        Self::Absent(text.into())
    }

    pub fn failed(text: impl fmt::Display) -> Self {
        Self::Failed(text.to_string())
    }
}

/// Where was looked for credentials, and what was found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The source: `environment`, `shared files`, `web identity`, `container`, `instance metadata`, `assumed role`.
    pub source: &'static str,
    /// What was missing or failed.
    pub found: String,
}

impl fmt::Display for Look {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.source, self.found)
    }
}

/// There are no credentials now. Later there may be: no source is asked only once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialsError {
    looks: Arc<[Look]>,
}

impl CredentialsError {
    pub(super) fn of(looks: Vec<Look>) -> Self {
        Self {
            looks: looks.into(),
        }
    }

    /// The places that were looked at, in order; the last may be one that failed.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }
}

impl std::error::Error for CredentialsError {}

impl fmt::Display for CredentialsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no AWS credentials")?;
        for (at, look) in self.looks.iter().enumerate() {
            write!(formatter, "{} {look}", if at == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

#[derive(Debug)]
enum Source {
    Environment,
    SharedProfile(SharedProfile),
    WebIdentity(Box<WebIdentity>),
    Container,
    Instance,
}

/// The sources in order. The first that yields is remembered, and asked alone from then on.
#[derive(Debug)]
pub(super) struct Chain {
    sources: Vec<Source>,
    reach: Reach,
    /// Index of the remembered source plus one; 0 is none.
    remembered: AtomicUsize,
}

impl Chain {
    /// `profile` is the option. Without `web_identity` the chain has no such step, as Fluent Bit's own for EKS Fargate.
    pub fn new(profile: Option<String>, web_identity: Option<WebIdentity>, reach: Reach) -> Self {
        let mut sources = vec![
            Source::Environment,
            Source::SharedProfile(SharedProfile::new(profile)),
        ];
        sources.extend(web_identity.map(|source| Source::WebIdentity(Box::new(source))));
        sources.extend([Source::Container, Source::Instance]);
        Self {
            sources,
            reach,
            remembered: AtomicUsize::new(0),
        }
    }

    pub async fn load(&self) -> Result<Credentials, CredentialsError> {
        let remembered = self.remembered.load(Ordering::Relaxed);
        if let Some(source) = remembered
            .checked_sub(1)
            .and_then(|at| self.sources.get(at))
        {
            match self.ask(source).await {
                Ok(credentials) => return Ok(credentials),
                Err(Miss::Failed(found)) => {
                    return Err(CredentialsError::of(vec![Look {
                        source: source.name(),
                        found,
                    }]));
                }
                Err(Miss::Absent(_)) => self.remembered.store(0, Ordering::Relaxed),
            }
        }
        self.search().await
    }

    async fn search(&self) -> Result<Credentials, CredentialsError> {
        let mut looks = Vec::new();
        for (at, source) in self.sources.iter().enumerate() {
            let (found, ends) = match self.ask(source).await {
                Ok(credentials) => {
                    self.remembered.store(at + 1, Ordering::Relaxed);
                    return Ok(credentials);
                }
                Err(Miss::Absent(found)) => (found, false),
                Err(Miss::Failed(found)) => (found, true),
            };
            looks.push(Look {
                source: source.name(),
                found,
            });
            if ends {
                break;
            }
        }
        Err(CredentialsError::of(looks))
    }

    async fn ask(&self, source: &Source) -> Result<Credentials, Miss> {
        let environment = &self.reach.environment;
        let found = match source {
            Source::Environment => from_environment(environment),
            Source::SharedProfile(profile) => return profile.load(&self.reach).await,
            Source::WebIdentity(identity) => identity.load(environment).await,
            Source::Container => container::load(environment, &self.reach.tls).await,
            Source::Instance => instance::load(environment).await,
        };
        found.map(|credentials| credentials.out_of(source.name()))
    }
}

impl Source {
    fn name(&self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::SharedProfile(_) => "shared files",
            Self::WebIdentity(_) => "web identity",
            Self::Container => "container",
            Self::Instance => "instance metadata",
        }
    }
}

/// The three variables.
pub(super) fn from_environment(environment: &Environment) -> Result<Credentials, Miss> {
    let variable = |name: &str| {
        environment
            .variable(name)
            .ok_or_else(|| Miss::Absent(format!("{name} is not set")))
    };
    let key = variable("AWS_ACCESS_KEY_ID")?;
    let secret = variable("AWS_SECRET_ACCESS_KEY")?;
    let token = environment.variable("AWS_SESSION_TOKEN");
    Credentials::new(&key, &secret, token.as_deref()).map_err(Miss::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn the_environment_gives_keys_or_says_what_is_missing() {
        let key = ("AWS_ACCESS_KEY_ID", "AKID");
        let secret = ("AWS_SECRET_ACCESS_KEY", "s");
        let cases: [(Variables<'_>, Result<&str, &str>); 5] = [
            (&[], Err("AWS_ACCESS_KEY_ID is not set")),
            (&[key], Err("AWS_SECRET_ACCESS_KEY is not set")),
            (
                &[("AWS_ACCESS_KEY_ID", ""), secret],
                Err("AWS_ACCESS_KEY_ID is not set"),
            ),
            (&[key, secret], Ok("AKID")),
            (&[key, secret, ("AWS_SESSION_TOKEN", "t")], Ok("AKID t")),
        ];
        for (variables, expected) in cases {
            match (
                from_environment(&Environment::fixed(variables.iter().copied())),
                expected,
            ) {
                (Ok(found), Ok(expected)) => {
                    let token = found
                        .session_token()
                        .map(|token| format!(" {}", token.to_str().unwrap()));
                    assert_eq!(
                        format!("{}{}", found.access_key_id(), token.unwrap_or_default()),
                        expected
                    );
                }
                (Err(Miss::Absent(found)), Err(expected)) => assert_eq!(found, expected),
                (found, _) => panic!("{variables:?}: {found:?}"),
            }
        }
        let spaced = Environment::fixed([("AWS_ACCESS_KEY_ID", "A B"), secret]);
        assert!(matches!(from_environment(&spaced), Err(Miss::Failed(_))));
    }

    #[test]
    fn the_error_lists_where_was_looked() {
        let look = |source, found: &str| Look {
            source,
            found: found.to_owned(),
        };
        let error = CredentialsError::of(vec![
            look("environment", "nothing"),
            look("container", "refused"),
        ]);
        assert_eq!(
            error.to_string(),
            "no AWS credentials: environment: nothing; container: refused"
        );
    }
}
