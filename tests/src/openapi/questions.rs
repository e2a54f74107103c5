//! Interactions, audiences, users, expirations, restores, and the document itself.

use super::{
    Api, Problem,
    operation::{
        BODY, FILTER, LIST, NO_BODY, Operation, cursor, header, idempotency_key, limit, named, query,
    },
};
use rekindle_domain::{
    id::RequestId,
    interaction::MAX_ITEMS,
    schema::{GivenTime, Interaction, UserId},
};
use rekindle_service::{
    Listing,
    access::Health,
    audience::{Count, CountRequest, Match, MatchRequest, Members, MembersRequest, UserProfile},
    ingest::Accepted,
    library::{Expiration, MergeInput, MergeView, MergesAnswer, MergesInput},
    restore::{Estimate, RequestView, RestoreInput},
};
use serde_json::json;

pub fn operations(api: &mut Api) {
    interactions(api);
    audiences(api);
    users(api);
    merges(api);
    expirations(api);
    estimate(api);
    restores(api);
    let health = api.output::<Health>();
    api.add(
        Operation::new("GET", "/v1/health", "get_health", "Operations", "read", "Whether the store answers")
            .answers(200, "It does.", health)
            .refuses(400, &["invalid_query"]),
    );
    api.add(
        Operation::new("GET", "/openapi.json", "openapi", "Operations", "read", "This document").answers(
            200,
            "The document.",
            json!({ "type": "object", "required": ["openapi", "info", "paths"] }),
        ),
    );
}

fn interactions(api: &mut Api) {
    let list = json!({
        "type": "array", "items": api.input::<Interaction>(), "minItems": 1, "maxItems": MAX_ITEMS,
    });
    let envelope = json!({
        "type": "object", "required": ["interactions"], "additionalProperties": false,
        "properties": { "interactions": list },
    });
    let lines = concat!(
        r#"{"user_id":"u1","campaign_id":"spring-sale","type":"received","channel":"email","variant_id":"A"}"#,
        "\n",
        r#"{"user_id":"u2","canvas_id":"welcome","type":"entered","variation_id":"V1"}"#,
        "\n",
    );
    let batch = json!({
        "interactions": [
            { "user_id": "u1", "campaign_id": "spring-sale", "type": "received", "channel": "email", "variant_id": "A" },
            { "user_id": "u1", "campaign_id": "spring-sale", "type": "clicked", "channel": "email", "link_alias": "cta" },
        ],
    });
    let content = json!({
        "application/json": { "schema": { "oneOf": [envelope, list] }, "example": batch },
        "application/x-ndjson": {
            "schema": { "type": "string", "description": "An Interaction a line. Blank lines do not count." },
            "example": lines,
        },
    });
    let encoding = header(
        "Content-Encoding",
        "How the body is compressed.",
        json!({ "type": "string", "enum": ["identity", "gzip", "zstd"], "default": "identity" }),
    );
    let accepted = api.output::<Accepted>();
    api.add(
        Operation::new(
            "POST",
            "/v1/interactions",
            "post_interactions",
            "Interactions",
            "ingest",
            "Takes a batch of interactions in",
        )
        .says("At most 4 MiB as sent, 32 MiB decompressed, 100,000 interactions and 1,000 sources. Accepted interactions are durable, whatever else was in the batch; sending it again is safe where its interactions have a `time`. A bad interaction never hurts the others: it is listed as rejected. Any content type but that of NDJSON is taken for JSON.")
        .with([encoding])
        .takes_any(true, &content)
        .answers(200, "Accepted interactions are durable.", accepted)
        .refuses(400, &["invalid_json", "invalid_batch", "invalid_encoding", "invalid_header", "incomplete_body"])
        .refuses(413, &["body_too_large", "batch_too_large"])
        .refuses(415, &["unsupported_encoding"])
        .refuses(422, &["nothing_accepted"]),
    );
}

fn audiences(api: &mut Api) {
    let filter = json!({
        "all": [
            { "received": { "source": "campaign/spring-sale", "variant": "B" } },
            { "not": { "clicked": { "source": "campaign/spring-sale" } } },
        ],
    });
    let on = |name: &str, summary: &str| {
        let path = format!("/v1/audiences/{name}");
        Operation::new("POST", &path, &format!("{name}_audience"), "Audiences", "read", summary)
            .refuses(409, &["expired_interaction_data"])
            .refuses(413, &["body_too_large"])
    };
    let wide = [&FILTER[..], &["filter_too_wide"]].concat();
    let paged = [&BODY[..], &["invalid_cursor"]].concat();
    let (input, output) = (api.input::<CountRequest>(), api.output::<Count>());
    api.add(
        on("count", "How many match")
            .says("Goes on for some 20 seconds; if the time ends first, it is of those looked at so far, and the counts of all pages add up.")
            .takes(input, &json!({ "filter": filter }))
            .answers(200, "The count.", output)
            .refuses(400, &paged)
            .refuses(422, &[&wide[..], &["archive_too_wide"]].concat()),
    );
    let (input, output) = (api.input::<MembersRequest>(), api.output::<Members>());
    api.add(
        on("members", "Who matches, in pages")
            .says("By a hash of the user id. A page also ends at 5 MB. A cursor goes with the same filter and fixes the time that periods count from; a user who matches all the while stands on one page.")
            .takes(input, &json!({ "filter": filter, "limit": 100 }))
            .answers(200, "A page of user ids.", output)
            .refuses(400, &paged)
            .refuses(422, &[&wide[..], &["archive_too_wide", "invalid_limit"]].concat()),
    );
    let (input, output) = (api.input::<MatchRequest>(), api.output::<Match>());
    api.add(
        on("match", "Whether one user matches")
            .takes(input, &json!({ "filter": filter, "user_id": "u1" }))
            .answers(200, "The answer.", output)
            .refuses(400, &BODY)
            .refuses(422, &[&wide[..], &["invalid_user_id"]].concat()),
    );
}

fn users(api: &mut Api) {
    let mut user = query("user_id", "Which user.", api.input::<UserId>());
    user["required"] = true.into();
    user["example"] = "u1".into();
    let output = api.output::<UserProfile>();
    api.add(
        Operation::new("GET", "/v1/users", "user_profile", "Users", "read", "What is known of one user")
            .says("Looks at `limit` sources a page, last updated first, and lists those that know the user. A user nobody knows gets an answer, too.")
            .with([user, limit(), cursor()])
            .answers(200, "A page of the profile.", output)
            .refuses(400, &LIST)
            .refuses(422, &["invalid_user_id"]),
    );
}

fn merges(api: &mut Api) {
    let pair = json!({ "from": "anonymous-7", "into": "u1" });
    let (input, some) = (api.input::<MergeInput>(), api.input::<MergesInput>());
    let (output, outcomes) = (api.output::<MergeView>(), api.output::<MergesAnswer<Problem>>());
    let listing = api.output::<Listing<MergeView>>();
    api.add(
        Operation::new("POST", "/v1/users/merge", "merge_user", "Users", "manage", "Two user ids are one person")
            .says("All that arrived and will arrive under `from` belongs to the person of `into`. Sending it again is safe. A merge is final.")
            .takes(input, &pair)
            .answers(200, "The merge, now or as it was made before.", output)
            .refuses(400, &BODY)
            .refuses(409, &["already_merged", "merge_cycle", "too_many_ids", "too_many_merges"])
            .refuses(413, &["body_too_large"])
            .refuses(422, &["same_user", "invalid_user_id"]),
    );
    let number = json!({ "type": "integer", "minimum": 0, "default": 0 });
    let after = query("after", "Only merges after the one of this number.", number);
    let path = "/v1/users/merges";
    api.add(
        Operation::new("POST", path, "merge_users", "Users", "manage", "Merges many user ids")
            .says("One after the other. The answer has an item each, and none hurts another.")
            .takes(some, &json!({ "merges": [pair] }))
            .answers(200, "What became of each.", outcomes)
            .refuses(400, &BODY)
            .refuses(413, &["body_too_large"])
            .refuses(422, &["invalid_merges"]),
    );
    api.add(
        Operation::new("GET", path, "list_merges", "Users", "read", "All merges of user ids, oldest first")
            .with([after, limit(), cursor()])
            .answers(200, "A page of merges.", listing)
            .refuses(400, &LIST),
    );
}

fn expirations(api: &mut Api) {
    let until = query(
        "until",
        "By when; 30 days ahead unless given. Beside a cursor it must be the same.",
        api.input::<GivenTime>(),
    );
    let page = api.output::<Listing<Expiration>>();
    api.add(
        Operation::new(
            "GET",
            "/v1/expirations",
            "list_expirations",
            "Retention",
            "read",
            "What expires by then",
        )
        .says("First what expires, soonest first, then what is kept although its time is over by then.")
        .with([until, limit(), cursor()])
        .answers(200, "A page.", page)
        .refuses(400, &LIST),
    );
}

/// The codes of a restore request's body that does not fit.
const RESTORE_BODY: [&str; 8] = [
    "sources_or_tag",
    "invalid_source",
    "invalid_sources",
    "unknown_source",
    "invalid_tag",
    "unknown_tag",
    "tag_too_wide",
    "invalid_notify",
];

fn estimate(api: &mut Api) {
    let (input, estimate) = (api.input::<RestoreInput>(), api.output::<Estimate>());
    api.add(
        Operation::new(
            "POST",
            "/v1/restores/estimate",
            "estimate_restore",
            "Restores",
            "read",
            "Estimates a restore before it is asked for",
        )
        .says("Takes the body of a restore request and changes nothing. `seconds` assumes the speed that a new request's `eta_seconds` assumes.")
        .takes(input, &json!({ "sources": ["campaign/spring-sale"] }))
        .answers(200, "The estimate.", estimate)
        .refuses(400, &BODY)
        .refuses(413, &["body_too_large"])
        .refuses(422, &RESTORE_BODY),
    );
}

fn restores(api: &mut Api) {
    let id = named("The request's id.", api.input::<RequestId>(), "01KBYD3Q8W4Y2N6M5T7R9V0XZA");
    let on = |method: &'static str, rest: &str, name: &str, summary: &str| {
        let scope = if method == "GET" { "read" } else { "manage" };
        Operation::new(method, &format!("/v1/restores{rest}"), name, "Restores", scope, summary)
    };
    let (input, view) = (api.input::<RestoreInput>(), api.output::<RequestView>());
    let key = idempotency_key("With it, the same request again within 24 hours answers the first.");
    let link =
        |operation: &str| json!({ "operationId": operation, "parameters": { "id": "$response.body#/id" } });
    let made = json!({
        "description": "The request is queued.",
        "content": { "application/json": { "schema": view } },
        "links": { "show": link("get_restore"), "cancel": link("cancel_restore") },
    });
    api.add(
        on("POST", "", "create_restore", "Asks for expired data to be restored")
            .says("Name `sources`, or a `tag`, which stands for the sources that carry it now; 1,000 at most. A source that was available begins its retention period anew if it was named, and is left alone if it was found by tag.")
            .with([key])
            .takes(input, &json!({ "sources": ["campaign/spring-sale"], "notify": ["me@example.com"] }))
            .responds(202, made)
            .refuses(400, &[&BODY[..], &["invalid_header"]].concat())
            .refuses(409, &["idempotency_key_reused"])
            .refuses(413, &["body_too_large"])
            .refuses(422, &[&RESTORE_BODY[..], &["invalid_idempotency_key"]].concat()),
    );
    let page = api.output::<Listing<RequestView>>();
    api.add(
        on("GET", "", "list_restores", "Lists requests, newest first")
            .says("Without their items, and at most 50 a page.")
            .with([limit(), cursor()])
            .answers(200, "A page.", page)
            .refuses(400, &LIST),
    );
    api.add(
        on("GET", "/{id}", "get_restore", "Shows a request and how far it is")
            .with([id.clone()])
            .answers(200, "The request.", view.clone())
            .refuses(404, &["unknown_restore"]),
    );
    api.add(
        on("POST", "/{id}/cancel", "cancel_restore", "Gives a request up")
            .says("Another request that waits for the same data still gets it.")
            .with([id])
            .answers(200, "It is given up.", view)
            .refuses(400, &NO_BODY)
            .refuses(404, &["unknown_restore"])
            .refuses(409, &["restore_has_ended"])
            .refuses(413, &["body_too_large"]),
    );
}
