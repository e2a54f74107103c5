//! Paging through a list whose entries move while it is paged.
//!
//! A list is shown in its order, such as the last change first. A thing that is edited between two pages may move to a
//! place that was passed already, and would then stand on no page. So the end of the list is followed by what changed since
//! its first page, the last change last: a thing that is edited again moves to the end of that. It may stand on two pages,
//! and never on none.

use rekindle_domain::time::Time;
use rekindle_store::catalog::listing::Order;
use serde::{Deserialize, Serialize};

/// How long a change may take to show in the index, in milliseconds. The pages before may have missed a change as old as that.
const LAG_MILLIS: i64 = 60_000;

/// The place where the next page of a list begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Paging<P> {
    /// What changed at this time or later is shown at the end.
    since: Time,
    /// Among what changed since, and no longer in the order of the list.
    at_end: bool,
    /// After this entry; `None`: from the first on.
    after: Option<P>,
}

impl<P: Clone> Paging<P> {
    /// The first page, asked for at `now`.
    pub(super) const fn begin(now: Time) -> Self {
        Self { since: now, at_end: false, after: None }
    }

    /// The order in which the next entries are read, and the entry after which they stand. `order` is that of the list.
    pub(super) fn place(&self, order: Order) -> (Order, Option<P>) {
        (if self.at_end { Order::UpdatedFrom(self.since) } else { order }, self.after.clone())
    }

    /// The next place. `next` is the place where the entries that were just read go on, if they do. `newest` is the time
    /// of the first entry, where the list shows the last change first: later changes were not shown yet. `None`: the list
    /// ends here.
    pub(super) fn next(mut self, next: Option<P>, newest: Option<Time>) -> Option<Self> {
        let is_first = !self.at_end && self.after.is_none();
        if let Some(newest) = newest.filter(|_| is_first) {
            let lagging = newest.plus(1).max(self.since.plus(-LAG_MILLIS));
            self.since = self.since.min(lagging);
        }
        match next {
            Some(after) => Some(Self { after: Some(after), ..self }),
            // A list of one page has not changed meanwhile.
            None if self.at_end || is_first => None,
            None => Some(Self { at_end: true, after: None, ..self }),
        }
    }
}
