//! Requests through an HTTP proxy.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use aws::{Client, ClientOptions, CredentialsProvider, Delivery, Environment, NetOptions};

use crate::server::{Reply, Server};
use crate::{keys, no_variables, on_a_shard, options};

const TARGET: &str = "Firehose_20150804.PutRecordBatch";

/// A proxy for one connection: reads the request for a tunnel, answers, and leads to `server` whatever was asked for.
/// Gives the request.
fn proxy(server: u16, answer: &'static str) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && near.read(&mut byte).unwrap() == 1 {
            request.push(byte[0]);
        }
        near.write_all(answer.as_bytes()).unwrap();
        if answer.starts_with("HTTP/1.1 200") {
            let far = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut near_again, mut far_again) =
                (near.try_clone().unwrap(), far.try_clone().unwrap());
            let back =
                std::thread::spawn(move || drop(std::io::copy(&mut far_again, &mut near_again)));
            drop(std::io::copy(&mut near, &mut &far));
            drop(far.shutdown(std::net::Shutdown::Both));
            back.join().unwrap();
        }
        String::from_utf8(request).unwrap()
    });
    (port, thread)
}

fn through(port: u16, net: NetOptions) -> Client {
    let variables =
        Environment::fixed([("HTTP_PROXY", format!("http://user:pass@127.0.0.1:{port}"))]);
    let options = ClientOptions {
        net,
        ..options("http://firehose.example:8080")
    };
    Client::new(options, CredentialsProvider::fixed(keys()), &variables).unwrap()
}

#[test]
fn a_tunnel_leads_to_the_endpoint() {
    let server = Server::start(|_, _| Reply::ok("through"));
    let (port, proxy) = proxy(
        server.port(),
        "HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n",
    );
    let client = through(port, NetOptions::default());
    on_a_shard(async {
        for _ in 0..2 {
            assert_eq!(
                client.post_json(TARGET, "{}").await.unwrap().body,
                "through"
            );
        }
    });
    drop(client);
    assert_eq!(
        proxy.join().unwrap(),
        "CONNECT firehose.example:8080 HTTP/1.1\r\nHost: firehose.example:8080\r\n\
         Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    );
    assert_eq!(
        server.seen()[0].header("host"),
        Some("firehose.example:8080")
    );
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_refused_tunnel_is_an_error_before_anything_was_sent() {
    let (port, proxy) = proxy(0, "HTTP/1.1 403 Forbidden\r\n\r\n");
    let error =
        on_a_shard(through(port, NetOptions::default()).post_json(TARGET, "{}")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the proxy answered \"HTTP/1.1 403 Forbidden\""),
        "{error}"
    );
    assert_eq!(error.delivery(), Delivery::NeverSent);
    proxy.join().unwrap();
}

#[test]
fn the_proxy_of_the_environment_can_be_ignored() {
    let net = NetOptions {
        proxy_env_ignore: true,
        ..NetOptions::default()
    };
    let variables = Environment::fixed([("HTTP_PROXY", "not even : a URL")]);
    let options = ClientOptions {
        net,
        ..options("http://firehose.example:8080")
    };
    assert!(
        Client::new(
            options.clone(),
            CredentialsProvider::fixed(keys()),
            &variables
        )
        .is_ok()
    );
    assert!(Client::new(options, CredentialsProvider::fixed(keys()), &no_variables()).is_ok());
}
