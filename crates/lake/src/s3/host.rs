//! Buckets in host names.
//!
//! Clients name the bucket in the path if the endpoint is an IP address, as `flumen lake` prints it, and else often in
//! the host: `bucket.localhost`, `bucket.s3.us-west-2.amazonaws.com`. Under other names only paths are understood, as
//! nobody knows where the bucket ends.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// Finds the bucket in a host name.
pub struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(host);
        Ok(match bucket(host) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

fn bucket(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    if let Some(bucket) = name.strip_suffix(".localhost") {
        return Some(bucket);
    }
    let name = name.strip_suffix(".amazonaws.com")?;
    // `s3` or `s3-region` ends the bucket; without a bucket it comes first.
    let service = name
        .rfind(".s3.")
        .or_else(|| name.rfind(".s3-"))
        .or_else(|| name.strip_suffix(".s3").map(str::len))?;
    Some(&name[..service])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_found_where_they_can_be() {
        for (host, expected) in [
            ("localhost:4566", None),
            ("logs.localhost:4566", Some("logs")),
            ("my.logs.localhost", Some("my.logs")),
            ("s3.us-west-2.amazonaws.com", None),
            ("logs.s3.us-west-2.amazonaws.com", Some("logs")),
            ("logs.s3-us-west-2.amazonaws.com", Some("logs")),
            ("logs.s3.amazonaws.com", Some("logs")),
            ("lake.internal:4566", None),
        ] {
            assert_eq!(bucket(host), expected, "{host}");
        }
    }
}
