//! The lake: Firehose, Kinesis, CloudWatch Logs and S3 on one machine, with STS and IAM beside them, behind their own
//! protocols, in one folder.
//!
//! ```text
//!  DIR/logs/ID/        a log group: what it is, its streams, its events    this crate's
//!  DIR/data-streams/NAME/   a data stream: its shards and their records    this crate's
//!  DIR/iam/            roles and policies, kept and answered               this crate's
//!  DIR/sts/            the key that temporary credentials are made with    this crate's
//!  DIR/streams/NAME/   a delivery stream: what it is, what it buffers      this crate's
//!  DIR/objects/BUCKET/KEY   objects as files; other processes may read     this crate's, readers welcome
//!  DIR/catalog/        tables and views                                    the query side's
//! ```
//!
//! A record comes in through `firehose`, is kept in its stream's buffer (`streams`) before it is acknowledged, and
//! becomes part of an object (`objects`), which `s3` serves. An event comes in through `logs`, and `log_groups` keep it
//! until it expires. Nothing here knows routers, tables or SQL, and all the
//! state there is lies in the folder.

mod aws_json;
mod aws_query;
mod counters;
mod data_streams;
mod definition_file;
mod delivered;
mod disk_room;
mod durability;
mod failpoint;
mod firehose;
mod iam;
mod kinesis;
mod lake;
pub mod limits;
mod log;
mod log_groups;
mod logs;
mod objects;
mod options;
mod provenance;
mod route;
mod s3;
mod server;
mod signature;
mod streams;
mod sts;

pub use counters::{Counters, LogCounters, StreamCounters};
pub use durability::SyncMode;
pub use lake::{FlushError, Lake, OpenError};
pub use log::{Level, Logger};
pub use options::Options;
pub use server::SERVER_NAME;
