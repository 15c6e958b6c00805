//! Credentials on demand: fetched once, kept, renewed ahead of their end by one caller while the others go on with
//! those at hand.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::Credentials;
use super::chain::{Chain, CredentialsError};
use super::reach::Reach;
use super::sts::{AssumedRole, Role, WebIdentity};
use crate::client::{Client, SetupError};
use crate::environment::Environment;
use crate::net::NetOptions;
use crate::tls::TlsOptions;

/// Fluent Bit's: credentials are renewed this long before their end.
const RENEW_AHEAD: SignedDuration = SignedDuration::from_secs(60);
/// A source that failed, or gave credentials that are already old, is not asked again for so long.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);
/// Fluent Bit's: refused credentials are renewed at most once in this time.
const REFUSED_PAUSE: SignedDuration = SignedDuration::from_secs(60);

/// Where credentials come from.
#[derive(Clone, Debug, Default)]
pub struct CredentialsOptions {
    /// The region, for STS.
    pub region: String,
    /// The option `profile`; `None` goes by `AWS_PROFILE`.
    pub profile: Option<String>,
    /// The option `role_arn`: a role to assume with what the sources give.
    pub role_arn: Option<String>,
    /// The option `external_id`, sent when the role is assumed.
    pub external_id: Option<String>,
    /// The option `sts_endpoint`.
    pub sts_endpoint: Option<String>,
    /// TLS to STS and to container endpoints with `https`.
    pub tls: TlsOptions,
    /// Connections to STS; the connect timeout is five seconds at most, as in Fluent Bit.
    pub net: NetOptions,
}

/// Gives credentials to clients. Cheap to clone; clones share what was fetched, also between threads.
#[derive(Clone)]
pub struct CredentialsProvider(Arc<Shared>);

struct Shared {
    origin: Origin,
    environment: Environment,
    state: Mutex<State>,
    /// Held by the one who fetches.
    turn: tokio::sync::Mutex<()>,
    observer: OnceLock<Observer>,
}

/// Is told of all credentials that were fetched.
type Observer = Box<dyn Fn(&Credentials) + Send + Sync>;

enum Origin {
    Chain(Box<Chain>),
    Role(Box<AssumedRole>),
    Fixed,
}

impl CredentialsProvider {
    /// The sources in Fluent Bit's order: environment, shared files, web identity, container, instance metadata; with
    /// `role_arn` that role, assumed with them. `EKS_POD_EXECUTION_ROLE` is assumed first, without web identity.
    ///
    /// Nothing is fetched yet, and missing credentials are no error here; unusable options are.
    pub fn new(
        options: &CredentialsOptions,
        environment: &Environment,
    ) -> Result<Self, SetupError> {
        let reach = Reach::new(options, environment);
        let pod_role = environment.variable("EKS_POD_EXECUTION_ROLE");
        let web_identity = match pod_role {
            None => Some(WebIdentity::new(Client::unsigned(
                reach.sts(),
                environment,
            )?)),
            Some(_) => None,
        };
        let chain = Chain::new(options.profile.clone(), web_identity, reach.clone());
        let mut provider = Self::of(
            Origin::Chain(Box::new(chain)),
            environment,
            State::default(),
        );
        let roles = [
            (pod_role, None),
            (options.role_arn.clone(), options.external_id.clone()),
        ];
        for (arn, external_id) in roles {
            if let Some(arn) = arn.filter(|arn| !arn.is_empty()) {
                let client = Client::new(reach.sts(), provider, environment)?;
                let role = Role {
                    arn,
                    external_id,
                    ..Role::default()
                };
                let role = Box::new(AssumedRole::new(client, role));
                provider = Self::of(Origin::Role(role), environment, State::default());
            }
        }
        Ok(provider)
    }

    /// Always these.
    pub fn fixed(credentials: Credentials) -> Self {
        let held = Held {
            credentials,
            renew_at: None,
            ends: None,
        };
        let state = State {
            held: Some(held),
            ..State::default()
        };
        Self::of(Origin::Fixed, &Environment::fixed::<&str, &str>([]), state)
    }

    fn of(origin: Origin, environment: &Environment, state: State) -> Self {
        let state = Mutex::new(state);
        Self(Arc::new(Shared {
            origin,
            environment: environment.clone(),
            state,
            turn: tokio::sync::Mutex::default(),
            observer: OnceLock::new(),
        }))
    }

    /// Has `observer` told of all credentials that are fetched from now on, before they are first used: what a gauge of
    /// their end needs. Only the first observer of a provider (and its clones) is kept.
    pub fn observe(&self, observer: impl Fn(&Credentials) + Send + Sync + 'static) {
        drop(self.0.observer.set(Box::new(observer)));
    }

    /// Credentials that have not ended, as far as is known.
    ///
    /// Concurrent callers share one fetch; while old ones still hold, only the caller that fetches waits. A failure is
    /// remembered for five seconds.
    pub async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let _turn = match self.plan() {
            Plan::Use(credentials) => return Ok(credentials),
            Plan::Fail(error) => return Err(error),
            Plan::Renew(Some(current)) => match self.0.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(current),
            },
            Plan::Renew(None) => self.0.turn.lock().await,
        };
        // Whoever had the turn before may have fetched meanwhile.
        match self.plan() {
            Plan::Use(credentials) => Ok(credentials),
            Plan::Fail(error) => Err(error),
            Plan::Renew(_) => self.fetch().await,
        }
    }

    /// Other credentials than `refused`, which a service has just refused: those that someone fetched meanwhile, or
    /// newly fetched ones. `None` if there are no others, or if they were renewed for this less than a minute ago.
    pub(crate) async fn instead_of(&self, refused: &Credentials) -> Option<Credentials> {
        let now = self.0.environment.now();
        if matches!(self.0.origin, Origin::Fixed) || !self.state().refuse(refused, now) {
            return None;
        }
        self.credentials()
            .await
            .ok()
            .filter(|credentials| !credentials.same_as(refused))
    }

    async fn fetch(&self) -> Result<Credentials, CredentialsError> {
        let fetched = match &self.0.origin {
            Origin::Chain(chain) => chain.load().await,
            Origin::Role(role) => role.load().await,
            Origin::Fixed => Err(CredentialsError::of(Vec::new())),
        };
        if let (Ok(credentials), Some(observer)) = (&fetched, self.0.observer.get()) {
            observer(credentials);
        }
        let now = self.0.environment.now();
        self.state().record(fetched, now)
    }

    fn plan(&self) -> Plan {
        let now = self.0.environment.now();
        self.state().plan(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CredentialsProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0.origin {
            Origin::Chain(_) => "chain",
            Origin::Role(_) => "role",
            Origin::Fixed => "fixed",
        };
        write!(formatter, "CredentialsProvider({kind})")
    }
}

/// What is known, and when to ask again. Decides without looking at any clock itself.
#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    failure: Option<(Timestamp, CredentialsError)>,
    /// When refused credentials were last given up.
    refused: Option<Timestamp>,
}

#[derive(Debug)]
struct Held {
    credentials: Credentials,
    renew_at: Option<Timestamp>,
    ends: Option<Timestamp>,
}

#[derive(Debug)]
enum Plan {
    Use(Credentials),
    Fail(CredentialsError),
    /// Fetch; until that is done these may be used.
    Renew(Option<Credentials>),
}

impl State {
    fn plan(&self, now: Timestamp) -> Plan {
        let current = match &self.held {
            Some(held) if held.renew_at.is_none_or(|at| now < at) => {
                return Plan::Use(held.credentials.clone());
            }
            Some(held) if held.ends.is_none_or(|ends| now < ends) => Some(held.credentials.clone()),
            _ => None,
        };
        match (&self.failure, current) {
            (Some((since, _)), Some(current)) if within(*since, PAUSE, now) => Plan::Use(current),
            (Some((since, error)), None) if within(*since, PAUSE, now) => Plan::Fail(error.clone()),
            (_, current) => Plan::Renew(current),
        }
    }

    /// Takes note of a fetch. If it failed, credentials that still hold are given on.
    fn record(
        &mut self,
        fetched: Result<Credentials, CredentialsError>,
        now: Timestamp,
    ) -> Result<Credentials, CredentialsError> {
        match fetched {
            Ok(credentials) => {
                let ends = credentials.expires();
                // The metadata service may hand out keys whose end has passed while it cannot renew them; services
                // then take them nevertheless. They are used, and asked for again after a pause.
                let renew_at =
                    ends.map(|ends| saturating(ends, -RENEW_AHEAD).max(saturating(now, PAUSE)));
                self.held = Some(Held {
                    credentials: credentials.clone(),
                    renew_at,
                    ends,
                });
                self.failure = None;
                Ok(credentials)
            }
            Err(error) => {
                self.failure = Some((now, error));
                match self.plan(now) {
                    Plan::Use(credentials) | Plan::Renew(Some(credentials)) => Ok(credentials),
                    Plan::Fail(error) => Err(error),
                    Plan::Renew(None) => Err(CredentialsError::of(Vec::new())),
                }
            }
        }
    }

    /// Makes the next caller fetch, if `refused` are the ones held. False if that was done a short while ago.
    fn refuse(&mut self, refused: &Credentials, now: Timestamp) -> bool {
        match &mut self.held {
            Some(held) if held.credentials.same_as(refused) => {
                if self
                    .refused
                    .is_some_and(|since| within(since, REFUSED_PAUSE, now))
                {
                    return false;
                }
                self.refused = Some(now);
                held.renew_at = Some(Timestamp::MIN);
                true
            }
            _ => true,
        }
    }
}

/// Whether `now` lies less than `pause` after `since`. A clock that was set back ends the pause.
fn within(since: Timestamp, pause: SignedDuration, now: Timestamp) -> bool {
    let passed = now.duration_since(since);
    !passed.is_negative() && passed < pause
}

fn saturating(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Look;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn credentials(key: &str, ends: Option<i64>) -> Credentials {
        Credentials::new(key, "s", None)
            .unwrap()
            .until(ends.map(at))
    }

    fn failure() -> CredentialsError {
        CredentialsError::of(vec![Look {
            source: "container",
            found: "down".to_owned(),
        }])
    }

    fn shown(plan: &Plan) -> String {
        match plan {
            Plan::Use(credentials) => format!("use {}", credentials.access_key_id()),
            Plan::Fail(_) => "fail".to_owned(),
            Plan::Renew(current) => {
                format!(
                    "renew {}",
                    current
                        .as_ref()
                        .map_or("", |current| current.access_key_id())
                )
            }
        }
    }

    #[test]
    fn credentials_are_renewed_a_minute_before_their_end() {
        let mut state = State::default();
        assert_eq!(shown(&state.plan(at(0))), "renew ");
        state
            .record(Ok(credentials("A", Some(1000))), at(0))
            .unwrap();
        for (now, expected) in [
            (0, "use A"),
            (939, "use A"),
            (940, "renew A"),
            (999, "renew A"),
            (1000, "renew "),
        ] {
            assert_eq!(shown(&state.plan(at(now))), expected, "{now}");
        }
        state.record(Ok(credentials("B", None)), at(940)).unwrap();
        assert_eq!(shown(&state.plan(at(1_000_000))), "use B");
    }

    #[test]
    fn a_failure_is_remembered_for_five_seconds_and_old_credentials_go_on() {
        let mut state = State::default();
        assert!(state.record(Err(failure()), at(0)).is_err());
        for (now, expected) in [(0, "fail"), (4, "fail"), (5, "renew "), (-1, "renew ")] {
            assert_eq!(shown(&state.plan(at(now))), expected, "{now}");
        }
        state
            .record(Ok(credentials("A", Some(1000))), at(10))
            .unwrap();
        assert_eq!(
            state
                .record(Err(failure()), at(950))
                .unwrap()
                .access_key_id(),
            "A"
        );
        for (now, expected) in [(952, "use A"), (955, "renew A"), (1000, "renew ")] {
            assert_eq!(shown(&state.plan(at(now))), expected, "{now}");
        }
        assert!(state.record(Err(failure()), at(1000)).is_err());
    }

    #[test]
    fn credentials_past_their_end_are_used_while_there_are_no_others() {
        let mut state = State::default();
        state
            .record(Ok(credentials("OLD", Some(50))), at(100))
            .unwrap();
        for (now, expected) in [(100, "use OLD"), (104, "use OLD"), (105, "renew ")] {
            assert_eq!(shown(&state.plan(at(now))), expected, "{now}");
        }
    }

    #[test]
    fn refused_credentials_are_renewed_once_a_minute() {
        let mut state = State::default();
        state.record(Ok(credentials("A", None)), at(0)).unwrap();
        assert!(state.refuse(&credentials("A", None), at(10)));
        assert_eq!(shown(&state.plan(at(10))), "renew A");
        state.record(Ok(credentials("A", None)), at(10)).unwrap();
        assert!(!state.refuse(&credentials("A", None), at(69)));
        assert_eq!(shown(&state.plan(at(69))), "use A");
        assert!(state.refuse(&credentials("A", None), at(70)));
        state.record(Ok(credentials("B", None)), at(70)).unwrap();
        assert!(
            state.refuse(&credentials("A", None), at(71)),
            "others are there already"
        );
        assert_eq!(shown(&state.plan(at(71))), "use B");
    }
}
