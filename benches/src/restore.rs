//! Expiring and restoring a million users through the local stack: units and seconds.

use crate::{
    Size,
    data::{Crowd, Ids},
    deployment::{Deployment, Kept, Outcome, stopwatch},
    meter::{Place, Units, Way},
    report::{Findings, Row, grouped, short},
};

/// How many restorers the local runner has at work.
pub const RESTORERS: usize = 2;
/// The aims for a million users.
const WRITE_UNITS: f64 = 22_000.0;
const SECONDS: f64 = 30.0;
const DAY: i64 = 24 * 60 * 60 * 1000;

struct Measured {
    expired: (Units, f64),
    restored: (Units, f64),
}

/// Measures expiry and restore.
pub async fn measure(size: Size) -> Outcome<Findings> {
    let users = size.pick(1_000_000, 20_000);
    let mut rows = Vec::new();
    for (kept, place) in [(Kept::OnDisk, "on disk"), (Kept::InMemory, "in memory")] {
        let measured = expire_and_restore(kept, users).await?;
        let seconds = |name: &str, taken: f64| {
            let what = format!("{name} {} UUID users, AWS {place}", grouped(users as f64));
            Row::aimed(what, format!("{} s", short(taken)), format!("{SECONDS} s"), taken <= SECONDS)
        };
        if kept == Kept::OnDisk {
            let what = format!("Restore {} UUID users", grouped(users as f64));
            let (units, all) = (&measured.restored.0, measured.restored.0.all(Way::Write));
            let blocks = units.of(Way::Write, Place::Blocks);
            let text = format!("{} write units, {} of them blocks", grouped(all), grouped(blocks));
            rows.push(Row::aimed(what, text, grouped(WRITE_UNITS), all <= WRITE_UNITS));
            let what = format!("Expire {} UUID users", grouped(users as f64));
            let units = &measured.expired.0;
            let text = format!(
                "{} write units, {} read units",
                grouped(units.all(Way::Write)),
                grouped(units.all(Way::Read))
            );
            rows.push(Row::plain(what, text));
        }
        rows.push(seconds("Expire", measured.expired.1));
        rows.push(seconds("Restore", measured.restored.1));
    }
    let how = format!(
        "**Expire and restore**: everybody receives a mail within 24 h; of a hundred, 22 open it, 7 machines do, 5 click and 1 \
         converts: 1.35 rows a user. The functions' own handlers and queues over the local runner's stack: the sweeper until the \
         data is expired, then {RESTORERS} restorers from the request until it is available. The count is compared before and \
         after. The units of expiry include folding the inbox into hot runs and deleting it."
    );
    Ok(Findings { rows, how })
}

async fn expire_and_restore(kept: Kept, users: u64) -> Outcome<Measured> {
    let deployment = Deployment::new(kept, None).await?;
    let crowd = Crowd { ids: Ids::Uuids, spread: DAY, now: deployment.now() };
    deployment.fill(&crowd, 0..users).await?;
    let before = deployment.count().await?;
    deployment.come_due().await?;
    deployment.meter.take();
    let begun = stopwatch();
    deployment.expire().await?;
    let expired = (deployment.meter.take(), begun.elapsed().as_secs_f64());
    let begun = stopwatch();
    deployment.restore(RESTORERS).await?;
    let restored = (deployment.meter.take(), begun.elapsed().as_secs_f64());
    let after = deployment.count().await?;
    if (before, after) != (users, users) {
        return Err(format!("{users} users were sent, {before} counted, {after} came back").into());
    }
    Ok(Measured { expired, restored })
}
