//! Times: one rule reads them wherever they stand, and each refusal says how to write the time.

use crate::{
    ingest::{collect, good},
    support::{cases, model},
};
use proptest::{prelude::*, sample::select};
use rekindle_domain::{
    filter::{Filter, Times},
    time::{FEWEST_MILLIS, Time},
};
use serde_json::{Value, json};

fn read(sent: &Value) -> Result<Time, String> {
    serde_json::from_value(sent.clone()).map_err(|e| e.to_string())
}

#[test]
fn a_time_is_text_or_milliseconds_and_digits_as_text_are_the_number() {
    let at = Time(1_764_000_000_123);
    for sent in [
        json!(1_764_000_000_123_i64),
        json!("1764000000123"),
        json!("2025-11-24T16:00:00.123Z"),
        json!("2025-11-24T17:00:00.123+01:00"),
        // Digits beyond the milliseconds count for nothing, however many there are.
        json!("2025-11-24T16:00:00.123456789Z"),
        json!("2025-11-24T16:00:00.1234567891Z"),
        json!("2025-11-24T16:00:00.123456789123456789123456789-00:00"),
    ] {
        assert_eq!(read(&sent), Ok(at), "{sent}");
    }
    for (sent, at) in [("1000-01-01T00:00:00Z", -30_610_224_000_000), ("1970-01-01T00:00:00Z", 0)] {
        assert_eq!(read(&json!(sent)), Ok(Time(at)), "{sent}");
    }
    for millis in [FEWEST_MILLIS, -FEWEST_MILLIS] {
        assert_eq!(read(&json!(millis)), Ok(Time(millis)));
    }
}

/// What is refused, and the sentence that says so.
fn refused() -> Vec<(Value, &'static str)> {
    let seconds = "`1764000000` looks like epoch seconds; send milliseconds, 1764000000000, or RFC 3339";
    vec![
        (json!(1_764_000_000), seconds),
        (json!("1764000000"), seconds),
        (
            json!(99_999_999_999_i64),
            "`99999999999` looks like epoch seconds; send milliseconds, 99999999999000, or RFC 3339",
        ),
        (
            json!(-1_764_000_000),
            "`-1764000000` looks like epoch seconds; send milliseconds, -1764000000000, or RFC 3339",
        ),
        (
            json!(5_000),
            "`5000` is too small for epoch milliseconds; write such a time as RFC 3339, as in 1970-01-01T00:00:05.000Z",
        ),
        (
            json!(1_764_000_000.5),
            "`1764000000.5` is not written as a whole number of milliseconds; send 1764000000500, or RFC 3339",
        ),
        (
            json!("1764000000.5"),
            "`1764000000.5` is not written as a whole number of milliseconds; send 1764000000500, or RFC 3339",
        ),
        (
            json!(1_764_000_000_000.5),
            "`1764000000000.5` is not written as a whole number of milliseconds; send 1764000000001, or RFC 3339",
        ),
        (
            json!(1_764_000_000_000_000_i64),
            "`1764000000000000` as epoch milliseconds lies outside of the calendar; send milliseconds, not microseconds or nanoseconds, or RFC 3339",
        ),
        (
            json!("2026-11-22"),
            "`2026-11-22` is a date without a time; write 2026-11-22T00:00:00Z for midnight at its beginning, in UTC",
        ),
        (
            json!("2026-11-22T10:00:00"),
            "`2026-11-22T10:00:00` is a time without an offset; write 2026-11-22T10:00:00Z if it is in UTC, or else its offset, as in 2026-11-22T10:00:00+01:00",
        ),
        (
            json!("2026-11-22 10:00"),
            "`2026-11-22 10:00` is a time without an offset; write 2026-11-22T10:00:00Z if it is in UTC, or else its offset, as in 2026-11-22T10:00:00+01:00",
        ),
        (
            json!("tomorrow"),
            "`tomorrow` is not a time; write an RFC 3339 time such as 2026-11-22T10:00:00Z, or epoch milliseconds",
        ),
    ]
}

#[test]
fn a_time_that_is_refused_says_how_to_write_it_the_same_in_every_place() {
    for (sent, sentence) in refused() {
        assert_eq!(read(&sent), Err(sentence.to_owned()), "{sent}");
        let mut item = good();
        item.insert("time".into(), sent.clone());
        let collected = collect(json!([item]).to_string().as_bytes());
        assert_eq!(collected.rejected[0].detail, format!("time: {sentence}"));
        for bound in ["before", "after"] {
            let error = Filter::parse(&json!({ "last_engaged": { bound: sent } }), "filter").unwrap_err();
            assert_eq!((error.path, error.detail), (format!("filter.last_engaged.{bound}"), sentence.into()));
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// No number is taken for one time as text and for another as a number, and no seconds pass for milliseconds.
    #[test]
    fn numbers_mean_the_same_as_text(number in prop_oneof![any::<i64>(), -300_000_000_000_000..300_000_000_000_000i64]) {
        let read_number = read(&json!(number));
        prop_assert_eq!(&read(&json!(number.to_string())), &read_number);
        match read_number {
            Ok(at) => prop_assert!(at.0 == number && number.abs() >= FEWEST_MILLIS),
            Err(why) => {
                let shown = format!("`{number}`");
                prop_assert!(why.contains(&shown) && why.contains("RFC 3339"));
            }
        }
    }

    /// What a filter's time is written as is read back, also where it is before 1973.
    #[test]
    fn stored_times_of_filters_stay_readable(at in select(vec![0, 1, -1, 99_999_999_999, -62_167_219_200_000, 253_402_207_200_000])) {
        let times = Times { after: Some(Time(at)), ..Times::default() };
        let filter = Filter::LastInControl { times };
        let stored = serde_json::to_string(&filter).unwrap();
        prop_assert_eq!(serde_json::from_str::<Filter>(&stored).unwrap(), filter);
    }

    /// `null`, and the empty text in a field of text, are the same as leaving an optional field out.
    #[test]
    fn null_is_the_same_as_leaving_a_field_out(
        kind in select(vec!["received", "delivered", "opened", "clicked", "converted", "control", "complained", "subscribed"]),
        field in select(vec![
            "canvas_id", "variant_id", "variation_id", "step_id", "link_alias", "bounce", "machine", "conversion", "time",
        ]),
    ) {
        let mut item = good();
        item.insert("type".into(), kind.into());
        let stored = |item: &serde_json::Map<String, Value>| {
            let collected = collect(json!([item]).to_string().as_bytes());
            assert_eq!(collected.rejected, vec![]);
            collected.ledgers.iter().map(|(ledger, rows)| (ledger.clone(), model(rows))).collect::<Vec<_>>()
        };
        let without = stored(&item);
        item.insert(field.into(), Value::Null);
        prop_assert_eq!(&stored(&item), &without);
        if !["machine", "conversion", "time"].contains(&field) {
            item.insert(field.into(), "".into());
            prop_assert_eq!(&stored(&item), &without);
        }
    }
}
