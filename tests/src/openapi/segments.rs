//! Segments.

use super::{
    Api,
    operation::{BODY, EDIT, FILTER, LIST, Operation, cursor, dry_run, if_match, limit, named},
    sources::etag,
};
use rekindle_domain::schema::Id;
use rekindle_service::{
    Listing,
    library::{SegmentInput, SegmentView},
};
use serde_json::{Value, json};

pub fn operations(api: &mut Api) {
    edits(api);
    reads(api);
}

fn on(method: &'static str, rest: &str, verb: &str, summary: &str) -> Operation {
    let scope = if method == "GET" { "read" } else { "manage" };
    let path = format!("/v1/segments{rest}");
    Operation::new(method, &path, verb, "Segments", scope, summary)
}

fn id(api: &mut Api) -> Value {
    named("The segment's id.", api.input::<Id>(), "fans")
}

fn edits(api: &mut Api) {
    let (id, view) = (id(api), api.output::<SegmentView>());
    let input = api.input::<SegmentInput>();
    let example = json!({
        "name": "Clicked in spring", "filter": { "clicked": { "source": "campaign/spring-sale" } },
    });
    let invalid = [
        &[
            "invalid_segment",
            "invalid_name",
            "segment_cycle",
            "audience_too_wide",
            "too_many_targets",
            "too_many_changes",
        ],
        &FILTER[..],
    ]
    .concat();
    api.add(
        on("PUT", "/{id}", "put_segment", "Makes a segment, or replaces what was said of it")
            .with([id.clone(), if_match(), dry_run()])
            .takes(input, &example)
            .answers(200, "It is replaced.", view.clone())
            .answers(201, "It is made.", view.clone())
            .heads(200, "ETag", etag())
            .heads(201, "ETag", etag())
            .refuses(400, &[&BODY[..], &EDIT].concat())
            .refuses(409, &["expired_interaction_data", "too_many_holders", "too_many_users"])
            .refuses(412, &["precondition_failed"])
            .refuses(413, &["body_too_large"])
            .refuses(422, &invalid),
    );
    api.add(
        on("PATCH", "/{id}", "patch_segment", "Changes some fields of a segment")
            .says(
                "A JSON merge patch (RFC 7396) of what GET answers. The result is checked as PUT checks it.",
            )
            .with([id.clone(), if_match(), dry_run()])
            .patches(&json!({ "name": "Clicked in spring" }))
            .answers(200, "It is changed.", view)
            .heads(200, "ETag", etag())
            .refuses(400, &[&BODY[..], &EDIT].concat())
            .refuses(404, &["unknown_segment"])
            .refuses(409, &["expired_interaction_data", "too_many_holders", "too_many_users"])
            .refuses(412, &["precondition_failed"])
            .refuses(413, &["body_too_large"])
            .refuses(415, &["unsupported_media_type"])
            .refuses(422, &invalid),
    );
    api.add(
        on("DELETE", "/{id}", "delete_segment", "Deletes a segment that nothing uses")
            .with([id, if_match(), dry_run()])
            .responds(204, json!({ "description": "It is deleted." }))
            .refuses(400, &EDIT)
            .refuses(404, &["unknown_segment"])
            .refuses(409, &["segment_in_use"])
            .refuses(412, &["precondition_failed"])
            .refuses(422, &["too_many_changes"]),
    );
}

fn reads(api: &mut Api) {
    let (id, view) = (id(api), api.output::<SegmentView>());
    api.add(
        on("GET", "/{id}", "get_segment", "Shows a segment")
            .with([id])
            .answers(200, "The segment.", view)
            .heads(200, "ETag", etag())
            .refuses(400, &["invalid_id"])
            .refuses(404, &["unknown_segment"]),
    );
    let page = api.output::<Listing<SegmentView>>();
    api.add(
        on("GET", "", "list_segments", "Lists segments, last changed first")
            .with([limit(), cursor()])
            .answers(200, "A page.", page)
            .refuses(400, &LIST),
    );
}
