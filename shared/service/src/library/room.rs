//! Bounds in bytes: what one item and one transaction take.

use crate::problem::Problem;
use rekindle_domain::{
    bounds::{MAX_FIELDS_BYTES, MAX_HOLDERS_BYTES, stored_bytes},
    id::SourceId,
    source::{MAX_HOLDERS, Source},
};
use rekindle_store::catalog::Transaction;

/// The most bytes of a transaction that makes a source or a segment hold more. What such a transaction writes has to be
/// written again when the source stops, and the items may have grown by then.
const MAX_GROWING: usize = Transaction::MAX_BYTES / 5 * 4;

/// 422 unless what a person says of a source leaves the item room for its holders and its lifecycle.
pub(super) fn check_fields(source: &Source) -> Result<(), Problem> {
    let Source { name, tags, variants, steps, audience, notify, .. } = source;
    let bytes = stored_bytes(&(name, tags, variants, steps, audience, notify));
    if bytes <= MAX_FIELDS_BYTES {
        return Ok(());
    }
    let detail = format!(
        "name, tags, variants, steps, audience and notify have at most {MAX_FIELDS_BYTES} bytes together, as JSON; these have {bytes}; shorten some names, or move parts of the audience into segments"
    );
    Err(Problem::unprocessable("too_many_bytes", detail))
}

/// 409 unless the holders of a source fit its item.
pub(super) fn check_holders(source: &Source) -> Result<(), Problem> {
    let refuse = |id: &SourceId, most: String| {
        let detail =
            format!("at most {most} may retarget {id}; stop one of the active sources in its held_by first");
        Err(Problem::conflict("too_many_holders", detail))
    };
    if source.holders.len() > MAX_HOLDERS {
        return refuse(&source.id, format!("{MAX_HOLDERS} active sources"));
    }
    if stored_bytes(&source.holders) > MAX_HOLDERS_BYTES {
        let most = format!("{MAX_HOLDERS_BYTES} bytes of ids of active sources, and of segments in between,");
        return refuse(&source.id, most);
    }
    Ok(())
}

/// 422 unless one transaction takes all of this. `holds_more`: the transaction makes something hold data.
pub(crate) fn check_room(transaction: &Transaction, holds_more: bool) -> Result<(), Problem> {
    let most = if holds_more { MAX_GROWING } else { Transaction::MAX_BYTES };
    if transaction.bytes() <= most {
        return Ok(());
    }
    let detail = format!(
        "this writes {} bytes of sources and segments at once, and {most} is the most; make the filters of the segments smaller, use fewer of them, or change the audience in steps",
        transaction.bytes()
    );
    Err(Problem::unprocessable("too_many_changes", detail))
}
