//! The page of the builder: of an audience that nobody keeps, or of a segment. The form stands at the left, the answer and what
//! can be done with it at the right.

use super::{
    super::{Viewer, forms::Fields},
    answer::{Counted, answer, counted, restoring},
    draft::Place,
    form::{builder, why_json, whys},
    known::Known,
    matching::{Why, matching, why},
    members,
    pieces::{ADDRESS, Shown},
    state::State,
    trouble::Trouble,
};
use crate::html::{Page, count, time};
use maud::{Markup, html};
use rekindle_service::{
    Fact, Problem, Rekindle,
    library::{NowDue, SegmentView},
};

/// The act of the button that Enter in a field presses.
const ENTER: &str = "enter";

/// What the page says besides the form.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) count: Option<Result<Counted, Problem>>,
    pub(super) matched: Option<Result<Why, Problem>>,
    /// The reason why the segment was not saved.
    pub(super) unsaved: Option<Problem>,
    /// Whether the segment was just saved.
    pub(super) is_saved: bool,
    /// The data that nothing keeps any more since the segment was saved.
    pub(super) now_due: Vec<NowDue>,
}

impl Asked {
    /// The answers that the button wants which sent the form.
    pub(super) async fn by(app: &Rekindle, state: &State, form: &Fields, by_script: bool) -> Self {
        let act = form.get("act").unwrap_or_default();
        let mut asked = Self::default();
        // A script asks for the count itself once it has the form.
        if matches!(act, "count" | "further") || act == ENTER && !by_script {
            asked.count = Some(counted(app, state, form).await);
        }
        if act == "match" || act == ENTER && !state.user.is_empty() {
            asked.matched = Some(why(app, state).await);
        }
        asked
    }

    /// The reason why there is no answer, or why the segment was not saved. One that is about a place stands beside it.
    fn trouble(&self, state: &State) -> Option<Trouble> {
        let draft = state.json.is_none().then_some(&state.draft);
        let parsed = state.filter().err();
        let counted = self.count.as_ref().and_then(|count| count.as_ref().err());
        // One that is about the name or the id stands beside these.
        let is_of_filter = |fact: &Fact| matches!(fact, Fact::Path(path) if path.starts_with("filter"));
        let unsaved = self.unsaved.as_ref().filter(|problem| problem.facts.iter().any(is_of_filter));
        Some(Trouble::of(parsed.as_ref().or(counted).or(unsaved)?, draft))
    }

    fn answer(&self, viewer: &Viewer, state: &State, trouble: Option<&Trouble>) -> Markup {
        let filter = state.filter().ok();
        let counted = self.count.as_ref().and_then(|count| count.as_ref().ok());
        answer(viewer, state, filter.as_ref(), trouble, counted)
    }
}

/// The answer alone, with the reasons to be put beside the conditions, for a script that asks again and again.
pub(super) fn part(viewer: &Viewer, state: &State, asked: &Asked) -> Markup {
    let trouble = asked.trouble(state);
    html! {
        (asked.answer(viewer, state, trouble.as_ref()))
        @if state.json.is_none() { (whys(&state.draft, &mut Place::new(), trouble.as_ref())) }
        @else { (why_json(trouble.as_ref(), true)) }
    }
}

/// The whole page. `segment` is the segment that is edited, as it is stored.
///
/// # Errors
/// 503.
pub(super) async fn page(
    app: &Rekindle,
    viewer: &Viewer,
    state: &State,
    segment: Option<&SegmentView>,
    asked: &Asked,
) -> Result<Markup, Problem> {
    let known = match &state.json {
        None => Known::of(app, &state.draft).await?,
        Some(_) => Known::default(),
    };
    let trouble = asked.trouble(state);
    let shown = Shown { state, known: &known, trouble: trouble.as_ref() };
    let name = segment.map_or("Audience", |segment| segment.name.as_str());
    let content = html! {
        (sections(segment.is_some()))
        h1 dir="auto" { (name) }
        @if let Some(segment) = segment { (told(state, segment, asked)) }
        div .audience {
            form #filter method="post" action=(ADDRESS) novalidate hx-target:inherited="#builder" hx-select:inherited="#builder" hx-swap:inherited="outerHTML" autocomplete="off" {
                // Enter in a field presses the first button.
                button .unseen name="act" value=(ENTER) tabindex="-1" aria-hidden="true" hx-post=(ADDRESS) hx-select-oob="#match" { "Count" }
                @if let Some(subject) = &state.subject {
                    input type="hidden" name="segment" value=(subject.id);
                    input type="hidden" name="version" value=(subject.version);
                }
                (builder(&shown))
                noscript { button name="act" value="look" { "Show the fields of what was chosen" } }
                label .check {
                    input .live type="checkbox" name="archive" value="yes" checked[state.is_archive];
                    " Read expired data from the archive. Nothing is restored, and it takes longer."
                }
            }
            div .beside {
                section .card {
                    h2 { "Users" }
                    (asked.answer(viewer, state, trouble.as_ref()))
                    div .buttons {
                        button #count .primary form="filter" name="act" value="count" hx-post=(ADDRESS)
                            hx-trigger="load, click, input delay:500ms target:.live from:#filter, htmx:after:swap target:#builder from:#filter"
                            hx-target="#answer" hx-select="#answer" hx-swap="outerHTML" hx-sync="this:replace" { "Count" }
                        button form="filter" formaction=(members::PAGES) { "Show the users" }
                    }
                }
                @if viewer.may_manage() { (saving(viewer, state, segment, asked)) }
                (matching(state, asked.matched.as_ref()))
                @if let Some(segment) = segment { (used(viewer, segment)) }
            }
        }
    };
    Ok(Page::new(name, Some(viewer)).within(ADDRESS).around(&content))
}

/// The pages of this section.
pub(super) fn sections(is_segments: bool) -> Markup {
    html! {
        nav .sections aria-label="Audiences" {
            a href=(ADDRESS) aria-current=[(!is_segments).then_some("page")] { "Builder" }
            a href="/console/segments" aria-current=[is_segments.then_some("true")] { "Segments" }
        }
    }
}

/// Says that the segment was saved, or that somebody else changed it meanwhile.
fn told(state: &State, segment: &SegmentView, asked: &Asked) -> Markup {
    let is_old = state.subject.as_ref().is_some_and(|subject| subject.version != segment.version);
    let is_same = state.filter().is_ok_and(|filter| filter == segment.filter);
    html! {
        @if asked.is_saved { p .saved role="status" { "Saved." } }
        @if !asked.now_due.is_empty() {
            div .banner role="status" {
                p { "Nothing keeps this interaction data any more:" }
                ul { @for due in &asked.now_due { li { a href=(crate::words::address(&due.source)) { (due.source.id()) } " expires on " (time(due.expires_at)) } } }
            }
        }
        @if is_old {
            div .banner role="alert" {
                div {
                    p { strong { "Somebody changed this segment on " (time(segment.updated_at)) ", after you had opened it." } " Nothing of yours is lost: it stands in the form." }
                    p dir="auto" { "Its name now: " (segment.name) }
                    @if is_same { p { "Its filter now is the same as yours." } }
                    @else { p dir="auto" { "Its filter now: a user who " (segment.filter.describe()) "." } }
                    div .buttons {
                        button form="filter" formaction=(address(segment)) name="over" value=(segment.version) { "Save mine in its place" }
                        a .button href=(address(segment)) { "Take theirs, and lose mine" }
                    }
                }
            }
        }
    }
}

/// The address of a segment's page.
pub(super) fn address(segment: &SegmentView) -> String {
    format!("/console/segments/{}", segment.segment.trim_start_matches("segment/"))
}

fn saving(viewer: &Viewer, state: &State, segment: Option<&SegmentView>, asked: &Asked) -> Markup {
    let draft = state.json.is_none().then_some(&state.draft);
    let unsaved = asked.unsaved.as_ref().map(|problem| Trouble::of(problem, draft));
    html! {
        section .card #save {
            h2 { @if segment.is_some() { "Save" } @else { "Save as a segment" } }
            @if let Some(trouble) = unsaved {
                p .refused role="alert" { "It was not saved. " (trouble.text) }
                @if !trouble.restore.is_empty() {
                    (restoring(viewer, &trouble.restore.iter().cloned().collect::<Vec<_>>()))
                }
            }
            label for="name" { "Name" }
            input #name form="filter" name="name" value=(state.name) maxlength="256" dir="auto" autocomplete="off";
            @match segment {
                Some(segment) => {
                    p .buttons { button .primary form="filter" formaction=(address(segment)) { "Save" } }
                }
                None => {
                    label for="id" { "Id" }
                    input #id form="filter" name="id" value=(state.new_id) maxlength="128" autocomplete="off" spellcheck="false";
                    p .hint { "Filters name the segment by its id, which never changes: letters, digits, " code { "_ . : -" } }
                    p .buttons { button form="filter" formaction="/console/segments" { "Save as a segment" } }
                }
            }
        }
    }
}

/// The things that use a segment, and the way to delete one that nothing uses.
fn used(viewer: &Viewer, segment: &SegmentView) -> Markup {
    html! {
        section .card {
            h2 { "Used by" }
            @if segment.used_by.is_empty() {
                p { "No audience and no other segment names this segment." }
                @if viewer.may_manage() {
                    details {
                        summary { "Delete this segment" }
                        p { "A deleted segment cannot be brought back." }
                        form method="post" action=(format!("{}/delete", address(segment))) {
                            input type="hidden" name="version" value=(segment.version);
                            button .danger { "Delete" }
                        }
                    }
                }
            } @else {
                (users(&segment.used_by))
                @if !segment.active.is_empty() {
                    p .hint {
                        "The data that this segment names is kept for " (count(segment.active.len() as u64, "active source", "active sources")) "."
                    }
                }
                p .hint { "It can be deleted when nothing uses it." }
            }
            dl {
                dt { "Id" } dd { (segment.segment.trim_start_matches("segment/")) }
                dt { "Made" } dd { (time(segment.created_at)) }
                dt { "Changed" } dd { (time(segment.updated_at)) }
            }
        }
    }
}

/// Links to the sources and segments that use a segment.
pub(super) fn users(users: &[rekindle_domain::segment::Referrer]) -> Markup {
    use rekindle_domain::segment::Referrer;
    html! {
        ul .users {
            @for user in users {
                li {
                    @match user {
                        Referrer::Source(source) => { a href=(crate::words::address(source)) { (source.id()) } " " span .id { (crate::words::kind_name(source.kind())) } }
                        Referrer::Segment(id) => { a href=(format!("/console/segments/{id}")) { (id) } " " span .id { "Segment" } }
                    }
                }
            }
        }
    }
}
