//! A record of the interactions that were posted and acknowledged, and the answers that follow from it.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The number of campaigns.
pub const CAMPAIGNS: u64 = 6;
/// The time of the first interaction: neither too early to be accepted nor ahead of any clock. In milliseconds.
const POSTED_AT: i64 = 1_577_836_800_000;

/// Random numbers (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// One element of the slice.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty()).then(|| &of[self.below(of.len() as u64) as usize])
    }
}

/// The users of a campaign who did one thing.
#[derive(Default, Clone)]
pub struct Did {
    /// Users who certainly did: it was acknowledged.
    pub certain: BTreeSet<u64>,
    /// Users who may have done it: it was sent.
    pub possible: BTreeSet<u64>,
}

/// A campaign's users, by what they did.
#[derive(Default, Clone)]
pub struct Campaign {
    pub received: Did,
    pub clicked: Did,
}

/// An interaction, before it is JSON.
#[derive(Clone, Copy)]
pub struct Interaction {
    pub campaign: u64,
    pub user: u64,
    pub clicked: bool,
}

/// Everything that a client knows.
#[derive(Default)]
pub struct Model {
    pub campaigns: BTreeMap<u64, Campaign>,
    pub users: u64,
    /// The ids of acknowledged restores, by mail address.
    pub restores: BTreeMap<String, String>,
    /// The mail addresses of all restores that were asked for.
    pub asked: BTreeSet<String>,
    /// The addresses of the mails, in the order of sending.
    pub mails: Vec<String>,
    /// A batch that was sent and not answered. It is safe to send it again.
    pub unknown: Vec<Interaction>,
}

/// The name of a campaign.
pub fn campaign(n: u64) -> String {
    format!("c{n}")
}

/// The id of a user: a number, or padded, or a text.
pub fn user(n: u64) -> String {
    match n % 3 {
        0 => format!("user-{n}"),
        1 => format!("{n:09}"),
        _ => format!("é{n}@example.com"),
    }
}

/// The filter `received` or `clicked` on a campaign.
pub fn did(n: u64, clicked: bool) -> Value {
    let source = format!("campaign/{}", campaign(n));
    if clicked {
        json!({ "clicked": { "source": source } })
    } else {
        json!({ "received": { "source": source } })
    }
}

impl Model {
    /// Draws a batch to send, most of it new.
    pub fn draw(&mut self, dice: &mut Dice) -> Vec<Interaction> {
        if dice.below(2) == 0 && !self.unknown.is_empty() {
            return std::mem::take(&mut self.unknown);
        }
        let mut batch = vec![];
        for _ in 0..=dice.below(3) {
            let campaign = dice.below(CAMPAIGNS);
            for _ in 0..=dice.below(60) {
                let known = self.users > 0 && dice.below(4) == 0;
                let user = if known { dice.below(self.users) } else { self.users };
                self.users += u64::from(!known);
                batch.push(Interaction { campaign, user, clicked: dice.below(4) == 0 });
            }
        }
        batch
    }

    /// Notes that a batch is being sent.
    pub fn sent(&mut self, batch: &[Interaction]) {
        for one in batch {
            self.did(one).possible.insert(one.user);
        }
    }

    /// Notes that a batch was acknowledged.
    pub fn acknowledged(&mut self, batch: &[Interaction]) {
        for one in batch {
            self.did(one).certain.insert(one.user);
        }
    }

    fn did(&mut self, one: &Interaction) -> &mut Did {
        let campaign = self.campaigns.entry(one.campaign).or_default();
        if one.clicked { &mut campaign.clicked } else { &mut campaign.received }
    }

    /// The users of a campaign who received it or clicked.
    pub fn who(&self, campaign: u64, clicked: bool) -> Did {
        let campaign = self.campaigns.get(&campaign).cloned().unwrap_or_default();
        if clicked { campaign.clicked } else { campaign.received }
    }

    /// Everybody who did anything.
    pub fn everybody(&self) -> Did {
        let all = || self.campaigns.values().flat_map(|c| [&c.received, &c.clicked]);
        let certain = all().flat_map(|d| d.certain.iter().copied()).collect();
        Did { certain, possible: all().flat_map(|d| d.possible.iter().copied()).collect() }
    }
}

impl Interaction {
    /// The JSON that is posted.
    pub fn to_json(self) -> Value {
        let mut out = json!({
            "user_id": user(self.user),
            "campaign_id": campaign(self.campaign),
            "type": if self.clicked { "clicked" } else { "received" },
            "channel": "email",
            "time": POSTED_AT + self.user as i64,
        });
        if self.clicked {
            out["link_alias"] = "cta".into();
        }
        out
    }
}
