//! One streamed merge over the ledgers of a question.

use super::prepare::{Prepared, QuestionCursor};
use crate::{
    app::Rekindle,
    ledger::{Batch, Merged, Taken},
    page::encode_cursor,
};
use rekindle_domain::{
    filter::{FacetAtoms, Presence, Tallied, Truth},
    merge::Merge,
    rows::UserRows,
};
use rekindle_store::{StoreError, ledger::Piece};
use std::ops::ControlFlow;

/// The most bytes of user ids of one page.
const MAX_MEMBER_BYTES: usize = 5 << 20;

impl Rekindle {
    /// Passes every user after the cursor to the visitor, until the visitor has enough, the time is up, or no user is left.
    /// Returns the cursor to go on from; `None` if no user is left.
    pub(super) async fn walk(
        &self,
        prepared: &Prepared,
        from: QuestionCursor,
        visitor: &mut impl Visitor,
    ) -> Result<Option<String>, StoreError> {
        let until = self.now().plus(self.settings.audience_millis);
        let program = &prepared.program;
        let hashes = from.hash..=u64::MAX;
        let (mut ledgers, mut streams) = (Vec::new(), Vec::new());
        for (ledger, view) in prepared.views.iter().enumerate() {
            streams.extend(view.streams(&hashes, &prepared.people)?);
            ledgers.resize(streams.len(), ledger);
        }
        let mut atoms = vec![FacetAtoms::default(); streams.len()];
        let mut merged = Merged::new(streams);
        let mut facts = program.blank();
        let mut last: Option<(u64, Vec<u8>)> = None;
        let mut stopped_at = 0;
        loop {
            let take = |i: usize, merge: &Merge, batch: Batch| {
                if let Batch::Piece(piece) = &batch {
                    let hashes = piece.hashes();
                    // A piece may be counted whole only if all its users are after the cursor, and no other stream has
                    // rows of them.
                    let is_all_new = from.id.is_empty() || from.hash < *hashes.start();
                    if is_all_new && merge.is_alone_to(i, *hashes.end()) && visitor.piece(piece)? {
                        let after = hashes.end().checked_add(1).filter(|_| self.now() >= until);
                        stopped_at = after.unwrap_or_default();
                        return Ok(if after.is_some() { Taken::Stop } else { Taken::Done });
                    }
                }
                let rows = batch.rows()?;
                atoms[i] = program.facet_atoms(ledgers[i], &rows.facets);
                Ok(Taken::Feed(rows))
            };
            if merged.fill(take).await?.is_break() {
                return Ok(Some(self.go_on(&from, stopped_at, b"")));
            }
            while let Some(group) = merged.next_group() {
                let user = group.user();
                if (user.hash, user.id) <= (from.hash, from.id.as_bytes()) {
                    continue;
                }
                note(&mut last, &user);
                if !group.has_rows() {
                    continue;
                }
                facts.reset();
                group.parts().for_each(|(stream, _, user)| facts.learn(user.rows, &atoms[stream]));
                if visitor.user(&user, program.answer(&facts)).is_break() {
                    return Ok(Some(self.go_on(&from, user.hash, user.id)));
                }
            }
            if merged.has_ended() {
                return Ok(None);
            }
            if let Some((hash, id)) = &last
                && self.now() >= until
            {
                return Ok(Some(self.go_on(&from, *hash, id)));
            }
        }
    }

    fn go_on(&self, from: &QuestionCursor, hash: u64, id: &[u8]) -> String {
        encode_cursor(&QuestionCursor { hash, id: String::from_utf8_lossy(id).into_owned(), ..from.clone() })
    }
}

/// Notes the place of a user.
fn note(last: &mut Option<(u64, Vec<u8>)>, user: &UserRows<'_>) {
    match last {
        Some((hash, id)) => {
            *hash = user.hash;
            id.clear();
            id.extend_from_slice(user.id);
        }
        None => *last = Some((user.hash, user.id.to_vec())),
    }
}

/// Receives the users of a question, in ledger order.
pub(super) trait Visitor {
    /// Takes a user and the answer about it. Breaks if the visitor has enough.
    fn user(&mut self, user: &UserRows<'_>, answer: Truth) -> ControlFlow<()>;

    /// Takes a piece whose users have no rows elsewhere. Returns `false` if the visitor wants them one by one instead.
    fn piece(&mut self, _: &Piece) -> Result<bool, StoreError> {
        Ok(false)
    }
}

pub(super) struct Counting<'a> {
    /// Counts the users of whole blocks at once; `None` if the question does not allow that.
    pub(super) presence: Option<Presence<'a>>,
    pub(super) found: Tallied,
}

impl Visitor for Counting<'_> {
    fn user(&mut self, _: &UserRows<'_>, answer: Truth) -> ControlFlow<()> {
        self.found.yes += u64::from(answer == Truth::Yes);
        self.found.unknown += u64::from(answer == Truth::Unknown);
        ControlFlow::Continue(())
    }

    fn piece(&mut self, piece: &Piece) -> Result<bool, StoreError> {
        let (Some(presence), Some(block)) = (&mut self.presence, piece.block()) else {
            return Ok(false);
        };
        let found = presence.count(block).map_err(|e| piece.damaged(e))?;
        self.found.yes += found.map_or(0, |f| f.yes);
        self.found.unknown += found.map_or(0, |f| f.unknown);
        Ok(found.is_some())
    }
}

pub(super) struct Paging {
    pub(super) limit: usize,
    pub(super) items: Vec<String>,
    pub(super) bytes: usize,
}

impl Visitor for Paging {
    fn user(&mut self, user: &UserRows<'_>, answer: Truth) -> ControlFlow<()> {
        if answer == Truth::Yes {
            // In JSON each id has two quotes and a comma, and each quote or backslash in it becomes two bytes.
            let escaped = user.id.iter().filter(|b| matches!(b, b'"' | b'\\')).count();
            self.bytes += user.id.len() + escaped + 3;
            self.items.push(String::from_utf8_lossy(user.id).into_owned());
        }
        let is_full = self.items.len() >= self.limit || self.bytes >= MAX_MEMBER_BYTES;
        if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
