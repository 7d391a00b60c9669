//! What stands in a page's query string: the range of time, filters, sort order and columns. A page writes its links
//! by changing one thing of the query that it was asked with, so every state of it is an address.

use std::fmt;

use domain::time::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan as _};
use url::form_urlencoded;

/// The longest query that is read, in bytes.
const MAX_BYTES: usize = 4_096;
/// The most parameters that are read.
const MAX_PAIRS: usize = 64;
/// The longest range, in days.
const MAX_DAYS: i32 = 400;
/// Where a list goes on; every other change begins at its start again.
pub(crate) const CURSORS: [&str; 2] = ["before", "after"];

/// The parameters of a page in their order. An empty value is one that was not given: forms send every field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind the `?`; of too much, only the beginning.
    pub(crate) fn read(raw: Option<&str>) -> Self {
        let raw = raw.unwrap_or_default();
        let raw = &raw[..raw.floor_char_boundary(MAX_BYTES)];
        let pairs = form_urlencoded::parse(raw.as_bytes()).take(MAX_PAIRS);
        // PostgreSQL stores no NUL, so nothing can be found with one.
        let pairs = pairs.map(|(name, value)| (name.into_owned(), value.trim().replace('\0', "")));
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may be given several times.
    pub(crate) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Every parameter with its value.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same with one parameter set, or taken out by an empty value. A list begins at its start again.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.without(name);
        if !CURSORS.contains(&name) {
            changed.0.retain(|(own, _)| !CURSORS.contains(&own.as_str()));
        }
        if !value.is_empty() {
            changed.0.push((name.to_owned(), value.to_owned()));
        }
        changed
    }

    /// The same without a parameter.
    pub(crate) fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(own, _)| own != name).cloned().collect())
    }

    /// The same without the position in a list.
    pub(crate) fn at_start(&self) -> Self {
        CURSORS.iter().fold(self.clone(), |query, cursor| query.without(cursor))
    }

    /// `path` with this query.
    pub(crate) fn url(&self, path: &str) -> String {
        if self.0.is_empty() { path.to_owned() } else { format!("{path}?{self}") }
    }

    /// The range that was asked for, else `default`; and what is wrong with what was typed.
    pub(crate) fn range(&self, default: &str, zone: &TimeZone, now: Timestamp) -> (Range, Option<String>) {
        let read = |text: &str| Range::read(text, zone, now);
        let fallback = || read(default).unwrap_or_else(|_| Range::of_day(today(zone, now), zone, "today"));
        match self.get("range").map(read) {
            None => (fallback(), None),
            Some(Ok(range)) => (range, None),
            Some(Err(wrong)) => (fallback(), Some(wrong.to_string())),
        }
    }

    /// The order that was asked for, when it is one of `known`, else the first of them, falling.
    pub(crate) fn sort<'k>(&self, known: &[&'k str]) -> Sort<'k> {
        let asked = self.get("sort").unwrap_or_default();
        let (by, falls) = asked.strip_prefix('-').map_or((asked, false), |by| (by, true));
        match known.iter().find(|own| **own == by) {
            Some(by) => Sort { by, falls },
            None => Sort { by: known.first().copied().unwrap_or_default(), falls: true },
        }
    }

    /// The columns that were chosen out of `known`, in the order of `known`; `default` when none was. They are given
    /// as several `column`, as a form's boxes are.
    pub(crate) fn columns<'k>(&self, known: &[&'k str], default: &[&'k str]) -> Vec<&'k str> {
        let asked: Vec<&str> = self.all("column").flat_map(|names| names.split(',')).collect();
        let chosen: Vec<&str> = known.iter().copied().filter(|own| asked.contains(own)).collect();
        if chosen.is_empty() { default.to_vec() } else { chosen }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = form_urlencoded::Serializer::new(String::new());
        f.write_str(&text.extend_pairs(&self.0).finish())
    }
}

/// The order of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort<'k> {
    /// The column.
    pub(crate) by: &'k str,
    /// Whether the largest comes first.
    pub(crate) falls: bool,
}

impl Sort<'_> {
    /// What a click on the heading of `column` asks for.
    pub(crate) fn next(self, column: &str) -> String {
        if self.by == column && self.falls { column.to_owned() } else { format!("-{column}") }
    }

    /// `aria-sort` of a column's heading.
    pub(crate) fn aria(self, column: &str) -> &'static str {
        match (self.by == column, self.falls) {
            (false, _) => "none",
            (true, true) => "descending",
            (true, false) => "ascending",
        }
    }
}

/// A run of whole days of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    /// Its first moment.
    pub(crate) from: Timestamp,
    /// The first moment behind it.
    pub(crate) to: Timestamp,
    /// As it stands in an address: `last-7-days` stays that.
    pub(crate) text: String,
    /// Its first day.
    pub(crate) first: Date,
    /// Its last day.
    pub(crate) last: Date,
}

/// What was typed is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongRange {
    /// Not understood.
    #[error(
        "“{0}” is no range of days. Write it like “last 7 days”, “this month” or “2026-11-01..2026-11-23”."
    )]
    Unknown(String),
    /// Ends before it begins.
    #[error("The range ends on {1}, before it begins on {0}.")]
    Backwards(Date, Date),
    /// Too many days.
    #[error("A range has at most {MAX_DAYS} days.")]
    TooLong,
}

/// The ranges that pages offer by name, with their words.
pub(crate) const NAMED: [(&str, &str); 6] = [
    ("today", "Today"),
    ("yesterday", "Yesterday"),
    ("last-7-days", "Last 7 days"),
    ("last-30-days", "Last 30 days"),
    ("this-month", "This month"),
    ("last-month", "Last month"),
];

impl Range {
    /// Reads `today`, `last-7-days`, `2026-11-01..2026-11-23` and what people type for these.
    pub(crate) fn read(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Self, WrongRange> {
        let unknown = || WrongRange::Unknown(text.chars().take(60).collect());
        let words = text.to_lowercase().replace(['_', '-'], " ");
        let words: Vec<&str> = words.split_whitespace().collect();
        let today = today(zone, now);
        if let Some((name, first, last)) = relative(&words, today) {
            return Self::new(first, last, zone, name);
        }
        let (first, last) = days(text).ok_or_else(unknown)?;
        let text = if first == last { first.to_string() } else { format!("{first}..{last}") };
        Self::new(first, last, zone, text)
    }

    /// One day.
    fn of_day(day: Date, zone: &TimeZone, text: &str) -> Self {
        let from = beginning(day, zone).unwrap_or(Timestamp::from_ms(0));
        let to = day.tomorrow().ok().and_then(|next| beginning(next, zone)).unwrap_or(from);
        Self { from, to, text: text.to_owned(), first: day, last: day }
    }

    fn new(first: Date, last: Date, zone: &TimeZone, text: String) -> Result<Self, WrongRange> {
        let unknown = || WrongRange::Unknown(text.clone());
        if first > last {
            return Err(WrongRange::Backwards(first, last));
        }
        if (last - first).get_days() >= MAX_DAYS {
            return Err(WrongRange::TooLong);
        }
        let from = beginning(first, zone).ok_or_else(unknown)?;
        let behind = last.tomorrow().map_err(|_| unknown())?;
        let to = beginning(behind, zone).ok_or_else(unknown)?;
        Ok(Self { from, to, text, first, last })
    }

    /// How many days.
    pub(crate) fn days(&self) -> i32 {
        (self.last - self.first).get_days() + 1
    }

    /// As many days before it.
    pub(crate) fn previous(&self, zone: &TimeZone) -> Option<Self> {
        let back = Span::new().days(self.days());
        let (first, last) = (self.first.checked_sub(back).ok()?, self.last.checked_sub(back).ok()?);
        Self::new(first, last, zone, format!("{first}..{last}")).ok()
    }

    /// Its name in words, `Last 7 days`; none when it is known by its days alone.
    pub(crate) fn words(&self) -> Option<String> {
        if self.text.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        let mut words = self.text.replace('-', " ");
        words[..1].make_ascii_uppercase();
        Some(words)
    }
}

/// The day that `now` is in.
pub(crate) fn today(zone: &TimeZone, now: Timestamp) -> Date {
    let now = jiff::Timestamp::from_millisecond(now.ms()).unwrap_or_default();
    zone.to_datetime(now).date()
}

fn beginning(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    let start = day.to_zoned(zone.clone()).ok()?;
    Some(Timestamp::from_ms(start.timestamp().as_millisecond()))
}

/// A range that is meant from today: its name, first and last day.
fn relative(words: &[&str], today: Date) -> Option<(String, Date, Date)> {
    let yesterday = today.yesterday().ok()?;
    let named = |name: &str, first, last| Some((name.to_owned(), first, last));
    match words {
        ["today"] => named("today", today, today),
        ["yesterday"] => named("yesterday", yesterday, yesterday),
        ["this", "week"] => {
            let behind = i32::from(today.weekday().since(Weekday::Monday));
            named("this-week", today.checked_sub(behind.days()).ok()?, today)
        }
        ["this", "month"] => named("this-month", today.first_of_month(), today),
        ["last", "month"] => {
            let last = today.first_of_month().yesterday().ok()?;
            named("last-month", last.first_of_month(), last)
        }
        ["last", "week"] => relative(&["last", "7", "days"], today),
        ["last" | "past", rest @ ..] | rest => {
            let count = match rest {
                [count, "day" | "days" | "d"] => (*count).to_owned(),
                [short] => short.strip_suffix('d')?.to_owned(),
                _ => return None,
            };
            let count: i32 = count.parse().ok().filter(|count| (1..=MAX_DAYS).contains(count))?;
            let name = format!("last-{count}-day{}", if count == 1 { "" } else { "s" });
            Some((name, today.checked_sub((count - 1).days()).ok()?, today))
        }
    }
}

/// One day, or two with `..`, `to` or a dash between them.
fn days(text: &str) -> Option<(Date, Date)> {
    let day = |text: &str| text.trim().parse::<Date>().ok().filter(|day| (1970..=9990).contains(&day.year()));
    if let Some(one) = day(text) {
        return Some((one, one));
    }
    let both =
        ["..", " to ", " until ", " – ", " - ", "–"].iter().find_map(|between| text.split_once(between));
    let (first, last) = both?;
    Some((day(first)?, day(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn read(text: &str, name: &str, now: &str) -> Result<(String, String, String), String> {
        let range = Range::read(text, &zone(name), at(now)).map_err(|wrong| wrong.to_string())?;
        Ok((range.text, range.from.to_string(), range.to.to_string()))
    }

    #[test]
    fn a_range_is_whole_days_of_the_viewers_zone() {
        let now = "2026-11-23T18:20:00Z";
        let same = |text, name, canonical: &str, from: &str, to: &str| {
            let expected = (canonical.to_owned(), format!("{from}:00.000Z"), format!("{to}:00.000Z"));
            assert_eq!(read(text, name, now), Ok(expected), "{text}");
        };
        same("today", "UTC", "today", "2026-11-23T00:00", "2026-11-24T00:00");
        // In Kathmandu it is the 24th already, by an offset of a quarter of an hour.
        same("today", "Asia/Kathmandu", "today", "2026-11-23T18:15", "2026-11-24T18:15");
        same("Yesterday", "Asia/Kathmandu", "yesterday", "2026-11-22T18:15", "2026-11-23T18:15");
        for typed in ["last-7-days", "last 7 days", "7 days", "7d", "Past 7 days", "last 7d", "last week"] {
            same(typed, "UTC", "last-7-days", "2026-11-17T00:00", "2026-11-24T00:00");
        }
        same("this month", "UTC", "this-month", "2026-11-01T00:00", "2026-11-24T00:00");
        same("last month", "UTC", "last-month", "2026-10-01T00:00", "2026-11-01T00:00");
        same("this week", "UTC", "this-week", "2026-11-23T00:00", "2026-11-24T00:00");
        for typed in ["2026-11-01..2026-11-03", "2026-11-01 to 2026-11-03", "2026-11-01 – 2026-11-03"] {
            same(typed, "UTC", "2026-11-01..2026-11-03", "2026-11-01T00:00", "2026-11-04T00:00");
        }
        // The day on which the clocks go back has 25 hours.
        same("2026-10-25", "Europe/Berlin", "2026-10-25", "2026-10-24T22:00", "2026-10-25T23:00");
    }

    #[test]
    fn what_is_no_range_is_said_in_words() {
        let now = "2026-11-23T18:20:00Z";
        for typed in ["", "last days", "last 0 days", "0d", "2026-13-01", "a..b", "last 401 days", "soon"] {
            assert!(read(typed, "UTC", now).unwrap_err().contains("no range of days"), "{typed}");
        }
        let backwards = "The range ends on 2026-11-01, before it begins on 2026-11-02.";
        assert_eq!(read("2026-11-02..2026-11-01", "UTC", now).unwrap_err(), backwards);
        assert_eq!(read("2025-01-01..2026-11-01", "UTC", now).unwrap_err(), "A range has at most 400 days.");
        let query = Query::read(Some("range=soon"));
        let (range, wrong) = query.range("last-7-days", &zone("UTC"), at(now));
        assert_eq!((range.text.as_str(), wrong.is_some()), ("last-7-days", true));
    }

    #[test]
    fn the_period_before_is_as_long() {
        let utc = zone("UTC");
        let range = Range::read("last 7 days", &utc, at("2026-11-23T18:20:00Z")).unwrap();
        assert_eq!(
            (range.days(), range.words(), range.first.to_string(), range.last.to_string()),
            (7, Some("Last 7 days".to_owned()), "2026-11-17".to_owned(), "2026-11-23".to_owned())
        );
        let before = range.previous(&utc).unwrap();
        assert_eq!(before.words(), None, "it is known by its days");
        assert_eq!((before.text.as_str(), before.to), ("2026-11-10..2026-11-16", range.from));
    }

    #[test]
    fn one_thing_of_a_query_is_changed_and_the_rest_stays() {
        let query = Query::read(Some("range=last+7+days&offer=a&offer=b&empty=&before=x&q=%26%3D%00"));
        assert_eq!(query.get("range"), Some("last 7 days"));
        assert_eq!(query.all("offer").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((query.get("empty"), query.get("q")), (None, Some("&=")));
        let changed = query.with("range", "today").url("/clicks");
        assert_eq!(changed, "/clicks?offer=a&offer=b&q=%26%3D&range=today");
        assert_eq!(query.with("before", "y").get("before"), Some("y"));
        assert_eq!(query.at_start().get("before"), None);
        assert_eq!(Query::default().url("/clicks"), "/clicks");
        assert_eq!(Query::read(Some(&"a=1&".repeat(2_000))).pairs().count(), MAX_PAIRS);
    }

    #[test]
    fn sort_and_columns_are_only_what_is_known() {
        let query = Query::read(Some("sort=-payout&column=b&column=a&column=x"));
        let sort = query.sort(&["clicks", "payout"]);
        assert_eq!(
            (sort.by, sort.falls, sort.next("payout").as_str(), sort.next("clicks").as_str()),
            ("payout", true, "payout", "-clicks")
        );
        assert_eq!((sort.aria("payout"), sort.aria("clicks")), ("descending", "none"));
        assert_eq!(Query::read(Some("sort=drop")).sort(&["clicks"]).by, "clicks");
        assert_eq!(query.columns(&["a", "b", "c"], &["c"]), ["a", "b"]);
        assert_eq!(Query::default().columns(&["a", "b", "c"], &["c"]), ["c"]);
    }
}
