//! The words of the console: states, reasons and acts as marketers name them.

use crate::html::time;
use maud::{Markup, html};
use rekindle_domain::{
    id::{SourceId, SourceKind},
    source::{Holder, Status},
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

/// The kind within a sentence.
pub(crate) const fn kind_word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Campaign => "campaign",
        SourceKind::Canvas => "Canvas",
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
            (_, Some(at)) => { "Expires on " (time(at)) }
            (_, None) => {
                @if let Some(pin) = &data.pin {
                    "Pinned"
                    @if let Some(until) = pin.until { " until " (time(until)) }
                    ": " (pin.reason)
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
    if name == "sms" {
        return "SMS".to_owned();
    }
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
