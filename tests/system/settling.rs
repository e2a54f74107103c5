//! The requests that wait for one restore are told how it ended, whatever their number and the size of their source's item.

use crate::fixture::{
    faults::Fault,
    world::{World, got},
};
use rekindle_domain::source::Source;
use rekindle_local::poller::Consumer::Restorer;

/// A campaign `a` with 30 users, whose data is expired and whose archive is lost. Returns the key and the bytes of its only
/// object.
async fn lost(world: &World) -> (String, Vec<u8>) {
    world.begin("a").await;
    world.ingest_received("a", "u", 30).await;
    world.stop_and_expire("a").await;
    lose_archive(world).await
}

/// Deletes the only object of the archive, and returns it.
async fn lose_archive(world: &World) -> (String, Vec<u8>) {
    let archive = world.archive().await;
    assert_eq!(archive.len(), 1);
    let (key, bytes) = archive.into_iter().next().unwrap();
    world.delete_object(&key).await;
    (key, bytes)
}

async fn stored(world: &World, id: &str) -> Source {
    world.app().store.catalog.source(&id.parse().unwrap()).await.unwrap().unwrap()
}

/// Delivers the next message of restore work.
async fn deliver(world: &World) {
    let messages = world.stack.receive(Restorer, 0).await.unwrap();
    assert_eq!(world.stack.deliver(Restorer, messages).await.unwrap(), 1);
}

/// Delivers the next message of restore work to a process that dies right after its call `at`.
async fn deliver_to_dying(world: &World, at: usize) {
    let dying = world.doomed(Fault::DiesAfter, at);
    let messages = world.stack.receive(Restorer, 0).await.unwrap();
    assert_eq!(messages.len(), 1);
    dying.stack.deliver(Restorer, messages).await.unwrap();
    assert!(dying.has_struck());
}

/// The call with which a worker that finds its part of the archive lost ends the restore. After it each request is told.
async fn failing_call() -> usize {
    for at in 0..20 {
        let world = World::new(360).await;
        lost(&world).await;
        world.request_restore(&["campaign/a"], &[]).await;
        deliver(&world).await;
        deliver_to_dying(&world, at).await;
        if world.state("a").await == "expired" {
            return at;
        }
    }
    panic!("the restore does not fail");
}

/// A restore fails, and its worker dies before it tells anybody. The next restore starts once all were told.
#[tokio::test(start_paused = true)]
async fn l8_no_restore_starts_before_the_requests_of_the_one_before_are_told() {
    let world = World::new(361).await;
    let (key, bytes) = lost(&world).await;
    let to: Vec<String> = (0..20).map(|i| format!("p{i}@example.com")).collect();
    let mut asked = Vec::new();
    for address in &to {
        asked.push(world.request_restore(&["campaign/a"], &[address]).await);
    }
    for _ in &asked {
        deliver(&world).await;
    }
    assert_eq!(stored(&world, "campaign/a").await.waiting.len(), asked.len());
    deliver_to_dying(&world, failing_call().await).await;
    assert_eq!(world.state("a").await, "expired");
    assert_eq!(stored(&world, "campaign/a").await.settling.len(), asked.len());

    world.put_object(&key, bytes).await;
    let next = world.request_restore(&["campaign/a"], &[]).await;
    deliver(&world).await;
    let restoring = stored(&world, "campaign/a").await;
    let waiting: Vec<String> = restoring.waiting.iter().map(ToString::to_string).collect();
    assert_eq!(waiting, std::slice::from_ref(&next));
    assert_eq!(restoring.settling, [], "all were told before");
    for id in &asked {
        let request = world.request(id).await;
        assert_eq!(request["state"], "failed", "{request}");
        assert!(request["items"][0]["error"].as_str().unwrap().contains(&key), "{request}");
    }
    world.settle().await;
    assert_eq!(world.request(&next).await["state"], "completed");
    for address in &to {
        assert_eq!(world.mails_to(address).len(), 1, "{address}");
    }
    assert_eq!(world.count(&got("a")).await, 30);
}
