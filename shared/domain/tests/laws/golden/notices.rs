//! Mails that wait to be sent.

use super::{AT, REQUEST};
use rekindle_domain::notice::{Expiring, Notice, Subject, daily_notice_id};

pub(super) fn notice() -> Notice {
    Notice {
        id: format!("{REQUEST}-0"),
        to: "me@example.com".to_owned(),
        subject: Subject::Restore { request: REQUEST },
        created_at: AT,
        attempts: 2,
        sent_at: Some(AT.plus(1)),
        is_told: false,
        failed: Some("mailbox full".to_owned()),
        lease_until: AT.plus(2),
    }
}

pub(super) fn stopped_notice() -> Notice {
    let subject = Subject::Stopped {
        source: "canvas/welcome".parse().unwrap(),
        idle_since: AT,
        expires_at: Some(AT.plus(13)),
    };
    Notice { subject, ..notice() }
}

pub(super) fn sending_notice() -> Notice {
    let subject = Subject::Sending { source: "campaign/a".parse().unwrap(), message_at: AT.plus(7) };
    Notice { subject, ..notice() }
}

pub(super) fn deleted_notice() -> Notice {
    let (source, by) = ("campaign/a".parse().unwrap(), "key/00000000000000000000000KEY".to_owned());
    Notice { subject: Subject::Deleted { source, by, final_at: AT.plus(7) }, ..notice() }
}

pub(super) fn undeleted_notice() -> Notice {
    let subject = Subject::Undeleted { source: "campaign/a".parse().unwrap(), message_at: AT.plus(7) };
    Notice { subject, ..notice() }
}

pub(super) fn trouble_notice() -> Notice {
    let subject = Subject::Trouble {
        source: "campaign/a".parse().unwrap(),
        reason: "slot 3 did not verify".to_owned(),
    };
    Notice { sent_at: None, failed: None, subject, ..notice() }
}

pub(super) fn expiring_notice() -> Notice {
    let sources = vec![
        Expiring { source: "campaign/a".parse().unwrap(), expires_at: AT.plus(3) },
        Expiring { source: "canvas/w".parse().unwrap(), expires_at: AT.plus(4) },
    ];
    let id = daily_notice_id(AT, "me@example.com", 0);
    Notice { id, sent_at: None, failed: None, subject: Subject::Expiring { sources, more: 5 }, ..notice() }
}
