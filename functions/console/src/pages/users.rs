//! Users: what one user received and did, by campaign and Canvas. What has expired is unknown, until somebody reads the archive
//! or restores it.

use super::{OrRefused, Refused, Viewer, sources::hidden};
use crate::{
    html::{Page, count, number, time},
    words,
};
use axum::{Router, extract::State, routing::get};
use http::{Method, Uri};
use maud::{Markup, html};
use rekindle_domain::{
    id::{SourceId, SourceKind},
    key::Scope::Read,
};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Rekindle,
    audience::{Overall, ProfileRequest, Seen, SeenInteraction, SeenState, SourceFacts, UserProfile},
};
use std::cmp::Reverse;

pub(super) const ROUTES: &[Route] = &[(Method::GET, "/console/users", Read)];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new().route("/console/users", get(show))
}

/// How many campaigns and Canvases a page looks at.
const LOOKS: usize = 100;

/// How many interactions of a user with one source are shown; the source's export has all.
const SHOWN: usize = 100;

/// The question of a page. A user id is taken exactly as it is typed: blanks at its ends count.
#[derive(Default)]
struct Asked {
    user_id: String,
    cursor: Option<String>,
    reads_archive: bool,
}

impl Asked {
    fn of(query: &str) -> Self {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "user_id" => asked.user_id = value.into_owned(),
                "cursor" => asked.cursor = Some(value.into_owned()).filter(|cursor| !cursor.is_empty()),
                "archive" => asked.reads_archive = !value.is_empty(),
                _ => {}
            }
        }
        asked
    }

    fn address(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("user_id", &self.user_id);
        if self.reads_archive {
            query.append_pair("archive", "read");
        }
        if let Some(cursor) = &self.cursor {
            query.append_pair("cursor", cursor);
        }
        format!("/console/users?{}", query.finish())
    }

    /// The first page about another user.
    fn about(user_id: &str) -> String {
        Self { user_id: user_id.to_owned(), ..Self::default() }.address()
    }

    /// The page that begins at another place, or reads the archive or not.
    fn with(&self, cursor: Option<String>, reads_archive: bool) -> String {
        Self { user_id: self.user_id.clone(), cursor, reads_archive }.address()
    }
}

async fn show(State(app): State<Rekindle>, viewer: Viewer, uri: Uri) -> Result<Markup, Refused> {
    let asked = Asked::of(uri.query().unwrap_or_default());
    if asked.user_id.is_empty() {
        let content = html! {
            h1 { "Users" }
            (search(&asked))
            div .card .empty { p { "Look a user up to see what they received and did." } }
        };
        return Ok(Page::new("Users", Some(&viewer)).within("/console/users").around(&content));
    }
    let request = ProfileRequest {
        user_id: &asked.user_id,
        cursor: asked.cursor.as_deref(),
        limit: LOOKS,
        reads_archive: asked.reads_archive,
    };
    let profile = app.user_profile(&request).await.or_refused(&viewer)?;
    let is_unknown = profile.overall.as_ref().is_some_and(|overall| !overall.known);
    let content = html! {
        (search(&asked))
        h1 dir="auto" { (profile.user_id) }
        (ids(&asked, &profile))
        @if is_unknown { (nobody(&asked)) } @else { (known(&viewer, &asked, profile)) }
    };
    Ok(Page::new("User", Some(&viewer)).within("/console/users").around(&content))
}

fn search(asked: &Asked) -> Markup {
    html! {
        form .card .look-up method="get" action="/console/users" role="search" {
            div {
                label for="user_id" { "User id" }
                input #user_id type="search" name="user_id" value=(asked.user_id) required maxlength="512" dir="auto"
                    autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="exactly";
                p #exactly .hint { "Exactly as your senders post it: capital letters and blanks count." }
            }
            button .primary { "Look up" }
        }
    }
}

/// Says under which id the person is kept, and which other ids they have.
fn ids(asked: &Asked, profile: &UserProfile) -> Markup {
    let others: Vec<&String> = profile.merged.iter().filter(|id| **id != asked.user_id).collect();
    html! {
        @if asked.user_id != profile.user_id {
            p .note {
                "You looked up " bdi .as-typed { (asked.user_id) } ". That is the same person: everything is kept under "
                bdi .as-typed { (profile.user_id) } "."
            }
        }
        @if !others.is_empty() {
            p .note {
                "Also known as "
                @for (i, id) in others.iter().enumerate() { @if i > 0 { ", " } bdi .as-typed { (id) } }
                "."
            }
        }
    }
}

/// Nobody has the id: the ledger of all users never expires, so that this is certain.
fn nobody(asked: &Asked) -> Markup {
    let (trimmed, small) = (asked.user_id.trim(), asked.user_id.trim().to_lowercase());
    html! {
        div .card .empty {
            p { strong { "Nobody has this id." } " Nothing ever arrived of such a user, in no campaign and no Canvas." }
            @if trimmed != asked.user_id {
                p { "It has blanks at its ends. " a href=(Asked::about(trimmed)) { "Look it up without them" } }
            }
            @if small != trimmed {
                p { "It has capital letters. " a href=(Asked::about(&small)) { "Look it up in small letters" } }
            }
            p .hint { "Ids are compared letter by letter. Take the id from the system that posts the interactions." }
        }
    }
}

fn known(viewer: &Viewer, asked: &Asked, profile: UserProfile) -> Markup {
    let overall = profile.overall;
    let is_damaged = profile.interaction_data == Some(SeenState::Damaged);
    let all = profile.campaigns_received.into_iter().chain(profile.canvases_received);
    let (mut seen, unknown): (Vec<Seen>, Vec<Seen>) = all.partition(|seen| seen.facts.is_some());
    seen.sort_by_key(|seen| Reverse(seen.interactions.first().map(|last| last.last_at)));
    html! {
        @if is_damaged {
            p .refused role="alert" {
                "What holds over all campaigns could not be read: stored data did not verify. The campaigns below are read by \
                 themselves."
            }
        }
        @if let Some(overall) = overall { (in_all(&overall)) }
        @if asked.reads_archive {
            p .note role="status" {
                "Expired data was read from the archive. Nothing was restored. "
                a href=(asked.with(asked.cursor.clone(), false)) { "Show it without the archive" }
            }
        }
        (unknowns(viewer, asked, &unknown))
        h2 { "What this user received and did" }
        @if seen.is_empty() {
            div .card .empty { p { "None of the campaigns and Canvases that were looked at knows this user." } }
        }
        div .seen-all { @for seen in &seen { (one(seen)) } }
        (further(asked, profile.next))
    }
}

fn in_all(overall: &Overall) -> Markup {
    let is_well =
        overall.hard_bounced.is_none() && overall.marked_spam.is_none() && overall.unsubscribed.is_empty();
    let channels: Vec<&str> = overall.unsubscribed.iter().map(|channel| words::channel(*channel)).collect();
    html! {
        section .card .over-all {
            h2 { "Over all campaigns and Canvases" }
            dl {
                dt { "Last received" }
                dd { @if let Some(at) = overall.last_received { (time(at)) } @else { "Never" } }
                dt { "Last opened or clicked" }
                dd { @if let Some(at) = overall.last_engaged { (time(at)) " " span .hint { "by the user or by a machine" } } @else { "Never" } }
                dt { "Can be reached" }
                dd {
                    @if is_well { "Yes: no dead address, no complaint, not unsubscribed" }
                    @if let Some(at) = overall.hard_bounced { div { "An address is dead since " (time(at)) } }
                    @if let Some(at) = overall.marked_spam { div { "Marked a message as spam on " (time(at)) } }
                    @if !channels.is_empty() { div { "Unsubscribed from " (channels.join(", ")) } }
                }
            }
        }
    }
}

/// The sources of which nobody can say whether they know the user, with the ways to find out.
fn unknowns(viewer: &Viewer, asked: &Asked, unknown: &[Seen]) -> Markup {
    let in_state = |state: SeenState| unknown.iter().filter(move |seen| seen.interaction_data == state);
    let expired: Vec<SourceId> = in_state(SeenState::Expired).map(|seen| seen.source.clone()).collect();
    let unread = expired.len() + in_state(SeenState::Restoring).count();
    html! {
        @if !unknown.is_empty() {
            section .card .unknown {
                h2 { "Unknown until restored: " (count(unknown.len() as u64, "campaign or Canvas", "campaigns and Canvases")) }
                @if unread > 0 {
                    p {
                        "Their interaction data lies in the archive. Whether this user received them, or clicked, is unknown until \
                         it is restored or read there."
                    }
                    div .choices {
                        @if !asked.reads_archive {
                            a .button .primary href=(asked.with(asked.cursor.clone(), true)) { "Read the archive" }
                        }
                        @if viewer.may_manage() && expired.len() > 1 {
                            form method="post" action="/console/sources/review" {
                                (hidden(&expired))
                                button name="act" value="restore" { "Restore all " (number(expired.len() as u64)) }
                            }
                        }
                    }
                }
                ul .plain { @for seen in unknown { (unknown_one(viewer, seen)) } }
            }
        }
    }
}

fn unknown_one(viewer: &Viewer, seen: &Seen) -> Markup {
    let state = match seen.interaction_data {
        SeenState::Restoring => "Being restored",
        SeenState::Damaged => "Damaged",
        SeenState::Expired | SeenState::Available => "Expired",
    };
    html! {
        li {
            span .what { a href=(words::address(&seen.source)) dir="auto" { (seen.name) } " " span .state data-state=(state) { (state) } }
            @if state == "Damaged" {
                span .hint { "Stored data did not verify. Whoever runs Rekindle finds the reason in its log." }
            }
            @if viewer.may_manage() && state == "Expired" {
                form method="post" action="/console/sources/review" {
                    input type="hidden" name="source" value=(seen.source);
                    button name="act" value="restore" aria-label=(format!("Restore {}", seen.name)) { "Restore" }
                }
            }
        }
    }
}

fn one(seen: &Seen) -> Markup {
    let more = seen.interactions.len().saturating_sub(SHOWN);
    html! {
        section .card .seen {
            h3 { a href=(words::address(&seen.source)) dir="auto" { (seen.name) } }
            p .hint {
                (words::kind_name(seen.source.kind()))
                @if seen.name != seen.source.id() { " " bdi { (seen.source.id()) } }
            }
            @if let Some(facts) = &seen.facts { (marks(facts, seen.interaction_data)) }
            div .scroll {
                table .did {
                    thead {
                        tr { th scope="col" { "What" } th scope="col" { "Where" } th scope="col" { "First" } th scope="col" { "Last" } }
                    }
                    tbody { @for interaction in seen.interactions.iter().take(SHOWN) { (row(seen.source.kind(), interaction)) } }
                }
            }
            @if more > 0 {
                p .hint { "And " (count(more as u64, "older kind", "older kinds")) " of interaction. The CSV on its page has all." }
            }
        }
    }
}

/// What sums a source up: the group, the conversion, and whether the archive was read.
fn marks(facts: &SourceFacts, state: SeenState) -> Markup {
    html! {
        p .marks {
            @if state != SeenState::Available { span .state data-state="Expired" { "From the archive" } }
            @if facts.converted { span .state data-state="Available" { "Converted" } }
            @if facts.in_control { span .state { "Control group" } }
            @if let Some(variant) = &facts.variant { span .state { "Variant " bdi { (variant) } } }
            @if let Some(variation) = &facts.variation { span .state { "Variation " bdi { (variation) } } }
        }
    }
}

fn row(kind: SourceKind, interaction: &SeenInteraction) -> Markup {
    let facet = &interaction.facet;
    let variant_name = match kind {
        SourceKind::Campaign => "variant",
        SourceKind::Canvas => "variation",
    };
    html! {
        tr {
            td .what { (words::did(facet)) }
            td .where {
                @if let Some(channel) = facet.channel { span { (words::channel(channel)) } }
                @if let Some(variant) = &facet.variant { span { (variant_name) " " bdi { (variant) } } }
                @if let Some(step) = &facet.step { span { "step " bdi { (step) } } }
                @if let Some(alias) = &facet.alias { span { "link " bdi { (alias) } } }
            }
            td { (time(interaction.first_at)) }
            td { (time(interaction.last_at)) }
        }
    }
}

/// Most sources do not know a user, so that a page says how far it looked.
fn further(asked: &Asked, next: Option<String>) -> Markup {
    let is_whole = next.is_none() && asked.cursor.is_none();
    html! {
        @if is_whole {
            p .hint { "All campaigns and Canvases were looked at. Newest first." }
        } @else {
            nav .choices aria-label="Pages" {
                @if next.is_some() {
                    span .hint {
                        "This page looked at up to " (LOOKS) " campaigns and Canvases, those changed last first. Others may know the \
                         user, too."
                    }
                } @else {
                    span .hint { "These are the last ones: all campaigns and Canvases were looked at." }
                }
                @if let Some(next) = next { a .button rel="next" href=(asked.with(Some(next), asked.reads_archive)) { "Look further" } }
                @if asked.cursor.is_some() { a .button href=(asked.with(None, asked.reads_archive)) { "Back to the beginning" } }
            }
        }
    }
}
