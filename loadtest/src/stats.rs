//! Medians and spreads. No means of noisy things: a mean takes in every disturbance.

/// Smallest, middle and largest of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    /// None without figures.
    pub fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self {
            min: *sorted.first()?,
            median: f64::midpoint(lower, upper),
            max: *sorted.last()?,
        })
    }

    /// How far apart the extremes are, as a part of the middle.
    pub fn relative_width(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.max - self.min) / self.median }
    }
}

/// A count as a figure to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
pub const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_is_between() {
        let check = |figures: &[f64], expected: Option<(f64, f64, f64)>| {
            let spread = Spread::of(figures).map(|s| (s.min, s.median, s.max));
            assert_eq!(spread, expected, "{figures:?}");
        };
        check(&[], None);
        check(&[2.0], Some((2.0, 2.0, 2.0)));
        check(&[3.0, 1.0, 2.0], Some((1.0, 2.0, 3.0)));
        check(&[4.0, 1.0, 2.0, 3.0], Some((1.0, 2.5, 4.0)));
    }

    #[test]
    fn width_is_relative_to_the_middle() {
        let spread = Spread::of(&[99.0, 101.0]).expect("figures");
        assert!((spread.relative_width() - 0.02).abs() < 1e-9);
    }
}
