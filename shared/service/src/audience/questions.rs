//! Questions about an audience: the number of its users, the users, and whether one user is in it.

use super::{
    prepare::{Asked, IfExpired, Prepared},
    walk::{Counting, Paging},
};
use crate::{app::Rekindle, boxed, library::UnknownNames, problem::Problem, retry::read_again};
use rekindle_domain::{
    filter::{Tallied, Truth},
    id::SourceId,
    interaction::check_user_id,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most members of one page.
const MAX_MEMBERS: usize = 50_000;

const DEFAULT_MEMBERS: usize = 1_000;

/// A question about an audience.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CountRequest {
    /// The filter.
    #[cfg_attr(feature = "schema", schemars(with = "rekindle_domain::filter::Filter"))]
    pub filter: Value,
    /// What to do about expired data.
    #[serde(default)]
    pub expired: IfExpired,
    /// Where a partial answer goes on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// What to do about tags that no source carries, and variants, variations and steps that their source does not declare.
    #[serde(default)]
    pub unknown_names: UnknownNames,
}

/// A question for a page of members.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MembersRequest {
    /// The filter.
    #[cfg_attr(feature = "schema", schemars(with = "rekindle_domain::filter::Filter"))]
    pub filter: Value,
    /// What to do about expired data.
    #[serde(default)]
    pub expired: IfExpired,
    /// How many at most.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_MEMBERS), extend("default" = DEFAULT_MEMBERS)))]
    pub limit: Option<usize>,
    /// Where the page begins.
    #[serde(default)]
    pub cursor: Option<String>,
    /// What to do about tags that no source carries, and variants, variations and steps that their source does not declare.
    #[serde(default)]
    pub unknown_names: UnknownNames,
}

/// A question about one user.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MatchRequest {
    /// The filter.
    #[cfg_attr(feature = "schema", schemars(with = "rekindle_domain::filter::Filter"))]
    pub filter: Value,
    /// What to do about expired data.
    #[serde(default)]
    pub expired: IfExpired,
    /// The user.
    #[cfg_attr(feature = "schema", schemars(with = "rekindle_domain::schema::UserId"))]
    pub user_id: String,
    /// What to do about tags that no source carries, and variants, variations and steps that their source does not declare.
    #[serde(default)]
    pub unknown_names: UnknownNames,
}

/// How many match.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Count {
    /// Users who certainly match.
    pub count: u64,
    /// Users of whom it cannot be said while data is expired.
    pub unknown: u64,
    /// The sources whose data is not available.
    pub expired: Vec<SourceId>,
    /// Where to go on if the time ended first; the counts are of what was looked at.
    pub next: Option<String>,
}

/// A page of members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Members {
    /// User ids, by user hash, then id.
    pub items: Vec<String>,
    /// The sources whose data is not available.
    pub expired: Vec<SourceId>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// Whether a user matches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Match {
    /// `yes`, `no` or `unknown`.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("enum" = ["yes", "no", "unknown"])))]
    #[serde(rename = "match")]
    pub answer: Truth,
    /// The sources whose data is not available.
    pub expired: Vec<SourceId>,
}

impl Rekindle {
    /// The number of users that match a filter.
    ///
    /// # Errors
    /// 400 a malformed request; 409 expired data; 422 an invalid filter; 503.
    #[boxed]
    pub async fn count(&self, request: &CountRequest) -> Result<Count, Problem> {
        let asked = Asked {
            filter: &request.filter,
            if_expired: request.expired,
            unknown_names: request.unknown_names,
        };
        read_again!(async {
            let (prepared, from) = self.prepare(&asked, request.cursor.as_deref(), None).await?;
            let mut counting = Counting { presence: prepared.program.presence(), found: Tallied::default() };
            let next = self.walk(&prepared, from, &mut counting).await?;
            let Tallied { yes: count, unknown } = counting.found;
            Ok(Count { count, unknown, expired: prepared.unavailable.into_iter().collect(), next })
        })
    }

    /// A page of the users that match a filter.
    ///
    /// # Errors
    /// As [`Rekindle::count`].
    #[boxed]
    pub async fn members(&self, request: &MembersRequest) -> Result<Members, Problem> {
        let limit = request.limit.unwrap_or(DEFAULT_MEMBERS);
        if !(1..=MAX_MEMBERS).contains(&limit) {
            return Err(Problem::unprocessable("invalid_limit", format!("limit must be 1 to {MAX_MEMBERS}")));
        }
        let asked = Asked {
            filter: &request.filter,
            if_expired: request.expired,
            unknown_names: request.unknown_names,
        };
        read_again!(async {
            let (prepared, from) = self.prepare(&asked, request.cursor.as_deref(), None).await?;
            let mut paging = Paging { limit, items: Vec::new(), bytes: 0 };
            let next = self.walk(&prepared, from, &mut paging).await?;
            Ok(Members { items: paging.items, expired: prepared.unavailable.into_iter().collect(), next })
        })
    }

    /// Whether one user matches a filter. Reads the inboxes, and a block of each run.
    ///
    /// # Errors
    /// As [`Rekindle::count`].
    #[boxed]
    pub async fn matches(&self, request: &MatchRequest) -> Result<Match, Problem> {
        let id = &request.user_id;
        check_user_id(id).map_err(|d| Problem::unprocessable("invalid_user_id", format!("user_id {d}")))?;
        let asked = Asked {
            filter: &request.filter,
            if_expired: request.expired,
            unknown_names: request.unknown_names,
        };
        read_again!(async {
            let (Prepared { program, views, people, unavailable }, _) =
                self.prepare(&asked, None, Some(id)).await?;
            let ids = people.ids(id);
            let mut facts = program.blank();
            let mut is_known = false;
            for (ledger, view) in views.iter().enumerate() {
                for batch in view.look_up(&ids, &people).await? {
                    let atoms = program.facet_atoms(ledger, &batch.facets);
                    for user in batch.iter() {
                        is_known = true;
                        facts.learn(user.rows, &atoms);
                    }
                }
            }
            // Even a negated filter matches only users that some ledger knows.
            let answer = match program.answer(&facts) {
                _ if !is_known => Truth::No,
                answer => answer,
            };
            Ok(Match { answer, expired: unavailable.into_iter().collect() })
        })
    }
}
