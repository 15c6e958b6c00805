//! The events of a log group, as FilterLogEvents gives them: all streams together, in the order of their times.

use serde::Deserialize;
use serde_json::json;

use super::call::Caller;
use crate::mark;
use crate::tally::{Tally, Verdict};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    events: Vec<Event>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    message: String,
}

/// Reads every event of a log group.
pub async fn read(caller: &Caller, group: &str, tally: &mut Tally) -> Result<(), String> {
    let mut token: Option<String> = None;
    loop {
        let mut input = json!({"logGroupName": group, "limit": 10_000});
        if let Some(token) = &token {
            input["nextToken"] = json!(token);
        }
        let page: Page = caller.json("Logs_20140328.FilterLogEvents", &input).await?;
        for event in &page.events {
            mark::find(event.message.as_bytes()).for_each(|mark| tally.add(mark, Verdict::Given));
        }
        match page.next_token {
            // A token that repeats would be the last page again.
            Some(next) if token.as_ref() != Some(&next) => token = Some(next),
            _ => return Ok(()),
        }
    }
}
