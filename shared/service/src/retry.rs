//! Trying again: after a lost race, and after a copy was deleted while it was read.

use crate::problem::Problem;
use rekindle_store::StoreError;
use std::time::Duration;

/// After this many lost races an attempt is given up.
const MAX_RACES: u32 = 40;
/// The first lost races are chance, and the attempt is repeated at once. After this many it waits before each repetition.
const QUICK_RACES: u32 = 3;

/// An attempt ended without success: a store did not do as asked, or the caller gets a problem for an answer.
pub(crate) enum Stop {
    Store(StoreError),
    Answer(Problem),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Answer(problem)
    }
}

/// Counts the races that an act lost.
#[derive(Default)]
pub(crate) struct Races(u32);

impl Races {
    /// Waits after a lost race: not at all at first, then for a random time of at most 256 ms, so that two attempts that
    /// collided do not collide again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] after forty lost races.
    pub(crate) async fn lost(&mut self) -> Result<(), StoreError> {
        if self.0 == MAX_RACES {
            let reason = "lost forty races in a row".to_owned();
            return Err(StoreError::Unavailable { call: "a conditional write", reason });
        }
        let most = if self.0 < QUICK_RACES { 0 } else { 1 << self.0.min(8) };
        self.0 += 1;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=most))).await;
        Ok(())
    }
}

/// `until_won!(async { … })`: repeats the block for as long as another writer comes first. Each attempt reads the state
/// anew and decides again: a change that was derived from an older state is never written. The block answers
/// `Result<_, StoreError>`, and so does the macro.
///
/// This is a macro, since handlers must be `Send`, and a function over an async closure is not `Send` for every lifetime
/// that the closure borrows.
macro_rules! until_won {
    ($attempt:expr) => {{
        let mut races = $crate::retry::Races::default();
        loop {
            let outcome: Result<_, ::rekindle_store::StoreError> = $attempt.await;
            match outcome {
                Err(::rekindle_store::StoreError::Conflict) => match races.lost().await {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
                other => break other,
            }
        }
    }};
}
pub(crate) use until_won;

/// `until_answered!(async { … })`: `until_won!` for a call of the API. The block answers `Result<_, Stop>`: it may also
/// end with a problem. The macro answers `Result<_, Problem>`.
macro_rules! until_answered {
    ($attempt:expr) => {{
        let outcome = $crate::retry::until_won!(async {
            let outcome: Result<_, $crate::retry::Stop> = $attempt.await;
            match outcome {
                Ok(done) => Ok(Ok(done)),
                Err($crate::retry::Stop::Answer(problem)) => Ok(Err(problem)),
                Err($crate::retry::Stop::Store(error)) => Err(error),
            }
        });
        outcome.map_err($crate::problem::Problem::from).and_then(|answer| answer)
    }};
}
pub(crate) use until_answered;

/// `read_again!(async { … })`: repeats the block once, from the manifest on, if it found damage: a copy may have been
/// deleted while it was read. The block and the macro answer `Result<_, Problem>`.
macro_rules! read_again {
    ($read:expr) => {{
        let mut is_retry = false;
        loop {
            let outcome: Result<_, $crate::problem::Problem> = $read.await;
            match outcome {
                Err(problem) if problem.code == $crate::problem::DAMAGED && !is_retry => is_retry = true,
                other => break other,
            }
        }
    }};
}
pub(crate) use read_again;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn two_losers_do_not_come_back_together_and_neither_tries_for_ever() {
        let mut times = BTreeSet::new();
        for _ in 0..20 {
            let (begin, mut attempts) = (Instant::now(), 0);
            let lost: Result<(), StoreError> = until_won!(async {
                attempts += 1;
                Err(StoreError::Conflict)
            });
            assert!(matches!(lost, Err(StoreError::Unavailable { .. })));
            assert_eq!(attempts, MAX_RACES + 1);
            times.insert(begin.elapsed());
        }
        assert!(times.len() > 15, "{times:?}");
        assert!(times.iter().all(|time| *time < Duration::from_secs(11)), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_the_attempts() {
        let mut races = 2;
        let answer: Result<(), Problem> = until_answered!(async {
            races -= 1;
            if races > 0 {
                return Err(StoreError::Conflict.into());
            }
            Err(Problem::conflict("taken", "it is taken").into())
        });
        assert_eq!(answer.unwrap_err().code, "taken");
    }
}
