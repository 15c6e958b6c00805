//! Where an output delivers to, as its section says. The keys are read as text, so that an output is looked at even if
//! some other option of it is wrong.

use aws::Service;
use config::Section;

/// A destination of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Amazon Data Firehose.
    DeliveryStream(String),
    /// Kinesis Data Streams.
    Stream(String),
    /// CloudWatch Logs.
    LogGroup(LogGroup),
    /// S3.
    Bucket(Bucket),
}

/// A log group and what the output does there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGroup {
    pub name: String,
    /// The stream of a test event: the output's own if it has one name for all records.
    pub stream: String,
    /// Whether the output creates the group when it is missing.
    pub created_when_missing: bool,
    /// Whether it creates streams.
    pub creates_streams: bool,
    /// Whether records name their group, so that this name may never be used.
    pub depends_on_records: bool,
}

/// A bucket and what the output sends with each object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    /// The part of the key that all objects have, without a slash in front.
    pub prefix: String,
    /// Headers that need permissions or settings of their own: `x-amz-acl`, `x-amz-storage-class`.
    pub headers: Vec<(&'static str, String)>,
}

/// The end of the stream's name where each tag or record has a stream of its own.
pub const STREAM_NAME_OF_TESTS: &str = "flumen-doctor";

impl Destination {
    /// The destination of an output: `None` if it is no AWS output, an error if it does not name what it needs.
    pub fn of(section: &Section) -> Option<Result<Self, String>> {
        let named = |key: &str| {
            let text = section.text(key).filter(|text| !text.is_empty());
            text.map(str::to_owned)
                .ok_or_else(|| format!("'{key}' is missing"))
        };
        let plugin = section.plugin_name()?.to_ascii_lowercase();
        Some(match plugin.as_str() {
            "firehose" | "kinesis_firehose" => named("delivery_stream").map(Self::DeliveryStream),
            "kinesis" | "kinesis_streams" => named("stream").map(Self::Stream),
            "cloudwatch" | "cloudwatch_logs" => {
                named("log_group_name").map(|name| Self::LogGroup(log_group(section, name)))
            }
            "s3" => named("bucket").map(|name| Self::Bucket(bucket(section, name))),
            _ => return None,
        })
    }

    /// The service that is called.
    pub fn service(&self) -> Service {
        match self {
            Self::DeliveryStream(_) => Service::FIREHOSE,
            Self::Stream(_) => Service::KINESIS,
            Self::LogGroup(_) => Service::CLOUDWATCH_LOGS,
            Self::Bucket(_) => Service::S3,
        }
    }

    /// The region if the section names none: only S3 has one.
    pub fn default_region(&self) -> Option<&'static str> {
        matches!(self, Self::Bucket(_)).then_some("us-east-1")
    }

    /// In words.
    pub fn text(&self) -> String {
        match self {
            Self::DeliveryStream(name) => format!("delivery stream {name}"),
            Self::Stream(name) => format!("stream {name}"),
            Self::LogGroup(group) => format!("log group {}", group.name),
            Self::Bucket(bucket) => format!("bucket {}", bucket.name),
        }
    }
}

fn log_group(section: &Section, name: String) -> LogGroup {
    let text = |key: &str| section.text(key).filter(|text| !text.is_empty());
    // `$` begins a template: of AWS's Go plugin, or of a record accessor.
    let fixed = |text: &&str| !text.contains('$');
    let stream = match text("log_stream_name").filter(fixed) {
        Some(name) => name.to_owned(),
        None => {
            let prefix = text("log_stream_prefix").filter(fixed).unwrap_or_default();
            format!("{prefix}{STREAM_NAME_OF_TESTS}")
        }
    };
    LogGroup {
        stream,
        created_when_missing: text("auto_create_group").is_some_and(is_true),
        creates_streams: text("auto_create_stream").is_none_or(is_true),
        depends_on_records: name.contains('$') || text("log_group_template").is_some(),
        name,
    }
}

fn bucket(section: &Section, name: String) -> Bucket {
    let text = |key: &str| section.text(key).filter(|text| !text.is_empty());
    let format = text("s3_key_format").unwrap_or("/fluent-bit-logs/$TAG/");
    let fixed = format.find(['$', '%']).unwrap_or(format.len());
    let prefix = format[..fixed].trim_start_matches('/').to_owned();
    let headers = [
        ("x-amz-acl", text("canned_acl")),
        ("x-amz-storage-class", text("storage_class")),
    ];
    Bucket {
        name,
        prefix,
        headers: headers
            .into_iter()
            .filter_map(|(header, value)| Some((header, value?.to_owned())))
            .collect(),
    }
}

/// Fluent Bit's words for yes.
fn is_true(text: &str) -> bool {
    ["true", "on", "yes"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Entry, Position, SectionKind};

    fn of(entries: &[(&str, &str)]) -> Option<Result<Destination, String>> {
        let nowhere = Position::argument(1);
        let mut section = Section::new(SectionKind::Output, "output", nowhere.clone());
        for (key, value) in entries {
            section
                .entries
                .push(Entry::plain(key, nowhere.clone(), *value, nowhere.clone()));
        }
        Destination::of(&section)
    }

    fn log_group(more: &[(&str, &str)]) -> LogGroup {
        let mut entries = vec![("name", "cloudwatch_logs")];
        entries.extend(more);
        match of(&entries) {
            Some(Ok(Destination::LogGroup(group))) => group,
            found => panic!("{found:?}"),
        }
    }

    #[test]
    fn outputs_name_their_destinations() {
        let cases: [(&[(&str, &str)], Option<Result<&str, &str>>); 7] = [
            (
                &[("name", "Firehose"), ("delivery_stream", "d")],
                Some(Ok("delivery stream d")),
            ),
            (
                &[("name", "kinesis_streams"), ("stream", "s")],
                Some(Ok("stream s")),
            ),
            (
                &[("name", "cloudwatch"), ("log_group_name", "g")],
                Some(Ok("log group g")),
            ),
            (&[("name", "s3"), ("bucket", "b")], Some(Ok("bucket b"))),
            (&[("name", "s3")], Some(Err("'bucket' is missing"))),
            (&[("name", "stdout")], None),
            (&[], None),
        ];
        for (entries, expected) in cases {
            let found = of(entries).map(|found| found.map(|found| found.text()));
            let expected =
                expected.map(|expected| expected.map(str::to_owned).map_err(str::to_owned));
            assert_eq!(found, expected, "{entries:?}");
        }
    }

    #[test]
    fn a_test_event_goes_where_events_go() {
        let name = ("log_group_name", "g");
        let cases = [
            (vec![name, ("log_stream_name", "s")], "s", false),
            (
                vec![name, ("log_stream_prefix", "p-")],
                "p-flumen-doctor",
                false,
            ),
            (
                vec![name, ("log_stream_name", "$(tag)")],
                "flumen-doctor",
                false,
            ),
            (
                vec![name, ("log_stream_name", "s"), ("log_group_template", "$x")],
                "s",
                true,
            ),
            (
                vec![
                    ("log_group_name", "a-$(kubernetes['x'])"),
                    ("log_stream_name", "s"),
                ],
                "s",
                true,
            ),
        ];
        for (entries, stream, depends_on_records) in cases {
            let group = log_group(&entries);
            assert_eq!(
                (group.stream.as_str(), group.depends_on_records),
                (stream, depends_on_records),
                "{entries:?}"
            );
        }
        assert!(log_group(&[name, ("auto_create_group", "On")]).created_when_missing);
        assert!(!log_group(&[name, ("auto_create_group", "false")]).created_when_missing);
        assert!(log_group(&[name]).creates_streams);
        assert!(!log_group(&[name, ("auto_create_stream", "off")]).creates_streams);
    }

    #[test]
    fn a_test_object_lies_among_the_others() {
        let cases = [
            (None, "fluent-bit-logs/"),
            (Some("/logs/%Y/$TAG"), "logs/"),
            (Some("/app-$TAG"), "app-"),
            (Some("/$TAG/x"), ""),
            (Some("/fixed/name.gz"), "fixed/name.gz"),
        ];
        for (format, prefix) in cases {
            let mut entries = vec![("name", "s3"), ("bucket", "b"), ("canned_acl", "private")];
            entries.extend(format.map(|format| ("s3_key_format", format)));
            match of(&entries) {
                Some(Ok(Destination::Bucket(bucket))) => {
                    assert_eq!(bucket.prefix, prefix);
                    assert_eq!(bucket.headers, [("x-amz-acl", "private".to_owned())]);
                }
                found => panic!("{found:?}"),
            }
        }
    }
}
