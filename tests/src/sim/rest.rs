//! How everything comes to rest by the ordinary functions alone, and that it did.

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

/// Further than this nobody looks ahead: a source that is not stopped may expire one day.
const DAYS: i64 = 3 * 24 * 3_600_000;
/// How long at least between two sweeps here, in milliseconds: half a grace, so that little is looked at in vain.
const PAUSE: i64 = 1_800_000;
/// At how many moments something may have to be looked at before everything rests.
const ROUNDS: usize = 80;

/// Lets time pass from one moment at which something must be looked at to the next, with a sweep and the queues' turn at
/// each, until nothing is to be done for days.
///
/// # Errors
/// L9: there is no end to it.
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
    // What is tried again once a day (data that does not verify, a source that was marked and got no rows) may go on.
    let days = (world.clock.now_still().0 - begin.0) / (24 * 3_600_000);
    if days > 30 { Ok(()) } else { violated(format!("L9: there is no end to it: {:?}", &last[ROUNDS - 2..])) }
}

/// Lets the compactor run until no ledger is marked, and then the sweeper until nothing is to be done.
///
/// # Errors
/// L9: there is no end to it.
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

/// L9: whether the compactor would find something to merge in a ledger, if it looked.
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

/// L9: nothing is left for the compactor.
pub fn check_compacted(world: &World, snapshot: &Snapshot) -> Result<(), Violation> {
    for ledger in snapshot.catalog.sources.keys().cloned().map(LedgerId::Source).chain([LedgerId::Users]) {
        if is_behind(world, snapshot, &ledger)? {
            return violated(format!("L9: {ledger} has grown, and nobody compacts it"));
        }
    }
    Ok(())
}

/// L9: nothing is half-done any more, what is due is expired, and (L2) nothing lies about that no manifest lists.
pub fn check(world: &World, snapshot: &Snapshot, auditor: &Auditor) -> Result<(), Violation> {
    let (clock, retention) = (&world.clock, &world.settings.retention);
    let mut listed: BTreeSet<CopyId> = BTreeSet::new();
    for (ledger, stored) in &snapshot.catalog.manifests {
        let manifest = &stored.doc;
        listed.extend(manifest.copies.iter().map(|c| c.id));
        if !auditor.damaged.is_empty() {
            continue;
        }
        // What did not verify waits, whole, until it is read again: when it is due again, or restored.
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
            return violated(format!("L9: {} never tells its requests", source.id));
        }
    }
    for (id, stored) in &snapshot.catalog.requests {
        if stored.doc.remaining > 0 {
            return violated(format!("L9: request {id} never ends: {:?}", stored.doc));
        }
    }
    if let Some(notice) = snapshot.catalog.notices.iter().find(|n| n.doc.sent_at.is_none()) {
        return violated(format!("L9: notice {} is never sent", notice.doc.id));
    }
    let hot = snapshot.blocks.keys().map(|(copy, ..)| *copy);
    let cold = snapshot.objects.keys().filter_map(|key| key.rsplit('/').nth(2)?.parse().ok());
    let records = snapshot.catalog.parts.keys().chain(snapshot.catalog.inputs.keys()).copied();
    match hot.chain(cold).chain(records).find(|copy| !listed.contains(copy)) {
        Some(copy) => violated(format!("L2: something of copy {copy} lies about, and no manifest lists it")),
        None => Ok(()),
    }
}
