//! The client against servers in this process: connections, TLS, errors, credentials.

mod calls;
mod connections;
mod credentials;
mod encryption;
mod profiles;
mod server;
mod tunnel;

use std::future::Future;

use aws::{Client, ClientOptions, Credentials, CredentialsProvider, Environment, Service};

/// Runs one test's client as the router does: on a current-thread runtime.
fn on_a_shard<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

fn no_variables() -> Environment {
    Environment::fixed::<&str, &str>([])
}

fn keys() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "secret", None).unwrap()
}

fn options(endpoint: &str) -> ClientOptions {
    ClientOptions {
        endpoint: Some(endpoint.to_owned()),
        ..ClientOptions::new(Service::FIREHOSE, "eu-central-1")
    }
}

fn client(options: ClientOptions) -> Client {
    Client::new(options, CredentialsProvider::fixed(keys()), &no_variables()).unwrap()
}
