//! Keys and the audit trail.

use super::{
    Api,
    operation::{BODY, LIST, NO_BODY, Operation, cursor, idempotency_key, limit, named, query},
};
use rekindle_domain::id::KeyId;
use rekindle_service::{
    Listing,
    access::{KeyInput, KeyView, RotateInput},
};
use rekindle_store::catalog::audit::AuditEntry;
use serde_json::json;

pub fn operations(api: &mut Api) {
    let on = |method: &'static str, rest: &str, name: &str, summary: &str| {
        Operation::new(method, &format!("/v1/keys{rest}"), name, "Operations", "admin", summary)
    };
    let id = named("The key's id.", api.input::<KeyId>(), "01KBYD3Q8W4Y2N6M5T7R9V0XZA");
    let view = api.output::<KeyView>();
    let page = api.output::<Listing<KeyView>>();
    api.add(
        on("GET", "", "list_keys", "Lists keys, those that were revoked among them, by age")
            .with([limit(), cursor()])
            .answers(200, "A page.", page)
            .refuses(400, &LIST),
    );
    let input = api.input::<KeyInput>();
    api.add(
        on("POST", "", "create_key", "Makes a key")
            .says("Its secret is in this answer and nowhere else. At most 100 are in use.")
            .takes(input, &json!({ "name": "dashboard", "scopes": ["read"] }))
            .answers(201, "It is made.", view.clone())
            .refuses(400, &BODY)
            .refuses(409, &["too_many_keys"])
            .refuses(413, &["body_too_large"])
            .refuses(422, &["invalid_name", "invalid_scopes"]),
    );
    let input = api.input::<RotateInput>();
    api.add(
        on("POST", "/{id}/rotate", "rotate_key", "Gives a key another secret")
            .says("It is in this answer and nowhere else. With `grace` the old one goes on for that long, at most P7D.")
            .with([id.clone(), idempotency_key("With it, the same rotation again within 24 hours takes the place of the first.")])
            .may_take(input, &json!({ "grace": "PT1H" }))
            .answers(200, "It has another secret.", view)
            .refuses(400, &[&NO_BODY[..], &["invalid_header"]].concat())
            .refuses(404, &["unknown_key"])
            .refuses(409, &["key_revoked"])
            .refuses(413, &["body_too_large"])
            .refuses(422, &["invalid_grace", "invalid_idempotency_key"]),
    );
    api.add(
        on("DELETE", "/{id}", "revoke_key", "Revokes a key")
            .says("It opens nothing after 5 seconds at most. Revoking again changes nothing.")
            .with([id])
            .responds(204, json!({ "description": "It is revoked." }))
            .refuses(404, &["unknown_key"])
            .refuses(409, &["last_admin_key"]),
    );
    let text = json!({ "type": "string" });
    let parameters = [
        query("on", "Only what was done to this, such as campaign/spring-sale.", text.clone()),
        query("by", "Only what this key did: key/ID.", text),
        limit(),
        cursor(),
    ];
    let page = api.output::<Listing<AuditEntry>>();
    api.add(
        Operation::new("GET", "/v1/audit", "list_audit", "Operations", "admin", "Who did what, newest first")
            .with(parameters)
            .answers(200, "A page.", page)
            .refuses(400, &LIST),
    );
}
