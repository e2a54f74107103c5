//! An HTTP client that tells a whole answer from a part of one.

use serde_json::Value;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than any answer takes, however busy the machine. A request without an answer after this time hangs.
const TOO_LONG: Duration = Duration::from_secs(120);

/// The admin key that the program is started with.
pub const KEY: &str = "rk_0000000000000000000000KEYS_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Opens a connection for each request, and returns whole answers only.
#[derive(Clone, Copy)]
pub struct Client(pub SocketAddr);

impl Client {
    /// The status and the body. An error means that no whole answer came: the request may or may not have been done.
    pub fn call(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect_timeout(&self.0, TOO_LONG)?;
        stream.set_read_timeout(Some(TOO_LONG))?;
        stream.set_write_timeout(Some(TOO_LONG))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.0,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        parse(&answer).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    pub fn get(&self, path: &str) -> io::Result<(u16, Value)> {
        self.call("GET", path, "")
    }

    pub fn post(&self, path: &str, body: &Value) -> io::Result<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.call("POST", path, &body)
    }
}

fn parse(answer: &[u8]) -> Option<(u16, Value)> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
    let body = &answer[end + 4..];
    let length: usize = head.lines().find_map(|l| l.strip_prefix("content-length: "))?.parse().ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    (body.len() == length).then(|| (status, serde_json::from_slice(body).unwrap_or_default()))
}
