//! Computes the manifest that follows a swap. Whether it may follow is decided by [`check`] alone.

use super::{
    Copy, DataState, GRACE_MILLIS, Illegal, Inputs, Life, Manifest, Quarantine, Run, Tier, check, illegal,
};
use crate::{day::Arrivals, id::CopyId, tally::Tally, time::Time};

impl Manifest {
    /// This manifest as the successor of `old`, if it may follow it.
    ///
    /// # Errors
    /// See [`check`].
    pub fn succeed(mut self, old: &Self) -> Result<Self, Illegal> {
        self.version = old.version + 1;
        check(old, &self)?;
        Ok(self)
    }

    /// Lists a copy that is about to be written: a rewrite of `inputs` into a new run, or with `inputs: None` a
    /// further copy of a listed run.
    pub fn stage(&self, copy: Copy) -> Self {
        let mut next = self.clone();
        next.copies.push(copy);
        next
    }

    /// Commits a rewrite: the new run takes the place of its inputs, whose copies retire.
    ///
    /// # Errors
    /// The copy is no longer staged.
    pub fn commit_rewrite(&self, id: CopyId, tally: Tally, bytes: u64, now: Time) -> Result<Self, Illegal> {
        let mut next = self.clone();
        let Some(copy) = next.copies.iter_mut().find(|c| c.id == id && c.life == Life::Staged) else {
            return illegal(format!("copy {id} is no longer staged"));
        };
        (copy.life, copy.since, copy.bytes) = (Life::Live, now, bytes);
        let (run, slots) = (copy.run, copy.slots);
        let inputs = copy.inputs.clone().unwrap_or_default();
        if inputs.inbox_blocks > 0 {
            next.clearing = Some(id);
        }
        next.runs.retain(|r| !inputs.runs.contains(&r.id));
        next.runs.push(Run { id: run, slots, tally, folded: inputs.folded });
        next.retire(now, |c| inputs.runs.contains(&c.run));
        next.release(&inputs);
        Ok(next)
    }

    /// Counts the interactions that arrived with the inbox blocks of a rewrite: to be swapped in with its commit, so that each
    /// block counts once. Days that no longer count are left out.
    pub fn counting(&self, arrived: &Arrivals, now: Time) -> Self {
        let mut next = self.clone();
        next.arrived.add_all(arrived);
        next.arrived = next.arrived.since(now);
        next
    }

    /// Makes a further copy live.
    ///
    /// # Errors
    /// The copy is no longer staged.
    pub fn commit_copy(&self, id: CopyId, bytes: u64, now: Time) -> Result<Self, Illegal> {
        let mut next = self.clone();
        let Some(copy) = next.copies.iter_mut().find(|c| c.id == id && c.life == Life::Staged) else {
            return illegal(format!("copy {id} is no longer staged"));
        };
        (copy.life, copy.since, copy.bytes) = (Life::Live, now, bytes);
        let checked = Inputs { runs: vec![copy.run], ..Inputs::default() };
        next.release(&checked);
        Ok(next)
    }

    /// Releases inputs from quarantine: they were read whole, and verified.
    fn release(&mut self, checked: &Inputs) {
        if let Some(quarantine) = &mut self.quarantine {
            quarantine.runs.retain(|r| !checked.runs.contains(r));
            quarantine.inbox &= checked.inbox_blocks == 0;
        }
        self.quarantine = self.quarantine.take().filter(Quarantine::is_of_anything);
    }

    /// Makes the data available: every run has a live hot copy.
    pub fn available(&self) -> Self {
        Self { state: DataState::Available, ..self.clone() }
    }

    /// Makes the data expired: hot copies retire.
    pub fn expired(&self, now: Time) -> Self {
        let mut next = Self { state: DataState::Expired, ..self.clone() };
        next.retire(now, |c| c.tier == Tier::Hot);
        next
    }

    /// Makes all data go: no run is listed any more. Copies that were live are deleted after their grace, as readers may still
    /// read them.
    pub fn deleted(&self, now: Time) -> Self {
        let mut next = self.abandon(now, |_| true);
        next.retire(now, |_| true);
        Self { is_deleted: true, runs: Vec::new(), clearing: None, quarantine: None, ..next }
    }

    /// Marks the data as being restored.
    pub fn restoring(&self) -> Self {
        Self { state: DataState::Restoring, ..self.clone() }
    }

    fn retire(&mut self, now: Time, which: impl Fn(&Copy) -> bool) {
        for copy in self.copies.iter_mut().filter(|c| c.life == Life::Live && which(c)) {
            (copy.life, copy.since) = (Life::Retired, now);
        }
    }

    /// Gives up the staged copies that `which` picks.
    pub fn abandon(&self, now: Time, which: impl Fn(&Copy) -> bool) -> Self {
        let mut next = self.clone();
        for copy in next.copies.iter_mut().filter(|c| c.life == Life::Staged && which(c)) {
            (copy.life, copy.since) = (Life::Doomed, now);
        }
        next
    }

    /// Dooms copies that are past the grace: retired ones, and staged rewrites that, as `stalled` says, make no progress. It
    /// spares a copy whose inbox blocks are still to be cleared, since their keys are recorded with it, and in quarantine
    /// every retired copy.
    pub fn doom(&self, now: Time, stalled: impl Fn(&Copy) -> bool) -> Self {
        let mut next = self.clone();
        let clearing = self.clearing;
        let past = |c: &&mut Copy| now >= c.since.plus(GRACE_MILLIS) && Some(c.id) != clearing;
        for copy in next.copies.iter_mut().filter(past) {
            let is_unneeded = copy.life == Life::Retired && self.quarantine.is_none();
            if is_unneeded || (copy.life == Life::Staged && copy.inputs.is_some() && stalled(copy)) {
                (copy.life, copy.since) = (Life::Doomed, now);
            }
        }
        next
    }

    /// Gives staged copies that `which` picks another grace: they make progress.
    pub fn renew(&self, now: Time, which: impl Fn(&Copy) -> bool) -> Self {
        let mut next = self.clone();
        for copy in next.copies.iter_mut().filter(|c| c.life == Life::Staged && which(c)) {
            copy.since = now;
        }
        next
    }

    /// Forgets a doomed copy whose bytes are deleted.
    pub fn forget(&self, id: CopyId) -> Self {
        let mut next = self.clone();
        next.copies.retain(|c| c.id != id || c.life != Life::Doomed);
        next
    }

    /// The committed rewrite's inbox blocks are deleted.
    pub fn cleared(&self, id: CopyId) -> Self {
        let mut next = self.clone();
        next.clearing = next.clearing.filter(|c| *c != id);
        next
    }

    /// Puts the ledger in quarantine for the inputs of `copy`. Runs that were replaced meanwhile are left out: the rewrite
    /// that replaced them read them whole, and they will not be read again.
    pub fn quarantined(&self, reason: &str, copy: &Copy, now: Time) -> Self {
        let mut runs = copy.inputs.as_ref().map_or_else(|| vec![copy.run], |i| i.runs.clone());
        let mut inbox = copy.inputs.as_ref().is_some_and(|i| i.inbox_blocks > 0);
        if let Some(before) = &self.quarantine {
            runs.extend(before.runs.iter().filter(|r| !runs.contains(r)).copied().collect::<Vec<_>>());
            inbox |= before.inbox;
        }
        runs.retain(|r| self.run(*r).is_some());
        let quarantine = Quarantine { reason: reason.to_owned(), since: now, runs, inbox };
        Self { quarantine: Some(quarantine).filter(Quarantine::is_of_anything), ..self.clone() }
    }
}
