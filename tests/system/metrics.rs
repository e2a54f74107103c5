//! The metrics that are written while data arrives, expires, is damaged and comes back.

use crate::fixture::{
    log::Log,
    world::{World, got, received},
};
use rekindle_domain::time::Clock;
use rekindle_runtime::metrics::Embedded;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tracing_subscriber::{Registry, layer::SubscriberExt};

/// The sum of each metric over lines of the embedded metric format.
fn sums(lines: &[String]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for line in lines {
        let line: Value = serde_json::from_str(line).unwrap();
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            *sums.entry(name.to_owned()).or_default() += line[name].as_f64().unwrap();
        }
    }
    sums
}

#[tokio::test(start_paused = true)]
async fn a_life_is_counted() {
    let world = World::new(63).await;
    let lines = Arc::new(Mutex::new(Vec::new()));
    let clock: Arc<dyn Clock> = world.clock.clone();
    let written = lines.clone();
    let write = move |line| written.lock().unwrap().push(line);
    let layer = Embedded { namespace: "stack".to_owned(), clock, write };
    let _counting = tracing::subscriber::set_default(Registry::default().with(layer));
    let counted = |name: &str| sums(&lines.lock().unwrap()).get(name).copied();

    world.begin("a").await;
    let refused = json!({ "user_id": "", "campaign_id": "a", "type": "received", "channel": "email" });
    world.ingest_received("a", "u", 50).await;
    world.post("/v1/interactions", json!([received("a", "u0"), refused])).await.ok();
    world.post("/v1/interactions", json!([refused, refused])).await.problem(422, "nothing_accepted");
    assert_eq!((counted("InteractionsAccepted"), counted("InteractionsRejected")), (Some(51.0), Some(3.0)));
    assert_eq!(counted("AliasesShortened"), None);
    let alias = "x".repeat(257);
    let click = json!({ "user_id": "u0", "campaign_id": "a", "type": "clicked", "channel": "email", "link_alias": alias });
    world.post("/v1/interactions", json!([click])).await.ok();
    assert_eq!(counted("AliasesShortened"), Some(1.0));

    world.stop_and_expire("a").await;
    assert_eq!(counted("RowsSwept"), Some(51.0));
    assert!(counted("Sweeps") > Some(0.0));

    world.request_restore(&["campaign/a"], &[]).await;
    world.advance("PT90S");
    world.settle().await;
    assert_eq!(counted("RowsRestored"), Some(51.0));
    assert!((90.0..100.0).contains(&counted("RestoreSeconds").unwrap()));
    assert_eq!(world.count(&got("a")).await, 50);

    let troubles = ["Damage", "WorkGivenUp", "MailsGivenUp", "LargeInboxBytes"];
    assert_eq!(troubles.map(counted), [None; 4], "no metric of trouble is written");
}

/// A sender that looks at the status alone loses interactions without a word: the operator's log has one.
#[tokio::test(start_paused = true)]
async fn refused_interactions_are_logged_by_code_and_without_their_content() {
    let world = World::new(64).await;
    let log = Log::listen();
    let odd =
        json!({ "user_id": "anna@example.com", "campaign_id": "a", "type": "control", "ip": "192.0.2.7" });
    let late = json!({ "user_id": "anna@example.com", "campaign_id": "a", "type": "control", "time": 5 });
    world.post("/v1/interactions", json!([received("a", "bea@example.com"), odd, late, odd])).await.ok();
    world.post("/v1/interactions", json!([late])).await.problem(422, "nothing_accepted");
    world.post("/v1/interactions", json!([received("a", "bea@example.com")])).await.ok();
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("interactions were refused")).collect();
    assert_eq!(lines.len(), 2, "one for each request with refused ones: {text}");
    let id = &world.key.as_ref().unwrap()[3..29];
    for (line, codes) in lines.iter().zip(["invalid_time: 1, unknown_field: 2", "invalid_time: 1"]) {
        assert!(line.contains(codes) && line.contains(id), "{line}");
    }
    assert!(!text.contains("example.com") && !text.contains("192.0.2.7"), "{text}");
}
