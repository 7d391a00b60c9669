//! Calendar periods in UTC: what caps and budgets count in.

use jiff::tz::TimeZone;

use crate::time::{DAY_MS, Timestamp};

codes! {
    /// A calendar period, UTC.
    Period, "period" {
        /// From midnight to midnight.
        Day => "day",
        /// From Monday to Monday.
        Week => "week",
        /// From the first of a month to the first of the next.
        Month => "month",
        /// For ever.
        Total => "total",
    }
}

/// 1970-01-01 was a Thursday: three days after a Monday.
const DAYS_SINCE_MONDAY: i64 = 3;

impl Period {
    /// The first moment of the period that holds `at`; the epoch for [`Period::Total`].
    pub fn start(self, at: Timestamp) -> Timestamp {
        let day = at.ms().div_euclid(DAY_MS);
        match self {
            Self::Day => Timestamp::from_ms(day * DAY_MS),
            Self::Week => Timestamp::from_ms((day - (day + DAYS_SINCE_MONDAY).rem_euclid(7)) * DAY_MS),
            Self::Month => month(at, 0),
            Self::Total => Timestamp::from_ms(0),
        }
    }

    /// The first moment behind the period that holds `at`; none for [`Period::Total`].
    pub fn end(self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Day => Some(self.start(at).plus_ms(DAY_MS)),
            Self::Week => Some(self.start(at).plus_ms(7 * DAY_MS)),
            Self::Month => Some(month(at, 1)),
            Self::Total => None,
        }
    }
}

/// The first moment of the month that holds `at`, or of one `later`. A time beyond the calendar is its own month.
fn month(at: Timestamp, later: i32) -> Timestamp {
    let first = || {
        let date = jiff::Timestamp::from_millisecond(at.ms()).ok()?.to_zoned(TimeZone::UTC).date();
        let moved = date.first_of_month().checked_add(jiff::Span::new().months(later)).ok()?;
        Some(moved.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
    };
    first().map_or(at, Timestamp::from_ms)
}
