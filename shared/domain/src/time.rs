//! Points in time, periods, and the ports for the clock and for chance.
//!
//! Nothing in the shared crates reads a clock or a random source by itself; shells pass these ports in.

use jiff::{
    Span, Timestamp,
    fmt::friendly::{Designator, Spacing, SpanPrinter},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use ulid::Ulid;

/// A day of 24 hours, in milliseconds.
pub const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub i64);

impl Time {
    /// 0000-01-01: RFC 3339 has no way to write an earlier time.
    pub const YEAR_0: Self = Self(-62_167_219_200_000);

    /// The calendar's first and last time. No sum leaves the calendar: a time beyond it could be written nowhere.
    const CALENDAR: [Self; 2] = [Self(-377_705_023_201_000), Self(253_402_207_200_999)];

    /// Reads RFC 3339 (any offset). `None` if it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|t| Self(t.as_millisecond()))
    }

    /// Reads RFC 3339, or epoch milliseconds within the calendar. `None` if it is neither.
    pub fn parse_any(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(millis) => Timestamp::from_millisecond(millis).ok().map(|_| Self(millis)),
            Err(_) => Self::parse(text),
        }
    }

    /// This time plus a number of milliseconds; at most the calendar's last time, and at least its first.
    pub const fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis)).within_calendar()
    }

    const fn within_calendar(self) -> Self {
        let [first, last] = Self::CALENDAR;
        if self.0 < first.0 {
            first
        } else if self.0 > last.0 {
            last
        } else {
            self
        }
    }

    /// When its day began, in UTC.
    pub const fn day(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(DAY_MILLIS)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Timestamp::from_millisecond(self.within_calendar().0).unwrap_or_default();
        write!(f, "{at:.3}")
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl serde::de::Visitor<'_> for V {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an RFC 3339 time such as \"2026-11-22T10:00:00Z\", or epoch milliseconds")
            }
            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Time, E> {
                Time::parse(v).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(v), &self))
            }
            fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<Time, E> {
                let is_in_calendar = Timestamp::from_millisecond(v).is_ok();
                let wrong = || E::invalid_value(serde::de::Unexpected::Signed(v), &self);
                is_in_calendar.then_some(Time(v)).ok_or_else(wrong)
            }
            fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Time, E> {
                self.visit_i64(i64::try_from(v).unwrap_or(i64::MAX))
            }
        }
        d.deserialize_any(V)
    }
}

/// A calendar period such as `P3M` or `PT1H` (ISO 8601), added in UTC and clamped at month ends.
#[derive(Clone, Copy, Debug)]
pub struct Period(Span);

impl Period {
    /// Parses an ISO 8601 duration that is greater than zero.
    ///
    /// # Errors
    /// A sentence for people, naming what was wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let span: Span = text
            .starts_with('P')
            .then(|| text.parse().ok())
            .flatten()
            .ok_or_else(|| format!("`{text}` is not an ISO 8601 duration such as P3M, P30D or PT12H"))?;
        if !span.is_positive() {
            return Err(format!("`{text}` must be longer than zero"));
        }
        let period = Self(span);
        if period.after(Time(0)).is_none() {
            return Err(format!("`{text}` is too long"));
        }
        Ok(period)
    }

    /// That many days.
    pub fn of_days(days: u8) -> Self {
        Self(Span::new().days(days))
    }

    /// The period in words, such as `3 months` or `1 day, 12 hours`.
    pub fn in_words(&self) -> String {
        let words = SpanPrinter::new().designator(Designator::Verbose);
        let spacing = Spacing::BetweenUnitsAndDesignators;
        words.spacing(spacing).comma_after_designator(true).span_to_string(&self.0)
    }

    /// `at` plus this period by the UTC calendar: 30 November + P3M is 28 (29) February.
    /// `None` where the sum leaves the calendar.
    pub fn after(&self, at: Time) -> Option<Time> {
        let start = Timestamp::from_millisecond(at.0).ok()?.to_zoned(TimeZone::UTC);
        let end = start.checked_add(self.0).ok()?;
        Some(Time(end.timestamp().as_millisecond()))
    }

    /// `at` minus this period by the UTC calendar. `None` where that leaves the calendar.
    pub fn before(&self, at: Time) -> Option<Time> {
        let end = Timestamp::from_millisecond(at.0).ok()?.to_zoned(TimeZone::UTC);
        let start = end.checked_sub(self.0).ok()?;
        Some(Time(start.timestamp().as_millisecond()))
    }
}

/// Two periods are equal if they are written alike: P7D is not equal to P1W.
impl PartialEq for Period {
    fn eq(&self, other: &Self) -> bool {
        self.0.fieldwise() == other.0.fieldwise()
    }
}

impl Eq for Period {}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The port for the clock. It is read at each swap, not once an invocation.
pub trait Clock: Send + Sync {
    /// The present time.
    fn now(&self) -> Time;
}

/// The port for ids and secrets. Every id is new: ids of runs, copies and inbox blocks are never reused.
pub trait Ids: Send + Sync {
    /// A new id whose first 48 bits are `now`.
    fn new_id(&self, now: Time) -> Ulid;
    /// A new secret: 256 bits that cannot be guessed.
    fn new_secret(&self) -> [u8; 32];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    #[test]
    fn three_calendar_months_clamp_at_month_ends() {
        let p = Period::parse("P3M").unwrap();
        assert_eq!(p.after(at("2026-11-22T10:00:00Z")), Some(at("2027-02-22T10:00:00Z")));
        assert_eq!(p.after(at("2026-11-30T10:00:00Z")), Some(at("2027-02-28T10:00:00Z")));
        assert_eq!(p.after(at("2027-11-30T10:00:00Z")), Some(at("2028-02-29T10:00:00Z")));
    }

    #[test]
    fn periods_out_of_shape_are_refused() {
        for bad in ["", "3 months", "-P1D", "P0D", "P", "PT", "P99999Y", "1d"] {
            assert!(Period::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_written_with_milliseconds_and_read_back() {
        let t = at("2026-11-22T10:00:00Z");
        assert_eq!(t.to_string(), "2026-11-22T10:00:00.000Z");
        assert_eq!(Time::parse(&t.to_string()), Some(t));
        assert_eq!(serde_json::from_str::<Time>("1000").unwrap(), Time(1000));
        assert!(serde_json::from_str::<Time>("1e30").is_err());
    }

    #[test]
    fn every_time_that_is_written_can_be_read_and_no_sum_leaves_the_calendar() {
        let [first, last] = Time::CALENDAR;
        assert_eq!((first.0, last.0), (Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond()));
        for (time, is_read_as) in [
            (first, first),
            (Time(-1), Time(-1)),
            (last, last),
            (Time(first.0 - 1), first),
            (Time(last.0 + 1), last),
            (Time(i64::MIN), first),
            (Time(i64::MAX), last),
            (last.plus(1), last),
            (last.plus(-1), Time(last.0 - 1)),
            (Time(0).plus(i64::MAX), last),
            (first.plus(-1), first),
        ] {
            let written = serde_json::to_string(&time).unwrap();
            assert_eq!(serde_json::from_str::<Time>(&written).unwrap(), is_read_as, "{written}");
        }
    }
}
