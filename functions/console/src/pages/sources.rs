//! The list of campaigns and Canvases: found by name, kind, status, state of the data and tag, and ticked for an act on many.

use super::{OrRefused, Refused, Viewer, act::Act, forms::Fields, progress, review};
use crate::{
    extras::offer_sample,
    html::{self, Page, number},
    words,
};
use axum::{Router, extract::State, routing::get};
use http::{Method, Uri};
use maud::{Markup, html};
use rekindle_domain::{
    id::{SourceId, SourceKind},
    key::Scope::Read,
    source::Status,
};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Listing, Problem, Rekindle,
    library::{ListRequest, ShownState, Sort, SourceView},
    restore::Restoring,
};
use std::collections::BTreeMap;

pub(super) const ROUTES: &[Route] = &[(Method::GET, LIST, Read)];

/// The address of the list.
pub(super) const LIST: &str = "/console";

pub(super) fn routes() -> Router<Rekindle> {
    Router::new().route(LIST, get(show))
}

/// How many sources a page shows.
const PAGE: usize = 50;
/// How often it looks on for a source that fits, before it says that none did so far.
const LOOKS: usize = 20;

const KINDS: [(SourceKind, &str); 2] =
    [(SourceKind::Campaign, "Campaigns"), (SourceKind::Canvas, "Canvases")];
const STATUSES: [Status; 3] = [Status::Draft, Status::Active, Status::Stopped];
/// The value of the status filter that stands for deleted sources.
const DELETED: &str = "deleted";

const STATES: [(ShownState, &str); 4] = [
    (ShownState::Available, "Available"),
    (ShownState::Expiring, "Being archived"),
    (ShownState::Expired, "Expired"),
    (ShownState::Restoring, "Being restored"),
];

/// The fields by which the list is narrowed.
const NARROWING: [&str; 6] = ["q", "kind", "status", "state", "tag", "sort"];

/// The sources that a query of the list asks for.
pub(super) struct Asked {
    kinds: Vec<SourceKind>,
    request: ListRequest,
}

impl Asked {
    pub(super) fn of(fields: &Fields) -> Self {
        let is = |name: &str, value: &str| fields.get(name) == Some(value);
        let text = |name: &str| fields.get(name).map(str::to_owned);
        let named: Vec<SourceKind> = KINDS
            .into_iter()
            .map(|(kind, _)| kind)
            .filter(|kind| is("kind", words::kind_path(*kind)))
            .collect();
        let request = ListRequest {
            status: STATUSES.into_iter().find(|status| is("status", status.as_str())),
            state: STATES.into_iter().map(|(state, _)| state).find(|state| is("state", state.as_str())),
            is_first_sight: false,
            is_deleted: is("status", DELETED),
            tag: text("tag"),
            q: text("q"),
            sort: is("sort", "expires_at").then_some(Sort::ExpiresAt),
            cursor: text("cursor"),
            limit: PAGE,
        };
        let all = KINDS.map(|(kind, _)| kind).to_vec();
        Self { kinds: if named.is_empty() { all } else { named }, request }
    }

    /// A page. Where few of the sources that carry a tag fit, it looks on until one does.
    async fn page(&self, app: &Rekindle) -> Result<Listing<SourceView>, Problem> {
        let mut page = app.list(&self.kinds, &self.request).await?;
        for _ in 1..LOOKS {
            if !page.items.is_empty() || page.next.is_none() {
                break;
            }
            let request = ListRequest { cursor: page.next, ..self.request.clone() };
            page = app.list(&self.kinds, &request).await?;
        }
        Ok(page)
    }

    /// The same, but of what an act can be done to.
    pub(super) fn that_take(mut self, act: Act) -> Self {
        match act {
            Act::Restore => _ = self.request.state.get_or_insert(ShownState::Expired),
            Act::Stop => _ = self.request.status.get_or_insert(Status::Active),
            _ => {}
        }
        self
    }

    /// All sources that match, up to a number, from the first page on; and whether there are more.
    pub(super) async fn all(mut self, app: &Rekindle, most: usize) -> Result<(Vec<SourceId>, bool), Problem> {
        let mut out: Vec<SourceId> = Vec::new();
        self.request.cursor = None;
        self.request.limit = 250;
        loop {
            let page = self.page(app).await?;
            for view in page.items {
                if out.len() == most {
                    return Ok((out, true));
                }
                if !out.contains(&view.source) {
                    out.push(view.source);
                }
            }
            self.request.cursor = page.next;
            if self.request.cursor.is_none() {
                return Ok((out, false));
            }
        }
    }
}

async fn show(State(app): State<Rekindle>, viewer: Viewer, uri: Uri) -> Result<Markup, Refused> {
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let page = Asked::of(&fields).page(&app).await.or_refused(&viewer)?;
    let restoring = progress::of(&app, &page.items).await.or_refused(&viewer)?;
    let content = html! {
        h1 { "Campaigns and Canvases" }
        (done(&fields))
        (filters(&fields))
        (list(&viewer, &fields, &page, &restoring))
    };
    Ok(Page::new("Campaigns and Canvases", Some(&viewer)).within(LIST).around(&content))
}

/// Says that an act on some of the list was done.
fn done(fields: &Fields) -> Markup {
    let act = fields.get("done").and_then(Act::named);
    let of = fields.get("of").and_then(|n| n.parse::<u64>().ok());
    html! {
        @if let (Some(act), Some(of)) = (act, of) {
            p .notice role="status" { (act.title()) ": done for " (words::things(of)) "." }
        }
    }
}

fn filters(fields: &Fields) -> Markup {
    let is = |name: &str, value: &str| fields.get(name) == Some(value);
    html! {
        form .card .filters method="get" action=(LIST) role="search"
            hx-get=(LIST) hx-trigger="change, submit, input delay:300ms from:#q" hx-select="#list" hx-target="#list" hx-swap="outerHTML" hx-replace-url="true" {
            div .wide {
                label for="q" { "Search" }
                input #q type="search" name="q" value=[fields.get("q")] placeholder="Words in the name or id" autocomplete="off";
            }
            div {
                label for="kind" { "Kind" }
                select #kind name="kind" {
                    option value="" { "Both" }
                    @for (kind, name) in KINDS {
                        option value=(words::kind_path(kind)) selected[is("kind", words::kind_path(kind))] { (name) }
                    }
                }
            }
            div {
                label for="status" { "Status" }
                select #status name="status" {
                    option value="" { "Any" }
                    @for status in STATUSES {
                        option value=(status.as_str()) selected[is("status", status.as_str())] { (words::status(status)) }
                    }
                    option value=(DELETED) selected[is("status", DELETED)] { "Deleted" }
                }
            }
            div {
                label for="state" { "Interaction data" }
                select #state name="state" {
                    option value="" { "Any" }
                    @for (state, name) in STATES {
                        option value=(state.as_str()) selected[is("state", state.as_str())] { (name) }
                    }
                }
            }
            div {
                label for="tag" { "Tag" }
                input #tag name="tag" value=[fields.get("tag")] autocomplete="off" spellcheck="false";
            }
            div {
                label for="sort" { "Order" }
                select #sort name="sort" {
                    option value="" { "Last changed" }
                    option value="expires_at" selected[is("sort", "expires_at")] { "Only what expires, soonest first" }
                }
            }
            div { button .primary { "Show" } }
        }
    }
}

fn list(
    viewer: &Viewer,
    fields: &Fields,
    page: &Listing<SourceView>,
    restoring: &BTreeMap<SourceId, Restoring>,
) -> Markup {
    let next = page.next.as_deref().map(|next| address_of(fields, Some(next)));
    let is_first = fields.get("cursor").is_none();
    html! {
        div #list {
            @if page.items.is_empty() {
                @if let Some(next) = next {
                    div .card .empty {
                        p { strong { "Nothing matches among those that were looked at." } }
                        p { a .button href=(next) rel="next" { "Look further" } }
                    }
                } @else {
                    (nothing(viewer, fields))
                }
            } @else {
                form method="post" action="/console/sources/review" data-ticks="" {
                    div .card .scroll { (table(viewer, page, restoring)) }
                    @if viewer.may_manage() { (acts(fields)) }
                }
                (progress::poll(page.items.iter().filter(|view| progress::is_open(view)).map(|view| &view.source)))
                nav .pages aria-label="Pages" {
                    @if !is_first { a .button href=(address_of(fields, None)) { "First page" } }
                    @if let Some(next) = next { a .button href=(next) rel="next" { "Next page" } }
                }
            }
        }
    }
}

/// The address of the list, narrowed as it is, at a page.
fn address_of(fields: &Fields, cursor: Option<&str>) -> String {
    format!("{LIST}?{}", fields.with(&[("cursor", cursor), ("done", None), ("of", None)]))
}

fn nothing(viewer: &Viewer, fields: &Fields) -> Markup {
    let is_narrowed = NARROWING.iter().chain(&["cursor"]).any(|name| fields.get(name).is_some());
    html! {
        div .card .empty {
            @if is_narrowed {
                p { strong { "Nothing matches." } }
                p { a .button href=(LIST) { "Show all" } }
            } @else {
                p { strong { "There is no campaign and no Canvas yet." } }
                p { "Each appears by itself with its first interaction, or as soon as your platform registers it." }
                (offer_sample(viewer))
            }
        }
    }
}

fn table(viewer: &Viewer, page: &Listing<SourceView>, restoring: &BTreeMap<SourceId, Restoring>) -> Markup {
    html! {
        table .wide {
            caption .hidden { "Campaigns and Canvases" }
            thead {
                tr {
                    @if viewer.may_manage() {
                        th scope="col" { input type="checkbox" data-all="" aria-label="Tick all on this page" hidden; span .hidden { "Tick" } }
                    }
                    th scope="col" { "Name" }
                    th scope="col" { "Status" }
                    th scope="col" { "Interaction data" }
                    th .number scope="col" { "Users" }
                    th scope="col" { "Expiry" }
                }
            }
            tbody {
                @for (i, view) in page.items.iter().enumerate() { (row(viewer, i, view, restoring.get(&view.source))) }
            }
        }
    }
}

fn row(viewer: &Viewer, i: usize, view: &SourceView, restoring: Option<&Restoring>) -> Markup {
    let users = view.interaction_data.users;
    html! {
        tr {
            @if viewer.may_manage() {
                td .tick { input type="checkbox" name="source" value=(view.source) aria-labelledby=(format!("n{i}")); }
            }
            td .name {
                @if view.deleted_at.is_some() {
                    span #(format!("n{i}")) dir="auto" { (view.name) }
                } @else {
                    a #(format!("n{i}")) href=(words::address(&view.source)) dir="auto" { (view.name) }
                }
                div .id {
                    (words::kind_name(view.source.kind())) @if view.name != view.source.id() { " · " (view.source.id()) }
                    @for tag in &view.tags { " " a .tag dir="auto" href=(by_tag(tag)) { (tag) } }
                }
            }
            td data-name="Status" { (words::status(view.status)) }
            td data-name="Interaction data" { (progress::cell(view, restoring)) }
            td .number data-name="Users" { @if let Some(users) = users { (number(users)) } @else { "–" } }
            td data-name="Expiry" { (progress::until(view)) }
        }
    }
}

/// The list of the sources that carry a tag.
pub(super) fn by_tag(tag: &str) -> String {
    format!("{LIST}?{}", Fields::default().with(&[("tag", Some(tag))]))
}

/// The bar under the list: it appears with the first tick, and says what a restore would do.
fn acts(fields: &Fields) -> Markup {
    let is_deleted = fields.get("status") == Some(DELETED);
    html! {
        div .acts .floating {
            label .inline { input type="checkbox" name="all" value="1"; " All that match, on every page" }
            @for name in NARROWING {
                @if let Some(value) = fields.get(name) { input type="hidden" name=(format!("list.{name}")) value=(value); }
            }
            @if is_deleted {
                (button(Act::Undelete, true))
            } @else {
                (button(Act::Restore, true))
                @for act in [Act::Stop, Act::Pin, Act::Unpin] { (button(act, false)) }
            }
            p .estimate #estimate role="status" hx-post=[(!is_deleted).then_some(review::ESTIMATE)]
                hx-trigger=r#"change from:"closest form" delay:200ms"# hx-swap="innerHTML" {}
        }
    }
}

fn button(act: Act, is_first: bool) -> Markup {
    html! { button .primary[is_first] name="act" value=(act.name()) { (act.title()) } }
}

/// The ticked sources as hidden fields of a further form.
pub(super) fn hidden(sources: &[SourceId]) -> Markup {
    html! { @for source in sources { input type="hidden" name="source" value=(source); } }
}

/// Bytes for people.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..=999_999 => format!("{} KB", html::number(n.div_ceil(1000))),
        1_000_000..=999_999_999 => format!("{} MB", html::number(n.div_ceil(1_000_000))),
        _ => format!("{} GB", html::number(n.div_ceil(1_000_000_000))),
    }
}
