//! The runner over its sockets and its folder: it goes on, it ends, and it says at its start what it cannot use.

#[path = "kills/client.rs"]
mod client;
#[path = "runner/clients.rs"]
mod clients;
#[path = "runner/folder.rs"]
mod folder;
#[path = "runner/sample.rs"]
mod sample;

use client::Client;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// Longer than an end may take, even on a busy machine.
const SECONDS: Duration = Duration::from_secs(20);

/// The outcome of work that is done within [`SECONDS`].
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(work()));
    told.recv_timeout(SECONDS).ok()
}

/// The program, started with `arguments`.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    fn spawn(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rekindle"));
        command.args(["--port", "0"]).args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Starts it, and waits until it listens.
    fn begin(arguments: &[&str]) -> (Self, Client) {
        let mut program = Self::spawn(arguments);
        let mut line = String::new();
        BufReader::new(program.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.split("http://127.0.0.1:").nth(1).and_then(|l| l.split(',').next()?.parse().ok());
        let port: u16 = port.unwrap_or_else(|| panic!("it does not start; it says {line:?}"));
        (program, Client(([127, 0, 0, 1], port).into()))
    }

    /// The text with which it refuses to start.
    fn refused(arguments: &[&str]) -> String {
        let mut program = Self::spawn(arguments);
        let said = program.said();
        assert!(!program.0.wait().unwrap().success(), "it starts");
        said
    }

    /// All that it says on standard error until its end.
    fn said(&mut self) -> String {
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }

    /// The log of a start that succeeds.
    fn log_of(arguments: &[&str]) -> String {
        let (mut program, client) = Self::begin(arguments);
        // With its first answer it also listens to signals.
        client.get("/v1/tags").unwrap();
        program.signal("-TERM");
        let said = program.said();
        assert!(program.ended().success());
        said
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    fn ended(mut self) -> ExitStatus {
        let id = self.0.id();
        within(move || self.0.wait().unwrap()).unwrap_or_else(|| {
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
            panic!("it goes on");
        })
    }
}
