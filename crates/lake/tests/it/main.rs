//! The lake over TCP, asked by a client that has nothing of it: `aws-sigv4` signs, hyper sends.

mod client;
mod conditions;
mod durability;
mod firehose;
mod fuzz;
mod hostile;
mod iam;
mod kinesis;
mod kinesis_refusals;
mod logs;
mod logs_durability;
mod logs_put;
mod logs_reading;
mod multipart;
mod replay;
mod s3;
mod signatures;
mod sts;
