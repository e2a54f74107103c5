//! The end of a history: without faults everything comes to rest, all data comes back, and it equals the posted data.

use super::{
    answers::{check_against, filters},
    *,
};

impl History {
    /// Stops all faults. Running processes end, ordinary sweeps and deliveries bring everything to rest, all expired data is
    /// restored, and every answer matches the posted data.
    pub(super) async fn finish(&mut self) -> Result<(), Violation> {
        self.look(Time(0)).await?;
        while self.gate.late() > 0 {
            self.land_something().await?;
        }
        rest::settle(&self.world).await?;
        rest::compact(&self.world).await?;
        self.auditor.archive_changes(None);
        let snapshot = self.look(Time(0)).await?;
        rest::check(&self.world, &snapshot, &self.auditor)?;
        rest::check_compacted(&self.world, &snapshot)?;
        self.check_mails(&snapshot)?;
        self.report.moves = snapshot
            .catalog
            .timelines
            .values()
            .flatten()
            .filter(|e| e.event == "expired" || e.event == "restored")
            .count() as u64;
        if self.auditor.damaged.is_empty() {
            self.check_the_end().await?;
        }
        Ok(())
    }

    pub(super) fn check_mails(&self, snapshot: &Snapshot) -> Result<(), Violation> {
        let outbox = self.world.outbox();
        let twice = outbox.len().checked_sub(snapshot.catalog.notices.len());
        match twice {
            None => Err("L8: a mail that was recorded as sent did not go out".to_owned()),
            Some(twice) if twice > self.mail_slack => {
                Err(format!("L8: {twice} mails went out twice, at most {} may", self.mail_slack))
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) async fn check_the_end(&mut self) -> Result<(), Violation> {
        let mut away = Vec::new();
        for source in SOURCES {
            let shown = self.world.get(&path(source, "")).await.ok();
            if shown["interaction_data"]["state"] != "available" {
                away.push(source);
            }
        }
        if !away.is_empty() {
            let id = self.world.request_restore(&away, &[]).await;
            self.world.drain().await;
            let request = self.world.request(&id).await;
            if request["state"] != "completed" {
                return Err(format!("L1: expired data does not come back: {request}"));
            }
            self.auditor.archive_changes(None);
            self.look(Time(0)).await?;
        }
        let model = self.truth.model(u64::MAX);
        let settled = self.truth.settled(&self.truth.acknowledged(), u64::MAX, &model);
        for _ in 0..2 {
            let filter = filters()[self.dice.below(11) as usize].clone();
            let Answer { status, body, .. } = self.world.try_count(&filter, "refuse").await;
            if status != StatusCode::OK {
                return Err(format!("L5: {filter} is answered {status} {body}"));
            }
            check_against(&model, &filter, Question::Count, None, &settled, &body)
                .map_err(|what| format!("L1: {filter} is answered {body}: {what}"))?;
        }
        Ok(())
    }
}
