//! Measures the units and seconds to expire and restore a million users through the local stack.

use crate::{
    Size,
    data::{Crowd, Ids},
    deployment::{Deployment, Kept, Outcome, stopwatch},
    meter::{Place, Units, Way},
    report::{Findings, Row, grouped, short},
};

/// How many restorers run at once, as in the local runner.
pub const RESTORERS: usize = 2;
/// The aims for a million users.
const WRITE_UNITS: f64 = 22_000.0;
const SECONDS: f64 = 30.0;
const DAY: i64 = 24 * 60 * 60 * 1000;

/// Units and seconds.
type Taken = (Units, f64);

struct Measured {
    expired: Taken,
    restored: Taken,
    /// A second expiry, and the deletion of the hot copy after its grace.
    dropped: Taken,
}

/// Measures expiry and restore.
pub async fn measure(size: Size) -> Outcome<Findings> {
    let users = size.pick(1_000_000, 20_000);
    let count = grouped(users as f64);
    let on_disk = expire_and_restore(Kept::OnDisk, users).await?;
    let in_memory = expire_and_restore(Kept::InMemory, users).await?;
    let mut rows = Vec::new();
    let measured = [
        ("Expire", &on_disk.expired, &in_memory.expired),
        ("Restore", &on_disk.restored, &in_memory.restored),
    ];
    for (name, (units, on_disk), (_, in_memory)) in measured {
        let write = units.all(Way::Write);
        rows.push(Row::aimed(
            format!("{name} {count} UUID users"),
            format!(
                "{} write units, {} of them the catalog's ({} read)",
                grouped(write),
                grouped(units.of(Way::Write, Place::Catalog)),
                grouped(units.all(Way::Read))
            ),
            grouped(WRITE_UNITS),
            write <= WRITE_UNITS,
        ));
        rows.push(Row::aimed(
            format!("{name} {count} UUID users, AWS on disk; in memory"),
            format!("{} s; {} s", short(*on_disk), short(*in_memory)),
            format!("{SECONDS} s"),
            on_disk.max(*in_memory) <= SECONDS,
        ));
    }
    let (units, seconds) = &on_disk.dropped;
    rows.push(Row::plain(
        format!("Expire them again: drop the hot copy, {count} UUID users"),
        format!("{} write units, {} s", grouped(units.all(Way::Write)), short(*seconds)),
    ));
    let how = format!(
        "**Expire and restore**: every user receives a mail within 24 h; of a hundred, 22 open it, for 7 a machine opens it, 5 click \
         and 1 converts: 1.35 rows a user. The functions' own handlers and queues run over the local runner's stack: the sweeper \
         until the data is expired, then {RESTORERS} restorers from the request until it is available; all users are counted \
         before and after. The first expiry deletes the inbox; the second uploads nothing, and deletes the hot copy after its grace."
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
    deployment.wait("P3M").await?;
    deployment.meter.take();
    let begun = stopwatch();
    deployment.expire().await?;
    deployment.clean_up().await?;
    let dropped = (deployment.meter.take(), begun.elapsed().as_secs_f64());
    if dropped.0.of(Way::Write, Place::Blocks) == 0.0 {
        return Err("the hot copy was not deleted".into());
    }
    Ok(Measured { expired, restored, dropped })
}
