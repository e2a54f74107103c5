//! Days and months of the UTC calendar, for pages that lay data out by day.

use rekindle_domain::time::{DAY_MILLIS, Time};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The year, the month from 1 to 12, and the day from 1 to 31, as they are written.
fn parts(at: Time) -> (String, usize, usize) {
    let text = at.to_string();
    let number = |from, to| text.get(from..to).and_then(|digits| digits.parse().ok()).unwrap_or(1);
    (text.get(..4).unwrap_or_default().to_owned(), number(5, 7), number(8, 10))
}

/// The day of the month.
pub(crate) fn day_of_month(at: Time) -> usize {
    parts(at).2
}

/// The place of the day within its week: 0 for Monday.
pub(crate) fn weekday(at: Time) -> usize {
    // The calendar begins on a Thursday.
    (at.0.div_euclid(DAY_MILLIS) + 3).rem_euclid(7) as usize
}

/// The name of the day of the week.
pub(crate) fn weekday_name(at: Time) -> &'static str {
    WEEKDAYS[weekday(at)]
}

/// The first moment of the month.
pub(crate) fn month_of(at: Time) -> Time {
    at.day().plus(-DAY_MILLIS * (day_of_month(at) as i64 - 1))
}

/// The month with its year: `May 2027`.
pub(crate) fn month_name(at: Time) -> String {
    let (year, month, _) = parts(at);
    format!("{} {year}", MONTHS[(month - 1).min(11)])
}

/// The day with its month: `3 May`.
pub(crate) fn day_name(at: Time) -> String {
    let (_, month, day) = parts(at);
    format!("{day} {}", MONTHS[(month - 1).min(11)])
}

/// All days of the month that begins then.
pub(crate) fn days_of(month: Time) -> impl Iterator<Item = Time> {
    (0..31).map(move |day| month.plus(day * DAY_MILLIS)).filter(move |day| month_of(*day) == month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_days_are_those_of_the_calendar() {
        let at = |text: &str| Time::parse(text).unwrap();
        let leap = at("2028-02-29T23:59:59.999Z");
        assert_eq!(
            (month_name(leap), day_name(leap)),
            ("February 2028".to_owned(), "29 February".to_owned())
        );
        assert_eq!((weekday_name(leap), month_of(leap)), ("Tuesday", at("2028-02-01T00:00:00Z")));
        assert_eq!(weekday_name(Time(0)), "Thursday");
        assert_eq!(days_of(month_of(leap)).count(), 29);
        assert_eq!(days_of(at("2027-12-01T00:00:00Z")).last(), Some(at("2027-12-31T00:00:00Z")));
    }
}
