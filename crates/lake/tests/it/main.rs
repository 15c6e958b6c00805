//! The lake over TCP, asked by a client that has nothing of it: `aws-sigv4` signs, hyper sends.

mod client;
mod durability;
mod firehose;
mod hostile;
mod identities;
mod kinesis;
mod kinesis_refusals;
mod multipart;
mod s3;
mod signatures;
