//! Chooses the next process and its input.

use super::{answers::filters, *};

/// How many users there are. One id more belongs to nobody, unless it is merged.
const USERS: u64 = 14;
/// The most merges of user ids that a history asks for.
const MAX_MERGES: usize = 4;

fn user_id(n: u64) -> String {
    if n.is_multiple_of(3) {
        Ulid::from_parts(n, u128::from(n) << 64 | 0x5eed).to_string()
    } else {
        format!("user-{n}")
    }
}

impl History {
    pub(super) fn app(&mut self, kind: &Work) -> Rekindle {
        match kind {
            Work::Ingest(_) => return self.ingesters[self.dice.below(2) as usize].clone(),
            Work::Ask { .. } => return self.asker.clone(),
            _ => {}
        }
        // Two versions of the software that pack differently run at the same time, as during a deployment.
        let hot_block = [110, 180][self.dice.below(2) as usize];
        let settings = Settings { sizes: sizes(hot_block), ..self.world.settings.clone() };
        let clock: Arc<dyn Clock> = match self.fault {
            Some(Fault::OneNow) => Arc::new(Stopped(self.world.clock.now_still())),
            _ => self.world.clock.clone(),
        };
        Rekindle::new(self.store.clone(), clock, self.world.ids.clone(), settings)
    }

    pub(super) fn spawn<F>(&mut self, kind: Work, name: &str, work: F)
    where
        F: Future<Output = Ended> + Send + 'static,
    {
        self.next += 1;
        let number = self.next;
        self.note(|| format!("#{number} begins: {name}"));
        let ended = self.ended.clone();
        let work = async move {
            let how = work.await;
            ended.lock().unwrap_or_else(PoisonError::into_inner).push((number, how));
        };
        let task = tokio::spawn(Process { number, work: Box::pin(work) });
        let running = Running {
            work: kind,
            since_step: self.step,
            since: self.world.clock.now_still(),
            faults: 0,
            released: VecDeque::new(),
            abort: task.abort_handle(),
        };
        self.running.insert(number, running);
    }

    pub(super) fn request(&mut self, kind: Work, method: Method, path: &str, body: &Value) {
        let app = self.app(&kind);
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let name = format!("{method} {path} {}", text.get(..120).unwrap_or(&text));
        let request = Request::builder().method(method).uri(path).body(Body::from(text)).expect("a request");
        let router = router_of(&app);
        self.spawn(kind, &name, async move {
            let answer = router.oneshot(request).await.expect("an answer");
            let status = answer.status();
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap_or_default();
            Ended::Answered(status, serde_json::from_slice(&body).unwrap_or_default())
        });
    }

    pub(super) async fn begin_something(&mut self) -> Result<(), Violation> {
        if self.has_messages && self.dice.chance(60) {
            return self.deliver().await;
        }
        if self.truth.merges() < MAX_MERGES && self.dice.chance(10) {
            self.merge();
            return Ok(());
        }
        if self.dice.chance(15) {
            return self.compact_in_time().await;
        }
        let named = SOURCES[self.dice.below(2) as usize];
        let id = named.parse()?;
        let source = self.world.app().store.catalog.source(&id).await.expect("the source").expect("a source");
        let now = self.world.clock.now_still();
        let due = source.expires_at(&self.world.settings.retention);
        let is_alone = self.running.is_empty();
        let roll = self.dice.below(10);
        let pause = [3_700_000, 25 * 3_600_000][self.dice.below(2) as usize];
        match (source.state, source.status) {
            (_, Status::Draft) => self.start(named),
            (DataState::Available, Status::Active) => match roll {
                0..4 => self.ingest(),
                4..6 => self.ask(),
                6..9 => self.stop(named),
                _ => self.retarget(named),
            },
            (DataState::Available, Status::Stopped) if due.is_some_and(|at| at <= now) => match roll {
                0..4 => self.sweep(),
                4..6 => self.ask(),
                6 => self.start(named),
                7 if self.dice.chance(50) => self.pin(named),
                7 => self.restore(named),
                8 => self.retarget(other_than(named)),
                _ => self.ingest(),
            },
            (DataState::Available, Status::Stopped) => match roll {
                0..5 if is_alone => {
                    // Go to the day of the warning, or past the expiry.
                    let days = if roll < 2 { 84 } else { 93 };
                    return self.pass_time(days * 24 * 3_600_000).await;
                }
                0..3 | 8 => self.ingest(),
                3..5 => self.ask(),
                5 if self.dice.chance(30) => self.pin(named),
                5 => self.start(named),
                6 => self.retarget(named),
                _ => self.sweep(),
            },
            (DataState::Expired, _) => match roll {
                0..4 => self.restore(named),
                4..6 => self.ingest(),
                6 => self.ask(),
                7 if is_alone => return self.pass_time(pause).await,
                _ => self.sweep(),
            },
            (DataState::Restoring, _) => match roll {
                0..6 => return self.deliver().await,
                6 => self.sweep(),
                7 => self.cancel(),
                8 => self.ask(),
                _ => self.ingest(),
            },
        }
        Ok(())
    }

    /// A few interactions: new ones, late ones, and sometimes some that were posted before.
    pub(super) fn events(&mut self) -> Vec<Value> {
        let now = self.world.clock.now_still().0;
        let mut out = Vec::new();
        for _ in 0..1 + self.dice.below(7) {
            if !self.truth.is_empty() && self.dice.chance(25) {
                out.push(self.truth.again(self.dice.below(self.truth.len() as u64) as usize));
                continue;
            }
            let n = self.dice.below(USERS);
            let user = user_id(n);
            let source = SOURCES[self.dice.below(2) as usize];
            let time = now - [0, 5, 60_000, 86_400_000, 7_776_000_000][self.dice.below(5) as usize];
            let is_canvas = source.starts_with("canvas/");
            let variant = if n.is_multiple_of(2) { "A" } else { "B" };
            let more = match self.dice.below(8) {
                0..4 if is_canvas => {
                    let step = if n.is_multiple_of(3) { "s1" } else { "s2" };
                    json!({ "type": "received", "channel": "email", "variation_id": variant, "step_id": step })
                }
                0..4 => json!({ "type": "received", "channel": "email", "variant_id": variant }),
                4 => json!({ "type": "opened", "channel": "email", "machine": n.is_multiple_of(2) }),
                5 => {
                    json!({ "type": "clicked", "channel": "push", "link_alias": if n.is_multiple_of(2) { "cta" } else { "é✓" } })
                }
                6 if is_canvas => json!({ "type": "entered", "variation_id": variant }),
                6 => json!({ "type": "converted", "conversion": n % 2 }),
                _ => json!({ "type": "control" }),
            };
            let (kind, id) = source.split_once('/').unwrap_or_default();
            let mut event = json!({ "user_id": user, "time": time });
            event[format!("{kind}_id")] = id.into();
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            out.push(event);
        }
        out
    }

    pub(super) fn ingest(&mut self) {
        let events = self.events();
        let sent = self.truth.send(&events);
        self.request(Work::Ingest(sent), Method::POST, "/v1/interactions", &Value::from(events));
    }

    pub(super) fn ask(&mut self) {
        let filters = filters();
        let filter = filters[self.dice.below(filters.len() as u64) as usize].clone();
        let exclude = self.dice.chance(60);
        let mut body = json!({ "filter": filter, "expired": if exclude { "exclude" } else { "refuse" } });
        let question = [Question::Count, Question::Members, Question::Match][self.dice.below(3) as usize];
        let path = match question {
            Question::Count => "/v1/audiences/count",
            Question::Members => "/v1/audiences/members",
            Question::Match => {
                let users: Vec<String> = self.truth.users().into_iter().collect();
                body["user_id"] = users[self.dice.below(users.len() as u64) as usize].clone().into();
                "/v1/audiences/match"
            }
        };
        let acknowledged = self.truth.acknowledged();
        self.request(
            Work::Ask { filter: body.clone(), exclude, question, acknowledged },
            Method::POST,
            path,
            &body,
        );
    }

    /// Merges two user ids: of users who are known, mostly, and of such as were merged before.
    pub(super) fn merge(&mut self) {
        let mut id = || user_id(self.dice.below(USERS + 1));
        let (from, into) = (id(), id());
        let attempt = self.truth.merge(&from, &into);
        let body = json!({ "from": from, "into": into });
        self.request(Work::Merge(attempt), Method::POST, "/v1/users/merge", &body);
    }

    /// Notes that a process changes a status: it is unknown until the answer comes. With two changes at once it stays unknown.
    fn somebody_changes(&mut self, source: &'static str) {
        self.statuses.insert(source, None);
        let changes = |r: &Running| matches!(r.work, Work::Start(s) | Work::Stop(s) if s == source);
        if self.running.values().any(changes) {
            self.unsure.insert(source);
        }
    }

    pub(super) fn start(&mut self, source: &'static str) {
        self.somebody_changes(source);
        self.request(Work::Start(source), Method::POST, &path(source, "/start"), &Value::Null);
    }

    pub(super) fn stop(&mut self, source: &'static str) {
        self.somebody_changes(source);
        self.request(Work::Stop(source), Method::POST, &path(source, "/stop"), &Value::Null);
    }

    /// Makes a source retarget the other one, itself, by its tag or through segments, or nothing.
    pub(super) fn put(&mut self, source: &'static str) {
        let audience = match self.dice.below(9) {
            0 | 1 => Value::Null,
            2 | 3 => json!({ "not": { "opened": { "source": other_than(source) } } }),
            4 => json!({ "segment": "s" }),
            5 => json!({ "not": { "segment": "t" } }),
            6 => json!({ "received": { "tag": "promo" } }),
            _ => json!({ "any": [{ "segment": "s" }, { "segment": "t" }] }),
        };
        let tags = if self.dice.chance(80) { json!(["promo", "b"]) } else { json!(["promo"]) };
        let body = json!({ "audience": audience, "tags": tags, "notify": ["ops@example.com"] });
        self.request(Work::Put, Method::PUT, &path(source, ""), &body);
    }

    /// Pins a source's data for some days or for good, or takes the pin away.
    pub(super) fn pin(&mut self, source: &'static str) {
        let now = self.world.clock.now_still();
        let (method, body) = match self.dice.below(4) {
            0 => (Method::POST, json!({ "until": now.plus(3 * 86_400_000), "reason": "an audit" })),
            1 => (Method::POST, json!({ "until": null, "reason": "an audit" })),
            _ => (Method::DELETE, Value::Null),
        };
        self.request(Work::Put, method, &path(source, "/pin"), &body);
    }

    /// Makes a segment name a source, the other segment, or nothing.
    pub(super) fn edit(&mut self) {
        let (segment, other) = if self.dice.chance(50) { ("s", "t") } else { ("t", "s") };
        let filter = match self.dice.below(6) {
            0 | 1 => json!({ "opened": { "source": SOURCES[0] } }),
            2 => json!({ "received": { "source": SOURCES[1] } }),
            3 => json!({ "not": { "segment": other } }),
            _ => json!({ "hard_bounced": {} }),
        };
        let body = json!({ "filter": filter });
        self.request(Work::Put, Method::PUT, &format!("/v1/segments/{segment}"), &body);
    }

    /// Changes a source's audience or a segment, so that a retargeting begins or ends.
    pub(super) fn retarget(&mut self, source: &'static str) {
        if self.dice.chance(50) { self.put(source) } else { self.edit() }
    }

    pub(super) fn restore(&mut self, source: &str) {
        let notify = ["x@example.com", "y@example.com"];
        let body = match self.dice.below(5) {
            0 => json!({ "sources": SOURCES, "notify": notify }),
            1 => json!({ "tag": "promo", "notify": notify }),
            _ => json!({ "sources": [source], "notify": notify }),
        };
        self.request(Work::Restore, Method::POST, "/v1/restores", &body);
    }

    pub(super) fn cancel(&mut self) {
        match self.requests.last().cloned() {
            Some(id) => {
                self.request(Work::Cancel, Method::POST, &format!("/v1/restores/{id}/cancel"), &Value::Null)
            }
            None => self.sweep(),
        }
    }

    /// Runs the compactor, often after the dirty marks are old enough, or the merges of user ids that rewrites follow, too.
    async fn compact_in_time(&mut self) -> Result<(), Violation> {
        if self.running.is_empty() && self.dice.chance(60) {
            let is_long = self.truth.merges() > 0 && self.dice.chance(50);
            self.pass_time(if is_long { 25 * 3_600_000 } else { 700_000 }).await?;
        }
        self.compact();
        Ok(())
    }

    pub(super) fn compact(&mut self) {
        let app = self.app(&Work::Compact);
        let clock = self.world.clock.clone();
        self.spawn(Work::Compact, "compaction", async move {
            let event = LambdaEvent::new(Value::Null, context(&*clock));
            let compacted = rekindle_compactor::handle(&app, event).await;
            Ended::Worked(compacted.map(drop).map_err(|e| e.to_string()))
        });
    }

    pub(super) fn sweep(&mut self) {
        let app = self.app(&Work::Sweep);
        let clock = self.world.clock.clone();
        self.spawn(Work::Sweep, "sweep", async move {
            let event = LambdaEvent::new(Value::Null, context(&*clock));
            let swept = rekindle_sweeper::handle(&app, event).await;
            Ended::Worked(swept.map(drop).map_err(|e| e.to_string()))
        });
    }

    /// Takes all visible messages off the queues, as pollers do. The engine's order of messages that became visible at the same
    /// time does not follow from the seed, so all are taken and sorted.
    async fn fetch(&mut self) {
        for consumer in [Consumer::Restorer, Consumer::Notifier] {
            let mut fetched: Vec<Message> = Vec::new();
            loop {
                let messages = self.world.stack.receive(consumer, 0).await.expect("messages");
                if messages.is_empty() {
                    break;
                }
                fetched.extend(messages);
            }
            fetched.sort_by(|a, b| a.body().cmp(&b.body()));
            let at_once = if consumer == Consumer::Restorer { 1 } else { 10 };
            self.in_hand.extend(fetched.chunks(at_once).map(|batch| (consumer, batch.to_vec())));
        }
    }

    /// Gives the next batch of messages to a worker; one time in ten it gives it twice.
    pub(super) async fn deliver(&mut self) -> Result<(), Violation> {
        if self.in_hand.is_empty() {
            self.fetch().await;
        }
        let Some((consumer, messages)) = self.in_hand.pop_front() else {
            // Nothing is visible: a worker holds the messages, or they are lost. They become visible again after a time, or the
            // sweeper sends them again.
            self.has_messages = self.dice.chance(50);
            return self.pass_time(31_000).await;
        };
        if self.fault_percent > 0 && self.dice.chance(4) {
            self.lose(consumer, messages).await;
            return Ok(());
        }
        let times = if self.dice.chance(10) { 2 } else { 1 };
        for _ in 0..times {
            self.hand_over(consumer, messages.clone());
        }
        if consumer == Consumer::Notifier {
            self.notices = messages;
        }
        Ok(())
    }

    /// Gives a batch to a worker.
    pub(super) fn hand_over(&mut self, consumer: Consumer, messages: Vec<Message>) {
        let app = self.app(&Work::Deliver(consumer));
        let stack = Stack { app, ..self.world.stack.clone() };
        let body = messages[0].body().unwrap_or_default().to_owned();
        self.spawn(Work::Deliver(consumer), &format!("{consumer:?} {body}"), async move {
            let done = stack.deliver(consumer, messages).await;
            Ended::Worked(done.map(drop).map_err(|e| e.to_string()))
        });
    }
}

fn other_than(source: &str) -> &'static str {
    if source == SOURCES[0] { SOURCES[1] } else { SOURCES[0] }
}
