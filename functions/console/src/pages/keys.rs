//! Keys: made, given another secret, and revoked. A secret stands on the one page that answers the act which made it.

use super::{OrRefused, Refused, Viewer, forms::Fields};
use crate::{
    html::{Page, sentence, time},
    session::{is_secure, with_session},
};
use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::{HeaderMap, Method, StatusCode, Uri};
use maud::{Markup, html};
use rekindle_domain::{
    id::KeyId,
    key::{
        Scope::{self, Admin},
        Token,
    },
};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Listing, Problem, Rekindle,
    access::{KeyInput, KeyView, RotateInput},
};
use std::collections::{BTreeSet, HashMap};

pub(super) const ROUTES: &[Route] = &[
    (Method::GET, "/console/keys", Admin),
    (Method::POST, "/console/keys", Admin),
    (Method::GET, "/console/keys/{id}/rotate", Admin),
    (Method::POST, "/console/keys/{id}/rotate", Admin),
    (Method::GET, "/console/keys/{id}/revoke", Admin),
    (Method::POST, "/console/keys/{id}/revoke", Admin),
];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/console/keys", get(list).post(make))
        .route("/console/keys/{id}/rotate", get(ask_rotate).post(rotate))
        .route("/console/keys/{id}/revoke", get(ask_revoke).post(revoke))
}

/// How many keys a page shows.
const PAGE: usize = 200;

/// For how long an old secret may go on: the service's period, and its words.
const OVERLAPS: [(&str, &str); 4] = [
    ("P1D", "For a day"),
    ("P7D", "For seven days"),
    ("PT1H", "For an hour"),
    ("none", "Not at all: it ends within seconds"),
];

const SCOPES: [Scope; 4] = [Scope::Ingest, Scope::Read, Scope::Manage, Scope::Admin];

/// The scope in words, for the form that makes a key.
const fn explained(scope: Scope) -> &'static str {
    match scope {
        Scope::Ingest => "Post interactions, and nothing else. For the systems that send.",
        Scope::Read => "Look at everything but keys and the audit trail, and ask about audiences.",
        Scope::Manage => "Also start, stop, pin and edit campaigns, Canvases and segments, and restore data.",
        Scope::Admin => "Also make and revoke keys, and read the audit trail.",
    }
}

const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Ingest => "Post",
        Scope::Read => "Look",
        Scope::Manage => "Manage",
        Scope::Admin => "Administer",
    }
}

fn id_of(text: &str) -> Result<KeyId, Problem> {
    text.parse().map_err(|_| Problem::not_found("unknown_key", format!("there is no key {text}")))
}

/// The names of keys, by `key/ID`.
pub(super) async fn names(app: &Rekindle) -> Result<HashMap<String, String>, Problem> {
    let (mut names, mut cursor) = (HashMap::new(), None::<String>);
    loop {
        let page = app.list_keys(cursor.as_deref(), 1_000).await?;
        names.extend(page.items.into_iter().map(|key| (format!("key/{}", key.id), key.name)));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(names);
        }
    }
}

/// What was typed into the form that makes a key, and why it was refused.
#[derive(Default)]
struct Typed {
    name: String,
    scopes: BTreeSet<Scope>,
    refused: Option<String>,
}

async fn list(State(app): State<Rekindle>, viewer: Viewer, uri: Uri) -> Result<Markup, Refused> {
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    page(&app, &viewer, &fields, &Typed::default()).await.or_refused(&viewer)
}

async fn page(app: &Rekindle, viewer: &Viewer, fields: &Fields, typed: &Typed) -> Result<Markup, Problem> {
    let Listing { items, next } = app.list_keys(fields.get("cursor"), PAGE).await?;
    let makers = names(app).await?;
    let (living, revoked): (Vec<_>, Vec<_>) = items.into_iter().partition(|key| key.revoked_at.is_none());
    let content = html! {
        h1 { "Keys" }
        p .note {
            "Each system and each person has a key of their own. "
            a href="/console/audit" { "The audit trail" } " says which key did what."
        }
        @if !living.is_empty() { (table("In use", viewer, &living, &makers)) }
        (form(typed))
        @if !revoked.is_empty() { (table("Revoked", viewer, &revoked, &makers)) }
        @if let Some(next) = next {
            p { a .button rel="next" href=(format!("/console/keys?{}", fields.with(&[("cursor", Some(&next))]))) { "Further ones" } }
        }
    };
    Ok(Page::new("Keys", Some(viewer)).within("/console/keys").around(&content))
}

fn table(title: &str, viewer: &Viewer, keys: &[KeyView], makers: &HashMap<String, String>) -> Markup {
    html! {
        section .card {
            h2 { (title) }
            div .scroll {
                table .keys {
                    thead {
                        tr {
                            th scope="col" { "Name" } th scope="col" { "May" } th scope="col" { "Made" } th scope="col" { "Secret" }
                            th scope="col" { "Acts" }
                        }
                    }
                    tbody { @for key in keys { (row(viewer, key, makers)) } }
                }
            }
        }
    }
}

fn row(viewer: &Viewer, key: &KeyView, makers: &HashMap<String, String>) -> Markup {
    let maker = makers.get(&key.created_by).unwrap_or(&key.created_by);
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope_name(*scope)).collect();
    html! {
        tr #{ "key-" (key.id) } {
            td .name {
                strong dir="auto" { (key.name) }
                @if key.id == viewer.key { " " span .state { "Yours" } }
                div .id { (key.id) }
            }
            td data-label="May" { (scopes.join(", ")) }
            td data-label="Made" { (time(key.created_at)) div .hint { "by " bdi { (maker) } } }
            td data-label="Secret" {
                @if let Some(at) = key.rotated_at { "New since " (time(at)) } @else { "The first one" }
                @if let Some(until) = key.old_secret_until { div .hint { "The old one goes on until " (time(until)) } }
            }
            td {
                @if let Some(at) = key.revoked_at {
                    "Revoked on " (time(at))
                } @else {
                    div .choices {
                        a .button href=(format!("/console/keys/{}/rotate", key.id)) aria-label=(format!("New secret for {}", key.name)) { "New secret" }
                        a .button href=(format!("/console/keys/{}/revoke", key.id)) aria-label=(format!("Revoke {}", key.name)) { "Revoke" }
                    }
                }
            }
        }
    }
}

fn form(typed: &Typed) -> Markup {
    html! {
        section .card {
            h2 #make { "Make a key" }
            form method="post" action="/console/keys" aria-labelledby="make" {
                @if let Some(why) = &typed.refused { p .refused role="alert" { (why) } }
                label for="name" { "Name" }
                input #name .short name="name" value=(typed.name) required dir="auto" autocomplete="off" aria-describedby="name-hint";
                p #name-hint .hint { "The system or the person that will use it." }
                fieldset {
                    legend { "What it may do" }
                    @for scope in SCOPES {
                        label .tick {
                            input type="checkbox" name="scope" value=(scope.as_str()) checked[typed.scopes.contains(&scope)];
                            span { strong { (scope_name(scope)) } " " span .hint { (explained(scope)) } }
                        }
                    }
                }
                p { button .primary { "Make the key" } }
            }
        }
    }
}

async fn make(State(app): State<Rekindle>, viewer: Viewer, body: Body) -> Result<Response, Refused> {
    let fields = Fields::of_body(body).await.or_refused(&viewer)?;
    let named = |scope: &Scope| fields.all("scope").any(|name| name == scope.as_str());
    let name = fields.get("name").unwrap_or_default().to_owned();
    let input = KeyInput { name, scopes: SCOPES.into_iter().filter(named).collect() };
    let problem = match app.create_key(&input, &viewer.caller).await {
        Ok(key) => return Ok(secret(&viewer, "The key is made", &key).into_response()),
        Err(problem) => problem,
    };
    let refused = match problem.code {
        "invalid_scopes" => "Tick at least one thing that the key may do.".to_owned(),
        "invalid_name" | "too_many_keys" => sentence(&problem.detail),
        _ => return Err(Refused::of(&problem, &viewer)),
    };
    let typed = Typed { name: input.name, scopes: input.scopes, refused: Some(refused) };
    let page = page(&app, &viewer, &Fields::default(), &typed).await.or_refused(&viewer)?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// The page with a new secret, which no other page shows, and no cache keeps.
fn secret(viewer: &Viewer, title: &str, key: &KeyView) -> Markup {
    let whole = key.key.as_deref().unwrap_or_default();
    Page::new(title, Some(viewer)).within("/console/keys").around(&html! {
        section .card .secret-page {
            h1 { (title) }
            p .note dir="auto" { strong { (key.name) } }
            p .mind role="status" { "Copy it now: it is shown this once. Rekindle does not keep it." }
            code #secret .secret { (whole) }
            p { button .primary type="button" data-copy="secret" aria-live="polite" hidden { "Copy the key" } }
            p .hint { "Programs send it in the header " code { "Authorization: Bearer" } ". People paste it into the sign-in page." }
            @if let Some(until) = key.old_secret_until { p { "The old secret goes on until " (time(until)) "." } }
            p { a .button href="/console/keys" { "I have copied it" } }
        }
    })
}

/// A living key that an act is about.
async fn living(app: &Rekindle, id: &str) -> Result<KeyView, Problem> {
    let key = app.get_key(id_of(id)?).await?;
    if key.revoked_at.is_some() {
        let detail = format!("the key {} was revoked, and stays so; make a new one", key.name);
        return Err(Problem::conflict("key_revoked", detail));
    }
    Ok(key)
}

async fn ask_rotate(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Markup, Refused> {
    let key = living(&app, &id).await.or_refused(&viewer)?;
    let content = html! {
        form .card .narrow method="post" action=(format!("/console/keys/{}/rotate", key.id)) {
            h1 { "New secret for " bdi { (key.name) } }
            p { "The key gets another secret, which you see once. It stays the same key, with the same name and the same rights." }
            label for="grace" { "The old secret goes on" }
            select #grace name="grace" {
                // Under the reader's own key the old secret goes on: if the answer is lost, it is the only way in.
                @for (period, text) in OVERLAPS.iter().filter(|(period, _)| key.id != viewer.key || *period != "none") {
                    option value=(period) { (text) }
                }
            }
            p .hint { "Give the new one to all who use the key within this time." }
            @if let Some(until) = key.old_secret_until {
                p .mind { "The secret before the present one goes on until " (time(until)) ". It ends now." }
            }
            // A form that arrives twice, by a double click, makes one rotation: the second takes the place of the first.
            input type="hidden" name="since" value=(key.rotated_at.unwrap_or(key.created_at));
            p { button .primary { "Make a new secret" } " " a .button href="/console/keys" { "Leave it" } }
        }
    };
    Ok(Page::new("New secret", Some(&viewer)).within("/console/keys").around(&content))
}

async fn rotate(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let id = id_of(&id).or_refused(&viewer)?;
    let fields = Fields::of_body(body).await.or_refused(&viewer)?;
    let grace = fields.get("grace").filter(|grace| *grace != "none").map(str::to_owned);
    let again = fields.get("since").map(|since| format!("console/{}/{since}", viewer.key));
    let by = &viewer.caller;
    let key = app.rotate_key(id, &RotateInput { grace }, again.as_deref(), by).await.or_refused(&viewer)?;
    let page = secret(&viewer, "The key has a new secret", &key).into_response();
    if id != viewer.key {
        return Ok(page);
    }
    // The reader's own key: the session goes on under the new secret.
    let token = key.key.as_deref().and_then(|key| key.parse::<Token>().ok());
    let Some(token) = token else { return Ok(page) };
    // If no session can be opened, the secret is on the page; the reader signs in with it.
    let Ok(Ok(key)) = app.verify(&token).await else { return Ok(page) };
    Ok(match app.open_session(&key).await {
        Ok(session) => with_session(page, &session, is_secure(&headers)),
        Err(_) => page,
    })
}

async fn ask_revoke(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Markup, Refused> {
    let key = living(&app, &id).await.or_refused(&viewer)?;
    Ok(revoke_page(&viewer, &key, None))
}

/// Says which things stop working.
fn revoke_page(viewer: &Viewer, key: &KeyView, refused: Option<&str>) -> Markup {
    let posts = key.scopes.contains(&Scope::Ingest);
    let signs_in = key.scopes.iter().any(|scope| scope.allows(Scope::Read));
    let content = html! {
        form .card .narrow method="post" action=(format!("/console/keys/{}/revoke", key.id)) {
            h1 { "Revoke " bdi { (key.name) } "?" }
            @if let Some(why) = refused { p .refused role="alert" { (why) } }
            p { "Within seconds, and for ever:" }
            ul {
                @if posts { li { "The systems that post interactions with it are refused. What they send is not taken." } }
                @if signs_in {
                    li { "The programs that ask Rekindle with it are refused." }
                    li { "The people who signed in to this console with it are signed out." }
                }
                @if key.old_secret_until.is_some() { li { "Its old secret, which still goes on, ends as well." } }
            }
            @if key.id == viewer.key { p .mind { "You are signed in with this key: you will be signed out." } }
            p .hint { "Give those who need one another key first. What this key did stays in the audit trail." }
            p { button .danger { "Revoke the key" } " " a .button href="/console/keys" { "Keep it" } }
        }
    };
    Page::new("Revoke a key", Some(viewer)).within("/console/keys").around(&content)
}

async fn revoke(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let id = id_of(&id).or_refused(&viewer)?;
    match app.revoke_key(id, &viewer.caller).await {
        Ok(()) => Ok(Redirect::to("/console/keys").into_response()),
        Err(problem) if problem.code == "last_admin_key" => {
            let key = app.get_key(id).await.or_refused(&viewer)?;
            let page = revoke_page(&viewer, &key, Some(&sentence(&problem.detail)));
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(problem) => Err(Refused::of(&problem, &viewer)),
    }
}
