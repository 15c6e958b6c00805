//! `cloudwatch`: the options of AWS's Go plugin (amazon-cloudwatch-logs-for-fluent-bit).

use config::Options;
use plugin::{BuildError, Output, OutputContext, OutputPlugin, RunOutput};

use super::create::Creation;
use super::message::MessageOptions;
use super::names::{Name, Names};
use super::{CommonOptions, Parts, build};
use crate::aws_client::AwsOptions;

/// `cloudwatch`: the name of AWS's Go plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin::new::<Cloudwatch>("cloudwatch");

/// Sends records to log streams of Amazon CloudWatch Logs, with the options of AWS's Go plugin. New configurations better use
/// `cloudwatch_logs`.
///
/// `log_group_name` and `log_stream_name` may hold `$(tag)`, `$(tag[0])` to `$(tag[9])`, `$(key)`, `$(key['inner'])`,
/// `$(uuid)`, `$(ecs_task_id)`, `$(ecs_cluster)` and `$(ecs_task_arn)`. Characters that a name may not hold become `.`, and
/// names end after 512 characters.
#[derive(Clone, Debug, Options)]
pub struct CloudwatchOptions {
    /// Which group, and what is sent.
    #[option(flatten)]
    pub common: CommonOptions,
    /// The group for records that lack a key of `log_group_name`.
    #[option(name = "default_log_group_name", default = "fluentbit-default")]
    pub default_log_group_name: String,
    /// The stream for records that lack a key of `log_stream_name`.
    #[option(name = "default_log_stream_name", default = "/fluentbit-default")]
    pub default_log_stream_name: String,
    /// Create a stream that is missing.
    #[option(name = "auto_create_stream", default = "true")]
    pub auto_create_stream: bool,
    /// Tags of groups that are created: `key=value,other=value`.
    #[option(name = "new_log_group_tags")]
    pub new_log_group_tags: Option<String>,
    /// Not read: `AWS_CONTAINER_CREDENTIALS_FULL_URI` names a source of credentials.
    #[option(name = "credentials_endpoint")]
    pub credentials_endpoint: Option<String>,
    /// The service.
    #[option(flatten)]
    pub aws: AwsOptions,
}

/// Builds the output.
pub struct Cloudwatch;

impl Output for Cloudwatch {
    type Options = CloudwatchOptions;

    fn build(options: CloudwatchOptions, context: &OutputContext) -> Result<RunOutput, BuildError> {
        let common = &options.common;
        if options.credentials_endpoint.is_some() {
            context.log.warn(format_args!(
                "credentials_endpoint is not read: name the source of credentials in \
                 AWS_CONTAINER_CREDENTIALS_FULL_URI"
            ));
        }
        if options.new_log_group_tags.is_some() && !common.auto_create_group {
            context.log.warn(format_args!(
                "new_log_group_tags means nothing without auto_create_group"
            ));
        }
        let names = Names::new(
            Name::group(common)?.with_dollars(&options.default_log_group_name, context)?,
            Name::stream(common)?.with_dollars(&options.default_log_stream_name, context)?,
            context,
        );
        let message = MessageOptions {
            log_key: common.log_key.clone(),
            trims: true,
            has_entity: false,
            emf: None,
        };
        let creation = Creation {
            streams: options.auto_create_stream,
            tags: tags(options.new_log_group_tags.as_deref().unwrap_or_default()),
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

/// Takes `key=value,key=value` apart: blanks around both vanish, a key without a value has an empty one, and of equal keys
/// the last counts.
fn tags(text: &str) -> Vec<(String, String)> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for tag in text.split(',') {
        let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
        let (key, value) = (key.trim(), value.trim());
        if !key.is_empty() {
            tags.retain(|(known, _)| known != key);
            tags.push((key.to_owned(), value.to_owned()));
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_taken_apart() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let cases = [
            ("", vec![]),
            (
                "tag=val, cool = my other value",
                vec![pair("tag", "val"), pair("cool", "my other value")],
            ),
            ("a,=x,,b=1=2", vec![pair("a", ""), pair("b", "1=2")]),
            ("a=1,b=2,a=3", vec![pair("b", "2"), pair("a", "3")]),
        ];
        for (text, expected) in cases {
            assert_eq!(tags(text), expected, "{text}");
        }
    }
}
