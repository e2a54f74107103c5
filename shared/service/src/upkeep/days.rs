//! The days in numbers, for people: the sweeper counts, and a page shows them without a look at any source.
//!
//! Every count begins anew from what is stored, and is joined with what was found before ([`Day::joined`]). So a count may be
//! repeated, may break off, and may run beside another one. Nothing waits for it, and none of its errors ends a sweep.

use crate::{app::Rekindle, budget::Budget, ledger::arrivals};
use rekindle_domain::{
    day::{Arrivals, DAYS_BACK, Day, Moved, Stock, first_day},
    id::{LedgerId, SourceId, SourceKind},
    manifest::{Copy, Life, Manifest, Tier},
    source::Source,
    time::{DAY_MILLIS, Time},
};
use rekindle_store::{
    StoreError,
    catalog::{
        Transaction,
        listing::Order,
        sources::{ListCursor, SourceQuery},
    },
};
use std::collections::{BTreeMap, HashSet};

/// The least time between two counts of a day, in milliseconds: most sweeps count while there are few sources.
const LEAST_MILLIS: i64 = 4 * 60_000;

/// A count reads the items of all sources, two read units or more each. The next one waits for so many milliseconds a source, so
/// that counting costs some 16 cents a month, however many there are. With 21,600 sources or more it is once a day.
const MILLIS_A_SOURCE: i64 = 4_000;

/// How many sources are read at once.
const PAGE: usize = 500;

/// Of the inbox of `users` at most so many blocks and bytes are listed: more than the compactor leaves there for long.
const MAX_BLOCKS: usize = 2_000;
const MAX_BYTES: u64 = 1 << 20;

impl Rekindle {
    /// Counts what today and the two days before brought, unless that was done a moment ago.
    pub(super) async fn note_days(&self, budget: &Budget) {
        match self.count_days(budget).await {
            // Another sweeper counted at the same time.
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => {
                tracing::warn!(error.message = %error, "the day was not counted; a later sweep counts again");
            }
        }
    }

    async fn count_days(&self, budget: &Budget) -> Result<(), StoreError> {
        let now = self.now();
        let known = self.store.catalog.days(DAYS_BACK).await?;
        let last = known.first().filter(|day| day.day == now.day()).and_then(|day| day.stock.as_ref());
        if last.is_some_and(|stock| now < next_count(stock)) {
            return Ok(());
        }
        let Some(count) = self.count_sources(now, budget).await? else { return Ok(()) };
        let arrived = self.arrivals().await?;
        let mut transaction = Transaction::new();
        for day in (0..DAYS_BACK as i64).map(|i| first_day(now).plus(i * DAY_MILLIS)) {
            let before = known.iter().find(|known| known.day == day).cloned().unwrap_or(Day::new(day));
            let (expired, restored) = count.moved.get(&day).copied().unwrap_or_default();
            let stock = (day == now.day()).then(|| count.stock.clone());
            let found = Day { interactions: arrived.on(day), expired, restored, stock, ..Day::new(day) };
            let joined = before.clone().joined(found);
            if joined != before {
                transaction.put_day(&joined)?;
            }
        }
        self.store.catalog.commit(transaction).await
    }

    /// Walks through all sources. `None`: the time was up.
    async fn count_sources(&self, now: Time, budget: &Budget) -> Result<Option<Count>, StoreError> {
        let mut count = Count::default();
        count.stock.at = now;
        let users = self.store.catalog.manifest(&LedgerId::Users).await?;
        count.add_bytes(&users);
        // The last changed come last: a source that changes meanwhile moves to the end, and is met there a second time.
        let mut seen: HashSet<SourceId> = HashSet::new();
        for kind in [SourceKind::Campaign, SourceKind::Canvas] {
            let mut after: Option<ListCursor> = None;
            loop {
                if budget.is_spent(self.now()) {
                    return Ok(None);
                }
                let (all, order) = (SourceQuery::default(), Order::UpdatedFrom(Time(0)));
                let page = self.store.catalog.list_sources(kind, &all, order, after, PAGE).await?;
                let ids = page.items.into_iter().map(|entry| entry.source);
                let ids: Vec<SourceId> = ids.filter(|id| seen.insert(id.clone())).collect();
                for (source, manifest) in self.store.catalog.sources(&ids).await? {
                    count.add(self, source, &manifest);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(Some(count))
    }

    /// The interactions of the last days: those that rewrites of `users` have counted, and those that arrived with blocks of its
    /// inbox. Fewer while rewrites are under way or the inbox is large; a later count finds the others.
    async fn arrivals(&self) -> Result<Arrivals, StoreError> {
        let ledger = LedgerId::Users;
        let manifest = self.store.catalog.manifest(&ledger).await?;
        // The blocks that are still to be deleted are counted already.
        let counted = match manifest.clearing {
            Some(copy) => self.store.catalog.inputs(copy).await?.keys,
            None => Vec::new(),
        };
        let counted: HashSet<_> = counted.into_iter().collect();
        let listed = self.store.ledger.list_inbox(&ledger, MAX_BLOCKS, MAX_BYTES).await?;
        let after = self.store.catalog.manifest(&ledger).await?;
        let mut all = after.arrived;
        // Otherwise a rewrite may have counted any of the blocks.
        if after.version == manifest.version {
            all.add_all(&arrivals(listed.iter().filter(|block| !counted.contains(&block.key))));
        }
        Ok(all)
    }
}

/// When sources are counted again.
fn next_count(last: &Stock) -> Time {
    let sources = i64::try_from(last.all_sources()).unwrap_or(i64::MAX);
    last.at.plus(sources.saturating_mul(MILLIS_A_SOURCE).max(LEAST_MILLIS))
}

/// What a walk through all sources finds.
#[derive(Default)]
struct Count {
    stock: Stock,
    /// By day: what expired, and what was restored.
    moved: BTreeMap<Time, (Moved, Moved)>,
}

impl Count {
    fn add(&mut self, app: &Rekindle, source: Source, manifest: &Manifest) {
        self.add_bytes(manifest);
        let archived = source.archived_rows.unwrap_or(manifest.tally().rows);
        let add = |moved: &mut Moved, interactions| {
            moved.sources += 1;
            moved.interactions += interactions;
        };
        if let Some(at) = source.archived_at {
            add(&mut self.moved.entry(at.day()).or_default().0, archived);
        }
        // The source's own `restored_at` also moves when a restore finds the data available and begins its retention anew.
        let is_restored = |c: &&Copy| c.tier == Tier::Hot && c.life == Life::Live && c.inputs.is_none();
        let copies: Vec<&Copy> = manifest.copies.iter().filter(is_restored).collect();
        if let Some(at) = copies.iter().map(|copy| copy.since).max() {
            let runs = copies.iter().filter_map(|copy| manifest.run(copy.run));
            add(&mut self.moved.entry(at.day()).or_default().1, runs.map(|run| run.tally.rows).sum());
        }
        let has_data = source.has_data;
        let state = app.view(source, manifest).interaction_data.state.as_str();
        let state = if has_data { state } else { "no_data" };
        *self.stock.sources.entry(state.to_owned()).or_default() += 1;
    }

    fn add_bytes(&mut self, manifest: &Manifest) {
        for copy in &manifest.copies {
            match copy.tier {
                Tier::Hot => self.stock.hot_bytes += copy.bytes,
                Tier::Cold => self.stock.cold_bytes += copy.bytes,
            }
        }
    }
}
