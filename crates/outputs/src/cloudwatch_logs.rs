//! Amazon CloudWatch Logs: `PutLogEvents`.
//!
//! Payload as in Fluent Bit's `plugins/out_cloudwatch_logs`. Beyond it: each stream has requests of its own, one under way
//! at a time and many streams at once; what the service rejects in a request that it accepts is counted by reason; a group
//! or stream that is missing is created when the service says so, also for the second time, and nothing is given up for it.

mod answer;
mod cloudwatch;
mod create;
mod dollar_template;
mod ecs;
mod emf;
mod entity;
mod message;
mod names;
mod open_stream;
mod payload;
mod send;
mod streams;
#[cfg(test)]
mod tests;
mod text;
mod unique;

use std::rc::Rc;

use ::aws::Service;
use config::Options;
use plugin::{BuildError, Output, OutputContext, OutputPlugin, RunOutput};

use crate::aws_client::AwsOptions;
use create::Creation;
use emf::Emf;
use message::{Message, MessageOptions};
use names::{Name, Names};
use payload::Payload;
use send::Sender;

pub use cloudwatch::PLUGIN as CLOUDWATCH;

/// `cloudwatch_logs`: the name of Fluent Bit's own plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin::new::<CloudwatchLogs>("cloudwatch_logs");

/// Requests under way at once, each of another stream.
const CONCURRENCY: usize = 16;

/// What the word `log_group_class` may be.
const CLASSES: [&str; 2] = ["STANDARD", "INFREQUENT_ACCESS"];

/// Sends records to log streams of Amazon CloudWatch Logs. Characters that a name may not hold become `.`, and names end
/// after 512 characters.
#[derive(Clone, Debug, Options)]
pub struct CloudwatchLogsOptions {
    /// Which group, and what is sent.
    #[option(flatten)]
    pub common: CommonOptions,
    /// The group as a record accessor, for example `/app/$kubernetes['namespace_name']`. `log_group_name` takes its place for
    /// records that lack a key of it.
    #[option(name = "log_group_template")]
    pub log_group_template: Option<String>,
    /// The stream as a record accessor. `log_stream_name` or `log_stream_prefix` takes its place for records that lack a key
    /// of it.
    #[option(name = "log_stream_template")]
    pub log_stream_template: Option<String>,
    /// The class of groups that are created: `STANDARD` or `INFREQUENT_ACCESS`.
    #[option(name = "log_group_class")]
    pub log_group_class: Option<String>,
    /// Turns records with the fields of Fluent Bit's inputs `cpu` and `mem` into metrics (embedded metric format) of this
    /// namespace; `fluent-bit-metrics` if only `metric_dimensions` is set.
    #[option(name = "metric_namespace")]
    pub metric_namespace: Option<String>,
    /// Sets of dimensions of these metrics: `a,b;c` are the sets `a,b` and `c`.
    #[option(name = "metric_dimensions")]
    pub metric_dimensions: Option<String>,
    /// Tell the service which entity (service, workload, instance) wrote the records, as their `aws_entity` fields say. The
    /// fields are then left out of what is sent.
    #[option(name = "add_entity", default = "false")]
    pub add_entity: bool,
    /// The service.
    #[option(flatten)]
    pub aws: AwsOptions,
}

/// What both plugins have.
#[derive(Clone, Debug, Options)]
pub struct CommonOptions {
    /// The name of the log group.
    #[option(name = "log_group_name", required)]
    pub log_group_name: String,
    /// The name of the log stream. This or `log_stream_prefix` is required.
    #[option(name = "log_stream_name")]
    pub log_stream_name: Option<String>,
    /// The log stream is this text with the tag behind it.
    #[option(name = "log_stream_prefix")]
    pub log_stream_prefix: Option<String>,
    /// Send only the value of this field: text as it is, other values as JSON.
    #[option(name = "log_key")]
    pub log_key: Option<String>,
    /// What the service is told about the format: `json/emf` for metrics embedded in records.
    #[option(name = "log_format")]
    pub log_format: Option<String>,
    /// Create a group that is missing. Otherwise its records wait until somebody creates it.
    #[option(name = "auto_create_group", default = "false")]
    pub auto_create_group: bool,
    /// How many days a group that is created keeps its events; 0 is forever.
    #[option(name = "log_retention_days", default = "0")]
    pub log_retention_days: i64,
    /// A text behind the `User-Agent` of requests.
    #[option(name = "extra_user_agent")]
    pub extra_user_agent: Option<String>,
}

struct CloudwatchLogs;

impl Output for CloudwatchLogs {
    type Options = CloudwatchLogsOptions;

    fn build(
        options: CloudwatchLogsOptions,
        context: &OutputContext,
    ) -> Result<RunOutput, BuildError> {
        let common = &options.common;
        let names = Names::new(
            Name::group(common)?
                .with_accessor("log_group_template", options.log_group_template.as_deref())?,
            Name::stream(common)?.with_accessor(
                "log_stream_template",
                options.log_stream_template.as_deref(),
            )?,
            context,
        );
        let message = MessageOptions {
            log_key: common.log_key.clone(),
            trims: false,
            has_entity: options.add_entity,
            emf: Emf::new(
                options.metric_namespace.as_deref(),
                options.metric_dimensions.as_deref(),
            ),
        };
        let creation = Creation {
            class: class(&options, context)?,
            ..Creation::new(common, context)
        };
        build(Parts {
            names,
            message,
            creation,
            common,
            aws: &options.aws,
            context,
        })
    }
}

/// What an instance is made of.
struct Parts<'a> {
    names: Names,
    message: MessageOptions,
    creation: Creation,
    common: &'a CommonOptions,
    aws: &'a AwsOptions,
    context: &'a OutputContext,
}

fn build(parts: Parts<'_>) -> Result<RunOutput, BuildError> {
    let Parts {
        common, context, ..
    } = parts;
    let user_agent = common.extra_user_agent.as_deref();
    let client = parts
        .aws
        .client_with_user_agent(Service::CLOUDWATCH_LOGS, user_agent, context)?;
    let message = Message::new(parts.message, context);
    Ok(RunOutput {
        format: Box::new(Payload::new(parts.names, message, context)),
        deliver: Rc::new(Sender::new(
            client,
            common.log_format.as_deref(),
            parts.creation,
            context,
        )?),
        concurrency: CONCURRENCY,
    })
}

/// The class of groups that are created. As upstream it is looked at only where groups are created.
fn class(
    options: &CloudwatchLogsOptions,
    context: &OutputContext,
) -> Result<Option<String>, BuildError> {
    let Some(class) = options
        .log_group_class
        .as_deref()
        .filter(|class| !class.is_empty())
    else {
        return Ok(None);
    };
    if !options.common.auto_create_group {
        context.log.warn(format_args!(
            "log_group_class means nothing without auto_create_group"
        ));
        return Ok(None);
    }
    if !CLASSES.contains(&class) {
        let why = format!("log_group_class '{class}' is not one of STANDARD, INFREQUENT_ACCESS");
        return Err(why.into());
    }
    Ok(Some(class.to_owned()))
}
