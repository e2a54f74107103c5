//! The words of the console: states, reasons and acts as marketers name them.

use crate::html::{count, time};
use maud::{Markup, html};
use rekindle_domain::{
    facet::{Channel, Facet, Kind},
    id::{SourceId, SourceKind},
    key::Scope,
    source::{Holder, Pin, Status},
};
use rekindle_service::library::{ShownState, SourceView};

/// The address of a source's page.
pub(crate) fn address(id: &SourceId) -> String {
    format!("/console/{}/{}", kind_path(id.kind()), id.id())
}

/// The kind in addresses.
pub(crate) const fn kind_path(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Campaign => "campaigns",
        SourceKind::Canvas => "canvases",
    }
}

/// The kind for people.
pub(crate) const fn kind_name(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Campaign => "Campaign",
        SourceKind::Canvas => "Canvas",
    }
}

/// A number of campaigns and Canvases.
pub(crate) fn things(n: u64) -> String {
    count(n, "campaign or Canvas", "campaigns and Canvases")
}

/// The kind within a sentence.
pub(crate) const fn kind_word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Campaign => "campaign",
        SourceKind::Canvas => "Canvas",
    }
}

/// A channel, for people.
pub(crate) const fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "Email",
        Channel::Push => "Push",
        Channel::Sms => "SMS",
        Channel::Whatsapp => "WhatsApp",
        Channel::Webhook => "Webhook",
        Channel::InApp => "In-app message",
        Channel::ContentCard => "Content Card",
        Channel::Banner => "Banner",
        Channel::Line => "LINE",
        Channel::Rcs => "RCS",
    }
}

/// The act of a user, or of a machine or a server on the way, that an interaction is.
pub(crate) fn did(facet: &Facet) -> String {
    let text = match (facet.kind, facet.machine) {
        (Kind::Received, _) => "Received",
        (Kind::Delivered, _) => "Delivered",
        (Kind::Opened, false) => "Opened",
        (Kind::Opened, true) => "Opened by a machine",
        (Kind::Clicked, false) => "Clicked",
        (Kind::Clicked, true) => "Clicked by a machine",
        (Kind::Dismissed, _) => "Put away unopened",
        (Kind::Replied, _) => "Replied",
        (Kind::Converted, _) if facet.conversion > 0 => {
            return format!("Converted (event {})", facet.conversion);
        }
        (Kind::Converted, _) => "Converted",
        (Kind::Entered, _) => "Entered the Canvas",
        (Kind::Control, _) => "Put into the control group",
        (Kind::HardBounced, _) => "Bounced: no such address",
        (Kind::SoftBounced, _) => "Bounced this time",
        (Kind::Complained, _) => "Marked as spam",
        (Kind::NotSpam, _) => "Took back the mark as spam",
        (Kind::Unsubscribed, _) => "Unsubscribed",
        (Kind::Subscribed, _) => "Subscribed",
    };
    text.to_owned()
}

/// The acts that a scope allows, after "may".
pub(crate) const fn may(scope: Scope) -> &'static str {
    match scope {
        Scope::Ingest => "post interactions",
        Scope::Read => "look at everything but keys",
        Scope::Manage => "change things and restore data",
        Scope::Admin => "make keys and read the audit trail",
    }
}

pub(crate) const fn status(status: Status) -> &'static str {
    match status {
        Status::Draft => "Draft",
        Status::Active => "Active",
        Status::Stopped => "Stopped",
    }
}

/// The state of the data, in a word or two.
pub(crate) fn state(view: &SourceView) -> &'static str {
    let data = &view.interaction_data;
    match data.state {
        ShownState::Available if !data.has_data => "No data yet",
        ShownState::Available => "Available",
        ShownState::Expiring => "Being archived",
        ShownState::Expired => "Expired",
        ShownState::Restoring => "Being restored",
    }
}

fn holder(holder: &Holder) -> Markup {
    html! {
        a href=(address(&holder.source)) { (holder.source.id()) }
        @for segment in &holder.via { " through segment " (segment.trim_start_matches("segment/")) }
    }
}

/// How long a pin lasts, and why it is there.
fn pinned(pin: &Pin) -> Markup {
    html! {
        @if let Some(until) = pin.until { " until " (time(until)) }
        ": " span dir="auto" { (pin.reason) }
    }
}

/// When the data goes, or why it stays.
pub(crate) fn keeping(view: &SourceView) -> Markup {
    let data = &view.interaction_data;
    if let Some(at) = view.final_at {
        return html! { "Deleted; it can be brought back until " (time(at)) };
    }
    html! {
        @match (data.state, data.expires_at) {
            (ShownState::Expired, _) => {
                @if let Some(at) = data.archived_at { "Expired on " (time(at)) } @else { "Expired" }
            }
            (ShownState::Restoring, _) => { "Being restored" }
            (ShownState::Expiring, _) => { "Being moved to long-term storage" }
            (_, Some(at)) => {
                "Expires on " (time(at))
                @if let Some(pin) = &data.pin { "; pinned" (pinned(pin)) }
            }
            (_, None) => {
                @if let Some(pin) = &data.pin {
                    "Pinned" (pinned(pin))
                } @else if let Some(first) = data.held_by.first() {
                    "Kept for " (holder(first))
                    @if data.held_by.len() > 1 { " and " (data.held_by.len() - 1) " more" }
                } @else if view.status == Status::Active {
                    "Kept while it is active"
                } @else {
                    "–"
                }
            }
        }
    }
}

/// The address of a segment's page.
pub(crate) fn segment(id: &str) -> String {
    format!("/console/segments/{id}")
}

/// The name of a kind of interaction, a channel or the like, as people read it: `machine_clicked` as "Machine clicked".
pub(crate) fn kind(name: &str) -> String {
    let text = name.replace('_', " ");
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}", letters.as_str())
}

/// An event of a timeline, as people read it.
pub(crate) fn event(name: &str) -> String {
    let text = match name {
        "registered" => "Registered",
        "edited" => "Edited",
        "warned" => "People were warned of the expiry",
        "expired" => "Interaction data expired",
        "restore_started" => "Restore began",
        "restored" => "Interaction data restored",
        "restore_cancelled" => "Restore cancelled",
        "restore_failed" => "Restore failed",
        "clock_restarted" => "Asked for while available: kept anew",
        "sent_after_stop" => "Messages went out after the stop",
        "mail_failed" => "A mail could not be sent",
        "archiving_failed" => "The archive could not be written",
        "compaction_failed" => "Compaction failed",
        "holding_failed" => "What it retargets could not be held",
        "stopping_failed" => "It could not be stopped",
        other => return kind(other),
    };
    text.to_owned()
}
