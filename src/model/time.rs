//! Points in time. Two clocks that must not be mixed have two types; both are arguments wherever
//! they are needed, never read here.

use std::fmt;
use std::time::Duration;

/// The monotonic clock: nanoseconds since the process started. Limits and durations run on it, so
/// a stepped wall clock neither frees nor locks anyone.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct MonoNs(pub u64);

impl MonoNs {
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The wall clock: microseconds since 1970-01-01T00:00:00Z. Expiry dates and records use it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct UnixMicros(pub i64);

impl UnixMicros {
    /// Later than every other time.
    pub const FOREVER: Self = Self(i64::MAX);

    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }
}

/// One reading of both clocks, taken once per decision.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    pub mono: MonoNs,
    pub wall: UnixMicros,
}

/// Shows as RFC 3339 in UTC with microseconds, `2026-03-01T12:00:00.000000Z`.
impl fmt::Display for UnixMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.rem_euclid(1_000_000);
        let (date, second_of_day) = civil(self.0.div_euclid(1_000_000));
        let (hour, minute, second) =
            (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        let (year, month, day) = date;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

/// Days since the epoch to a civil date (the proleptic Gregorian calendar in 400-year eras).
/// Here rather than through a date library because the recorder formats one per record.
fn civil(unix_seconds: i64) -> ((i64, i64, i64), i64) {
    let days = unix_seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    ((year, month, day), unix_seconds.rem_euclid(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_as_rfc_3339() {
        let check = |micros: i64, expected: &str| {
            assert_eq!(UnixMicros(micros).to_string(), expected);
        };
        check(0, "1970-01-01T00:00:00.000000Z");
        check(951_782_400_000_001, "2000-02-29T00:00:00.000001Z");
        check(1_772_366_399_999_999, "2026-03-01T11:59:59.999999Z");
        check(-1, "1969-12-31T23:59:59.999999Z");
    }
}
