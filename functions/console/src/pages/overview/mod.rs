//! Overview: the last days in numbers, as the sweeper counted them. Opening it reads no source.

mod plot;

use self::plot::{MAX_SERIES, Plot, Series, last, sum, swatch};
use super::{OrRefused, Refused, Viewer, forms::Fields, sources::bytes};
use crate::{
    calendar::day_name,
    html::{Page, count, number},
    words,
};
use axum::{Router, extract::State, routing::get};
use http::{Method, Uri};
use maud::{Markup, html};
use rekindle_domain::{
    day::{Counts, Day, Stock},
    facet::Kind,
    key::Scope::Read,
    prices::{self, AS_OF, COLD_GB_AT_FIRST, COLD_GB_LATER, HOT_GB, MonthlyCost, REGION},
    tally::MACHINE_CLICKED,
    time::Time,
};
use rekindle_runtime::scopes::Route;
use rekindle_service::{Rekindle, library::Overview};

pub(super) const ROUTES: &[Route] = &[(Method::GET, "/console/overview", Read)];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new().route("/console/overview", get(show))
}

const ADDRESS: &str = "/console/overview";

/// How many days the page may show; the second is the default.
const DAYS: [usize; 3] = [7, 30, 90];

/// The states of sources, with their names and colours.
const STATES: [(&str, &str, usize); 5] = [
    ("available", "Available", 1),
    ("expiring", "Being archived", 3),
    ("expired", "Expired", 4),
    ("restoring", "Being restored", 2),
    ("no_data", "No data yet", 6),
];

async fn show(State(app): State<Rekindle>, viewer: Viewer, uri: Uri) -> Result<Markup, Refused> {
    let fields = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let asked = fields.get("days").and_then(|days| days.parse().ok());
    let days = DAYS.into_iter().find(|days| Some(*days) == asked).unwrap_or(DAYS[1]);
    let overview = app.overview(days).await.or_refused(&viewer)?;
    let content = html! {
        h1 { "Overview" }
        nav .choices aria-label="How many days" {
            @for choice in DAYS {
                a .button href=(format!("{ADDRESS}?days={choice}")) aria-current=[(choice == days).then_some("true")] { (choice) " days" }
            }
        }
        @match &overview.stock {
            None => {
                section .card .empty {
                    p { "Nothing was counted yet." }
                    p { "The sweeper counts every few minutes. Look again after its next run." }
                }
            }
            Some(stock) => { (counted(&overview, stock)) }
        }
    };
    Ok(Page::new("Overview", Some(&viewer)).within(ADDRESS).around(&content))
}

fn counted(overview: &Overview, stock: &Stock) -> Markup {
    let days: Vec<Time> = overview.days.iter().map(|day| day.day).collect();
    html! {
        p .hint {
            "Counted at " (clock(stock.at)) " UTC on " (day_name(stock.at)) ". That is done every few minutes, and every few hours where there are thousands of sources. "
            "Days are those of UTC."
        }
        div .columns {
            (interactions(&overview.days, &days))
            (moved(&overview.days, &days))
            (states(stock))
            (storage(&overview.days, &days))
            (cost(stock, &overview.cost))
        }
    }
}

/// The hours and minutes of a time.
fn clock(at: Time) -> String {
    at.to_string().get(11..16).unwrap_or_default().to_owned()
}

/// The name of a kind for people.
fn kind_name(kind: &str) -> String {
    match kind {
        MACHINE_CLICKED => "Clicked by machines".to_owned(),
        "control" => "In the control group".to_owned(),
        "not_spam" => "Marked as no spam".to_owned(),
        _ => {
            let mut letters = kind.chars();
            let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            format!("{first}{}", letters.as_str().replace('_', " "))
        }
    }
}

/// Whether anything of a day was counted.
const fn is_known(day: &Day) -> bool {
    day.stock.is_some()
}

/// A series of the plot of interactions, of one kind or of several.
fn series(days: &[Day], name: String, colour: usize, kinds: &[&str]) -> Series {
    let of = |day: &Day| kinds.iter().filter_map(|kind| day.interactions.get(*kind)).sum();
    let known = |day: &Day| is_known(day) || !day.interactions.is_empty();
    Series { name, colour, values: days.iter().map(|day| known(day).then(|| of(day))).collect() }
}

/// The interactions by kind: the most frequent kinds by themselves, and the others together.
fn by_kind(days: &[Day]) -> Vec<Series> {
    let mut totals = Counts::new();
    for (kind, n) in days.iter().flat_map(|day| &day.interactions) {
        *totals.entry(kind.clone()).or_default() += n;
    }
    let all = Kind::ALL.map(Kind::as_str).into_iter().chain([MACHINE_CLICKED]);
    let mut kinds: Vec<&str> = all.filter(|kind| totals.contains_key(*kind)).collect();
    let mut others = Vec::new();
    while kinds.len() + usize::from(!others.is_empty()) > MAX_SERIES {
        let least = (0..kinds.len()).min_by_key(|i| totals[kinds[*i]]).unwrap_or(0);
        others.push(kinds.remove(least));
    }
    let mut all: Vec<Series> =
        kinds.iter().enumerate().map(|(i, kind)| series(days, kind_name(kind), i + 1, &[kind])).collect();
    if !others.is_empty() {
        all.push(series(days, "Others".to_owned(), MAX_SERIES, &others));
    }
    all
}

fn interactions(all: &[Day], days: &[Time]) -> Markup {
    let series = by_kind(all);
    html! {
        section .card .whole {
            h2 #interactions { "Interactions a day" }
            @if series.is_empty() {
                p .hint { "No interactions arrived in these days." }
            } @else {
                (Plot { id: "interactions", title: "Interactions that arrived on each day, by kind", days, series, written: number, summed: sum }.render())
                p .hint {
                    "By the day on which they arrived. One that was sent twice counts twice here, and is stored once. Opened has people and machines."
                }
            }
        }
    }
}

fn moved(all: &[Day], days: &[Time]) -> Markup {
    let of = |name: &str, colour, sources: fn(&Day) -> u64| Series {
        name: name.to_owned(),
        colour,
        values: all.iter().map(|day| (is_known(day) || sources(day) > 0).then(|| sources(day))).collect(),
    };
    let series =
        vec![of("Expired", 4, |day| day.expired.sources), of("Restored", 2, |day| day.restored.sources)];
    let total = |of: fn(&Day) -> u64| all.iter().map(of).sum::<u64>();
    let (expired, restored) = (total(|day| day.expired.interactions), total(|day| day.restored.interactions));
    html! {
        section .card {
            h2 #moved { "Expired and restored" }
            (Plot { id: "moved", title: "Campaigns and Canvases whose interaction data expired or was restored on each day", days, series, written: number, summed: sum }.render())
            p .hint {
                "Campaigns and Canvases. With them " (count(expired, "stored interaction", "stored interactions")) " expired, and "
                (count(restored, "was", "were")) " restored."
            }
        }
    }
}

/// The sources by the state of their data, as one bar.
fn states(stock: &Stock) -> Markup {
    let all = stock.all_sources();
    let of = |state: &str| stock.sources.get(state).copied().unwrap_or(0);
    let mut from = 0.0;
    let bars = STATES.map(|(state, name, colour)| {
        let width = 100.0 * of(state) as f64 / all.max(1) as f64;
        from += width;
        (name, colour, from - width, width, of(state))
    });
    html! {
        section .card {
            h2 #states { "Campaigns and Canvases by state" }
            p { strong { (words::things(all)) } ", without deleted ones" }
            figure .plot aria-labelledby="states" {
                svg .state-plot role="img" aria-labelledby="states-title" viewBox="0 0 100 10" preserveAspectRatio="none" {
                    title #states-title { "Campaigns and Canvases by the state of their interaction data" }
                    @for (name, colour, x, width, n) in bars {
                        @if n > 0 {
                            g {
                                title { (name) ": " (number(n)) }
                                rect .{ "series-" (colour) } x=(format!("{x:.2}")) y="0" width=(format!("{width:.2}")) height="10" {}
                            }
                        }
                    }
                }
                table .states {
                    thead { tr { th scope="col" { "State" } th scope="col" .number { "Sources" } } }
                    tbody {
                        @for (name, colour, .., n) in bars { tr { th scope="row" { (swatch(colour)) (name) } td .number { (number(n)) } } }
                    }
                }
            }
        }
    }
}

fn storage(all: &[Day], days: &[Time]) -> Markup {
    let of = |name: &str, colour, bytes: fn(&Stock) -> u64| Series {
        name: name.to_owned(),
        colour,
        values: all.iter().map(|day| day.stock.as_ref().map(bytes)).collect(),
    };
    let series = vec![
        of("Available (hot)", 1, |stock| stock.hot_bytes),
        of("In long-term storage (cold)", 4, |stock| stock.cold_bytes),
    ];
    html! {
        section .card {
            h2 #storage { "Stored bytes" }
            (Plot { id: "storage", title: "Bytes in the hot and the cold tier on each day", days, series, written: bytes, summed: last }.render())
            p .hint { "Without what has arrived and was not merged yet, and without deleted sources. Data that was restored lies in both tiers." }
        }
    }
}

/// US dollars.
fn usd(amount: f64) -> String {
    if amount > 0.0 && amount < 0.01 {
        return "less than $0.01".to_owned();
    }
    let cents = (amount * 100.0).round() as u64;
    format!("${}.{:02}", number(cents / 100), cents % 100)
}

fn cost(stock: &Stock, cost: &MonthlyCost) -> Markup {
    html! {
        section .card {
            h2 #cost { "What the bytes cost a month" }
            div .scroll tabindex="0" role="group" aria-labelledby="cost" {
                table aria-labelledby="cost" {
                    thead {
                        tr { th scope="col" { "Tier" } th scope="col" .number { "Stored" } th scope="col" .number { "A GB" } th scope="col" .number { "A month" } }
                    }
                    tbody {
                        tr { th scope="row" { "Hot" } td .number { (bytes(stock.hot_bytes)) } td .number { (price(HOT_GB)) } td .number { (usd(cost.hot)) } }
                        tr { th scope="row" { "Cold, at first" } td .number { (bytes(stock.cold_bytes)) } td .number { (price(COLD_GB_AT_FIRST)) } td .number { (usd(cost.cold_at_first)) } }
                        tr { th scope="row" { "Cold, after 30 days" } td .number { (bytes(stock.cold_bytes)) } td .number { (price(COLD_GB_LATER)) } td .number { (usd(cost.cold_later)) } }
                    }
                }
            }
            p .hint {
                "List prices of DynamoDB with recovery and of S3 Intelligent-Tiering in " (REGION) ", as of " (AS_OF) ", from docs/cost.md. "
                "Look them up for your region. If all that is hot were cold for longer than 30 days, it would cost "
                (usd(prices::monthly(0, stock.hot_bytes).cold_later)) "."
            }
        }
    }
}

/// The price of a gigabyte, to a hundredth of a cent.
fn price(usd: f64) -> String {
    format!("${usd:.4}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(counts: &[(&str, u64)]) -> Day {
        let interactions = counts.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect();
        Day { interactions, stock: Some(Stock::default()), ..Day::default() }
    }

    #[test]
    fn the_most_frequent_kinds_have_a_series_of_their_own() {
        let few = [day(&[("opened", 2), ("received", 1)]), Day::default()];
        let names = |days: &[Day]| -> Vec<String> { by_kind(days).into_iter().map(|s| s.name).collect() };
        assert_eq!(names(&few), ["Received", "Opened"]);
        assert_eq!(by_kind(&few)[0].values, [Some(1), None]);
        let many: Vec<(&str, u64)> = Kind::ALL
            .iter()
            .map(|kind| (kind.as_str(), 100 - *kind as u64))
            .chain([(MACHINE_CLICKED, 1_000)])
            .collect();
        let many = [day(&many)];
        assert_eq!(
            names(&many),
            ["Received", "Opened", "Clicked", "Converted", "Clicked by machines", "Others"]
        );
        let all: u64 = by_kind(&many).iter().filter_map(sum).sum();
        assert_eq!(all, many[0].interactions.values().sum::<u64>());
    }

    #[test]
    fn money_is_rounded_to_cents() {
        let written = [0.0, 0.004, 0.01, 0.999, 1.5, 1234.567].map(usd);
        assert_eq!(written, ["$0.00", "less than $0.01", "$0.01", "$1.00", "$1.50", "$1\u{202f}234.57"]);
        assert_eq!([HOT_GB, COLD_GB_LATER].map(price), ["$0.45", "$0.0125"]);
    }
}
