//! The listener: HTTP/1.1 on a socket, with bounds on how long a client may take, and an end that no client can hold up.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{future::pending, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long after a failed accept, which means too many open files, the next one is tried.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the moment that a connection waits for a request until the request's head is there.
    pub head: Duration,
    /// For a request's body.
    pub body: Duration,
    /// After the server was told to stop: requests that take longer are cut off.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            farewell: Duration::from_secs(3),
        }
    }
}

/// Serves until `stop` is done. Then it takes no more connections, and ends when all requests are answered, or after
/// [`Limits::farewell`].
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), limits.head, stopped.clone()));
                    // Forgets the connections that have ended.
                    while connections.try_join_next().is_some() {}
                }
                Err(error) => {
                    tracing::warn!(error.message = %error, "a connection could not be accepted");
                    sleep(AFTER_FAILURE).await;
                }
            }
        }
    };
    // First of all it waits for its end, so that whoever has an answer may end it by a signal.
    tokio::select! {
        biased;
        () = stop => {}
        () = accept => {}
    }
    drop(listener);
    stopping.send_replace(true);
    // What is left is cut off when the set is dropped.
    _ = timeout(limits.farewell, async { while connections.join_next().await.is_some() {} }).await;
}

async fn connection(stream: TcpStream, router: Router, head: Duration, mut stopped: watch::Receiver<bool>) {
    _ = stream.set_nodelay(true);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(head);
    let served = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(served);
    tokio::select! {
        // A client that breaks off or sends no HTTP is no matter of ours.
        _ = served.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => served.as_mut().graceful_shutdown(),
    }
    _ = served.await;
}

/// Waits for Ctrl-C or a termination signal. From then on, a second one ends the process at once.
pub async fn stopped() {
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok());
    next(&mut signals).await;
    tokio::spawn(async move {
        next(&mut signals).await;
        // Everything that was acknowledged is on the disk: see the tests that kill the program.
        std::process::exit(1);
    });
}

/// Waits for either signal. One that could not be asked for never comes; its default is to end the process.
async fn next([interrupt, terminate]: &mut [Option<Signal>; 2]) {
    async fn one(signal: &mut Option<Signal>) {
        match signal {
            Some(signal) => _ = signal.recv().await,
            None => pending().await,
        }
    }
    tokio::select! {
        () = one(interrupt) => {}
        () = one(terminate) => {}
    }
}
