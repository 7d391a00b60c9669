//! A report's answer as a table and a chart. What stands in both comes from the same lines.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::click::Verdict;
use domain::money::Currency;
use domain::report::{Clicks, Dimension, Line, Report, Takings, money};

use crate::chart::{Chart, Kind, Mark, Series};
use crate::click_word;
use crate::format::Format;
use crate::icon::Svg;
use crate::query::{Query, Range};
use crate::report::{Answers, Asked, DIMENSIONS, PATH};
use crate::table::Cell;
use crate::viewer::{HIDDEN, Viewer};

/// Bars of a chart that is not of time.
const BARS: usize = 12;

/// A figure: its column, heading, formula, and whether a table may be sorted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figure {
    /// As `sort` names it.
    pub(crate) name: &'static str,
    /// The heading.
    pub(crate) word: &'static str,
    /// How it is made.
    pub(crate) formula: &'static str,
}

impl Figure {
    const fn new(name: &'static str, word: &'static str, formula: &'static str) -> Self {
        Self { name, word, formula }
    }

    /// Every figure, in the order of the columns.
    pub(crate) const ALL: [Self; 10] = [
        Self::new("clicks", "Clicks", "Hits on your links without bots, prefetches and tests."),
        Self::new("unique", "Unique", "Clicks without those of a visitor who had come a short while before."),
        Self::new("refused", "Refused", "Clicks that were not sent on to the offer."),
        Self::new("conversions", "Conversions", "Pending and Success together."),
        Self::new("pending", "Pending", "Conversions that wait for approval, or for an event before them."),
        Self::new("success", "Success", "Conversions that pay."),
        Self::new("rejected", "Rejected", "Conversions that do not count; each says why in its trace."),
        Self::new(
            "cr",
            "CR",
            "Conversions / clicks: those of the same range, so a conversion may belong to an earlier click.",
        ),
        Self::new("epc", "EPC", "Payout / clicks."),
        Self::new(
            "payout",
            "Payout",
            "What you earn with the conversions in Success. Each currency by itself.",
        ),
    ];
}

/// What a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Counted clicks.
    Clicks,
    /// Unique clicks.
    Unique,
    /// Refused clicks.
    Refused,
    /// Conversions that count.
    Conversions,
    /// Payout in the first of its currencies.
    Payout,
}

impl Measure {
    /// All, in the order of the form.
    pub(crate) const ALL: [Self; 5] =
        [Self::Clicks, Self::Unique, Self::Refused, Self::Conversions, Self::Payout];

    /// As an address has it.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Clicks => "clicks",
            Self::Unique => "unique",
            Self::Refused => "refused",
            Self::Conversions => "conversions",
            Self::Payout => "payout",
        }
    }

    /// Its word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Clicks => "Clicks",
            Self::Unique => "Unique clicks",
            Self::Refused => "Refused clicks",
            Self::Conversions => "Conversions",
            Self::Payout => "Payout",
        }
    }

    /// The measure of a code.
    pub(crate) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.code() == code)
    }

    fn of(self, line: &Line, currency: Option<Currency>) -> Option<i64> {
        match self {
            Self::Clicks => line.clicks.map(|clicks| clicks.counted),
            Self::Unique => line.clicks.map(|clicks| clicks.unique),
            Self::Refused => line.clicks.map(|clicks| clicks.refused()),
            Self::Conversions => Some(line.conversions()),
            Self::Payout => Some(currency.map_or(0, |own| payout(line, own))),
        }
    }
}

fn payout(line: &Line, currency: Currency) -> i64 {
    line.takings.get(&currency).map_or(0, |takings| takings.payout_micros)
}

/// A heading.
#[derive(Debug, Clone)]
pub(crate) struct Heading {
    /// Its word.
    pub(crate) word: String,
    /// How its figures are made; empty for a group.
    pub(crate) formula: &'static str,
    /// The address of the table sorted by it; empty: it cannot be.
    pub(crate) href: String,
    /// `aria-sort`.
    pub(crate) aria: &'static str,
}

/// A table of lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    /// The headings.
    pub(crate) headings: Vec<Heading>,
    /// The headings of the file.
    pub(crate) file_head: Vec<String>,
    /// The lines.
    pub(crate) rows: Vec<Vec<Cell>>,
    /// The totals and what they are compared with: each with its name.
    pub(crate) totals: Vec<Vec<Cell>>,
    /// Lines that are not in `rows`.
    pub(crate) left_out: usize,
    /// The currencies that occur, joined by a comma.
    pub(crate) currencies: String,
}

/// The table of a report, with at most so many lines.
pub(crate) fn lines(asked: &Asked, answers: &Answers, query: &Query, viewer: &Viewer, most: usize) -> Lines {
    let format = &viewer.format;
    let names: Vec<&str> = Figure::ALL.iter().map(|figure| figure.name).collect();
    let sort = query.get("sort").map(|_| query.sort(&names));
    let mut all: Vec<(Vec<String>, &Line)> = answers
        .report
        .lines
        .iter()
        .map(|(key, line)| (key.iter().map(|(_, value)| value.clone()).collect(), line))
        .collect();
    if let Some(sort) = sort {
        all.sort_by_key(|(_, line)| figure(sort.by, line));
        if sort.falls {
            all.reverse();
        }
    }
    let offers: HashMap<&str, &str> =
        viewer.links().map(|link| (link.offer.slug.as_str(), link.offer.name.as_str())).collect();
    let total = answers.report.total();
    let left_out = all.len().saturating_sub(most);
    let rows = all.iter().take(most).flat_map(|(key, line)| {
        let key = asked.by.iter().zip(key).map(|(by, value)| group(*by, value, &offers, viewer));
        cells(&key.collect::<Vec<Cell>>(), line, format)
    });
    let rows = rows.collect();
    let name = |word: &str| {
        let mut key = vec![Cell::default(); asked.by.len().max(1)];
        key[0] = Cell::text(word);
        key
    };
    let mut totals = Vec::new();
    if !asked.by.is_empty() {
        totals.extend(cells(&name("Total"), &total, format));
    }
    if let Some(before) = &answers.before {
        totals.extend(cells(&name("Period before"), &before.total(), format));
    }
    Lines {
        headings: headings(asked, query, sort),
        file_head: file_head(asked, viewer),
        rows: if asked.by.is_empty() { cells(&name("All"), &total, format) } else { rows },
        totals,
        left_out,
        currencies: total.takings.keys().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn headings(asked: &Asked, query: &Query, sort: Option<crate::query::Sort<'_>>) -> Vec<Heading> {
    let plain =
        |word: &str| Heading { word: word.to_owned(), formula: "", href: String::new(), aria: "none" };
    let mut all: Vec<Heading> = asked.by.iter().map(|by| plain(word(*by))).collect();
    if all.is_empty() {
        all.push(plain(""));
    }
    all.extend(Figure::ALL.iter().map(|figure| {
        let next = sort.map_or_else(|| format!("-{}", figure.name), |sort| sort.next(figure.name));
        Heading {
            word: figure.word.to_owned(),
            formula: figure.formula,
            href: query.with("sort", &next).url(PATH),
            aria: sort.map_or("none", |sort| sort.aria(figure.name)),
        }
    }));
    all
}

fn file_head(asked: &Asked, viewer: &Viewer) -> Vec<String> {
    let zone = viewer.zone.iana_name().unwrap_or("UTC");
    let mut head: Vec<String> = asked
        .by
        .iter()
        .map(|by| if by.is_time() { format!("{} ({zone})", word(*by)) } else { word(*by).to_owned() })
        .collect();
    if head.is_empty() {
        head.push(String::new());
    }
    for figure in Figure::ALL {
        head.push(figure.word.to_owned());
        if matches!(figure.name, "epc" | "payout") {
            head.push(format!("{} currency", figure.word));
        }
    }
    head
}

/// The word of a dimension.
fn word(dimension: Dimension) -> &'static str {
    DIMENSIONS.iter().find(|(own, _)| *own == dimension).map_or("", |(_, word)| word)
}

/// A value of a group: an offer by its name, a verdict in words.
fn group(by: Dimension, value: &str, offers: &HashMap<&str, &str>, viewer: &Viewer) -> Cell {
    match by {
        _ if value.is_empty() => Cell::text("–"),
        Dimension::Offer => Cell::text(offers.get(value).copied().unwrap_or(value)).titled(value),
        Dimension::Event if !viewer.shows_event(value) => Cell::text(HIDDEN),
        Dimension::Verdict => match value.parse::<Verdict>() {
            Ok(verdict) => {
                let words = click_word::verdict(verdict);
                Cell::pill(words.kind, words.word, words.meaning)
            }
            Err(_) => Cell::text(value),
        },
        own if own.is_time() => Cell::written(viewer.format.bucket(value).0, value),
        own if own.sub().is_some() => Cell::mono(value),
        _ => Cell::text(value),
    }
}

/// A row for each currency of a line. Clicks have none: they stand on the first, so that a column may be summed.
fn cells(key: &[Cell], line: &Line, format: &Format) -> Vec<Vec<Cell>> {
    let mut all: Vec<(Option<Currency>, Takings)> =
        line.takings.iter().map(|(currency, takings)| (Some(*currency), *takings)).collect();
    if all.is_empty() {
        all.push((None, Takings::default()));
    }
    let mut first = true;
    let mut rows = Vec::new();
    for (currency, takings) in all {
        let own = if first { line.clicks.as_ref() } else { None };
        let mut row = key.to_vec();
        row.extend(clicks(own, format));
        let counted = takings.pending + takings.success;
        row.extend(
            [counted, takings.pending, takings.success, takings.rejected].map(|own| Cell::count(own, format)),
        );
        row.push(if first { rate(line, format) } else { Cell::default() });
        let earned = line.clicks.as_ref().and_then(|clicks| takings.earned_per_click_micros(clicks));
        let sum = |micros: Option<i64>| {
            micros
                .zip(currency)
                .map_or_else(Cell::no_money, |(micros, own)| Cell::money(money(micros, own), format))
        };
        row.push(sum(earned));
        row.push(sum(Some(takings.payout_micros)));
        rows.push(row);
        first = false;
    }
    rows
}

fn clicks(clicks: Option<&Clicks>, format: &Format) -> [Cell; 3] {
    let Some(clicks) = clicks else { return [(); 3].map(|()| Cell::figure("", "")) };
    [clicks.counted, clicks.unique, clicks.refused()].map(|own| Cell::count(own, format))
}

fn rate(line: &Line, format: &Format) -> Cell {
    let Some(clicks) = line.clicks else { return Cell::figure("", "") };
    let file =
        line.conversion_rate().map_or_else(String::new, |rate| format!("{}.{:02}%", rate / 100, rate % 100));
    Cell::figure(format.percent(line.conversions(), clicks.counted), file)
}

/// What a table is sorted by.
fn figure(name: &str, line: &Line) -> i64 {
    let clicks = line.clicks.unwrap_or_default();
    let sum = |of: fn(&Takings) -> i64| line.takings.values().map(of).sum();
    match name {
        "unique" => clicks.unique,
        "refused" => clicks.refused(),
        "conversions" => line.conversions(),
        "pending" => sum(|takings| takings.pending),
        "success" => sum(|takings| takings.success),
        "rejected" => sum(|takings| takings.rejected),
        "cr" => line.conversion_rate().unwrap_or(-1),
        // Of several currencies the first one decides: they are not comparable.
        "epc" => {
            line.takings.values().next().and_then(|own| own.earned_per_click_micros(&clicks)).unwrap_or(-1)
        }
        "payout" => line.takings.values().next().map_or(-1, |own| own.payout_micros),
        _ => clicks.counted,
    }
}

/// The chart of a report: a line over time, else the largest values of the first group.
pub(crate) fn chart(asked: &Asked, answers: &Answers, range: &Range, viewer: &Viewer) -> Svg {
    let format = &viewer.format;
    let currencies: BTreeSet<Currency> = answers.report.total().takings.keys().copied().collect();
    let currency = currencies.first().copied();
    let measure = asked.measure;
    let Some(position) = asked.by.iter().position(|by| by.is_time()).or((!asked.by.is_empty()).then_some(0))
    else {
        return Svg::NONE;
    };
    let by = asked.by[position];
    let of = |report: &Report| -> BTreeMap<(usize, String), Line> {
        let mut merged: BTreeMap<(usize, String), Line> = BTreeMap::new();
        for (key, line) in &report.lines {
            merged.entry(key[position].clone()).or_default().add(line);
        }
        merged
    };
    let mut points: Vec<((usize, String), Line)> = of(&answers.report).into_iter().collect();
    if points.is_empty() || points.iter().all(|(_, line)| measure.of(line, currency).is_none()) {
        return Svg::NONE;
    }
    if !by.is_time() {
        points.sort_by_key(|(_, line)| std::cmp::Reverse(measure.of(line, currency)));
        points.truncate(BARS);
    }
    let marks = points.iter().map(|((_, name), _)| mark(by, name, viewer)).collect();
    let values = points.iter().map(|(_, line)| measure.of(line, currency)).collect();
    let name = match (measure, currency) {
        (Measure::Payout, Some(own)) => format!("{}, {own}", measure.word()),
        _ => measure.word().to_owned(),
    };
    let title = format!("{name} by {}", word(by).to_lowercase());
    let kind = if by.is_time() { Kind::Line } else { Kind::Bar };
    let mut chart = Chart::counts(kind, &title, marks, Series { name, values }, format);
    if let (Measure::Payout, Some(own)) = (measure, currency) {
        let format = format.clone();
        chart = chart.written(move |micros| format.money(money(micros, own)));
    }
    if let Some(before) = &answers.before {
        let before = of(before);
        let values =
            points.iter().map(|(key, _)| beside(&before, key, by).and_then(|own| measure.of(own, currency)));
        chart = chart.against(Series { name: "Period before".to_owned(), values: values.collect() });
    }
    chart.unfinished(by.is_time() && range.to > viewer.now).figure()
}

/// The line of the period before that stands beside one: of the same place in time, else of the same name.
fn beside<'l>(
    before: &'l BTreeMap<(usize, String), Line>,
    key: &(usize, String),
    by: Dimension,
) -> Option<&'l Line> {
    if by.is_time() {
        before.iter().find(|((place, _), _)| *place == key.0).map(|(_, line)| line)
    } else {
        before.get(key)
    }
}

/// A place on the axis: short for time, and without a value a dash.
fn mark(by: Dimension, name: &str, viewer: &Viewer) -> Mark {
    if by.is_time() {
        let (exact, short) = viewer.format.bucket(name);
        return Mark { short, exact };
    }
    let name = match by {
        _ if name.is_empty() => "–",
        Dimension::Event if !viewer.shows_event(name) => HIDDEN,
        _ => name,
    };
    Mark { short: name.chars().take(18).collect(), exact: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clicks_stand_once_and_every_currency_has_its_row() {
        let mut line =
            Line { clicks: Some(Clicks { counted: 10, sent_on: 9, ..Clicks::default() }), ..Line::default() };
        for (code, payout_micros) in [("USD", 1_500_000), ("EUR", 2_000_000)] {
            let takings = Takings { success: 2, rejected: 1, payout_micros, ..Takings::default() };
            line.take(code.parse().unwrap(), &takings);
        }
        let rows = cells(&[Cell::text("x")], &line, &Format::sample());
        let file: Vec<String> =
            rows.iter().map(|row| row.iter().flat_map(Cell::file).collect::<Vec<_>>().join(",")).collect();
        assert_eq!(file, ["x,10,0,1,2,0,2,1,40.00%,0.20,EUR,2.00,EUR", "x,,,,2,0,2,1,,0.15,USD,1.50,USD"]);
    }

    #[test]
    fn every_row_has_a_cell_for_each_heading() {
        let width = 1 + Figure::ALL.len();
        let rows = cells(&[Cell::text("")], &Line::default(), &Format::sample());
        assert!(rows.iter().all(|row| row.len() == width));
        assert_eq!(rows[0].iter().flat_map(Cell::file).count(), width + 2);
    }
}
