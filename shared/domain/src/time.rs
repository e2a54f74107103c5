//! Points in time and how they are read, periods, and the ports for the clock and for chance.
//!
//! Nothing in the shared crates reads a clock or a random source by itself; shells pass these ports in.

use crate::id::clip;
use jiff::{
    Span, Timestamp, civil,
    fmt::friendly::{Designator, Spacing, SpanPrinter},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize, de};
use std::{borrow::Cow, fmt, str::FromStr};
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
    pub(crate) const CALENDAR: [Self; 2] = [Self(-377_705_023_201_000), Self(253_402_207_200_000)];

    /// Reads RFC 3339 (any offset). `None` if it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|t| Self(t.as_millisecond()))
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

/// A time as somebody sent it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Sent<'a> {
    /// Text: RFC 3339, or digits, which are read as the number.
    Text(&'a str),
    /// A whole number: epoch milliseconds.
    Whole(i128),
    /// A number with a fraction or an exponent, which is no time.
    Fraction(f64),
}

/// Whole numbers nearer to zero than this are not read as milliseconds: they would lie before March 1973 and after
/// October 1966, so that they are seconds, sent by mistake.
pub const FEWEST_MILLIS: i64 = 100_000_000_000;

/// The forms of a time, to be put behind "write" or "is".
const FORMS: &str = "an RFC 3339 time such as 2026-11-22T10:00:00Z, or epoch milliseconds";

impl Time {
    /// The one rule by which a time of a request is read, wherever it stands. RFC 3339 takes any offset, and digits of
    /// a second beyond the milliseconds count for nothing. Numbers are whole epoch milliseconds within the calendar and
    /// no smaller than [`FEWEST_MILLIS`].
    ///
    /// # Errors
    /// A sentence for people: it shows the value and says how to write it.
    pub fn read(sent: Sent<'_>) -> Result<Self, String> {
        match sent {
            Sent::Text(text) => Self::read_text(text),
            Sent::Whole(number) => Self::read_number(number),
            Sent::Fraction(number) => {
                let millis = if number.abs() < FEWEST_MILLIS as f64 { number * 1_000.0 } else { number };
                let way = match Self::read_number(millis.round() as i128) {
                    Ok(at) => format!("{}, or RFC 3339", at.0),
                    Err(_) => FORMS.to_owned(),
                };
                Err(format!("`{number:?}` is not written as a whole number of milliseconds; send {way}"))
            }
        }
    }

    fn read_text(text: &str) -> Result<Self, String> {
        if let Some(at) = Self::parse(text) {
            return Ok(at);
        }
        let shown = clip(text);
        if text.bytes().next_back().is_some_and(|b| b.is_ascii_digit()) {
            if let Ok(number) = text.parse() {
                return Self::read_number(number);
            }
            // A text of a time has more than these characters.
            if text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
                && let Ok(number) = text.parse()
            {
                return Self::read(Sent::Fraction(number));
            }
        }
        let text = nine_digits(text);
        if let Some(at) = Self::parse(&text) {
            return Ok(at);
        }
        match text.parse::<civil::DateTime>() {
            Ok(at) if text.contains(['T', 't', ' ']) => Err(format!(
                "`{shown}` is a time without an offset; write {at}Z if it is in UTC, or else its offset, as in {at}+01:00"
            )),
            Ok(at) => Err(format!(
                "`{shown}` is a date without a time; write {at}Z for midnight at its beginning, in UTC"
            )),
            Err(_) => Err(format!("`{shown}` is not a time; write {FORMS}")),
        }
    }

    fn read_number(number: i128) -> Result<Self, String> {
        let found = i64::try_from(number).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
        let Some(at) = found.map(|at| Self(at.as_millisecond())) else {
            return Err(format!(
                "`{number}` as epoch milliseconds lies outside of the calendar; send milliseconds, not microseconds or nanoseconds, or RFC 3339"
            ));
        };
        if at.0.abs() >= FEWEST_MILLIS {
            return Ok(at);
        }
        let millis = at.0 * 1_000;
        if millis.abs() >= FEWEST_MILLIS {
            return Err(format!(
                "`{number}` looks like epoch seconds; send milliseconds, {millis}, or RFC 3339"
            ));
        }
        Err(format!(
            "`{number}` is too small for epoch milliseconds; write such a time as RFC 3339, as in {at}"
        ))
    }
}

/// The text without the digits of a fraction of a second that go beyond the ninth.
fn nine_digits(text: &str) -> Cow<'_, str> {
    let Some((before, after)) = text.split_once('.') else {
        return text.into();
    };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    if digits <= 9 { text.into() } else { format!("{before}.{}{}", &after[..9], &after[digits..]).into() }
}

impl FromStr for Time {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(Sent::Text(text))
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

/// By the rule of [`Time::read`], from text or a number.
impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl de::Visitor<'_> for V {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(FORMS)
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Time, E> {
                Time::read(Sent::Text(v)).map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Time, E> {
                Time::read(Sent::Whole(v.into())).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Time, E> {
                Time::read(Sent::Whole(v.into())).map_err(E::custom)
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Time, E> {
                Time::read(Sent::Fraction(v)).map_err(E::custom)
            }
        }
        d.deserialize_any(V)
    }
}

/// A calendar period such as `P3M` or `PT1H` (ISO 8601), added in UTC and clamped at month ends.
#[derive(Clone, Copy, Debug)]
pub struct Period(Span);

impl Period {
    /// No time at all: for a notice that nobody needs. No text is read as it.
    pub fn zero() -> Self {
        Self(Span::new())
    }

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
        let early = Time(-62_167_219_200_000 + 1);
        assert_eq!(serde_json::from_value::<Time>(serde_json::to_value(early).unwrap()).unwrap(), early);
        for old in [Time(0), Time(1_000), Time(-1)] {
            assert_eq!(serde_json::from_value::<Time>(serde_json::to_value(old).unwrap()).unwrap(), old);
        }
    }

    #[test]
    fn every_time_that_is_written_can_be_read_and_no_sum_leaves_the_calendar() {
        let [first, last] = Time::CALENDAR;
        let is_written = |time: Time| Timestamp::from_millisecond(time.0).is_ok();
        assert!(is_written(first) && is_written(last));
        assert!(!is_written(Time(first.0 - 1)) && !is_written(Time(last.0 + 1)));
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
