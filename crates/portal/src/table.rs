//! A table that is a page and a file: the same columns, rows and texts in both.

use std::sync::Arc;

use axum::http::StatusCode;
use domain::id::LinkId;
use domain::link::Link;
use domain::money::Money;
use domain::time::Timestamp;
use jiff::tz::TimeZone;

use crate::component::Choice;
use crate::format::Format;
use crate::page::{self, Answer, Section, Shell};
use crate::query::{self, Query, Range};
use crate::viewer::Viewer;

/// Rows on one page.
pub(crate) const ROWS: usize = 50;
/// Rows in one file.
pub(crate) const MOST_IN_FILE: usize = 50_000;
/// Rows of a file that are read at once.
pub(crate) const FILE_STEP: usize = 1_000;
/// Offers that are offered in a list; of more, the slug is typed.
const MOST_CHOICES: usize = 200;

/// What stands in one cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    /// As it is read.
    pub(crate) text: String,
    /// More of it, on hover.
    pub(crate) title: String,
    /// The kind of pill that it stands in; empty for none.
    pub(crate) pill: &'static str,
    /// Its class: `num`, `mono`, `when` or empty.
    pub(crate) class: &'static str,
    /// Its columns in a file, where they are not the text alone.
    file: Option<Vec<String>>,
}

impl Cell {
    /// Plain text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// An id or another text of machines.
    pub(crate) fn mono(text: impl Into<String>) -> Self {
        Self { class: "mono", ..Self::text(text) }
    }

    /// A point in time.
    pub(crate) fn when(at: Timestamp, format: &Format) -> Self {
        Self { class: "when", ..Self::written(format.time(at), format.in_files().time(at)) }
    }

    /// A text that is written otherwise in a file.
    pub(crate) fn written(text: impl Into<String>, file: impl Into<String>) -> Self {
        Self { file: Some(vec![file.into()]), ..Self::text(text) }
    }

    /// A count.
    pub(crate) fn count(count: i64, format: &Format) -> Self {
        Self::figure(format.count(count), count.to_string())
    }

    /// A figure that is written otherwise in a file.
    pub(crate) fn figure(text: impl Into<String>, file: impl Into<String>) -> Self {
        Self { class: "num", ..Self::written(text, file) }
    }

    /// Money: in a file the amount and, in a column of its own, the currency.
    pub(crate) fn money(money: Money, format: &Format) -> Self {
        let file = Some(vec![money.plain(), money.currency.to_string()]);
        Self { class: "num", file, ..Self::text(format.money(money)) }
    }

    /// No money: two empty columns in a file.
    pub(crate) fn no_money() -> Self {
        Self { class: "num", file: Some(vec![String::new(), String::new()]), ..Self::text("") }
    }

    /// A word in a pill, with what it means.
    pub(crate) fn pill(kind: &'static str, word: &str, title: &str) -> Self {
        Self { pill: kind, title: title.to_owned(), ..Self::text(word) }
    }

    /// With more on hover.
    pub(crate) fn titled(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// As a file has it.
    pub(crate) fn file(&self) -> Vec<String> {
        self.file.clone().unwrap_or_else(|| vec![self.text.clone()])
    }
}

/// A column that a table may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// As it stands in an address.
    pub(crate) name: &'static str,
    /// Its heading.
    pub(crate) word: String,
    /// Whether it holds figures.
    pub(crate) num: bool,
    /// Whether it is shown.
    pub(crate) chosen: bool,
}

/// One row: where it leads to, and its cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Where a click on it leads.
    pub(crate) href: String,
    /// One for each column.
    pub(crate) cells: Vec<Cell>,
}

/// One field of the filters: a text, or a choice where there are choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The parameter.
    pub(crate) name: &'static str,
    /// Its label.
    pub(crate) label: &'static str,
    /// What was given.
    pub(crate) value: String,
    /// What may be chosen; empty: anything may be typed.
    pub(crate) choices: Vec<Choice>,
    /// What stands in the empty field.
    pub(crate) hint: &'static str,
}

impl Filter {
    /// A field for text.
    pub(crate) fn text(query: &Query, name: &'static str, label: &'static str, hint: &'static str) -> Self {
        let value = query.get(name).unwrap_or_default().to_owned();
        Self { name, label, value, choices: Vec::new(), hint }
    }

    /// A list: value and word of each, behind the one that stands for all.
    pub(crate) fn choice(
        query: &Query,
        name: &'static str,
        label: &'static str,
        all: &str,
        choices: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let value = query.get(name).unwrap_or_default().to_owned();
        let mut list = vec![Choice::new("", all, value.is_empty())];
        let each = choices.into_iter().map(|(own, word)| {
            let chosen = own == value;
            Choice::new(own, word, chosen)
        });
        list.extend(each);
        Self { name, label, value, choices: list, hint: "" }
    }

    /// The offers that the viewer runs.
    pub(crate) fn offers(query: &Query, viewer: &Viewer) -> Self {
        let mut links: Vec<&Arc<Link>> = viewer.links().collect();
        if links.len() > MOST_CHOICES {
            return Self::text(query, "offer", "Offer", "slug of an offer");
        }
        links.sort_by(|a, b| a.offer.name.cmp(&b.offer.name));
        let offers = links.into_iter().map(|link| (link.offer.slug.clone(), link.offer.name.clone()));
        Self::choice(query, "offer", "Offer", "All offers", offers)
    }
}

/// The links that a query is about: those on one offer, or all of the viewer's. None when the offer is not theirs.
pub(crate) fn links(query: &Query, viewer: &Viewer) -> Vec<LinkId> {
    let asked = query.get("offer");
    let own = viewer.links().filter(|link| asked.is_none_or(|slug| slug == link.offer.slug));
    own.map(|link| link.id).collect()
}

/// The range of a list, as its form shows it.
#[derive(Debug, Clone)]
pub(crate) struct Period {
    /// What was asked for.
    pub(crate) range: Range,
    /// Its name: `Last 7 days`, or its days.
    pub(crate) words: String,
    /// Its days: `2026-11-01 to 2026-11-23`.
    pub(crate) dates: String,
    /// As it was typed.
    pub(crate) typed: String,
    /// What is wrong with it; empty when nothing is.
    pub(crate) wrong: String,
    /// Other ranges by name: address, word, and whether it is this one.
    pub(crate) named: Vec<(String, &'static str, bool)>,
}

impl Period {
    /// Reads the range of a query for a page at `path`.
    pub(crate) fn read(query: &Query, path: &str, default: &str, viewer: &Viewer) -> Self {
        let (range, wrong) = query.range(default, &viewer.zone, viewer.now);
        let wrong = wrong.unwrap_or_default();
        let typed = match query.get("range") {
            Some(typed) if !wrong.is_empty() => typed.to_owned(),
            _ => range.text.clone(),
        };
        let named = query::NAMED.iter().map(|(name, word)| {
            (query.with("range", name).url(path), *word, wrong.is_empty() && *name == range.text)
        });
        let dates = viewer.format.dates(range.first, range.last);
        let words = range.words().unwrap_or_else(|| dates.clone());
        Self { named: named.collect(), range, words, dates, typed, wrong }
    }
}

/// The page of a list with filters.
#[derive(askama::Template)]
#[template(path = "table/list.html")]
pub(crate) struct List {
    pub(crate) shell: Shell,
    /// Its address.
    pub(crate) path: &'static str,
    pub(crate) period: Period,
    pub(crate) filters: Vec<Filter>,
    /// Every column that there is.
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// Whether anything but the range is asked for.
    pub(crate) filtered: bool,
    /// The address without filters.
    pub(crate) plain: String,
    /// The file with the same, and how many rows it has at most.
    pub(crate) file: String,
    pub(crate) most: String,
    /// The pages beside this one; empty: there is none.
    pub(crate) newer: String,
    /// See `newer`.
    pub(crate) older: String,
    /// What was not looked at; empty when everything was.
    pub(crate) cut: String,
    /// What an empty table says: title, text, address and word of the next step.
    pub(crate) empty: (String, String, &'static str, &'static str),
}

/// Where a list is.
pub(crate) struct Place {
    /// Its section.
    pub(crate) section: Section,
    /// Its name.
    pub(crate) title: &'static str,
    /// Its address.
    pub(crate) path: &'static str,
    /// The address of its file.
    pub(crate) file: &'static str,
}

/// What stands in a list.
pub(crate) struct Found {
    /// Every column that there is.
    pub(crate) columns: Vec<Column>,
    /// The rows of this page.
    pub(crate) rows: Vec<Row>,
    /// What may be filtered by.
    pub(crate) filters: Vec<Filter>,
    /// Where it goes on, as an address has it, and how far back that is; none at the end.
    pub(crate) next: Option<(String, Timestamp)>,
    /// What an empty table says: title, text, address and word of the next step.
    pub(crate) empty: (String, String, &'static str, &'static str),
}

impl List {
    /// The page of what was found for a query.
    pub(crate) fn new(viewer: &Viewer, place: &Place, query: &Query, period: Period, found: Found) -> Self {
        let Place { section, title, path, file } = *place;
        let Found { columns, rows, filters, next, empty } = found;
        let cut = next.as_ref().filter(|_| rows.len() < ROWS).map(|(_, at)| {
            format!("Looked back to {}. “Older” goes on from there.", viewer.format.time(*at))
        });
        let older = next.map(|(next, _)| query.with("before", &next).url(path));
        let newer = query.get("before").map(|_| query.at_start().url(path));
        Self {
            shell: Shell::new(viewer, section, title, &period.words),
            path,
            filtered: query.pairs().any(|(name, _)| !matches!(name, "range" | "column" | "before")),
            plain: Query::default().with("range", &period.range.text).url(path),
            file: query.at_start().url(file),
            most: viewer.format.len(MOST_IN_FILE),
            newer: newer.unwrap_or_default(),
            older: older.unwrap_or_default(),
            cut: cut.unwrap_or_default(),
            period,
            filters,
            columns,
            rows,
            empty,
        }
    }

    /// The page.
    pub(crate) fn answer(&self) -> Answer {
        page::html(StatusCode::OK, self)
    }
}

/// The columns of `known` with those that a query chooses.
pub(crate) fn columns(
    query: &Query,
    known: &[(&'static str, &str, bool)],
    default: &[&'static str],
) -> Vec<Column> {
    let names: Vec<&'static str> = known.iter().map(|(name, ..)| *name).collect();
    let chosen = query.columns(&names, default);
    let column = |(name, word, num): &(&'static str, &str, bool)| Column {
        name,
        word: (*word).to_owned(),
        num: *num,
        chosen: chosen.contains(name),
    };
    known.iter().map(column).collect()
}

/// The headings of a file: a column of money is followed by one for its currency, a column of time names its zone.
pub(crate) fn file_head(columns: &[Column], money: &[&str], zone: &TimeZone) -> Vec<String> {
    let mut head = Vec::new();
    for column in columns.iter().filter(|column| column.chosen) {
        match column.name {
            "at" => head.push(format!("{} ({})", column.word, zone.iana_name().unwrap_or("UTC"))),
            name if money.contains(&name) => {
                head.extend([column.word.clone(), format!("{} currency", column.word)]);
            }
            _ => head.push(column.word.clone()),
        }
    }
    head
}

/// A file of rows; of more than a file holds, a last line says that there are more.
pub(crate) fn file(name: &str, head: &[String], mut rows: Vec<Vec<String>>, cut: bool) -> Answer {
    if cut {
        let mut note = vec![String::new(); head.len()];
        if let Some(first) = note.first_mut() {
            *first = format!("Cut after {} rows: ask for a shorter range for the others.", rows.len());
        }
        rows.push(note);
    }
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    page::csv(name, &head, rows)
}
