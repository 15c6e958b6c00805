//! The options, and what they come to.

use std::path::PathBuf;

use config::{Choice, Options, Seconds, Size};
use plugin::{BuildError, OutputContext};
use record::Origin;
use record::json;
use record::json::write::{Date, DateFormat, Writer};

use super::buffers::BufferSettings;
use super::encoding::Encoding;
use super::key::KeyFormat;
use super::object::ObjectSettings;
use crate::aws_client::ConnectionOptions;

/// The service's limits, and upstream's own.
const PART_MIN: u64 = 5_242_880;
const PART_MAX: u64 = 50_000_000;
const COMPRESSED_PART_MAX: u64 = 5_000_000_000;
const OBJECT_MIN: u64 = 1_000_000;
const OBJECT_MAX: u64 = 50_000_000_000;
const PUT_OBJECT_MAX: u64 = 1_000_000_000;

/// Uploads records to a bucket of Amazon S3 or of a compatible store, collected into objects by tag.
///
/// A record counts as delivered when it is in `store_dir`, on the disk: put that on a disk that survives a restart. Objects
/// that could not be uploaded are uploaded by the next run. Up to four objects are uploaded at once, each in up to four
/// parts at once. What of them is in memory counts in the memory limit of the process: 10 MiB of the usual 64, and never
/// more than 16; a part or object that is larger is alone.
#[derive(Clone, Debug, Options)]
pub struct S3Options {
    /// The name of the bucket.
    #[option(name = "bucket", required)]
    pub bucket: String,
    /// The AWS region.
    #[option(name = "region", default = "us-east-1")]
    pub region: String,
    /// The form of the objects.
    #[option(name = "format", default = "json_lines")]
    pub format: ObjectFormat,
    /// The key under which the time is written; `false` leaves it out.
    #[option(name = "json_date_key", default = "date")]
    pub json_date_key: String,
    /// How the time is written: `double`, `iso8601`, `epoch`, `epoch_ms`, `java_sql_timestamp`.
    #[option(name = "json_date_format", default = "iso8601")]
    pub json_date_format: String,
    /// An object is uploaded when so much has been collected for it, before compression. From 1 MB to 50 GB; to 1 GB
    /// with `use_put_object`.
    #[option(name = "total_file_size", default = "100000000")]
    pub total_file_size: Size,
    /// The size of the parts in which larger objects are uploaded.
    #[option(name = "upload_chunk_size", default = "5242880")]
    pub upload_chunk_size: Size,
    /// An object is uploaded when its first record has waited for this long.
    #[option(name = "upload_timeout", default = "10m")]
    pub upload_timeout: Seconds,
    /// The folder in which objects are collected.
    #[option(name = "store_dir", default = "/tmp/fluent-bit/s3")]
    pub store_dir: PathBuf,
    /// The most that is collected there by this output; then its sources wait. 0 is no limit.
    #[option(name = "store_dir_limit_size", default = "0")]
    pub store_dir_limit_size: Size,
    /// The names of the objects: `$TAG`, `$TAG[n]` (part n of the tag), `$INDEX` (a counter), `$UUID` (8 random
    /// characters) and strftime conversions of the time of the first record, in UTC.
    #[option(
        name = "s3_key_format",
        default = "/fluent-bit-logs/$TAG/%Y/%m/%d/%H/%M/%S"
    )]
    pub s3_key_format: String,
    /// The characters that split the tag for `$TAG[n]`.
    #[option(name = "s3_key_format_tag_delimiters", default = ".")]
    pub s3_key_format_tag_delimiters: String,
    /// Whether objects that are put at once get no random end to their name. An object of the same name is replaced.
    #[option(name = "static_file_path", default = "false")]
    pub static_file_path: bool,
    /// Whether objects are always put at once instead of in parts.
    #[option(name = "use_put_object", default = "false")]
    pub use_put_object: bool,
    /// Whether the objects of a tag are uploaded one after the other.
    #[option(name = "preserve_data_ordering", default = "true")]
    pub preserve_data_ordering: bool,
    /// Whether requests carry the header `Content-MD5`, as buckets with object lock want it.
    #[option(name = "send_content_md5", default = "false")]
    pub send_content_md5: bool,
    /// Write only the value of this field: text as it is, other values as JSON.
    #[option(name = "log_key")]
    pub log_key: Option<String>,
    /// How objects are compressed.
    #[option(name = "compression", default = "none")]
    pub compression: ObjectCompression,
    /// The content type of the objects.
    #[option(name = "content_type")]
    pub content_type: Option<String>,
    /// The predefined access rule of the objects, as `bucket-owner-full-control`.
    #[option(name = "canned_acl")]
    pub canned_acl: Option<String>,
    /// The storage class of the objects, as `STANDARD_IA`.
    #[option(name = "storage_class")]
    pub storage_class: Option<String>,
    /// How the service encrypts the objects: `AES256`, `aws:kms` or `aws:kms:dsse`; by default as the bucket says.
    #[option(name = "sse")]
    pub sse: Option<String>,
    /// The key for `aws:kms`; by default the bucket's.
    #[option(name = "sse_kms_key_id")]
    pub sse_kms_key_id: Option<String>,
    /// Not used: uploads are repeated until they succeed.
    #[option(name = "retry_exhausted_action")]
    pub retry_exhausted_action: Option<String>,
    /// Not used: nothing is given up.
    #[option(name = "quarantine_dir_limit_size")]
    pub quarantine_dir_limit_size: Option<Size>,
    /// Not used: only for inputs of blobs, as the following ones.
    #[option(name = "blob_database_file")]
    pub blob_database_file: Option<String>,
    /// Not used.
    #[option(name = "part_size")]
    pub part_size: Option<Size>,
    /// Not used.
    #[option(name = "file_delivery_attempt_limit")]
    pub file_delivery_attempt_limit: Option<i64>,
    /// Not used.
    #[option(name = "part_delivery_attempt_limit")]
    pub part_delivery_attempt_limit: Option<i64>,
    /// Not used.
    #[option(name = "upload_parts_timeout")]
    pub upload_parts_timeout: Option<Seconds>,
    /// Not used.
    #[option(name = "upload_part_freshness_limit")]
    pub upload_part_freshness_limit: Option<Seconds>,
    /// Not used.
    #[option(name = "authorization_endpoint_url")]
    pub authorization_endpoint_url: Option<String>,
    /// Not used.
    #[option(name = "authorization_endpoint_username")]
    pub authorization_endpoint_username: Option<String>,
    /// Not used.
    #[option(name = "authorization_endpoint_password")]
    pub authorization_endpoint_password: Option<String>,
    /// Not used.
    #[option(name = "authorization_endpoint_bearer_token")]
    pub authorization_endpoint_bearer_token: Option<String>,
    /// The service.
    #[option(flatten)]
    pub connection: ConnectionOptions,
}

/// The forms of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum ObjectFormat {
    /// One JSON object per line.
    JsonLines,
    /// The same.
    Json,
    /// A Parquet file with a column per field, compressed with zstd.
    Parquet,
    /// Not built.
    Arrow,
    /// Not built.
    OtlpJson,
    /// Not built.
    OtlpJsonPretty,
}

/// How objects are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum ObjectCompression {
    /// Not at all.
    None,
    /// One gzip member.
    Gzip,
    /// One zstd frame.
    Zstd,
    /// One raw block of Snappy.
    Snappy,
    /// The older way to ask for `format parquet`.
    Parquet,
    /// Not built.
    Arrow,
}

impl S3Options {
    /// When objects are full, what they are called, and what is stored with them.
    pub fn buffer_settings(&self, context: &OutputContext) -> Result<BufferSettings, BuildError> {
        self.warn_of_unused(context);
        let key_format = KeyFormat::new(&self.s3_key_format, &self.s3_key_format_tag_delimiters)?;
        let random_end =
            !self.static_file_path && !key_format.has_random() && !key_format.has_index();
        let encoding = self.encoding(context)?;
        let size = self.total_file_size.0;
        let put_only = self.use_put_object || size < 2 * PART_MIN;
        self.check_sizes(put_only, &encoding)?;
        if put_only && !self.use_put_object {
            context.log.info(format_args!(
                "total_file_size is below two parts of {PART_MIN} bytes: objects are put at once"
            ));
        }
        Ok(BufferSettings {
            key_format,
            random_end,
            object: ObjectSettings {
                encoding,
                put_only,
                part_size: self.upload_chunk_size.0,
                overwrites: self.static_file_path,
                content_type: self.content_type.clone(),
                canned_acl: self.canned_acl.clone(),
                storage_class: self.storage_class.clone(),
                sse: self.checked_sse()?,
                sse_kms_key_id: self.sse_kms_key_id.clone(),
                content_md5: self.send_content_md5,
            },
            size,
            timeout: self.upload_timeout.0,
            limit: self.store_dir_limit_size.0,
            output: Origin::of(&[
                b"s3",
                context.name.as_bytes(),
                self.bucket.as_bytes(),
                self.s3_key_format.as_bytes(),
            ]),
        })
    }

    /// The time of each record; `None` leaves it out.
    pub fn date(&self) -> Result<Option<Date>, BuildError> {
        let format = DateFormat::from_name(&self.json_date_format).ok_or_else(|| {
            let words = "double, iso8601, epoch, epoch_ms or java_sql_timestamp";
            format!(
                "json_date_format '{}' is unknown: it is {words}",
                self.json_date_format
            )
        })?;
        let key = &self.json_date_key;
        let is_off = ["false", "off", "no"]
            .iter()
            .any(|word| key.eq_ignore_ascii_case(word));
        Ok((!is_off).then(|| Date {
            key: key.as_bytes().into(),
            format,
        }))
    }

    /// What writes the lines. Those that become Parquet are read again: no escapes that are not needed, and no NaN, which
    /// is not JSON.
    pub fn writer(&self, context: &OutputContext) -> Writer {
        let parquet = self.is_parquet();
        Writer::new(json::write::Options {
            escape_unicode: context.escape_unicode && !parquet,
            nan_to_null: context.nan_to_null || parquet,
        })
    }

    fn is_parquet(&self) -> bool {
        self.format == ObjectFormat::Parquet || self.compression == ObjectCompression::Parquet
    }

    fn encoding(&self, context: &OutputContext) -> Result<Encoding, BuildError> {
        use ObjectCompression as C;
        use ObjectFormat as F;
        if matches!(self.format, F::OtlpJson | F::OtlpJsonPretty) {
            return Err("format otlp_json is not built: it is json_lines or parquet".into());
        }
        if self.format == F::Arrow || self.compression == C::Arrow {
            return Err("arrow is not built: the columnar format is parquet".into());
        }
        if self.format == F::Json {
            context
                .log
                .warn(format_args!("format json means json_lines"));
        }
        if self.is_parquet() {
            return self.parquet(context);
        }
        Ok(match self.compression {
            C::Gzip => Encoding::Gzip,
            C::Zstd => Encoding::Zstd,
            C::Snappy => Encoding::Snappy,
            C::None | C::Parquet | C::Arrow => Encoding::Plain,
        })
    }

    fn parquet(&self, context: &OutputContext) -> Result<Encoding, BuildError> {
        if self.log_key.is_some() {
            return Err("log_key leaves single values, of which parquet makes no columns".into());
        }
        if !matches!(
            self.compression,
            ObjectCompression::None | ObjectCompression::Parquet
        ) {
            context.log.warn(format_args!(
                "compression is not used: Parquet files are compressed inside, with zstd"
            ));
        }
        let date = self.date()?;
        let is_text = |date: &Date| {
            matches!(
                date.format,
                DateFormat::Iso8601 | DateFormat::JavaSqlTimestamp
            )
        };
        Ok(Encoding::Parquet {
            time_column: date
                .filter(is_text)
                .map(|date| String::from_utf8_lossy(&date.key).into_owned()),
        })
    }

    fn check_sizes(&self, put_only: bool, encoding: &Encoding) -> Result<(), BuildError> {
        let (size, part) = (self.total_file_size.0, self.upload_chunk_size.0);
        let most = match self.use_put_object {
            true => PUT_OBJECT_MAX,
            false => OBJECT_MAX,
        };
        if !(OBJECT_MIN..=most).contains(&size) {
            return Err(format!(
                "total_file_size is {size} bytes; allowed are {OBJECT_MIN} to {most}{}",
                if self.use_put_object {
                    " with use_put_object"
                } else {
                    ""
                }
            )
            .into());
        }
        if put_only {
            return Ok(());
        }
        let most = match encoding {
            Encoding::Plain => PART_MAX,
            _ => COMPRESSED_PART_MAX,
        };
        if !(PART_MIN..=most).contains(&part) {
            return Err(format!(
                "upload_chunk_size is {part} bytes; allowed are {PART_MIN} to {most}"
            )
            .into());
        }
        if part != PART_MIN && 2 * part > size {
            return Err(format!(
                "two parts of upload_chunk_size ({part} bytes) must fit into total_file_size ({size})"
            )
            .into());
        }
        Ok(())
    }

    fn checked_sse(&self) -> Result<Option<String>, BuildError> {
        const WORDS: [&str; 3] = ["AES256", "aws:kms", "aws:kms:dsse"];
        let Some(word) = &self.sse else {
            return match self.sse_kms_key_id {
                None => Ok(None),
                Some(_) => Err("sse_kms_key_id needs sse aws:kms or aws:kms:dsse".into()),
            };
        };
        let known = WORDS.iter().find(|known| known.eq_ignore_ascii_case(word));
        match known {
            Some(word) => Ok(Some((*word).to_owned())),
            None => Err(format!("sse '{word}' is unknown: it is {}", WORDS.join(", ")).into()),
        }
    }

    fn warn_of_unused(&self, context: &OutputContext) {
        let unused = [
            (
                "retry_exhausted_action",
                self.retry_exhausted_action.is_some(),
            ),
            (
                "quarantine_dir_limit_size",
                self.quarantine_dir_limit_size.is_some(),
            ),
            ("blob_database_file", self.blob_database_file.is_some()),
            ("part_size", self.part_size.is_some()),
            (
                "file_delivery_attempt_limit",
                self.file_delivery_attempt_limit.is_some(),
            ),
            (
                "part_delivery_attempt_limit",
                self.part_delivery_attempt_limit.is_some(),
            ),
            ("upload_parts_timeout", self.upload_parts_timeout.is_some()),
            (
                "upload_part_freshness_limit",
                self.upload_part_freshness_limit.is_some(),
            ),
            (
                "authorization_endpoint_url",
                self.authorization_endpoint_url.is_some(),
            ),
            (
                "authorization_endpoint_username",
                self.authorization_endpoint_username.is_some(),
            ),
            (
                "authorization_endpoint_password",
                self.authorization_endpoint_password.is_some(),
            ),
            (
                "authorization_endpoint_bearer_token",
                self.authorization_endpoint_bearer_token.is_some(),
            ),
        ];
        for (name, _) in unused.iter().filter(|(_, is_set)| *is_set) {
            context.log.warn(format_args!(
                "{name} is not used: uploads are repeated until they succeed, and there are no inputs of blobs"
            ));
        }
    }
}
