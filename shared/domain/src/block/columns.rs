//! A block read for nothing but what its users did: not who they are, nor when it was.

use super::{MAX_BLOCK_ROWS, MAX_FACET_BYTES, Sealed, ids::skip_ids, read_facets};
use crate::{
    codec::{Truncated, read_small_ints, skip_bytes},
    facet::Facet,
};

/// What the users of a block did. Used again for the next block, which mostly has the same facets.
#[derive(Default, Debug)]
pub(crate) struct Columns {
    /// How many rows each user has, one after the other; at least one.
    pub rows_of_users: Vec<u8>,
    /// Which facet each row has.
    pub facets_of_rows: Vec<u8>,
    /// The facets.
    pub facets: Vec<Facet>,
    /// How `facets` are written.
    text: Vec<u8>,
}

impl<B: AsRef<[u8]>> Sealed<B> {
    /// Reads the columns; returns whether the facets are others than before. `Ok(None)`: a user has more rows, or the block
    /// more facets, than columns of bytes can say.
    ///
    /// Of a block that decodes they say what [`Sealed::rows`] does. What is not looked at is not checked: some that are
    /// malformed, though their checksum is right, are read.
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
