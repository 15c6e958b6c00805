//! Groups and streams that are missing are created, once, however many requests miss them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use ::aws::{CallError, Client, ErrorClass};
use plugin::{Answer, Log, OutputContext};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::CommonOptions;
use super::open_stream::Target;

const CREATE_LOG_STREAM: &str = "Logs_20140328.CreateLogStream";
const CREATE_LOG_GROUP: &str = "Logs_20140328.CreateLogGroup";
const PUT_RETENTION_POLICY: &str = "Logs_20140328.PutRetentionPolicy";

/// The days that the service knows (API reference of `PutRetentionPolicy`).
const RETENTION_DAYS: [i64; 23] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653, 0,
];
/// How long until a retention policy that could not be set is tried again.
const RETENTION_PAUSE: Duration = Duration::from_secs(60);

/// What is created, and how.
pub struct Creation {
    /// Whether streams are.
    pub streams: bool,
    /// Whether groups are.
    pub groups: bool,
    /// The class of new groups.
    pub class: Option<String>,
    /// Tags of new groups.
    pub tags: Vec<(String, String)>,
    /// Days that new groups keep events.
    pub retention_days: Option<i64>,
}

impl Creation {
    /// What both plugins have in common.
    pub fn new(options: &CommonOptions, context: &OutputContext) -> Creation {
        let days = options.log_retention_days;
        if days > 0 && !options.auto_create_group {
            context.log.warn(format_args!(
                "log_retention_days means nothing without auto_create_group"
            ));
        }
        if !RETENTION_DAYS.contains(&days) {
            context.log.warn(format_args!(
                "log_retention_days {days} will be refused by CloudWatch Logs, which knows 1, 3, 5, 7, 14, 30, 60, 90, 120, \
                 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 and 3653"
            ));
        }
        Creation {
            streams: true,
            groups: options.auto_create_group,
            class: None,
            tags: Vec::new(),
            retention_days: (days > 0).then_some(days),
        }
    }
}

/// Creates what is missing.
pub struct Creator {
    creation: Creation,
    log: Log,
    /// Held by the one who creates a group.
    turn: Mutex<()>,
    /// How often groups were created: who finds a larger number than before need not do it again.
    created: RefCell<HashMap<String, u32>>,
    /// Groups whose retention policy could not be set, and when to try again.
    without_policy: RefCell<HashMap<String, Instant>>,
}

impl Creator {
    /// Has created nothing yet.
    pub fn new(creation: Creation, log: Log) -> Creator {
        Creator {
            creation,
            log,
            turn: Mutex::new(()),
            created: RefCell::default(),
            without_policy: RefCell::default(),
        }
    }

    /// Creates the stream, and its group if that is missing too. An error is what becomes of the request: it is sent again,
    /// whatever the service says, because the records are not to blame.
    pub async fn create(&self, client: &Client, target: &Target) -> Result<(), Answer> {
        let Target { group, stream } = target;
        if !self.creation.streams {
            return Err(Answer::again(format!(
                "log stream {stream} of log group {group} is missing and auto_create_stream is off"
            )));
        }
        let before = self.times_created(group);
        match self.create_stream(client, target).await {
            Err(error) if is_not_found(&error) => {}
            done => return done.map_err(|error| again("CreateLogStream", &error)),
        }
        if !self.creation.groups {
            return Err(Answer::again(format!(
                "log group {group} is missing and auto_create_group is off"
            )));
        }
        {
            let _turn = self.turn.lock().await;
            if self.times_created(group) == before {
                self.create_group(client, group)
                    .await
                    .map_err(|error| again("CreateLogGroup", &error))?;
            }
        }
        self.create_stream(client, target)
            .await
            .map_err(|error| again("CreateLogStream", &error))
    }

    /// Sets the retention policy of a group where that failed when the group was created.
    pub async fn catch_up(&self, client: &Client, group: &str) {
        let due = |policies: &mut HashMap<String, Instant>| {
            let now = Instant::now();
            if policies.get(group).is_none_or(|at| *at > now) {
                return false;
            }
            policies.remove(group);
            true
        };
        if due(&mut self.without_policy.borrow_mut()) {
            self.set_retention(client, group).await;
        }
    }

    fn times_created(&self, group: &str) -> u32 {
        self.created.borrow().get(group).copied().unwrap_or(0)
    }

    async fn create_stream(&self, client: &Client, target: &Target) -> Result<(), CallError> {
        let body = json!({"logGroupName": target.group, "logStreamName": target.stream});
        if call(client, CREATE_LOG_STREAM, body).await? {
            self.log.info(format_args!(
                "created log stream {} in log group {}",
                target.stream, target.group
            ));
        }
        Ok(())
    }

    async fn create_group(&self, client: &Client, group: &str) -> Result<(), CallError> {
        let mut body = Map::new();
        body.insert("logGroupName".to_owned(), group.into());
        if let Some(class) = &self.creation.class {
            body.insert("logGroupClass".to_owned(), class.as_str().into());
        }
        if !self.creation.tags.is_empty() {
            let tags = self.creation.tags.iter();
            let tags = tags.map(|(key, value)| (key.clone(), value.as_str().into()));
            body.insert("tags".to_owned(), Value::Object(tags.collect()));
        }
        if call(client, CREATE_LOG_GROUP, Value::Object(body)).await? {
            self.log.info(format_args!("created log group {group}"));
        }
        *self
            .created
            .borrow_mut()
            .entry(group.to_owned())
            .or_default() += 1;
        self.set_retention(client, group).await;
        Ok(())
    }

    /// A failure does not hold back the records: it is tried again with a later request.
    async fn set_retention(&self, client: &Client, group: &str) {
        let Some(days) = self.creation.retention_days else {
            return;
        };
        let body = json!({"logGroupName": group, "retentionInDays": days});
        match call(client, PUT_RETENTION_POLICY, body).await {
            Ok(_) => self.log.info(format_args!(
                "log group {group} keeps events for {days} days"
            )),
            Err(error) if error.class() == ErrorClass::Permanent => self.log.error(format_args!(
                "the retention of log group {group} cannot be set to {days} days: {error}"
            )),
            Err(error) => {
                self.log.warn(format_args!(
                    "the retention of log group {group} is not set yet and will be tried again: {error}"
                ));
                self.without_policy
                    .borrow_mut()
                    .insert(group.to_owned(), Instant::now() + RETENTION_PAUSE);
            }
        }
    }
}

/// Whether it is done by this call; false if it was done before.
async fn call(client: &Client, operation: &'static str, body: Value) -> Result<bool, CallError> {
    match client.post_json(operation, body.to_string()).await {
        Ok(_) => Ok(true),
        Err(error) if has_code(&error, "ResourceAlreadyExistsException") => Ok(false),
        Err(error) => Err(error),
    }
}

fn again(operation: &str, error: &CallError) -> Answer {
    Answer::Again {
        after: error.retry_after(),
        why: format!("{operation}: {error}"),
        throttled: error.is_throttled(),
    }
}

/// Whether a group or stream is missing.
pub fn is_not_found(error: &CallError) -> bool {
    has_code(error, "ResourceNotFoundException")
}

/// Whether the service refused a call with this code.
pub fn has_code(error: &CallError, code: &str) -> bool {
    matches!(error, CallError::Refused(refusal) if refusal.code == code)
}
