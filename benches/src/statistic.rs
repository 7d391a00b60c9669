//! Medians, percentiles and spreads.

/// Measured values, sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value that `percent` of all values do not exceed; NaN when there is none.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// The middle value, or the mean of the two middle ones.
    pub(crate) fn median(&self) -> f64 {
        let half = self.0.len() / 2;
        match (self.0.len() % 2, self.0.get(half)) {
            (1, Some(middle)) => *middle,
            (0, Some(upper)) => self.0.get(half - 1).map_or(f64::NAN, |lower| f64::midpoint(*lower, *upper)),
            _ => f64::NAN,
        }
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn most(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self::new(values.into_iter().collect())
    }
}

/// A count as a number to divide by; exact below 2⁵³.
#[allow(clippy::cast_precision_loss, reason = "counts here are far below")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::Sample;

    #[test]
    fn the_middle_and_the_ends() {
        let odd = Sample::new(vec![3.0, 1.0, 2.0]);
        assert_eq!((odd.median(), odd.least(), odd.most()), (2.0, 1.0, 3.0));
        assert_eq!(Sample::new(vec![4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert!(Sample::default().median().is_nan());
    }

    #[test]
    fn a_percentile_is_a_measured_value() {
        let hundred: Sample = (1..=100).map(f64::from).collect();
        assert_eq!([50.0, 99.0, 99.9, 100.0].map(|at| hundred.percentile(at)), [50.0, 99.0, 100.0, 100.0]);
        assert!(Sample::default().percentile(50.0).is_nan());
    }
}
