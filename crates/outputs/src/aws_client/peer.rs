//! Whom an output talks to. To a lake of Flumen's, which keeps track of what it was sent, requests say where their records
//! come from: what is sent again after a crash is then recognised there. To nobody else.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use aws::{CallError, Client, Request as Call, Server};
use http::{HeaderName, HeaderValue, Method, uri::PathAndQuery};
use plugin::{Answer, Log, OutputContext, Request, Writer, WriterSource};

use super::header::encode;

const HEADER: HeaderName = HeaderName::from_static("x-flumen-batch");
/// The code of a lake's answer to a router whose state another one has taken over.
const FENCED: &str = "WriterFencedException";
/// How long records wait then: until somebody stops this router, as nothing else helps.
const FENCED_WAIT: Duration = Duration::from_secs(3600);

/// See the module's documentation.
pub struct Peer {
    place: Place,
    name: String,
    writers: WriterSource,
    /// Asked for when it is first needed: it takes a file.
    writer: OnceCell<Option<Writer>>,
    fenced: Cell<bool>,
    log: Log,
}

/// Where an endpoint is, as far as that tells who may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On this machine, where AWS is not.
    Here,
    /// Somewhere that is not AWS by its name.
    Elsewhere,
    /// AWS.
    Aws,
}

impl Place {
    fn of(host: &str) -> Place {
        const AWS: [&str; 4] = [
            ".amazonaws.com",
            ".amazonaws.com.cn",
            ".api.aws",
            ".amazonaws.eu",
        ];
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let is_loopback = host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
        if host == "localhost" || is_loopback {
            Place::Here
        } else if AWS.iter().any(|suffix| host.ends_with(suffix)) {
            Place::Aws
        } else {
            Place::Elsewhere
        }
    }
}

impl Peer {
    /// The one that `client` talks to.
    pub fn new(client: &Client, context: &OutputContext) -> Peer {
        Peer {
            place: Place::of(client.endpoint().host()),
            name: context.name.to_string(),
            writers: context.writers.clone(),
            writer: OnceCell::new(),
            fenced: Cell::new(false),
            log: context.log.clone(),
        }
    }

    /// Whether requests should say where their records come from: to a lake, and as long as nobody has answered to whoever
    /// may be one.
    pub fn wants_provenance(&self, client: &Client) -> bool {
        let may_be = match client.server() {
            Server::Lake => true,
            Server::Unheard => self.place != Place::Aws,
            Server::Other => false,
        };
        may_be && self.writer().is_some()
    }

    fn writer(&self) -> Option<Writer> {
        *self.writer.get_or_init(|| self.writers.writer(&self.name))
    }

    /// `call` with what the lake should know of `request`.
    ///
    /// # Errors
    /// With the answer to the request, if it must not be sent: nobody can be reached, or the lake wants no more.
    pub async fn introduce<'a>(
        &self,
        client: &Client,
        call: Call<'a>,
        request: &Request,
    ) -> Result<Call<'a>, Answer> {
        if self.fenced.get() {
            return Err(fenced());
        }
        let (Some(provenance), Some(writer)) = (&request.provenance, self.writer()) else {
            return Ok(call);
        };
        if client.server() == Server::Unheard && self.place == Place::Elsewhere {
            self.ask_who_it_is(client).await?;
        }
        let may_know = match client.server() {
            Server::Lake => true,
            Server::Unheard => self.place == Place::Here,
            Server::Other => false,
        };
        if !may_know {
            return Ok(call);
        }
        let value = encode(writer, provenance, request);
        match value.and_then(|value| HeaderValue::try_from(value).ok()) {
            Some(value) => Ok(call.with_header(HEADER, value)),
            None => Ok(call),
        }
    }

    /// Lets the other side name itself before it is told anything.
    async fn ask_who_it_is(&self, client: &Client) -> Result<(), Answer> {
        let question = Call::new(Method::GET, PathAndQuery::from_static("/"), b"");
        match client.send(question).await {
            // Whatever it answers, it has said who it is.
            Ok(_) | Err(CallError::Refused(_)) => Ok(()),
            Err(error) => Err(super::failed(&error)),
        }
    }

    /// The answer to a request whose call has failed, in place of [`super::failed`].
    pub fn failed(&self, error: &CallError) -> Answer {
        let is_fenced = matches!(error, CallError::Refused(refusal) if refusal.code == FENCED);
        if !is_fenced {
            return super::failed(error);
        }
        if !self.fenced.replace(true) {
            self.log.error(format_args!(
                "sends nothing any more: {error}. Its records are not given up: stop this router, the other one reads them"
            ));
        }
        fenced()
    }
}

fn fenced() -> Answer {
    Answer::Again {
        after: Some(FENCED_WAIT),
        why: "another router has taken over this one's state".to_owned(),
        throttled: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_is_known_by_its_names() {
        for (host, place) in [
            ("127.0.0.1", Place::Here),
            ("[::1]", Place::Here),
            ("LocalHost", Place::Here),
            ("firehose.us-east-1.amazonaws.com", Place::Aws),
            ("vpce-0a.firehose.us-east-1.vpce.amazonaws.com", Place::Aws),
            ("kinesis.cn-north-1.amazonaws.com.cn", Place::Aws),
            ("firehose.us-east-1.api.aws", Place::Aws),
            ("lake.internal", Place::Elsewhere),
            ("10.0.0.7", Place::Elsewhere),
            ("amazonaws.com.example.org", Place::Elsewhere),
        ] {
            assert_eq!(Place::of(host), place, "{host}");
        }
    }
}
