//! Faults of calls, storage and processes; and how time passes.

use super::*;
use rekindle_domain::{manifest::Life, part::Part};
use std::hash::{DefaultHasher, Hash, Hasher};

impl History {
    pub(super) async fn release_something(&mut self, waiting: usize) -> Result<(), Violation> {
        let same = (0..waiting).find(|i| self.gate.look_at(*i).0 == self.last);
        let index = match same {
            Some(same) if self.dice.chance(self.sticks_percent) => same,
            _ if self.leans => {
                let processes: BTreeSet<u64> = (0..waiting).map(|i| self.gate.look_at(i).0).collect();
                let nth = self.dice.below(processes.len() as u64) as usize;
                let process = processes.into_iter().nth(nth);
                (0..waiting).find(|i| Some(self.gate.look_at(*i).0) == process).unwrap_or(0)
            }
            _ => self.dice.below(waiting as u64) as usize,
        };
        let (process, call) = self.gate.look_at(index);
        self.last = process;
        if self.leans && call.decides() && self.running.len() <= AT_ONCE && self.dice.chance(50) {
            // The commit waits. Meanwhile a question, or an edit that begins to need the data, may get part of the way.
            let edits = call.body.contains("\"segment\"");
            match self.dice.below(4) {
                0 => self.retarget(SOURCES[1]),
                1 => self.edit(),
                _ if edits => self.edit(),
                _ => self.ask(),
            }
            // The scheduler favours the new process, so it mostly gets there first.
            self.last = self.next;
            return Ok(());
        }
        if self.leans && call.service == "ses" && self.running.len() <= AT_ONCE && self.dice.chance(50) {
            // The queue delivers the same messages once more while they are being handled.
            self.hand_over(Consumer::Notifier, self.notices.clone());
            self.last = self.next;
            return Ok(());
        }
        let mut verdict = Verdict::Passes;
        if self.dice.chance(self.fault_percent) {
            verdict = Verdict::FAULTS[self.dice.below(Verdict::FAULTS.len() as u64) as usize];
            if verdict == Verdict::LeavesUnprocessed && !call.is_batch() {
                verdict = Verdict::LosesAnswer;
            }
            self.report.faults += 1;
            if let Some(running) = self.running.get_mut(&process) {
                running.faults += 1;
                self.mail_slack += usize::from(matches!(running.work, Work::Deliver(Consumer::Notifier)));
            }
        }
        self.note(|| format!("#{process} {} {verdict:?}", call.name()));
        self.report.calls += 1;
        let mut hasher = DefaultHasher::new();
        (self.report.fingerprint, process, call.name(), verdict as u8).hash(&mut hasher);
        self.report.fingerprint = hasher.finish();
        self.check_deletion(&call, verdict).await?;
        self.gate.release(index, verdict);
        self.come_to_rest().await;
        if verdict == Verdict::ArrivesLate && self.dice.chance(50) {
            // The process dies while its call is on the wire.
            self.kill(process);
            self.come_to_rest().await;
        }
        let decided = self.decided(process);
        if self.rots && self.dice.chance(25) {
            self.rot(&call).await;
        }
        self.after(&call, decided).await
    }

    /// The earliest time at which a process may have read the clock for its present write: some calls ago.
    pub(super) fn decided(&mut self, process: u64) -> Time {
        let now = self.world.clock.now_still();
        let Some(running) = self.running.get_mut(&process) else { return Time(0) };
        running.released.push_back(now);
        let back = running.released.len().checked_sub(CALLS_FOR_A_DECISION);
        back.map_or(running.since, |_| running.released.pop_front().unwrap_or(running.since))
    }

    /// Lets the auditor check the state after a call.
    pub(super) async fn after(&mut self, call: &Call, decided: Time) -> Result<(), Violation> {
        if call.service == "s3" && call.writes() {
            self.auditor.archive_changes(call.object());
        }
        if call.matters() {
            let snapshot = self.look(decided).await?;
            if self.damages && self.dice.chance(10) {
                self.damage(&snapshot).await;
            }
        }
        Ok(())
    }

    /// Storage loses one block of a copy that is just being written, or garbles one object. This is not done to a write that
    /// arrives late: its copy may have been verified by then, and Rekindle does not claim to survive later losses.
    pub(super) async fn rot(&mut self, call: &Call) {
        if let Some(key) = call.object() {
            if let Ok(found) = self.world.s3.get_object().bucket(ARCHIVE).key(key).send().await {
                let mut bytes = found.body.collect().await.expect("a body").to_vec();
                let middle = bytes.len() / 3;
                bytes[middle] ^= 0x10;
                self.note(|| format!("storage garbles {key}"));
                self.world.put_object(key, bytes).await;
                self.auditor.has_rotted = true;
            }
        } else if call.is_batch() && call.body.contains("\"b#") && !call.deletes() {
            let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
            let Some(item) = body["RequestItems"][LEDGER][0].pointer("/PutRequest/Item") else { return };
            let pk = item["pk"]["S"].as_str().unwrap_or_default().to_owned();
            if let Some(item) = self.world.ledger_items_of(&pk).await.into_iter().next() {
                self.note(|| format!("storage loses a block of {pk}"));
                self.world.delete_ledger_item(&item).await;
                self.auditor.has_rotted = true;
            }
        } else if call.action == "PutItem" && call.body.contains("\"p#") {
            self.garble_record(call).await;
        }
    }

    /// Storage changes the record of a part that was just restored, so that its sum differs from that of its rows. Only the
    /// commit, which adds the parts up, can notice it.
    async fn garble_record(&mut self, call: &Call) {
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        let key = |name: &str| body["Item"][name]["S"].as_str().unwrap_or_default().to_owned();
        let (pk, sk) = (key("pk"), key("sk"));
        let Some(copy) = pk.strip_prefix("copy#").and_then(|id| id.parse::<CopyId>().ok()) else { return };
        let Some(slot) = sk.strip_prefix("p#").and_then(|slot| slot.parse().ok()) else { return };
        let catalog = Catalog::read(&self.world).await;
        // The call may not have arrived.
        let is_done = |parts: &BTreeMap<u32, Part>| parts.get(&slot).is_some_and(|part| part.done.is_some());
        let staged = catalog.manifests.values().find_map(|m| m.doc.copy(copy));
        let is_restore = staged.is_some_and(|c| c.life == Life::Staged && c.inputs.is_none());
        if !is_restore || !catalog.parts.get(&copy).is_some_and(is_done) {
            return;
        }
        let mut is_garbled = false;
        self.world
            .change_document(&pk, &sk, |part| {
                if let Some(rows) = part.pointer_mut("/done/tally/rows").filter(|rows| rows.is_u64()) {
                    *rows = (rows.as_u64().unwrap_or_default() + 1).into();
                    is_garbled = true;
                }
            })
            .await;
        if is_garbled {
            self.note(|| format!("storage garbles the record {pk} {sk}"));
            self.auditor.has_rotted = true;
        }
    }

    /// Storage loses a block of a hot copy whose rows the archive has too.
    pub(super) async fn damage(&mut self, snapshot: &Snapshot) {
        let expendable = audit::expendable(snapshot);
        if expendable.is_empty() {
            return;
        }
        let copy = expendable[self.dice.below(expendable.len() as u64) as usize];
        let items = self.world.ledger_items_of(&format!("b#{copy}#")).await;
        if items.is_empty() {
            return;
        }
        self.note(|| format!("storage loses a block of live copy {copy}"));
        let index = self.dice.below(items.len() as u64) as usize;
        self.world.delete_ledger_item(&items[index]).await;
        self.auditor.damaged.insert(copy);
        self.ask();
    }

    /// Checks L2 before a deletion happens.
    pub(super) async fn check_deletion(&mut self, call: &Call, verdict: Verdict) -> Result<(), Violation> {
        let happens = !matches!(verdict, Verdict::FailsBefore | Verdict::Busy | Verdict::Throttled);
        if !call.deletes() || !happens {
            return Ok(());
        }
        self.auditor.deletion(&Catalog::read(&self.world).await, &deleted_by(call))
    }

    pub(super) async fn land_something(&mut self) -> Result<(), Violation> {
        let index = self.dice.below(self.gate.late() as u64) as usize;
        let (call, request) = self.gate.take_late(index);
        let Ok(request) = request.try_into_http1x() else { return Ok(()) };
        self.note(|| format!("late: {}", call.name()));
        self.check_deletion(&call, Verdict::Passes).await?;
        // The sender gave up, so the answer goes nowhere.
        let _ = self.world.aws.answer(request).await;
        self.after(&call, Time(0)).await
    }

    /// A queue loses messages, as if they went to the dead-letter queue.
    pub(super) async fn lose(&mut self, consumer: Consumer, messages: Vec<Message>) {
        self.note(|| format!("the queue of {consumer:?} loses {} messages", messages.len()));
        let queue = match consumer {
            Consumer::Restorer => &self.world.stack.restores.url,
            Consumer::Notifier => &self.world.stack.notices.url,
        };
        for message in messages {
            let delete = self.world.stack.sqs.delete_message().queue_url(queue);
            delete.set_receipt_handle(message.receipt_handle).send().await.expect("a deletion");
        }
    }

    pub(super) fn kill_somebody(&mut self) {
        let numbers: Vec<u64> = self.running.keys().copied().collect();
        let number = numbers[self.dice.below(numbers.len() as u64) as usize];
        self.kill(number);
    }

    pub(super) fn kill(&mut self, number: u64) {
        if let Some(running) = self.running.remove(&number) {
            running.abort.abort();
            self.report.kills += 1;
            if let Work::Start(source) | Work::Stop(source) = running.work {
                self.unsure.insert(source);
            }
            self.mail_slack += usize::from(matches!(running.work, Work::Deliver(Consumer::Notifier)));
            self.note(|| format!("#{number} is killed"));
        }
    }

    /// Lets time pass. Processes that ran for too long are killed, and late requests arrive or are dropped.
    pub(super) async fn pass_time(&mut self, millis: i64) -> Result<(), Violation> {
        let now = self.world.clock.now_still().plus(millis);
        let is_old = |r: &Running| now.0 - r.since.0 > r.work.life_millis();
        let old: Vec<u64> = self.running.iter().filter(|(_, r)| is_old(r)).map(|(n, _)| *n).collect();
        for number in old {
            self.kill(number);
        }
        self.come_to_rest().await;
        if millis > 60_000 {
            while self.gate.late() > 0 {
                if self.dice.chance(50) {
                    self.land_something().await?;
                } else {
                    drop(self.gate.take_late(0));
                }
            }
        }
        // A notifier that is sending right now may lose its claim on the mail. Only then may a mail go out twice.
        let sending = self.running.values().filter(|r| matches!(r.work, Work::Deliver(Consumer::Notifier)));
        self.mail_slack += sending.count();
        self.note(|| format!("{} s pass", millis / 1000));
        self.world.clock.set(now);
        tokio::time::advance(Duration::from_millis(millis.min(31_000) as u64)).await;
        Ok(())
    }
}

/// The copies and inbox blocks that a batch of writes deletes.
pub(super) fn deleted_by(call: &Call) -> Deleted {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut out = Deleted::default();
    if call.service == "s3" {
        let keys = call.body.split("<Key>").skip(1).filter_map(|k| k.split('<').next());
        out.copies.extend(keys.filter_map(|key| key.rsplit('/').nth(2)?.parse::<CopyId>().ok()));
        return out;
    }
    let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
    for write in body["RequestItems"][LEDGER].as_array().into_iter().flatten() {
        let Some(key) = write.pointer("/DeleteRequest/Key") else { continue };
        let pk = key["pk"]["S"].as_str().unwrap_or_default();
        let names: Vec<&str> = pk.split('#').collect();
        match names[..] {
            ["i", ledger, _] => {
                let sk = STANDARD.decode(key["sk"]["B"].as_str().unwrap_or_default()).unwrap_or_default();
                out.inbox.push((ledger.parse().expect("a ledger"), sk));
            }
            ["b", copy, ..] => _ = out.copies.insert(copy.parse().expect("a copy")),
            _ => {}
        }
    }
    out
}
