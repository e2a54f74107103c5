//! Pins: a pin keeps a source's data from expiring, whatever its age.

use super::view::SourceView;
use crate::{
    app::Rekindle,
    boxed,
    checks::MAX_REASON,
    journal::Caller,
    problem::{Problem, Remedy},
    retry::until_answered,
};
use rekindle_domain::{
    id::SourceId,
    manifest::DataState,
    source::{Pin, Source},
    time::Time,
};
use rekindle_store::{StoreError, catalog::Transaction};
use serde::Deserialize;

/// A wish that data be kept.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PinInput {
    /// Until when; left out, until it is taken away.
    #[serde(default)]
    pub until: Option<Time>,
    /// What for.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Reason"))]
    pub reason: String,
}

impl PinInput {
    fn check(&self, now: Time) -> Result<(), Problem> {
        if !(1..=MAX_REASON).contains(&self.reason.len()) || self.reason.chars().any(char::is_control) {
            let detail = format!("reason must be 1 to {MAX_REASON} bytes without control characters");
            return Err(Problem::unprocessable("invalid_reason", detail));
        }
        match self.until {
            Some(until) if until <= now => {
                let detail =
                    format!("until must be later than now, {now}; leave it out for a pin without end");
                Err(Problem::unprocessable("invalid_until", detail))
            }
            _ => Ok(()),
        }
    }
}

impl Rekindle {
    /// Keeps a source's data from expiring. Replaces an earlier pin. An expiry under way loses, since it is conditional
    /// on the source's item.
    ///
    /// # Errors
    /// 404; 409 if the data is not available; 422 an invalid reason or time.
    #[boxed]
    pub async fn pin_source(
        &self,
        id: &SourceId,
        input: &PinInput,
        by: &Caller,
    ) -> Result<SourceView, Problem> {
        input.check(self.now())?;
        until_answered!(async {
            let source = self.known_source(id).await?;
            if source.state != DataState::Available {
                let detail = format!("the interaction data of {id} is {}", source.state.as_str());
                let problem = Problem::conflict("expired_interaction_data", detail);
                let remedy = Some(Remedy::RestoreThenPin(id.clone()));
                return Err(Problem { remedy, ..problem }.into());
            }
            let pin = Pin { by: by.name(), at: self.now(), until: input.until, reason: input.reason.clone() };
            self.put_pin(&source, Some(pin), by).await?;
            Ok(())
        })?;
        self.shown(id).await
    }

    /// Removes a pin. Without a pin nothing changes. The retention does not begin anew: data whose time is over expires at
    /// the end of the notice, and the answer says so.
    ///
    /// # Errors
    /// 404.
    #[boxed]
    pub async fn unpin_source(&self, id: &SourceId, by: &Caller) -> Result<SourceView, Problem> {
        let now_due = until_answered!(async {
            let source = self.known_source(id).await?;
            if source.pin.is_none() {
                return Ok(None);
            }
            let unpinned = self.put_pin(&source, None, by).await?;
            Ok(self.now_due(&unpinned))
        })?;
        let now_due = Some(now_due.into_iter().collect());
        Ok(SourceView { now_due, ..self.shown(id).await? })
    }

    async fn put_pin(&self, source: &Source, pin: Option<Pin>, by: &Caller) -> Result<Source, StoreError> {
        let (event, detail) = match &pin {
            None => ("unpinned", None),
            Some(Pin { until: None, reason, .. }) => ("pinned", Some(reason.clone())),
            Some(Pin { until: Some(until), reason, .. }) => {
                ("pinned", Some(format!("until {until}: {reason}")))
            }
        };
        let mut transaction = Transaction::new();
        let source = Source { updated_at: self.now(), ..source.clone().with_pin(pin) };
        self.put_source(&mut transaction, &source)?;
        self.record_act(&mut transaction, &source.id, event, by, detail)?;
        self.store.catalog.commit(transaction).await?;
        Ok(source)
    }
}
