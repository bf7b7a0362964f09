//! From when until when: the times people type, and the period they come to.
//!
//! The zone and the present are arguments: the same words mean other times elsewhere and later.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

use crate::model::time::UnixMicros;

/// A stretch of time: `from` is in it, `to` is not. None is without end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Period {
    pub from: Option<UnixMicros>,
    pub to: Option<UnixMicros>,
}

impl Period {
    /// From one moment until another. A time of day without an offset is meant in `zone`.
    pub fn between(
        from: Option<&Moment>,
        to: Option<&Moment>,
        zone: &Zone,
        now: UnixMicros,
    ) -> Result<Self, PeriodError> {
        let resolve = |moment: &Moment| moment.resolve(&zone.0, now);
        let from = from.map(resolve).transpose().map_err(PeriodError::From)?;
        let to = to.map(resolve).transpose().map_err(PeriodError::To)?;
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(PeriodError::Empty);
        }
        Ok(Self { from, to })
    }

    /// A calendar month as the clocks of `zone` show it.
    pub fn month(month: Month, zone: &Zone) -> Result<Self, PeriodError> {
        let begin = |date: Date| Ok(micros(zone.0.to_timestamp(date.to_datetime(MIDNIGHT))?));
        let next = |date: Date| date.checked_add(1.month());
        let bounds = begin(month.0).and_then(|from| Ok((from, begin(next(month.0)?)?)));
        let (from, to) = bounds.map_err(PeriodError::Month)?;
        Ok(Self { from: Some(from), to: Some(to) })
    }

    pub fn contains(&self, time: UnixMicros) -> bool {
        self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to)
    }
}

/// A point in time as it was typed.
#[derive(Clone, Debug)]
pub enum Moment {
    /// `2026-03-01T12:00:00Z`, or with another offset.
    Exact(Timestamp),
    /// `2026-03-01T12:00` or `2026-03-01`: by the clocks of some zone.
    Civil(DateTime),
    /// `-15m`, `2h ago`.
    Before(Span),
}

impl Moment {
    fn resolve(&self, zone: &TimeZone, now: UnixMicros) -> Result<UnixMicros, jiff::Error> {
        let time = match self {
            Self::Exact(time) => *time,
            Self::Civil(time) => zone.to_timestamp(*time)?,
            Self::Before(span) => {
                let now = Timestamp::from_microsecond(now.0)?;
                now.to_zoned(zone.clone()).checked_add(*span)?.timestamp()
            }
        };
        Ok(micros(time))
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(span) = text.parse::<Span>() {
            let before = span.is_negative().then_some(Self::Before(span));
            return before.ok_or("a time before now is written -15m or '15m ago'");
        }
        let exact = || text.parse().map(Self::Exact);
        let civil = || text.parse().map(Self::Civil);
        exact().or_else(|_| civil()).map_err(|_| {
            "not a time: write 2026-03-01, 2026-03-01T12:00, 2026-03-01T12:00:00+01:00, -15m \
             or '2h ago'"
        })
    }
}

/// A calendar month, by its first day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Month(Date);

impl FromStr for Month {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let date = (text.len() == "2026-03".len()).then(|| format!("{text}-01").parse().ok());
        date.flatten().map(Self).ok_or("not a month: write 2026-03")
    }
}

/// A time zone of the system's database.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for Zone {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        TimeZone::get(text)
            .map(Self)
            .map_err(|_| "not a time zone of this system: write Europe/Berlin, or UTC")
    }
}

/// Why times make no period.
#[derive(Debug)]
pub enum PeriodError {
    From(jiff::Error),
    To(jiff::Error),
    Month(jiff::Error),
    /// It ends before it begins.
    Empty,
}

impl fmt::Display for PeriodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(error) => write!(f, "--from: {error}"),
            Self::To(error) => write!(f, "--to: {error}"),
            Self::Month(error) => write!(f, "--month: {error}"),
            Self::Empty => f.write_str("--from must be before --to"),
        }
    }
}

impl std::error::Error for PeriodError {}

fn micros(time: Timestamp) -> UnixMicros {
    UnixMicros(time.as_microsecond())
}

const MIDNIGHT: jiff::civil::Time = jiff::civil::Time::midnight();

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-29T12:00:00Z: in Berlin the clocks went forward ten hours ago.
    const NOW: UnixMicros = UnixMicros::from_seconds(1_774_785_600);

    fn zone(name: &str) -> Zone {
        name.parse().expect("a zone")
    }

    fn from(text: &str, zone_name: &str) -> Result<String, String> {
        let moment: Moment = text.parse().map_err(str::to_owned)?;
        let period = Period::between(Some(&moment), None, &zone(zone_name), NOW);
        let period = period.map_err(|error| error.to_string())?;
        Ok(period.from.map(|time| time.to_string()).unwrap_or_default())
    }

    #[test]
    fn times_are_read_as_people_type_them() {
        let check = |text: &str, zone: &str, expected: &str| {
            assert_eq!(from(text, zone).as_deref(), Ok(expected), "{text} in {zone}");
        };
        check("2026-03-01T12:00:00Z", "Europe/Berlin", "2026-03-01T12:00:00.000000Z");
        check("2026-03-01T12:00:00.5+01:00", "UTC", "2026-03-01T11:00:00.500000Z");
        check("2026-03-01T12:00", "UTC", "2026-03-01T12:00:00.000000Z");
        check("2026-03-01 12:00:30", "Europe/Berlin", "2026-03-01T11:00:30.000000Z");
        check("2026-07-01", "Europe/Berlin", "2026-06-30T22:00:00.000000Z");
        // Half past two did not exist that night.
        check("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30:00.000000Z");
        check("-15m", "UTC", "2026-03-29T11:45:00.000000Z");
        check("2h ago", "UTC", "2026-03-29T10:00:00.000000Z");
        check("-1d", "UTC", "2026-03-28T12:00:00.000000Z");
        // The day before, at the same time of day, is 23 hours ago.
        check("-1d", "Europe/Berlin", "2026-03-28T13:00:00.000000Z");
    }

    #[test]
    fn what_is_no_time_is_refused_with_a_way_out() {
        let check = |text: &str, expected: &str| {
            let error = from(text, "UTC").expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("", "not a time");
        check("yesterday", "not a time");
        check("2026-02-30", "not a time");
        check("15m", "-15m or '15m ago'");
        check("0s", "-15m or '15m ago'");
        check("-99999y", "not a time");
        assert!("2026-13".parse::<Month>().is_err());
        assert!("2026-3".parse::<Month>().is_err());
        assert!("2026-03-01".parse::<Month>().is_err());
        assert!("Europe/Berlim".parse::<Zone>().is_err());
    }

    #[test]
    fn a_month_is_the_zones_month() {
        let check = |month: &str, zone_name: &str, from: &str, to: &str| {
            let month = month.parse().expect("a month");
            let period = Period::month(month, &zone(zone_name)).expect("a period");
            let text = |time: Option<UnixMicros>| time.map(|t| t.to_string()).unwrap_or_default();
            assert_eq!((text(period.from), text(period.to)), (from.to_owned(), to.to_owned()));
        };
        check("2026-03", "UTC", "2026-03-01T00:00:00.000000Z", "2026-04-01T00:00:00.000000Z");
        // It begins in winter time and ends in summer time.
        check(
            "2026-03",
            "Europe/Berlin",
            "2026-02-28T23:00:00.000000Z",
            "2026-03-31T22:00:00.000000Z",
        );
        check("2026-12", "UTC", "2026-12-01T00:00:00.000000Z", "2027-01-01T00:00:00.000000Z");
    }

    #[test]
    fn a_period_holds_its_begin_and_not_its_end() {
        let moment = |text: &str| text.parse::<Moment>().expect("a moment");
        let (from, to) = (moment("2026-03-01"), moment("2026-03-02"));
        let utc = Zone::default();
        let period = Period::between(Some(&from), Some(&to), &utc, NOW).expect("a period");
        let (begin, end) = (period.from.expect("a begin"), period.to.expect("an end"));
        let check = |time: UnixMicros, expected: bool| {
            assert_eq!(period.contains(time), expected, "{time}");
        };
        check(begin, true);
        check(UnixMicros(begin.0 - 1), false);
        check(UnixMicros(end.0 - 1), true);
        check(end, false);
        assert!(Period::default().contains(UnixMicros(i64::MIN)));
        let error = Period::between(Some(&to), Some(&from), &utc, NOW).expect_err("empty");
        assert_eq!(error.to_string(), "--from must be before --to");
    }
}
