//! Trying again: after a lost race, and after a copy went away while it was read.

/// Decides and writes again, from scratch, as long as somebody else wrote first; bounded. The body is that of an async
/// block and says `Result<_, StoreError>`.
///
/// After 40 lost races it gives up with `StoreError::Unavailable`.
macro_rules! until_won {
    ($attempt:expr) => {{
        let mut races = 0;
        loop {
            let outcome: Result<_, ::rekindle_store::StoreError> = async { $attempt }.await;
            match outcome {
                Err(::rekindle_store::StoreError::Conflict) if races < 40 => {
                    // The first races are lost at random; after that, make room.
                    let pause = if races < 3 { 0 } else { 1 << races.min(7) };
                    races += 1;
                    ::tokio::time::sleep(::std::time::Duration::from_millis(pause)).await;
                }
                Err(::rekindle_store::StoreError::Conflict) => {
                    let reason = "lost forty races in a row".to_owned();
                    break Err(::rekindle_store::StoreError::Unavailable {
                        call: "a conditional write",
                        reason,
                    });
                }
                other => break other,
            }
        }
    }};
}
pub(crate) use until_won;

/// A copy that goes away while it is read fails the read: then everything is read anew, once, from the manifest on.
macro_rules! retried {
    ($read:expr) => {{
        let mut is_retry = false;
        loop {
            let outcome: Result<_, $crate::Problem> = async { $read }.await;
            match outcome {
                Err(problem) if problem.code == $crate::problem::DAMAGED && !is_retry => is_retry = true,
                other => break other,
            }
        }
    }};
}
pub(crate) use retried;
