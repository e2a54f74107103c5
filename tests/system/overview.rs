//! The days in numbers: what the sweeper counts, whatever is repeated, runs twice or breaks off; and the pages that show it.

use crate::fixture::{
    faults::Fault,
    world::{ADMIN_KEY, World, got, local_settings, sweep_with, try_compact, try_sweep},
};
use axum::{Router, body::Body};
use http::{Request, header};
use rekindle_domain::{
    compact::Tiering,
    day::{Counts, Day},
    id::LedgerId,
    time::Period,
};
use rekindle_service::{Settings, Sizes};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Four blocks of `users` are folded.
fn settings() -> Settings {
    let tiering = Tiering { inbox_blocks: 4, inbox_bytes: 64 << 10, fanout: 3, smallest: 4 };
    let sizes = Sizes { tiering, ..Sizes::default() };
    Settings { sizes, ..local_settings(Period::parse("P3M").unwrap()) }
}

async fn world(seed: u64) -> World {
    let world = World::with(seed, settings()).await;
    world.begin("a").await;
    world
}

/// The last days, the latest last.
async fn days<const N: usize>(world: &World) -> [Day; N] {
    world.app().overview(N).await.unwrap().days.try_into().unwrap()
}

fn counts<const N: usize>(of: [(&str, u64); N]) -> Counts {
    of.map(|(kind, n)| (kind.to_owned(), n)).into()
}

/// A batch in which nine interactions of four kinds arrive; one is there twice.
async fn nine(world: &World, prefix: &str) {
    let event = |user: &str, kind: &str, machine: bool| {
        let user = format!("{prefix}-{user}");
        let mut event = json!({ "user_id": user, "campaign_id": "a", "type": kind, "channel": "email" });
        if machine {
            event["machine"] = true.into();
        }
        event
    };
    let mut batch: Vec<Value> = ["x", "y", "z"].map(|user| event(user, "received", false)).into();
    batch.extend([event("x", "received", false), event("x", "clicked", false), event("y", "clicked", true)]);
    batch.extend(["x", "y", "z"].map(|user| event(user, "opened", user == "y")));
    world.ingest(&batch).await;
}

fn nines(n: u64) -> Counts {
    counts([("received", 4 * n), ("clicked", n), ("machine_clicked", n), ("opened", 3 * n)])
}

#[tokio::test(start_paused = true)]
async fn a_day_has_what_arrived_whether_it_lies_in_the_inbox_or_was_folded() {
    let world = world(1).await;
    world.sweep().await;
    assert_eq!(days::<1>(&world).await[0].interactions, Counts::new());
    nine(&world, "first").await;
    world.sweep().await;
    assert_eq!(days::<1>(&world).await[0].interactions, Counts::new(), "four minutes are not over");
    world.advance("PT5M");
    world.sweep().await;
    assert_eq!(days::<1>(&world).await[0].interactions, nines(1));
    for batch in ["second", "third", "fourth", "fourth"] {
        nine(&world, batch).await;
    }
    assert!(world.compact_in_time().await >= 1);
    assert_eq!(world.manifest_of(&LedgerId::Users).await.runs.len(), 1, "`users` is folded");
    nine(&world, "fifth").await;
    world.sweep().await;
    let [before, today] = days(&world).await;
    assert_eq!((before.interactions, today.interactions), (Counts::new(), nines(6)), "a repeated batch, too");

    // Two sweepers at once, and one after the other.
    world.advance("PT5M");
    tokio::join!(sweep_with(&world.stack), sweep_with(&world.stack));
    world.advance("PT5M");
    world.sweep().await;
    assert_eq!(days::<1>(&world).await[0].interactions, nines(6));

    // What arrives late in the day is counted by the next day's first sweep, and on its own day.
    world.advance("PT23H20M");
    nine(&world, "late").await;
    world.advance("PT15M");
    nine(&world, "next").await;
    world.sweep().await;
    let [before, today] = days(&world).await;
    assert_eq!((before.interactions, today.interactions), (nines(7), nines(1)));
    // A day keeps its figures once nothing else knows them any more.
    world.advance("P5D");
    for batch in ["sixth", "seventh"] {
        nine(&world, batch).await;
    }
    world.compact_in_time().await;
    world.sweep().await;
    let [first, second, _, _, _, _, today] = days(&world).await;
    assert_eq!(first.interactions, nines(7));
    assert_eq!((second.interactions, today.interactions), (nines(1), nines(2)));
}

#[tokio::test(start_paused = true)]
async fn a_day_has_what_expired_and_what_came_back() {
    let world = world(2).await;
    for campaign in ["b", "empty"] {
        world.begin(campaign).await;
    }
    nine(&world, "u").await;
    world.ingest_received("b", "u", 5).await;
    world.stop("a").await;
    world.sweep().await;
    let [day] = days(&world).await;
    let stock = day.stock.unwrap();
    assert_eq!(stock.sources, counts([("available", 2), ("no_data", 1)]));
    assert_eq!((stock.hot_bytes, stock.cold_bytes), (0, 0), "everything lies in the inbox");
    world.advance("P3M");
    world.sweep().await;
    assert_eq!(world.state("a").await, "expired");
    let [_, day] = days(&world).await;
    // Eight rows: the interaction that came twice is stored once.
    let moved = |sources, interactions| rekindle_domain::day::Moved { sources, interactions };
    assert_eq!((day.expired, day.restored), (moved(1, 8), moved(0, 0)));
    let stock = day.stock.unwrap();
    assert_eq!(stock.sources, counts([("available", 1), ("expired", 1), ("no_data", 1)]));
    let archived: usize = world.archive().await.values().map(Vec::len).sum();
    assert_eq!(stock.cold_bytes, archived as u64);

    world.advance("P2D");
    world.restore(&["campaign/a"]).await;
    world.sweep().await;
    let [expired, _, restored] = days(&world).await;
    assert_eq!((expired.expired, expired.restored), (moved(1, 8), moved(0, 0)));
    assert_eq!((restored.expired, restored.restored), (moved(0, 0), moved(1, 8)));
    let hot: u64 = world.manifest("a").await.copies.iter().filter(|c| c.bytes > 0).map(|c| c.bytes).sum();
    let stock = restored.stock.unwrap();
    assert_eq!((stock.hot_bytes + stock.cold_bytes, stock.cold_bytes), (hot, archived as u64));
    assert_eq!(stock.sources, counts([("available", 2), ("no_data", 1)]));
    let overview = world.app().overview(7).await.unwrap();
    assert_eq!(overview.days.len(), 7);
    assert_eq!(overview.cost.hot, stock.hot_bytes as f64 / 1e9 * 0.45);
    // A day on which nobody counted is known as such.
    assert_eq!(overview.days[5].stock, None);

    // A restore of available data begins its retention anew, and restores nothing.
    world.advance("P1D");
    world.request_restore(&["campaign/a"], &[]).await;
    world.drain().await;
    world.sweep().await;
    let [restored, renewed] = days(&world).await;
    assert_eq!((restored.restored, renewed.restored), (moved(1, 8), moved(0, 0)));
}

/// The fold of `users` dies before or after any call: each block counts once, whether it is folded, folded and still there, or
/// not folded.
#[tokio::test(start_paused = true)]
async fn l8_no_interaction_counts_twice_where_a_compaction_dies() {
    for fault in [Fault::Dies, Fault::DiesAfter] {
        let mut at = 0;
        loop {
            let world = world(at as u64).await;
            for batch in ["1", "2", "3", "4"] {
                nine(&world, batch).await;
            }
            world.advance("PT12M");
            let doomed = world.doomed(fault, at);
            _ = try_compact(&doomed.stack).await;
            world.sweep().await;
            assert_eq!(days::<1>(&world).await[0].interactions, nines(4), "{fault:?} at {at}");
            world.advance("PT61M");
            world.compact().await;
            world.sweep().await;
            assert_eq!(days::<1>(&world).await[0].interactions, nines(4), "{fault:?} at {at}, after all");
            if !doomed.has_struck() {
                break;
            }
            at += 1;
        }
        assert!(at >= 30, "{fault:?}: only {at} calls");
    }
}

/// A count is information: where it fails, everything else goes on.
#[tokio::test(start_paused = true)]
async fn a_day_that_cannot_be_read_stops_no_sweep() {
    let world = world(4).await;
    nine(&world, "u").await;
    world.stop("a").await;
    world.sweep().await;
    world.change_document("days", "d#2027-01-01", |day| *day = json!("lost")).await;
    world.advance("PT5M");
    assert_eq!(world.sweep().await.failed, 0);
    assert!(world.app().overview(3).await.is_err());
    world.advance("P3M");
    world.sweep().await;
    assert_eq!(world.state("a").await, "expired");
}

/// A sweep whose time is up counts nothing, and no half of a count is written.
#[tokio::test(start_paused = true)]
async fn a_count_that_dies_is_made_again() {
    let mut at = 0;
    loop {
        let world = world(at as u64).await;
        nine(&world, "u").await;
        let doomed = world.doomed(Fault::Dies, at);
        _ = try_sweep(&doomed.stack).await;
        let [day] = days(&world).await;
        assert!(day.stock.is_none() && day.interactions.is_empty() || !doomed.has_struck(), "{at}: {day:?}");
        world.sweep().await;
        assert_eq!(days::<1>(&world).await[0].interactions, nines(1), "{at}");
        if !doomed.has_struck() {
            break;
        }
        at += 1;
    }
    assert!(at >= 20, "only {at} calls");
}

/// A reader who is signed in to the console.
struct Reader {
    router: Router,
    cookie: String,
}

impl Reader {
    async fn new(world: &World) -> Self {
        let router = rekindle_console::router(world.app().clone());
        let request = Request::post("/console/sign-in")
            .header(header::HOST, "localhost")
            .header(header::ORIGIN, "http://localhost")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(format!("key={ADMIN_KEY}")));
        let answer = router.clone().oneshot(request.unwrap()).await.unwrap();
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        Self { cookie: cookie.split(';').next().unwrap().to_owned(), router }
    }

    /// A page, as it is.
    async fn page(&self, path: &str) -> String {
        let request =
            Request::get(path).header(header::HOST, "localhost").header(header::COOKIE, &self.cookie);
        let request = request.body(Body::empty());
        let answer = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let page = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(!page.contains("style="), "the policy of the page forbids styles within it");
        page
    }
}

/// These texts follow one upon the other, between the tags of a page.
#[track_caller]
fn assert_shows(page: &str, expected: &[&str]) {
    let texts = page.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text.trim());
    let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
    assert!(texts.windows(expected.len()).any(|found| found == expected), "{expected:?} in {texts:?}");
}

#[tokio::test(start_paused = true)]
async fn the_overview_shows_the_figures_in_plots_and_tables() {
    let world = world(5).await;
    let reader = Reader::new(&world).await;
    assert_shows(&reader.page("/console/overview").await, &["Nothing was counted yet."]);
    nine(&world, "u").await;
    world.stop("a").await;
    world.sweep().await;
    world.advance("P3M");
    world.sweep().await;
    world.advance("P1D");
    world.restore(&["campaign/a"]).await;
    world.sweep().await;
    // A session does not last for months.
    let reader = Reader::new(&world).await;
    let page = reader.page("/console/overview?days=7").await;
    assert_shows(&page, &["No interactions arrived in these days."]);
    assert_shows(&page, &["2 April", "0", "1", "1 April", "1", "0", "31 March", "–", "–"]);
    assert_shows(&page, &["Available", "1", "Being archived", "0", "Expired", "0"]);
    nine(&world, "v").await;
    world.advance("PT5M");
    world.sweep().await;
    let page = reader.page("/console/overview").await;
    assert_shows(&page, &["Received", "4", "Opened", "3", "Clicked", "1", "Clicked by machines", "1"]);
    assert_shows(&page, &["2 April", "4", "3", "1", "1", "1 April", "0", "0", "0", "0", "31 March", "–"]);
    let plots: Vec<&str> =
        page.split("<svg ").skip(1).filter(|svg| svg.starts_with("class=\"bars-plot\"")).collect();
    assert_eq!(plots.len(), 3);
    for svg in plots {
        assert!(svg.contains("role=\"img\"") && svg.contains("<title id="), "{svg}");
    }
    assert!(page.contains("us-east-1") && page.contains("$0.0125"), "prices, and where they hold");
}

#[tokio::test(start_paused = true)]
async fn the_calendar_shows_what_expires_and_what_is_kept() {
    let world = world(6).await;
    for campaign in ["goes", "held", "pinned"] {
        let name = json!({ "name": format!("<{campaign}>") });
        world.put(&format!("/v1/campaigns/{campaign}"), name).await.ok();
        world.start(campaign).await.ok();
        world.ingest_received(campaign, "u", 2).await;
    }
    world.put("/v1/segments/vip", json!({ "filter": got("held") })).await.ok();
    world.put("/v1/campaigns/again", json!({ "audience": { "segment": "vip" } })).await.ok();
    world.start("again").await.ok();
    world.post("/v1/campaigns/pinned/pin", json!({ "reason": "the <yearly> report" })).await.ok();
    for campaign in ["goes", "held", "pinned"] {
        world.stop(campaign).await;
    }
    let reader = Reader::new(&world).await;
    let page = reader.page("/console/expirations").await;
    assert_shows(&page, &["April 2027"]);
    assert_shows(&page, &["1", "Thursday", "&lt;goes&gt;", "2"]);
    assert!(page.contains("action=\"/console/sources/review\"") && page.contains("value=\"campaign/goes\""));
    assert_shows(&page, &["Held by", "again", "through segment", "vip"]);
    assert_shows(&page, &[", because:", "the &lt;yearly&gt; report"]);
    let soon = reader.page("/console/expirations?ahead=30").await;
    assert_shows(&soon, &["No interaction data expires in the next 30 days."]);
}
