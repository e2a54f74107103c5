//! SES (version 1 of its API): `rustack`'s identities and quotas, and an outbox that keeps every mail.
//!
//! Any sender is accepted; identities can be verified but need not be. Only `SendEmail` sends: raw, templated and
//! bulk mails are refused rather than accepted and lost.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use rekindle_store::STORAGE_FULL;
use rustack_ses_core::config::SesConfig;
use rustack_ses_core::handler::RustackSesHandler;
use rustack_ses_core::provider::RustackSes;
use rustack_ses_http::body::SesResponseBody;
use rustack_ses_http::dispatch::{SesHandler, dispatch_operation};
use rustack_ses_http::request::{get_optional_param, parse_form_params, parse_member_list};
use rustack_ses_http::response::{error_to_response, xml_escape};
use rustack_ses_http::router::resolve_operation;
use serde::{Deserialize, Serialize};

use super::journal::Journal;
use super::worker::Worker;
use super::{EmbeddedError, Now, REGION, http as wire, is_full};

/// The request id in every error. SES sends one; nobody looks this one up.
const REQUEST_ID: &str = "embedded";

/// SES's own limit, over To, Cc and Bcc together.
const MAX_RECIPIENTS: usize = 50;

/// A mail as it was sent. Serialized, it is a line of `outbox.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// To, Cc and Bcc, in this order; at least one.
    pub to: Vec<String>,
    /// The sender's address as it was given, `Name <address>` included.
    pub from: String,
    /// The subject line.
    pub subject: String,
    /// The text part; empty if the mail had none.
    pub text: String,
    /// The HTML part; empty if the mail had none.
    pub html: String,
    /// When SES accepted it, by the account's clock.
    pub sent_at: Timestamp,
}

pub(super) struct Ses {
    handler: RustackSesHandler,
    outbox: Arc<Mutex<Outbox>>,
    worker: Worker,
    now: Now,
}

#[derive(Default)]
struct Outbox {
    mails: Vec<Mail>,
    journal: Option<Journal>,
}

impl Ses {
    pub(super) fn in_memory(now: Now) -> Self {
        Self::new(Outbox::default(), Worker::Inline, now)
    }

    pub(super) fn open(path: &Path, now: Now) -> Result<Self, EmbeddedError> {
        let (journal, mails) = Journal::open(path)?;
        let outbox = Outbox { mails, journal: Some(journal) };
        Ok(Self::new(outbox, Worker::BlockingThread, now))
    }

    fn new(outbox: Outbox, worker: Worker, now: Now) -> Self {
        let config = SesConfig {
            default_region: REGION.to_owned(),
            require_verified_identity: false,
            ..SesConfig::default()
        };
        Self {
            handler: RustackSesHandler::new(Arc::new(RustackSes::new(config))),
            outbox: Arc::new(Mutex::new(outbox)),
            worker,
            now,
        }
    }

    pub(super) fn outbox(&self) -> Vec<Mail> {
        lock(&self.outbox).mails.clone()
    }

    pub(super) async fn answer(&self, request: Request<Bytes>) -> Result<Response<SdkBody>, EmbeddedError> {
        let answer = match self.handle(request.into_body()).await? {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        };
        wire::into_sdk(answer).await
    }

    /// Answers a request. A mail is in the outbox, and on disk if the outbox is kept, before its sender is answered.
    async fn handle(&self, body: Bytes) -> Result<Result<Response<SesResponseBody>, Refusal>, EmbeddedError> {
        let params = parse_form_params(&body);
        let action = get_optional_param(&params, "Action").unwrap_or_default();
        let mail = match action {
            "SendEmail" => match self.mail(&params) {
                Ok(mail) => Some(mail),
                Err(reason) => return Ok(Err(Refusal::sender("InvalidParameterValue", reason))),
            },
            other if other.starts_with("Send") => {
                let reason = format!("the embedded SES sends by SendEmail only, not by {other}");
                return Ok(Err(Refusal::sender("InvalidAction", reason)));
            }
            _ => None,
        };
        let answer = match resolve_operation(&params) {
            Ok(operation) => dispatch_operation(&self.handler, operation, body).await,
            Err(error) => Err(error),
        };
        // The engine keeps every mail too; this drops its copies.
        self.handler.clear_emails(None);
        let response = match answer {
            Ok(response) => response,
            Err(error) => return Ok(Ok(error_to_response(&error, REQUEST_ID))),
        };
        if let Some(mail) = mail
            && let Err(error) = self.keep(mail).await?
        {
            tracing::error!(error.message = %error, "the outbox could not be written; the mail was not sent");
            let refusal = if is_full(&error) { Refusal::full() } else { Refusal::failure(error.to_string()) };
            return Ok(Err(refusal));
        }
        Ok(Ok(response))
    }

    fn mail(&self, params: &[(String, String)]) -> Result<Mail, String> {
        let part = |name: &str| get_optional_param(params, name).unwrap_or_default().to_owned();
        let to: Vec<String> = ["To", "Cc", "Bcc"]
            .iter()
            .flat_map(|kind| parse_member_list(params, &format!("Destination.{kind}Addresses")))
            .collect();
        let mail = Mail {
            to,
            from: part("Source"),
            subject: part("Message.Subject.Data"),
            text: part("Message.Body.Text.Data"),
            html: part("Message.Body.Html.Data"),
            sent_at: (self.now)(),
        };
        match mail.to.len() {
            0 => Err("a mail needs a recipient".to_owned()),
            n if n > MAX_RECIPIENTS => Err(format!("{n} recipients are more than {MAX_RECIPIENTS}")),
            _ if !mail.from.contains('@') => Err(format!("{:?} is no address to send from", mail.from)),
            _ => Ok(mail),
        }
    }

    async fn keep(&self, mail: Mail) -> Result<io::Result<()>, EmbeddedError> {
        let outbox = Arc::clone(&self.outbox);
        let keep = move || {
            let mut outbox = lock(&outbox);
            if let Some(journal) = &mut outbox.journal {
                journal.append(std::slice::from_ref(&mail))?;
            }
            outbox.mails.push(mail);
            Ok(())
        };
        self.worker.run(keep).await
    }
}

/// Takes the lock even when a panic poisoned it: a mail is pushed whole or not at all.
fn lock(outbox: &Mutex<Outbox>) -> MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error of our own, in SES's XML.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn sender(code: &'static str, message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message }
    }

    fn failure(message: String) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: "InternalFailure", message }
    }

    fn full() -> Self {
        let message = "the disk is full".to_owned();
        Self { status: StatusCode::INSUFFICIENT_STORAGE, code: STORAGE_FULL, message }
    }

    fn into_response(self) -> Response<SesResponseBody> {
        let fault = if self.status.is_server_error() { "Receiver" } else { "Sender" };
        let xml = format!(
            "<ErrorResponse xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\"><Error><Type>{fault}</Type>\
             <Code>{}</Code><Message>{}</Message></Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>",
            self.code,
            xml_escape(&self.message),
        );
        let mut response = Response::new(SesResponseBody::from_xml(xml.into_bytes()));
        *response.status_mut() = self.status;
        response
    }
}
