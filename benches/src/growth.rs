//! Growth: the units and time of each operation as a ledger grows from ten thousand users to ten million.

use crate::{
    Size,
    chart::{Chart, Line},
    data::{Crowd, Ids},
    deployment::{Deployment, Kept, Outcome, USERS_PER_REQUEST, stopwatch},
    meter::{Units, Way},
    report::{Findings, Row, grouped, short},
    restore::RESTORERS,
};
use std::time::Duration;

const HOUR: i64 = 60 * 60 * 1000;
/// How many users are matched, one after the other. The figure is for one match.
const MATCHES: u64 = 5;

/// The operations that are measured, in their order.
const OPERATIONS: [&str; 7] =
    ["ingest", "count, inbox", "match, inbox", "sweep", "restore", "count, run", "match, run"];

/// The units and time of one operation.
struct Taken {
    seconds: f64,
    read: f64,
    write: f64,
}

impl Taken {
    fn of(taken: Duration, units: &Units, times: u64) -> Self {
        let each = |n: f64| n / times as f64;
        Self {
            seconds: each(taken.as_secs_f64()),
            read: each(units.all(Way::Read)),
            write: each(units.all(Way::Write)),
        }
    }
}

/// Measures each size. Returns the figures, and the chart for the docs.
pub async fn measure(size: Size) -> Outcome<(Findings, String)> {
    let sizes: &[u64] = size.pick(&[10_000, 100_000, 1_000_000, 10_000_000], &[1_000, 10_000]);
    let mut measured = Vec::new();
    for users in sizes {
        measured.push((*users, life(*users).await?));
    }
    let series = |value: fn(&Taken) -> f64| {
        let line = |(i, name): (usize, &&'static str)| Line {
            name,
            points: measured.iter().map(|(users, taken)| (*users as f64, value(&taken[i]))).collect(),
        };
        OPERATIONS.iter().enumerate().map(line).collect::<Vec<_>>()
    };
    let charts = [
        Chart { title: "seconds", lines: series(|t| t.seconds) },
        Chart { title: "write units", lines: series(|t| t.write) },
        Chart { title: "read units", lines: series(|t| t.read) },
    ];
    let users: Vec<String> = sizes.iter().map(|n| grouped(*n as f64)).collect();
    let rows = OPERATIONS.iter().enumerate().map(|(i, name)| {
        let each = |text: fn(f64) -> String, value: fn(&Taken) -> f64| {
            let values: Vec<String> = measured.iter().map(|(_, taken)| text(value(&taken[i]))).collect();
            values.join(" · ")
        };
        let (write, read) = (each(grouped, |t| t.write), each(grouped, |t| t.read));
        let units = match *name {
            "ingest" => format!("{write} write units"),
            "sweep" | "restore" => format!("{write} write, {read} read units"),
            _ => format!("{read} read units"),
        };
        Row::plain(format!("Growth: {name}"), format!("{} s; {units}", each(short, |t| t.seconds)))
    });
    let how = format!(
        "**Growth**: at {} users, in this order; AWS in memory. The same interactions as for the restore, with times over 1 h, \
         {} users in a request, one request after the other; {RESTORERS} restorers; count and match of \
         \"received\" while all rows are in the inbox, and again after they were restored into a run. Units of both tables, with `users`; \
         without the deletion of hot copies after their grace. An inbox of more than 24 MiB is swept in bites: each except \
         the last is folded into a hot run first, which writes and reads its rows once more.",
        users.join(" · "),
        grouped(USERS_PER_REQUEST as f64)
    );
    Ok((Findings { rows: rows.collect(), how }, crate::chart::svg(&charts)))
}

/// Runs a campaign with this many users through all operations.
async fn life(users: u64) -> Outcome<Vec<Taken>> {
    let deployment = Deployment::new(Kept::InMemory, None).await?;
    let crowd = Crowd { ids: Ids::Uuids, spread: HOUR, now: deployment.now() };
    let (_, taken) = deployment.fill(&crowd, 0..users).await?;
    let mut out = vec![Taken::of(taken, &deployment.meter.take(), 1)];
    questions(&deployment, &crowd, users, &mut out).await?;
    deployment.come_due().await?;
    deployment.meter.take();
    let begun = stopwatch();
    deployment.expire().await?;
    out.push(Taken::of(begun.elapsed(), &deployment.meter.take(), 1));
    let begun = stopwatch();
    deployment.restore(RESTORERS).await?;
    out.push(Taken::of(begun.elapsed(), &deployment.meter.take(), 1));
    questions(&deployment, &crowd, users, &mut out).await?;
    Ok(out)
}

async fn questions(deployment: &Deployment, crowd: &Crowd, users: u64, out: &mut Vec<Taken>) -> Outcome<()> {
    let begun = stopwatch();
    let count = deployment.count().await?;
    out.push(Taken::of(begun.elapsed(), &deployment.meter.take(), 1));
    if count != users {
        return Err(format!("{count} counted of {users}").into());
    }
    let begun = stopwatch();
    for user in 0..MATCHES {
        if !deployment.matches(&crowd.ids.of(user * (users / MATCHES))).await? {
            return Err(format!("user {user} is not found").into());
        }
    }
    out.push(Taken::of(begun.elapsed(), &deployment.meter.take(), MATCHES));
    Ok(())
}
