//! Merged users: what a merge costs, and what a question costs before and after rewrites have moved the rows.

use crate::{
    Size,
    data::{CAMPAIGN, Crowd, Ids, clicks},
    deployment::{Deployment, Kept, Outcome, stopwatch},
    meter::{Units, Way},
    report::{Findings, Row, grouped, short},
    restore::RESTORERS,
};
use rekindle_domain::{id::LedgerId, manifest::Run, rows::user_hash};
use serde_json::json;
use std::ops::Range;

const HOUR: i64 = 60 * 60 * 1000;
/// The most merges of one call.
const AT_ONCE: u64 = 50;
/// How many merges are pending at first.
const FEW: u64 = 100;
/// How many members a page has.
const PAGE: usize = 1_000;
/// How often a question is asked. The time is the best one.
const ROUNDS: usize = 3;

/// Read units and seconds of a question.
type Taken = (f64, f64);

/// A campaign with a run of all its users, and persons who have two of them.
struct Life {
    deployment: Deployment,
    crowd: Crowd,
    users: u64,
    /// The first so many users were merged, each into one of the second half.
    merged: u64,
    counts: Vec<Taken>,
    pages: Vec<Taken>,
}

/// Measures merges, and questions about merged users.
pub async fn measure(size: Size) -> Outcome<Findings> {
    let (users, many) = size.pick((1_000_000, 10_000), (20_000, 1_000));
    let mut life = Life::begin(users).await?;
    life.ask().await?;
    let one = life.merge(0..1).await?;
    let several = life.merge(1..1 + AT_ONCE).await?;
    life.merge_up_to(FEW).await?;
    life.ask().await?;
    life.merge_up_to(many).await?;
    life.ask().await?;
    let log = life.read_merges().await?;
    life.fold().await?;
    life.ask().await?;
    let states = format!("none · {FEW} · {} merges pending · all folded", grouped(many as f64));
    let told = |taken: &[Taken]| {
        let each = |value: fn(&Taken) -> String| taken.iter().map(value).collect::<Vec<_>>().join(" · ");
        format!("{} read units; {} s", each(|t| grouped(t.0)), each(|t| short(t.1)))
    };
    let of = format!("of {} UUID users", grouped(users as f64));
    let both = |way| format!("{} · {}", short(one.all(way)), short(several.all(way)));
    let rows = vec![
        Row::plain(format!("Count \"received and not clicked\" {of}: {states}"), told(&life.counts)),
        Row::plain(format!("{} members {of}: {states}", grouped(PAGE as f64)), told(&life.pages)),
        Row::plain(
            format!("Merge users: one pair · {AT_ONCE} in one call"),
            format!("{} write units ({} read)", both(Way::Write), both(Way::Read)),
        ),
        Row::plain(
            format!("Read {} merges, once a process", grouped(many as f64)),
            format!("{} read units", grouped(log)),
        ),
    ];
    let how = format!(
        "**Merged users**: the same interactions as for growth, compacted into one run; AWS in memory, without its latency; the \
         best time of {ROUNDS}. Each merge brings together two users of the campaign. At last the campaign is expired and \
         restored, which folds the merges. Every count and page of members is compared with what follows from the \
         interactions. The process that asks knows the merges already; a new one reads them all once."
    );
    Ok(Findings { rows, how })
}

impl Life {
    /// All users, in one run.
    async fn begin(users: u64) -> Outcome<Self> {
        let deployment = Deployment::new(Kept::InMemory, None).await?;
        let crowd = Crowd { ids: Ids::Uuids, spread: HOUR, now: deployment.now() };
        let (interactions, _) = deployment.fill(&crowd, 0..users).await?;
        for _ in 0..3 {
            deployment.wait("PT61M").await?;
            deployment.compact().await?;
            deployment.sweep().await?;
        }
        let life = Self { deployment, crowd, users, merged: 0, counts: Vec::new(), pages: Vec::new() };
        let rows: Vec<u64> = life.runs().await?.iter().map(|run| run.tally.rows).collect();
        if rows != [interactions] {
            return Err(format!("runs of {rows:?} rows, and not one of {interactions}").into());
        }
        Ok(life)
    }

    async fn runs(&self) -> Outcome<Vec<Run>> {
        let ledger: LedgerId = format!("campaign/{CAMPAIGN}").parse()?;
        Ok(self.deployment.local.stack.app.store.catalog.manifest(&ledger).await?.runs)
    }

    /// The person to whom a user is merged.
    const fn person_of(&self, user: u64) -> u64 {
        self.users / 2 + user
    }

    /// Makes these merges in one call, and returns its units.
    async fn merge(&mut self, which: Range<u64>) -> Outcome<Units> {
        let id = |user| self.crowd.ids.of(user);
        let pair = |user| json!({ "from": id(user), "into": id(self.person_of(user)) });
        let body = json!({ "merges": which.clone().map(pair).collect::<Vec<_>>() });
        self.deployment.meter.take();
        let answer = self.deployment.post("/v1/users/merges", &body).await?;
        let units = self.deployment.meter.take();
        let numbers =
            answer["items"].as_array().ok_or("no items")?.iter().map(|item| &item["merge"]["number"]);
        if !numbers.eq(which.clone().map(|user| user + 1)) {
            return Err(format!("merges that are not new: {answer}").into());
        }
        self.merged = which.end;
        Ok(units)
    }

    async fn merge_up_to(&mut self, merges: u64) -> Outcome<()> {
        while self.merged < merges {
            self.merge(self.merged..merges.min(self.merged + AT_ONCE)).await?;
        }
        Ok(())
    }

    /// The units of reading all merges, as a new process does.
    async fn read_merges(&self) -> Outcome<f64> {
        self.deployment.meter.take();
        let merges = self.deployment.local.stack.app.store.catalog.merges(0, self.merged).await?;
        let units = self.deployment.meter.take().all(Way::Read);
        if merges.len() as u64 == self.merged { Ok(units) } else { Err("merges are missing".into()) }
    }

    /// Expires and restores the campaign, so that the merges are folded.
    async fn fold(&self) -> Outcome<()> {
        self.deployment.come_due().await?;
        self.deployment.expire().await?;
        self.deployment.restore(RESTORERS).await?;
        let folded: Vec<u64> = self.runs().await?.iter().map(|run| run.folded).collect();
        if folded == [self.merged] { Ok(()) } else { Err(format!("folded up to {folded:?}").into()) }
    }

    /// Asks for the number of users who received and did not click, and for the first of them.
    async fn ask(&mut self) -> Outcome<()> {
        let received = self.deployment.count().await?;
        if received != self.users - self.merged {
            return Err(format!("{received} of {} received, {} merged", self.users, self.merged).into());
        }
        let expected = self.expected();
        let source = json!({ "source": format!("campaign/{CAMPAIGN}") });
        let filter = json!({ "all": [{ "received": source }, { "not": { "clicked": source } }] });
        let (count, taken) = self.best(async || self.deployment.count_of(&filter).await).await?;
        if count != expected.len() as u64 {
            return Err(format!("{count} counted, {} expected", expected.len()).into());
        }
        self.counts.push(taken);
        let body = json!({ "filter": filter, "limit": PAGE });
        let (page, taken) =
            self.best(async || self.deployment.post("/v1/audiences/members", &body).await).await?;
        if page["items"] != json!(expected.get(..PAGE).ok_or("too few users")?) {
            return Err("a page of members is wrong".into());
        }
        self.pages.push(taken);
        Ok(())
    }

    /// The persons none of whose ids clicked, in the order of members.
    fn expected(&self) -> Vec<String> {
        let is_quiet = |user: &u64| {
            let other = user.checked_sub(self.users / 2).filter(|other| *other < self.merged);
            !clicks(*user) && !other.is_some_and(clicks)
        };
        let mut ids: Vec<String> =
            (self.merged..self.users).filter(is_quiet).map(|user| self.crowd.ids.of(user)).collect();
        ids.sort_by_cached_key(|id| user_hash(id.as_bytes()));
        ids
    }

    /// The answer to a question, its units, and the best of some times.
    async fn best<T>(&self, ask: impl AsyncFn() -> Outcome<T>) -> Outcome<(T, Taken)> {
        let mut seconds = f64::INFINITY;
        for _ in 1..ROUNDS {
            let begun = stopwatch();
            ask().await?;
            seconds = seconds.min(begun.elapsed().as_secs_f64());
        }
        self.deployment.meter.take();
        let begun = stopwatch();
        let answer = ask().await?;
        seconds = seconds.min(begun.elapsed().as_secs_f64());
        Ok((answer, (self.deployment.meter.take().all(Way::Read), seconds)))
    }
}
