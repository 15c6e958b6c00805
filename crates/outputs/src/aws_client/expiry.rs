//! The metric that tells when an output's credentials end.

use std::time::UNIX_EPOCH;

use aws::{Credentials, CredentialsProvider};
use plugin::Metrics;

const NAME: &str = "aws_credentials_expiry_timestamp_seconds";
const HELP: &str = "When the credentials in use end, in Unix time; 0 if they do not. They are renewed a minute ahead, \
                    when the output has something to send.";

/// Keeps the gauge at the end of what was fetched last. A moment in time stays true while time passes; there is no
/// gauge before the first fetch.
pub(super) fn watch(credentials: &CredentialsProvider, metrics: &Metrics) {
    let metrics = metrics.clone();
    credentials.observe(move |fetched| metrics.gauge(NAME, HELP).set(seconds(fetched)));
}

fn seconds(credentials: &Credentials) -> u64 {
    let since = credentials
        .expiry()
        .and_then(|end| end.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use aws::{CredentialsOptions, Environment};

    use super::*;

    /// Answers one request with this document, on a thread of its own.
    fn container(document: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 4096];
            let read = stream.read(&mut request).expect("a request");
            assert!(request[..read].starts_with(b"GET / "));
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                document.len()
            );
            stream.write_all(head.as_bytes()).expect("sent");
            stream.write_all(document.as_bytes()).expect("sent");
        });
        url
    }

    async fn gauge_after(document: &'static str) -> Vec<(&'static str, u64)> {
        let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", container(document))];
        let environment = Environment::fixed(variables);
        let options = CredentialsOptions {
            region: "us-east-1".to_owned(),
            ..CredentialsOptions::default()
        };
        let provider = CredentialsProvider::new(&options, &environment).expect("a provider");
        let metrics = Metrics::default();
        watch(&provider, &metrics);
        assert!(metrics.all().is_empty());
        provider.credentials().await.expect("credentials");
        let all = metrics.all();
        all.iter()
            .map(|metric| (metric.name, metric.number.get()))
            .collect()
    }

    #[tokio::test]
    async fn the_gauge_is_the_end_of_the_credentials() {
        let ending =
            r#"{"AccessKeyId":"A","SecretAccessKey":"s","Expiration":"2099-01-01T00:00:00Z"}"#;
        assert_eq!(gauge_after(ending).await, [(NAME, 4_070_908_800)]);
        let endless = r#"{"AccessKeyId":"A","SecretAccessKey":"s"}"#;
        assert_eq!(gauge_after(endless).await, [(NAME, 0)]);
    }
}
