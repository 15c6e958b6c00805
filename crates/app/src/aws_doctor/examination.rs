//! Everything that is looked at for one output, in order.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use aws::{Answer, CallError, Client, Request};
use config::{Diagnostics, LogLevel, Options, Section};
use outputs::{Access, ConnectionOptions};
use plugin::Log;
use serde_json::Value;

use super::destination::Destination;
use super::look::{Standing, look};
use super::report::{Examination, Finding};
use super::{identity, put, words};
use crate::registry::REGISTRY;

/// Services take dates up to five minutes off; a clock that is this far off will be there.
const SKEW_MAX: Duration = Duration::from_secs(60);

/// One output on its way to its service.
pub struct Session {
    pub destination: Destination,
    /// Alias, or `firehose.0`.
    pub name: String,
    pub region: String,
    pub access: Access,
    pub client: Client,
    /// The service's clock minus ours in seconds, once it has answered.
    skew: Cell<Option<i64>>,
}

impl Session {
    /// Sends a request to the destination's service.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, CallError> {
        self.send_with(&self.client, request).await
    }

    /// Sends a request of some client, and looks at the clock of the one who answers.
    pub async fn send_with(
        &self,
        client: &Client,
        request: Request<'_>,
    ) -> Result<Answer, CallError> {
        let result = client.send(request).await;
        let date = match &result {
            Ok(answer) => answer.date(),
            Err(CallError::Refused(error)) => error.date(),
            Err(_) => None,
        };
        if let Some(date) = date {
            self.skew.set(Some(seconds_after(date, SystemTime::now())));
        }
        result
    }

    /// Calls an operation of the JSON protocol. What cannot be read as JSON is null.
    pub async fn call(&self, operation: &'static str, body: Value) -> Result<Value, CallError> {
        let body = body.to_string();
        let answer = self.send(Request::json(operation, body.as_bytes())).await?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }
}

fn seconds_after(later: SystemTime, earlier: SystemTime) -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match later.duration_since(earlier) {
        Ok(after) => seconds(after),
        Err(before) => -seconds(before.duration()),
    }
}

/// Looks at an output; `None` if it is no AWS output. `index` is its place among the outputs.
pub async fn examine(section: &Section, index: usize, put: bool) -> Option<Examination> {
    let destination = Destination::of(section)?;
    let plugin = section
        .plugin_name()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let name = match section.text("alias") {
        Some(alias) => alias.to_owned(),
        None => format!("{plugin}.{index}"),
    };
    let text = match &destination {
        Ok(destination) => destination.text(),
        Err(problem) => problem.clone(),
    };
    let mut findings = vec![options(section, &plugin)];
    match destination.and_then(|destination| session(section, destination, name.clone())) {
        Ok(session) => converse(&session, put, &mut findings).await,
        // The options say it already, unless only the environment is at fault.
        Err(problem) if findings[0].advice.is_none() => {
            findings[0] = Finding::problem("options", problem);
        }
        Err(_) => {}
    }
    Some(Examination {
        name,
        plugin,
        destination: text,
        place: section.position.to_string(),
        findings,
    })
}

/// Whether the plugin can read its section.
fn options(section: &Section, plugin: &str) -> Finding {
    let mut diagnostics = Diagnostics::new();
    let known = REGISTRY
        .outputs
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(plugin));
    if let Some(known) = known {
        (known.configure)(section, &mut diagnostics);
    }
    let messages: Vec<String> = diagnostics
        .iter()
        .map(|finding| finding.message.clone())
        .collect();
    let advice = "flumen check says where, and what is allowed";
    match (messages.is_empty(), diagnostics.prevents_start()) {
        (true, _) => Finding::good("options", "can be read"),
        (false, true) => Finding::problem("options", messages.join("; ")).advise(advice),
        (false, false) => Finding::warning("options", messages.join("; ")).advise(advice),
    }
}

/// Makes the client that the output would have.
fn session(section: &Section, destination: Destination, name: String) -> Result<Session, String> {
    let mut diagnostics = Diagnostics::new();
    let Some(connection) = ConnectionOptions::read_part(section, &mut diagnostics) else {
        let messages = diagnostics.iter().map(|finding| finding.message.clone());
        return Err(messages.collect::<Vec<_>>().join("; "));
    };
    let region = section
        .text("region")
        .or(destination.default_region())
        .ok_or("'region' is missing")?
        .to_owned();
    let log = Log::new(&name, LogLevel::Warn);
    let access = connection
        .access(&region, &log)
        .map_err(|error| error.to_string())?;
    let client = access
        .client(destination.service())
        .map_err(|error| error.to_string())?;
    Ok(Session {
        destination,
        name,
        region,
        access,
        client,
        skew: Cell::new(None),
    })
}

/// Everything that is asked of AWS.
async fn converse(session: &Session, put: bool, findings: &mut Vec<Finding>) {
    let credentials = credentials(session).await;
    let has_credentials = credentials.advice.is_none();
    findings.push(credentials);
    findings.push(match has_credentials {
        true => identity::ask(session).await,
        false => Finding::skipped("identity", "without credentials"),
    });
    findings.push(Finding::good("region", session.region.as_str()));
    findings.push(Finding::good(
        "endpoint",
        format!(
            "{} ({})",
            session.client.endpoint(),
            session.client.endpoint_origin()
        ),
    ));
    let (found, standing) = match has_credentials {
        true => look(session).await,
        false => (
            Finding::skipped("destination", "without credentials"),
            Standing::OutOfReach,
        ),
    };
    findings.push(found);
    findings.push(clock(session.skew.get()));
    findings.push(match (put, standing) {
        (false, _) => Finding::skipped("put", "not tried: --put sends one test record"),
        (true, Standing::OutOfReach) => Finding::skipped("put", "not tried: nobody to send to"),
        (true, Standing::Missing) => Finding::skipped("put", "not tried: nothing to put it into"),
        (true, Standing::Usable) => put::put(session).await,
    });
}

async fn credentials(session: &Session) -> Finding {
    match session.access.credentials().credentials().await {
        Ok(found) => {
            let end = match found.expiry() {
                Some(end) => format!("end at {}", words::moment(end)),
                None => "do not end".to_owned(),
            };
            let key = found.access_key_id();
            Finding::good(
                "credentials",
                format!("{key} from {}; {end}", found.source()),
            )
        }
        Err(error) => {
            let text = error.to_string();
            // A sign-in that has ended says itself what to run.
            let advice = match text.rsplit_once(": run ") {
                Some((_, command)) => format!("run: {command}"),
                None => words::NO_CREDENTIALS.to_owned(),
            };
            Finding::problem("credentials", text).advise(advice)
        }
    }
}

fn clock(skew: Option<i64>) -> Finding {
    let Some(skew) = skew else {
        return Finding::skipped("clock", "no answer told the time");
    };
    let apart = Duration::from_secs(skew.unsigned_abs());
    // Dates in answers are whole seconds, and an answer has travelled.
    let text = match skew {
        -1..=1 => "agrees with the service's".to_owned(),
        _ if skew < 0 => format!("{} ahead of the service's", words::rough(apart)),
        _ => format!("{} behind the service's", words::rough(apart)),
    };
    match apart < SKEW_MAX {
        true => Finding::good("clock", text),
        false => Finding::warning("clock", text).advise(
            "set the clock of this machine (NTP); until then a request that is refused for its date is dated anew",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws_doctor::report::Verdict;

    #[test]
    fn the_clock_is_told_with_its_direction() {
        let cases = [
            (None, Verdict::Skipped, "no answer told the time"),
            (Some(0), Verdict::Good, "agrees with the service's"),
            (Some(-1), Verdict::Good, "agrees with the service's"),
            (Some(2), Verdict::Good, "2 s behind the service's"),
            (Some(-59), Verdict::Good, "59 s ahead of the service's"),
            (Some(-60), Verdict::Warning, "60 s ahead of the service's"),
            (Some(7200), Verdict::Warning, "2 h behind the service's"),
        ];
        for (skew, verdict, text) in cases {
            let found = clock(skew);
            assert_eq!((found.verdict, found.text.as_str()), (verdict, text));
        }
        let now = SystemTime::now();
        assert_eq!(seconds_after(now + Duration::from_secs(3), now), 3);
        assert_eq!(seconds_after(now - Duration::from_secs(3), now), -3);
    }
}
