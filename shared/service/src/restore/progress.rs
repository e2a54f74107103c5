//! Restore requests as the API shows them, with their progress and an estimate of the time left.

use crate::{
    app::Rekindle,
    boxed,
    page::{Listing, decode_cursor},
    problem::Problem,
};
use rekindle_domain::{
    id::{CopyId, RequestId, SourceId},
    manifest::{DataState, Manifest, Tier},
    restore::{Item, ItemState, Request, RequestState},
    source::Source,
    time::Time,
};
use rekindle_store::{StoreError, catalog::Page};
use serde::Serialize;
use std::collections::HashMap;

/// The assumed speed of a restore until its first part is done, in users a second.
pub(super) const NOMINAL_USERS_PER_SECOND: u64 = 50_000;

/// A request as the API shows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestView {
    /// Its id.
    pub id: RequestId,
    /// Where it is.
    pub state: RequestState,
    /// When it was made.
    pub created_at: Time,
    /// When its last item ended.
    pub completed_at: Option<Time>,
    /// In how many seconds it is done, at the speed so far; `None` in lists, and when it has ended.
    pub eta_seconds: Option<u64>,
    /// Who asked, where that is known.
    pub requested_by: Option<String>,
    /// The tag it was made by, if not by naming its sources.
    pub tag: Option<String>,
    /// Who gets a mail at the end.
    pub notify: Vec<String>,
    /// How many sources it restores.
    pub sources: u32,
    /// How many of them have ended, one way or the other.
    pub ended: u32,
    /// Left out of lists: `GET /v1/restores/{id}` shows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<ItemView>>,
}

/// An item as the API shows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ItemView {
    /// Which.
    pub source: SourceId,
    /// Where it is.
    pub state: ItemState,
    /// How many users are back.
    pub users_done: u64,
    /// How many users come back.
    pub users_total: u64,
    /// How many of the interactions that came back arrived after the data had expired.
    pub late_interactions: u64,
    /// When the data expires again.
    pub expires_at: Option<Time>,
    /// Why it failed, for people.
    pub error: Option<String>,
}

/// How far the restore of a source is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restoring {
    /// Which.
    pub source: SourceId,
    /// How many users are back.
    pub users_done: u64,
    /// How many users come back.
    pub users_total: u64,
    /// About how many seconds the rest takes, if nothing else is restored at the time.
    pub seconds_left: u64,
}

/// The view of a request without its items.
fn summary(request: Request) -> RequestView {
    RequestView {
        id: request.id,
        state: request.state(),
        created_at: request.created_at,
        completed_at: request.completed_at,
        eta_seconds: None,
        requested_by: request.requested_by,
        tag: request.tag,
        notify: request.notify,
        sources: request.items,
        ended: request.items.saturating_sub(request.remaining),
        items: None,
    }
}

/// The view of an item, with the users that are done of each source that is being restored.
fn item_view(item: Item, done: &HashMap<SourceId, u64>) -> ItemView {
    let users_done = match item.state {
        ItemState::Restored => item.users_total,
        ItemState::Restoring => done.get(&item.source).copied().unwrap_or(0).min(item.users_total),
        _ => 0,
    };
    ItemView {
        source: item.source,
        state: item.state,
        users_done,
        users_total: item.users_total,
        late_interactions: item.late_interactions,
        expires_at: item.expires_at,
        error: item.error,
    }
}

/// The seconds in which this many users are restored: at least one, if there are any.
pub(super) const fn seconds_for(users: u64, users_per_second: u64) -> u64 {
    users.div_ceil(users_per_second)
}

impl Rekindle {
    /// A request as it stands now.
    ///
    /// # Errors
    /// 404.
    #[boxed]
    pub async fn get_request(&self, id: RequestId) -> Result<RequestView, Problem> {
        let request = self.store.catalog.request(id).await?;
        let request = request
            .ok_or_else(|| Problem::not_found("unknown_restore", format!("no restore request {id}")))?;
        let items = self.store.catalog.items(id, None, usize::MAX).await?.items;
        let items: Vec<Item> = items.into_iter().map(|item| item.value).collect();
        let done = self.users_done(&items).await?;
        let views: Vec<ItemView> = items.into_iter().map(|item| item_view(item, &done)).collect();
        Ok(RequestView { eta_seconds: self.eta(&request, &views), items: Some(views), ..summary(request) })
    }

    /// How far the restores of these sources are. A source that is not being restored is left out. No id may be given
    /// twice.
    ///
    /// # Errors
    /// 503.
    #[boxed]
    pub async fn restoring(&self, sources: &[SourceId]) -> Result<Vec<Restoring>, Problem> {
        let mut found = self.store.catalog.sources(sources).await?;
        found.retain(|(source, _)| source.state == DataState::Restoring);
        let done = self.users_back(&found).await?;
        let progress = |(source, manifest): (Source, Manifest)| {
            let users_total = manifest.runs_without(Tier::Hot).map(|run| run.tally.users).sum();
            let users_done = done.get(&source.id).copied().unwrap_or(0).min(users_total);
            let seconds_left = seconds_for(users_total - users_done, NOMINAL_USERS_PER_SECOND).max(1);
            Restoring { source: source.id, users_done, users_total, seconds_left }
        };
        Ok(found.into_iter().map(progress).collect())
    }

    /// For each source that is being restored, the number of users in the parts that are done.
    async fn users_done(&self, items: &[Item]) -> Result<HashMap<SourceId, u64>, StoreError> {
        let restoring = items.iter().filter(|item| item.state == ItemState::Restoring);
        let restoring: Vec<SourceId> = restoring.map(|item| item.source.clone()).collect();
        self.users_back(&self.store.catalog.sources(&restoring).await?).await
    }

    /// For each of these sources, the number of users in the parts that are done.
    async fn users_back(&self, sources: &[(Source, Manifest)]) -> Result<HashMap<SourceId, u64>, StoreError> {
        let mut of: HashMap<CopyId, SourceId> = HashMap::new();
        let mut copies = Vec::new();
        for (source, manifest) in sources {
            for copy in manifest.staged_copies() {
                of.insert(copy.id, source.id.clone());
                copies.push((copy.id, copy.slots.count()));
            }
        }
        let mut users = HashMap::new();
        for (copy, part) in self.store.catalog.parts_of(&copies).await? {
            if let (Some(source), Some(done)) = (of.get(&copy), part.done) {
                *users.entry(source.clone()).or_default() += done.tally.users;
            }
        }
        Ok(users)
    }

    /// The seconds that the rest takes at the speed so far; `None` if the request has ended.
    fn eta(&self, request: &Request, items: &[ItemView]) -> Option<u64> {
        if request.remaining == 0 {
            return None;
        }
        let done: u64 = items.iter().map(|i| i.users_done).sum();
        let left =
            items.iter().filter(|i| !i.state.is_final()).map(|i| i.users_total - i.users_done).sum::<u64>();
        let elapsed = (self.now().0 - request.created_at.0).max(0) as u64;
        let millis = if done > 0 {
            (u128::from(elapsed) * u128::from(left) / u128::from(done)) as u64
        } else {
            left * 1000 / NOMINAL_USERS_PER_SECOND
        };
        Some(millis.div_ceil(1000).max(1))
    }

    /// A page of requests without their items, newest first.
    ///
    /// # Errors
    /// 400 a cursor that is not ours.
    #[boxed]
    pub async fn list_requests(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<RequestView>, Problem> {
        let after: Option<(RequestId, Time)> = cursor.map(decode_cursor).transpose()?;
        let Page { items: ids, next } = self.store.catalog.list_requests(after, limit).await?;
        let items = self.store.catalog.requests(&ids).await?;
        Ok(Listing::of(Page { items, next }.map(summary)))
    }
}
