//! Runs the real program on a real folder and kills it with -9 at random moments, many times. After each restart everything
//! that it acknowledged is there, and everything half-done is finished or undone.
//!
//! `REKINDLE_KILLS` is the number of kills (default 25), `REKINDLE_KILLS_SEED` the seed of all random choices; the test prints
//! both. A seed repeats the requests and the length of each life, but not how far the machine gets in that time.

#[path = "kills/client.rs"]
mod client;
#[path = "kills/life.rs"]
mod life;
#[path = "kills/model.rs"]
mod model;

use life::{Life, Tally, mails_in};
use model::{CAMPAIGNS, Dice, Model};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Mutex,
    time::Duration,
};

#[allow(clippy::disallowed_methods, reason = "the test's arguments: cargo passes no others to one test")]
fn argument(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn a_first_start_cut_short_at_any_moment_is_begun_anew() {
    let mut delay = Duration::ZERO;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let listened = Life::spawn(folder.path()).kill_after(delay);
        Life::begin(folder.path()).audit(&Mutex::default(), 0);
        if listened {
            return;
        }
        delay += Duration::from_micros(500);
    }
}

#[test]
fn l1_l7_l8_l9_kills_at_any_moment_lose_nothing() {
    let kills = argument("REKINDLE_KILLS").unwrap_or(25);
    let seed = argument("REKINDLE_KILLS_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("REKINDLE_KILLS={kills} REKINDLE_KILLS_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let model = Mutex::new(Model::default());
    let mut dice = Dice(seed);
    let mut tally = Tally::default();
    for n in 0..kills {
        let delay = Duration::from_millis(dice.below(300));
        // One life in eight is killed while it starts, maybe before it listens.
        if dice.below(8) == 0 {
            Life::spawn(folder.path()).kill_after(delay / 4);
            tally.at_kills.push(mails_in(folder.path()));
            tally.unborn += 1;
            continue;
        }
        let life = Life::begin(folder.path());
        life.look_at_mails(&model, &mut tally);
        life.audit(&model, dice.below(CAMPAIGNS));
        tally.add(life.live_and_die(&model, delay, seed ^ n));
        tally.at_kills.push(mails_in(folder.path()));
    }
    let life = Life::begin(folder.path());
    life.look_at_mails(&model, &mut tally);
    life.come_to_rest(&model);
    (0..CAMPAIGNS).for_each(|campaign| life.audit(&model, campaign));
    life.expire_and_restore_all(&model);
    (0..CAMPAIGNS).for_each(|campaign| life.audit(&model, campaign));
    life.look_at_mails(&model, &mut tally);
    life.end(&model, &tally, kills);
}
