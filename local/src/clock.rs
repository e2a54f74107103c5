//! A clock that follows the machine's clock and can be moved ahead, so that months pass in a second. While sample data is made
//! it begins in the past, and ends where it stood.

use crate::private;
use rekindle_domain::time::{Clock, Period, Time};
use rekindle_runtime::ports::SystemClock;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

/// The clock is moved up to here and no further: to the first day of 2286.
const LAST: Time = Time(9_972_028_800_000);
/// Keys of dirty marks write times with 13 digits, which suffice until November 2286. Times that are added to a clock before
/// that stay within the calendar.
const END: Time = Time(9_999_999_999_999);
/// The state of a folder whose clock is rewound, and the remedy.
const BROKEN_OFF: &str = "the program ended while it loaded sample data there, so that the folder holds a part of it; delete the \
                          folder to begin anew";

/// The machine's clock plus an offset, which is kept with the data. It never shrinks, but where [`LocalClock::rewind`] says so.
#[derive(Debug)]
pub struct LocalClock {
    offset: AtomicI64,
    /// While the clock is rewound: the offset that it had before. Held during each change of the offset.
    home: Mutex<Option<i64>>,
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
        Self { offset: AtomicI64::new(0), home: Mutex::new(None), file: None }
    }

    /// A clock whose offset is kept in `dir/clock`, in milliseconds. While the clock is rewound, the offset before stands behind
    /// it.
    ///
    /// # Errors
    /// If the file cannot be read, or does not hold the offset of a clock that this program would have set; or if the program
    /// ended while the clock was rewound.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let file = dir.join("clock");
        let most = END.0 - SystemClock.now().0;
        let offset = match std::fs::read_to_string(&file) {
            Ok(text) if text.trim().contains(' ') => return Err(io::Error::other(BROKEN_OFF)),
            Ok(text) => text.trim().parse().ok().filter(|offset| (0..=most).contains(offset)).ok_or_else(|| {
                let path = file.display();
                io::Error::other(format!(
                    "{path} must hold the milliseconds that the clock is ahead of the machine's, 0 to {most}"
                ))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self { offset: AtomicI64::new(offset), home: Mutex::new(None), file: Some(file) })
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
        let home = self.home();
        self.check(wanted)?;
        Ok(self.put(self.offset_of(wanted), *home)?)
    }

    /// Goes back to a time, for data that is made as if it had arrived since. Only for a system that has none: stored times
    /// would lie in the future. It ends with [`Self::come_home`]; a program that is ended before that refuses the folder at its
    /// next start, since the folder holds a part of that data.
    ///
    /// # Errors
    /// The offset could not be kept; the clock stands where it stood.
    pub fn rewind(&self, to: Time) -> io::Result<()> {
        let mut home = self.home();
        let before = home.unwrap_or(self.offset.load(Ordering::SeqCst));
        self.put(self.offset_of(to), Some(before))?;
        *home = Some(before);
        Ok(())
    }

    /// Is again where it would be if it had not been rewound, unless it was moved beyond that since.
    ///
    /// # Errors
    /// The offset could not be kept; the clock stands where it stood.
    pub fn come_home(&self) -> io::Result<()> {
        let mut home = self.home();
        if let Some(before) = *home {
            self.put(before.max(self.offset.load(Ordering::SeqCst)), None)?;
            *home = None;
        }
        Ok(())
    }

    fn home(&self) -> MutexGuard<'_, Option<i64>> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset with which the clock shows a time now.
    fn offset_of(&self, wanted: Time) -> i64 {
        wanted.0 - SystemClock.now().0
    }

    fn put(&self, offset: i64, home: Option<i64>) -> io::Result<()> {
        if let Some(file) = &self.file {
            let draft = file.with_extension("new");
            let mut new = private::create(&draft)?;
            let home = home.map_or_else(String::new, |home| format!(" {home}"));
            new.write_all(format!("{offset}{home}").as_bytes())?;
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
    fn a_clock_that_was_rewound_comes_home_and_a_folder_that_was_left_meanwhile_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let clock = LocalClock::open(dir.path()).unwrap();
        clock.advance(&Period::parse("P1D").unwrap()).unwrap();
        let (before, day) = (clock.now(), 24 * 3_600_000);
        for days in [200, 100] {
            let start = before.plus(-days * day);
            clock.rewind(start).unwrap();
            assert!((clock.now().0 - start.0).abs() < 60_000, "{days} days back");
        }
        clock.advance(&Period::parse("P1M").unwrap()).unwrap();
        assert!(clock.now() < before);
        let error = LocalClock::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("delete the folder to begin anew"), "{error}");
        clock.come_home().unwrap();
        assert!((clock.now().0 - before.0).abs() < 60_000);
        clock.come_home().unwrap();
        let again = LocalClock::open(dir.path()).unwrap();
        assert!((again.now().0 - before.0).abs() < 60_000);
        // One that was moved beyond its home stays there.
        clock.rewind(before.plus(-day)).unwrap();
        let beyond = before.plus(5 * day);
        clock.set(beyond).unwrap();
        clock.come_home().unwrap();
        assert!((clock.now().0 - beyond.0).abs() < 60_000);
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
