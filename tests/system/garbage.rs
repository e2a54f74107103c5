//! Invalid interactions: each is rejected with its reason, valid ones in the same batch are kept, and nothing panics.

use crate::fixture::world::{Answer, World, got, received};
use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use std::io::Write;

struct Post<'a> {
    content_type: &'a str,
    encoding: &'a str,
    body: Vec<u8>,
}

fn post(body: impl Into<Vec<u8>>) -> Post<'static> {
    Post { content_type: "application/json", encoding: "identity", body: body.into() }
}

fn lines(body: impl Into<Vec<u8>>) -> Post<'static> {
    Post { content_type: "application/x-ndjson", ..post(body) }
}

fn encoded(encoding: &str, body: impl Into<Vec<u8>>) -> Post<'_> {
    Post { encoding, ..post(body) }
}

async fn post_raw(world: &World, post: Post<'_>) -> Answer {
    let request = Request::post("/v1/interactions")
        .header("content-type", post.content_type)
        .header("content-encoding", post.encoding);
    world.send(request.body(Body::from(post.body)).unwrap()).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// A batch of that many good interactions.
fn many(n: usize) -> Value {
    (0..n).map(|i| received("a", &format!("u{i}"))).collect()
}

/// Batches that are refused whole, each with the status and the code of the answer.
fn bad_batches() -> Vec<(Post<'static>, u16, &'static str)> {
    let good = json!([received("a", "u1")]).to_string();
    let zipped = gzip(good.as_bytes());
    let bomb = vec![b' '; (32 << 20) + 1];
    let one_too_many = many(100_001).to_string();
    let as_lines = vec!["{}"; 100_001].join("\n");
    let sources: Vec<Value> = (0..1_001).map(|i| received(&format!("c{i}"), "u")).collect();
    let mut invalid_utf8 = good.clone().into_bytes();
    invalid_utf8[good.find("u1").unwrap()] = 0xff;
    let no_crc = zipped[..zipped.len() - 4].to_vec();
    let wide_window = {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 19).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(good.as_bytes()).unwrap();
        encoder.write_all(&vec![b' '; 20 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    vec![
        (post(""), 400, "invalid_json"),
        (post("{"), 400, "invalid_json"),
        (post("nonsense"), 400, "invalid_json"),
        (post("[1,"), 400, "invalid_json"),
        (post(format!("{good} {good}")), 400, "invalid_json"),
        (post(invalid_utf8), 422, "nothing_accepted"),
        (post(b"\xff\xfe\x00".to_vec()), 400, "invalid_json"),
        (post("null"), 400, "invalid_batch"),
        (post("7"), 400, "invalid_batch"),
        (post("\"text\""), 400, "invalid_batch"),
        (post("{}"), 400, "invalid_batch"),
        (post(r#"{"interactions":{}}"#), 400, "invalid_batch"),
        (post(r#"{"interactions":null}"#), 400, "invalid_batch"),
        (post(r#"{"interactions":[],"more":1}"#), 400, "invalid_batch"),
        (post("[]"), 422, "nothing_accepted"),
        (post(r#"{"interactions":[]}"#), 422, "nothing_accepted"),
        (lines(""), 422, "nothing_accepted"),
        (lines("\n \r\n\n"), 422, "nothing_accepted"),
        (lines("{}\nnull\n[]"), 422, "nothing_accepted"),
        (post("[{}]"), 422, "nothing_accepted"),
        (encoded("zstd", zstd::encode_all(one_too_many.as_bytes(), 1).unwrap()), 413, "batch_too_large"),
        (lines(as_lines), 413, "batch_too_large"),
        (post(Value::from(sources).to_string()), 413, "batch_too_large"),
        (post(vec![b' '; (4 << 20) + 1]), 413, "body_too_large"),
        (encoded("gzip", gzip(&bomb)), 413, "batch_too_large"),
        (encoded("zstd", zstd::encode_all(&bomb[..], 3).unwrap()), 413, "batch_too_large"),
        (encoded("gzip", "this is no gzip"), 400, "invalid_encoding"),
        (encoded("gzip", zipped[..zipped.len() / 2].to_vec()), 400, "invalid_encoding"),
        (encoded("gzip", no_crc), 400, "invalid_encoding"),
        (encoded("zstd", "this is no zstd"), 400, "invalid_encoding"),
        (encoded("zstd", zipped.clone()), 400, "invalid_encoding"),
        (encoded("zstd", wide_window), 400, "invalid_encoding"),
        (encoded("br", "x"), 415, "unsupported_encoding"),
        (encoded("gzip, zstd", "x"), 415, "unsupported_encoding"),
        (encoded("identity", zipped.clone()), 400, "invalid_json"),
    ]
}

#[tokio::test(start_paused = true)]
async fn batches_that_are_none_are_refused_whole() {
    let world = World::new(40).await;
    for (nth, (batch, status, code)) in bad_batches().into_iter().enumerate() {
        println!("batch {nth}: {status} {code}");
        let problem = post_raw(&world, batch).await.problem(status, code);
        assert!(problem.to_string().len() < 200_000, "an answer of bounded size");
    }
    // Nothing of these batches was kept, not even a campaign's name.
    let campaigns = world.get("/v1/campaigns").await.ok();
    assert_eq!(campaigns["items"], json!([]));
    assert!(world.ledger_items().await.is_empty());
    // A compression of a thousand to one is fine within the bounds.
    let mut padded = vec![b' '; 31 << 20];
    padded.extend(json!([received("a", "u1")]).to_string().as_bytes());
    post_raw(&world, encoded("gzip", gzip(&padded))).await.ok();
    // A hundred thousand interactions are not too many.
    let most = many(100_000).to_string();
    let body = zstd::encode_all(most.as_bytes(), 1).unwrap();
    let answer = post_raw(&world, encoded("zstd", body)).await.ok();
    assert_eq!(answer["accepted"], 100_000);
}

/// Interactions that are all right but for the value of one field, each with the code it is rejected with.
fn bad_fields() -> Vec<(String, &'static str)> {
    let with = |field: &str, value: Value| {
        let mut item = received("a", "bad");
        item[field] = value;
        item.to_string()
    };
    vec![
        (with("user_id", "".into()), "invalid_user_id"),
        (with("user_id", "x".repeat(513).into()), "invalid_user_id"),
        (with("user_id", "é".repeat(257).into()), "invalid_user_id"),
        (with("user_id", "x".repeat(10_000).into()), "invalid_user_id"),
        (with("user_id", "x".repeat(1 << 20).into()), "invalid_user_id"),
        (with("user_id", "a\u{0}b".into()), "invalid_user_id"),
        (with("user_id", "a\nb".into()), "invalid_user_id"),
        (with("user_id", "a\u{85}b".into()), "invalid_user_id"),
        (with("user_id", 7.into()), "invalid_user_id"),
        (with("user_id", Value::Null), "invalid_user_id"),
        (with("campaign_id", "".into()), "missing_field"),
        (with("campaign_id", "..".into()), "invalid_campaign_id"),
        (with("user_id", " ".into()), "invalid_user_id"),
        (with("campaign_id", "a b".into()), "invalid_campaign_id"),
        (with("campaign_id", "../a".into()), "invalid_campaign_id"),
        (with("campaign_id", "é".into()), "invalid_campaign_id"),
        (with("campaign_id", "a".repeat(129).into()), "invalid_campaign_id"),
        (with("type", "recieved".into()), "invalid_type"),
        (with("type", "entered".into()), "invalid_type"),
        (with("type", json!({})), "invalid_type"),
        (with("channel", "fax".into()), "invalid_channel"),
        (with("channel", 1.into()), "invalid_channel"),
        (with("variant_id", "a b".into()), "invalid_variant_id"),
        (with("channel", "".into()), "missing_channel"),
        (with("time", "yesterday".into()), "invalid_time"),
        (with("time", "2026-13-01T00:00:00Z".into()), "invalid_time"),
        (with("time", "1999-12-31T23:59:59.999Z".into()), "invalid_time"),
        (with("time", "2027-01-02T00:00:00.001Z".into()), "invalid_time"),
        (with("time", (-1).into()), "invalid_time"),
        (with("time", i64::MIN.into()), "invalid_time"),
        (with("time", u64::MAX.into()), "invalid_time"),
        (with("time", json!(1e300)), "invalid_time"),
        (with("time", json!(1_800_000_000_000.5)), "invalid_time"),
        (with("time", true.into()), "invalid_time"),
        (with("canvas_id", "w".into()), "two_sources"),
        (with("userid", "w".into()), "unknown_field"),
        (with(&"x".repeat(10_000), 1.into()), "unknown_field"),
    ]
}

/// Interactions that are no object, lack a field, or have one that does not fit the others, each with its code.
fn bad_shapes() -> Vec<(String, &'static str)> {
    let typed = |kind: &str, more: &str| {
        format!(r#"{{"user_id":"bad","campaign_id":"a","channel":"email","type":"{kind}"{more}}}"#)
    };
    let without = |field: &str| {
        let mut item = received("a", "bad");
        item.as_object_mut().unwrap().remove(field);
        item.to_string()
    };
    let deep = format!("{}1{}", "[".repeat(8_000), "]".repeat(8_000));
    vec![
        ("null".to_owned(), "invalid_item"),
        ("17".to_owned(), "invalid_item"),
        ("\"text\"".to_owned(), "invalid_item"),
        (r#"["u","a","received","email"]"#.to_owned(), "invalid_item"),
        (deep, "invalid_json"),
        ("{}".to_owned(), "missing_field"),
        (without("user_id"), "missing_field"),
        (without("campaign_id"), "missing_field"),
        (without("type"), "missing_field"),
        (without("channel"), "missing_channel"),
        (r#"{"user_id":"\ud800","campaign_id":"a","type":"control"}"#.to_owned(), "invalid_user_id"),
        (typed("clicked", r#","link_alias":7"#), "invalid_link_alias"),
        (typed("received", r#","link_alias":"cta""#), "field_not_allowed"),
        (typed("received", r#","machine":true"#), "field_not_allowed"),
        (typed("opened", r#","machine":"yes""#), "invalid_machine"),
        (typed("opened", r#","bounce":"hard""#), "field_not_allowed"),
        (typed("converted", r#","conversion":256"#), "invalid_conversion"),
        (typed("converted", r#","conversion":-1"#), "invalid_conversion"),
        (typed("converted", r#","conversion":1.5"#), "invalid_conversion"),
        (typed("bounced", r#","bounce":"medium""#), "invalid_bounce"),
        (typed("bounced", ""), "missing_bounce"),
        (typed("control", r#","user_id":"twice""#), "invalid_item"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_bad_interaction_never_hurts_its_neighbours() {
    let world = World::new(41).await;
    let bad = [bad_fields(), bad_shapes()].concat();
    let mut codes = Vec::new();
    // Each stands between two good interactions, in both layouts.
    for layout in 0..2 {
        for (nth, (item, code)) in bad.iter().enumerate() {
            let good = |side: &str| received("a", &format!("good{layout}-{nth}{side}")).to_string();
            let items = [good("l"), item.clone(), good("r")];
            let answer = match layout {
                0 => post_raw(&world, post(format!("[{}]", items.join(",")))).await,
                _ => post_raw(&world, lines(items.join("\r\n"))).await,
            };
            assert_eq!(answer.status, 200, "{code}: {}", answer.body);
            let shown = answer.body.to_string();
            assert_eq!(answer.body["accepted"], 2, "{code}: {shown}");
            assert_eq!(answer.body["rejected_count"], 1, "{code}: {shown}");
            let rejected = &answer.body["rejected"][0];
            assert_eq!((&rejected["index"], &rejected["code"]), (&json!(1), &json!(code)), "{shown}");
            assert!(rejected["detail"].as_str().unwrap().len() > 5, "{shown}");
            assert!(shown.len() < 2_000, "a rejection does not repeat what was sent: {}", shown.len());
        }
        codes.push(world.count(&got("a")).await);
    }
    assert_eq!(codes, [2 * bad.len() as u64, 4 * bad.len() as u64]);
    assert_eq!(world.matches(&got("a"), "bad", "refuse").await, "no");
    // In NDJSON, a line that is not UTF-8 or is cut off is one bad line.
    let mut body = received("a", "before").to_string().into_bytes();
    body.extend(
        b"\n{\"user_id\":\"\xff\xfe\",\"campaign_id\":\"a\",\"type\":\"control\"}\n\xc3\x28\n{\"user_id\":\n",
    );
    body.extend(received("a", "after").to_string().into_bytes());
    let answer = post_raw(&world, lines(body)).await.ok();
    assert_eq!((&answer["accepted"], &answer["rejected_count"]), (&json!(2), &json!(3)), "{answer}");
    for (i, code) in ["invalid_user_id", "invalid_json", "invalid_json"].iter().enumerate() {
        assert_eq!(answer["rejected"][i]["code"], *code, "{answer}");
    }
    // Values at the edge of the bounds are accepted.
    let edge = [
        ("user_id", json!("x".repeat(512))),
        ("user_id", json!("é".repeat(256))),
        ("canvas_id", json!("")),
        ("variant_id", json!("")),
        ("user_id", json!("\u{10ffff}'; DROP TABLE users; --")),
        ("time", json!("2000-01-01T00:00:00Z")),
        ("time", json!("2027-01-02T01:00:00+01:00")),
        ("time", json!(946_684_800_000_i64)),
        ("time", Value::Null),
        ("variant_id", json!("a".repeat(128))),
    ];
    for (field, value) in edge {
        let mut item = received("edge", "u");
        item[field] = value;
        world.ingest(&[item]).await;
    }
    assert_eq!(world.count(&got("edge")).await, 4);
    assert_eq!(world.matches(&got("edge"), &"é".repeat(256), "refuse").await, "yes");
}

/// Encodings by other names, byte order marks, and documents without anything in between.
#[tokio::test(start_paused = true)]
async fn what_senders_and_delivery_streams_write_is_read() {
    let world = World::new(43).await;
    let one = |user: &str| received("a", user).to_string();
    let all = one("u1") + &one("u2");
    let marked = format!("\u{feff}[{}]", one("u3"));
    for (nth, post) in [
        lines(all.clone()),
        lines(format!("\u{feff}{all}")),
        Post { encoding: "GZIP", ..lines(gzip(all.as_bytes())) },
        Post { encoding: "x-gzip", ..lines(gzip(all.as_bytes())) },
        Post { encoding: " Zstd ", ..lines(zstd::encode_all(all.as_bytes(), 1).unwrap()) },
        post(marked),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = post_raw(&world, post).await.ok();
        assert_eq!(answer["rejected_count"], 0, "{nth}");
    }
    assert_eq!(world.count(&got("a")).await, 3);
    // The mark is no matter in other bodies, either.
    let request = Request::put("/v1/campaigns/a").body(Body::from("\u{feff}{\"name\":\"A\"}")).unwrap();
    assert_eq!(world.send(request).await.ok()["name"], "A");
    let request = Request::post("/v1/campaigns/a/start").body(Body::from("\u{feff}")).unwrap();
    world.send(request).await.ok();
}

/// A plus is a plus, but in texts that people type.
#[tokio::test(start_paused = true)]
async fn a_plus_in_a_query_is_a_plus_where_programs_write_it() {
    let world = World::new(44).await;
    world.ingest(&[received("a", "a+b@example.com")]).await;
    for query in ["a+b@example.com", "a%2Bb%40example.com", "a%2bb@example.com"] {
        let profile = world.get(&format!("/v1/users?user_id={query}")).await.ok();
        assert_eq!((&profile["user_id"], &profile["known"]), (&"a+b@example.com".into(), &true.into()));
    }
    assert_eq!(world.get("/v1/users?user_id=a%20b").await.ok()["user_id"], "a b");
    world.get("/v1/expirations?until=2027-11-22T10:00:00+01:00").await.ok();
    world.put("/v1/campaigns/a", json!({ "name": "Black + White" })).await.ok();
    for (query, found) in [("Black+%2B", 1), ("Black%20%2b+W", 1), ("White+Black", 1), ("Black%2BWhite", 0)] {
        let list = world.get(&format!("/v1/campaigns?q={query}")).await.ok();
        assert_eq!(list["items"].as_array().unwrap().len(), found, "{query}");
    }
}

/// A batch with more rejections than are listed.
#[tokio::test(start_paused = true)]
async fn many_rejections_are_counted_and_a_thousand_listed() {
    let world = World::new(42).await;
    let mut items: Vec<Value> = (0..5_000).map(|_| json!({ "user_id": "x" })).collect();
    items.push(received("a", "u"));
    let answer = world.post("/v1/interactions", Value::from(items)).await.ok();
    assert_eq!(answer["rejected_count"], 5_000);
    assert_eq!(answer["rejected"].as_array().unwrap().len(), 1_000);
}

fn clicked(user: &str, alias: &str) -> Value {
    json!({ "user_id": user, "campaign_id": "a", "type": "clicked", "channel": "email", "link_alias": alias })
}

/// No click is lost for its alias, however many aliases there are, and however long they are.
#[tokio::test(start_paused = true)]
async fn clicks_on_many_links_and_on_long_ones_are_all_kept() {
    let world = World::new(45).await;
    // Texts that do not compress, so that the rows of one user take several blocks.
    let link = |i: usize| format!("{i}-").chars().chain(noise(i, 250)).collect::<String>();
    let clicks: Vec<Value> = (0..3_000).map(|i| clicked("busy", &link(i))).collect();
    let answer = world.post("/v1/interactions", Value::from(clicks)).await.ok();
    let counts = (&answer["accepted"], &answer["rejected_count"], &answer["aliases_shortened"]);
    assert_eq!(counts, (&json!(3_000), &json!(0), &json!(0)));
    let long = "https://example.com/?".to_owned() + &"x".repeat(300);
    let clicks = json!([clicked("long", &long), clicked("tab", "a\tb"), clicked("short", "cta")]);
    let answer = world.post("/v1/interactions", clicks).await.ok();
    assert_eq!((&answer["accepted"], &answer["aliases_shortened"]), (&json!(3), &json!(2)));
    for compacted in [false, true] {
        for (alias, user) in
            [(link(0), "busy"), (link(2_999), "busy"), (long.clone(), "long"), ("a\tb".into(), "tab")]
        {
            for about in [json!({ "source": "campaign/a" }), json!({ "any": true })] {
                let mut filter = json!({ "clicked": about });
                filter["clicked"]["alias"] = alias.as_str().into();
                assert_eq!(world.members(&filter, 10).await, [user], "compacted: {compacted}");
            }
        }
        world.advance("PT1H");
        world.compact().await;
    }
}

/// Letters that do not compress: of a generator with that seed.
fn noise(seed: usize, n: usize) -> impl Iterator<Item = char> {
    let mut state = seed as u64 + 1;
    (0..n).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + (state >> 58) as u8)
    })
}
