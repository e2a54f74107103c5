//! Sample data for an empty system: some forty campaigns and Canvases in every state, over eight months that end now.
//!
//! Nothing is put into the stores by hand. The clock goes back by these months and then comes home day by day; on each day
//! people register, start, stop and pin, interactions are taken in, and the sweeper, the compactor and the queues' workers do
//! what they do. Only the garbled archive of one campaign is the disk's doing.

mod acts;
mod loader;
mod plan;
mod traffic;

use crate::{server::Local, stack::LEDGER};
use loader::Loader;
use plan::DAYS;
use rekindle_domain::{
    id::SourceKind,
    time::{Clock, Period, Time},
};
use rekindle_service::{Caller, Problem, library::ListRequest};
use std::{
    error::Error,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The retention that the sample's dates are made for.
const RETENTION: &str = "P3M";
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Why no sample data was loaded, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The system has data. Nothing was loaded.
    #[error(
        "there is data already, and sample data goes into an empty system only; nothing was loaded. Start with --memory, or with another folder in --data"
    )]
    NotEmpty,
    /// The settings would bring the sample's sources into other states. Nothing was loaded.
    #[error(
        "sample data is made for a retention of three months; leave out --retention and --auto-stop-after. Nothing was loaded"
    )]
    Settings,
    /// Loading broke off: a part of the data is there.
    #[error(
        "loading the sample data broke off, so that a part of it is there; delete the data folder to begin anew: {0}"
    )]
    Broken(Box<dyn Error + Send + Sync>),
}

/// How far loading is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// How many days are done.
    pub done: u64,
    /// How many days there are.
    pub days: u64,
    /// The day that is done.
    pub day: Time,
    /// How many interactions were taken in.
    pub interactions: u64,
}

/// The state of loading, for the page that shows it.
#[derive(Clone, Debug, Default)]
pub enum Loading {
    /// Nobody asked for it.
    #[default]
    Idle,
    /// It is under way.
    Running(Progress),
    /// It is done.
    Done,
    /// It broke off, for this reason.
    Failed(String),
}

/// Loading as its page begins and shows it.
#[derive(Debug, Default)]
pub struct Sample(Mutex<Loading>);

impl Sample {
    /// Its state now.
    pub fn state(&self) -> Loading {
        self.lock().clone()
    }

    /// Begins loading, unless it is under way.
    ///
    /// # Errors
    /// [`SampleError`]: it was refused.
    pub async fn begin(local: &Local, by: Caller) -> Result<(), SampleError> {
        let day = local.clock.now();
        let before = {
            let mut state = local.sample.lock();
            if matches!(*state, Loading::Running(_)) {
                return Ok(());
            }
            std::mem::replace(
                &mut *state,
                Loading::Running(Progress { done: 0, days: DAYS as u64, day, interactions: 0 }),
            )
        };
        if let Err(refused) = check(local).await {
            *local.sample.lock() = before;
            return Err(refused);
        }
        let local = local.clone();
        tokio::spawn(async move {
            let tell = |progress| *local.sample.lock() = Loading::Running(progress);
            let end = match fill(&local, by, tell).await {
                Ok(()) => Loading::Done,
                Err(error) => {
                    tracing::error!(error.message = %error, "loading the sample data broke off");
                    Loading::Failed(error.to_string())
                }
            };
            *local.sample.lock() = end;
        });
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Loading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing ever arrived, and nobody registered or saved anything.
///
/// # Errors
/// If the stores do not answer.
pub async fn is_empty(local: &Local) -> Outcome<bool> {
    let app = &local.stack.app;
    let dynamodb = aws_sdk_dynamodb::Client::new(&local.aws.sdk_config());
    if !dynamodb.scan().table_name(LEDGER).limit(1).send().await?.items().is_empty() {
        return Ok(false);
    }
    for is_deleted in [false, true] {
        let request = ListRequest { is_deleted, limit: 1, ..ListRequest::default() };
        let kinds = [SourceKind::Campaign, SourceKind::Canvas];
        let page = app.list(&kinds, &request).await.map_err(failed)?;
        if !page.items.is_empty() || page.next.is_some() {
            return Ok(false);
        }
    }
    let segments = app.list_segments(None, 1).await.map_err(failed)?;
    let merges = app.list_merges(0, None, 1).await.map_err(failed)?;
    Ok(segments.items.is_empty() && merges.items.is_empty())
}

/// Fills an empty system. Afterwards its clock stands where it would stand without.
///
/// # Errors
/// [`SampleError`].
pub async fn load(
    local: &Local,
    by: Caller,
    tell: impl Fn(Progress) + Send + Sync,
) -> Result<(), SampleError> {
    check(local).await?;
    fill(local, by, tell).await
}

/// Refuses a system that sample data would not fit.
async fn check(local: &Local) -> Result<(), SampleError> {
    let settings = &local.stack.app.settings;
    if Period::parse(RETENTION).ok() != Some(settings.retention) || settings.auto_stop_after.is_some() {
        return Err(SampleError::Settings);
    }
    if is_empty(local).await.map_err(SampleError::Broken)? { Ok(()) } else { Err(SampleError::NotEmpty) }
}

async fn fill(local: &Local, by: Caller, tell: impl Fn(Progress) + Send + Sync) -> Result<(), SampleError> {
    Loader::new(local, by).load(tell).await.map_err(SampleError::Broken)
}

fn failed(problem: Problem) -> Box<dyn Error + Send + Sync> {
    problem.detail.into()
}
