//! The CSV export, compared with the posted interactions.

use crate::fixture::{
    model::mix,
    ports::Dice,
    world::{Answer, World, local_settings, received},
};
use http::header;
use rekindle_domain::time::{Period, Time};
use rekindle_service::{
    Settings,
    audience::{CsvFor, IfExpired, MembersRequest},
    library::UnknownNames,
};
use rekindle_tests::sim::history::sizes;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const HEADER: [&str; 8] = ["user_id", "kind", "channel", "variant", "step", "alias", "first_at", "last_at"];

/// Parses RFC 4180 in full: records of fields.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    let mut is_quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => record.push(std::mem::take(&mut field)),
            '\r' if !is_quoted => {
                assert_eq!(chars.next(), Some('\n'));
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            c => field.push(c),
        }
    }
    assert!(field.is_empty() && record.is_empty(), "the last line has a line end too");
    records
}

fn next_of(page: &Answer) -> Option<String> {
    let link = page.headers.get(header::LINK)?.to_str().unwrap();
    let path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    Some(path.to_owned())
}

/// Every page's records.
async fn pages(world: &World, campaign: &str) -> Vec<Vec<Vec<String>>> {
    let mut out = Vec::new();
    let mut path = Some(format!("/v1/campaigns/{campaign}/interactions.csv"));
    while let Some(at) = path {
        let page = world.get(&at).await;
        assert_eq!(page.headers[header::CONTENT_TYPE], "text/csv; charset=utf-8", "{}", page.body);
        let name = format!("attachment; filename=\"campaign-{campaign}-interactions.csv\"");
        assert_eq!(page.headers[header::CONTENT_DISPOSITION], name.as_str());
        path = next_of(&page);
        let text = page.ok();
        let text = text.as_str().unwrap();
        assert!(text.len() <= 5 << 20, "{} bytes", text.len());
        out.push(parse(text));
    }
    assert_eq!(out[0].remove(0), HEADER, "the first page alone has the header");
    out
}

/// The expected records: for each user and facet, the first and last time.
fn expected(events: &[Value]) -> BTreeMap<Vec<String>, (i64, i64)> {
    let mut out: BTreeMap<Vec<String>, (i64, i64)> = BTreeMap::new();
    for event in events {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let kind = match event["type"].as_str().unwrap() {
            kind @ ("opened" | "clicked") if event["machine"] == true => format!("machine_{kind}"),
            "bounced" => format!("{}_bounced", event["bounce"].as_str().unwrap()),
            "converted" if event["conversion"].as_u64() > Some(0) => {
                format!("converted:{}", event["conversion"])
            }
            kind => kind.to_owned(),
        };
        let at = match &event["time"] {
            Value::String(time) => Time::parse(time).unwrap().0,
            time => time.as_i64().unwrap(),
        };
        let facet =
            [text("user_id"), kind, text("channel"), text("variant_id"), String::new(), text("link_alias")];
        let times = out.entry(facet.to_vec()).or_insert((at, at));
        *times = (times.0.min(at), times.1.max(at));
    }
    out
}

fn as_rows(records: &[Vec<String>]) -> BTreeMap<Vec<String>, (i64, i64)> {
    let at = |text: &String| Time::parse(text).unwrap().0;
    let rows = records.iter().map(|r| (r[..6].to_vec(), (at(&r[6]), at(&r[7]))));
    let rows: BTreeMap<_, _> = rows.collect();
    assert_eq!(rows.len(), records.len(), "each user and facet has one row");
    rows
}

/// The users in the order of the records; checks that none comes again.
fn users(records: &[Vec<String>]) -> Vec<&String> {
    let mut users: Vec<&String> = records.iter().map(|r| &r[0]).collect();
    users.dedup();
    let mut each = users.clone();
    each.sort();
    each.dedup();
    assert_eq!(each.len(), users.len(), "a user's rows stand together");
    users
}

/// Tiny slots and blocks and no time for a page, so that pages end after a few users.
fn hurried() -> Settings {
    Settings { sizes: sizes(400), audience_millis: 0, ..local_settings(Period::parse("P3M").unwrap()) }
}

#[tokio::test(start_paused = true)]
async fn l1_inbox_and_runs_are_exported_once_and_in_order_however_they_are_paged() {
    for settings in [local_settings(Period::parse("P3M").unwrap()), hurried()] {
        let is_hurried = settings.audience_millis == 0;
        let world = World::with(51, settings).await;
        world.advance("P10D");
        world.begin("a").await;
        let mut dice = Dice(1);
        let mut events = mix("a", 60, 300, world.clock.now_still(), &mut dice);
        world.ingest(&events).await;
        world.stop_and_expire("a").await;
        let late = mix("a", 80, 100, world.clock.now_still(), &mut dice);
        world.ingest(&late).await;
        world.restore(&["campaign/a"]).await;
        let more = mix("a", 90, 100, world.clock.now_still(), &mut dice);
        world.ingest(&more).await;
        events.extend(late.into_iter().chain(more));
        let pages = pages(&world, "a").await;
        assert!(pages.len() > 5 || !is_hurried, "{} pages", pages.len());
        assert!(pages.len() == 1 || is_hurried, "{} pages", pages.len());
        let records = pages.concat();
        assert_eq!(as_rows(&records), expected(&events));
        let order: Vec<String> = users(&records).into_iter().cloned().collect();
        let everybody =
            json!({ "any": [crate::fixture::world::got("a"), { "not": crate::fixture::world::got("a") }] });
        let mut members = world.members(&everybody, 1_000).await;
        members.retain(|user| order.contains(user));
        assert_eq!(order, members, "sorted by user hash, then id, as audiences are");
    }
}

#[tokio::test(start_paused = true)]
async fn fields_survive_whatever_is_in_them() {
    let world = World::new(52).await;
    let time = "2027-01-01T00:00:00Z";
    let names = ["a,b", "say \"hi\"", " blanks ", "\"", "müller ✓", "=1+2", "'x", "\\n", ",\",\""];
    let mut events = Vec::new();
    for user in names {
        events.push(json!({ "user_id": user, "campaign_id": "a:1", "type": "clicked", "channel": "email", "link_alias": format!("{user};"), "time": time }));
    }
    events.push(
        json!({ "user_id": "c", "campaign_id": "a:1", "type": "converted", "conversion": 3, "time": time }),
    );
    events.push(json!({ "user_id": "c", "campaign_id": "a:1", "type": "converted", "time": time }));
    events.push(json!({ "user_id": "c", "campaign_id": "a:1", "type": "opened", "channel": "email", "machine": true, "time": time }));
    events.push(
        json!({ "user_id": "c", "campaign_id": "a:1", "type": "opened", "channel": "email", "time": time }),
    );
    events.push(json!({ "user_id": "c", "campaign_id": "a:1", "type": "clicked", "channel": "line", "machine": true, "time": time }));
    events.push(
        json!({ "user_id": "c", "campaign_id": "a:1", "type": "clicked", "channel": "line", "time": time }),
    );
    for kind in ["delivered", "dismissed", "replied"] {
        events.push(
            json!({ "user_id": "c", "campaign_id": "a:1", "type": kind, "channel": "rcs", "time": time }),
        );
    }
    for kind in ["unsubscribed", "subscribed", "not_spam"] {
        events.push(json!({ "user_id": "c", "campaign_id": "a:1", "type": kind, "time": time }));
    }
    world.ingest(&events).await;
    let page = world.get("/v1/campaigns/a:1/interactions.csv").await;
    let name = page.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert_eq!(name, "attachment; filename=\"campaign-a_1-interactions.csv\"");
    let records = parse(page.ok().as_str().unwrap());
    assert_eq!(as_rows(&records[1..]), expected(&events));
}

/// What a spreadsheet would run gets an apostrophe, on every page; programs get what was posted.
#[tokio::test(start_paused = true)]
async fn for_a_spreadsheet_no_field_is_a_formula() {
    let world = World::with(56, hurried()).await;
    let run = ["=1+2", "+1", "-1", "@SUM(A1)", "=HYPERLINK(\"http://evil.example\",\"a,b\")"];
    let shown = ["a=1", "'=1", "1-1", " =1"];
    for user in run.into_iter().chain(shown) {
        let click = json!({ "user_id": user, "campaign_id": "a", "type": "clicked", "channel": "email",
            "variant_id": "-v", "link_alias": user });
        world.ingest(&[click]).await;
    }
    world.begin("a").await;
    world.stop_and_expire("a").await;
    world.restore(&["campaign/a"]).await;
    let records = async |query: &str| {
        let (mut records, mut pages) = (Vec::new(), 0);
        let mut path = Some(format!("/v1/campaigns/a/interactions.csv{query}"));
        while let Some(at) = path {
            let page = world.get(&at).await;
            path = next_of(&page);
            let page = page.ok();
            let text = page.as_str().unwrap();
            let unmarked = text.strip_prefix('\u{feff}');
            assert_eq!(unmarked.is_some(), query.ends_with("spreadsheet") && pages == 0, "page {pages}");
            records.extend(parse(unmarked.unwrap_or(text)));
            pages += 1;
        }
        assert!(pages > 1, "{pages} pages");
        records.remove(0);
        records
    };
    let plain = records("").await;
    assert_eq!(records("?for=program").await, plain);
    let mut users: Vec<&str> = plain.iter().map(|r| r[0].as_str()).collect();
    let mut posted = [&run[..], &shown[..]].concat();
    users.sort_unstable();
    posted.sort_unstable();
    assert_eq!(users, posted);
    let escaped =
        |field: &String| if run.contains(&field.as_str()) { format!("'{field}") } else { field.clone() };
    let expected: Vec<Vec<String>> = plain
        .iter()
        .map(|r| {
            assert_eq!(r[3], "-v");
            let mut record = r.clone();
            (record[0], record[3], record[5]) = (escaped(&r[0]), "'-v".to_owned(), escaped(&r[5]));
            record
        })
        .collect();
    assert_eq!(records("?for=spreadsheet").await, expected);
    world.get("/v1/campaigns/a/interactions.csv?for=excel").await.problem(400, "invalid_query");
}

#[tokio::test(start_paused = true)]
async fn a_page_is_at_most_five_megabytes() {
    let world = World::new(53).await;
    let long = "x".repeat(490);
    let count = 14_000;
    for batch in 0..2 {
        world.ingest_received("a", &format!("{long}{batch}-"), count / 2).await;
    }
    let pages = pages(&world, "a").await;
    assert_eq!(pages.len(), 2);
    assert!(pages[0].len() > 8_000, "{} records: a page is filled", pages[0].len());
    assert_eq!(users(&pages.concat()).len(), count);
}

/// Later pages have every user after the cursor and none before it.
#[tokio::test(start_paused = true)]
async fn pages_are_stable_while_data_arrives_and_runs_change() {
    let world = World::with(54, hurried()).await;
    world.begin("a").await;
    world.ingest_received("a", "u", 50).await;
    world.stop_and_expire("a").await;
    world.restore(&["campaign/a"]).await;
    let mut records = Vec::new();
    let mut path = Some("/v1/campaigns/a/interactions.csv".to_owned());
    let mut turn = 0;
    while let Some(at) = path {
        let page = world.get(&at).await;
        path = next_of(&page);
        records.extend(parse(page.ok().as_str().unwrap()));
        turn += 1;
        if turn == 3 {
            world.ingest(&(0..50).map(|i| received("a", &format!("u{i}"))).collect::<Vec<_>>()).await;
        }
    }
    assert!(turn > 5, "{turn} pages");
    records.remove(0);
    assert_eq!(users(&records).len(), 50);
}

#[tokio::test(start_paused = true)]
async fn l7_expired_data_is_refused_and_what_is_not_there_is_not_found() {
    let world = World::new(55).await;
    world.get("/v1/campaigns/none/interactions.csv").await.problem(404, "unknown_source");
    world.get("/v1/canvases/none/interactions.csv").await.problem(404, "unknown_source");
    world.get("/v1/campaigns/a%20b/interactions.csv").await.problem(400, "invalid_id");
    world.put("/v1/campaigns/a", json!({})).await.ok();
    assert_eq!(pages(&world, "a").await, [Vec::<Vec<String>>::new()], "the header alone");
    world.get("/v1/campaigns/a/interactions.csv?cursor=x").await.problem(400, "invalid_cursor");
    world.get("/v1/campaigns/a/interactions.csv?limit=5").await.problem(400, "invalid_query");
    world.start("a").await.ok();
    world.ingest_received("a", "u", 5).await;
    world.stop_and_expire("a").await;
    let refused = world.get("/v1/campaigns/a/interactions.csv").await;
    let refused = refused.problem(409, "expired_interaction_data");
    assert_eq!(refused["expired"], json!(["campaign/a"]));
    world.restore(&["campaign/a"]).await;
    assert_eq!(pages(&world, "a").await[0].len(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_members_of_an_audience_are_files_that_each_have_the_header() {
    let world = World::new(52).await;
    let odd = ["plain", "=1+2", "with, comma", "with \"quotes\"", " blanks ", "+4915"];
    let sent: Vec<Value> = odd.iter().map(|user| received("a", user)).collect();
    world.ingest(&sent).await;
    let mut request = MembersRequest {
        filter: json!({ "received": { "source": "campaign/a" } }),
        expired: IfExpired::Refuse,
        limit: Some(4),
        cursor: None,
        unknown_names: UnknownNames::Refuse,
    };
    let mut sizes = Vec::new();
    let mut users = BTreeSet::new();
    loop {
        let spreadsheet = world.app().members_csv(&request, CsvFor::Spreadsheet).await.unwrap();
        let marked =
            spreadsheet.text.strip_prefix('\u{feff}').expect("a spreadsheet is told that it is UTF-8");
        let page = world.app().members_csv(&request, CsvFor::Program).await.unwrap();
        let mut records = parse(&page.text);
        assert_eq!(records.remove(0), ["user_id"]);
        for (record, shown) in records.iter().zip(&parse(marked)[1..]) {
            let is_run = record[0].starts_with(['=', '+']);
            assert_eq!(shown[0], if is_run { format!("'{}", record[0]) } else { record[0].clone() });
        }
        sizes.push(records.len());
        users.extend(records.into_iter().flatten());
        request.cursor = page.next;
        if request.cursor.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [4, 2]);
    assert_eq!(users, odd.map(str::to_owned).into());
}
