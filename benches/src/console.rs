//! The console's pages at the server, with many campaigns in the catalog: how long each takes, and what it reads.

use crate::{
    Size,
    deployment::{Deployment, Kept, Outcome, Visitor, stopwatch},
    meter::Way,
    report::{Findings, Row, grouped, short},
};
use serde_json::{Value, json};
use std::time::Duration;

/// How many campaigns one request acts on.
const AT_ONCE: usize = 100;
/// How many campaigns carry each tag.
const OF_A_TAG: usize = 100;
/// Of so many campaigns one has interactions: the first half of these expire.
const ONE_IN: usize = 20;
/// How often each page is asked for.
const ROUNDS: usize = 60;
/// The most a page may take at the server.
const AIM: Duration = Duration::from_millis(100);

/// Measures each page.
pub async fn measure(size: Size) -> Outcome<Findings> {
    let sources = size.pick(10_000, 400);
    let deployment = Deployment::new(Kept::InMemory, None).await?;
    fill(&deployment, sources).await?;
    let visitor = deployment.sign_in().await?;
    let pages = [
        ("list", "/console".to_owned(), "<table"),
        ("list, what has expired", "/console?state=expired".to_owned(), "Expired on"),
        ("list, one tag", "/console?tag=tag-7".to_owned(), "tag-7"),
        ("list, one tag, what has expired", "/console?tag=tag-0&state=expired".to_owned(), "Expired on"),
        ("list, words in the name", format!("/console?q=number+{}", sources - 1), "<table"),
        ("list, words that nothing has", "/console?q=nowhere".to_owned(), "Nothing matches"),
        ("list, expires soonest", "/console?sort=expires_at".to_owned(), "Expires on"),
        ("a campaign's page", "/console/campaigns/c-1".to_owned(), "What happened"),
        ("a campaign's page, expired", "/console/campaigns/c-0".to_owned(), "Interaction data expired"),
        ("expirations", "/console/expirations".to_owned(), "Expirations"),
        ("restores", "/console/restores".to_owned(), "Restores"),
        ("overview", "/console/overview".to_owned(), "Overview"),
        ("audience builder", "/console/audiences".to_owned(), "Users for whom"),
        ("a user", "/console/users?user_id=u-1".to_owned(), "u-1"),
        ("audit trail", "/console/audit".to_owned(), "<table"),
    ];
    let mut rows = Vec::new();
    for (name, address, says) in pages {
        rows.push(page(&deployment, &visitor, name, &address, says).await?);
    }
    let how = format!(
        "**Console**: {} campaigns, one in {ONE_IN} of them with interactions, and half of those expired; AWS in memory. \
         Each page is asked for {ROUNDS} times by one reader: the median and the time that 95 of 100 keep, first of the \
         process alone, which the aim is for, then with the work of the embedded AWS, which stands in for DynamoDB and has \
         no latency; and DynamoDB's read units of one.",
        grouped(sources as f64)
    );
    Ok(Findings { rows, how })
}

/// Makes the campaigns: two in three are active, and of those with interactions every second one expires.
async fn fill(deployment: &Deployment, sources: usize) -> Outcome<()> {
    let ids: Vec<usize> = (0..sources).collect();
    for i in &ids {
        let tag = format!("tag-{}", i / OF_A_TAG);
        let status = if i % 3 == 1 { "draft" } else { "active" };
        let body = json!({ "name": format!("Campaign number {i}"), "tags": [tag, "all"], "status": status });
        deployment.put(&format!("/v1/campaigns/c-{i}"), &body).await?;
    }
    let with_data: Vec<usize> = ids.iter().copied().step_by(ONE_IN).collect();
    for some in with_data.chunks(AT_ONCE) {
        let line = |i: &usize| {
            let row = |user| json!({ "user_id": format!("u-{user}"), "campaign_id": format!("c-{i}"), "type": "received", "channel": "email" });
            (0..5).map(move |user| row(user).to_string() + "\n").collect::<String>()
        };
        deployment.ingest(some.iter().map(line).collect(), some.len() as u64 * 5).await?;
    }
    let (going, staying): (Vec<usize>, Vec<usize>) = with_data.iter().partition(|i| *i % (2 * ONE_IN) == 0);
    act(deployment, "stop", &going).await?;
    deployment.wait("P3M").await?;
    deployment.wait("P2D").await?;
    while expired(deployment).await? < going.len() {
        deployment.sweep().await?;
    }
    act(deployment, "stop", &staying).await
}

async fn act(deployment: &Deployment, act: &str, which: &[usize]) -> Outcome<()> {
    for some in which.chunks(AT_ONCE) {
        let sources: Vec<String> = some.iter().map(|i| format!("campaign/c-{i}")).collect();
        deployment.post(&format!("/v1/sources/{act}"), &json!({ "sources": sources })).await?;
    }
    Ok(())
}

/// How many campaigns have expired.
async fn expired(deployment: &Deployment) -> Outcome<usize> {
    let (mut all, mut cursor) = (0, String::new());
    loop {
        let page = deployment.get(&format!("/v1/campaigns?state=expired&limit=1000{cursor}")).await?;
        all += page["items"].as_array().map_or(0, Vec::len);
        let Value::String(next) = &page["next"] else { return Ok(all) };
        cursor = format!("&cursor={next}");
    }
}

/// Asks for a page again and again.
async fn page(
    deployment: &Deployment,
    visitor: &Visitor,
    name: &str,
    address: &str,
    says: &str,
) -> Outcome<Row> {
    let mut taken = Vec::new();
    let (mut units, mut calls) = (0.0, 0);
    for _ in 0..ROUNDS {
        deployment.meter.take();
        deployment.meter.take_waits();
        let begun = stopwatch();
        let text = deployment.page(visitor, address).await?;
        let whole = begun.elapsed();
        let waits = deployment.meter.take_waits();
        taken.push((whole, whole.saturating_sub(waits.time)));
        (units, calls) = (deployment.meter.take().all(Way::Read), waits.calls);
        if !text.contains(says) {
            return Err(format!("{address} does not say {says}: {text}").into());
        }
    }
    let millis = |time: Duration| short(time.as_secs_f64() * 1000.0);
    let told_of = |mut times: Vec<Duration>| {
        times.sort_unstable();
        let most = times[ROUNDS * 95 / 100];
        (format!("{} ms (95 of 100 within {} ms)", millis(times[ROUNDS / 2]), millis(most)), most)
    };
    let (whole, own): (Vec<Duration>, Vec<Duration>) = taken.into_iter().unzip();
    let ((whole, _), (own, most)) = (told_of(whole), told_of(own));
    let told = format!("{own}; with {calls} calls of AWS {whole}; {} read units", grouped(units));
    Ok(Row::aimed(format!("Console: {name}"), told, "< 100 ms", most < AIM))
}
