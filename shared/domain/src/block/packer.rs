//! Cuts rows into blocks that fit.

use super::{Cover, MAX_BLOCK_ROWS, Position, encode, encode_bounded};
use crate::{
    facet::Facet,
    rows::{Row, Rows},
};

/// The greatest size of a row in a block, with some room, in bytes: nearly all of it is its facet's three texts.
const MAX_ROW_BYTES: usize = 1_200;

/// Packs `rows` into inbox blocks of at most `limit` bytes, in order. The rows of a user that one block cannot hold stand
/// in several. `limit` is in bytes and at least 4,096, or a block may be larger.
pub fn encode_inbox(rows: &Rows, limit: usize) -> Vec<(Vec<u8>, u64)> {
    let mut out = Vec::new();
    let mut stack: Vec<_> = std::iter::once(0..rows.len()).collect();
    while let Some(range) = stack.pop() {
        if range.is_empty() {
            continue;
        }
        let row_count = rows.row_start(range.end) - rows.row_start(range.start);
        let (block, bounded) = encode_bounded(rows, range.clone(), None);
        if block.len() <= limit && bounded {
            out.push((block, row_count as u64));
        } else if range.len() > 1 {
            let middle = range.start + range.len() / 2;
            stack.push(middle..range.end);
            stack.push(range.start..middle);
        } else {
            let pieces = pieces_of(rows, range, limit);
            out.extend((0..pieces.len()).map(|i| {
                let row_count = pieces.user(i).rows.len() as u64;
                (encode(&pieces, i..i + 1, None), row_count)
            }));
        }
    }
    out
}

/// The users `range`, each as often as its rows take blocks of `limit` bytes: each user of the answer is one block.
fn pieces_of(rows: &Rows, range: std::ops::Range<usize>, limit: usize) -> Rows {
    let mut pieces = Rows::with_facets(rows.facets.clone());
    for user in range.map(|user| rows.user(user)) {
        for rows in user.rows.chunks((limit / MAX_ROW_BYTES).max(1)) {
            pieces.push(user.hash, user.id, rows);
        }
    }
    pieces
}

/// Cuts the users of one slot, given in ledger order, into blocks of at most `limit` bytes that cover the slot.
pub struct Packer {
    limit: usize,
    pending: Rows,
    start: Position,
    bytes_per_row: f64,
}

/// A packed block of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The part of the slot that it covers; `cover.start` is its sort key.
    pub cover: Cover,
    /// The encoded block.
    pub bytes: Vec<u8>,
}

impl Packer {
    /// A packer for a slot that starts at `first_hash`. `limit` is in bytes and at least 4,096.
    pub fn new(first_hash: u64, limit: usize) -> Self {
        Self { limit, pending: Rows::default(), start: Position::at(first_hash), bytes_per_row: 20.0 }
    }

    /// Adds a user; `facets` is the dictionary of its rows, which may only grow from call to call.
    pub fn push(&mut self, hash: u64, id: &[u8], rows: &[Row], facets: &[Facet], out: &mut Vec<Packed>) {
        if self.pending.facets.len() < facets.len() {
            self.pending.facets.extend_from_slice(&facets[self.pending.facets.len()..]);
        }
        self.pending.push(hash, id, rows);
        // A quarter more than the guess of what a block holds, so that the guess can still grow.
        let enough = self.limit as f64 * 1.25;
        while self.pending.row_count() as f64 * self.bytes_per_row > enough && self.pending.len() > 1 {
            let before = self.pending.len();
            self.emit(false, out);
            if self.pending.len() == before {
                break;
            }
        }
    }

    /// Packs the users that are left. Empty slots have no block.
    pub fn finish(mut self, out: &mut Vec<Packed>) {
        while !self.pending.is_empty() {
            self.emit(true, out);
        }
    }

    /// Emits the largest block that fits, guessed from the density so far and corrected by what came out.
    fn emit(&mut self, last: bool, out: &mut Vec<Packed>) {
        let mut users = self.guess();
        let mut best = None;
        for _ in 0..6 {
            users = self.whole_hashes(users);
            if users == 0 {
                break;
            }
            if users == self.pending.len() && !last {
                // The user behind must be known: it may fit too, and the next block starts there.
                return;
            }
            let (packed, bounded) = self.encode_front(users);
            let rows = self.pending.row_start(users).max(1);
            let size = packed.bytes.len();
            self.bytes_per_row = size as f64 / rows as f64;
            if size <= self.limit && bounded {
                let full = size as f64 > self.limit as f64 * 0.97 || users == self.pending.len();
                best = Some((users, packed));
                if full {
                    break;
                }
                let next = self.guess();
                if self.whole_hashes(next) <= users {
                    break;
                }
                users = next;
            } else if let Some((fits, _)) = &best {
                users = usize::midpoint(*fits, users);
                if users == *fits {
                    break;
                }
            } else if bounded {
                users = self.guess().min(users - 1);
            } else {
                users /= 2;
            }
        }
        match best {
            Some((users, packed)) => {
                self.start = packed.cover.next.unwrap_or(self.start);
                out.push(packed);
                self.pending.drop_front(users);
            }
            None => self.emit_chain(last, out),
        }
    }

    /// The guess of how many users fill a block.
    fn guess(&self) -> usize {
        let rows = (self.limit as f64 * 0.992 / self.bytes_per_row) as usize;
        self.pending.users_within(rows.min(MAX_BLOCK_ROWS)).max(1)
    }

    /// The greatest number of users up to `users` that splits no hash.
    fn whole_hashes(&self, mut users: usize) -> usize {
        while users > 0
            && users < self.pending.len()
            && self.pending.hash(users - 1) == self.pending.hash(users)
        {
            users -= 1;
        }
        users
    }

    fn encode_front(&self, users: usize) -> (Packed, bool) {
        let next = (users < self.pending.len()).then(|| Position::at(self.pending.hash(users)));
        let cover = Cover { start: self.start, next };
        let (bytes, bounded) = encode_bounded(&self.pending, 0..users, Some(cover));
        (Packed { cover, bytes }, bounded)
    }

    /// Emits the first hash alone, over as many blocks as its rows take.
    fn emit_chain(&mut self, last: bool, out: &mut Vec<Packed>) {
        let hash = self.pending.hash(0);
        let users =
            (0..self.pending.len()).find(|u| self.pending.hash(*u) != hash).unwrap_or(self.pending.len());
        if users == self.pending.len() && !last {
            return;
        }
        let after = (users < self.pending.len()).then(|| Position::at(self.pending.hash(users)));
        let pieces = pieces_of(&self.pending, 0..users, self.limit);
        for i in 0..pieces.len() {
            let next = if i + 1 < pieces.len() {
                Some(Position { ordinal: self.start.ordinal + 1, ..self.start })
            } else {
                after
            };
            let cover = Cover { start: self.start, next };
            out.push(Packed { cover, bytes: encode(&pieces, i..i + 1, Some(cover)) });
            self.start = next.unwrap_or(self.start);
        }
        self.pending.drop_front(users);
    }
}
