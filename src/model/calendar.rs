//! Days, weeks and months of a time zone: where the one that holds a moment begins and ends, whatever
//! the clocks of that zone do in between. Pure: the zone's rules were read with the config.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::time::UnixMicros;

/// What a quota is counted by. Weeks begin on Monday.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CalendarUnit {
    Day,
    Week,
    Month,
}

impl CalendarUnit {
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The first day of the one that a day is in.
    fn first_day(self, day: Date) -> Option<Date> {
        match self {
            Self::Day => Some(day),
            Self::Week => {
                let since_monday = day.weekday().to_monday_zero_offset();
                day.checked_sub(i64::from(since_monday).days()).ok()
            }
            Self::Month => Some(day.first_of_month()),
        }
    }

    /// The first day of the one after it.
    fn next(self, first: Date) -> Option<Date> {
        let length = match self {
            Self::Day => 1.day(),
            Self::Week => 7.days(),
            Self::Month => 1.month(),
        };
        first.checked_add(length).ok()
    }

    /// The first day of the one before it.
    fn previous(self, first: Date) -> Option<Date> {
        let length = match self {
            Self::Day => 1.day(),
            Self::Week => 7.days(),
            Self::Month => 1.month(),
        };
        first.checked_sub(length).ok()
    }
}

/// A time zone of the IANA database, by its name.
#[derive(Clone)]
pub struct Zone {
    name: Arc<str>,
    rules: TimeZone,
}

impl Zone {
    pub fn new(name: &str, rules: TimeZone) -> Self {
        Self { name: name.into(), rules }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Two zones of one name are the same: a change of the database is taken in with the next period.
impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.name, &other.name) || self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Days, weeks or months of a zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Calendar {
    pub unit: CalendarUnit,
    pub zone: Zone,
}

/// One day, week or month, as moments.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Period {
    pub starts: UnixMicros,
    /// The start of the next.
    pub ends: UnixMicros,
}

impl Period {
    pub fn contains(&self, at: UnixMicros) -> bool {
        self.starts <= at && at < self.ends
    }

    /// Until it ends, in nanoseconds.
    pub fn left_ns(&self, at: UnixMicros) -> u64 {
        let micros = self.ends.0.saturating_sub(at.0).max(0);
        u64::try_from(micros).unwrap_or_default().saturating_mul(1000)
    }
}

impl Calendar {
    /// The period that holds `at`; None past the years that a calendar knows (9999).
    pub fn period_at(&self, at: UnixMicros) -> Option<Period> {
        let moment = Timestamp::from_microsecond(at.0).ok()?;
        let day = moment.to_zoned(self.zone.rules.clone()).date();
        let first = self.unit.first_day(day)?;
        let period = self.period_from(first)?;
        // Clocks that are set back across midnight show a day twice. It ends when the next first
        // begins, so that periods follow each other without a gap.
        if at >= period.ends {
            self.period_from(self.unit.next(first)?)
        } else if at < period.starts {
            self.period_from(self.unit.previous(first)?)
        } else {
            Some(period)
        }
    }

    fn period_from(&self, first: Date) -> Option<Period> {
        Some(Period { starts: self.start_of(first)?, ends: self.start_of(self.unit.next(first)?)? })
    }

    /// The first moment of a day; of a day that a zone leaves out, the first after it.
    fn start_of(&self, day: Date) -> Option<UnixMicros> {
        let begins = day.to_zoned(self.zone.rules.clone()).ok()?.start_of_day().ok()?;
        Some(UnixMicros(begins.timestamp().as_microsecond()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calendar(unit: CalendarUnit, zone: &str) -> Calendar {
        Calendar { unit, zone: Zone::new(zone, TimeZone::get(zone).expect("tzdata is installed")) }
    }

    fn at(text: &str) -> UnixMicros {
        UnixMicros(text.parse::<Timestamp>().expect("a time").as_microsecond())
    }

    #[test]
    fn periods_begin_and_end_where_the_zone_says() {
        use CalendarUnit::{Day, Month, Week};
        let check = |unit, zone: &str, moment: &str, starts: &str, ends: &str| {
            let period = calendar(unit, zone).period_at(at(moment)).expect("within the years");
            assert_eq!(period, Period { starts: at(starts), ends: at(ends) }, "{zone} {moment}");
        };
        check(Day, "UTC", "2026-03-01T12:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
        check(Week, "UTC", "2026-03-01T12:00:00Z", "2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z");
        check(
            Month,
            "UTC",
            "2024-02-29T23:59:59.999999Z",
            "2024-02-01T00:00:00Z",
            "2024-03-01T00:00:00Z",
        );
        check(Month, "UTC", "2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z");
        // The day that loses an hour, and the one that gains one.
        let berlin = "Europe/Berlin";
        check(Day, berlin, "2026-03-29T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        check(Day, berlin, "2026-10-25T10:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        check(
            Month,
            berlin,
            "2026-10-31T22:59:59Z",
            "2026-09-30T22:00:00Z",
            "2026-10-31T23:00:00Z",
        );
        // A day without a midnight, a day that does not exist, a midnight that comes twice.
        check(
            Day,
            "America/Sao_Paulo",
            "2018-11-04T12:00:00Z",
            "2018-11-04T03:00:00Z",
            "2018-11-05T02:00:00Z",
        );
        check(
            Day,
            "Pacific/Apia",
            "2011-12-30T09:59:59Z",
            "2011-12-29T10:00:00Z",
            "2011-12-30T10:00:00Z",
        );
        check(
            Day,
            "Pacific/Apia",
            "2011-12-30T10:00:00Z",
            "2011-12-30T10:00:00Z",
            "2011-12-31T10:00:00Z",
        );
        check(
            Day,
            "America/St_Johns",
            "2005-10-30T02:31:30Z",
            "2005-10-30T02:30:00Z",
            "2005-10-31T03:30:00Z",
        );
        check(
            Day,
            "America/St_Johns",
            "2005-10-30T03:00:00Z",
            "2005-10-30T02:30:00Z",
            "2005-10-31T03:30:00Z",
        );
    }

    proptest! {
        /// Every moment is in one period, and each ends where the next begins.
        #[test]
        fn periods_follow_each_other(
            seconds in 0..4_102_444_800_i64,
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu",
                "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana",
            ]),
            unit in prop::sample::select(CalendarUnit::ALL.to_vec()),
        ) {
            let (calendar, moment) = (calendar(unit, zone), UnixMicros::from_seconds(seconds));
            let period = calendar.period_at(moment).expect("within the years");
            prop_assert!(period.contains(moment), "{:?} {}", period, moment);
            prop_assert_eq!(calendar.period_at(period.starts), Some(period));
            prop_assert_eq!(calendar.period_at(UnixMicros(period.ends.0 - 1)), Some(period));
            let next = calendar.period_at(period.ends).expect("within the years");
            prop_assert_eq!(next.starts, period.ends);
        }
    }
}
