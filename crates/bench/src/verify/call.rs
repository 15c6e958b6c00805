//! Calls that are repeated when a service is busy.

use std::time::Duration;

use aws::{
    Answer, CallError, Client, ClientOptions, CredentialsOptions, CredentialsProvider, Environment,
    Request, Service,
};
use serde::de::DeserializeOwned;

const ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A client of one service.
pub struct Caller {
    client: Client,
}

impl Caller {
    /// With the credentials of the environment, in AWS's usual order.
    pub fn new(service: Service, region: &str, endpoint: Option<&str>) -> Result<Caller, String> {
        let environment = Environment::process();
        let credentials = CredentialsOptions {
            region: region.to_owned(),
            ..CredentialsOptions::default()
        };
        let options = ClientOptions {
            endpoint: endpoint.map(str::to_owned),
            ..ClientOptions::new(service, region)
        };
        CredentialsProvider::new(&credentials, &environment)
            .and_then(|provider| Client::new(options, provider, &environment))
            .map(|client| Caller { client })
            .map_err(|error| error.to_string())
    }

    /// Sends a request until it is answered with success, or with an error that time does not mend.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, CallError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.client.send(request.clone()).await {
                Err(error) if is_passing(&error) => {
                    tokio::time::sleep(error.retry_after().unwrap_or(pause)).await;
                    pause *= 2;
                }
                outcome => return outcome,
            }
        }
        self.client.send(request).await
    }

    /// The same for the JSON 1.1 protocol.
    pub async fn json<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        input: &serde_json::Value,
    ) -> Result<T, String> {
        let input = input.to_string();
        let answer = self.send(Request::json(operation, input.as_bytes())).await;
        let answer = answer.map_err(|error| format!("{operation}: {error}"))?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| format!("{operation}: the answer cannot be read: {error}"))
    }
}

fn is_passing(error: &CallError) -> bool {
    match error {
        CallError::Credentials(_) => false,
        CallError::NoAnswer(_) => true,
        CallError::Refused(refused) => refused.status >= 500 || error.is_throttled(),
    }
}
