//! Clients that hold requests open.

use super::{
    Program,
    client::{Client, KEY},
};
use rekindle_domain::time::{Clock, Period};
use rekindle_local::{
    clock::LocalClock,
    embedded::EmbeddedAws,
    listen::{self, Limits},
    server::Local,
    stack::{Stack, local_settings},
};
use rekindle_runtime::ports::RandomIds;
use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

/// Sends the beginning of a request, and keeps the connection.
fn half(client: Client, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(client.0).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// A request of which two bytes of the body are there.
fn half_a_body(client: Client, path: &str) -> TcpStream {
    let head = format!("POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\n", client.0);
    half(client, &format!("{head}content-length: 1000\r\n\r\n[{{"))
}

fn half_a_head(client: Client) -> TcpStream {
    half(client, "GET /v1/tags HTTP/1.1\r\nhost: 127")
}

/// A runner in this process.
async fn runner(limits: Limits) -> Client {
    let clock = Arc::new(LocalClock::in_memory());
    let stamp = clock.clone();
    let now = move || jiff::Timestamp::from_millisecond(stamp.now().0).unwrap();
    let aws = EmbeddedAws::in_memory(Arc::new(now)).unwrap();
    let settings = local_settings(Period::parse("P3M").unwrap());
    let stack = Stack::create(&aws, clock.clone(), Arc::new(RandomIds), settings).await.unwrap();
    stack.app.install_key(&KEY.parse().unwrap(), "a test").await.unwrap();
    let mut local = Local::new(stack, aws, clock);
    local.limits = limits;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let client = Client(listener.local_addr().unwrap());
    tokio::spawn(listen::serve(listener, local.router(), limits, std::future::pending()));
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_still_sending_holds_up_nobody() {
    let client = runner(Limits { body: Duration::from_secs(3600), ..Limits::default() }).await;
    let paths = ["/v1/interactions", "/v1/restores", "/_local/clock", "/_local/sweep"];
    let held: Vec<TcpStream> = paths.iter().map(|path| half_a_body(client, path)).collect();
    for _ in 0..2 {
        assert_eq!(client.get("/v1/tags").unwrap().0, 200);
        assert_eq!(client.post("/_local/clock", &json!({ "advance": "P1D" })).unwrap().0, 200);
    }
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_and_a_head_have_a_time_limit() {
    let short = Duration::from_millis(200);
    let client = runner(Limits { head: short, body: short, ..Limits::default() }).await;
    let mut answer = String::new();
    half_a_body(client, "/v1/interactions").read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"body_too_slow\""), "{answer}");
    let mut answer = String::new();
    half_a_head(client).read_to_string(&mut answer).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(client.get("/v1/tags").unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_is_refused_by_its_route() {
    let client = runner(Limits::default()).await;
    let body = "x".repeat((4 << 20) + 1);
    for (path, bound) in [("/v1/interactions", "4194304"), ("/v1/restores", "1048576")] {
        let (status, answer) = client.call("POST", path, &body).unwrap();
        assert_eq!((status, &answer["code"]), (413, &json!("body_too_large")), "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(bound), "{answer}");
    }
}

#[test]
fn a_signal_ends_the_runner_whatever_its_clients_do() {
    for signal in ["-TERM", "-INT"] {
        let (program, client) = Program::begin(&["--memory", "--key", KEY]);
        let held = [half_a_body(client, "/v1/interactions"), half_a_head(client), half(client, "")];
        assert_eq!(client.get("/v1/tags").unwrap().0, 200);
        program.signal(signal);
        assert_eq!(program.ended().code(), Some(0), "{signal}");
        drop(held);
    }
}

#[test]
fn a_second_signal_ends_the_runner_at_once() {
    let (program, client) = Program::begin(&["--memory", "--key", KEY]);
    let held = half_a_body(client, "/v1/interactions");
    assert_eq!(client.get("/v1/tags").unwrap().0, 200);
    program.signal("-INT");
    // Nobody is let in any more: the first signal was seen.
    while TcpStream::connect(client.0).is_ok() {}
    program.signal("-INT");
    assert_eq!(program.ended().code(), Some(1), "the first signal alone ends it with 0");
    drop(held);
}
