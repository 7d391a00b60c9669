//! How somebody reads numbers and dates. The words around them stay the same.

use jiff::civil::Date;

codes! {
    /// How a number is written: what stands between groups of three digits, and what before the decimals.
    Numbers, "number format" {
        /// `12 345.60`, with narrow spaces from five digits on.
        SpacePoint => "space_point",
        /// `12,345.60`
        CommaPoint => "comma_point",
        /// `12.345,60`
        PointComma => "point_comma",
        /// `12 345,60`, with narrow spaces.
        SpaceComma => "space_comma",
        /// `12’345.60`
        ApostrophePoint => "apostrophe_point",
    }
}

codes! {
    /// How a date is written.
    Dates, "date format" {
        /// `2026-11-23`
        Iso => "iso",
        /// `23.11.2026`
        DayPoints => "day_points",
        /// `23/11/2026`
        DaySlashes => "day_slashes",
        /// `Nov 23, 2026`
        MonthName => "month_name",
    }
}

/// The choice of one reader. What nobody chose is the one that cannot be misread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Numbers and money.
    pub numbers: Numbers,
    /// Dates.
    pub dates: Dates,
}

impl Default for Style {
    fn default() -> Self {
        Self { numbers: Numbers::SpacePoint, dates: Dates::Iso }
    }
}

impl Numbers {
    /// Between groups of digits, before decimals, and how many digits a number has at least to be grouped.
    const fn marks(self) -> (char, char, usize) {
        // Narrow, and never broken at the end of a line.
        const NARROW: char = '\u{202f}';
        match self {
            // Four digits read well without.
            Self::SpacePoint => (NARROW, '.', 5),
            Self::CommaPoint => (',', '.', 4),
            Self::PointComma => ('.', ',', 4),
            Self::SpaceComma => (NARROW, ',', 4),
            Self::ApostrophePoint => ('\u{2019}', '.', 4),
        }
    }

    /// A whole number.
    pub fn count(self, count: i64) -> String {
        self.decimal(&count.to_string())
    }

    /// A plain decimal such as `-1234.50`: its digits in groups, its minus sign as wide as a digit.
    pub fn decimal(self, plain: &str) -> String {
        let (between, point, least) = self.marks();
        let (sign, digits) = plain.strip_prefix('-').map_or(("", plain), |rest| ("\u{2212}", rest));
        let (whole, decimals) = digits.split_once('.').map_or((digits, None), |(w, d)| (w, Some(d)));
        let mut text = String::with_capacity(plain.len() * 2);
        text.push_str(sign);
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && whole.len() >= least && (whole.len() - at).is_multiple_of(3) {
                text.push(between);
            }
            text.push(digit);
        }
        if let Some(decimals) = decimals {
            text.push(point);
            text.push_str(decimals);
        }
        text
    }
}

impl Dates {
    /// A day: `2026-11-23`.
    pub fn day(self, day: Date) -> String {
        day.strftime(self.pattern()).to_string()
    }

    /// A day without its year, for an axis: `23 Nov`.
    pub fn short(self, day: Date) -> String {
        let pattern = match self {
            Self::Iso => "%-d %b",
            Self::DayPoints => "%d.%m.",
            Self::DaySlashes => "%d/%m",
            Self::MonthName => "%b %-d",
        };
        day.strftime(pattern).to_string()
    }

    /// A month, given by any day of it: `2026-11`.
    pub fn month(self, day: Date) -> String {
        let pattern = match self {
            Self::Iso => "%Y-%m",
            Self::DayPoints => "%m.%Y",
            Self::DaySlashes => "%m/%Y",
            Self::MonthName => "%b %Y",
        };
        day.strftime(pattern).to_string()
    }

    /// The pattern of a day, as `strftime` takes it.
    pub const fn pattern(self) -> &'static str {
        match self {
            Self::Iso => "%Y-%m-%d",
            Self::DayPoints => "%d.%m.%Y",
            Self::DaySlashes => "%d/%m/%Y",
            Self::MonthName => "%b %-d, %Y",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dates, Numbers};
    use jiff::civil::date;

    #[test]
    fn numbers_are_grouped_as_their_readers_do() {
        let all = |plain| Numbers::ALL.iter().map(|own| own.decimal(plain)).collect::<Vec<_>>();
        let narrow = |text: &str| text.replace('_', "\u{202f}");
        assert_eq!(
            all("-1234567.125"),
            [
                narrow("\u{2212}1_234_567.125"),
                "\u{2212}1,234,567.125".into(),
                "\u{2212}1.234.567,125".into(),
                narrow("\u{2212}1_234_567,125"),
                "\u{2212}1\u{2019}234\u{2019}567.125".into()
            ]
        );
        assert_eq!(all("1200"), ["1200", "1,200", "1.200", &narrow("1_200"), "1\u{2019}200"]);
        assert_eq!(all("0.50"), ["0.50", "0.50", "0,50", "0,50", "0.50"]);
        let least = Numbers::SpacePoint.count(i64::MIN);
        assert_eq!(least, narrow("\u{2212}9_223_372_036_854_775_808"));
    }

    #[test]
    fn dates_are_in_the_order_that_their_readers_know() {
        let day = date(2026, 11, 3);
        let all = |write: fn(Dates, jiff::civil::Date) -> String| {
            Dates::ALL.iter().map(|own| write(*own, day)).collect::<Vec<_>>()
        };
        assert_eq!(all(Dates::day), ["2026-11-03", "03.11.2026", "03/11/2026", "Nov 3, 2026"]);
        assert_eq!(all(Dates::short), ["3 Nov", "03.11.", "03/11", "Nov 3"]);
        assert_eq!(all(Dates::month), ["2026-11", "11.2026", "11/2026", "Nov 2026"]);
    }
}
