//! The template's routes, the functions' routes and the table of scopes are the same.

use crate::fixture::world::World;
use http::Method;
use rekindle_local::server::function_routes;
use serde_json::Value;
use std::collections::BTreeSet;

/// The routes of the template's HTTP API, without those of the console: `tests/outside/template` checks them.
pub(crate) fn routes() -> Vec<(Method, String)> {
    let template = include_str!("../../template.yaml");
    let events = template.lines().filter_map(|line| {
        let event = line.trim().strip_prefix("Properties: {ApiId: !Ref Api, Method: ")?.strip_suffix('}')?;
        let (method, path) = event.split_once(", Path: ")?;
        let path = path.trim_matches('"').to_owned();
        let is_of_console = path == "/" || path.starts_with("/console");
        (!is_of_console).then(|| (method.parse().unwrap(), path))
    });
    events.collect()
}

#[tokio::test(start_paused = true)]
async fn every_route_of_the_template_is_answered() {
    let routes = routes();
    assert_eq!(routes.iter().collect::<BTreeSet<_>>().len(), routes.len(), "a route is listed twice");
    let guarded = function_routes();
    let declared: BTreeSet<String> =
        guarded.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(declared.len(), guarded.len(), "a route has two scopes");
    let routed = routes.iter().map(|(method, path)| format!("{method} {path}")).collect::<BTreeSet<_>>();
    assert_eq!(routed, declared, "the routes of the gateway and of the scopes are the same");
    let world = World::new(120).await;
    for (method, path) in &routes {
        let answer = world.call(method.clone(), &path.replace("{id}", "x"), &Value::Null).await;
        let code = answer.body["code"].as_str().unwrap_or_default();
        assert!(!["unknown_route", "method_not_allowed"].contains(&code), "{method} {path}: {}", answer.body);
    }
    // Campaigns and Canvases have the same routes.
    let of = |kind: &str| -> BTreeSet<(String, String)> {
        let rest = |(method, path): &(Method, String)| {
            Some((method.to_string(), path.strip_prefix(&format!("/v1/{kind}"))?.to_owned()))
        };
        routes.iter().filter_map(rest).collect()
    };
    assert_eq!(of("campaigns"), of("canvases"));
}
