//! The interactions of a source as CSV, in parts that fit an answer.

use super::super::{OrRefused, Refused, Viewer, forms::Fields, sources::bytes};
use crate::{html::Page, words};
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{Uri, header};
use maud::{Markup, html};
use rekindle_service::{Rekindle, audience::CsvFor};

/// A part of the CSV: its size, the link that downloads it, and the way to the part after it.
pub(super) async fn show(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path((kind, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Markup, Refused> {
    let id = super::named(&kind, &id).or_refused(&viewer)?;
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let part = fields.get("part").and_then(|part| part.parse().ok()).unwrap_or(1u32);
    let page = app.export_csv(&id, fields.get("cursor"), CsvFor::Spreadsheet).await.or_refused(&viewer)?;
    let address = words::address(&id);
    let this = Fields::default().with(&[("cursor", fields.get("cursor"))]);
    let further = page.next.as_deref().map(|next| {
        let part = part.saturating_add(1).to_string();
        format!("{address}/csv?{}", Fields::default().with(&[("cursor", Some(next)), ("part", Some(&part))]))
    });
    let content = html! {
        p .trail { a href=(address) { (id.id()) } }
        h1 { "Interactions as CSV" }
        section .card {
            p {
                @if part > 1 || further.is_some() { "Part " (part) ", " } (bytes(page.text.len() as u64))
                ": one line for each user and interaction, for spreadsheets."
            }
            p {
                a .button .primary href=(format!("{address}/interactions.csv?{this}")) download=(format!("{}-{part}.csv", id.id())) {
                    "Download" @if part > 1 || further.is_some() { " part " (part) }
                }
                @if let Some(further) = &further { " " a .button href=(further) rel="next" { "Next part" } }
            }
            @if further.is_some() { p .hint { "The data goes on in further parts. Each is as large as an answer may be." } }
        }
    };
    Ok(Page::new("Interactions as CSV", Some(&viewer)).within(super::sources::LIST).around(&content))
}

/// The text of a part.
pub(super) async fn download(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path((kind, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Refused> {
    let id = super::named(&kind, &id).or_refused(&viewer)?;
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let page = app.export_csv(&id, fields.get("cursor"), CsvFor::Spreadsheet).await.or_refused(&viewer)?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], page.text).into_response())
}
