//! The records of a data stream, shard by shard, from the oldest on.

use serde::Deserialize;
use serde_json::json;

use super::call::Caller;
use crate::mark::Mark;
use crate::scan;
use crate::tally::{Tally, Verdict};

/// Records asked for at once. An answer of larger ones is too large to be read, so fewer are asked for then.
const RECORDS: u32 = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Shards {
    shards: Vec<Shard>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Shard {
    shard_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Iterator {
    shard_iterator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Records {
    records: Vec<Record>,
    next_shard_iterator: Option<String>,
    #[serde(default)]
    millis_behind_latest: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    data: String,
}

/// Reads every record of a stream, as far as it goes now.
pub async fn read(caller: &Caller, stream: &str, tally: &mut Tally) -> Result<(), String> {
    let mut input = json!({"StreamName": stream});
    loop {
        let page: Shards = caller.json("Kinesis_20131202.ListShards", &input).await?;
        for shard in &page.shards {
            read_shard(caller, stream, &shard.shard_id, tally).await?;
        }
        match page.next_token {
            Some(next) => input = json!({"NextToken": next}),
            None => return Ok(()),
        }
    }
}

async fn read_shard(
    caller: &Caller,
    stream: &str,
    shard: &str,
    tally: &mut Tally,
) -> Result<(), String> {
    let input =
        json!({"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
    let first: Iterator = caller
        .json("Kinesis_20131202.GetShardIterator", &input)
        .await?;
    let (mut iterator, mut limit) = (first.shard_iterator, RECORDS);
    loop {
        let input = json!({"ShardIterator": iterator, "Limit": limit});
        let page: Records = match caller.json("Kinesis_20131202.GetRecords", &input).await {
            Ok(page) => page,
            Err(error) if limit > 1 && error.contains("larger than") => {
                limit /= 4;
                continue;
            }
            Err(error) => return Err(error),
        };
        for record in &page.records {
            let data = base64_simd::STANDARD
                .decode_to_vec(record.data.as_bytes())
                .map_err(|_| format!("{stream} {shard}: a record is not base64"))?;
            scan::document(&data, |mark: Mark| tally.add(mark, Verdict::Given))
                .map_err(|error| format!("{stream} {shard}: {error}"))?;
        }
        let is_last = page.records.is_empty() && page.millis_behind_latest == 0;
        match page.next_shard_iterator {
            Some(next) if !is_last => iterator = next,
            _ => return Ok(()),
        }
    }
}
