//! Restore requests: checking, recording and cancelling them.

use super::progress::RequestView;
use crate::{
    app::Rekindle,
    boxed,
    budget::Budget,
    checks::{check_addresses, check_idempotency_key, check_tag},
    journal::Caller,
    problem::{Fact, Problem},
    retry::{until_answered, until_won},
};
use rekindle_domain::{
    id::{RequestId, SourceId},
    restore::{Item, MAX_SOURCES, Request},
    rows::fingerprint,
    segment::Referrer,
    time::DAY_MILLIS,
    words,
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, Versioned, requests::Idempotency},
    queues::RestoreWork,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long an idempotency key is remembered, in milliseconds.
const IDEMPOTENCY_MILLIS: i64 = DAY_MILLIS;

/// The most sources of a request that the audit trail names.
const LISTED_SOURCES: usize = 5;

/// How long a cancellation works before it leaves the rest to the queue, in milliseconds.
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
    #[cfg_attr(feature = "schema", schemars(with = "Option<rekindle_domain::schema::Words>"))]
    pub tag: Option<String>,
    /// Who gets a mail at the end.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::MailAddress>", length(max = rekindle_domain::restore::MAX_NOTIFY)))]
    pub notify: Vec<String>,
}

fn on(id: RequestId) -> String {
    format!("restore/{id}")
}

/// A summary of a request's sources for the audit trail. The request itself lists all of them.
fn what(input: &RestoreInput, sources: &BTreeSet<SourceId>) -> String {
    let listed: Vec<String> = sources.iter().take(LISTED_SOURCES).map(ToString::to_string).collect();
    let more = sources.len() - listed.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let tag = input.tag.as_ref().map(|tag| format!("tag {tag}: ")).unwrap_or_default();
    format!("{tag}{}{more}", listed.join(", "))
}

impl Rekindle {
    /// Records a restore request and queues it. With the idempotency key of an equal earlier request, answers with that
    /// one.
    ///
    /// # Errors
    /// 400 and 422 an invalid request; 409 the idempotency key was used for another request; 503.
    #[boxed]
    pub async fn request_restore(
        &self,
        input: &RestoreInput,
        idempotency_key: Option<&str>,
        by: &Caller,
    ) -> Result<RequestView, Problem> {
        let id = match idempotency_key {
            None => self.record_request(&self.check_restore(input).await?, input, by, None).await?,
            Some(key) => {
                check_idempotency_key(key)?;
                let body = serde_json::to_vec(input).unwrap_or_default();
                let body = format!("{:016x}-{}", fingerprint(&body), body.len());
                until_answered!(async {
                    let found = self.store.catalog.idempotency(key).await?;
                    let fresh =
                        |v: &Versioned<Idempotency>| self.now() < v.value.created_at.plus(IDEMPOTENCY_MILLIS);
                    match found {
                        Some(v) if fresh(&v) && v.value.body == body => Ok(v.value.request),
                        Some(v) if fresh(&v) => {
                            let detail =
                                "this Idempotency-Key was used for another request; choose a new one";
                            Err(Problem::conflict("idempotency_key_reused", detail).into())
                        }
                        other => {
                            // Only a new request is checked: for a repeated one the tag may be on other sources by now,
                            // or on none.
                            let sources = self.check_restore(input).await?;
                            let version = other.map_or(0, |v| v.version);
                            let under = Some((key, body.as_str(), version));
                            Ok(self.record_request(&sources, input, by, under).await?)
                        }
                    }
                })?
            }
        };
        self.get_request(id).await
    }

    pub(super) async fn check_restore(&self, input: &RestoreInput) -> Result<BTreeSet<SourceId>, Problem> {
        check_addresses(&input.notify)?;
        match (&input.sources, &input.tag) {
            (Some(sources), None) => self.check_named_sources(sources).await,
            (None, Some(tag)) => self.expand(tag).await,
            (None, None) => {
                let detail = "sources or tag is missing; say what to restore";
                Err(Problem::bad_request("missing_field", detail).at("."))
            }
            (Some(_), Some(_)) => {
                let detail = "sources and tag exclude each other; send two requests";
                Err(Problem::unprocessable("sources_or_tag", detail))
            }
        }
    }

    /// The sources that carry a tag now. The tag is expanded here rather than by the restorer: this takes one strongly
    /// consistent query, and the items are then written before the request, as those of named sources are, so that no
    /// request is ever half expanded.
    async fn expand(&self, tag: &str) -> Result<BTreeSet<SourceId>, Problem> {
        let sources = self.store.catalog.tagged(&check_tag(tag)?).await?;
        match sources.len() {
            0 => Err(Problem::unprocessable("unknown_tag", format!("no source carries the tag `{tag}`"))),
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
        let unknown: Vec<Referrer> =
            self.unknown_sources(&sources).await?.into_iter().map(Referrer::Source).collect();
        if !unknown.is_empty() {
            let names: Vec<String> = unknown.iter().map(ToString::to_string).collect();
            let detail = format!("sources names sources that are not registered: {}", names.join(", "));
            let problem = Problem::unprocessable("unknown_source", detail);
            return Err(problem.with(Fact::Unknown(unknown)).at("sources"));
        }
        Ok(sources)
    }

    /// Records the items, and then the request, which is the commit point. If the queue does not take the message,
    /// nothing is lost: the sweeper queues requests that were not begun.
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
            tag: input.tag.as_deref().map(words::cleaned),
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
            tracing::warn!(restore.id = %id, error.message = %error, "a restore was not queued; the sweeper will queue it");
        }
        Ok(id)
    }

    /// Cancels a request: detaches it from every restore that it still waits for.
    ///
    /// # Errors
    /// 404; 409 if the request has ended already.
    #[boxed]
    pub async fn cancel_request(&self, id: RequestId, by: &Caller) -> Result<RequestView, Problem> {
        let budget = Budget::until(self.now().plus(CANCEL_MILLIS));
        let outcome = until_won!(async {
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
