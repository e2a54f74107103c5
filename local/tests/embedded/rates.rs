//! Prints figures and checks nothing:
//! `cargo test -p rekindle-local --test embedded rates -- --ignored --nocapture --test-threads 1`.

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::time::Instant;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use rekindle_local::embedded::EmbeddedAws;

use super::dynamodb::{TABLE, b, create_table, s};
use super::s3;

async fn measure(name: &str, aws: EmbeddedAws) {
    let client = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
    create_table(&client).await;
    for (len, n) in [(200usize, 1000u32), (32 * 1024, 500), (256 * 1024, 100)] {
        let item = b(len);
        let start = Instant::now();
        for i in 0..n {
            let sk = AttributeValue::B(Blob::new(i.to_be_bytes()));
            let put = client.put_item().table_name(TABLE).item("pk", s(&len.to_string())).item("sk", sk);
            put.item("data", item.clone()).send().await.unwrap();
        }
        let put = f64::from(n) / start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut pages = client
            .query()
            .table_name(TABLE)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", s(&len.to_string()))
            .into_paginator()
            .send();
        let (mut items, mut slowest) = (0, 0.0f64);
        loop {
            let page = Instant::now();
            let Some(next) = pages.next().await else {
                break;
            };
            slowest = slowest.max(page.elapsed().as_secs_f64());
            items += next.unwrap().items().len();
        }
        let rate = (items * len) as f64 / 1e6 / start.elapsed().as_secs_f64();
        println!(
            "{name}: {len} bytes: {put:.0} puts/s ({:.0} MB/s), query {rate:.0} MB/s, slowest page {:.1} ms",
            put * len as f64 / 1e6,
            slowest * 1e3
        );
    }
    let objects = s3::create_bucket(&aws).await;
    for (len, n) in [(1000usize, 200), (8_000_000, 20)] {
        let bytes = vec![7u8; len];
        let start = Instant::now();
        for i in 0..n {
            s3::put(&objects, &format!("archive/{len}/{i}"), &bytes).await;
        }
        let put = start.elapsed().as_secs_f64() / f64::from(n);
        let start = Instant::now();
        for i in 0..n {
            s3::get(&objects, &format!("archive/{len}/{i}")).await.unwrap();
        }
        let get = start.elapsed().as_secs_f64() / f64::from(n);
        println!("{name}: object of {len} bytes: put {:.2} ms, get {:.2} ms", put * 1e3, get * 1e3);
    }
}

#[tokio::test]
#[ignore = "figures for people"]
async fn rates_in_memory() {
    let start = Instant::now();
    for _ in 0..100 {
        drop(crate::aws());
    }
    println!("in memory: created in {:.2} ms", start.elapsed().as_secs_f64() * 10.0);
    let start = Instant::now();
    for _ in 0..100 {
        let aws = crate::aws();
        let config = aws.sdk_config();
        create_table(&aws_sdk_dynamodb::Client::new(&config)).await;
        s3::create_bucket(&aws).await;
        let sqs = aws_sdk_sqs::Client::new(&config);
        sqs.create_queue().queue_name("restores").send().await.unwrap();
    }
    println!(
        "in memory: with a table, a bucket, a queue and clients in {:.2} ms",
        start.elapsed().as_secs_f64() * 10.0
    );
    measure("in memory", crate::aws()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures for people"]
async fn rates_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    measure("on disk", EmbeddedAws::open(dir.path(), crate::now()).unwrap()).await;
}
