//! Rows in and out of one ledger. This room knows no mail and no lifecycle.

mod copy;
mod marks;
mod merged;
mod moved;
mod rewrite;
mod sink;
mod view;
mod worker;

pub(crate) use copy::Batch;
pub(crate) use marks::MARGIN_MILLIS;
pub(crate) use merged::{Merged, Taken};
pub(crate) use rewrite::{Bite, Driven, LEFT_ALONE_MILLIS, Sums, arrivals};
pub(crate) use view::{LedgerView, inbox_tally};
pub(crate) use worker::{PartResult, Worker};
