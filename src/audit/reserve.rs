//! Room on the disk that is kept for the worst: when there is no other, what the log must say of that can
//! still be written. And how long the other room will last.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};

use crate::model::time::MonoNs;

/// A file of no content.
#[derive(Debug)]
pub struct Reserve {
    file: File,
    bytes: u64,
}

impl Reserve {
    /// `DATA_DIR/audit.reserve`. On a disk that is full already it is empty, for now.
    pub fn at(home: &Path) -> io::Result<Self> {
        let path = home.join("audit.reserve");
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut reserve = Self { file, bytes: 0 };
        if let Err(error) = reserve.fill() {
            log::warn!("audit: no room can be reserved: {error}");
        }
        Ok(reserve)
    }

    /// Reserves again what was released.
    pub fn fill(&mut self) -> io::Result<()> {
        if self.bytes < RESERVE_BYTES {
            fallocate(&self.file, FallocateFlags::empty(), 0, RESERVE_BYTES)?;
            self.bytes = RESERVE_BYTES;
        }
        Ok(())
    }

    /// Gives room for a few lines to whoever writes next; false when there is none left.
    pub fn release(&mut self) -> bool {
        let Some(left) = self.bytes.checked_sub(RELEASE_BYTES) else { return false };
        let released = self.file.set_len(left).is_ok();
        if released {
            self.bytes = left;
        }
        released
    }
}

/// For a start that has to close the log before on a full disk.
pub fn give_up(home: &Path) {
    if let Err(error) = std::fs::remove_file(home.join("audit.reserve")) {
        log::warn!("audit: no room was kept: {error}");
    }
}

const RESERVE_BYTES: u64 = 1 << 20;
const RELEASE_BYTES: u64 = 32 * 1024;

/// How fast the log grows, and what that leaves.
#[derive(Debug)]
pub struct Growth {
    directory: PathBuf,
    since: Option<MonoNs>,
    bytes: u64,
    bytes_per_second: f64,
}

impl Growth {
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.into(), since: None, bytes: 0, bytes_per_second: 0.0 }
    }

    pub const fn wrote(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// How many seconds the room on the disk lasts at the pace of the last minutes: without end when nothing is
    /// written. To be asked about once a second; None where nothing new is known.
    pub fn seconds_left(&mut self, now: MonoNs) -> Option<f64> {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.since(since);
        if elapsed < LOOK_INTERVAL {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let latest = self.bytes as f64 / elapsed.as_secs_f64();
        let weight = (elapsed.as_secs_f64() / MEMORY.as_secs_f64()).min(1.0);
        self.bytes_per_second += (latest - self.bytes_per_second) * weight;
        (self.since, self.bytes) = (Some(now), 0);
        let about = rustix::fs::statvfs(&self.directory).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let free = about.f_bavail.saturating_mul(about.f_frsize) as f64;
        Some(if self.bytes_per_second < 1.0 { f64::INFINITY } else { free / self.bytes_per_second })
    }
}

const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The pace is that of about so long.
const MEMORY: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::Directory;

    #[test]
    fn what_is_reserved_is_given_in_parts_and_taken_again() {
        let directory = Directory::new();
        let mut reserve = Reserve::at(directory.path()).expect("a file");
        let len = || directory.path().join("audit.reserve").metadata().expect("is there").len();
        assert_eq!(len(), RESERVE_BYTES);
        let parts = std::iter::repeat_with(|| reserve.release()).take_while(|given| *given).count();
        assert_eq!((parts as u64, len()), (RESERVE_BYTES / RELEASE_BYTES, 0));
        reserve.fill().expect("there is room");
        assert_eq!(len(), RESERVE_BYTES);
        let mut again = Reserve::at(directory.path()).expect("a file");
        assert!(again.release());
    }

    #[test]
    fn the_pace_says_how_long_the_room_lasts() {
        let directory = Directory::new();
        let mut growth = Growth::of(directory.path());
        let at = |seconds: u64| MonoNs(seconds * 1_000_000_000);
        assert_eq!(growth.seconds_left(at(0)), None);
        assert_eq!(growth.seconds_left(at(1)), Some(f64::INFINITY));
        let mut left = Vec::new();
        for second in 2..8 {
            growth.wrote(1 << 30);
            left.extend(growth.seconds_left(at(second)));
        }
        assert_eq!(left.len(), 6);
        assert!(left.is_sorted_by(|a, b| a > b), "it shrinks as the pace grows: {left:?}");
        assert!(left.iter().all(|left| left.is_finite() && *left > 0.0), "{left:?}");
    }
}
