//! The interactions that are measured, the same in every run.

use rekindle_domain::time::Time;
use std::fmt::Write;

/// The campaign of all interactions.
pub const CAMPAIGN: &str = "spring-sale";

/// The shape of user ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ids {
    /// Random UUIDs, version 4.
    Uuids,
    /// `user-1234567`: distinct, in no order.
    Numbered,
}

impl Ids {
    /// The id of a user.
    pub fn of(self, user: u64) -> String {
        match self {
            Self::Uuids => {
                let (a, b) = (mix(user << 1), mix(user << 1 | 1));
                format!(
                    "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
                    a >> 32,
                    a >> 16 & 0xffff,
                    a & 0xfff,
                    0x8000 | (b >> 48 & 0x3fff),
                    b & 0xffff_ffff_ffff
                )
            }
            Self::Numbered => format!("user-{}", 1_000_000 + shuffled(user)),
        }
    }
}

/// `SplitMix64`'s finalizer: it looks random and is the same in every run.
pub const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A permutation of the numbers below nine million: a bijection of 24 bits, applied until its result is below.
fn shuffled(n: u64) -> u64 {
    const MASK: u64 = (1 << 24) - 1;
    let step = |n: u64| {
        let n = (n ^ n >> 13).wrapping_mul(0x9e_3779) & MASK;
        let n = (n ^ n >> 11).wrapping_mul(0xb5_297b) & MASK;
        n ^ n >> 12
    };
    std::iter::successors(Some(step(n & MASK)), |n| Some(step(*n))).find(|n| *n < 9_000_000).unwrap_or(0)
}

/// Interactions of many users.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// The shape of their ids.
    pub ids: Ids,
    /// Their times are spread uniformly over this many milliseconds before `now`.
    pub spread: i64,
    /// The end of the times.
    pub now: Time,
}

const RECEIVED: [&str; 2] = [
    r#""type":"received","channel":"email","variant_id":"A""#,
    r#""type":"received","channel":"email","variant_id":"B""#,
];
const OPENED: &str = r#""type":"opened","channel":"email""#;
const BY_MACHINE: &str = r#""type":"opened","channel":"email","machine":true"#;
const CLICKED: &str = r#""type":"clicked","channel":"email","link_alias":"cta""#;
const CONVERTED: &str = r#""type":"converted""#;

/// Whether a click is in the story of a user.
pub const fn clicks(user: u64) -> bool {
    mix(!user) % 100 < 5
}

impl Crowd {
    /// One interaction of each user, as NDJSON: of a hundred users 65 receive a mail (half of them each variant), 29 open one
    /// (7 by machine), 5 click and 1 converts.
    pub fn one_each(&self, users: std::ops::Range<u64>) -> String {
        users.fold(String::new(), |mut body, user| {
            let what = match mix(!user) % 100 {
                0 => CONVERTED,
                1..=5 => CLICKED,
                6..=27 => OPENED,
                28..=34 => BY_MACHINE,
                _ => RECEIVED[(user % 2) as usize],
            };
            self.line(&mut body, user, what, 0);
            body
        })
    }

    /// All interactions of each user, as NDJSON, and their number: every user receives a mail; of a hundred, 22 open it, for 7
    /// a machine opens it, 5 click and 1 converts.
    pub fn whole_story(&self, users: std::ops::Range<u64>) -> (String, u64) {
        let (mut body, mut count) = (String::new(), 0);
        for user in users {
            let dice = mix(!user) % 100;
            let more = [
                (dice < 22, OPENED),
                (dice > 92, BY_MACHINE),
                (clicks(user), CLICKED),
                (dice < 1, CONVERTED),
            ];
            let more = more.into_iter().filter(|(does, _)| *does).map(|(_, what)| what);
            for (salt, what) in std::iter::once(RECEIVED[(user % 2) as usize]).chain(more).enumerate() {
                self.line(&mut body, user, what, salt as u64);
                count += 1;
            }
        }
        (body, count)
    }

    /// Later interactions, as NDJSON: those numbered `which`, each of a random user among `users`, four opens to a click.
    pub fn later(&self, which: std::ops::Range<u64>, users: u64) -> String {
        which.fold(String::new(), |mut body, n| {
            let dice = mix(n ^ 1 << 62);
            let what = if dice.is_multiple_of(5) { CLICKED } else { OPENED };
            self.line(&mut body, dice % users, what, n);
            body
        })
    }

    fn line(&self, body: &mut String, user: u64, what: &str, salt: u64) {
        let id = self.ids.of(user);
        let at = self.now.0 - (mix(user ^ salt << 56 ^ 1 << 63) % self.spread.unsigned_abs()) as i64;
        // Writing to a `String` does not fail.
        let _ = writeln!(body, r#"{{"user_id":"{id}","campaign_id":"{CAMPAIGN}",{what},"time":{at}}}"#);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_users_share_an_id() {
        for ids in [Ids::Uuids, Ids::Numbered] {
            let distinct: BTreeSet<String> = (0..10_000).map(|user| ids.of(user)).collect();
            assert_eq!(distinct.len(), 10_000);
        }
        assert_eq!(Ids::Numbered.of(1).len(), "user-1234567".len());
    }
}
