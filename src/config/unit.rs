//! Quantities with a unit: `"250ms"`, `"16MiB"`. It reads them, shows them in the same form, and
//! says how a wrong one should have been written. It knows no key and no bound.

use std::fmt;
use std::time::Duration;

/// A quantity that a config writes as a number and a unit.
pub(super) trait Quantity: Copy + PartialOrd {
    /// What a message calls it: `a duration`.
    const NOUN: &'static str;
    /// Name and size of each unit, smallest first.
    const UNITS: &'static [(&'static str, u64)];

    /// How nothing is written.
    const ZERO: &'static str;
    /// The unit that a number without one most likely means.
    const USUAL: &'static str;

    /// From so many of the smallest unit.
    fn from_smallest(count: u64) -> Self;

    fn in_smallest(self) -> u64;
}

impl Quantity for Duration {
    const NOUN: &'static str = "a duration";
    const UNITS: &'static [(&'static str, u64)] =
        &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    const ZERO: &'static str = "0s";
    const USUAL: &'static str = "s";

    fn from_smallest(count: u64) -> Self {
        Self::from_millis(count)
    }

    fn in_smallest(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Bytes(pub(super) u64);

impl Bytes {
    pub(super) const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    pub(super) const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    pub(super) const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    pub(super) const fn tib(count: u64) -> Self {
        Self(count << 40)
    }
}

impl Quantity for Bytes {
    const NOUN: &'static str = "a size";
    const UNITS: &'static [(&'static str, u64)] =
        &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    const ZERO: &'static str = "0B";
    const USUAL: &'static str = "B";

    fn from_smallest(count: u64) -> Self {
        Self(count)
    }

    fn in_smallest(self) -> u64 {
        self.0
    }
}

/// A whole number and a unit, nothing between them. None for anything else; what does not fit is
/// the largest there is, which no bound allows.
pub(super) fn parse<Q: Quantity>(text: &str) -> Option<Q> {
    let (number, unit) = split(text);
    let (_, size) = Q::UNITS.iter().find(|(name, _)| *name == unit)?;
    let number = (!number.is_empty()).then(|| number.parse().unwrap_or(u64::MAX))?;
    Some(Q::from_smallest(number.saturating_mul(*size)))
}

/// Shows a quantity as [`parse`] reads it, in the largest unit that needs no fraction.
pub(super) struct Shown<Q>(pub(super) Q);

impl<Q: Quantity> fmt::Display for Shown<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.in_smallest();
        if count == 0 {
            return f.write_str(Q::ZERO);
        }
        let unit = Q::UNITS.iter().rev().find(|(_, size)| count.is_multiple_of(*size));
        let (name, size) = unit.copied().unwrap_or(("", 1));
        write!(f, "{}{name}", count / size)
    }
}

/// What to write instead of `text`, which is no such quantity.
pub(super) fn correction<Q: Quantity>(text: &str) -> String {
    let (number, unit) = split(text.trim());
    let unit = unit.trim().to_ascii_lowercase();
    if number.is_empty() {
        return format!("write a whole number and a unit ({})", unit_names::<Q>());
    }
    if unit.is_empty() {
        return format!("add a unit: \"{number}{}\"", Q::USUAL);
    }
    let alike = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.bytes().zip(unit.bytes()).take_while(|(a, b)| a == b).count()
    };
    // "minutes" begins like "m" and like "ms": the shorter name wins.
    let rank = |name: &&str| (alike(name), usize::MAX - name.len());
    match Q::UNITS.iter().map(|(name, _)| *name).max_by_key(rank) {
        Some(name) if alike(name) > 0 => format!("write \"{number}{name}\""),
        _ => format!("write a whole number and a unit ({})", unit_names::<Q>()),
    }
}

fn unit_names<Q: Quantity>() -> String {
    Q::UNITS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The leading digits, and the rest.
fn split(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_shown_alike() {
        fn check<Q: Quantity>(text: &str, count: u64, shown: &str) {
            let parsed = parse::<Q>(text).map(Q::in_smallest);
            assert_eq!(parsed, Some(count), "{text}");
            assert_eq!(Shown(Q::from_smallest(count)).to_string(), shown);
        }
        check::<Duration>("250ms", 250, "250ms");
        check::<Duration>("60s", 60_000, "1m");
        check::<Duration>("90s", 90_000, "90s");
        check::<Duration>("0s", 0, "0s");
        check::<Duration>("2h", 7_200_000, "2h");
        check::<Duration>("7d", 604_800_000, "7d");
        check::<Bytes>("512B", 512, "512B");
        check::<Bytes>("8KiB", 8192, "8KiB");
        check::<Bytes>("1024KiB", 1 << 20, "1MiB");
        check::<Bytes>("16MiB", 16 << 20, "16MiB");
        check::<Bytes>("99999999TiB", u64::MAX, "18446744073709551615B");
        check::<Bytes>("99999999999999999999B", u64::MAX, "18446744073709551615B");
    }

    #[test]
    fn anything_else_is_refused_with_a_correction() {
        fn check<Q: Quantity>(text: &str, expected: &str) {
            assert!(parse::<Q>(text).is_none(), "{text}");
            assert_eq!(correction::<Q>(text), expected, "{text}");
        }
        check::<Duration>("5 s", "write \"5s\"");
        check::<Duration>("5sec", "write \"5s\"");
        check::<Duration>("5 minutes", "write \"5m\"");
        check::<Duration>("5msec", "write \"5ms\"");
        check::<Duration>("1.5s", "write a whole number and a unit (ms, s, m, h, d)");
        check::<Duration>("5", "add a unit: \"5s\"");
        check::<Duration>("", "write a whole number and a unit (ms, s, m, h, d)");
        check::<Duration>("-1s", "write a whole number and a unit (ms, s, m, h, d)");
        check::<Bytes>("8kb", "write \"8KiB\"");
        check::<Bytes>("8K", "write \"8KiB\"");
        check::<Bytes>("8 MB", "write \"8MiB\"");
        check::<Bytes>("KiB", "write a whole number and a unit (B, KiB, MiB, GiB, TiB)");
    }
}
