//! The form for a source's name, tags and addresses.

use super::super::{OrRefused, Refused, Viewer, forms::Fields};
use crate::{
    html::{Page, sentence},
    words,
};
use axum::{
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use http::StatusCode;
use maud::{Markup, html};
use rekindle_domain::id::SourceId;
use rekindle_service::{
    Problem, ProblemKind, Rekindle,
    library::{Edit, Said, SourceInput, SourceView},
};

/// The fields as a person typed them.
struct Typed {
    name: String,
    tags: String,
    notify: String,
    version: u64,
}

impl Typed {
    fn of(view: &SourceView) -> Self {
        let tags: Vec<&str> = view.tags.iter().map(String::as_str).collect();
        Self {
            name: view.name.clone(),
            tags: tags.join("\n"),
            notify: view.notify.join("\n"),
            version: view.version,
        }
    }

    fn read(fields: &Fields) -> Self {
        let text = |name| fields.get(name).unwrap_or_default().to_owned();
        let version = fields.get("version").and_then(|version| version.parse().ok()).unwrap_or_default();
        Self { name: text("name"), tags: text("tags"), notify: text("notify"), version }
    }

    /// The source with the fields as they were typed.
    fn said(&self) -> Said<SourceInput, SourceView> {
        let lines = |text: &str| -> Vec<String> {
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        let (name, tags, notify) = (self.name.clone(), lines(&self.tags), lines(&self.notify));
        Said::Change(Box::new(move |view: &SourceView| {
            Ok(SourceInput {
                name: Some(name.clone()).filter(|name| !name.is_empty()),
                tags: tags.clone(),
                notify: notify.clone(),
                variants: view.variants.clone().or_else(|| view.variations.clone()).unwrap_or_default(),
                steps: view.steps.clone().unwrap_or_default(),
                audience: view.audience.as_ref().map(|audience| audience.to_json()),
                ..SourceInput::default()
            })
        }))
    }
}

pub(super) async fn show(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Markup, Refused> {
    let id = super::named(&kind, &id).or_refused(&viewer)?;
    let view = app.get_source(&id).await.or_refused(&viewer)?;
    Ok(form(&viewer, &id, &Typed::of(&view), None))
}

/// Saves the fields. If somebody changed the source since the form was made, the form comes back as it was typed, beside the
/// fields as they are now.
pub(super) async fn save(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path((kind, id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Refused> {
    let id = super::named(&kind, &id).or_refused(&viewer)?;
    let typed = Typed::read(&Fields::of_body(body).await.or_refused(&viewer)?);
    let how = Edit { if_match: Some(typed.version), ..Edit::default() };
    let problem = match app.edit_source(&id, &typed.said(), how, &viewer.caller).await {
        Ok(_) => return Ok(Redirect::to(&words::address(&id)).into_response()),
        Err(problem) => problem,
    };
    match problem.kind {
        ProblemKind::PreconditionFailed => {
            let now = app.get_source(&id).await.or_refused(&viewer)?;
            let again = Typed { version: now.version, ..typed };
            let page = form(&viewer, &id, &again, Some(changed(&Typed::of(&now))));
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        ProblemKind::Unprocessable | ProblemKind::BadRequest | ProblemKind::Conflict => {
            let page = form(&viewer, &id, &typed, Some(refused(&problem)));
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        _ => Err(Refused::of(&problem, &viewer)),
    }
}

fn refused(problem: &Problem) -> Markup {
    html! { p .refused role="alert" { (sentence(&problem.detail)) } }
}

/// Says that somebody else changed the source meanwhile, and to what.
fn changed(now: &Typed) -> Markup {
    html! {
        div .refused role="alert" {
            p { "Somebody changed this while you were typing. It has these values now; yours are in the form below. Save again to put yours in their place." }
            dl {
                dt { "Name" } dd dir="auto" { (now.name) }
                dt { "Tags" } dd dir="auto" { (now.tags.replace('\n', ", ")) }
                dt { "Addresses" } dd { (now.notify.replace('\n', ", ")) }
            }
        }
    }
}

fn form(viewer: &Viewer, id: &SourceId, typed: &Typed, notice: Option<Markup>) -> Markup {
    let address = words::address(id);
    let content = html! {
        p .trail { a href=(address) { (id.id()) } }
        h1 { "Edit " (id.id()) }
        @if let Some(notice) = notice { (notice) }
        form .card .fields method="post" action=(format!("{address}/edit")) {
            input type="hidden" name="version" value=(typed.version);
            label for="name" { "Name" }
            input #name name="name" dir="auto" value=(typed.name) maxlength="512" autocomplete="off";
            label for="tags" { "Tags, one on each line" }
            textarea #tags name="tags" rows="4" dir="auto" spellcheck="false" { (typed.tags) }
            label for="notify" { "Addresses that get mails about its data, one on each line" }
            textarea #notify name="notify" rows="4" spellcheck="false" { (typed.notify) }
            p { button .primary { "Save" } " " a .button href=(address) { "Cancel" } }
        }
    };
    Page::new("Edit", Some(viewer)).within(super::sources::LIST).around(&content)
}
