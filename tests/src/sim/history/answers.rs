//! Checks the answers of processes against the allowed ones.

use super::*;

impl History {
    pub(super) fn take_outcomes(&mut self) -> Result<(), Violation> {
        let ended = std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner));
        for (number, how) in ended {
            // A process that was killed at the end of its work gave no answer to anybody.
            let Some(running) = self.running.remove(&number) else { continue };
            match how {
                Ended::Answered(status, body) => {
                    self.note(|| {
                        format!("#{number} answers {status} {}", body.to_string().get(..160).unwrap_or(""))
                    });
                    self.answered(running, status, &body)?;
                }
                Ended::Worked(outcome) => {
                    self.note(|| format!("#{number} ends: {outcome:?}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn answered(
        &mut self,
        running: Running,
        status: StatusCode,
        body: &Value,
    ) -> Result<(), Violation> {
        let is_fine = status.is_success();
        if let (Work::Start(campaign) | Work::Stop(campaign), false) = (&running.work, is_fine) {
            self.unsure.insert(campaign);
        }
        let is_busy = status == StatusCode::SERVICE_UNAVAILABLE && running.faults > 0;
        match running.work {
            Work::Ingest(sent) if is_fine => {
                self.truth.acknowledge(sent);
                Ok(())
            }
            Work::Start(campaign) if is_fine => {
                self.status_is(campaign, Status::Active);
                Ok(())
            }
            Work::Stop(campaign) if is_fine => {
                self.status_is(campaign, Status::Stopped);
                Ok(())
            }
            Work::Ask { ref filter, exclude, question, ref acknowledged }
                if is_fine || status == StatusCode::CONFLICT =>
            {
                self.check_answer(&running, filter, exclude, question, acknowledged, (status, body))
            }
            Work::Restore if is_fine => {
                self.has_messages = true;
                self.requests.extend(body["id"].as_str().map(str::to_owned));
                Ok(())
            }
            Work::Merge(attempt) if is_fine => {
                let number = body["number"].as_u64().unwrap_or_default();
                self.truth.merged(attempt, Some((self.step, number)));
                Ok(())
            }
            Work::Merge(attempt) if status.is_client_error() => {
                self.truth.merged(attempt, None);
                Ok(())
            }
            Work::Put | Work::Cancel if is_fine => Ok(()),
            Work::Start(_) | Work::Put | Work::Stop(_) | Work::Cancel if status == StatusCode::CONFLICT => {
                Ok(())
            }
            // A segment may not refer to itself, not even through others.
            Work::Put if body["code"] == "segment_cycle" => Ok(()),
            _ if is_busy => Ok(()),
            // A question that reads damaged data is refused, and so is one that took longer than a copy's grace.
            Work::Ask { .. } if !self.auditor.damaged.is_empty() => Ok(()),
            _ => Err(format!("L5: {status} {body} with {} faults", running.faults)),
        }
    }

    /// Notes a status after a successful change, unless another change ran at the same time.
    fn status_is(&mut self, campaign: &'static str, status: Status) {
        if !self.unsure.contains(campaign) {
            self.statuses.insert(campaign, Some(status));
        }
    }

    /// L3, L5, L7: an answer is right for every user without an unacknowledged interaction.
    pub(super) fn check_answer(
        &self,
        running: &Running,
        asked: &Value,
        exclude: bool,
        question: Question,
        acknowledged: &[bool],
        (status, body): (StatusCode, &Value),
    ) -> Result<(), Violation> {
        let wrong = |what: &str| Err(format!("L5: {asked} is answered {status} {body}: {what}"));
        let mut model = self.truth.model(running.since_step);
        for source in body["expired"].as_array().into_iter().flatten() {
            let id: SourceId = source.as_str().unwrap_or_default().parse()?;
            model.expired.insert(id.to_string());
        }
        let named = asked["filter"].to_string();
        let is_named = |s: &&str| named.contains(*s) || named.contains("\"tag\"");
        for source in SOURCES.into_iter().filter(is_named) {
            let states = self.auditor.states_since(&source.parse()?, running.since_step);
            let is_away = model.expired.contains(source);
            if is_away && states == BTreeSet::from(["available"]) {
                return wrong("it was available all the time");
            }
            if !is_away && status.is_success() && !states.is_empty() && !states.contains("available") {
                return wrong("it was not available at any time");
            }
        }
        if status == StatusCode::CONFLICT {
            return if exclude || model.expired.is_empty() { wrong("nothing is expired") } else { Ok(()) };
        }
        if !exclude && !model.expired.is_empty() {
            return wrong("it should have been refused");
        }
        let settled = self.truth.settled(acknowledged, running.since_step, &model);
        check_against(&model, &asked["filter"], question, asked["user_id"].as_str(), &settled, body)
            .map_err(|what| format!("L3: {asked} is answered {body}: {what}"))
    }
}

pub(super) fn filters() -> Vec<Value> {
    let [a, b] = SOURCES;
    vec![
        json!({ "received": { "source": a } }),
        json!({ "received": { "source": b, "variation": "A", "step": "s1" } }),
        json!({ "not": { "received": { "source": a } } }),
        json!({ "clicked": { "source": a, "alias": "cta" } }),
        json!({ "all": [{ "received": { "source": a } }, { "not": { "opened": { "source": b } } }] }),
        json!({ "any": [{ "converted": { "source": b } }, { "in_control": { "source": a } }] }),
        json!({ "all": [{ "never_received": { "channel": "email" } }, { "not": { "in_control": { "source": b } } }] }),
        json!({ "any": [{ "never_received": {} }, { "not": { "never_received": {} } }] }),
        json!({ "opened": { "tag": "promo" } }),
        json!({ "last_received": { "tag": "promo", "after": "2027-03-01T00:00:00Z" } }),
        json!({ "any": [{ "entered": { "source": b } }, { "in_control": { "source": b, "is": false } }] }),
    ]
}

/// Compares an answer with the model's for every settled user. For the others any answer is allowed. Where the model does not
/// know because data is expired, the truth may be known all the same, by an interaction that arrived since.
pub(super) fn check_against(
    model: &Model,
    filter: &Value,
    question: Question,
    user: Option<&str>,
    settled: &BTreeSet<String>,
    body: &Value,
) -> Result<(), String> {
    let all: BTreeSet<&str> = model.users().collect();
    let unsettled = all.len().saturating_sub(settled.len()) as u64;
    // If the time ran out first, the rest is on the next page.
    let is_partial = body["next"].is_string();
    let mut whole = model.clone();
    whole.expired.clear();
    let answers = |model: &Model, wanted: &str| -> BTreeSet<&str> {
        let those = all.iter().filter(|u| settled.contains(**u) && model.answer(filter, u) == wanted);
        those.copied().collect()
    };
    let (certain, unknown) = (answers(model, "yes"), answers(model, "unknown"));
    // Everybody who may be told to match: those, and the unknown ones who do.
    let possible: BTreeSet<&str> =
        certain.iter().copied().chain(answers(&whole, "yes").intersection(&unknown).copied()).collect();
    let within = |field: &str, least: usize, most: usize| -> Result<(), String> {
        let said = body[field].as_u64().unwrap_or(u64::MAX);
        let (least, most) = (least as u64, most as u64 + unsettled);
        match ((if is_partial { 0 } else { least })..=most).contains(&said) {
            true => Ok(()),
            false => Err(format!("{field} should be {least} to {most}")),
        }
    };
    match question {
        Question::Count => {
            within("count", certain.len(), possible.len())?;
            within("unknown", 0, unknown.len())?;
            // Nobody of whom the truth is not told may be missing.
            let told = body["count"].as_u64().unwrap_or(0) + body["unknown"].as_u64().unwrap_or(0);
            if !is_partial && told < possible.len() as u64 {
                return Err(format!("count and unknown should be {} together, at least", possible.len()));
            }
            Ok(())
        }
        Question::Members => {
            let said: Vec<&str> =
                body["items"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let once: BTreeSet<&str> = said.iter().copied().collect();
            let right: BTreeSet<&str> = once.iter().filter(|u| settled.contains(**u)).copied().collect();
            if let Some(merged) = once.iter().find(|id| model.person(id) != **id) {
                return Err(format!("{merged} was merged into {}", model.person(merged)));
            }
            if once.len() != said.len() {
                return Err("a user is listed twice".to_owned());
            }
            if right.is_subset(&possible) && (is_partial || right.is_superset(&certain)) {
                Ok(())
            } else {
                Err(format!("should be {certain:?}, and may have {possible:?}"))
            }
        }
        Question::Match => {
            let user = &*model.person(user.unwrap_or_default());
            let right = model.answer(filter, user);
            let is_right =
                body["match"] == right || (right == "unknown" && body["match"] == whole.answer(filter, user));
            if !settled.contains(user) || is_right { Ok(()) } else { Err(format!("should be {right}")) }
        }
    }
}
