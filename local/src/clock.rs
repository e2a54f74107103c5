//! A clock that follows the machine's clock and can be moved ahead, so that months pass in a second.

use rekindle_domain::time::{Clock, Period, Time};
use rekindle_runtime::ports::SystemClock;
use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, Ordering},
};

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
    /// The new time is past the end of the calendar.
    #[error("that is beyond the calendar")]
    BeyondCalendar,
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
    /// If the file cannot be read, or holds no number.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let file = dir.join("clock");
        let offset = match std::fs::read_to_string(&file) {
            Ok(text) => text
                .trim()
                .parse()
                .map_err(|_| io::Error::other(format!("{} does not hold a number", file.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self { offset: AtomicI64::new(offset), file: Some(file) })
    }

    /// Moves ahead by a calendar period.
    ///
    /// # Errors
    /// [`ClockError`]; the clock stands where it stood.
    pub fn advance(&self, period: &Period) -> Result<(), ClockError> {
        let wanted = period.after(self.now()).ok_or(ClockError::BeyondCalendar)?;
        self.set(wanted)
    }

    /// Moves ahead to a time. The offset is on disk before it takes effect.
    ///
    /// # Errors
    /// [`ClockError`]; the clock stands where it stood.
    pub fn set(&self, wanted: Time) -> Result<(), ClockError> {
        let now = self.now();
        if wanted < now {
            return Err(ClockError::Backwards { now, wanted });
        }
        let offset = self.offset.load(Ordering::SeqCst) + (wanted.0 - now.0);
        if let Some(file) = &self.file {
            let draft = file.with_extension("new");
            std::fs::write(&draft, offset.to_string())?;
            std::fs::File::open(&draft)?.sync_all()?;
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
}
