//! Restore requests as the API takes and shows them.

use crate::{
    Problem, Rekindle,
    keys::Caller,
    sources::{Listing, decode_cursor, encode_cursor},
    sweep::Budget,
    tags::check_tag,
};
use futures::{StreamExt, TryStreamExt, stream};
use rekindle_domain::{
    id::{LedgerId, RequestId, SourceId, clip},
    restore::{Item, ItemState, MAX_NOTIFY, MAX_SOURCES, Request, RequestState},
    rows::user_hash,
    time::Time,
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, Versioned, requests::Idempotency},
    queues::RestoreWork,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long an idempotency key is remembered.
const IDEMPOTENCY_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// How many items are looked at at once.
const CONCURRENT_ITEMS: usize = 16;
/// The longest idempotency key.
const MAX_IDEMPOTENCY_KEY: usize = 255;
/// How many sources the audit trail names of a request.
const LISTED_SOURCES: usize = 5;
/// What is assumed of a restore's speed until its first part is done, in users a second.
const NOMINAL_USERS_PER_SECOND: u64 = 50_000;
/// How long a cancellation works on before it leaves the rest to the queue.
const CANCEL_MILLIS: i64 = 10_000;

/// What somebody wants restored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(extend("oneOf" = [
        { "required": ["sources"], "properties": { "sources": { "type": "array" } } },
        { "required": ["tag"], "properties": { "tag": { "type": "string" } } },
    ]))
)]
#[serde(deny_unknown_fields)]
pub struct RestoreInput {
    /// Which sources, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<SourceId>>", length(min = 1, max = MAX_SOURCES)))]
    pub sources: Option<Vec<String>>,
    /// Or what carries this tag now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<rekindle_domain::schema::Id>"))]
    pub tag: Option<String>,
    /// Who gets a mail at the end.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::MailAddress>", length(max = MAX_NOTIFY)))]
    pub notify: Vec<String>,
}

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
    /// When the data expires again.
    pub expires_at: Option<Time>,
    /// Why it failed, for people.
    pub error: Option<String>,
}

fn on(id: RequestId) -> String {
    format!("restore/{id}")
}

/// What a request is about, for the audit trail: the request itself lists all.
fn what(input: &RestoreInput, sources: &BTreeSet<SourceId>) -> String {
    let listed: Vec<String> = sources.iter().take(LISTED_SOURCES).map(ToString::to_string).collect();
    let more = sources.len() - listed.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let tag = input.tag.as_ref().map(|tag| format!("tag {tag}: ")).unwrap_or_default();
    format!("{tag}{}{more}", listed.join(", "))
}

/// A request without its items.
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
        items: None,
    }
}

/// Whether these may be mailed: a plain check of shape, since only the mail itself can tell.
///
/// # Errors
/// 422, with the place.
pub fn check_addresses(addresses: &[String]) -> Result<(), Problem> {
    if addresses.len() > MAX_NOTIFY {
        return Err(Problem::unprocessable(
            "invalid_notify",
            format!("notify has at most {MAX_NOTIFY} addresses"),
        ));
    }
    let is_address = |a: &str| {
        let parts = a.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
        parts
            && a.len() <= 254
            && a.is_ascii()
            && !a.bytes().any(|b| b <= b' ' || b"<>,;\"()\\\x7f".contains(&b))
    };
    match addresses.iter().enumerate().find(|(_, a)| !is_address(a)) {
        Some((i, address)) => {
            let detail =
                format!("notify[{i}]: `{}` is not an e-mail address such as me@example.com", clip(address));
            Err(Problem::unprocessable("invalid_notify", detail))
        }
        None => Ok(()),
    }
}

impl Rekindle {
    /// Records a request to restore and queues it. With an idempotency key, the same request again answers the first.
    ///
    /// # Errors
    /// 409 the key was used for another request, 422 what does not fit, 503.
    pub async fn request_restore(
        &self,
        input: &RestoreInput,
        idempotency_key: Option<&str>,
        by: &Caller,
    ) -> Result<RequestView, Problem> {
        let id = match idempotency_key {
            None => self.record_request(&self.check_restore(input).await?, input, by, None).await?,
            Some(key) => {
                if !(1..=MAX_IDEMPOTENCY_KEY).contains(&key.len())
                    || !key.bytes().all(|b| b.is_ascii_graphic())
                {
                    let detail = format!(
                        "Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters"
                    );
                    return Err(Problem::unprocessable("invalid_idempotency_key", detail));
                }
                let body = serde_json::to_vec(input).unwrap_or_default();
                let body = format!("{:016x}-{}", user_hash(&body), body.len());
                let made = until_won!({
                    let found = self.store.catalog.idempotency(key).await?;
                    let fresh =
                        |v: &Versioned<Idempotency>| self.now() < v.value.created_at.plus(IDEMPOTENCY_MILLIS);
                    match found {
                        Some(v) if fresh(&v) => Ok(Ok((v.value.body == body).then_some(v.value.request))),
                        other => {
                            // Only a new request is checked: a tag may be on other sources by now, or on none.
                            let sources = match self.check_restore(input).await {
                                Ok(sources) => sources,
                                Err(problem) => return Ok(Err(problem)),
                            };
                            let version = other.map_or(0, |v| v.version);
                            let under = Some((key, body.as_str(), version));
                            self.record_request(&sources, input, by, under).await.map(|id| Ok(Some(id)))
                        }
                    }
                })?;
                made?.ok_or_else(|| {
                    let detail = "this Idempotency-Key was used for another request; choose a new one";
                    Problem::conflict("idempotency_key_reused", detail)
                })?
            }
        };
        self.get_request(id).await
    }

    async fn check_restore(&self, input: &RestoreInput) -> Result<BTreeSet<SourceId>, Problem> {
        check_addresses(&input.notify)?;
        match (&input.sources, &input.tag) {
            (Some(sources), None) => self.check_named_sources(sources).await,
            (None, Some(tag)) => self.expand(tag).await,
            (None, None) => {
                let detail = "sources or tag is missing; say what to restore";
                Err(Problem::bad_request("missing_field", detail).with("path", "."))
            }
            (Some(_), Some(_)) => {
                let detail = "sources and tag exclude each other; send two requests";
                Err(Problem::unprocessable("sources_or_tag", detail))
            }
        }
    }

    /// What carries a tag at this moment. Expanded here rather than by the restorer: it is one strongly consistent query
    /// of no more keys than a request may have items, and the items are then written before the request, as those that
    /// are named are, so that there is no request which is half expanded.
    async fn expand(&self, tag: &str) -> Result<BTreeSet<SourceId>, Problem> {
        check_tag(tag)?;
        let sources = self.store.catalog.tagged(tag).await?;
        match sources.len() {
            0 => Err(Problem::unprocessable("unknown_tag", format!("nothing carries the tag `{tag}`"))),
            1..=MAX_SOURCES => Ok(sources.into_iter().collect()),
            many => {
                let detail = format!(
                    "{many} sources carry the tag `{tag}`, and a request restores at most {MAX_SOURCES}; name them in several requests"
                );
                Err(Problem::unprocessable("tag_too_wide", detail))
            }
        }
    }

    async fn check_named_sources(&self, named: &[String]) -> Result<BTreeSet<SourceId>, Problem> {
        let invalid =
            |i: usize, why: String| Problem::unprocessable("invalid_source", format!("sources[{i}]: {why}"));
        let parsed = named.iter().enumerate().map(|(i, s)| s.parse().map_err(|why| invalid(i, why)));
        let sources: BTreeSet<SourceId> = parsed.collect::<Result<_, _>>()?;
        if sources.is_empty() || named.len() > MAX_SOURCES {
            let detail = format!("sources must name 1 to {MAX_SOURCES} sources");
            return Err(Problem::unprocessable("invalid_sources", detail));
        }
        let unknown: Vec<String> =
            self.unknown_sources(&sources).await?.iter().map(ToString::to_string).collect();
        if !unknown.is_empty() {
            let detail = format!("sources names what is not registered: {}", unknown.join(", "));
            let problem = Problem::unprocessable("unknown_source", detail);
            return Err(problem.with("unknown", unknown).with("path", "sources"));
        }
        Ok(sources)
    }

    /// Items first, then the request: that is the commit point. A queue that does not take the message is no loss: the
    /// sweeper queues what was not begun.
    async fn record_request(
        &self,
        sources: &BTreeSet<SourceId>,
        input: &RestoreInput,
        by: &Caller,
        under: Option<(&str, &str, u64)>,
    ) -> Result<RequestId, StoreError> {
        let now = self.now();
        let id = RequestId(self.new_id());
        let items: Vec<Item> = sources.iter().cloned().map(Item::queued).collect();
        let count = items.len() as u32;
        let notify: BTreeSet<String> = input.notify.iter().cloned().collect();
        let request = Request {
            id,
            version: 0,
            created_at: now,
            completed_at: None,
            requested_by: by.key(),
            tag: input.tag.clone(),
            notify: notify.into_iter().collect(),
            items: count,
            remaining: count,
            failed: 0,
            cancelled: 0,
            begun: false,
            is_cancelled: false,
            look_at: Some(now.plus(self.settings.lease_millis)),
        };
        self.store.catalog.add_items(id, &items).await?;
        let mut transaction = Transaction::new();
        transaction.put_request(&request)?;
        if let Some((key, body, version)) = under {
            let record = Idempotency { body: body.to_owned(), request: id, created_at: now };
            transaction.put_idempotency(key, &record, version, now.plus(IDEMPOTENCY_MILLIS))?;
        }
        self.audit(&mut transaction, by, "requested", &on(id), Some(what(input, sources)))?;
        self.store.catalog.commit(transaction).await?;
        let work = [RestoreWork::Begin { request: id, after: None }];
        if let Err(error) = self.store.queues.send_restores(&work).await {
            tracing::warn!(restore.id = %id, error.message = %error, "a restore was not queued; the sweeper will");
        }
        Ok(id)
    }

    /// A request as it stands now.
    ///
    /// # Errors
    /// 404.
    pub async fn get_request(&self, id: RequestId) -> Result<RequestView, Problem> {
        let request = self.store.catalog.request(id).await?;
        let request = request
            .ok_or_else(|| Problem::not_found("unknown_restore", format!("no restore request {id}")))?;
        let (items, _) = self.store.catalog.items(id, None, usize::MAX).await?;
        let views = stream::iter(items).map(|item| self.item_view(item.value)).buffered(CONCURRENT_ITEMS);
        let views: Vec<ItemView> = views.try_collect().await?;
        Ok(RequestView { eta_seconds: self.eta(&request, &views), items: Some(views), ..summary(request) })
    }

    async fn item_view(&self, item: Item) -> Result<ItemView, StoreError> {
        let users_done = match item.state {
            ItemState::Restored => item.users_total,
            ItemState::Restoring => self.users_done(&item.source).await?.min(item.users_total),
            _ => 0,
        };
        Ok(ItemView {
            source: item.source,
            state: item.state,
            users_done,
            users_total: item.users_total,
            expires_at: item.expires_at,
            error: item.error,
        })
    }

    /// How many users of a source are back already, in parts that are done.
    async fn users_done(&self, source: &SourceId) -> Result<u64, StoreError> {
        let manifest = self.store.catalog.manifest(&LedgerId::Source(source.clone())).await?;
        let mut users = 0;
        for copy in manifest.staged_copies() {
            let parts = self.store.catalog.parts(copy.id).await?;
            users += parts.iter().filter_map(|(_, p)| p.done.as_ref()).map(|d| d.tally.users).sum::<u64>();
        }
        Ok(users)
    }

    /// At the speed so far, how long the rest takes.
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
    pub async fn list_requests(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<RequestView>, Problem> {
        let after: Option<(RequestId, Time)> = cursor.map(decode_cursor).transpose()?;
        let (ids, more) = self.store.catalog.list_requests(after, limit).await?;
        let next = ids.last().filter(|_| more).map(encode_cursor);
        let mut items = Vec::with_capacity(ids.len());
        for (id, _) in ids {
            if let Some(request) = self.store.catalog.request(id).await? {
                items.push(summary(request));
            }
        }
        Ok(Listing { items, next })
    }

    /// Detaches a request from everything it still waits for.
    ///
    /// # Errors
    /// 404; 409 if it has ended already.
    pub async fn cancel_request(&self, id: RequestId, by: &Caller) -> Result<RequestView, Problem> {
        let budget = Budget::until(self.now().plus(CANCEL_MILLIS));
        let outcome = until_won!({
            let Some(request) = self.store.catalog.request(id).await? else {
                return Ok(None);
            };
            if request.remaining == 0 {
                return Ok(Some(request.is_cancelled));
            }
            let look_at = Some(self.now().plus(self.settings.lease_millis));
            let mut transaction = Transaction::new();
            transaction.put_request(&Request { is_cancelled: true, look_at, ..request })?;
            self.audit(&mut transaction, by, "cancelled", &on(id), None)?;
            self.store.catalog.commit(transaction).await?;
            self.begin(id, None, &budget).await?;
            Ok(Some(true))
        })?;
        match outcome {
            None => Err(Problem::not_found("unknown_restore", format!("no restore request {id}"))),
            Some(false) => Err(Problem::conflict(
                "restore_has_ended",
                "this restore has ended; nothing is left to cancel",
            )),
            Some(true) => self.get_request(id).await,
        }
    }
}
