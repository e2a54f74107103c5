//! Counts whole blocks, where a filter asks only whether users have ever done something with one source.
//!
//! Then two of a block's columns suffice, without the users' ids and times, and each of the few combinations of things
//! that a user can have done is answered once. "Received and not clicked" is such a filter.

use super::{Program, Truth};
use crate::block::{BlockError, Columns, Sealed};

/// The most atoms, since each one doubles the combinations; few filters about one source have more.
const MAX_ATOMS: usize = 8;

/// How many users of some blocks match.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tallied {
    /// Users that match.
    pub yes: u64,
    /// Users that may match: the data that would tell is expired.
    pub unknown: u64,
}

/// A program prepared for counting blocks.
pub struct Presence<'a> {
    program: &'a Program,
    /// For each combination of atoms 1 if the answer is yes, and 1 in the upper half if it is unknown.
    answers: [u64; 1 << MAX_ATOMS],
    /// The atoms that each facet of the current block matters to.
    atoms: [u8; 256],
    columns: Columns,
}

impl Program {
    /// The program prepared for blocks of its only ledger; `None` if it asks more than this can answer.
    pub fn presence(&self) -> Option<Presence<'_>> {
        let atoms = self.presence_atoms().filter(|n| *n <= MAX_ATOMS)?;
        let mut answers = [0; 1 << MAX_ATOMS];
        for (present, answer) in (0..1 << atoms).zip(&mut answers) {
            *answer = match self.answer_of_present(present) {
                Truth::Yes => 1,
                Truth::No => 0,
                Truth::Unknown => 1 << 32,
            };
        }
        Some(Presence { program: self, answers, atoms: [0; 256], columns: Columns::default() })
    }
}

impl Presence<'_> {
    /// Counts the users of a block; none of them may have rows elsewhere. `None`: the block has to be read in full.
    ///
    /// # Errors
    /// [`BlockError::Malformed`], where the columns do not decode.
    pub fn count<B: AsRef<[u8]>>(&mut self, block: &Sealed<B>) -> Result<Option<Tallied>, BlockError> {
        let Some(is_new) = block.columns(&mut self.columns)? else {
            return Ok(None);
        };
        if is_new {
            let atoms = self.program.facet_atoms(0, &self.columns.facets);
            for (slot, atoms) in self.atoms.iter_mut().zip(atoms.bits()) {
                *slot = atoms as u8;
            }
        }
        let atoms = |facet: &u8| self.atoms[usize::from(*facet)];
        let mut sum = 0;
        let mut rest = &self.columns.facets_of_rows[..];
        for rows in &self.columns.rows_of_users {
            let (of_user, others) = rest.split_at_checked(usize::from(*rows)).ok_or(BlockError::Malformed)?;
            // Most users have one row or two, in no order a processor could learn: these are read without a branch.
            let present = match (rest, rows) {
                ([first, second, ..], 1..=2) => atoms(first) | atoms(second) & (rows - 1).wrapping_neg(),
                _ => of_user.iter().fold(0, |present, facet| present | atoms(facet)),
            };
            sum += self.answers[usize::from(present)];
            rest = others;
        }
        Ok(Some(Tallied { yes: sum & u64::from(u32::MAX), unknown: sum >> 32 }))
    }
}
