//! Plays the sample day by day.

use super::{
    Outcome, Progress,
    acts::{Act, Do, LAST_RESTORE, acts, audience},
    failed,
    plan::{DAYS, End, Planned, planned},
    traffic::write_wave,
};
use crate::{
    poller::Consumer,
    server::{ClockMove, Local},
    stack::{ARCHIVE, archive},
};
use aws_sdk_s3::primitives::ByteStream;
use rekindle_domain::{
    id::{RequestId, SourceId},
    source::Variant,
    time::{Clock, DAY_MILLIS, Time},
};
use rekindle_runtime::problem::spelled;
use rekindle_service::{
    Caller,
    ingest::{Encoding, Layout},
    library::{Edit, PinInput, Said, SegmentInput, SourceInput, UnknownNames},
    restore::RestoreInput,
};
use serde_json::Value;
use std::time::Duration;
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

/// The compactor runs each so many days: more often takes longer, and changes nothing that a reader sees.
const COMPACT_DAYS: i64 = 15;
/// How often a restore is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The most time that a restore of the sample may take.
const RESTORED_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Loader<'a> {
    local: &'a Local,
    by: Caller,
    /// The present: the end of the sample.
    end: Time,
    acts: Vec<Act>,
}

/// A planned source with its days, counted back from the end.
struct Dated {
    of: &'static Planned,
    id: SourceId,
    registered: i64,
    waves: Vec<i64>,
    stopped: Option<i64>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(local: &'a Local, by: Caller) -> Self {
        Self { local, by, end: local.clock.now(), acts: acts() }
    }

    pub(super) async fn load(&self, tell: impl Fn(Progress) + Send + Sync) -> Outcome<()> {
        let sources: Vec<Dated> = planned().map(|of| self.dated(of)).collect::<Outcome<_>>()?;
        self.local.clock.rewind(self.end.plus(-DAYS * DAY_MILLIS))?;
        let mut interactions = 0;
        for day in (0..DAYS).rev() {
            let now = self.local.move_clock(&ClockMove::Now(self.end.plus(-day * DAY_MILLIS))).await?;
            interactions += self.day(&sources, day).await?;
            tell(Progress { done: (DAYS - day) as u64, days: DAYS as u64, day: now, interactions });
        }
        self.local.clock.come_home()?;
        self.ask_for(&LAST_RESTORE, "you@example.com").await?;
        // One message begins the restore, and the reader watches the rest.
        let stack = &self.local.stack;
        let first = stack.receive(Consumer::Restorer, 0).await?;
        if !first.is_empty() {
            stack.deliver(Consumer::Restorer, first).await?;
        }
        Ok(())
    }

    fn dated(&self, of: &'static Planned) -> Outcome<Dated> {
        let stopped = of.stops(&self.local.stack.app.settings.retention, self.end);
        let waves = of.wave_days(stopped);
        let registered = match of.end {
            End::Draft(day) => day,
            End::Active | End::Expires(_) => waves.first().map_or(0, |day| day + 1),
        };
        Ok(Dated { of, id: of.source.parse()?, registered, waves, stopped })
    }

    /// A day: what people do, what arrives, and what the system does with it. Returns how many interactions arrived.
    async fn day(&self, sources: &[Dated], day: i64) -> Outcome<u64> {
        for act in self.acts.iter().filter(|act| act.day == day) {
            self.act(&act.what).await?;
        }
        for source in sources {
            self.live(source, day).await?;
        }
        let interactions = self.ingest(sources, day).await?;
        self.local.sweep().await.map_err(|problem| problem.detail)?;
        self.local.stack.drain().await?;
        if day % COMPACT_DAYS == 0 {
            self.local.compact().await?;
        }
        Ok(interactions)
    }

    /// What becomes of a source on a day.
    async fn live(&self, source: &Dated, day: i64) -> Outcome<()> {
        let app = &self.local.stack.app;
        if source.registered == day {
            let said = Said::All(input(source.of));
            app.edit_source(&source.id, &said, Edit::default(), &self.by).await.map_err(failed)?;
        }
        if source.waves.first() == Some(&day) {
            app.start_source(&source.id, &self.by).await.map_err(failed)?;
        }
        if source.stopped == Some(day) {
            app.stop_source(&source.id, None, false, &self.by).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn ingest(&self, sources: &[Dated], day: i64) -> Outcome<u64> {
        let now = self.local.clock.now();
        let (mut body, mut count) = (String::new(), 0);
        for source in sources {
            if let Some(wave) = source.waves.iter().position(|of| *of == day) {
                count += write_wave(&mut body, source.of, wave, now);
            }
        }
        if count == 0 {
            return Ok(0);
        }
        let app = &self.local.stack.app;
        let taken = app
            .ingest(body.as_bytes(), Encoding::Identity, Layout::NdJson, spelled, &self.by)
            .await
            .map_err(failed)?;
        match taken.rejected.first() {
            None => Ok(taken.accepted as u64),
            Some(refused) => Err(format!("an interaction was refused: {}", refused.detail).into()),
        }
    }

    async fn act(&self, what: &Do) -> Outcome<()> {
        let app = &self.local.stack.app;
        match what {
            Do::Segment(id, name, filter) => {
                let said = Said::All(segment(name, filter.clone()));
                app.edit_segment(id, &said, Edit::default(), &self.by).await.map_err(failed)?;
            }
            Do::Pin(source, days, reason) => {
                let until = days.map(|days| self.local.clock.now().plus(days * DAY_MILLIS));
                let pin = PinInput { until, reason: (*reason).to_owned() };
                app.pin_source(&source.parse()?, &pin, &self.by).await.map_err(failed)?;
            }
            Do::Restore(source, notify) => {
                let request = self.ask_for(&[source], notify).await?;
                // A restore from a garbled archive fails, and the log would alarm a reader who caused nothing.
                let ended = self.ended(request).with_subscriber(NoSubscriber::default());
                tokio::time::timeout(RESTORED_WITHIN, ended).await??;
            }
            Do::Damage(source) => self.damage(source).await?,
        }
        Ok(())
    }

    async fn ask_for(&self, sources: &[&str], notify: &str) -> Outcome<RequestId> {
        let sources = Some(sources.iter().map(|&source| source.to_owned()).collect());
        let input = RestoreInput { sources, tag: None, notify: vec![notify.to_owned()] };
        let request = self.local.stack.app.request_restore(&input, None, &self.by).await.map_err(failed)?;
        Ok(request.id)
    }

    /// Waits for the end of a restore, whose messages this task handles, or the runner's workers do.
    async fn ended(&self, request: RequestId) -> Outcome<()> {
        loop {
            self.local.stack.drain().await?;
            let seen = self.local.stack.app.get_request(request).await.map_err(failed)?;
            if seen.completed_at.is_some() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Cuts the archived objects of a source in half, as a bad disk would.
    async fn damage(&self, source: &str) -> Outcome<()> {
        let s3 = archive(&self.local.aws.sdk_config());
        let listed = s3.list_objects_v2().bucket(ARCHIVE).prefix(format!("archive/{source}/")).send().await?;
        for key in listed.contents().iter().filter_map(|object| object.key()) {
            let whole =
                s3.get_object().bucket(ARCHIVE).key(key).send().await?.body.collect().await?.into_bytes();
            let half = ByteStream::from(whole.slice(..whole.len() / 2));
            s3.put_object().bucket(ARCHIVE).key(key).body(half).send().await?;
        }
        Ok(())
    }
}

fn variants(of: &[(&str, &str)]) -> Vec<Variant> {
    of.iter().map(|(id, name)| Variant { id: (*id).to_owned(), name: (*name).to_owned() }).collect()
}

/// The fields with which a source is registered.
fn input(of: &Planned) -> SourceInput {
    SourceInput {
        name: Some(of.name.to_owned()),
        tags: of.tags.iter().map(|&tag| tag.to_owned()).collect(),
        variants: variants(of.variants),
        steps: variants(of.steps),
        audience: audience(of.source),
        notify: of.notify.iter().map(|&address| address.to_owned()).collect(),
        ..SourceInput::default()
    }
}

fn segment(name: &str, filter: Value) -> SegmentInput {
    SegmentInput {
        name: Some(name.to_owned()),
        filter,
        unknown_names: UnknownNames::default(),
        segment: None,
        created_at: Default::default(),
        updated_at: Default::default(),
        used_by: Default::default(),
        active: Default::default(),
        now_due: Default::default(),
    }
}
