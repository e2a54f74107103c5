use aws_sdk_ses::Client;
use aws_sdk_ses::error::ProvideErrorMetadata;
use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::{Body, Content, Destination, Message, RawMessage};

pub fn message(subject: &str, text: &str, html: &str) -> Message {
    let content = |data: &str| Content::builder().data(data).charset("UTF-8").build().unwrap();
    let body = Body::builder().text(content(text)).html(content(html)).build();
    Message::builder().subject(content(subject)).body(body).build()
}

pub async fn send(client: &Client, to: &str, subject: &str) {
    let to = Destination::builder().to_addresses(to).build();
    let send = client.send_email().source("Rekindle <rekindle@example.com>").destination(to);
    let sent = send.message(message(subject, "Zeile 1\nZeile 2 & mehr", "<p>ü</p>")).send().await.unwrap();
    assert!(!sent.message_id().is_empty());
}

#[tokio::test]
async fn a_sent_mail_is_in_the_outbox_when_the_send_is_answered() {
    let aws = crate::aws();
    let client = Client::new(&aws.sdk_config());
    assert_eq!(aws.outbox(), []);
    send(&client, "a@example.com", "Restored: 100 % + more").await;
    send(&client, "b@example.com", "second").await;
    let outbox = aws.outbox();
    assert_eq!(outbox.len(), 2);
    assert_eq!(outbox[0].to, ["a@example.com"]);
    assert_eq!(outbox[0].from, "Rekindle <rekindle@example.com>");
    assert_eq!(outbox[0].subject, "Restored: 100 % + more");
    assert_eq!(outbox[0].text, "Zeile 1\nZeile 2 & mehr");
    assert_eq!(outbox[0].html, "<p>ü</p>");
    assert_eq!(outbox[0].sent_at, crate::now()());
    assert_eq!(outbox[1].subject, "second");
}

#[tokio::test]
async fn a_sender_can_be_verified_and_need_not_be() {
    let client = Client::new(&crate::aws().sdk_config());
    client.verify_email_identity().email_address("rekindle@example.com").send().await.unwrap();
    let identities = client.list_identities().send().await.unwrap();
    assert_eq!(identities.identities(), ["rekindle@example.com"]);
    assert!(client.get_send_quota().send().await.unwrap().max24_hour_send() > 0.0);
}

#[tokio::test]
async fn what_would_not_be_kept_is_refused() {
    let aws = crate::aws();
    let client = Client::new(&aws.sdk_config());
    let raw = RawMessage::builder().data(Blob::new("Subject: x\n\ny")).build().unwrap();
    let error = client.send_raw_email().raw_message(raw).send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidAction"));
    assert!(error.message().unwrap().contains("SendRawEmail"), "{error:?}");

    let nobody = client.send_email().source("a@example.com").destination(Destination::builder().build());
    let error = nobody.message(message("s", "t", "h")).send().await.unwrap_err();
    assert_eq!(error.message(), Some("a mail needs a recipient"));
    assert_eq!(aws.outbox(), []);
}
