//! The users of an audience, page by page, and as CSV.

use super::{
    super::{OrRefused, Refused, Viewer, forms::Fields},
    draft::pretty,
    pieces::ADDRESS,
    state::State,
};
use crate::{
    html::{Page, count, number},
    words,
};
use axum::{
    body::Body,
    extract,
    response::{IntoResponse, Response},
};
use http::header;
use maud::{Markup, html};
use rekindle_service::{
    Problem, Rekindle,
    audience::{CsvFor, MembersRequest},
};

/// How many users a page shows.
const PAGE: usize = 200;
/// The most users of a file.
const FILE: usize = 50_000;

/// The addresses of the pages and of the files.
pub(super) const PAGES: &str = "/console/audiences/members";
pub(super) const FILES: &str = "/console/audiences/members.csv";

fn request(state: &State, form: &Fields, limit: usize) -> Result<MembersRequest, Problem> {
    Ok(MembersRequest {
        filter: state.filter()?.to_json(),
        expired: state.if_expired(),
        limit: Some(limit),
        cursor: form.get("cursor").map(str::to_owned),
        unknown_names: state.unknown_names(),
    })
}

/// The question as hidden fields of a further form.
fn carried(state: &State) -> Markup {
    let json = state.value().map(|value| pretty(&value)).unwrap_or_default();
    html! {
        input type="hidden" name="mode" value="json";
        input type="hidden" name="json" value=(json);
        @if state.is_archive { input type="hidden" name="archive" value="yes"; }
        @if state.takes_unknown { input type="hidden" name="unknown_names" value="yes"; }
        @if let Some(subject) = &state.subject {
            input type="hidden" name="segment" value=(subject.id);
            input type="hidden" name="version" value=(subject.version);
        }
        @if !state.name.is_empty() { input type="hidden" name="name" value=(state.name); }
    }
}

/// The form that leads back to the builder.
fn back(state: &State) -> Markup {
    html! {
        form method="post" action=(ADDRESS) {
            (carried(state))
            button name="act" value="choose" { "Back to the builder" }
        }
    }
}

/// A page of the users.
pub(super) async fn list(
    extract::State(app): extract::State<Rekindle>,
    viewer: Viewer,
    body: Body,
) -> Result<Markup, Refused> {
    let form = Fields::of_body(body).await.or_refused(&viewer)?;
    let state = State::of_form(&form);
    let asked = request(&state, &form, PAGE).or_refused(&viewer)?;
    let page = app.members(&asked).await.or_refused(&viewer)?;
    let before: u64 = form.get("before").and_then(|n| n.parse().ok()).unwrap_or(0);
    let content = html! {
        h1 { "Members" }
        @if let Ok(filter) = state.filter() { p .says dir="auto" { "A user who " (filter.describe()) "." } }
        @if !page.expired.is_empty() && !state.is_archive {
            p .banner { "Interaction data of " (words::things(page.expired.len() as u64)) " has expired. Users of whom it cannot be told are not listed." }
        }
        div .buttons {
            (back(&state))
            @if !page.items.is_empty() || before > 0 { (files(&state)) }
        }
        @if page.items.is_empty() && page.next.is_none() {
            div .card .empty { p { @if before == 0 { "No user matches." } @else { "There are no more." } } }
        } @else {
            div .card .scroll {
                table {
                    thead { tr { th scope="col" { "User" } } }
                    tbody {
                        @for user in &page.items { tr { td .name { a href=(user_page(user)) dir="auto" { (user) } } } }
                    }
                }
            }
        }
        @if let Some(next) = &page.next {
            form method="post" action=(PAGES) {
                (carried(&state))
                input type="hidden" name="cursor" value=(next);
                input type="hidden" name="before" value=(before + page.items.len() as u64);
                button { "Further ones, after " (number(before + page.items.len() as u64)) }
            }
        }
    };
    Ok(Page::new("Members", Some(&viewer)).within(ADDRESS).around(&content))
}

fn user_page(user: &str) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("user_id", user).finish();
    format!("/console/users?{query}")
}

fn files(state: &State) -> Markup {
    html! {
        form method="post" action=(FILES) {
            (carried(state))
            button name="for" value=(CsvFor::Spreadsheet.as_str()) { "CSV for a spreadsheet" }
            button name="for" value=(CsvFor::Program.as_str()) { "CSV for another program" }
        }
    }
}

/// The users as CSV: one file if they fit in one, and otherwise a page for each, from which it is downloaded.
pub(super) async fn file(
    extract::State(app): extract::State<Rekindle>,
    viewer: Viewer,
    body: Body,
) -> Result<Response, Refused> {
    let form = Fields::of_body(body).await.or_refused(&viewer)?;
    let state = State::of_form(&form);
    let is_spreadsheet = form.get("for") == Some(CsvFor::Spreadsheet.as_str());
    let reader = if is_spreadsheet { CsvFor::Spreadsheet } else { CsvFor::Program };
    let asked = request(&state, &form, FILE).or_refused(&viewer)?;
    let page = app.members_csv(&asked, reader).await.or_refused(&viewer)?;
    let part: u64 = form.get("part").and_then(|n| n.parse().ok()).unwrap_or(1);
    let is_only = part == 1 && page.next.is_none();
    if is_only || form.get("download").is_some() {
        let name = if is_only { "members.csv".to_owned() } else { format!("members-{part}.csv") };
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        ];
        return Ok((headers, page.text).into_response());
    }
    let lines = (page.text.matches("\r\n").count() as u64).saturating_sub(1);
    let step = |part: u64, cursor: Option<&str>, is_download: bool, words: String| {
        html! {
            form method="post" action=(FILES) {
                (carried(&state))
                input type="hidden" name="for" value=(reader.as_str());
                input type="hidden" name="part" value=(part);
                @if let Some(cursor) = cursor { input type="hidden" name="cursor" value=(cursor); }
                @if is_download { input type="hidden" name="download" value="yes"; }
                button .primary[is_download] { (words) }
            }
        }
    };
    let cursor = form.get("cursor");
    let content = html! {
        section .card .narrow {
            h1 { "File " (number(part)) }
            p { "These users stand in more than one file. This one has " (count(lines, "user", "users")) "." }
            div .buttons {
                (step(part, cursor, true, format!("Download file {part}")))
                @if let Some(next) = &page.next { (step(part + 1, Some(next), false, format!("On to file {}", part + 1))) }
                (back(&state))
            }
            @if page.next.is_none() { p .hint { "This is the last file." } }
        }
    };
    Ok(Page::new("Members as CSV", Some(&viewer)).within(ADDRESS).around(&content).into_response())
}
