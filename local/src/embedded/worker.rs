//! Where the engines' synchronous work runs.

use super::EmbeddedError;

/// Where an engine's synchronous work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worker {
    /// On the calling task. For state in memory, where most calls take a tenth of a millisecond (a full Query page
    /// takes 5 to 25), and where a test on a single-threaded runtime repeats the order of calls from its seed.
    Inline,
    /// On tokio's blocking threads. For state on disk, where an acknowledged write waits for `fsync`. The work
    /// runs to its end even when the caller stops waiting, as it would at AWS.
    BlockingThread,
}

impl Worker {
    /// Runs `work` to its end and returns what it returned.
    ///
    /// # Errors
    /// [`EmbeddedError::Stopped`] when the runtime shuts down before the work has begun, and
    /// [`EmbeddedError::Request`] when the engine panics.
    pub(super) async fn run<T, W>(self, work: W) -> Result<T, EmbeddedError>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        match self {
            Self::Inline => Ok(work()),
            Self::BlockingThread => tokio::task::spawn_blocking(work).await.map_err(|error| {
                if error.is_cancelled() {
                    EmbeddedError::Stopped
                } else {
                    EmbeddedError::Request(format!("its engine panicked: {error}"))
                }
            }),
        }
    }
}
