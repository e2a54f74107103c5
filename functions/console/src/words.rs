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
        ShownState::Available if !data.is_there => "No data yet",
        ShownState::Available => "Available",
        ShownState::Expiring => "Expiring",
        ShownState::Expired => "Expired",
        ShownState::Restoring => "Restoring",
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
