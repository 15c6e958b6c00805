//! The sending half: `PutLogEvents`, and what has to be there for it.

use std::cell::Cell;
use std::rc::Rc;

use ::aws::{Answer as Response, CallError, Client, Request as Call};
use http::{HeaderName, HeaderValue};
use plugin::{Answer, BuildError, Deliver, LocalFuture, Log, OutputContext, Request};

use super::answer;
use super::create::{Creation, Creator, has_code, is_not_found};
use super::open_stream::Target;
use crate::aws_client::Peer;

const PUT_LOG_EVENTS: &str = "Logs_20140328.PutLogEvents";
const REQUEST_ID: &str = "x-amzn-requestid";
const LOGS_FORMAT: HeaderName = HeaderName::from_static("x-amzn-logs-format");

/// Sends requests.
pub struct Sender {
    client: Client,
    peer: Peer,
    format: Option<HeaderValue>,
    creator: Creator,
    log: Log,
    /// Whether it has been said that entities are refused.
    said: Cell<bool>,
}

impl Sender {
    /// `format` is the option `log_format`.
    pub fn new(
        client: Client,
        format: Option<&str>,
        creation: Creation,
        context: &OutputContext,
    ) -> Result<Sender, BuildError> {
        let header = |format: &str| {
            HeaderValue::try_from(format).map_err(|_| {
                BuildError(format!(
                    "log_format {format:?} holds characters that a header cannot carry"
                ))
            })
        };
        Ok(Sender {
            peer: Peer::new(&client, context),
            client,
            format: format.map(header).transpose()?,
            creator: Creator::new(creation, context.log.clone()),
            log: context.log.clone(),
            said: Cell::new(false),
        })
    }

    async fn put(&self, request: &Request) -> Answer {
        let target = request.note.as_ref();
        let Some(target) = target.and_then(|note| note.downcast_ref::<Rc<Target>>()) else {
            return Answer::again("the request names no stream");
        };
        self.creator.catch_up(&self.client, &target.group).await;
        let mut outcome = match self.send(request).await {
            Ok(outcome) => outcome,
            Err(answer) => return answer,
        };
        if outcome.as_ref().is_err_and(is_not_found) {
            // Nothing of it was processed, so that it may be sent again at once.
            if let Err(answer) = self.creator.create(&self.client, target).await {
                return answer;
            }
            outcome = match self.send(request).await {
                Ok(outcome) => outcome,
                Err(answer) => return answer,
            };
        }
        match outcome {
            Ok(answer) => self.accepted(&answer, request.parts.len()),
            Err(error) if has_code(&error, "DataAlreadyAcceptedException") => Answer::Done,
            Err(error) => self.peer.failed(&error),
        }
    }

    /// Sends it once.
    ///
    /// # Errors
    /// With the answer, if it must not be sent.
    async fn send(&self, request: &Request) -> Result<Result<Response, CallError>, Answer> {
        let mut call = Call::json(PUT_LOG_EVENTS, &request.body);
        if let Some(format) = &self.format {
            call = call.with_header(LOGS_FORMAT, format.clone());
        }
        let call = self.peer.introduce(&self.client, call, request).await?;
        Ok(self.client.send(call).await)
    }

    fn accepted(&self, response: &Response, events: u32) -> Answer {
        let has_id = response.header(REQUEST_ID).is_some();
        let verdict = answer::read(&response.body, has_id, events);
        if let Some(error) = verdict.entity_error
            && !self.said.replace(true)
        {
            self.log.warn(format_args!(
                "CloudWatch Logs takes the events but refuses the entity: {error}"
            ));
        }
        verdict.answer
    }
}

impl Deliver for Sender {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        Box::pin(self.put(request))
    }

    fn wants_provenance(&self) -> bool {
        self.peer.wants_provenance(&self.client)
    }
}
