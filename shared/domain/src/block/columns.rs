//! Reads of a block only the kinds of things that its users did, without their ids and times.

use super::{MAX_BLOCK_ROWS, MAX_FACET_BYTES, Sealed, ids::skip_ids, read_facets};
use crate::{
    codec::{Truncated, read_small_ints, skip_bytes},
    facet::Facet,
};

/// The facets of the users of a block. The value is used again for the next block, which mostly has the same facets.
#[derive(Default, Debug)]
pub(crate) struct Columns {
    /// How many rows each user has, one after the other; at least one.
    pub rows_of_users: Vec<u8>,
    /// The facet of each row.
    pub facets_of_rows: Vec<u8>,
    /// The dictionary that the facets index.
    pub facets: Vec<Facet>,
    /// The encoding of `facets`.
    text: Vec<u8>,
}

impl<B: AsRef<[u8]>> Sealed<B> {
    /// Reads the columns; returns whether the facets differ from those before. `Ok(None)`: a user has more rows, or the block
    /// more facets, than a byte can number.
    ///
    /// For a block that decodes, the columns agree with [`Sealed::rows`]. The other columns are not checked, so that some
    /// malformed blocks with a right checksum are read.
    pub(crate) fn columns(&self, into: &mut Columns) -> Result<Option<bool>, Truncated> {
        let mut reader = self.content();
        let users = reader.count(MAX_BLOCK_ROWS)?;
        let rows = reader.count(MAX_BLOCK_ROWS)?;
        skip_ids(&mut reader, users)?;
        if !read_small_ints(&mut reader, users, &mut into.rows_of_users)? {
            return Ok(None);
        }
        let sum: usize = into.rows_of_users.iter().map(|n| usize::from(*n)).sum();
        if sum != rows || into.rows_of_users.contains(&0) {
            return Err(Truncated);
        }
        let count = reader.count(rows)?;
        let from = reader.clone();
        skip_bytes(&mut reader, MAX_FACET_BYTES)?;
        let text = &from.0[..from.0.len() - reader.0.len()];
        let is_new = count != into.facets.len() || text != into.text;
        if is_new {
            into.facets = read_facets(&mut from.clone(), count)?;
            into.text = text.to_vec();
        }
        if !read_small_ints(&mut reader, rows, &mut into.facets_of_rows)? {
            return Ok(None);
        }
        let highest = into.facets_of_rows.iter().copied().max();
        if highest.is_some_and(|facet| usize::from(facet) >= count) {
            return Err(Truncated);
        }
        Ok(Some(is_new))
    }
}
