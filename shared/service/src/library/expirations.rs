//! The list of expirations: the sources whose data expires soon, and those whose data is kept although its time is over.

use crate::{
    app::Rekindle,
    boxed,
    page::{Listing, decode_cursor},
    problem::Problem,
};
use rekindle_domain::{
    id::{SourceId, SourceKind},
    manifest::{DataState, Manifest},
    source::{Holder, Pin, Source, Status},
    time::{DAY_MILLIS, Time},
};
use rekindle_store::{
    StoreError,
    catalog::{
        Page,
        listing::{Order, Place},
        sources::{ListCursor, SourceQuery},
    },
};
use serde::{Deserialize, Serialize};

/// How far ahead the list looks by default, in milliseconds.
const AHEAD_MILLIS: i64 = 30 * DAY_MILLIS;

/// The most stopped sources that one step reads in search of kept data.
const PAGE: usize = 100;

/// A source whose time is over by then.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Expiration {
    /// Which.
    pub source: SourceId,
    /// What people call it.
    pub name: String,
    /// When its data expires; `None`: it is kept.
    pub expires_at: Option<Time>,
    /// When its data's time is over, whether or not it is kept.
    pub due_at: Time,
    /// The active sources that keep it, and through what.
    pub held_by: Vec<Holder>,
    /// The pin on it, where one is in force.
    pub pin: Option<Pin>,
    /// How many users it has, as of the last rewrite; an upper bound.
    pub users: Option<u64>,
}

/// The place where the next page of a list begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Cursor {
    until: Time,
    stage: Stage,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// Among the sources whose data expires.
    Expiring(Place),
    /// Among the campaigns whose data is kept, after this one.
    KeptCampaigns(Option<ListCursor>),
    /// Among the Canvases whose data is kept, after this one.
    KeptCanvases(Option<ListCursor>),
}

impl Rekindle {
    /// A page of the sources whose data expires by `until`, soonest first; and after all of those, of the sources whose
    /// time is over by then but whose data is kept: their `expires_at` is null, and `held_by` or `pin` says why.
    ///
    /// The first come from an index by expiry. No index lists the kept ones: the walk goes through the index entries of
    /// all sources and reads the item of each stopped one with available data. So a page may have fewer entries than the
    /// limit, or none, and still have a `next`.
    ///
    /// # Errors
    /// 400 a cursor of another `until`; 503.
    #[boxed]
    pub async fn expirations(
        &self,
        until: Option<Time>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<Expiration>, Problem> {
        let Cursor { until, mut stage } = match cursor {
            None => {
                let until = until.unwrap_or_else(|| self.now().plus(AHEAD_MILLIS));
                Cursor { until, stage: Stage::Expiring(Place::default()) }
            }
            Some(text) => {
                let cursor: Cursor = decode_cursor(text)?;
                if until.is_some_and(|until| until != cursor.until) {
                    let detail = "cursor belongs to another `until`; send the same one with it, or none";
                    return Err(Problem::bad_request("invalid_cursor", detail));
                }
                cursor
            }
        };
        let stop_at = self.now().plus(self.settings.audience_millis);
        let mut items = Vec::new();
        loop {
            let left = limit - items.len();
            let next = match stage {
                Stage::Expiring(place) => {
                    let next = self.expiring(until, place, left, &mut items).await?;
                    Some(next.map_or(Stage::KeptCampaigns(None), Stage::Expiring))
                }
                Stage::KeptCampaigns(after) => {
                    let next = self.kept(until, SourceKind::Campaign, after, left, &mut items).await?;
                    Some(next.map_or(Stage::KeptCanvases(None), |next| Stage::KeptCampaigns(Some(next))))
                }
                Stage::KeptCanvases(after) => {
                    let next = self.kept(until, SourceKind::Canvas, after, left, &mut items).await?;
                    next.map(|next| Stage::KeptCanvases(Some(next)))
                }
            };
            match next {
                Some(next) if items.len() < limit && self.now() < stop_at => stage = next,
                _ => {
                    let next = next.map(|stage| Cursor { until, stage });
                    return Ok(Listing::of(Page { items, next }));
                }
            }
        }
    }

    async fn expiring(
        &self,
        until: Time,
        mut place: Place,
        limit: usize,
        items: &mut Vec<Expiration>,
    ) -> Result<Option<Place>, StoreError> {
        let entries = self.store.catalog.list_both(Order::ExpiresBy(until), &place, limit).await?;
        entries.iter().for_each(|entry| place.pass(entry));
        let is_last = entries.len() < limit;
        let ids: Vec<SourceId> = entries.into_iter().map(|entry| entry.source).collect();
        let found = self.store.catalog.sources(&ids).await?.into_iter();
        let due = found.filter_map(|(source, manifest)| self.expiration(source, &manifest, until));
        // The index lags by a moment. An entry that the source's item contradicts is left out.
        items.extend(due.filter(|e| e.expires_at.is_some()));
        Ok((!is_last).then_some(place))
    }

    async fn kept(
        &self,
        until: Time,
        kind: SourceKind,
        after: Option<ListCursor>,
        limit: usize,
        items: &mut Vec<Expiration>,
    ) -> Result<Option<ListCursor>, StoreError> {
        let query = SourceQuery {
            status: Some(Status::Stopped.as_str().to_owned()),
            state: Some(DataState::Available.as_str().to_owned()),
            ..SourceQuery::default()
        };
        let page =
            self.store.catalog.list_sources(kind, &query, Order::Newest, after, limit.min(PAGE)).await?;
        let ids: Vec<SourceId> = page.items.into_iter().map(|entry| entry.source).collect();
        let found = self.store.catalog.sources(&ids).await?.into_iter();
        let due = found.filter_map(|(source, manifest)| self.expiration(source, &manifest, until));
        // An entry that expires by `until` was listed in the first stage already.
        items.extend(due.filter(|e| e.expires_at.is_none_or(|at| at > until)));
        Ok(page.next)
    }

    /// The entry of a source; `None` unless it has available data whose time is over by `until`.
    fn expiration(&self, source: Source, manifest: &Manifest, until: Time) -> Option<Expiration> {
        let due_at = source.due_at(&self.settings.retention).filter(|due| *due <= until)?;
        if !source.has_data || source.state != DataState::Available {
            return None;
        }
        let view = self.view(source, manifest);
        let data = view.interaction_data;
        Some(Expiration {
            source: view.source,
            name: view.name,
            expires_at: data.expires_at,
            due_at,
            held_by: data.held_by,
            pin: data.pin,
            users: data.users,
        })
    }
}
