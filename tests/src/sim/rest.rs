//! Brings everything to rest by the ordinary functions alone, and checks that it is at rest.

use super::{
    audit::{Auditor, Violation, violated},
    snapshot::{Catalog, Snapshot},
};
use crate::fixture::world::World;
use rekindle_domain::{
    block::decode,
    compact::{InboxSize, RunSize, plan},
    id::{CopyId, LedgerId},
    manifest::{DataState, Life},
    source::Decision,
    time::Time,
};
use std::{collections::BTreeSet, time::Duration};

/// How far ahead a wake time counts as work, in milliseconds. A later one, such as a future expiry, does not disturb the rest.
const DAYS: i64 = 3 * 24 * 3_600_000;
/// The shortest time between two sweeps here, in milliseconds: two graces, so that each sweep finds what several would.
const PAUSE: i64 = 7_200_000;
/// How many sweeps it may take until everything is at rest.
const ROUNDS: usize = 80;

/// Moves the clock from one wake time to the next, sweeps and delivers both queues at each, until nothing is to be done for
/// days.
///
/// # Errors
/// L9: something is due again and again.
pub async fn settle(world: &World) -> Result<(), Violation> {
    let begin = world.clock.now_still();
    let mut last = Vec::new();
    for _ in 0..ROUNDS {
        let swept = world.sweep().await;
        world.drain().await;
        let now = world.clock.now_still();
        let next = Catalog::read(world).await.next_wake();
        let Some((next, what)) = next.filter(|(at, _)| *at < now.0 + DAYS) else {
            return Ok(());
        };
        last.push(format!("{what} at {} after {:?}", Time(next), swept.items));
        world.clock.set(now.plus((next - now.0).max(PAUSE)));
        tokio::time::advance(Duration::from_secs(31)).await;
    }
    // Work that is retried once a day may go on: data that does not verify, or a source that was marked and got no rows.
    let days = (world.clock.now_still().0 - begin.0) / (24 * 3_600_000);
    if days > 30 {
        Ok(())
    } else {
        violated(format!("L9: something is due again and again: {:?}", &last[ROUNDS - 2..]))
    }
}

/// Runs the compactor until no ledger is marked, and then the sweeper until nothing is to be done.
///
/// # Errors
/// L9: something is due again and again.
pub async fn compact(world: &World) -> Result<(), Violation> {
    for _ in 0..ROUNDS {
        if Catalog::read(world).await.marks == 0 {
            return settle(world).await;
        }
        world.advance("PT12M");
        world.compact().await;
    }
    // A ledger in quarantine is marked anew each day.
    settle(world).await
}

/// L9: whether the compactor would find something to merge in a ledger.
fn is_behind(world: &World, snapshot: &Snapshot, ledger: &LedgerId) -> Result<bool, Violation> {
    let blocks = snapshot.inbox.get(ledger).map_or(&[][..], Vec::as_slice);
    let mut inbox = InboxSize { blocks: blocks.len(), ..InboxSize::default() };
    for (_, bytes) in blocks {
        inbox.bytes += bytes.len() as u64;
        inbox.rows +=
            decode(bytes).map_err(|e| format!("an inbox block of {ledger}: {e}"))?.rows.row_count() as u64;
    }
    let manifest = snapshot.catalog.manifests.get(ledger).map(|m| m.doc.clone()).unwrap_or_default();
    let merge = plan(&RunSize::of(&manifest), inbox, &world.settings.sizes.tiering);
    Ok(manifest.state == DataState::Available && manifest.quarantine.is_none() && merge.is_some())
}

/// L9: the compactor has nothing left to do.
pub fn check_compacted(world: &World, snapshot: &Snapshot) -> Result<(), Violation> {
    for ledger in snapshot.catalog.sources.keys().cloned().map(LedgerId::Source).chain([LedgerId::Users]) {
        if is_behind(world, snapshot, &ledger)? {
            return violated(format!("L9: {ledger} has grown and is not marked for compaction"));
        }
    }
    Ok(())
}

/// L9: nothing is half-done any more, and everything due is expired. L2: everything stored is listed in a manifest.
pub fn check(world: &World, snapshot: &Snapshot, auditor: &Auditor) -> Result<(), Violation> {
    let (clock, retention) = (&world.clock, &world.settings.retention);
    let mut listed: BTreeSet<CopyId> = BTreeSet::new();
    for (ledger, stored) in &snapshot.catalog.manifests {
        let manifest = &stored.doc;
        listed.extend(manifest.copies.iter().map(|c| c.id));
        if !auditor.damaged.is_empty() {
            continue;
        }
        // A ledger whose data did not verify keeps it whole, and tries again when it is due again, or is restored.
        if manifest.quarantine.is_some() && auditor.has_rotted {
            continue;
        }
        let half = manifest.copies.iter().find(|c| c.life != Life::Live);
        if half.is_some() || manifest.clearing.is_some() || manifest.quarantine.is_some() {
            return violated(format!(
                "L9: {ledger} does not come to rest: {half:?}, clearing {:?}, {:?}",
                manifest.clearing, manifest.quarantine
            ));
        }
    }
    for stored in snapshot.catalog.sources.values() {
        let source = &stored.doc;
        let is_due = source.decide(retention, clock.now_still()) == Decision::Due;
        let ledger = LedgerId::Source(source.id.clone());
        let has_rows = snapshot.inbox.contains_key(&ledger)
            || snapshot.catalog.manifests.get(&ledger).is_some_and(|m| !m.doc.runs.is_empty());
        if auditor.damaged.is_empty() && is_due && has_rows {
            return violated(format!("L9: {} is due and does not expire", source.id));
        }
        if !source.settling.is_empty() {
            return violated(format!("L9: {} never ends its requests' items", source.id));
        }
    }
    for (id, stored) in &snapshot.catalog.requests {
        if stored.doc.remaining > 0 {
            return violated(format!("L9: request {id} never ends: {:?}", stored.doc));
        }
    }
    if let Some(notice) = snapshot.catalog.notices.iter().find(|n| n.doc.sent_at.is_none()) {
        let now = clock.now_still();
        return violated(format!("L9: at {now} this is never sent: {:?}", notice.doc));
    }
    let hot = snapshot.blocks.keys().map(|(copy, ..)| *copy);
    let cold = snapshot.objects.keys().filter_map(|key| key.rsplit('/').nth(2)?.parse().ok());
    let records = snapshot.catalog.parts.keys().chain(snapshot.catalog.inputs.keys()).copied();
    match hot.chain(cold).chain(records).find(|copy| !listed.contains(copy)) {
        Some(copy) => violated(format!("L2: storage holds data of copy {copy}, which no manifest lists")),
        None => Ok(()),
    }
}
