//! A user's profile: the interactions of one user with all campaigns and Canvases, for a marketer.

use crate::{
    app::Rekindle,
    boxed,
    ledger::LedgerView,
    page::{decode_cursor, encode_cursor},
    problem::{DAMAGED, Problem},
    retry::read_again,
};
use futures::{StreamExt, stream};
use rekindle_domain::{
    facet::{Channel, Facet, Kind},
    filter::{Filter, Known, Program, Truth},
    id::{LedgerId, SourceId, SourceKind},
    interaction::check_user_id,
    manifest::DataState,
    people::{People, UserId},
    rows::Row,
    source::Source,
    time::Time,
};
use rekindle_store::{
    StoreError,
    catalog::listing::{Order, Place},
};
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// The number of ledgers that are read at once: the inbox of each is in memory.
const CONCURRENT_LEDGERS: usize = 6;

/// A question for a page of a user's profile.
#[derive(Clone, Debug, Default)]
pub struct ProfileRequest<'a> {
    /// The user, under any of the ids that the person has.
    pub user_id: &'a str,
    /// Where the page begins; `None`: the first page.
    pub cursor: Option<&'a str>,
    /// The most sources that the page looks at.
    pub limit: usize,
    /// Whether data that is not available is read from the archive. Nothing is restored by it, and it takes longer.
    pub reads_archive: bool,
}

/// A page of a user's profile.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserProfile {
    /// The user: of the ids that were merged, the person's.
    pub user_id: String,
    /// The other ids that were merged into it, in the order of their merges; on the first page, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub merged: Vec<String>,
    /// Whether what holds over all sources could be read; on the first page. `available`, or `damaged` where what is stored
    /// did not verify: then the fields that hold over all sources are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("enum" = ["available", "damaged"])))]
    pub interaction_data: Option<SeenState>,
    /// What holds over all sources; on the first page.
    #[serde(flatten)]
    pub overall: Option<Overall>,
    /// The campaigns the user is known in, and those of which that cannot be said.
    pub campaigns_received: Vec<Seen>,
    /// The Canvases, likewise.
    pub canvases_received: Vec<Seen>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// What the `users` ledger knows of a user: it never expires.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Overall {
    /// Whether any interaction of the user ever arrived.
    pub known: bool,
    /// The last receipt on any channel.
    pub last_received: Option<Time>,
    /// The last open or click, by a person or a machine.
    pub last_engaged: Option<Time>,
    /// The last hard bounce; `None`: the filter `hard_bounced` does not hold.
    pub hard_bounced: Option<Time>,
    /// When a message was last marked as spam; `None`: the filter `marked_spam` does not hold.
    pub marked_spam: Option<Time>,
    /// The channels for which the filter `unsubscribed` holds.
    pub unsubscribed: Vec<Channel>,
}

/// A source in a user's profile.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Seen {
    /// Which.
    pub source: SourceId,
    /// What people call it.
    pub name: String,
    /// `available`; or why nothing is known of the user: `expired`, `restoring`, or `damaged` where what is stored did
    /// not verify.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("enum" = ["available", "expired", "restoring", "damaged"])))]
    pub interaction_data: SeenState,
    /// What is known of the user there, if its data was read: where it is not available, from the archive.
    #[serde(flatten)]
    pub facts: Option<SourceFacts>,
    /// Each interaction by itself, the last one first. The API answers the facts alone; its export has the rows.
    #[serde(skip)]
    pub interactions: Vec<SeenInteraction>,
}

/// A kind of interaction of a user with a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenInteraction {
    /// The kind, with the channel, variant, step and link.
    pub facet: Facet,
    /// The first time.
    pub first_at: Time,
    /// The last time.
    pub last_at: Time,
}

/// The state of a source's data in a user's profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenState {
    /// The data was read.
    Available,
    /// The data is in the archive.
    Expired,
    /// A restore is under way.
    Restoring,
    /// The stored data did not verify.
    Damaged,
}

impl From<DataState> for SeenState {
    fn from(state: DataState) -> Self {
        match state {
            DataState::Available => Self::Available,
            DataState::Expired => Self::Expired,
            DataState::Restoring => Self::Restoring,
        }
    }
}

/// What a source knows of a user.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SourceFacts {
    /// The first receipt.
    pub first_received: Option<Time>,
    /// The last receipt.
    pub last_received: Option<Time>,
    /// The last open or click, by a person or a machine.
    pub last_engaged: Option<Time>,
    /// The last open by a person.
    pub last_opened: Option<Time>,
    /// The last open by a machine.
    pub last_machine_opened: Option<Time>,
    /// The last click by a person.
    pub last_clicked: Option<Time>,
    /// The last click by a machine.
    pub last_machine_clicked: Option<Time>,
    /// Of a campaign: the variant of the last receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Of a Canvas: the variation of the last receipt, or else of the last entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variation: Option<String>,
    /// Of a Canvas: the steps received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps_received: Option<BTreeSet<String>>,
    /// Of a Canvas: whether the user entered it; who is in control did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entered: Option<bool>,
    /// Whether the user is in the control group.
    pub in_control: bool,
    /// Whether the user converted, as the filter `converted` answers it: the primary conversion, not of the control
    /// group, and of a campaign not before the last receipt.
    pub converted: bool,
    /// When the primary conversion last happened, whatever `converted` says.
    pub last_converted: Option<Time>,
}

impl Rekindle {
    /// A page of a user's profile. It looks at `limit` sources, last updated first; at fewer if the time is up, but at
    /// one at least. A page may have fewer entries, or none, and still have a `next`: most sources do not know the user.
    /// An unknown user gets an answer too, with `known: false`, so that a profile page can list expired sources even for
    /// such a user. Where the archive is read, a source whose data is not available stands in the page only if it knows the
    /// user.
    ///
    /// # Errors
    /// 400 a cursor that is not ours; 422 an invalid user id; 503.
    #[boxed]
    pub async fn user_profile(&self, request: &ProfileRequest<'_>) -> Result<UserProfile, Problem> {
        let ProfileRequest { user_id, cursor, limit, reads_archive } = *request;
        check_user_id(user_id)
            .map_err(|d| Problem::unprocessable("invalid_user_id", format!("user_id {d}")))?;
        let until = self.now().plus(self.settings.audience_millis);
        let people = self.people().await?;
        let (mut place, interaction_data, overall) = match cursor {
            Some(text) => (decode_cursor(text)?, None, None),
            None => match read_again!(async { Ok(self.overall(user_id, &people).await?) }) {
                Ok(overall) => (Place::default(), Some(SeenState::Available), Some(overall)),
                // A damaged ledger of all users must not hide the sources.
                Err(problem) if problem.code == DAMAGED => (Place::default(), Some(SeenState::Damaged), None),
                Err(problem) => return Err(problem),
            },
        };
        let entries = self.store.catalog.list_both(Order::Newest, &place, limit).await?;
        let (mut left, is_last) = (entries.len(), entries.len() < limit);
        let ids: Vec<SourceId> = entries.iter().map(|entry| entry.source.clone()).collect();
        let sources = self.store.catalog.sources_alone(&ids).await?.into_iter();
        let mut sources: HashMap<SourceId, Source> = sources.map(|s| (s.id.clone(), s)).collect();
        let looks = entries.into_iter().map(|entry| {
            let source = sources.remove(&entry.source);
            let people = &people;
            async move { (entry, self.seen(source, user_id, people, reads_archive).await) }
        });
        let mut looks = stream::iter(looks).buffered(CONCURRENT_LEDGERS);
        let person = people.person(user_id);
        let mut merged = if cursor.is_none() { people.others(person) } else { Vec::new() };
        merged.sort_unstable_by_key(|merge| merge.number);
        let mut page = UserProfile {
            user_id: person.to_owned(),
            merged: merged.into_iter().map(|merge| merge.from.clone().into_string()).collect(),
            interaction_data,
            overall,
            campaigns_received: Vec::new(),
            canvases_received: Vec::new(),
            next: None,
        };
        while let Some((entry, seen)) = looks.next().await {
            match seen? {
                Some(seen) if seen.source.kind() == SourceKind::Campaign => {
                    page.campaigns_received.push(seen)
                }
                Some(seen) => page.canvases_received.push(seen),
                None => {}
            }
            place.pass(&entry);
            left -= 1;
            if self.now() >= until {
                break;
            }
        }
        page.next = (left > 0 || !is_last).then(|| encode_cursor(&place));
        Ok(page)
    }

    async fn overall(&self, user_id: &str, people: &People) -> Result<Overall, StoreError> {
        let mut overall = Overall::default();
        let ids = people.ids(user_id);
        let Some(view) = LedgerView::open(&self.store, &LedgerId::Users, Some(&ids)).await? else {
            return Ok(overall);
        };
        let mut rows = Vec::new();
        each_row(&view, &ids, people, |facet, row| {
            overall.known = true;
            rows.push((facet.clone(), row));
            let latest = match facet.kind {
                Kind::Received => &mut overall.last_received,
                Kind::Opened | Kind::Clicked => &mut overall.last_engaged,
                Kind::HardBounced => &mut overall.hard_bounced,
                Kind::Complained => &mut overall.marked_spam,
                _ => return,
            };
            *latest = (*latest).max(Some(Time(row.last_at)));
        })
        .await?;
        overall.hard_bounced =
            overall.hard_bounced.filter(|_| holds(&Filter::HardBounced { channel: None }, &rows));
        overall.marked_spam = overall.marked_spam.filter(|_| holds(&Filter::MarkedSpam, &rows));
        let is_off = |channel: &Channel| holds(&Filter::Unsubscribed { channel: Some(*channel) }, &rows);
        overall.unsubscribed = Channel::ALL.into_iter().filter(is_off).collect();
        Ok(overall)
    }

    /// The source as the profile shows it; `None` if it does not know the user.
    async fn seen(
        &self,
        source: Option<Source>,
        user_id: &str,
        people: &People,
        reads_archive: bool,
    ) -> Result<Option<Seen>, Problem> {
        let Some(source) = source.filter(|s| s.has_data) else { return Ok(None) };
        let seen = |interaction_data: SeenState| Seen {
            source: source.id.clone(),
            name: source.name.clone(),
            interaction_data,
            facts: None,
            interactions: Vec::new(),
        };
        if source.state != DataState::Available && !reads_archive {
            return Ok(Some(seen(source.state.into())));
        }
        let rows = read_again!(async {
            let ledger = LedgerId::Source(source.id.clone());
            let ids = people.ids(user_id);
            let view = if reads_archive {
                Some(LedgerView::open_archived(&self.store, &ledger, Some(&ids)).await?)
            } else {
                LedgerView::open(&self.store, &ledger, Some(&ids)).await?
            };
            let Some(view) = view else { return Ok(None) };
            let mut rows = Vec::new();
            each_row(&view, &ids, people, |facet, row| rows.push((facet.clone(), row))).await?;
            Ok(Some(rows))
        });
        let rows = match rows {
            // A damaged source must not hide the others.
            Err(problem) if problem.code == DAMAGED => return Ok(Some(seen(SeenState::Damaged))),
            Err(problem) => return Err(problem),
            // The source expired after it was listed.
            Ok(None) => return Ok(Some(seen(SeenState::Expired))),
            Ok(Some(rows)) => rows,
        };
        Ok(facts(source.id.kind(), &rows).map(|facts| Seen {
            facts: Some(facts),
            interactions: interactions(rows),
            ..seen(source.state.into())
        }))
    }
}

/// Each facet once, with its first and its last time, the last one first.
fn interactions(rows: Vec<(Facet, Row)>) -> Vec<SeenInteraction> {
    let mut by_facet: BTreeMap<Facet, (i64, i64)> = BTreeMap::new();
    for (facet, row) in rows {
        let times = by_facet.entry(facet).or_insert((row.first_at, row.last_at));
        *times = (times.0.min(row.first_at), times.1.max(row.last_at));
    }
    let each = by_facet.into_iter().map(|(facet, (first, last))| SeenInteraction {
        facet,
        first_at: Time(first),
        last_at: Time(last),
    });
    let mut all: Vec<SeenInteraction> = each.collect();
    all.sort_by_key(|seen| Reverse(seen.last_at));
    all
}

/// Calls `each` with every row of a person in a ledger. The same facet may come from the inbox and from several runs.
async fn each_row(
    view: &LedgerView,
    ids: &[UserId],
    people: &People,
    mut each: impl FnMut(&Facet, Row),
) -> Result<(), StoreError> {
    for batch in view.look_up(ids, people).await? {
        for user in batch.iter() {
            user.rows.iter().for_each(|row| each(&batch.facets[row.facet as usize], *row));
        }
    }
    Ok(())
}

/// Whether a filter that asks only the ledger of all users holds for the user with these rows there.
fn holds(filter: &Filter, rows: &[(Facet, Row)]) -> bool {
    let program = Program::compile(filter, &Known::default());
    let facets: Vec<Facet> = rows.iter().map(|(facet, _)| facet.clone()).collect();
    let numbered: Vec<Row> = (rows.iter().zip(0..)).map(|((_, row), facet)| Row { facet, ..*row }).collect();
    let mut facts = program.blank();
    facts.learn(&numbered, &program.facet_atoms(0, &facets));
    program.answer(&facts) == Truth::Yes
}

/// The facts that a user's rows in a source add up to; `None` without rows.
pub(super) fn facts(kind: SourceKind, rows: &[(Facet, Row)]) -> Option<SourceFacts> {
    let is_canvas = kind == SourceKind::Canvas;
    let of = |wanted: Kind| rows.iter().filter(move |(facet, _)| facet.kind == wanted);
    let last = |wanted: Kind, is_wanted: &dyn Fn(&Facet) -> bool| {
        of(wanted).filter(|(facet, _)| is_wanted(facet)).map(|(_, row)| Time(row.last_at)).max()
    };
    let any = |_: &Facet| true;
    let variant = |wanted: Kind| {
        let latest = of(wanted).max_by_key(|(_, row)| row.last_at);
        latest.and_then(|(facet, _)| facet.variant.as_deref().map(str::to_owned))
    };
    let by = |kind: Kind| (last(kind, &|f| !f.machine), last(kind, &|f| f.machine));
    let ((opened, machine_opened), (clicked, machine_clicked)) = (by(Kind::Opened), by(Kind::Clicked));
    let received = last(Kind::Received, &any);
    let converted = last(Kind::Converted, &|f| f.conversion == 0);
    // As the filter has it: in the same second, a receipt does not undo the conversion.
    let second = |at: Option<Time>| at.map(|at| at.0.div_euclid(1_000));
    let is_undone = second(received) > second(converted);
    let in_control = of(Kind::Control).next().is_some();
    let steps = of(Kind::Received).filter_map(|(facet, _)| facet.step.as_deref().map(str::to_owned));
    (!rows.is_empty()).then(|| SourceFacts {
        first_received: of(Kind::Received).map(|(_, row)| Time(row.first_at)).min(),
        last_received: received,
        last_engaged: opened.max(machine_opened).max(clicked).max(machine_clicked),
        last_opened: opened,
        last_machine_opened: machine_opened,
        last_clicked: clicked,
        last_machine_clicked: machine_clicked,
        variant: variant(Kind::Received).filter(|_| !is_canvas),
        variation: variant(Kind::Received).or_else(|| variant(Kind::Entered)).filter(|_| is_canvas),
        steps_received: is_canvas.then(|| steps.collect()),
        entered: is_canvas.then(|| in_control || of(Kind::Entered).next().is_some()),
        in_control,
        converted: converted.is_some() && !in_control && (is_canvas || !is_undone),
        last_converted: converted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: Kind, variant: &str, step: &str, at: i64) -> (Facet, Row) {
        let text = |t: &str| Some(t.into()).filter(|_| !t.is_empty());
        let facet = Facet {
            channel: Some(Channel::Email),
            variant: text(variant),
            step: text(step),
            ..Facet::of(kind)
        };
        (facet, Row { facet: 0, first_at: at, last_at: at })
    }

    #[test]
    fn a_canvas_has_steps_a_variation_and_entries_and_converts_ever() {
        let rows = [
            row(Kind::Entered, "V1", "", 1),
            row(Kind::Received, "V2", "s2", 5),
            row(Kind::Received, "V1", "s1", 9_000),
            row(Kind::Converted, "", "", 6),
        ];
        let canvas = facts(SourceKind::Canvas, &rows).unwrap();
        assert_eq!((canvas.variation.as_deref(), canvas.variant), (Some("V1"), None));
        assert_eq!(canvas.steps_received, Some(["s1", "s2"].map(str::to_owned).into()));
        assert_eq!((canvas.entered, canvas.converted), (Some(true), true));
        assert_eq!((canvas.first_received, canvas.last_received), (Some(Time(5)), Some(Time(9_000))));
        let entered = facts(SourceKind::Canvas, &rows[..1]).unwrap();
        assert_eq!((entered.variation.as_deref(), entered.last_received), (Some("V1"), None));
        let control = facts(SourceKind::Canvas, &[row(Kind::Control, "", "", 1)]).unwrap();
        assert_eq!((control.entered, control.in_control), (Some(true), true));
        // A campaign's conversion is on its most recent message.
        let campaign = facts(SourceKind::Campaign, &rows).unwrap();
        assert_eq!((campaign.converted, campaign.last_converted), (false, Some(Time(6))));
        assert_eq!(
            (campaign.variant.as_deref(), campaign.entered, campaign.steps_received),
            (Some("V1"), None, None)
        );
        assert_eq!(facts(SourceKind::Canvas, &[]), None);
    }

    #[test]
    fn an_interaction_that_lies_in_several_places_is_one_and_the_last_comes_first() {
        let rows = vec![
            row(Kind::Received, "A", "", 5),
            row(Kind::Received, "B", "", 7),
            row(Kind::Received, "A", "", 9),
            row(Kind::Received, "A", "", 3),
        ];
        let times: Vec<_> = (interactions(rows).into_iter())
            .map(|seen| (seen.facet.variant.unwrap().into_string(), seen.first_at.0, seen.last_at.0))
            .collect();
        assert_eq!(times, [("A".to_owned(), 3, 9), ("B".to_owned(), 7, 7)]);
    }
}
