//! The page that says what an act on the ticked sources will do, before it is done.

use super::{
    OrRefused, Refused, Viewer,
    act::{ACT, Act, duration, restore_input},
    forms::Fields,
    sources::{self, Asked, bytes, hidden},
};
use crate::{
    html::{Page, count, sentence, time},
    words,
};
use axum::{Router, body::Body, extract::State, routing::post};
use http::Method;
use maud::{Markup, html};
use rekindle_domain::{
    id::SourceId,
    key::Scope::Manage,
    restore::{MAX_NOTIFY, MAX_SOURCES},
};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Problem, Rekindle,
    restore::{Estimate, EstimateItem, EstimateState},
};

pub(super) const ROUTES: &[Route] = &[(Method::POST, REVIEW, Manage), (Method::POST, ESTIMATE, Manage)];

const REVIEW: &str = "/console/sources/review";
/// The address of the line that says what a restore of the ticked sources would do.
pub(super) const ESTIMATE: &str = "/console/sources/estimate";

pub(super) fn routes() -> Router<Rekindle> {
    Router::new().route(REVIEW, post(show)).route(ESTIMATE, post(estimate))
}

/// The most stops of which the page says what they let go: each is tried without being done.
const TRIED: usize = 25;

/// The list's fields that a form carries, as the list has them.
pub(super) fn list_of(fields: &Fields) -> Fields {
    fields.below("list.")
}

/// The fields that an act takes besides the sources, as hidden fields of a further form.
pub(super) fn carried(fields: &Fields) -> Markup {
    html! {
        @for name in ["reason", "until"] {
            @if let Some(value) = fields.get(name) { input type="hidden" name=(name) value=(value); }
        }
        @for (name, value) in list_of(fields).pairs() { input type="hidden" name=(format!("list.{name}")) value=(value); }
    }
}

/// The sources that a form ticks: one by one, or all of its list that take the act. And whether there are more than an act
/// takes: once it is done, the act takes the others.
async fn ticked(app: &Rekindle, act: Act, fields: &Fields) -> Result<(Vec<SourceId>, bool), Problem> {
    if fields.get("all").is_none() {
        return Ok((fields.sources()?, false));
    }
    let (all, has_more) = Asked::of(&list_of(fields)).that_take(act).all(app, MAX_SOURCES).await?;
    if all.is_empty() {
        let detail = match act {
            Act::Restore => "nothing of all that matches has expired",
            Act::Stop => "nothing of all that matches is active",
            _ => "nothing matches any more; go back to the list and look again",
        };
        return Err(Problem::bad_request("nothing_ticked", detail));
    }
    // What is done to these does not take them out of the list, so that the others would never be reached.
    if has_more && !matches!(act, Act::Restore | Act::Stop | Act::Delete | Act::Undelete) {
        let detail = format!("more than {MAX_SOURCES} match; go back and narrow the list");
        return Err(Problem::unprocessable("too_many_ticked", detail));
    }
    Ok((all, has_more))
}

/// Those of the ticked sources that a restore brings back, and the estimate of it. The others are left as they are: a restore
/// of what is available would only keep it for longer.
async fn away(app: &Rekindle, sources: &[SourceId]) -> Result<(Vec<SourceId>, Estimate), Problem> {
    let estimate = app.estimate_restore(&restore_input(sources, &Fields::default())).await?;
    let is_away =
        |item: &&EstimateItem| matches!(item.state, EstimateState::Expired | EstimateState::Restoring);
    let away = estimate.items.iter().filter(is_away).map(|item| item.source.clone()).collect();
    Ok((away, estimate))
}

async fn show(State(app): State<Rekindle>, viewer: Viewer, body: Body) -> Result<Markup, Refused> {
    let fields = Fields::of_body(body).await.or_refused(&viewer)?;
    let act = Act::of(&fields).or_refused(&viewer)?;
    let (mut sources, has_more) = ticked(&app, act, &fields).await.or_refused(&viewer)?;
    let names = app.names_of(&sources.iter().cloned().collect()).await.or_refused(&viewer)?;
    let effect = match act {
        Act::Restore => {
            let (away, estimate) = away(&app, &sources).await.or_refused(&viewer)?;
            let left = sources.len() - away.len();
            sources = away;
            estimated(&estimate, left)
        }
        Act::Stop => stopping(&app, &viewer, &sources).await,
        Act::Start => html! {},
        Act::Pin => {
            html! { p { "Pinned interaction data does not expire, whatever its age, until the pin is taken away or ends." } }
        }
        Act::Unpin => {
            html! { p { "Without its pin, interaction data expires when its time is over, unless an active campaign or Canvas needs it." } }
        }
        Act::Delete => {
            html! { p { "A deleted campaign or Canvas is hidden at once. For a week it can be brought back; then its interaction data is gone for good, also from the archive." } }
        }
        Act::Undelete => html! {},
    };
    let content = html! {
        section .card {
            h1 { (act.title()) ": " (words::things(sources.len() as u64)) }
            @if has_more {
                p .banner { "More match than one act takes. This does the first " (sources.len()) "; do it again for the others." }
            }
            (effect)
            form .fields method="post" action=(ACT) {
                (carried(&fields))
                (hidden(&sources))
                @if !sources.is_empty() { (asked_for(&app, act)) }
                p {
                    @if !sources.is_empty() { button .primary name="act" value=(act.name()) { (act.title()) } }
                    " " a .button href=(sources::LIST) { "Back to the list" }
                }
            }
            details open[sources.len() <= 20] {
                summary { "The list" }
                ul {
                    @for source in &sources {
                        li { a href=(words::address(source)) dir="auto" { (names.get(source).map_or(source.id(), String::as_str)) } }
                    }
                }
            }
        }
    };
    Ok(Page::new(act.title(), Some(&viewer)).within(sources::LIST).around(&content))
}

/// The fields that an act asks for.
fn asked_for(app: &Rekindle, act: Act) -> Markup {
    html! {
        @match act {
            Act::Restore => { (mail(app)) }
            Act::Pin => {
                label for="reason" { "Why the data is to be kept" }
                input #reason name="reason" required maxlength="500" autocomplete="off";
                label for="until" { "Until (left empty: until it is unpinned)" }
                input #until name="until" type="date";
            }
            _ => {}
        }
    }
}

/// The field for the addresses that get a mail at the end of a restore, and the name of the request: a form that arrives twice,
/// by a double click, is one request.
pub(super) fn mail(app: &Rekindle) -> Markup {
    html! {
        input type="hidden" name="once" value=(app.ids.new_id(app.clock.now()));
        label for="notify" { "Mail these addresses when it is done" }
        input #notify name="notify" inputmode="email" autocomplete="email" placeholder="you@example.com, colleague@example.com"
            aria-describedby="notify-hint";
        p #notify-hint .hint { "Up to " (MAX_NOTIFY) ", separated by commas. Left empty, nobody gets a mail." }
    }
}

/// What a restore will bring back.
fn estimated(estimate: &Estimate, left: usize) -> Markup {
    html! {
        @if estimate.sources == 0 {
            p { "The interaction data of all of these is available. There is nothing to bring back." }
        } @else {
            p {
                "This brings back the interaction data of "
                strong { (words::things(u64::from(estimate.sources))) }
                ": up to " (count(estimate.users, "user", "users")) ", " (bytes(estimate.bytes))
                " of the archive, in " (duration(estimate.seconds)) "."
            }
            @if left > 0 { p { (words::things(left as u64)) " more: nothing to bring back there." } }
        }
    }
}

/// The sources whose data nothing keeps any more once these are stopped.
async fn stopping(app: &Rekindle, viewer: &Viewer, sources: &[SourceId]) -> Markup {
    let mut let_go = Vec::new();
    let mut refused = Vec::new();
    for source in sources.iter().take(TRIED) {
        match app.stop_source(source, None, true, &viewer.caller).await {
            Ok(view) => let_go.extend(view.now_due.unwrap_or_default()),
            Err(problem) => refused.push((source, problem)),
        }
    }
    html! {
        p { "The interaction data of what is stopped is kept for the retention period, and then moved to long-term storage." }
        @if !let_go.is_empty() {
            p { strong { "Nothing else keeps the data of these any more:" } }
            ul { @for due in &let_go { li { (due.source.id()) " expires on " (time(due.expires_at)) } } }
        }
        @if !refused.is_empty() {
            p { strong { "These cannot be stopped:" } }
            ul { @for (source, problem) in &refused { li { (source.id()) ": " (sentence(&problem.detail)) } } }
        }
    }
}

/// A line that says what a restore of the ticked sources would do, for the bar under the list.
async fn estimate(State(app): State<Rekindle>, viewer: Viewer, body: Body) -> Result<Markup, Refused> {
    let fields = Fields::of_body(body).await.or_refused(&viewer)?;
    if fields.get("all").is_none() && fields.get("source").is_none() {
        return Ok(html! {});
    }
    let found = async {
        let (sources, has_more) = ticked(&app, Act::Restore, &fields).await?;
        Ok::<_, Problem>((sources.len(), has_more, away(&app, &sources).await?.1))
    };
    Ok(match found.await {
        Ok((ticked, has_more, estimate)) if estimate.sources > 0 => html! {
            (ticked) @if has_more { " and more" } " ticked. A restore brings back " (estimate.sources)
            ": up to " (count(estimate.users, "user", "users")) ", " (bytes(estimate.bytes)) ", in "
            (duration(estimate.seconds)) "."
        },
        Ok(_) => html! { "Nothing of it has expired." },
        Err(problem) => html! { (sentence(&problem.detail)) },
    })
}
