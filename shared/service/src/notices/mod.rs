//! Mails: recording, composing and sending them.

mod deliver;
mod letters;
mod outbox;
mod trouble;
