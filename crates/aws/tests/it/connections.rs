//! Keep-alive, closed connections, limits of time and size.

use std::time::Duration;

use aws::{AddressFamily, CallError, Delivery, ErrorClass, NetOptions, TcpKeepalive};

use crate::server::{Reply, Server, until};
use crate::{client, on_a_shard, options};

const TARGET: &str = "Firehose_20150804.PutRecordBatch";

fn net(options: aws::ClientOptions, net: NetOptions) -> aws::ClientOptions {
    aws::ClientOptions { net, ..options }
}

#[test]
fn requests_one_after_the_other_share_a_connection() {
    let server = Server::start(|seen, _| Reply::ok(seen.body.clone()));
    let client = client(options(&server.url()));
    on_a_shard(async {
        for size in [0, 10, 5 * 1024 * 1024, 100_000] {
            let body = vec![b'x'; size];
            let answer = client.post_json(TARGET, body.clone()).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.body.len()), (200, size));
            assert!(answer.body == body);
        }
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn requests_at_the_same_time_have_a_connection_each_and_leave_them_to_the_next() {
    let server = Server::start(|_, _| Reply::ok(""));
    let client = client(options(&server.url()));
    on_a_shard(async {
        for _ in 0..3 {
            let (one, other) = futures_util::future::join(
                client.post_json(TARGET, "1"),
                client.post_json(TARGET, "2"),
            )
            .await;
            assert!(one.is_ok() && other.is_ok());
        }
    });
    assert_eq!(server.connections(), 2);
}

#[test]
fn connections_end_after_their_share_of_requests_or_without_keepalive() {
    let cases = [(true, 2, 2), (true, 0, 1), (false, 2000, 6)];
    for (keepalive, keepalive_max_recycle, expected) in cases {
        let server = Server::start(|_, _| Reply::ok(""));
        let with = NetOptions {
            keepalive,
            keepalive_max_recycle,
            ..NetOptions::default()
        };
        let client = client(net(options(&server.url()), with));
        on_a_shard(async {
            for _ in 0..6 {
                client.post_json(TARGET, "{}").await.unwrap();
            }
        });
        assert_eq!(
            server.connections(),
            expected,
            "{keepalive} {keepalive_max_recycle}"
        );
    }
}

#[test]
fn idle_connections_are_closed_in_time() {
    let server = Server::start(|_, _| Reply::ok(""));
    let with = NetOptions {
        keepalive_idle_timeout: Duration::from_millis(20),
        ..NetOptions::default()
    };
    let client = client(net(options(&server.url()), with));
    on_a_shard(async {
        client.post_json(TARGET, "{}").await.unwrap();
        while server.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
        client.post_json(TARGET, "{}").await.unwrap();
    });
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_connection_that_the_server_closed_is_not_used_again() {
    let server = Server::start(|_, _| Reply::ok(""));
    let client = client(aws::ClientOptions {
        auto_retry_requests: false,
        ..options(&server.url())
    });
    on_a_shard(async {
        client.post_json(TARGET, "{}").await.unwrap();
        server.close_connections();
        client.post_json(TARGET, "{}").await.unwrap();
    });
    assert_eq!((server.connections(), server.seen().len()), (2, 2));
}

#[test]
fn a_connection_that_the_server_does_not_keep_is_not_used_again() {
    let close = || vec![("connection", "close".to_owned())];
    let server = Server::start(move |_, _| Reply::Answer(200, close(), "".into()));
    let client = client(aws::ClientOptions {
        auto_retry_requests: false,
        ..options(&server.url())
    });
    on_a_shard(async {
        for _ in 0..3 {
            client.post_json(TARGET, "{}").await.unwrap();
        }
    });
    assert_eq!(server.connections(), 3);
}

/// The server closes when the second request is already on its way, as it happens when a connection grows too old.
fn closing_on_second_request() -> Server {
    Server::start(|_, number| {
        if number == 1 {
            Reply::Close
        } else {
            Reply::ok("done")
        }
    })
}

#[test]
fn a_request_that_met_a_closing_connection_is_sent_again_at_once() {
    let server = closing_on_second_request();
    let client = client(options(&server.url()));
    on_a_shard(async {
        client.post_json(TARGET, "first").await.unwrap();
        let answer = client.post_json(TARGET, "second").await.unwrap();
        assert_eq!(answer.body, "done");
    });
    let seen: Vec<_> = server
        .seen()
        .into_iter()
        .map(|seen| (seen.connection, seen.body))
        .collect();
    assert_eq!(
        seen,
        [
            (0, "first".into()),
            (0, "second".into()),
            (1, "second".into())
        ]
    );
}

#[test]
fn without_auto_retry_a_closing_connection_is_an_error_without_verdict() {
    let server = closing_on_second_request();
    let client = client(aws::ClientOptions {
        auto_retry_requests: false,
        ..options(&server.url())
    });
    on_a_shard(async {
        client.post_json(TARGET, "first").await.unwrap();
        let error = client.post_json(TARGET, "second").await.unwrap_err();
        assert_eq!(
            (error.class(), error.delivery()),
            (ErrorClass::Retry, Delivery::NoVerdict)
        );
    });
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_request_lost_on_a_new_connection_is_not_sent_again() {
    let server = Server::start(|_, _| Reply::Close);
    let client = client(options(&server.url()));
    let error = on_a_shard(client.post_json(TARGET, "{}")).unwrap_err();
    assert_eq!(
        (error.class(), error.delivery()),
        (ErrorClass::Retry, Delivery::NoVerdict)
    );
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_second_lost_connection_ends_the_call() {
    let server = Server::start(|_, number| {
        if number == 0 {
            Reply::ok("")
        } else {
            Reply::Close
        }
    });
    let client = client(options(&server.url()));
    on_a_shard(async {
        client.post_json(TARGET, "{}").await.unwrap();
        assert!(client.post_json(TARGET, "{}").await.is_err());
    });
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_server_that_is_not_there_was_never_sent_anything() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let client = client(options(&format!("http://127.0.0.1:{port}")));
    let error = on_a_shard(client.post_json(TARGET, "{}")).unwrap_err();
    assert_eq!(
        (error.class(), error.delivery()),
        (ErrorClass::Retry, Delivery::NeverSent)
    );
    let shown = error.to_string();
    assert!(
        shown.starts_with(&format!("127.0.0.1:{port}: no connection: "))
            && shown.contains("refused"),
        "{shown}"
    );
}

#[test]
fn silence_ends_a_call() {
    let server = Server::start(|_, _| Reply::Silence);
    let with = NetOptions {
        io_timeout: Duration::from_millis(30),
        ..NetOptions::default()
    };
    let client = client(net(options(&server.url()), with));
    let error = on_a_shard(client.post_json(TARGET, "{}")).unwrap_err();
    assert_eq!(error.delivery(), Delivery::NoVerdict);
    assert!(error.to_string().contains("net.io_timeout"), "{error}");
    until("the connection is closed", || {
        server.open_connections() == 0
    });
}

#[test]
fn a_dropped_call_closes_its_connection() {
    let server = Server::start(|_, _| Reply::Silence);
    let client = client(options(&server.url()));
    on_a_shard(async {
        let mut call = Box::pin(client.post_json(TARGET, "{}"));
        while server.seen().is_empty() {
            assert!(futures_util::poll!(&mut call).is_pending());
            tokio::task::yield_now().await;
        }
        drop(call);
        while server.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn answers_beyond_the_limit_are_not_read() {
    let whole = Server::start(|_, _| Reply::ok(vec![0; 8 * 1024 * 1024 + 1]));
    let endless = Server::start(|_, _| Reply::Endless);
    for server in [whole, endless] {
        let client = client(options(&server.url()));
        let error = on_a_shard(client.post_json(TARGET, "{}")).unwrap_err();
        assert!(
            error.to_string().contains("larger than 8388608 bytes"),
            "{error}"
        );
        assert_eq!(error.delivery(), Delivery::NoVerdict);
    }
}

#[test]
fn an_answer_of_the_largest_size_is_read() {
    let server = Server::start(|_, _| Reply::ok(vec![7; 8 * 1024 * 1024]));
    let answer = on_a_shard(client(options(&server.url())).post_json(TARGET, "{}")).unwrap();
    assert_eq!(answer.body.len(), 8 * 1024 * 1024);
}

#[test]
fn what_follows_what_is_enough_of_an_answer_is_left_out() {
    let long = [&b"enough"[..], &[b'x'; 1_000_000]].concat();
    let server = Server::start(move |_, number| {
        let body = long.clone();
        match number {
            0..3 => Reply::ok(body),
            _ => Reply::Answer(500, Vec::new(), body.into()),
        }
    });
    let client = client(options(&server.url()));
    let enough: aws::Enough = |body| body.starts_with(b"enough");
    let all = 1_000_006;
    on_a_shard(async {
        for _ in 0..2 {
            let call = aws::Request::json(TARGET, b"{}").with_enough(enough);
            let answer = client.send(call).await.unwrap();
            assert!(answer.body.starts_with(b"enough") && answer.body.len() < all);
        }
        let call = aws::Request::json(TARGET, b"{}").with_enough(|_| false);
        assert_eq!(client.send(call).await.unwrap().body.len(), all);
        let call = aws::Request::json(TARGET, b"{}").with_enough(enough);
        let refused = client.send(call).await.unwrap_err();
        assert_eq!(refused.delivery(), Delivery::Refused, "{refused}");
    });
    assert_eq!(server.connections(), 1, "it is read to its end");
}

#[test]
fn headers_without_end_are_refused() {
    let server =
        Server::start(|_, _| Reply::Answer(200, vec![("x-long", "y".repeat(40_000))], "".into()));
    let result = on_a_shard(client(options(&server.url())).post_json(TARGET, "{}"));
    let refused = matches!(&result, Err(CallError::NoAnswer(error)) if error.to_string().contains("too large"));
    assert!(refused, "{:?}", result.err());
}

#[test]
fn an_answer_that_comes_before_the_body_is_sent_counts() {
    let server = Server::start(|_, number| {
        if number == 0 {
            Reply::Early(413)
        } else {
            Reply::ok("")
        }
    });
    let client = client(options(&server.url()));
    on_a_shard(async {
        let error = client
            .post_json(TARGET, vec![0; 64 * 1024 * 1024])
            .await
            .unwrap_err();
        assert_eq!(
            (error.class(), error.delivery()),
            (ErrorClass::Split, Delivery::Refused),
            "{error}"
        );
        client.post_json(TARGET, "{}").await.unwrap();
    });
}

#[test]
fn socket_options_are_applied() {
    let server = Server::start(|_, _| Reply::ok(""));
    let keepalive = TcpKeepalive {
        time: Some(Duration::from_secs(7)),
        interval: Some(Duration::from_secs(3)),
        probes: Some(4),
    };
    let with = NetOptions {
        tcp_keepalive: Some(keepalive),
        prefer: Some(AddressFamily::Ipv4),
        source_address: Some("127.0.0.9".parse().unwrap()),
        ..NetOptions::default()
    };
    let client = client(net(
        options(&format!("http://localhost:{}", server.port())),
        with,
    ));
    on_a_shard(client.post_json(TARGET, "{}")).unwrap();
    assert_eq!(
        server.seen()[0].header("host"),
        Some(format!("localhost:{}", server.port()).as_str())
    );
    assert_eq!(server.peers(), ["127.0.0.9"]);
}
