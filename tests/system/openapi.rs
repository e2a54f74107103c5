//! The OpenAPI document equals the code's, and has every route.

use crate::{fixture::world::World, template};
use http::{Method, header};
use rekindle_local::server::function_routes;
use rekindle_tests::openapi;
use serde_json::Value;
use std::{collections::BTreeSet, path::Path};

/// If this environment variable is set, the first test writes the document instead of comparing it.
const REWRITE: &str = "REKINDLE_REWRITE";

type Routes = BTreeSet<(String, String)>;

#[test]
fn the_document_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/api/openapi.json");
    let text = openapi::text();
    #[allow(clippy::disallowed_methods, reason = "set by hand to rewrite the document")]
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let differs = std::fs::read_to_string(&path).unwrap() != text;
    let command = "cargo test --workspace --test system -- openapi::the_document";
    assert!(!differs, "functions/api/openapi.json differs from the code's; write it: {REWRITE}=1 {command}");
}

#[tokio::test(start_paused = true)]
async fn it_is_served_as_it_is_written() {
    let answer = World::new(160).await.get("/openapi.json").await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    // `assert_eq` would print both documents.
    assert!(answer.ok() == openapi::document(), "the served document differs from the code's");
}

fn documented() -> Routes {
    let document = openapi::document();
    let paths = document["paths"].as_object().unwrap().iter();
    let routes = paths.flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
    });
    routes.collect()
}

/// The routes of the functions' routers. The paths are read from the routers' `Debug` output, the methods from their answers to
/// a method that no route takes.
async fn routed(world: &World) -> Routes {
    let app = world.app();
    let mut routes = Routes::new();
    for router in [rekindle_ingest::routes(app.clone()), rekindle_api::routes(app.clone())] {
        let printed = format!("{router:?}");
        let node = printed.split_once("paths: {").unwrap().1.split_once("} }").unwrap().0;
        // Every second piece is within quotes.
        for path in node.split('"').skip(1).step_by(2) {
            let nobody_s = Method::from_bytes(b"NOBODYS").unwrap();
            let answer = world.call(nobody_s, &path.replace("{id}", "x"), &Value::Null).await;
            let allowed = answer.headers[header::ALLOW].to_str().unwrap().to_owned();
            answer.problem(405, "method_not_allowed");
            // axum serves HEAD with every GET; the document does not list it.
            let methods = allowed.split(',').map(str::trim).filter(|method| *method != "HEAD");
            routes.extend(methods.map(|method| (method.to_owned(), path.to_owned())));
        }
    }
    routes
}

#[tokio::test(start_paused = true)]
async fn every_route_is_documented_and_in_the_template() {
    let world = World::new(161).await;
    let (routed, documented) = (routed(&world).await, documented());
    assert!(routed.len() > 30, "{routed:?}");
    let missing: Vec<_> = routed.difference(&documented).collect();
    assert!(
        missing.is_empty(),
        "these routes are not in the OpenAPI document (tests/src/openapi): {missing:?}"
    );
    let gone: Vec<_> = documented.difference(&routed).collect();
    assert!(gone.is_empty(), "these are in the OpenAPI document, and no router has them: {gone:?}");
    let template: Routes = template::routes().into_iter().map(|(m, path)| (m.to_string(), path)).collect();
    let differ: Vec<_> = routed.symmetric_difference(&template).collect();
    assert!(differ.is_empty(), "these are in the routers or in template.yaml, but not in both: {differ:?}");
}

#[test]
fn each_operation_names_the_scope_that_its_route_takes() {
    let document = openapi::document();
    for (method, path, scope) in function_routes() {
        let operation = &document["paths"][path][method.as_str().to_lowercase()];
        assert_eq!(operation["security"][0]["key"][0], scope.as_str(), "{method} {path}");
    }
}

#[test]
fn references_and_names_of_operations_are_sound() {
    fn each(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|v| each(v, found));
            }
            Value::Array(items) => items.iter().for_each(|v| each(v, found)),
            _ => {}
        }
    }
    let document = openapi::document();
    let mut references = Vec::new();
    each(&document, &mut references);
    for reference in &references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(references.contains(&reference), "nothing refers to {name}");
    }
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|p| p.as_object().unwrap().values());
    let ids: Vec<&str> = operations.map(|o| o["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an operationId is used twice: {ids:?}");
}
