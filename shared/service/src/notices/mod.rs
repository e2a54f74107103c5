//! Mails: recording them, their texts, and sending them.

mod deliver;
mod letters;
mod outbox;
mod trouble;
