//! The whole cost of a trickle: small batches arrive over weeks in a large campaign. Measures all units until their rows are
//! in a few runs: puts and deletions of inbox blocks, rewrites, manifests.

use crate::{
    Size,
    data::{CAMPAIGN, Crowd, Ids},
    deployment::{Deployment, Kept, Outcome},
    meter::{Meter, Place, Units, Way, Whose, metered},
    report::{Findings, Row, grouped, short},
    units::{Item, create_table, plain_item},
};
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use rekindle_domain::{
    id::LedgerId,
    time::{Clock, Time},
};
use rekindle_local::{embedded::EmbeddedAws, server::ClockMove};
use std::sync::Arc;

const MINUTE: i64 = 60_000;
/// The milliseconds between two batches: two million interactions in batches of 20 take three weeks.
const EVERY: i64 = 18_000;
const AIMS: [(&str, Ids, f64); 2] =
    [("random UUIDs", Ids::Uuids, 0.8), ("`user-1234567`", Ids::Numbered, 0.4)];
/// The number of interactions for which the aim is set.
const HEADLINE: u64 = 2_000_000;

/// The units spent, by function.
#[derive(Default)]
struct Spent {
    /// By ingest: blocks and marks.
    ingest: Units,
    /// By the compactor: deletions of inbox blocks, blocks of new copies, manifests and parts.
    compactor: Units,
    /// By the sweeper: deletions of blocks of old copies, manifests and parts.
    sweeper: Units,
}

impl Spent {
    /// Put, delete, rewrite and manifest units of a ledger.
    fn of(&self, whose: Whose) -> [f64; 4] {
        let inbox = if whose == Whose::Users { Place::UsersInbox } else { Place::CampaignInbox };
        let write = |units: &Units, place| units.of_ledger(Way::Write, place, whose);
        let [by_ingest, by_compactor, by_sweeper] = [&self.ingest, &self.compactor, &self.sweeper];
        [
            write(by_ingest, inbox),
            write(by_compactor, inbox) + write(by_sweeper, inbox) + write(by_sweeper, Place::Blocks),
            write(by_compactor, Place::Blocks),
            [by_ingest, by_compactor, by_sweeper].iter().map(|u| write(u, Place::Catalog)).sum(),
        ]
    }

    fn all(&self) -> f64 {
        [&self.ingest, &self.compactor, &self.sweeper].iter().map(|u| u.all(Way::Write)).sum()
    }

    /// The text of all four for each ledger, in units an interaction.
    fn told(&self, interactions: u64) -> String {
        let ledger = |name: &str, whose| {
            let four = self.of(whose).map(|units| short(units / interactions as f64));
            format!("{name} {}", four.join(" + "))
        };
        format!("{}; {}", ledger("campaign", Whose::Campaign), ledger("`users`", Whose::Users))
    }
}

/// Measures trickles.
pub async fn measure(size: Size) -> Outcome<Findings> {
    let users = size.pick(5_000_000, 20_000);
    let at = size.pick(vec![100_000, 500_000, HEADLINE], vec![10_000, 30_000]);
    let mut rows = Vec::new();
    for (name, ids, aim) in AIMS {
        let told = trickle(ids, users, 20, &at).await?;
        let each: Vec<String> = told.iter().map(|t| short(t.each)).collect();
        let headline = told.iter().find(|t| t.interactions == HEADLINE).or(told.last()).ok_or("no figure")?;
        let counts: Vec<String> = at.iter().map(|n| grouped(*n as f64)).collect();
        rows.push(Row::aimed(
            format!(
                "Write units an interaction, in batches of 20, all told, ids {name}, {}",
                counts.join(" · ")
            ),
            each.join(" · "),
            format!("{aim} at {}", grouped(HEADLINE as f64)),
            headline.each <= aim,
        ));
        rows.push(Row::plain(
            format!("… put + delete + rewrite + manifest, at {}", grouped(headline.interactions as f64)),
            headline.told.clone(),
        ));
        rows.push(Row::plain("… runs then, campaign · `users`", headline.runs.clone()));
    }
    let most = size.pick(HEADLINE, 30_000);
    let large = trickle(Ids::Uuids, size.pick(1_000_000, 20_000), 500, &[most]).await?;
    let large = large.first().ok_or("no figure")?;
    rows.push(Row::plain("Write units an interaction, in batches of 500, random UUIDs", short(large.each)));
    rows.push(Row::plain("… put + delete + rewrite + manifest", large.told.clone()));
    let few = size.pick(20_000, 1_000);
    let alone = trickle(Ids::Uuids, size.pick(100_000, 1_000), 1, &[few]).await?;
    let alone = alone.first().ok_or("no figure")?;
    rows.push(Row::plain("Write units an interaction, in batches of 1, random UUIDs", short(alone.each)));
    rows.push(Row::plain(
        "Write units an interaction, an item an event: put, its deletion, the user's item",
        short(item_per_event().await?),
    ));
    let how = format!(
        "**A trickle**: opens and clicks of users among {} who received the campaign, a batch of 20 every {} seconds; the \
         compactor every minute, the sweeper every five. DynamoDB's answers give the units of every write from then on: \
         inbox blocks put and deleted, blocks of runs written, and deleted once they are merged, dirty marks, manifests with \
         their index, parts.",
        grouped(users as f64),
        EVERY / 1000
    );
    Ok(Findings { rows, how })
}

/// The state after a number of interactions.
struct Told {
    interactions: u64,
    each: f64,
    told: String,
    runs: String,
}

/// Posts batches, and returns the state at each of these numbers of interactions.
async fn trickle(ids: Ids, users: u64, batch: u64, at: &[u64]) -> Outcome<Vec<Told>> {
    let deployment = Deployment::new(Kept::InMemory, None).await?;
    let clock = &deployment.local.clock;
    let crowd = || Crowd { ids, spread: MINUTE, now: deployment.now() };
    deployment.fill(&crowd(), 0..users).await?;
    // The first interactions are folded into runs, and the blocks that these were made of are deleted.
    for _ in 0..3 {
        deployment.wait("PT61M").await?;
        deployment.compact().await?;
        deployment.sweep().await?;
    }
    deployment.meter.take();
    let (mut spent, mut told) = (Spent::default(), Vec::new());
    let (mut sent, mut minutes) = (0, 0);
    let mut now = clock.now();
    let first = now;
    for &most in at {
        while sent < most {
            let body = crowd().later(sent..sent + batch, users);
            deployment.ingest(body, batch).await?;
            spent.ingest.add_all(&deployment.meter.take());
            sent += batch;
            now = now.plus(EVERY);
            deployment.local.move_clock(&ClockMove::Now(now.max(clock.now()))).await?;
            while minutes < (now.0 - first.0) / MINUTE {
                minutes += 1;
                deployment.compact().await?;
                spent.compactor.add_all(&deployment.meter.take());
                if minutes % 5 == 0 {
                    deployment.sweep().await?;
                    spent.sweeper.add_all(&deployment.meter.take());
                }
            }
        }
        let mut runs = Vec::new();
        for ledger in [format!("campaign/{CAMPAIGN}"), "users".to_owned()] {
            let ledger: LedgerId = ledger.parse()?;
            runs.push(
                deployment.local.stack.app.store.catalog.manifest(&ledger).await?.runs.len().to_string(),
            );
        }
        deployment.meter.take();
        told.push(Told {
            interactions: sent,
            each: spent.all() / sent as f64,
            told: spent.told(sent),
            runs: runs.join(" · "),
        });
    }
    Ok(told)
}

/// The usual design, for comparison: an item for each interaction, deleted once it is no longer needed, and an item for each
/// user that is updated.
async fn item_per_event() -> Outcome<f64> {
    const TABLE: &str = "interactions";
    const EVENTS: u64 = 200;
    let aws = EmbeddedAws::in_memory(Arc::new(|| jiff::Timestamp::UNIX_EPOCH))?;
    let meter = Arc::new(Meter::default());
    let config = aws.sdk_config().into_builder().http_client(metered(aws.http_client(), meter.clone(), None));
    let client = Client::new(&config.build());
    create_table(&client, TABLE).await?;
    let crowd = Crowd { ids: Ids::Uuids, spread: MINUTE, now: Time(1_800_000_000_000) };
    let items: Vec<Item> = crowd.later(0..EVENTS, EVENTS).lines().map(plain_item).collect::<Outcome<_>>()?;
    for item in items {
        let user = item["user_id"].clone();
        let key = |sort: AttributeValue| {
            [("campaign_id".to_owned(), item["campaign_id"].clone()), ("user_and_time".to_owned(), sort)]
        };
        let event = key(item["user_and_time"].clone()).into();
        client.put_item().table_name(TABLE).set_item(Some(item.clone())).send().await?;
        let update = client.update_item().table_name(TABLE).set_key(Some(key(user).into()));
        let update = update.update_expression("SET last_at = :at");
        update.expression_attribute_values(":at", item["time"].clone()).send().await?;
        client.delete_item().table_name(TABLE).set_key(Some(event)).send().await?;
    }
    Ok(meter.take().all(Way::Write) / EVENTS as f64)
}
