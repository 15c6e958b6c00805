//! The S3 destination of a delivery stream, checked.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::Value;
use uuid::Uuid;

use super::compression::Compression;
use super::configuration::{
    BufferingHints, ProcessingConfiguration, S3Configuration, Shape, Switch,
};
use super::prefix::{self, PrefixRule};
use super::violations::{Refusal, Violations};
use crate::limits;
use crate::objects::{BucketName, ObjectKey};

/// A checked destination: everything that delivery needs.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Where objects go.
    pub bucket: BucketName,
    /// Bytes of records, before compression, that make an object.
    pub size: u64,
    /// Seconds after the first record that make an object; 0 stands for [`limits::ZERO_BUFFERING`].
    pub interval_secs: u32,
    /// How the object is compressed.
    pub compression: Compression,
    /// Whether records are separated by a line feed that they do not bring along.
    pub delimited: bool,
    prefix: PrefixRule,
    extension: String,
    zone: TimeZone,
}

impl Destination {
    /// Checks `configuration`, all members of a wrong shape first, then what they mean.
    pub fn parse(
        stream: &str,
        shape: Shape,
        configuration: &S3Configuration,
    ) -> Result<Self, Refusal> {
        check_shape(shape.path(), configuration)?;
        refuse_unsupported(configuration)?;
        let text = |member: &Option<String>| member.clone().unwrap_or_default();
        let hints = configuration.buffering_hints.clone().unwrap_or_default();
        let (size_mib, interval_secs) = parse_hints(&hints)?;
        let compression = Compression::parse(configuration.compression_format.as_deref())?;
        let destination = Self {
            bucket: parse_bucket(&text(&configuration.bucket_arn))?,
            size: u64::from(size_mib) * 1024 * 1024,
            interval_secs,
            compression,
            delimited: parse_processors(configuration.processing_configuration.as_ref())?,
            prefix: parse_prefixes(configuration)?,
            extension: extension(configuration.file_extension.as_deref(), compression),
            zone: parse_zone(configuration.custom_time_zone.as_deref())?,
        };
        destination.check_names(stream)?;
        Ok(destination)
    }

    /// A name for the object whose oldest record arrived at `time`: prefix, stream, version, time and a new UUID.
    pub fn object_name(&self, stream: &str, time: Timestamp) -> String {
        let time = time.to_zoned(self.zone.clone());
        self.name_at(stream, &time)
    }

    fn name_at(&self, stream: &str, time: &Zoned) -> String {
        let prefix = self.prefix.evaluate(time);
        let suffix = time.strftime("%Y-%m-%d-%H-%M-%S");
        let unique = Uuid::new_v4();
        format!(
            "{prefix}{stream}-{}-{suffix}-{unique}{}",
            super::VERSION_ID,
            self.extension
        )
    }

    /// Makes sure that what this destination will name can be an object.
    fn check_names(&self, stream: &str) -> Result<(), Refusal> {
        let time = Timestamp::now().to_zoned(self.zone.clone());
        let prefix = self.prefix.evaluate(&time);
        if prefix.chars().count() > limits::EVALUATED_PREFIX_CHARS {
            return Err(Refusal::argument(format!(
                "Prefix is longer than {} characters after its expressions were evaluated",
                limits::EVALUATED_PREFIX_CHARS
            )));
        }
        let name = self.name_at(stream, &time);
        ObjectKey::parse(&name).map(|_| ()).map_err(|error| {
            Refusal::argument(format!(
                "Prefix makes objects that cannot be, such as '{name}': {error}"
            ))
        })
    }
}

fn check_shape(path: &str, configuration: &S3Configuration) -> Result<(), Refusal> {
    let mut violations = Violations::default();
    let at = |member: &str| format!("{path}.{member}");
    match &configuration.role_arn {
        None => violations.add_missing(&at("roleARN")),
        Some(arn) => {
            violations.length(arn, &at("roleARN"), (1, limits::ROLE_ARN_CHARS));
            violations.pattern(arn, &at("roleARN"), "arn:.*", is_role_arn);
        }
    }
    match &configuration.bucket_arn {
        None => violations.add_missing(&at("bucketARN")),
        Some(arn) => {
            violations.length(arn, &at("bucketARN"), (1, limits::BUCKET_ARN_CHARS));
            violations.pattern(
                arn,
                &at("bucketARN"),
                r"arn:.*:s3:::[\w\.\-]{1,255}",
                |arn| bucket_of(arn).is_some(),
            );
        }
    }
    for (member, prefix) in [
        ("prefix", &configuration.prefix),
        ("errorOutputPrefix", &configuration.error_output_prefix),
    ] {
        violations.length(
            prefix.as_deref().unwrap_or(""),
            &at(member),
            (0, limits::PREFIX_CHARS),
        );
    }
    let hints = configuration.buffering_hints.clone().unwrap_or_default();
    let (least, most, _) = limits::BUFFER_SIZE_MIB;
    violations.range(
        hints.size_in_mbs.unwrap_or(least),
        &at("bufferingHints.sizeInMBs"),
        (least, most),
    );
    let (least, most, _) = limits::BUFFER_INTERVAL_SECS;
    violations.range(
        hints.interval_in_seconds.unwrap_or(least),
        &at("bufferingHints.intervalInSeconds"),
        (least, most),
    );
    if let Some(format) = &configuration.compression_format {
        violations.one_of(format, &at("compressionFormat"), &Compression::AWS_NAMES);
    }
    if let Some(mode) = &configuration.s3_backup_mode {
        violations.one_of(mode, &at("s3BackupMode"), &["Disabled", "Enabled"]);
    }
    if let Some(extension) = &configuration.file_extension {
        violations.length(
            extension,
            &at("fileExtension"),
            (0, limits::FILE_EXTENSION_CHARS),
        );
        violations.pattern(
            extension,
            &at("fileExtension"),
            r"^$|\.[0-9a-z!\-_.*'()]+",
            is_file_extension,
        );
    }
    if let Some(zone) = &configuration.custom_time_zone {
        violations.length(zone, &at("customTimeZone"), (0, limits::TIME_ZONE_CHARS));
        violations.pattern(zone, &at("customTimeZone"), "^$|[a-zA-Z/_]+", |zone| {
            zone.bytes()
                .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'/' | b'_'))
        });
    }
    violations.into_result()
}

/// What AWS does and the lake does not: refused rather than passed over, so that nobody waits for it.
fn refuse_unsupported(configuration: &S3Configuration) -> Result<(), Refusal> {
    let on = |switch: &Option<Switch>, unset: bool| {
        switch
            .as_ref()
            .is_some_and(|it| it.enabled.unwrap_or(unset))
    };
    let encrypted = |value: &Value| {
        value
            .get("KMSEncryptionConfig")
            .is_some_and(|config| !config.is_null())
    };
    let unsupported = if on(&configuration.data_format_conversion_configuration, true) {
        "DataFormatConversionConfiguration: the lake delivers records as they came"
    } else if on(&configuration.dynamic_partitioning_configuration, false) {
        "DynamicPartitioningConfiguration: use !{timestamp:…} in Prefix"
    } else if configuration.s3_backup_mode.as_deref() == Some("Enabled") {
        "S3BackupMode Enabled: the lake changes no records, so the objects are the backup"
    } else if configuration
        .encryption_configuration
        .as_ref()
        .is_some_and(encrypted)
    {
        "KMSEncryptionConfig: the lake does not encrypt; leave it out or say NoEncryption"
    } else {
        return Ok(());
    };
    Err(Refusal::argument(format!(
        "not supported here: {unsupported}"
    )))
}

fn parse_hints(hints: &BufferingHints) -> Result<(u32, u32), Refusal> {
    match (hints.size_in_mbs, hints.interval_in_seconds) {
        (None, None) => Ok((limits::BUFFER_SIZE_MIB.2, limits::BUFFER_INTERVAL_SECS.2)),
        // Both were found within bounds far below u32's.
        (Some(size), Some(interval)) => Ok((size as u32, interval as u32)),
        _ => Err(Refusal::argument(
            "BufferingHints: SizeInMBs and IntervalInSeconds have to be given together, or neither of them",
        )),
    }
}

fn parse_bucket(arn: &str) -> Result<BucketName, Refusal> {
    bucket_of(arn).and_then(BucketName::parse).ok_or_else(|| {
        Refusal::argument(format!(
            "BucketARN '{arn}' names no bucket: names have 3 to 63 lower-case letters, digits, dots and hyphens"
        ))
    })
}

fn parse_prefixes(configuration: &S3Configuration) -> Result<PrefixRule, Refusal> {
    let rule = PrefixRule::parse(configuration.prefix.as_deref().unwrap_or(""))
        .map_err(|error| Refusal::argument(format!("Prefix: {error}")))?;
    match configuration.error_output_prefix.as_deref() {
        None | Some("") if rule.has_expressions() => {
            return Err(Refusal::argument(
                "ErrorOutputPrefix has to be given when Prefix contains expressions",
            ));
        }
        Some(error_prefix) => prefix::check_error_output_prefix(error_prefix)
            .map_err(|error| Refusal::argument(format!("ErrorOutputPrefix: {error}")))?,
        None => {}
    }
    Ok(rule)
}

/// Whether the processors separate records; any other is refused.
fn parse_processors(configuration: Option<&ProcessingConfiguration>) -> Result<bool, Refusal> {
    let Some(configuration) = configuration.filter(|it| it.enabled.unwrap_or(false)) else {
        return Ok(false);
    };
    let processors = configuration.processors.as_deref().unwrap_or(&[]);
    if processors.is_empty() || processors.len() > limits::PROCESSORS {
        return Err(Refusal::argument(format!(
            "ProcessingConfiguration: 1 to {} Processors have to be given when it is enabled",
            limits::PROCESSORS
        )));
    }
    match processors
        .iter()
        .find(|it| it.kind.as_deref() != Some("AppendDelimiterToRecord"))
    {
        None => Ok(true),
        Some(other) => Err(Refusal::argument(format!(
            "not supported here: the processor {}; the lake has AppendDelimiterToRecord",
            other.kind.as_deref().unwrap_or("without a Type")
        ))),
    }
}

fn parse_zone(name: Option<&str>) -> Result<TimeZone, Refusal> {
    match name {
        None | Some("") => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| {
            Refusal::argument(format!(
                "CustomTimeZone '{name}' is no zone of the time zone database"
            ))
        }),
    }
}

/// `FileExtension` replaces the extension that the compression brings; an empty one does not.
fn extension(given: Option<&str>, compression: Compression) -> String {
    given
        .filter(|extension| !extension.is_empty())
        .unwrap_or(compression.extension())
        .to_owned()
}

fn is_role_arn(arn: &str) -> bool {
    // arn:<partition>:iam::<account>:role/<name>. The post itself writes the account as XXXXXXXXXXXX.
    let mut parts = arn.splitn(6, ':');
    parts.next() == Some("arn")
        && parts.nth(1) == Some("iam")
        && parts.nth(2).is_some_and(|it| it.starts_with("role/"))
}

fn bucket_of(arn: &str) -> Option<&str> {
    let name = arn.strip_prefix("arn:")?.split_once(":s3:::")?.1;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (!name.is_empty() && name.len() <= 255 && name.bytes().all(fits)).then_some(name)
}

fn is_file_extension(extension: &str) -> bool {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!-_.*'()".contains(&byte)
    };
    extension.is_empty()
        || extension
            .strip_prefix('.')
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &str = r#"{"RoleARN":"arn:aws:iam::XXXXXXXXXXXX:role/example_firehose_delivery_role",
        "BucketARN":"arn:aws:s3:::mh9-firelens-demo","Prefix":"ecs"}"#;

    /// The post's destination with `more` members.
    fn parse(more: &str) -> Result<Destination, Refusal> {
        let mut configuration: Value = serde_json::from_str(POST).unwrap();
        let more: Value = serde_json::from_str(more).unwrap();
        configuration
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let configuration = serde_json::from_value(configuration).unwrap();
        Destination::parse("ecs-stream", Shape::ExtendedS3, &configuration)
    }

    fn name(more: &str) -> String {
        parse(more)
            .unwrap()
            .object_name("ecs-stream", "2026-11-22T13:04:05.678Z".parse().unwrap())
    }

    #[test]
    fn objects_are_named_as_the_post_shows() {
        let name = name("{}");
        let unique = name
            .strip_prefix("ecs2026/11/22/13/ecs-stream-1-2026-11-22-13-04-05-")
            .unwrap();
        assert!(Uuid::parse_str(unique).is_ok(), "{name}");
    }

    #[test]
    fn extension_and_zone_show_in_the_name() {
        for (more, start, end) in [
            (
                r#"{"CompressionFormat":"GZIP"}"#,
                "ecs2026/11/22/13/ecs-stream-1-2026-11-22-13-04-05-",
                ".gz",
            ),
            (
                r#"{"CompressionFormat":"GZIP","FileExtension":""}"#,
                "ecs2026/11/22/13/",
                ".gz",
            ),
            (
                r#"{"CompressionFormat":"GZIP","FileExtension":".json.gz"}"#,
                "ecs2026/11/22/13/",
                ".json.gz",
            ),
            (r#"{"FileExtension":".json"}"#, "ecs2026/11/22/13/", ".json"),
            (
                r#"{"CustomTimeZone":"Asia/Tokyo"}"#,
                "ecs2026/11/22/22/ecs-stream-1-2026-11-22-22-04-05-",
                "",
            ),
        ] {
            let name = name(more);
            assert!(
                name.starts_with(start) && name.ends_with(end),
                "{more}: {name}"
            );
        }
    }

    #[test]
    fn defaults_are_awss() {
        let destination = parse("{}").unwrap();
        assert_eq!(
            (destination.size, destination.interval_secs),
            (5 * 1024 * 1024, 300)
        );
        assert_eq!(destination.compression, Compression::Uncompressed);
        assert!(!destination.delimited);
    }

    #[test]
    fn the_delimiter_processor_acts_when_enabled() {
        let block = |enabled| {
            format!(
                r#"{{"ProcessingConfiguration":{{"Enabled":{enabled},"Processors":[{{"Type":"AppendDelimiterToRecord","Parameters":[{{"ParameterName":"Delimiter","ParameterValue":"\\n"}}]}}]}}}}"#
            )
        };
        assert!(parse(&block(true)).unwrap().delimited);
        assert!(!parse(&block(false)).unwrap().delimited);
    }

    #[test]
    fn wrong_shapes_are_validation_errors() {
        for (more, told) in [
            (
                r#"{"RoleARN":null}"#,
                "Value null at 'extendedS3DestinationConfiguration.roleARN'",
            ),
            (r#"{"RoleARN":"me"}"#, "regular expression pattern: arn:.*"),
            (
                r#"{"BucketARN":null}"#,
                "extendedS3DestinationConfiguration.bucketARN",
            ),
            (
                r#"{"BucketARN":"mh9-firelens-demo"}"#,
                r"arn:.*:s3:::[\w\.\-]{1,255}",
            ),
            (
                r#"{"BucketARN":"arn:aws:s3:::../x"}"#,
                r"arn:.*:s3:::[\w\.\-]{1,255}",
            ),
            (
                r#"{"BufferingHints":{"SizeInMBs":129,"IntervalInSeconds":60}}"#,
                "less than or equal to 128",
            ),
            (
                r#"{"BufferingHints":{"SizeInMBs":0,"IntervalInSeconds":901}}"#,
                "2 validation errors",
            ),
            (
                r#"{"CompressionFormat":"SNAPPY"}"#,
                "[UNCOMPRESSED, GZIP, ZIP, Snappy, HADOOP_SNAPPY]",
            ),
            (r#"{"FileExtension":"json"}"#, "fileExtension"),
            (r#"{"CustomTimeZone":"UTC+9"}"#, "customTimeZone"),
        ] {
            match parse(more) {
                Err(Refusal::Shape(message)) => {
                    assert!(message.contains(told), "{more}: {message}")
                }
                other => panic!("{more}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_done_is_an_invalid_argument() {
        for (more, told) in [
            (r#"{"BufferingHints":{"SizeInMBs":5}}"#, "given together"),
            (
                r#"{"BucketARN":"arn:aws:s3:::No_Bucket"}"#,
                "names no bucket",
            ),
            (r#"{"CompressionFormat":"ZIP"}"#, "UNCOMPRESSED and GZIP"),
            (r#"{"CustomTimeZone":"Mars/Base"}"#, "no zone"),
            (
                r#"{"Prefix":"!{timestamp:yyyy}/"}"#,
                "ErrorOutputPrefix has to be given",
            ),
            (
                r#"{"Prefix":"!{timestamp:YYYY}/","ErrorOutputPrefix":"e/"}"#,
                "Prefix: 'Y'",
            ),
            (
                r#"{"ErrorOutputPrefix":"!{timestamp:yyyy}/"}"#,
                "error-output-type",
            ),
            (r#"{"Prefix":"/logs/"}"#, "begins or ends with a slash"),
            (r#"{"Prefix":"logs/../"}"#, "\"..\""),
            (
                r#"{"DataFormatConversionConfiguration":{}}"#,
                "DataFormatConversionConfiguration",
            ),
            (
                r#"{"DynamicPartitioningConfiguration":{"Enabled":true}}"#,
                "DynamicPartitioningConfiguration",
            ),
            (r#"{"S3BackupMode":"Enabled"}"#, "S3BackupMode"),
            (
                r#"{"EncryptionConfiguration":{"KMSEncryptionConfig":{"AWSKMSKeyARN":"arn:x"}}}"#,
                "does not encrypt",
            ),
            (
                r#"{"ProcessingConfiguration":{"Enabled":true}}"#,
                "1 to 5 Processors",
            ),
            (
                r#"{"ProcessingConfiguration":{"Enabled":true,"Processors":[{"Type":"Lambda"}]}}"#,
                "the processor Lambda",
            ),
        ] {
            match parse(more) {
                Err(Refusal::Argument(message)) => {
                    assert!(message.contains(told), "{more}: {message}")
                }
                other => panic!("{more}: {other:?}"),
            }
        }
        let long = format!(r#"{{"Prefix":"{}"}}"#, "x/".repeat(260));
        assert!(
            matches!(parse(&long), Err(Refusal::Argument(message)) if message.contains("512 characters"))
        );
    }

    #[test]
    fn what_is_switched_off_is_accepted() {
        for more in [
            r#"{"DataFormatConversionConfiguration":{"Enabled":false}}"#,
            r#"{"DynamicPartitioningConfiguration":{"Enabled":false}}"#,
            r#"{"S3BackupMode":"Disabled"}"#,
            r#"{"EncryptionConfiguration":{"NoEncryptionConfig":"NoEncryption"}}"#,
            r#"{"CloudWatchLoggingOptions":{"Enabled":true,"LogGroupName":"g","LogStreamName":"s"}}"#,
            r#"{"BufferingHints":{"SizeInMBs":1,"IntervalInSeconds":0}}"#,
            r#"{"UnknownMember":1}"#,
        ] {
            assert!(parse(more).is_ok(), "{more}: {:?}", parse(more));
        }
    }
}
