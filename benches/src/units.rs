//! Write units of appending: the units in DynamoDB's answers, checked against the sizes of the stored items.

use crate::{
    Size,
    data::{CAMPAIGN, Crowd, Ids},
    deployment::{Deployment, Kept, Outcome},
    meter::{Meter, Place, Units, Way, metered},
    report::{Findings, Row, grouped, short},
};
use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest,
        ScalarAttributeType, WriteRequest,
    },
};
use rekindle_domain::time::Time;
use rekindle_local::{embedded::EmbeddedAws, stack::LEDGER};
use serde::Deserialize;
use std::{collections::HashMap, sync::Arc};

/// An item of a table.
pub type Item = HashMap<String, AttributeValue>;

const BATCH: u64 = 500;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const SPREADS: [(&str, i64); 3] = [("60 s", MINUTE), ("1 h", HOUR), ("24 h", 24 * HOUR)];
/// How many interactions a write unit must carry, by the shape of ids.
const AIMS: [(&str, Ids, f64); 2] =
    [("random UUIDs", Ids::Uuids, 50.0), ("`user-1234567`", Ids::Numbered, 140.0)];

/// Measures appending.
pub async fn measure(size: Size) -> Outcome<Findings> {
    let batches = size.pick(20, 2);
    let mut rows = Vec::new();
    for (name, ids, aim) in AIMS {
        let (mut campaign, mut all) = (Vec::new(), Vec::new());
        for (_, spread) in SPREADS {
            let units = append(ids, spread, batches).await?;
            let interactions = (BATCH * batches) as f64;
            campaign.push(interactions / units.of(Way::Write, Place::CampaignInbox));
            all.push(interactions / units.all(Way::Write));
        }
        rows.push(Row::aimed(
            format!(
                "Interactions a write unit, ids {name}, times over {}",
                SPREADS.map(|(over, _)| over).join(" · ")
            ),
            format!("{}; with `users` {}", list(&campaign), list(&all)),
            format!("{aim} over {}; with `users` {}", SPREADS[0].0, aim / 2.0),
            campaign[0] >= aim && all[0] >= aim / 2.0,
        ));
    }
    let (put, batch_written) = item_per_event().await?;
    rows.push(Row::plain(
        "Interactions a write unit, an item an interaction, by PutItem · by BatchWriteItem",
        list(&[put, batch_written].map(|units| BATCH as f64 / units)),
    ));
    let how = format!(
        "**Write units** are those of DynamoDB's answers (`ReturnConsumedCapacity`), and agree with the sizes of the stored \
         items. {} requests of {BATCH} interactions of one campaign, each of another user: of a hundred 65 \
         receive a mail in one of two variants, 29 open one, 5 click, 1 converts. An item an event has the plain attributes of \
         the interaction, keyed by campaign and by user and time, and no index.",
        grouped(batches as f64)
    );
    Ok(Findings { rows, how })
}

fn list(values: &[f64]) -> String {
    values.iter().map(|v| short(*v)).collect::<Vec<_>>().join(" · ")
}

/// The units of appending to a campaign that is already known.
async fn append(ids: Ids, spread: i64, batches: u64) -> Outcome<Units> {
    let deployment = Deployment::new(Kept::InMemory, None).await?;
    let crowd = Crowd { ids, spread, now: deployment.now() };
    // The first request also notes that the campaign has data.
    deployment.ingest(crowd.one_each(0..BATCH), BATCH).await?;
    let mut stored_before = stored(&deployment).await?;
    deployment.meter.take();
    for batch in 1..=batches {
        deployment.ingest(crowd.one_each(batch * BATCH..(batch + 1) * BATCH), BATCH).await?;
    }
    let units = deployment.meter.take();
    for (place, after) in stored(&deployment).await? {
        let by_hand = after - stored_before.remove(&place).unwrap_or(0.0);
        let answered = units.of(Way::Write, place);
        if by_hand != answered {
            return Err(format!("{place:?}: answers say {answered} units, item sizes {by_hand}").into());
        }
    }
    Ok(units)
}

/// The units that it must have cost to put each item of the ledger table once, by the items' sizes.
async fn stored(deployment: &Deployment) -> Outcome<HashMap<Place, f64>> {
    let client = Client::new(&deployment.local.aws.sdk_config());
    let mut out = HashMap::new();
    let mut pages = client.scan().table_name(LEDGER).into_paginator().send();
    while let Some(page) = pages.next().await {
        for item in page?.items() {
            let is_users = item["pk"].as_s().is_ok_and(|pk| pk.starts_with("i#users#"));
            let place = if is_users { Place::UsersInbox } else { Place::CampaignInbox };
            *out.entry(place).or_default() += size_of_item(item).div_ceil(1024) as f64;
        }
    }
    Ok(out)
}

/// An item's size by DynamoDB's rules, in bytes: its names and values. A number takes a byte for each two digits and one
/// more.
fn size_of_item(item: &Item) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::N(digits) => digits.trim_end_matches('0').len().div_ceil(2) + 1,
        _ => 0,
    };
    item.iter().map(|(name, v)| name.len() + value(v)).sum()
}

/// The usual design, for comparison: an item for each interaction. Returns the units of 500, by single puts and by batches.
async fn item_per_event() -> Outcome<(f64, f64)> {
    const TABLE: &str = "interactions";
    let aws = EmbeddedAws::in_memory(Arc::new(|| jiff::Timestamp::UNIX_EPOCH))?;
    let meter = Arc::new(Meter::default());
    let config = aws.sdk_config().into_builder().http_client(metered(aws.http_client(), meter.clone(), None));
    let client = Client::new(&config.build());
    create_table(&client, TABLE).await?;
    let crowd = Crowd { ids: Ids::Uuids, spread: MINUTE, now: Time(1_800_000_000_000) };
    let items: Vec<Item> = crowd.one_each(0..BATCH).lines().map(plain_item).collect::<Outcome<_>>()?;
    for item in &items {
        client.put_item().table_name(TABLE).set_item(Some(item.clone())).send().await?;
    }
    let put = meter.take().all(Way::Write);
    let others: Vec<Item> =
        crowd.one_each(BATCH..2 * BATCH).lines().map(plain_item).collect::<Outcome<_>>()?;
    for chunk in others.chunks(25) {
        let put = |item: &Item| {
            let put = PutRequest::builder().set_item(Some(item.clone())).build()?;
            Ok(WriteRequest::builder().put_request(put).build())
        };
        let requests = chunk.iter().map(put).collect::<Outcome<Vec<_>>>()?;
        let answer = client.batch_write_item().request_items(TABLE, requests).send().await?;
        if answer.unprocessed_items().is_some_and(|left| !left.is_empty()) {
            return Err("items were left unprocessed".into());
        }
    }
    Ok((put, meter.take().all(Way::Write)))
}

pub async fn create_table(client: &Client, name: &str) -> Outcome<()> {
    let mut create = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [("campaign_id", KeyType::Hash), ("user_and_time", KeyType::Range)] {
        let text = ScalarAttributeType::S;
        let defined =
            AttributeDefinition::builder().attribute_name(attribute).attribute_type(text).build()?;
        let key = KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build()?;
        create = create.attribute_definitions(defined).key_schema(key);
    }
    create.send().await?;
    Ok(())
}

/// The interaction's own fields as attributes, and a sort key.
pub fn plain_item(line: &str) -> Outcome<Item> {
    #[derive(Deserialize)]
    struct Sorted {
        user_id: String,
        time: i64,
    }
    let sorted: Sorted = serde_json::from_str(line)?;
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)?;
    let mut item: Item = fields
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(text) => AttributeValue::S(text),
                serde_json::Value::Bool(flag) => AttributeValue::Bool(flag),
                other => AttributeValue::N(other.to_string()),
            };
            (name, value)
        })
        .collect();
    let key = format!("{}#{}", sorted.user_id, sorted.time);
    item.insert("user_and_time".to_owned(), AttributeValue::S(key));
    if item.get("campaign_id") == Some(&AttributeValue::S(CAMPAIGN.to_owned())) {
        Ok(item)
    } else {
        Err(format!("not of {CAMPAIGN}: {line}").into())
    }
}
