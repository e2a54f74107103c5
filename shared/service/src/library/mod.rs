//! The library: campaigns and Canvases, segments, tags and pins, and which source holds whose data.

mod bodies;
mod bulk;
mod edits;
mod expirations;
mod filters;
mod holders;
mod list;
mod merges;
mod names;
mod overview;
mod paging;
mod pins;
mod referrers;
mod removal;
mod room;
mod segments;
mod sources;
mod tags;
mod view;

pub use bodies::{CampaignInput, CanvasInput, SourceInput, StopInput};
pub use bulk::{BulkAnswer, BulkInput, BulkItem, BulkPinInput, BulkStopInput, MAX_BULK, each_once};
pub use edits::{Change, Edit, Said, Shown};
pub use expirations::Expiration;
pub(crate) use filters::filters_of;
pub use list::{ListRequest, Sort};
pub use merges::{MergeInput, MergeItem, MergeView, MergesAnswer, MergesInput};
pub use names::UnknownNames;
pub use overview::Overview;
pub use pins::PinInput;
pub(crate) use referrers::Reference;
pub use removal::Outcomes;
pub(crate) use room::check_room;
pub use segments::{SegmentInput, SegmentView};
pub use tags::TagView;
pub use view::{DataView, NowDue, ShownState, SourceView};
