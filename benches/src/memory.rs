//! Memory: the most that one worker holds while it sweeps, restores and answers, as the ledger grows.

use crate::{
    Size,
    allocator::{count_this_thread, held, peak, reset_peak},
    data::{CAMPAIGN, Crowd, Ids},
    deployment::{Deployment, Kept, Outcome},
    report::{Findings, Row, grouped, short},
};
use serde_json::json;
use tokio::runtime::{Builder, Handle, Runtime};

const HOUR: i64 = 60 * 60 * 1000;
const PEAK_AIM: f64 = 200.0;
const GROWTH_AIM: f64 = 20.0;

/// The peaks of allocated memory above the level before, in MB.
struct Peaks {
    sweep: f64,
    restore: f64,
    /// The peak over two questions: one that counts whole blocks, and one that evaluates each user.
    audience: f64,
}

impl Peaks {
    fn most(&self) -> f64 {
        self.sweep.max(self.restore).max(self.audience)
    }
}

/// Measures a small ledger and a large one.
pub fn measure(size: Size) -> Outcome<Findings> {
    let (few, many) = size.pick((500_000, 5_000_000), (5_000, 50_000));
    let small = peaks(few)?;
    let large = peaks(many)?;
    let mb = |n: f64| format!("{} MB", short(n));
    let told =
        |p: &Peaks| format!("sweep {}, restore {}, audience {}", mb(p.sweep), mb(p.restore), mb(p.audience));
    let growth = large.most() - small.most();
    let rows = vec![
        Row::plain(format!("Memory of a worker, {} users", grouped(few as f64)), told(&small)),
        Row::aimed(
            format!("Memory of a worker, {} users", grouped(many as f64)),
            told(&large),
            format!("under {}", mb(PEAK_AIM)),
            large.most() < PEAK_AIM,
        ),
        Row::aimed(
            format!("More with {} than with {} users", grouped(many as f64), grouped(few as f64)),
            mb(growth),
            format!("at most {}", mb(GROWTH_AIM)),
            growth <= GROWTH_AIM,
        ),
    ];
    let how = "**Memory**: the peak of a worker's allocations (1 MB = 1,000,000 bytes), above the level before it began. The allocator \
               counts the threads of one worker, with its SDK clients and their bodies, but not those of the embedded AWS, which \
               keeps its account on disk. zstd's contexts, allocated in C, are not counted. UUID users, as above; a sweeper \
               until the data is expired, then one restorer, then two audiences over the restored data."
        .to_owned();
    Ok(Findings { rows, how })
}

/// Runs the worker on a counted thread, and the AWS on other threads.
fn peaks(users: u64) -> Outcome<Peaks> {
    let home = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let worker = worker()?;
    let at = home.handle().clone();
    // `spawn` runs it on the worker's thread, which is counted; this thread is not.
    worker.block_on(worker.spawn(sweep_and_restore(at, users)))?
}

fn worker() -> Outcome<Runtime> {
    Ok(Builder::new_multi_thread()
        .worker_threads(1)
        .on_thread_start(count_this_thread)
        .enable_all()
        .build()?)
}

async fn sweep_and_restore(home: Handle, users: u64) -> Outcome<Peaks> {
    let deployment = Deployment::new(Kept::OnDisk, Some(home)).await?;
    let crowd = Crowd { ids: Ids::Uuids, spread: HOUR, now: deployment.now() };
    deployment.fill(&crowd, 0..users).await?;
    deployment.come_due().await?;
    let before = held();
    reset_peak();
    deployment.expire().await?;
    let sweep = peak().saturating_sub(before) as f64 / 1e6;
    reset_peak();
    deployment.restore(1).await?;
    let restore = peak().saturating_sub(before) as f64 / 1e6;
    reset_peak();
    deployment.count().await?;
    deployment.count_of(&json!({ "converted": { "source": format!("campaign/{CAMPAIGN}") } })).await?;
    let audience = peak().saturating_sub(before) as f64 / 1e6;
    Ok(Peaks { sweep, restore, audience })
}
