//! The first page: what came of today, how that compares, and what needs a look.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use domain::money::{Currency, Money};
use domain::report::{Ask, Dimension, Line, QUARTER_MS, Report, money, quarter};
use domain::time::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use store::report::{AskError, ask};

use crate::chart::{self, Chart, Kind, Mark, Series};
use crate::format::Format;
use crate::health::{self, LinkHealth};
use crate::icon::Svg;
use crate::page::{self, Answer, Section, Shell};
use crate::query;
use crate::site::Site;
use crate::viewer::Viewer;

/// Days of the chart, and of the period that it is compared with.
const DAYS: i32 = 14;
/// The most links that are warned of here.
const MOST_WARNED: usize = 10;

/// One key figure.
struct Stat {
    label: String,
    value: String,
    delta: String,
    trend: &'static str,
    chart: Svg,
}

/// One period in figures.
struct PeriodRow {
    name: &'static str,
    /// Its address among the reports.
    href: &'static str,
    clicks: String,
    conversions: String,
    rate: String,
    /// Each currency by itself.
    earnings: Vec<String>,
}

#[derive(askama::Template)]
#[template(path = "home/show.html")]
struct Page {
    shell: Shell,
    stats: Vec<Stat>,
    chart: Svg,
    periods: Vec<PeriodRow>,
    as_of: String,
    warned: Vec<LinkHealth>,
    more_warned: usize,
    /// Nothing was ever sent: what to do first.
    is_new: bool,
}

/// The first page.
pub(crate) async fn show(State(site): State<Arc<Site>>, viewer: Viewer) -> Answer {
    match look(&site, &viewer).await {
        Ok(page) => page::html(StatusCode::OK, &page),
        Err(error) => {
            tracing::error!(%error, "the first page cannot be read");
            page::unavailable()
        }
    }
}

async fn look(site: &Site, viewer: &Viewer) -> Result<Page, AskError> {
    let (catalog, now) = (site.app.live.catalog.load_full(), viewer.now);
    let days = Days::until(query::today(&viewer.zone, now), &viewer.zone);
    let of_partner = |(from, until)| {
        let ask = Ask::new(viewer.network.id, from, until, viewer.zone.clone())?;
        Ok(ask.of_partner(viewer.partner.id))
    };
    let by_day = of_partner(days.range()).and_then(|ask| ask.grouped(vec![Dimension::Day]))?;
    let by_now = of_partner(days.yesterday_until(now))?;
    let read = move |tx: &mut store::Tx<'_>| -> Result<_, AskError> {
        let mut one = |own: &Ask| ask(tx, &catalog, own, now).map(Report::without_revenue);
        Ok((one(&by_day)?, one(&by_now)?.total()))
    };
    let (report, by_now) = site.app.db.read(read).await?;
    let (warned, more_warned) = health::of_partner(site, viewer, MOST_WARNED).await?;
    let (by_day, format) = (days.lines(&report), &viewer.format);
    Ok(Page {
        shell: Shell::new(viewer, Section::Home, "Home", &subtitle(&by_day, format)),
        stats: stats(&by_day, &by_now, format),
        chart: clicks_chart(&days, &by_day, format),
        periods: periods(&by_day, &by_now, format),
        as_of: format.time(report.as_of),
        warned,
        more_warned,
        is_new: report.lines.is_empty(),
    })
}

/// The days of two periods, oldest first: each with its first moment.
struct Days {
    starts: Vec<Timestamp>,
    end: Timestamp,
}

impl Days {
    fn until(today: Date, zone: &TimeZone) -> Self {
        let start = |back: i32| {
            let day = today.checked_sub(back.days()).unwrap_or(today);
            let start = day.to_zoned(zone.clone()).map(|start| start.timestamp().as_millisecond());
            Timestamp::from_ms(start.unwrap_or(0))
        };
        Self { starts: (0..2 * DAYS).rev().map(start).collect(), end: start(-1) }
    }

    /// All of them.
    fn range(&self) -> (Timestamp, Timestamp) {
        (self.starts.first().copied().unwrap_or(self.end), self.end)
    }

    /// Yesterday until this time of the day, in whole quarters.
    fn yesterday_until(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let [.., yesterday, today] = self.starts.as_slice() else { return self.range() };
        let so_far = now.ms().saturating_sub(today.ms());
        (*yesterday, quarter(yesterday.plus_ms(so_far)).plus_ms(QUARTER_MS).min(*today))
    }

    /// The figures of each day. A report has no line for a day without any.
    fn lines(&self, report: &Report) -> Vec<Line> {
        let mut lines = vec![Line::default(); self.starts.len()];
        for (key, line) in &report.lines {
            if let Some(own) = key.first().and_then(|(day, _)| lines.get_mut(*day)) {
                own.add(line);
            }
        }
        lines
    }
}

fn total(lines: &[Line]) -> Line {
    let mut total = Line::default();
    for line in lines {
        total.add(line);
    }
    total
}

fn clicks(line: &Line) -> i64 {
    line.clicks.map_or(0, |clicks| clicks.counted)
}

fn payout(line: &Line, currency: Currency) -> i64 {
    line.takings.get(&currency).map_or(0, |takings| takings.payout_micros)
}

fn subtitle(by_day: &[Line], format: &Format) -> String {
    let today = by_day.last().cloned().unwrap_or_default();
    let refused = today.clicks.map_or(0, |clicks| clicks.refused());
    match (clicks(&today), refused) {
        (0, _) => "No clicks yet today".to_owned(),
        (_, 0) => "Every click of today was sent on".to_owned(),
        (all, refused) => {
            format!("{} of today's {} clicks were refused", format.count(refused), format.count(all))
        }
    }
}

fn rate(line: &Line, format: &Format) -> String {
    format.percent(line.conversions(), clicks(line))
}

/// Today's figures against yesterday's by this time.
fn stats(by_day: &[Line], before: &Line, format: &Format) -> Vec<Stat> {
    let today = by_day.last().cloned().unwrap_or_default();
    let recent = &by_day[by_day.len().saturating_sub(DAYS.unsigned_abs() as usize)..];
    let spark = |title: &str, value: &dyn Fn(&Line) -> i64| {
        let values: Vec<Option<i64>> = recent.iter().map(|line| Some(value(line))).collect();
        chart::sparkline(title, &values)
    };
    let mut all = vec![
        stat(
            "Clicks today",
            format.count(clicks(&today)),
            (clicks(&today), clicks(before)),
            spark("Clicks by day", &clicks),
            format,
        ),
        stat(
            "Conversions today",
            format.count(today.conversions()),
            (today.conversions(), before.conversions()),
            spark("Conversions by day", &Line::conversions),
            format,
        ),
        stat(
            "Conversion rate today",
            rate(&today, format),
            (today.conversion_rate().unwrap_or(0), before.conversion_rate().unwrap_or(0)),
            spark("Conversion rate by day", &|line| line.conversion_rate().unwrap_or(0)),
            format,
        ),
    ];
    let currencies: BTreeSet<Currency> =
        recent.iter().flat_map(|line| line.takings.keys().copied()).collect();
    all.extend(currencies.into_iter().map(|own| {
        let now = payout(&today, own);
        let chart = spark("Earnings by day", &|line| payout(line, own));
        let label = format!("Earnings today, {own}");
        stat(&label, format.money(rounded(now, own)), (now, payout(before, own)), chart, format)
    }));
    all
}

fn stat(label: &str, value: String, (now, before): (i64, i64), chart: Svg, format: &Format) -> Stat {
    let trend = match now.cmp(&before) {
        std::cmp::Ordering::Greater => "up",
        std::cmp::Ordering::Less => "down",
        std::cmp::Ordering::Equal => "",
    };
    let delta = match format.change(now, before) {
        Some(_) if now == before => "as yesterday by this time".to_owned(),
        Some(change) => format!("{change} against yesterday by this time"),
        None if now == 0 => "as yesterday by this time".to_owned(),
        None => "none yesterday by this time".to_owned(),
    };
    Stat { label: label.to_owned(), value, delta, trend, chart }
}

/// Each day of the last period beside the same day of the one before.
fn clicks_chart(days: &Days, by_day: &[Line], format: &Format) -> Svg {
    let half = by_day.len() / 2;
    let values = |lines: &[Line]| lines.iter().map(|line| Some(clicks(line))).collect();
    let marks = days.starts[half..].iter().map(|start| Mark::day(*start, format)).collect();
    let main = Series { name: format!("Last {DAYS} days"), values: values(&by_day[half..]) };
    let before = Series { name: format!("{DAYS} days before"), values: values(&by_day[..half]) };
    Chart::counts(Kind::Line, "Clicks by day", marks, main, format).against(before).unfinished(true).figure()
}

/// A sum in the decimals that its currency usually has; the reports have every one of them.
fn rounded(micros: i64, currency: Currency) -> Money {
    let unit = 10_i64.pow(6_u32.saturating_sub(u32::try_from(currency.decimals()).unwrap_or(2)));
    let half = if micros < 0 { -unit / 2 } else { unit / 2 };
    money((micros + half) / unit * unit, currency)
}

fn periods(by_day: &[Line], by_now: &Line, format: &Format) -> Vec<PeriodRow> {
    let count = by_day.len();
    let last = |days: usize, back: usize| {
        total(&by_day[count.saturating_sub(days + back)..count.saturating_sub(back)])
    };
    let rows = [
        ("Today so far", "/reports?range=today&by=hour", last(1, 0)),
        ("Yesterday by this time", "/reports?range=yesterday&by=hour", by_now.clone()),
        ("Yesterday", "/reports?range=yesterday&by=hour", last(1, 1)),
        ("Last 7 days", "/reports?range=last-7-days&by=day", last(7, 0)),
        ("7 days before", "/reports?range=last-14-days&by=day", last(7, 7)),
        ("Last 14 days", "/reports?range=last-14-days&by=day", last(14, 0)),
        ("14 days before", "/reports?range=last-28-days&by=day", last(14, 14)),
    ];
    let row = |(name, href, line): (&'static str, &'static str, Line)| PeriodRow {
        name,
        href,
        clicks: format.count(clicks(&line)),
        conversions: format.count(line.conversions()),
        rate: rate(&line, format),
        earnings: line
            .takings
            .iter()
            .map(|(currency, takings)| format.money(rounded(takings.payout_micros, *currency)))
            .collect(),
    };
    rows.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use domain::report::Clicks;

    use super::*;

    fn line(counted: i64) -> Line {
        Line {
            clicks: Some(Clicks { hits: counted, counted, sent_on: counted, ..Clicks::default() }),
            ..Line::default()
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn days_are_the_viewers_and_yesterday_ends_at_this_time() {
        let zone = TimeZone::get("Asia/Kathmandu").unwrap();
        let now = at("2026-11-23T18:20:00Z");
        let days = Days::until(query::today(&zone, now), &zone);
        assert_eq!(days.range(), (at("2026-10-27T18:15:00Z"), at("2026-11-24T18:15:00Z")));
        let until_now = (at("2026-11-22T18:15:00Z"), at("2026-11-22T18:30:00Z"));
        assert_eq!(days.yesterday_until(now), until_now, "the quarter of this time is the first of the day");
        let lines = [((0, "2026-10-28"), 1), ((26, "2026-11-23"), 6), ((27, "2026-11-24"), 8)];
        let lines = lines.map(|((day, name), counted)| (vec![(day, name.to_owned())], line(counted)));
        let by_day = days.lines(&Report { as_of: now, lines: lines.into() });
        let by_day: Vec<i64> = by_day.iter().map(clicks).collect();
        assert_eq!((by_day.len(), by_day[0], &by_day[25..]), (28, 1, &[0, 6, 8][..]));
    }

    #[test]
    fn every_currency_stands_by_itself() {
        let mut today = line(10);
        for (code, payout_micros) in [("USD", 1_500_000), ("EUR", 2_000_000)] {
            let takings = domain::report::Takings { success: 1, payout_micros, ..Default::default() };
            today.take(code.parse().unwrap(), &takings);
        }
        let stats = stats(&[line(5), today], &line(5), &Format::sample());
        let told: Vec<(&str, &str)> =
            stats.iter().map(|stat| (stat.label.as_str(), stat.value.as_str())).collect();
        assert_eq!(
            told[3..],
            [("Earnings today, EUR", "2.00\u{a0}EUR"), ("Earnings today, USD", "1.50\u{a0}USD")]
        );
        assert_eq!(stats[0].delta, "+100.0\u{a0}% against yesterday by this time");
        assert_eq!(stats[2].value, "20.0\u{a0}%");
        let plain = |micros, code: &str| rounded(micros, code.parse().unwrap()).plain();
        assert_eq!((plain(31_515_750, "USD"), plain(-5_000, "USD")), ("31.52".into(), "-0.01".into()));
        assert_eq!(plain(1_500_000, "JPY"), "2");
    }
}
