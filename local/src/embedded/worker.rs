//! Where the engines' synchronous work runs.

use super::EmbeddedError;

/// Where an engine's synchronous work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worker {
    /// On the calling task. For state in memory: most calls take tens of microseconds, less than two thread
    /// switches, and on a single-threaded runtime the order of calls stays a function of the test's seed.
    Inline,
    /// On tokio's blocking threads. For state on disk, where an acknowledged write waits for `fsync`. The work
    /// goes on to its end when the caller stops waiting, as it would at AWS.
    BlockingThread,
}

impl Worker {
    /// Runs `work` to its end and returns what it returned.
    ///
    /// # Errors
    /// [`EmbeddedError::Stopped`] when the runtime shuts down before the work has begun.
    pub(super) async fn run<T, W>(self, work: W) -> Result<T, EmbeddedError>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        match self {
            Self::Inline => Ok(work()),
            Self::BlockingThread => tokio::task::spawn_blocking(work)
                .await
                .map_err(|_| EmbeddedError::Stopped),
        }
    }
}
