//! Merging user ids: two ids become one person.

use crate::{
    app::Rekindle,
    boxed,
    journal::Caller,
    page::{Listing, decode_cursor},
    problem::Problem,
    retry::until_answered,
};
use rekindle_domain::{
    interaction::check_user_id,
    people::{MAX_IDS, MAX_MERGES, MergedUser, People, Refused, Verdict},
    time::Time,
};
use rekindle_store::{
    StoreError,
    catalog::{Page, Transaction},
};
use serde::{Deserialize, Serialize};

/// The most merges of one call: a transaction writes them all.
const MAX_PAIRS: usize = 50;

/// A merge that is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MergeInput {
    /// The id that names no person of its own any more.
    #[cfg_attr(feature = "schema", schemars(with = "rekindle_domain::schema::UserId"))]
    pub from: String,
    /// The id of the person that it belongs to from now on.
    #[cfg_attr(feature = "schema", schemars(with = "rekindle_domain::schema::UserId"))]
    pub into: String,
}

/// Merges that are asked for.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MergesInput {
    /// They are made one after the other, in this order.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::schema::MergePair>", length(min = 1, max = MAX_PAIRS)))]
    pub merges: Vec<MergeInput>,
}

/// A merge that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MergeView {
    /// Counts merges, from 1, without a gap.
    pub number: u64,
    /// The id that names no person of its own any more.
    pub from: String,
    /// The id that it was merged into.
    pub into: String,
    /// The id of the person as of now: `into`, unless that was merged since.
    pub user_id: String,
    /// When it was made.
    pub at: Time,
    /// The caller that asked for it: `key/ID`, or `api`.
    pub by: String,
}

impl MergeView {
    fn of(merge: &MergedUser, people: &People) -> Self {
        Self {
            number: merge.number,
            from: merge.from.clone().into(),
            into: merge.into.clone().into(),
            user_id: people.person(&merge.into).to_owned(),
            at: merge.at,
            by: merge.by.clone(),
        }
    }
}

/// The outcomes, in the order in which the merges were asked for.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MergesAnswer<P> {
    /// One for each.
    pub items: Vec<MergeItem<P>>,
}

/// The outcome of one merge: the merge, or a problem.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MergeItem<P> {
    /// As it was asked for.
    pub from: String,
    /// As it was asked for.
    pub into: String,
    /// The status that this merge alone would answer.
    pub status: u16,
    /// The merge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<MergeView>,
    /// Why it was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<P>,
}

/// The problem for a merge that is refused.
fn refused(pair: &MergeInput, why: Refused) -> Problem {
    let MergeInput { from, into } = pair;
    let (code, detail) = match why {
        Refused::SameUser => {
            let detail = "from and into are the same id; name the id to merge, and the id that it belongs to";
            return Problem::unprocessable("same_user", detail).at("into");
        }
        Refused::AlreadyMerged(person) => (
            "already_merged",
            format!(
                "user {from} belongs to {person} already; to merge the two persons, merge {person} into {into}"
            ),
        ),
        Refused::Cycle => (
            "merge_cycle",
            format!("user {into} belongs to {from} already: they are one person, whose id is {from}"),
        ),
        Refused::TooManyIds => (
            "too_many_ids",
            format!(
                "the person would have more than {MAX_IDS} user ids, which is the most; check that these are ids of one person"
            ),
        ),
        Refused::TooManyMerges => {
            ("too_many_merges", format!("there are {MAX_MERGES} merges, which is the most"))
        }
    };
    Problem::conflict(code, detail)
}

/// # Errors
/// 422 an id that no interaction could have.
fn check_ids(pair: &MergeInput) -> Result<(), Problem> {
    for (field, id) in [("from", &pair.from), ("into", &pair.into)] {
        check_user_id(id)
            .map_err(|d| Problem::unprocessable("invalid_user_id", format!("{field} {d}")).at(field))?;
    }
    Ok(())
}

impl Rekindle {
    /// Merges user ids, one pair after the other: from the answer on, all that arrived and will arrive under `from` belongs
    /// to the person of `into`. The outcome of a pair is the merge, or why it was refused; one that was made before is
    /// answered as it was. All that are let in are written together.
    ///
    /// # Errors
    /// 422 no pair, or too many; 503.
    #[boxed]
    pub async fn merge_users(
        &self,
        pairs: &[MergeInput],
        by: &Caller,
    ) -> Result<Vec<Result<MergeView, Problem>>, Problem> {
        if !(1..=MAX_PAIRS).contains(&pairs.len()) {
            let detail = format!("merges must have 1 to {MAX_PAIRS} entries; this has {}", pairs.len());
            return Err(Problem::unprocessable("invalid_merges", detail).at("merges"));
        }
        until_answered!(async {
            let made = self.store.catalog.merges_made().await?;
            let mut people = self.people().await?;
            if people.last() != made.value {
                return Err(StoreError::Conflict.into());
            }
            let (now, before) = (self.now(), people.last());
            let judge = |pair: &MergeInput| {
                check_ids(pair)?;
                match people.judge(&pair.from, &pair.into).map_err(|why| refused(pair, why))? {
                    Verdict::Known(number) => Ok(number),
                    Verdict::New => Ok(people.push(&pair.from, &pair.into, now, by.name()).number),
                }
            };
            let outcomes: Vec<Result<u64, Problem>> = pairs.iter().map(judge).collect();
            let new = &people.merges()[before as usize..];
            if let (Some(first), Some(last)) = (new.first(), new.last()) {
                let mut transaction = Transaction::new();
                transaction.put_merges_made(&made, new.len())?;
                new.iter().try_for_each(|merge| transaction.add_merge(merge))?;
                // Without the ids: the audit trail is never deleted.
                let detail = format!("merges {} to {}", first.number, last.number);
                self.audit(&mut transaction, by, "merged", "users", Some(detail))?;
                self.store.catalog.commit(transaction).await?;
                self.people.put(&people);
            }
            let view = |number: u64| MergeView::of(&people.merges()[number as usize - 1], &people);
            Ok(outcomes.into_iter().map(|outcome| outcome.map(view)).collect())
        })
    }

    /// A page of merges, oldest first: those after the one of that number.
    ///
    /// # Errors
    /// 400 a cursor that is not ours; 503.
    #[boxed]
    pub async fn list_merges(
        &self,
        after: u64,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<MergeView>, Problem> {
        let after: u64 = cursor.map(decode_cursor).transpose()?.unwrap_or(after);
        let people = self.people().await?;
        let later = people.merges().iter().skip(after as usize);
        let items = later.take(limit).map(|merge| MergeView::of(merge, &people)).collect();
        let has_more = after.saturating_add(limit as u64) < people.last();
        Ok(Listing::of(Page::new(items, has_more, |last: &MergeView| last.number)))
    }
}
