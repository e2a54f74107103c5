use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use tokio::time::{Instant, advance};

async fn queue(client: &Client, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
    let mut create = client.create_queue().queue_name(name);
    for (attribute, value) in attributes {
        create = create.attributes(attribute.clone(), *value);
    }
    create.send().await.unwrap().queue_url.unwrap()
}

async fn send(client: &Client, url: &str, body: &str) {
    client.send_message().queue_url(url).message_body(body).send().await.unwrap();
}

/// The bodies and receipts of the visible messages.
async fn receive(client: &Client, url: &str) -> Vec<(String, String)> {
    let receive = client.receive_message().queue_url(url).max_number_of_messages(10);
    let messages = receive.send().await.unwrap().messages.unwrap_or_default();
    messages.into_iter().map(|m| (m.body.unwrap(), m.receipt_handle.unwrap())).collect()
}

async fn bodies(client: &Client, url: &str) -> Vec<String> {
    receive(client, url).await.into_iter().map(|(body, _)| body).collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_back_after_its_visibility_timeout_unless_deleted() {
    let client = Client::new(&crate::aws().sdk_config());
    let url = queue(&client, "restores", &[(QueueAttributeName::VisibilityTimeout, "30")]).await;
    assert_eq!(client.get_queue_url().queue_name("restores").send().await.unwrap().queue_url(), Some(&*url));
    send(&client, &url, "part 1").await;
    assert_eq!(bodies(&client, &url).await, ["part 1"]);
    assert_eq!(bodies(&client, &url).await, Vec::<String>::new());
    advance(Duration::from_secs(31)).await;
    let again = receive(&client, &url).await;
    assert_eq!(again[0].0, "part 1");

    let receipt = &again[0].1;
    let change = client.change_message_visibility().queue_url(&url).receipt_handle(receipt);
    change.visibility_timeout(100).send().await.unwrap();
    advance(Duration::from_secs(60)).await;
    assert_eq!(bodies(&client, &url).await, Vec::<String>::new());
    client.delete_message().queue_url(&url).receipt_handle(receipt).send().await.unwrap();
    advance(Duration::from_secs(60)).await;
    assert_eq!(bodies(&client, &url).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_message_received_too_often_goes_to_the_dead_letters() {
    let client = Client::new(&crate::aws().sdk_config());
    let dead = queue(&client, "restores-dead", &[]).await;
    let arn = client.get_queue_attributes().queue_url(&dead).attribute_names(QueueAttributeName::QueueArn);
    let arn = arn.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"2"}}"#);
    let attributes =
        [(QueueAttributeName::VisibilityTimeout, "10"), (QueueAttributeName::RedrivePolicy, &policy)];
    let url = queue(&client, "restores", &attributes).await;
    send(&client, &url, "poison").await;
    for _ in 0..2 {
        assert_eq!(bodies(&client, &url).await, ["poison"]);
        assert_eq!(bodies(&client, &dead).await, Vec::<String>::new());
        advance(Duration::from_secs(11)).await;
    }
    assert_eq!(bodies(&client, &url).await, Vec::<String>::new());
    assert_eq!(bodies(&client, &dead).await, ["poison"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_waits_for_a_message_and_not_longer() {
    let client = Client::new(&crate::aws().sdk_config());
    let url = queue(&client, "notices", &[]).await;
    let poll = client.receive_message().queue_url(&url).wait_time_seconds(20);
    let start = Instant::now();
    assert!(poll.clone().send().await.unwrap().messages().is_empty());
    assert_eq!(start.elapsed().as_secs(), 20);

    let start = Instant::now();
    let waiting = tokio::spawn(poll.message_system_attribute_names(MessageSystemAttributeName::All).send());
    tokio::time::sleep(Duration::from_secs(5)).await;
    send(&client, &url, "hello").await;
    let received = waiting.await.unwrap().unwrap();
    assert_eq!(received.messages()[0].body(), Some("hello"));
    let count =
        &received.messages()[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
    assert_eq!(count, "1");
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn batches_are_sent_and_deleted_and_a_queue_is_purged() {
    let client = Client::new(&crate::aws().sdk_config());
    let url = queue(&client, "restores", &[]).await;
    let entries = (0..10).map(|i| {
        let entry =
            SendMessageBatchRequestEntry::builder().id(i.to_string()).message_body(format!("part {i}"));
        entry.build().unwrap()
    });
    let batch = client.send_message_batch().queue_url(&url).set_entries(Some(entries.collect()));
    let sent = batch.send().await.unwrap();
    assert_eq!((sent.successful().len(), sent.failed().len()), (10, 0));

    let received = receive(&client, &url).await;
    assert_eq!(received.len(), 10);
    let entries = received.iter().take(4).enumerate().map(|(i, (_, receipt))| {
        let entry = DeleteMessageBatchRequestEntry::builder().id(i.to_string()).receipt_handle(receipt);
        entry.build().unwrap()
    });
    let batch = client.delete_message_batch().queue_url(&url).set_entries(Some(entries.collect()));
    assert_eq!(batch.send().await.unwrap().successful().len(), 4);
    advance(Duration::from_secs(31)).await;
    let count = client
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
    let count = count.send().await.unwrap().attributes.unwrap();
    let count: u32 = count.values().map(|n| n.parse::<u32>().unwrap()).sum();
    assert_eq!(count, 6);

    client.purge_queue().queue_url(&url).send().await.unwrap();
    advance(Duration::from_secs(31)).await;
    assert_eq!(bodies(&client, &url).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_said_to_be() {
    let client = Client::new(&crate::aws().sdk_config());
    let error = client.get_queue_url().queue_name("nowhere").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_queue_does_not_exist(), "{error:?}");
}
