//! The limits of the services, as data.
//!
//! AWS's own numbers carry AWS's name for what they bound; the rest are the lake's, with the reason for their value.
//! Lengths are bytes unless the name says otherwise.

use std::time::Duration;

// Firehose: puts.

/// Records in one PutRecordBatch.
pub const RECORDS_PER_BATCH: usize = 500;
/// One record, before base64: 1,000 KiB, not 1 MiB.
pub const RECORD_BYTES: usize = 1_024_000;
/// All records of one PutRecordBatch together, before base64.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Characters of a record id. AWS's are opaque, of this length or a few characters less.
pub const RECORD_ID_CHARS: usize = 220;

// Firehose: delivery streams.

/// Characters of a delivery stream's name.
pub const STREAM_NAME_CHARS: usize = 64;
/// Delivery streams of an account in one region.
pub const DELIVERY_STREAMS: usize = 5_000;
/// Names in one answer of ListDeliveryStreams when the request does not say how many.
pub const LISTED_STREAMS_DEFAULT: usize = 10;
/// Names in one answer of ListDeliveryStreams, and destinations asked of DescribeDeliveryStream.
pub const LISTED_STREAMS: i64 = 10_000;
/// Tags of a delivery stream, and of one tagging request.
pub const TAGS: usize = 50;
/// Characters of a tag's key.
pub const TAG_KEY_CHARS: usize = 128;
/// Characters of a tag's value.
pub const TAG_VALUE_CHARS: usize = 256;

// Firehose: S3 destinations.

/// Characters of a role's ARN.
pub const ROLE_ARN_CHARS: usize = 512;
/// Characters of a bucket's ARN.
pub const BUCKET_ARN_CHARS: usize = 2048;
/// Characters of `Prefix` and of `ErrorOutputPrefix` as written.
pub const PREFIX_CHARS: usize = 1024;
/// Characters of a prefix after its expressions were evaluated.
pub const EVALUATED_PREFIX_CHARS: usize = 512;
/// `BufferingHints.SizeInMBs`: least, most, and what stands when no hints are given.
pub const BUFFER_SIZE_MIB: (i64, i64, u32) = (1, 128, 5);
/// `BufferingHints.IntervalInSeconds`: least, most, and what stands when no hints are given.
pub const BUFFER_INTERVAL_SECS: (i64, i64, u32) = (0, 900, 300);
/// What an interval of 0 ("zero buffering") means in practice.
pub const ZERO_BUFFERING: Duration = Duration::from_secs(5);
/// Characters of `FileExtension`.
pub const FILE_EXTENSION_CHARS: usize = 128;
/// Characters of `CustomTimeZone`.
pub const TIME_ZONE_CHARS: usize = 50;
/// Processors of one destination.
pub const PROCESSORS: usize = 5;

// CloudWatch Logs: puts.

/// Events in one PutLogEvents.
pub const EVENTS_PER_BATCH: usize = 10_000;
/// All events of one PutLogEvents together, with [`EVENT_OVERHEAD_BYTES`] for each.
pub const EVENT_BATCH_BYTES: usize = 1024 * 1024;
/// What an event counts besides its message in UTF-8.
pub const EVENT_OVERHEAD_BYTES: usize = 26;
/// One event, with its overhead.
pub const EVENT_BYTES: usize = 1024 * 1024;
/// How far apart the events of one PutLogEvents may be.
pub const EVENT_SPAN: Duration = Duration::from_secs(24 * 60 * 60);
/// How far ahead of the clock an event may be.
pub const EVENT_AHEAD: Duration = Duration::from_secs(2 * 60 * 60);
/// How old an event may be.
pub const EVENT_AGE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

// CloudWatch Logs: groups and streams.

/// Log groups of an account in one region.
pub const LOG_GROUPS: usize = 1_000_000;
/// Characters of a log group's or log stream's name.
pub const LOG_NAME_CHARS: usize = 512;
/// Characters of a log group's name or ARN.
pub const LOG_IDENTIFIER_CHARS: usize = 2048;
/// What PutRetentionPolicy takes, in days.
pub const RETENTION_DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];
/// Log groups or log streams in one answer; also what stands when the request does not say.
pub const DESCRIBED_LOGS: i64 = 50;
/// Log groups in one answer of ListLogGroups.
pub const LISTED_LOG_GROUPS: i64 = 1_000;
/// Characters of ListLogGroups' pattern: least and most.
pub const LOG_GROUP_PATTERN_CHARS: (usize, usize) = (3, 129);
/// Log groups that one DescribeLogGroups may name.
pub const LOG_IDENTIFIERS: usize = 50;

// CloudWatch Logs: reading.

/// Events in one answer; also what stands when the request does not say.
pub const READ_EVENTS: i64 = 10_000;
/// Events in one answer, with their overhead, in bytes.
pub const READ_PAGE_BYTES: usize = 1024 * 1024;
/// Log streams that one FilterLogEvents may name.
pub const FILTERED_STREAMS: usize = 100;
/// Characters of a filter pattern.
pub const FILTER_PATTERN_CHARS: usize = 1024;
/// Regular expressions in a filter pattern.
pub const FILTER_PATTERN_REGEXES: usize = 2;
/// Messages that one TestMetricFilter takes.
pub const TESTED_MESSAGES: usize = 50;

// Kinesis.

/// All records of one PutRecords together, with their partition keys, before base64.
pub const DATA_BATCH_BYTES: usize = 10 * 1024 * 1024;
/// `MaxRecordSizeInKiB`: least, most, and what stands when none is given. Partition keys count.
pub const DATA_RECORD_KIB: (i64, i64, u32) = (1024, 10_240, 1024);
/// Characters of a partition key.
pub const PARTITION_KEY_CHARS: usize = 256;
/// Characters of a data stream's name.
pub const DATA_STREAM_NAME_CHARS: usize = 128;
/// Shards of all data streams together, which is AWS's default.
pub const SHARDS: usize = 500;
/// Shards of a new data stream in on-demand mode.
pub const ON_DEMAND_SHARDS: u32 = 4;
/// Tags of a data stream.
pub const DATA_STREAM_TAGS: usize = 50;
/// `RetentionPeriodHours`: least, which stands at first, and most.
pub const RETENTION_HOURS: (u32, u32) = (24, 8760);
/// Records in one answer of GetRecords; also what stands when the request does not say.
pub const READ_RECORDS: i64 = 10_000;
/// Data in one answer of GetRecords, before base64.
pub const READ_BYTES: usize = 10 * 1024 * 1024;
/// How long a shard iterator can be used.
pub const ITERATOR_AGE: Duration = Duration::from_secs(300);
/// Names and shards in one answer of Kinesis's lists, at most, and unless the request says: of streams, of
/// DescribeStream's shards, of ListShards.
pub const LISTED_DATA: (i64, i64, i64, i64) = (10_000, 100, 100, 1000);

// S3.

/// One object key, in UTF-8.
pub const KEY_BYTES: usize = 1024;
/// One part of a key between slashes: what Linux file systems take as a file name.
pub const KEY_PART_BYTES: usize = 255;
/// Keys and common prefixes in one listing answer.
pub const LISTED_KEYS: usize = 1000;
/// Keys of one DeleteObjects request.
pub const DELETED_KEYS: usize = 1000;
/// Parts of one multipart upload, which are numbered from 1.
pub const PARTS: u32 = 10_000;
/// The least bytes of a part that is not the last one.
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// The most bytes of a part, and of an object that is put or copied in one request.
pub const PUT_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// The most bytes of an object.
pub const OBJECT_BYTES: u64 = 50 * 1024 * 1024 * 1024 * 1024;
/// Parts in one answer of ListParts, uploads and common prefixes in one of ListMultipartUploads.
pub const LISTED_PARTS: usize = 1000;
/// Tags of an object.
pub const OBJECT_TAGS: usize = 10;
/// The lake's own: uploads that became objects and are remembered, for clients that ask again.
pub const COMPLETED_UPLOADS: usize = 1000;
/// The body of an S3 request that is XML: 1,000 keys of 1,024 bytes, each escaped and wrapped, fit several times.
pub const XML_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Life of a presigned URL in seconds: seven days.
pub const PRESIGNED_SECS: u64 = 7 * 24 * 60 * 60;

// STS.

/// Characters of a role session's name.
pub const SESSION_NAME_CHARS: (usize, usize) = (2, 64);
/// Characters of a role's ARN in STS's requests.
pub const ASSUMED_ROLE_ARN_CHARS: (usize, usize) = (20, 2048);
/// Characters of an external id.
pub const EXTERNAL_ID_CHARS: (usize, usize) = (2, 1224);
/// Characters of a web identity's token.
pub const WEB_IDENTITY_TOKEN_CHARS: (usize, usize) = (4, 20_000);
/// `DurationSeconds` of a role's session: least, most, and what stands when none is given.
pub const ROLE_SESSION_SECS: (i64, i64, i64) = (900, 43_200, 3600);
/// The same for GetSessionToken.
pub const SESSION_TOKEN_SECS: (i64, i64, i64) = (900, 129_600, 43_200);

// IAM.

/// Roles of an account.
pub const ROLES: usize = 1000;
/// Customer managed policies of an account.
pub const POLICIES: usize = 1500;
/// Managed policies of one role.
pub const ATTACHED_POLICIES: usize = 10;
/// Characters of a role's name.
pub const ROLE_NAME_CHARS: usize = 64;
/// Characters of a policy's name.
pub const POLICY_NAME_CHARS: usize = 128;
/// Characters of a path.
pub const IAM_PATH_CHARS: usize = 512;
/// Characters of a role's or policy's description.
pub const DESCRIPTION_CHARS: usize = 1000;
/// Characters of a trust policy, of all inline policies of a role, of a managed policy; white space does not count.
pub const POLICY_CHARS: (usize, usize, usize) = (2048, 10_240, 6144);
/// `MaxItems` of a listing: most, and what stands when none is given.
pub const LISTED_IDENTITIES: (i64, i64) = (1000, 100);

// Signatures.

/// How far a request's clock may be from ours, either way.
pub const CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

// The lake's own: what one connection may cost.

/// A Firehose request's body. A full batch in base64 and its JSON take 5.7 MiB; one that is somewhat too large is still
/// read, so that it gets Firehose's own answer.
pub const FIREHOSE_BODY_BYTES: usize = 8 * 1024 * 1024;
/// A Kinesis request's body, to the same measure: a full PutRecords takes 14 MiB.
pub const KINESIS_BODY_BYTES: usize = 16 * 1024 * 1024;
/// A request's body in the query protocol: the largest policy, each character encoded, fits several times.
pub const QUERY_BODY_BYTES: usize = 1024 * 1024;
/// The lake's own: parameters of one such request.
pub const QUERY_PARAMETERS: usize = 1000;
/// A CloudWatch Logs request's body, and what it may become when it is decompressed: a full batch of which every byte
/// is escaped takes 6 MiB.
pub const LOGS_BODY_BYTES: usize = 8 * 1024 * 1024;
/// What is read and thrown away of a larger body, so that its sender gets to read the answer.
pub const DISCARDED_BODY_BYTES: usize = 64 * 1024 * 1024;
/// Firehose bodies held in memory at once, over all connections.
pub const BODIES_IN_MEMORY: usize = 32;
/// Open connections. The next one waits in the listener's queue.
pub const CONNECTIONS: usize = 1024;
/// A request's line and headers; `x-flumen-batch`, which a router keeps below 96 KiB, among them.
pub const HEADER_BYTES: usize = 128 * 1024;
/// What a frame's claim takes at most: 20 bytes for a source and 16 for a stretch, of as many records as a call has.
pub const CLAIM_BYTES: usize = 64 + EVENTS_PER_BATCH * 36;
/// A request's headers, in number.
pub const HEADERS: usize = 100;
/// How long a connection may be silent between requests, and how long a request's headers may take.
pub const HEADER_READ: Duration = Duration::from_secs(75);
/// How long a Firehose body may take to arrive, and an S3 body to send its next piece.
pub const BODY_READ: Duration = Duration::from_secs(60);
/// How long requests under way may take to end once the lake was asked to stop.
pub const GRACE: Duration = Duration::from_secs(5);

// The lake's own: delivery.

/// The wait after a first failed delivery; doubled up to [`DELIVERY_BACKOFF_MAX`].
pub const DELIVERY_BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest wait between two attempts to deliver.
pub const DELIVERY_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// What is read from a buffer, compressed and written to the object in one step.
pub const DELIVERY_STEP_BYTES: usize = 1024 * 1024;

// The lake's own: log groups.

/// What a segment of a log group may grow to before the next one begins.
pub const SEGMENT_BYTES: u64 = 32 * 1024 * 1024;
/// Put calls in one segment: what its index in memory may cost.
pub const SEGMENT_FRAMES: usize = 32_768;
/// What one request reads at most before it answers with what it has found so far.
pub const READ_SCAN_BYTES: u64 = 256 * 1024 * 1024;
/// How often expired events are looked for.
pub const LOG_UPKEEP: Duration = Duration::from_secs(60);

// An event costs less in a frame than it counts, and the frame's head has room beside a full batch.
const _: () = assert!(EVENT_BATCH_BYTES + 4 * LOG_NAME_CHARS + 64 < BATCH_BYTES);

// The lake's own: data streams.

/// What a segment of a shard may grow to before the next one begins, and for how long it may take records. Shorter than
/// the least retention by far: segments expire as a whole.
pub const SHARD_SEGMENT: (u64, Duration) = (16 * 1024 * 1024, Duration::from_secs(3600));
/// How often expired records of data streams are given back to the disk.
pub const SHARD_UPKEEP: Duration = Duration::from_secs(60);
/// GetRecords under way at once: each may hold a full answer twice.
pub const READS_IN_MEMORY: usize = 8;

// A frame holds what one put call brought, each record with its delimiter.
const _: () = assert!(BATCH_BYTES + RECORDS_PER_BATCH <= u32::MAX as usize);
const _: () = assert!(FIREHOSE_BODY_BYTES > BATCH_BYTES / 3 * 4 + RECORDS_PER_BATCH * 16);
// Ids are made for a whole batch in one base64 run, which only comes apart where three bytes meet four characters.
const _: () = assert!(RECORD_ID_CHARS.is_multiple_of(4));
