use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, ConditionCheck, Delete, Get, GlobalSecondaryIndex,
    KeySchemaElement, KeyType, KeysAndAttributes, Projection, ProjectionType, Put, PutRequest,
    ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure, ScalarAttributeType,
    TableStatus, TimeToLiveSpecification, TransactGetItem, TransactWriteItem, WriteRequest,
};

pub const TABLE: &str = "ledger";

pub fn s(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn n(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub fn b(len: usize) -> AttributeValue {
    // Bytes that do not compress, so that a size limit is tested on the real size.
    let bytes: Vec<u8> = (0..len).map(|i| ((i * 2654435761) >> 13) as u8).collect();
    AttributeValue::B(Blob::new(bytes))
}

/// A table `pk`, `sk` (binary), with the sparse index `due` on `state`, `wake_at`.
pub async fn create_table(client: &Client) {
    let attribute = |name: &str, kind| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
    };
    let key =
        |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let due = GlobalSecondaryIndex::builder()
        .index_name("due")
        .key_schema(key("state", KeyType::Hash))
        .key_schema(key("wake_at", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .unwrap();
    client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .attribute_definitions(attribute("sk", ScalarAttributeType::B))
        .attribute_definitions(attribute("state", ScalarAttributeType::S))
        .attribute_definitions(attribute("wake_at", ScalarAttributeType::N))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .global_secondary_indexes(due)
        .send()
        .await
        .unwrap();
}

async fn client() -> Client {
    let client = Client::new(&crate::aws().sdk_config());
    create_table(&client).await;
    client
}

fn sk(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

#[tokio::test]
async fn a_table_is_described_and_listed_and_takes_a_time_to_live() {
    let client = client().await;
    let described = client.describe_table().table_name(TABLE).send().await.unwrap();
    let table = described.table.unwrap();
    assert_eq!(table.table_status, Some(TableStatus::Active));
    assert_eq!(client.list_tables().send().await.unwrap().table_names(), [TABLE]);
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires").build().unwrap();
    client.update_time_to_live().table_name(TABLE).time_to_live_specification(ttl).send().await.unwrap();
}

#[tokio::test]
async fn a_refused_put_brings_back_the_item_that_is_there() {
    let client = client().await;
    let put = |version: i64| {
        client
            .put_item()
            .table_name(TABLE)
            .item("pk", s("a"))
            .item("sk", sk(b"\x00"))
            .item("version", n(version))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    };
    put(1).send().await.unwrap();
    let error = put(2).send().await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failed) = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(failed.item().unwrap()["version"], n(1));
}

#[tokio::test]
async fn a_cancelled_transaction_says_why_for_each_action_and_writes_nothing() {
    let client = client().await;
    let put = |key: &str| {
        let put = Put::builder()
            .table_name(TABLE)
            .item("pk", s(key))
            .item("sk", sk(b"\x00"))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    client.transact_write_items().transact_items(put("taken")).send().await.unwrap();
    let check = ConditionCheck::builder()
        .table_name(TABLE)
        .key("pk", s("absent"))
        .key("sk", sk(b"\x00"))
        .condition_expression("attribute_exists(pk)")
        .build()
        .unwrap();
    let error = client
        .transact_write_items()
        .transact_items(put("fresh"))
        .transact_items(put("taken"))
        .transact_items(TransactWriteItem::builder().condition_check(check).build())
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        cancelled,
    ) = error
    else {
        panic!("{error:?}");
    };
    let reasons = cancelled.cancellation_reasons();
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed", "ConditionalCheckFailed"]);
    assert_eq!(reasons[1].item().unwrap()["pk"], s("taken"));

    let get = |key: &str| {
        let get = Get::builder().table_name(TABLE).key("pk", s(key)).key("sk", sk(b"\x00")).build().unwrap();
        TransactGetItem::builder().get(get).build()
    };
    let got = client
        .transact_get_items()
        .transact_items(get("fresh"))
        .transact_items(get("taken"))
        .send()
        .await
        .unwrap();
    let found: Vec<bool> = got.responses().iter().map(|response| response.item().is_some()).collect();
    assert_eq!(found, [false, true]);
}

#[tokio::test]
async fn consumed_capacity_is_what_aws_would_bill() {
    let client = client().await;
    let key = || (s("a"), sk(b"\x00"));
    let (pk, sort) = key();
    let put = client
        .put_item()
        .table_name(TABLE)
        .item("pk", pk)
        .item("sk", sort)
        .item("data", b(32 * 1024))
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await
        .unwrap();
    // 32 KiB and a few bytes of names and keys: the 33rd unit has begun.
    assert_eq!(put.consumed_capacity.unwrap().capacity_units, Some(33.0));

    let get = |strong: bool| {
        let (pk, sort) = key();
        client
            .get_item()
            .table_name(TABLE)
            .key("pk", pk)
            .key("sk", sort)
            .consistent_read(strong)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
    };
    // 9 units of 4 KiB, and half of that when stale reads are allowed.
    let strong = get(true).send().await.unwrap();
    assert_eq!(strong.consumed_capacity.unwrap().capacity_units, Some(9.0));
    let eventual = get(false).send().await.unwrap();
    assert_eq!(eventual.consumed_capacity.unwrap().capacity_units, Some(4.5));

    let query = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", s("a"))
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await
        .unwrap();
    assert_eq!(query.consumed_capacity.unwrap().capacity_units, Some(4.5));

    // A transaction costs double.
    let (pk, sort) = key();
    let delete = Delete::builder().table_name(TABLE).key("pk", pk).key("sk", sort).build().unwrap();
    let transaction = client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().delete(delete).build())
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await
        .unwrap();
    assert_eq!(transaction.consumed_capacity()[0].capacity_units, Some(66.0));
}

#[tokio::test]
async fn binary_attributes_come_back_byte_for_byte() {
    let client = client().await;
    for len in [1, 255, 32 * 1024, 256 * 1024] {
        let key = sk(&u32::try_from(len).unwrap().to_be_bytes());
        let put = client.put_item().table_name(TABLE).item("pk", s("blob")).item("sk", key.clone());
        put.item("data", b(len)).send().await.unwrap();
        let get = client.get_item().table_name(TABLE).key("pk", s("blob")).key("sk", key);
        let item = get.consistent_read(true).send().await.unwrap().item.unwrap();
        assert_eq!(item["data"], b(len));
    }
    // Binary sort keys are in the order of their bytes, unsigned.
    let page = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("pk = :pk and sk between :from and :to")
        .expression_attribute_values(":pk", s("blob"))
        .expression_attribute_values(":from", sk(&255u32.to_be_bytes()))
        .expression_attribute_values(":to", sk(&32768u32.to_be_bytes()))
        .projection_expression("sk")
        .send()
        .await
        .unwrap();
    let keys: Vec<_> = page.items().iter().map(|item| item["sk"].clone()).collect();
    assert_eq!(keys, [sk(&255u32.to_be_bytes()), sk(&32768u32.to_be_bytes())]);
}

#[tokio::test]
async fn a_sparse_index_holds_only_what_has_its_keys() {
    let client = client().await;
    for (key, wake_at) in [("a", Some(30)), ("b", None), ("c", Some(10))] {
        let mut put = client.put_item().table_name(TABLE).item("pk", s(key)).item("sk", sk(b"\x00"));
        if let Some(wake_at) = wake_at {
            put = put.item("state", s("due")).item("wake_at", n(wake_at));
        }
        put.send().await.unwrap();
    }
    let due = || {
        client
            .query()
            .table_name(TABLE)
            .index_name("due")
            .key_condition_expression("#state = :due and wake_at <= :now")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":due", s("due"))
            .expression_attribute_values(":now", n(40))
    };
    let found = due().send().await.unwrap();
    let keys: Vec<_> = found.items().iter().map(|item| item["pk"].clone()).collect();
    assert_eq!(keys, [s("c"), s("a")]);

    let updated = client
        .update_item()
        .table_name(TABLE)
        .key("pk", s("a"))
        .key("sk", sk(b"\x00"))
        .update_expression("remove #state add #version :one")
        .expression_attribute_names("#state", "state")
        .expression_attribute_names("#version", "version")
        .expression_attribute_values(":one", n(1))
        .return_values(ReturnValue::AllNew)
        .send()
        .await
        .unwrap();
    assert_eq!(updated.attributes().unwrap()["version"], n(1));
    assert_eq!(due().send().await.unwrap().count, 1);
}

#[tokio::test]
async fn batches_write_read_and_pages_end_at_one_megabyte() {
    let client = client().await;
    let request = |i: u8| {
        let put = PutRequest::builder().item("pk", s("p")).item("sk", sk(&[i])).item("data", b(100_000));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    };
    let batch = client.batch_write_item().request_items(TABLE, (0..25).map(request).collect());
    let written = batch.send().await.unwrap();
    assert!(written.unprocessed_items().is_none_or(|left| left.is_empty()));

    let keys = [1, 3].map(|i| [("pk".to_owned(), s("p")), ("sk".to_owned(), sk(&[i]))].into());
    let keys =
        KeysAndAttributes::builder().set_keys(Some(keys.into())).consistent_read(true).build().unwrap();
    let got = client.batch_get_item().request_items(TABLE, keys).send().await.unwrap();
    assert_eq!(got.responses().unwrap()[TABLE].len(), 2);

    let page = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", s("p"))
        .consistent_read(true);
    let first = page.clone().send().await.unwrap();
    // An eleventh item would make the page larger than a mebibyte.
    assert_eq!(first.count, 10);
    let rest = page.set_exclusive_start_key(first.last_evaluated_key).send().await.unwrap();
    assert_eq!(rest.items()[0]["sk"], sk(&[10]));
    assert_eq!(client.scan().table_name(TABLE).limit(5).send().await.unwrap().count, 5);
}

#[tokio::test]
async fn an_operation_that_is_not_here_says_so() {
    let client = client().await;
    let error = client.delete_table().table_name(TABLE).send().await.unwrap_err();
    assert_eq!(error.code(), Some("UnknownOperationException"));
    assert!(error.message().unwrap().contains("DeleteTable"), "{error:?}");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_a_validation_error() {
    let client = client().await;
    let put = client.put_item().table_name(TABLE).item("pk", s("a")).item("sk", sk(b"\x00"));
    let error = put.item("set", AttributeValue::Ss(Vec::new())).send().await.unwrap_err();
    assert_eq!(error.code(), Some("ValidationException"), "{error:?}");
    assert!(!error.message().unwrap().contains("VALIDATION"), "{error:?}");
}
