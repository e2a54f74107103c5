//! The real clock and real chance. Only shells use them.

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

/// Ids with 80 random bits behind the time, and secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn new_id(&self, now: Time) -> Ulid {
        Ulid::from_parts(u64::try_from(now.0).unwrap_or(0), rand::random())
    }

    /// From the operating system's generator each time: nothing that a process keeps could give a secret away.
    fn new_secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        UnwrapErr(SysRng).fill_bytes(&mut secret);
        secret
    }
}
