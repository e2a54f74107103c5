//! Campaigns, Canvases and tags.

use super::{
    Api, Problem,
    operation::{
        BODY, EDIT, FILTER, LIST, NO_BODY, Operation, cursor, dry_run, flag, if_match, limit, named, query,
        word,
    },
};
use rekindle_domain::{
    id::SourceKind,
    schema::{Id, Words},
};
use rekindle_service::{
    Listing,
    library::{
        BulkAnswer, BulkInput, BulkPinInput, BulkStopInput, CampaignInput, CanvasInput, PinInput, SourceView,
        StopInput, TagView,
    },
};
use rekindle_store::catalog::sources::TimelineEntry;
use serde_json::{Value, json};

pub fn operations(api: &mut Api) {
    for kind in [SourceKind::Campaign, SourceKind::Canvas] {
        let of = Of::new(api, kind);
        of.fields(api);
        of.lifecycle(api);
        of.deletion(api);
        of.lists(api);
        of.export(api);
    }
    bulk(api);
    tags(api);
}

/// The same act on many sources.
fn bulk(api: &mut Api) {
    let items = api.output::<BulkAnswer<Problem>>();
    let example = json!({ "sources": ["campaign/spring-sale", "canvas/welcome"] });
    let (some, stop, pin) =
        (api.input::<BulkInput>(), api.input::<BulkStopInput>(), api.input::<BulkPinInput>());
    let pinned = json!({ "sources": ["campaign/spring-sale"], "reason": "for the yearly report" });
    for (verb, summary, input, example) in [
        ("start", "Starts many campaigns and Canvases", some.clone(), &example),
        ("stop", "Stops many campaigns and Canvases", stop, &example),
        ("pin", "Keeps the data of many campaigns and Canvases", pin, &pinned),
        ("unpin", "Takes the pins of many campaigns and Canvases away", some.clone(), &example),
        ("delete", "Deletes many campaigns and Canvases", some.clone(), &example),
        ("undelete", "Brings many deleted campaigns and Canvases back", some, &example),
    ] {
        let path = format!("/v1/sources/{verb}");
        let has_dry_run = matches!(verb, "stop" | "delete");
        let parameters = if has_dry_run { vec![dry_run()] } else { Vec::new() };
        let mistakes: &[&str] = if has_dry_run { &["invalid_query"] } else { &[] };
        api.add(
            Operation::new("POST", &path, &format!("{verb}_sources"), "Campaigns", "manage", summary)
                .says("One after the other. The answer has an item each, and none hurts another.")
                .with(parameters)
                .takes(input, example)
                .answers(200, "What became of each.", items.clone())
                .refuses(400, &[&BODY[..], mistakes].concat())
                .refuses(413, &["body_too_large"])
                .refuses(422, &["invalid_sources"]),
        );
    }
}

/// The operations of one kind of source.
struct Of {
    kind: SourceKind,
    tag: &'static str,
    /// Its name in operation ids.
    name: &'static str,
    /// Its name in texts for people.
    noun: &'static str,
    view: Value,
    id: Value,
}

/// The header `ETag` of an answer about one thing.
pub fn etag() -> Value {
    json!({
        "description": "Its version, for If-Match. A dry run of what does not exist yet has none.",
        "schema": { "type": "string", "pattern": "^\"[0-9]+\"$" },
    })
}

impl Of {
    fn new(api: &mut Api, kind: SourceKind) -> Self {
        let (tag, noun, example) = match kind {
            SourceKind::Campaign => ("Campaigns", "campaign", "spring-sale"),
            SourceKind::Canvas => ("Canvases", "Canvas", "welcome"),
        };
        let id = named(&format!("The {noun}'s id."), api.input::<Id>(), example);
        Self { kind, tag, name: kind.as_str(), noun, view: api.output::<SourceView>(), id }
    }

    fn on(&self, method: &'static str, rest: &str, verb: &str, summary: &str) -> Operation {
        let path = format!("/v1/{}{rest}", self.kind.plural());
        let scope = if method == "GET" { "read" } else { "manage" };
        let summary = summary.replace("{noun}", self.noun);
        let operation =
            Operation::new(method, &path, &format!("{verb}_{}", self.name), self.tag, scope, &summary);
        if rest.is_empty() { operation } else { operation.with([self.id.clone()]) }
    }

    fn shows(&self, operation: Operation, status: u16, description: &str) -> Operation {
        operation.answers(status, description, self.view.clone()).heads(status, "ETag", etag())
    }

    fn fields(&self, api: &mut Api) {
        let (input, example, variants): (_, _, &[&str]) = match self.kind {
            SourceKind::Campaign => (
                api.input::<CampaignInput>(),
                json!({
                    "name": "Spring sale", "tags": ["promo"], "variants": [{ "id": "A" }, { "id": "B" }],
                    "notify": ["me@example.com"],
                }),
                &["invalid_variants"],
            ),
            SourceKind::Canvas => (
                api.input::<CanvasInput>(),
                json!({
                    "variations": [{ "id": "V1" }], "steps": [{ "id": "s1", "name": "Hello" }], "tags": ["promo"],
                    "audience": { "received": { "source": "campaign/spring-sale" } },
                }),
                &["invalid_variations", "invalid_steps"],
            ),
        };
        let invalid = [
            &["invalid_source", "invalid_status", "invalid_name", "invalid_tags", "invalid_notify"],
            variants,
            &FILTER,
            &["audience_too_wide", "too_many_targets", "too_many_changes", "too_many_bytes"],
        ]
        .concat();
        let put = self
            .on("PUT", "/{id}", "put", "Registers a {noun}, or replaces all its fields")
            .says("A new one is a draft unless `status` says active. Giving an active one another audience needs the data that the audience names.")
            .with([if_match(), dry_run()])
            .takes(input, &example);
        let put = self.shows(put, 200, "Its fields are replaced.");
        let put = self.shows(put, 201, "It is registered.");
        api.add(
            put.refuses(400, &[&BODY[..], &EDIT].concat())
                .refuses(
                    409,
                    &["expired_interaction_data", "too_many_holders", "too_many_users", "source_deleted"],
                )
                .refuses(412, &["precondition_failed"])
                .refuses(413, &["body_too_large"])
                .refuses(422, &invalid),
        );
        let patch = self
            .on("PATCH", "/{id}", "patch", "Changes some fields of a {noun}")
            .says(
                "A JSON merge patch (RFC 7396) of what GET answers. The result is checked as PUT checks it.",
            )
            .with([if_match(), dry_run()])
            .patches(&json!({ "name": "Spring sale", "tags": ["promo"] }));
        api.add(
            self.shows(patch, 200, "It is changed.")
                .refuses(400, &[&BODY[..], &EDIT].concat())
                .refuses(404, &["unknown_source"])
                .refuses(
                    409,
                    &["expired_interaction_data", "too_many_holders", "too_many_users", "source_deleted"],
                )
                .refuses(412, &["precondition_failed"])
                .refuses(413, &["body_too_large"])
                .refuses(415, &["unsupported_media_type"])
                .refuses(422, &invalid),
        );
        let get = self.on("GET", "/{id}", "get", "Shows a {noun} and where its interaction data is");
        api.add(
            self.shows(get, 200, "The source.")
                .refuses(400, &["invalid_id"])
                .refuses(404, &["unknown_source"]),
        );
    }

    fn lifecycle(&self, api: &mut Api) {
        let start = self
            .on("POST", "/{id}/start", "start", "Starts a {noun}")
            .says("Needs its own data and what its audience names. Starting what is active changes nothing.");
        api.add(
            self.shows(start, 200, "It is active.")
                .refuses(400, &[&NO_BODY[..], &["invalid_id"]].concat())
                .refuses(404, &["unknown_source"])
                .refuses(409, &["expired_interaction_data", "too_many_holders", "too_many_users"])
                .refuses(413, &["body_too_large"])
                .refuses(
                    422,
                    &[
                        "unknown_source",
                        "unknown_segment",
                        "audience_too_wide",
                        "too_many_targets",
                        "too_many_changes",
                    ],
                ),
        );
        let stop = self
            .on("POST", "/{id}/stop", "stop", "Stops a {noun}")
            .says("Its data's time counts from then. Stopping what is stopped changes nothing.")
            .with([dry_run()])
            .may_take(api.input::<StopInput>(), &json!({}));
        api.add(
            self.shows(stop, 200, "It is stopped.")
                .refuses(400, &[&NO_BODY[..], &["invalid_id", "invalid_query"]].concat())
                .refuses(404, &["unknown_source"])
                .refuses(409, &["not_started", "already_stopped", "too_many_users"])
                .refuses(413, &["body_too_large"])
                .refuses(
                    422,
                    &[
                        "invalid_at",
                        "unknown_segment",
                        "audience_too_wide",
                        "too_many_targets",
                        "too_many_changes",
                    ],
                ),
        );
        let pin = self
            .on("POST", "/{id}/pin", "pin", "Keeps a {noun}'s data from expiring")
            .says("Over any pin before.")
            .takes(api.input::<PinInput>(), &json!({ "reason": "for the yearly report" }));
        api.add(
            self.shows(pin, 200, "It is pinned.")
                .refuses(400, &[&BODY[..], &["invalid_id"]].concat())
                .refuses(404, &["unknown_source"])
                .refuses(409, &["expired_interaction_data"])
                .refuses(413, &["body_too_large"])
                .refuses(422, &["invalid_reason", "invalid_until"]),
        );
        let unpin = self.on("DELETE", "/{id}/pin", "unpin", "Takes the pin of a {noun} away").says(
            "The data gets no fresh months: data whose time is over by then goes at the end of the notice.",
        );
        api.add(
            self.shows(unpin, 200, "It is not pinned.")
                .refuses(400, &[&NO_BODY[..], &["invalid_id"]].concat())
                .refuses(404, &["unknown_source"])
                .refuses(413, &["body_too_large"]),
        );
    }

    fn deletion(&self, api: &mut Api) {
        let delete = self
            .on("DELETE", "/{id}", "delete", "Deletes a {noun} that nothing names")
            .says("It is hidden at once, can be brought back for seven days, and is gone with its data some hours after that. Deleting again changes nothing.")
            .with([if_match(), dry_run()]);
        api.add(
            self.shows(delete, 200, "It is deleted.")
                .refuses(400, &[&NO_BODY[..], &EDIT].concat())
                .refuses(404, &["unknown_source"])
                .refuses(
                    409,
                    &["source_is_active", "source_is_pinned", "source_is_restoring", "source_in_use"],
                )
                .refuses(412, &["precondition_failed"])
                .refuses(413, &["body_too_large"]),
        );
        let undelete = self
            .on("POST", "/{id}/undelete", "undelete", "Brings a deleted {noun} back")
            .says("As it was. Where it is not deleted, nothing changes.");
        api.add(
            self.shows(undelete, 200, "It is not deleted.")
                .refuses(400, &[&NO_BODY[..], &["invalid_id"]].concat())
                .refuses(404, &["unknown_source"])
                .refuses(409, &["source_is_going"])
                .refuses(413, &["body_too_large"]),
        );
    }

    fn lists(&self, api: &mut Api) {
        let parameters = [
            word("status", "Only of that status.", &["draft", "active", "stopped"]),
            word(
                "state",
                "Only with data in that state.",
                &["available", "expiring", "expired", "restoring"],
            ),
            query("tag", "Only what carries this tag, in any case, as of this moment.", api.input::<Words>()),
            query(
                "q",
                "At most 16 words, each of which stands in the name or the id, in any case.",
                json!({ "type": "string" }),
            ),
            flag(
                "first_sight",
                "Only those that an interaction registered, and that nobody has edited since.",
            ),
            flag("deleted", "The deleted ones, instead of the others."),
            word(
                "sort",
                "updated_at, newest first; expires_at, soonest first. Unless given updated_at or, with `tag`, by id.",
                &["updated_at", "expires_at"],
            ),
            limit(),
            cursor(),
        ];
        let page = api.output::<Listing<SourceView>>();
        api.add(
            self.on("GET", "", "list", "Lists them")
                .says("Unless asked for by tag, a change shows after a moment. A source that changes meanwhile may stand on two pages.")
                .with(parameters)
                .answers(200, "A page.", page)
                .refuses(400, &LIST)
                .refuses(422, &["invalid_tag", "tag_too_wide"]),
        );
        let page = api.output::<Listing<TimelineEntry>>();
        api.add(
            self.on("GET", "/{id}/timeline", "timeline_of", "What happened to a {noun}, newest first")
                .with([limit(), cursor()])
                .answers(200, "A page.", page)
                .refuses(400, &[&LIST[..], &["invalid_id"]].concat())
                .refuses(404, &["unknown_source"]),
        );
    }

    fn export(&self, api: &mut Api) {
        let csv = json!({
            "description": "A page of at most 5 MiB, the header line on the first.",
            "headers": {
                "Link": {
                    "description": "The next page: <…>; rel=\"next\". Not on the last.",
                    "schema": { "type": "string", "pattern": "^<[^>]+>; rel=\"next\"$" },
                },
                "Content-Disposition": { "required": true, "schema": { "type": "string" } },
            },
            "content": {
                "text/csv": {
                    "schema": { "type": "string" },
                    "example": "user_id,kind,channel,variant,step,alias,first_at,last_at\r\nu1,received,email,A,,,2026-11-22T10:00:00.000Z,2026-11-22T10:00:00.000Z\r\n",
                },
            },
        });
        api.add(
            self.on(
                "GET",
                "/{id}/interactions.csv",
                "export",
                "A {noun}'s interaction data as CSV (RFC 4180)",
            )
            .says(
                "A line is a user and one kind of interaction, with the first and the last time it happened.",
            )
            .with([
                word(
                    "for",
                    "`program` unless given. For a `spreadsheet` the first page begins with a byte order mark, and a field that it would run as a formula begins with an apostrophe.",
                    &["program", "spreadsheet"],
                ),
                cursor(),
            ])
            .responds(200, csv)
            .refuses(400, &[&LIST[..], &["invalid_id"]].concat())
            .refuses(404, &["unknown_source"])
            .refuses(409, &["expired_interaction_data"]),
        );
    }
}

fn tags(api: &mut Api) {
    let page = api.output::<Listing<TagView>>();
    let summary = "Lists the tags, with how many sources carry each";
    api.add(
        Operation::new("GET", "/v1/tags", "list_tags", "Campaigns", "read", summary)
            .with([limit(), cursor()])
            .answers(200, "A page, by tag.", page)
            .refuses(400, &LIST),
    );
}
