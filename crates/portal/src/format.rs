//! How numbers, money and times are written, the same on every page.

use domain::money::Money;
use domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};
use jiff::tz::TimeZone;

/// Between groups of three digits: narrow, and never broken at the end of a line.
const THIN: char = '\u{202f}';

/// A count: `1 234 567` with thin spaces, from five digits on: four read well without.
pub(crate) fn count(count: i64) -> String {
    let sign = if count < 0 { "\u{2212}" } else { "" };
    format!("{sign}{}", grouped(&count.unsigned_abs().to_string()))
}

/// Money with its currency: `1 234.50 USD`.
pub(crate) fn money(money: Money) -> String {
    let plain = money.plain();
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |rest| ("\u{2212}", rest));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    format!("{sign}{}{rest}\u{a0}{}", grouped(whole), money.currency)
}

/// A share of a whole: `68.2 %`; of nothing, a dash: no share is known then.
pub(crate) fn percent(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return "\u{2013}".to_owned();
    }
    let tenths = (i128::from(part) * 1000 + i128::from(whole) / 2).div_euclid(i128::from(whole));
    format!("{}.{}\u{a0}%", tenths / 10, (tenths % 10).abs())
}

/// A change against the period before: `+12.5 %`, `−3.0 %`; against nothing, nothing is said.
pub(crate) fn change(now: i64, before: i64) -> Option<String> {
    if before <= 0 {
        return None;
    }
    let sign = if now >= before { "+" } else { "\u{2212}" };
    Some(format!("{sign}{}", percent((now - before).saturating_abs(), before)))
}

/// A point in time in a zone: `2026-11-23 03:05:12`.
pub(crate) fn time(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone, "%Y-%m-%d %H:%M:%S")
}

/// A point in time in a zone with milliseconds, for traces: `2026-11-23 03:05:12.042`.
pub(crate) fn time_ms(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone, "%Y-%m-%d %H:%M:%S%.3f")
}

/// The day of a point in time in a zone: `2026-11-23`.
pub(crate) fn day(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone, "%Y-%m-%d")
}

/// The day of a point in time in a zone, for an axis: `23 Nov`.
pub(crate) fn short_day(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone, "%-d %b")
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

fn zoned(at: Timestamp, zone: &TimeZone, pattern: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.ms()) {
        Ok(instant) => instant.to_zoned(zone.clone()).strftime(pattern).to_string(),
        Err(_) => at.to_string(),
    }
}

fn grouped(digits: &str) -> String {
    if digits.len() < 5 {
        return digits.to_owned();
    }
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(THIN);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(micros: i64) -> Money {
        Money { micros, currency: "USD".parse().unwrap() }
    }

    #[test]
    fn counts_are_grouped_from_five_digits_on() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1200), "1200");
        assert_eq!(count(12_345), "12\u{202f}345");
        assert_eq!(count(-1_234_567), "\u{2212}1\u{202f}234\u{202f}567");
        assert_eq!(
            count(i64::MIN),
            "\u{2212}9\u{202f}223\u{202f}372\u{202f}036\u{202f}854\u{202f}775\u{202f}808"
        );
    }

    #[test]
    fn money_keeps_its_currency_and_its_decimals() {
        assert_eq!(money(usd(12_500_000)), "12.50\u{a0}USD");
        assert_eq!(money(usd(-1_234_567_125_000)), "\u{2212}1\u{202f}234\u{202f}567.125\u{a0}USD");
        let yen = Money { micros: 1_200_000_000, currency: "JPY".parse().unwrap() };
        assert_eq!(money(yen), "1200\u{a0}JPY");
    }

    #[test]
    fn shares_and_changes_say_nothing_about_nothing() {
        assert_eq!(percent(682, 1000), "68.2\u{a0}%");
        assert_eq!(percent(2, 3), "66.7\u{a0}%");
        assert_eq!(percent(1, 0), "\u{2013}");
        assert_eq!(percent(i64::MAX, i64::MAX), "100.0\u{a0}%");
        assert_eq!(change(90, 100).unwrap(), "\u{2212}10.0\u{a0}%");
        assert_eq!(change(150, 100).unwrap(), "+50.0\u{a0}%");
        assert_eq!(change(1, 0), None);
    }

    #[test]
    fn times_are_in_the_reader_s_zone_which_is_named() {
        let (at, berlin) = (Timestamp::from_ms(1_795_489_512_042), TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!(time(at, &TimeZone::UTC), "2026-11-24 03:05:12");
        assert_eq!(time_ms(at, &berlin), "2026-11-24 04:05:12.042");
        assert_eq!(day(at, &TimeZone::get("America/Los_Angeles").unwrap()), "2026-11-23");
        assert_eq!(zone(&berlin, at), "Europe/Berlin (UTC+1)");
        assert_eq!(zone(&TimeZone::get("Asia/Kolkata").unwrap(), at), "Asia/Kolkata (UTC+5:30)");
        assert_eq!(zone(&TimeZone::UTC, at), "UTC");
        assert_eq!(time(Timestamp::from_ms(i64::MAX), &berlin), format!("{} ms", i64::MAX));
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
