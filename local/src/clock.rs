//! A clock that follows the machine's clock and can be moved ahead, so that months pass in a second.

use crate::private;
use rekindle_domain::time::{Clock, Period, Time};
use rekindle_runtime::ports::SystemClock;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, Ordering},
};

/// The clock is moved up to here and no further: to the first day of 2286.
const LAST: Time = Time(9_972_028_800_000);
/// Keys of dirty marks write times with 13 digits, which suffice until November 2286. Times that are added to a clock before
/// that stay within the calendar.
const END: Time = Time(9_999_999_999_999);

/// The machine's clock plus an offset, which is kept with the data and never shrinks.
#[derive(Debug)]
pub struct LocalClock {
    offset: AtomicI64,
    file: Option<PathBuf>,
}

/// Why the clock was not moved.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The wanted time is before the present. The clock never goes back: stored times would lie in the future.
    #[error("the clock stands at {now} and never goes back to {wanted}")]
    Backwards {
        /// The clock's time.
        now: Time,
        /// The time that was asked for.
        wanted: Time,
    },
    /// The new time is later than stored data can hold.
    #[error("the clock goes up to {LAST} and no further")]
    TooLate,
    /// The offset could not be kept.
    #[error("the clock's offset could not be kept: {0}")]
    Io(#[from] io::Error),
}

impl LocalClock {
    /// A clock that starts at the machine's time. Its offset is not kept.
    pub const fn in_memory() -> Self {
        Self { offset: AtomicI64::new(0), file: None }
    }

    /// A clock whose offset is kept in `dir/clock`, in milliseconds.
    ///
    /// # Errors
    /// If the file cannot be read, or does not hold the offset of a clock that this program would have set.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let file = dir.join("clock");
        let most = END.0 - SystemClock.now().0;
        let offset = match std::fs::read_to_string(&file) {
            Ok(text) => text.trim().parse().ok().filter(|offset| (0..=most).contains(offset)).ok_or_else(|| {
                let path = file.display();
                io::Error::other(format!(
                    "{path} must hold the milliseconds that the clock is ahead of the machine's, 0 to {most}"
                ))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self { offset: AtomicI64::new(offset), file: Some(file) })
    }

    /// Whether the clock may move to a time.
    ///
    /// # Errors
    /// [`ClockError`], where [`Self::set`] would refuse the time.
    pub fn check(&self, wanted: Time) -> Result<(), ClockError> {
        let now = self.now();
        if wanted < now {
            return Err(ClockError::Backwards { now, wanted });
        }
        if wanted > LAST { Err(ClockError::TooLate) } else { Ok(()) }
    }

    /// Moves ahead by a calendar period.
    ///
    /// # Errors
    /// [`ClockError`]; the clock stands where it stood.
    pub fn advance(&self, period: &Period) -> Result<(), ClockError> {
        let wanted = period.after(self.now()).ok_or(ClockError::TooLate)?;
        self.set(wanted)
    }

    /// Moves ahead to a time. The offset is on disk before it takes effect.
    ///
    /// # Errors
    /// [`ClockError`]; the clock stands where it stood.
    pub fn set(&self, wanted: Time) -> Result<(), ClockError> {
        self.check(wanted)?;
        let offset = self.offset.load(Ordering::SeqCst) + (wanted.0 - self.now().0);
        if let Some(file) = &self.file {
            let draft = file.with_extension("new");
            let mut new = private::create(&draft)?;
            new.write_all(offset.to_string().as_bytes())?;
            new.sync_all()?;
            std::fs::rename(&draft, file)?;
        }
        self.offset.store(offset, Ordering::SeqCst);
        Ok(())
    }
}

impl Clock for LocalClock {
    fn now(&self) -> Time {
        SystemClock.now().plus(self.offset.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_survives_and_never_shrinks() {
        let dir = tempfile::tempdir().unwrap();
        let clock = LocalClock::open(dir.path()).unwrap();
        clock.advance(&Period::parse("P3M").unwrap()).unwrap();
        let later = clock.now();
        assert!(later.0 - SystemClock.now().0 > 88 * 24 * 3_600_000);
        assert!(matches!(clock.set(Time(later.0 - 60_000)), Err(ClockError::Backwards { .. })));
        let again = LocalClock::open(dir.path()).unwrap();
        assert!((again.now().0 - later.0).abs() < 60_000);
    }

    #[test]
    fn a_clock_stops_where_stored_times_end() {
        let dir = tempfile::tempdir().unwrap();
        let clock = LocalClock::open(dir.path()).unwrap();
        for wanted in ["2286-01-01T00:00:01Z", "9999-12-30T21:59:59Z"] {
            let error = clock.set(Time::parse(wanted).unwrap()).unwrap_err();
            assert_eq!(error.to_string(), "the clock goes up to 2286-01-01T00:00:00.000Z and no further");
        }
        for period in ["P300Y", "P7900Y", "P9000Y"].map(|text| Period::parse(text).ok()).iter().flatten() {
            assert!(matches!(clock.advance(period), Err(ClockError::TooLate)), "{period}");
        }
        assert!((clock.now().0 - SystemClock.now().0).abs() < 60_000, "it stands where it stood");
        clock.set(LAST).unwrap();
        assert!(LocalClock::open(dir.path()).unwrap().now() >= LAST);
    }

    #[test]
    fn a_clock_file_that_no_clock_wrote_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clock");
        for text in ["", "x", "-1", "251557000000000", "9223372036854775807", "1e400"] {
            std::fs::write(&file, text).unwrap();
            let error = LocalClock::open(dir.path()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{} must hold", file.display())), "{text}: {error}");
        }
    }
}
