//! How numbers, money and times are written: here and nowhere else, on every page as its viewer chose.

use domain::format::{Numbers, Style};
use domain::money::Money;
use domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use store::story::Sum;

/// How one viewer reads numbers, money and times. The words on a page are the same for everybody, and files are always
/// written for machines.
#[derive(Debug, Clone)]
pub(crate) struct Format {
    zone: TimeZone,
    style: Style,
}

impl Format {
    /// Times in `zone`, everything in `style`.
    pub(crate) fn new(zone: TimeZone, style: Style) -> Self {
        Self { zone, style }
    }

    /// The same for times in UTC.
    pub(crate) fn in_utc(&self) -> Self {
        Self::new(TimeZone::UTC, self.style)
    }

    /// As files have it: the same zone, and what no program misreads.
    pub(crate) fn in_files(&self) -> Self {
        Self::new(self.zone.clone(), Style::default())
    }

    /// What was chosen for numbers.
    pub(crate) fn numbers(&self) -> Numbers {
        self.style.numbers
    }

    /// A count: `1 234 567`.
    pub(crate) fn count(&self, count: i64) -> String {
        self.style.numbers.count(count)
    }

    /// How many things there are.
    pub(crate) fn len(&self, count: usize) -> String {
        self.count(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// A plain decimal: `0.012`.
    pub(crate) fn decimal(&self, plain: &str) -> String {
        self.style.numbers.decimal(plain)
    }

    /// Money with its currency: `1 234.50 USD`.
    pub(crate) fn money(&self, money: Money) -> String {
        format!("{}\u{a0}{}", self.decimal(&money.plain()), money.currency)
    }

    /// The same of a sum in a story.
    pub(crate) fn sum(&self, sum: &Sum) -> String {
        format!("{}\u{a0}{}", self.decimal(sum.amount()), sum.currency())
    }

    /// A share of a whole: `68.2 %`; of nothing, a dash: no share is known then.
    pub(crate) fn percent(&self, part: i64, whole: i64) -> String {
        if whole <= 0 {
            return "\u{2013}".to_owned();
        }
        let tenths = (i128::from(part) * 1000 + i128::from(whole) / 2).div_euclid(i128::from(whole));
        format!("{}\u{a0}%", self.decimal(&format!("{}.{}", tenths / 10, (tenths % 10).abs())))
    }

    /// A change against the period before: `+12.5 %`, `−3.0 %`; against nothing, nothing is said.
    pub(crate) fn change(&self, now: i64, before: i64) -> Option<String> {
        if before <= 0 {
            return None;
        }
        let sign = if now >= before { "+" } else { "\u{2212}" };
        Some(format!("{sign}{}", self.percent((now - before).saturating_abs(), before)))
    }

    /// A point in time: `2026-11-23 03:05:12`.
    pub(crate) fn time(&self, at: Timestamp) -> String {
        self.zoned(at, "%H:%M:%S")
    }

    /// A point in time with milliseconds, for traces: `2026-11-23 03:05:12.042`.
    pub(crate) fn time_ms(&self, at: Timestamp) -> String {
        self.zoned(at, "%H:%M:%S%.3f")
    }

    /// The day of a point in time: `2026-11-23`.
    pub(crate) fn day(&self, at: Timestamp) -> String {
        self.date_of(at).map_or_else(|| at.to_string(), |day| self.style.dates.day(day))
    }

    /// The day of a point in time, for an axis: `23 Nov`.
    pub(crate) fn short_day(&self, at: Timestamp) -> String {
        self.date_of(at).map_or_else(|| at.to_string(), |day| self.style.dates.short(day))
    }

    /// A day of the calendar: `2026-11-23`.
    pub(crate) fn date(&self, day: Date) -> String {
        self.style.dates.day(day)
    }

    /// Days, the first and the last: `2026-11-01 to 2026-11-23`.
    pub(crate) fn dates(&self, first: Date, last: Date) -> String {
        if first == last { self.date(first) } else { format!("{} to {}", self.date(first), self.date(last)) }
    }

    /// A part of a report's range by its name there, which begins with its day or month, and as short as an axis needs
    /// it. What is no such name stays as it is.
    pub(crate) fn bucket(&self, name: &str) -> (String, String) {
        let dates = self.style.dates;
        if let Some(day) = name.get(..10).and_then(|day| day.parse::<Date>().ok()) {
            let (hour, short_hour) = (&name[10..], name.get(10..16).unwrap_or_default());
            return (dates.day(day) + hour, dates.short(day) + short_hour);
        }
        match format!("{name}-01").parse::<Date>() {
            Ok(first) => (dates.month(first), dates.month(first)),
            Err(_) => (name.to_owned(), name.to_owned()),
        }
    }

    fn date_of(&self, at: Timestamp) -> Option<Date> {
        let instant = jiff::Timestamp::from_millisecond(at.ms()).ok()?;
        Some(self.zone.to_datetime(instant).date())
    }

    fn zoned(&self, at: Timestamp, clock: &str) -> String {
        match jiff::Timestamp::from_millisecond(at.ms()) {
            Ok(instant) => {
                let pattern = format!("{} {clock}", self.style.dates.pattern());
                instant.to_zoned(self.zone.clone()).strftime(&pattern).to_string()
            }
            Err(_) => at.to_string(),
        }
    }

    /// How a test reads: times in UTC.
    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self::new(TimeZone::UTC, Style::default())
    }
}

/// A zone as it is named beside tables: `Europe/Berlin (UTC+1)`.
pub(crate) fn zone(zone: &TimeZone, now: Timestamp) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    let Ok(at) = jiff::Timestamp::from_millisecond(now.ms()) else { return name.to_owned() };
    let minutes = zone.to_offset(at).seconds() / 60;
    match (name, minutes) {
        ("UTC" | "Etc/UTC", _) => "UTC".to_owned(),
        (_, 0) => format!("{name} (UTC)"),
        (_, minutes) => {
            let sign = if minutes < 0 { "\u{2212}" } else { "+" };
            let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
            let rest = if rest == 0 { String::new() } else { format!(":{rest:02}") };
            format!("{name} (UTC{sign}{hours}{rest})")
        }
    }
}

/// How long ago, in its largest unit: `just now`, `42 s ago`, `3 min ago`, `in 5 h`, `12 d ago`.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let ms = now.ms().saturating_sub(at.ms());
    let units = [(DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (SECOND_MS, "s")];
    let fits = units.iter().find(|(unit, _)| ms.saturating_abs() >= *unit);
    match fits {
        None => "just now".to_owned(),
        Some((unit, name)) if ms < 0 => format!("in {}\u{a0}{name}", ms.saturating_abs() / unit),
        Some((unit, name)) => format!("{}\u{a0}{name} ago", ms / unit),
    }
}

#[cfg(test)]
mod tests {
    use domain::format::Dates;

    use super::*;

    fn usd(micros: i64) -> Money {
        Money { micros, currency: "USD".parse().unwrap() }
    }

    fn of(zone: &str, numbers: Numbers, dates: Dates) -> Format {
        Format::new(TimeZone::get(zone).unwrap(), Style { numbers, dates })
    }

    #[test]
    fn money_keeps_its_currency_and_its_decimals() {
        let plain = Format::sample();
        assert_eq!(plain.money(usd(12_500_000)), "12.50\u{a0}USD");
        assert_eq!(plain.money(usd(-1_234_567_125_000)), "\u{2212}1\u{202f}234\u{202f}567.125\u{a0}USD");
        let german = of("UTC", Numbers::PointComma, Dates::DayPoints);
        assert_eq!(german.money(usd(1_234_500_000)), "1.234,50\u{a0}USD");
        let yen = Money { micros: 1_200_000_000, currency: "JPY".parse().unwrap() };
        assert_eq!((plain.money(yen), german.money(yen)), ("1200\u{a0}JPY".into(), "1.200\u{a0}JPY".into()));
    }

    #[test]
    fn shares_and_changes_say_nothing_about_nothing() {
        let plain = Format::sample();
        assert_eq!(plain.percent(682, 1000), "68.2\u{a0}%");
        assert_eq!(plain.percent(2, 3), "66.7\u{a0}%");
        assert_eq!(plain.percent(1, 0), "\u{2013}");
        assert_eq!(plain.percent(i64::MAX, i64::MAX), "100.0\u{a0}%");
        assert_eq!(plain.change(90, 100).unwrap(), "\u{2212}10.0\u{a0}%");
        assert_eq!(of("UTC", Numbers::SpaceComma, Dates::Iso).change(150, 100).unwrap(), "+50,0\u{a0}%");
        assert_eq!(plain.change(1, 0), None);
    }

    #[test]
    fn times_are_in_the_reader_s_zone_and_order() {
        let at = Timestamp::from_ms(1_795_489_512_042);
        let berlin = of("Europe/Berlin", Numbers::PointComma, Dates::DayPoints);
        assert_eq!(Format::sample().time(at), "2026-11-24 03:05:12");
        assert_eq!(berlin.time_ms(at), "24.11.2026 04:05:12.042");
        assert_eq!(berlin.in_utc().time(at), "24.11.2026 03:05:12");
        assert_eq!(berlin.in_files().time(at), "2026-11-24 04:05:12");
        let west = of("America/Los_Angeles", Numbers::CommaPoint, Dates::MonthName);
        assert_eq!((west.day(at), west.short_day(at)), ("Nov 23, 2026".into(), "Nov 23".into()));
        assert_eq!(berlin.time(Timestamp::from_ms(i64::MAX)), format!("{} ms", i64::MAX));
    }

    #[test]
    fn parts_of_a_report_are_written_as_dates_and_nothing_else_is() {
        let slashes = of("UTC", Numbers::CommaPoint, Dates::DaySlashes);
        for (name, long, short) in [
            ("2026-11-03", "03/11/2026", "03/11"),
            ("2026-11-03 20:00+05:45", "03/11/2026 20:00+05:45", "03/11 20:00"),
            ("2026-11", "11/2026", "11/2026"),
            ("–", "–", "–"),
            ("", "", ""),
        ] {
            assert_eq!(slashes.bucket(name), (long.to_owned(), short.to_owned()), "{name}");
        }
    }

    #[test]
    fn a_zone_is_named_with_its_offset() {
        let at = Timestamp::from_ms(1_795_489_512_042);
        assert_eq!(zone(&TimeZone::get("Europe/Berlin").unwrap(), at), "Europe/Berlin (UTC+1)");
        assert_eq!(zone(&TimeZone::get("Asia/Kolkata").unwrap(), at), "Asia/Kolkata (UTC+5:30)");
        assert_eq!(zone(&TimeZone::UTC, at), "UTC");
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        let now = Timestamp::from_ms(10 * DAY_MS);
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now.plus_ms(-90_000), now), "1\u{a0}min ago");
        assert_eq!(ago(now.plus_ms(5 * HOUR_MS), now), "in 5\u{a0}h");
        assert_eq!(ago(now.plus_ms(-3 * DAY_MS), now), "3\u{a0}d ago");
    }
}
