//! The machine's clock and random numbers. Only the functions and the local runner use them.

use rand::{Rng, rand_core::UnwrapErr, rngs::SysRng};
use rekindle_domain::{
    Ulid,
    time::{Clock, Ids, Time},
};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the port that the rest takes as a parameter")]
    fn now(&self) -> Time {
        Time(jiff::Timestamp::now().as_millisecond())
    }
}

/// Random ids and secrets. An id is the time followed by 80 random bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn new_id(&self, now: Time) -> Ulid {
        Ulid::from_parts(u64::try_from(now.0).unwrap_or(0), rand::random())
    }

    /// Asks the operating system's generator each time, so that no state in the process could reveal a secret.
    fn new_secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        UnwrapErr(SysRng).fill_bytes(&mut secret);
        secret
    }
}
