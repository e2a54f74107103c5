//! Mails by SES.
//!
//! A call may answer [`StoreError::Unavailable`] or [`StoreError::Refused`].

use crate::{
    boxed,
    error::{StoreError, failed},
};
use aws_sdk_ses::{
    Client,
    types::{Body, Content, Destination, Message},
};

/// The mail service.
#[derive(Clone, Debug)]
pub struct Mail {
    client: Client,
    sender: String,
}

/// A mail to one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// The address of the recipient.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The mail as plain text.
    pub text: String,
    /// The mail as HTML.
    pub html: String,
}

impl Mail {
    pub(crate) fn new(client: Client, sender: &str) -> Self {
        Self { client, sender: sender.to_owned() }
    }

    /// Sends one mail. After an error it may have been sent.
    #[boxed]
    pub async fn send(&self, letter: &Letter) -> Result<(), StoreError> {
        let content = |data: &str| Content::builder().data(data).charset("UTF-8").build();
        let body = Body::builder()
            .text(content(&letter.text).map_err(crate::dynamo::unbuildable)?)
            .html(content(&letter.html).map_err(crate::dynamo::unbuildable)?)
            .build();
        let subject = content(&letter.subject).map_err(crate::dynamo::unbuildable)?;
        self.client
            .send_email()
            .source(&self.sender)
            .destination(Destination::builder().to_addresses(&letter.to).build())
            .message(Message::builder().subject(subject).body(body).build())
            .send()
            .await
            .map_err(failed("SendEmail"))?;
        Ok(())
    }
}
