//! What stored bytes cost a month. The table of prices stands in `docs/cost.md`, and a test compares the two.

use serde::Serialize;

/// The region whose list prices these are.
pub const REGION: &str = "us-east-1";

/// As of when.
pub const AS_OF: &str = "November 2026";

/// A gigabyte in DynamoDB a month, in US dollars, with point-in-time recovery.
pub const HOT_GB: f64 = 0.25 + 0.20;

/// A gigabyte in S3 Intelligent-Tiering a month, in US dollars, for the first 30 days.
pub const COLD_GB_AT_FIRST: f64 = 0.023;

/// The same after 30 days.
pub const COLD_GB_LATER: f64 = 0.0125;

const GB: f64 = 1e9;

/// What stored bytes cost a month, in US dollars.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct MonthlyCost {
    /// Of the hot bytes.
    pub hot: f64,
    /// Of the cold bytes, while they are new.
    pub cold_at_first: f64,
    /// Of the cold bytes, once they are 30 days old.
    pub cold_later: f64,
}

/// What these bytes cost a month. Requests, and work on the bytes, are not in it.
pub fn monthly(hot_bytes: u64, cold_bytes: u64) -> MonthlyCost {
    let (hot, cold) = (hot_bytes as f64 / GB, cold_bytes as f64 / GB);
    MonthlyCost {
        hot: hot * HOT_GB,
        cold_at_first: cold * COLD_GB_AT_FIRST,
        cold_later: cold * COLD_GB_LATER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_have_these_prices() {
        let document = include_str!("../../../docs/cost.md");
        let has = |text: &str| assert!(document.contains(text), "docs/cost.md does not say: {text}");
        has(&format!("`{REGION}`"));
        has(AS_OF);
        has("| DynamoDB: a GB a month, and its point-in-time recovery | 0.25 + 0.20 |");
        has(&format!("a GB a month, at first · after 30 days | {COLD_GB_AT_FIRST} · {COLD_GB_LATER} |"));
        assert_eq!(format!("{HOT_GB:.2}"), "0.45");
    }

    #[test]
    fn a_month_costs_bytes_times_price() {
        let cost = monthly(2_000_000_000, 100_000_000_000);
        let cents = |usd: f64| (usd * 100.0).round() as i64;
        assert_eq!((cents(cost.hot), cents(cost.cold_at_first), cents(cost.cold_later)), (90, 230, 125));
    }
}
