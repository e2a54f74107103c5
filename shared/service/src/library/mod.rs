//! The library: campaigns and Canvases, segments, tags and pins, and which source holds whose data.

mod bodies;
mod expirations;
mod filters;
mod holders;
mod list;
mod names;
mod pins;
mod referrers;
mod segments;
mod sources;
mod tags;
mod view;

pub use bodies::{CampaignInput, CanvasInput, StopInput};
pub use expirations::Expiration;
pub(crate) use filters::filters_of;
pub use list::{ListRequest, Sort};
pub use names::UnknownNames;
pub use pins::PinInput;
pub(crate) use referrers::Reference;
pub use segments::{SegmentInput, SegmentView};
pub use tags::TagView;
pub(crate) use view::unknown_source;
pub use view::{DataView, ShownState, SourceView};
