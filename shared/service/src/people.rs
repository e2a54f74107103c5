//! Whose id is whose: the merges of user ids, as every room reads them.

use crate::{app::Rekindle, problem::Problem};
use rekindle_domain::{
    breaks::{self, Break},
    people::People,
};
use rekindle_store::StoreError;

impl Rekindle {
    /// The persons as they are now: every merge that was acknowledged before this call is in. Reads one small item, and the
    /// merges that this process does not know yet.
    pub(crate) async fn people(&self) -> Result<People, StoreError> {
        let known = self.people.get();
        if breaks::is(Break::TrustsOldPeople) && known.last() > 0 {
            return Ok(known);
        }
        let made = self.store.catalog.merges_made().await?.value;
        if made <= known.last() {
            return Ok(known);
        }
        let more = self.store.catalog.merges(known.last(), made).await?;
        let people = known.with(more).map_err(|gap| StoreError::missing(gap.to_string()))?;
        if people.last() < made {
            return Err(StoreError::missing(format!("merge {made} of user ids")));
        }
        self.people.put(&people);
        Ok(people)
    }

    /// The persons as of that merge, which was counted before. Reads nothing if this process knows it.
    pub(crate) async fn people_as_of(&self, number: u64) -> Result<People, StoreError> {
        let known = self.people.get();
        if number <= known.last() { Ok(known.until(number)) } else { Ok(self.people().await?.until(number)) }
    }
}

/// The persons of a further page, so that pages of one walk show a person once. They are as of the first page, which knew
/// the merges up to `seen`. If rows that are to be read were `folded` since, they are as of now.
///
/// # Errors
/// 400 if a merge since then split the walk at this place: a person would stand on two pages, or on none.
pub(crate) fn people_of_page(
    people: People,
    seen: u64,
    place: (u64, &[u8]),
    folded: u64,
) -> Result<People, Problem> {
    if folded <= seen {
        return Ok(people.until(seen));
    }
    if people.splits(seen, place) {
        let detail = "users were merged since the first page; ask again without a cursor";
        return Err(Problem::bad_request("invalid_cursor", detail));
    }
    Ok(people)
}
