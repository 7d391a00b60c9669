//! The clicks one by one.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use domain::click::{Click, Verdict};
use domain::id::ClickId;
use domain::visit::Param;
use domain::visitor::Device;
use store::click::list::{self, Ask};

use crate::click_word;
use crate::page::{self, Answer, Section};
use crate::query::Query;
use crate::site::Site;
use crate::table::{
    self, Cell, Column, FILE_STEP, Filter, Found, List, MOST_IN_FILE, Period, Place, ROWS, Row,
};
use crate::viewer::Viewer;

const PLACE: Place =
    Place { section: Section::Clicks, title: "Clicks", path: "/clicks", file: "/clicks.csv" };
const RANGE: &str = "last-7-days";
/// Every refused verdict, as a filter.
const REFUSED: &str = "refused";

/// Name, heading, and whether it holds figures.
const COLUMNS: [(&str, &str, bool); 26] = [
    ("at", "Time", false),
    ("offer", "Offer", false),
    ("pub_click_id", "pub_click_id", false),
    ("pub_member_id", "pub_member_id", false),
    ("verdict", "Verdict", false),
    ("marks", "Marks", false),
    ("country", "Country", false),
    ("device", "Device", false),
    ("os", "System", false),
    ("browser", "Browser", false),
    ("click_id", "Click id", false),
    ("pub_sub_1", "pub_sub_1", false),
    ("pub_sub_2", "pub_sub_2", false),
    ("pub_sub_3", "pub_sub_3", false),
    ("pub_sub_4", "pub_sub_4", false),
    ("pub_sub_5", "pub_sub_5", false),
    ("pub_sub_6", "pub_sub_6", false),
    ("pub_sub_7", "pub_sub_7", false),
    ("pub_sub_8", "pub_sub_8", false),
    ("pub_sub_9", "pub_sub_9", false),
    ("pub_sub_10", "pub_sub_10", false),
    ("pub_sub_11", "pub_sub_11", false),
    ("pub_sub_12", "pub_sub_12", false),
    ("pub_sub_13", "pub_sub_13", false),
    ("pub_sub_14", "pub_sub_14", false),
    ("pub_sub_15", "pub_sub_15", false),
];
const SHOWN: [&str; 7] = ["at", "offer", "pub_click_id", "pub_member_id", "verdict", "country", "device"];

/// A page of clicks.
pub(crate) async fn index(State(site): State<Arc<Site>>, viewer: Viewer, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(raw.as_deref());
    let period = Period::read(&query, PLACE.path, RANGE, &viewer);
    let (ask, now) = (ask(&query, &period, &viewer), viewer.now);
    let found = site.app.db.read(move |tx| list::of_partner(tx, &ask, now)).await;
    let found = match found {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    let columns = table::columns(&query, &COLUMNS, &SHOWN);
    let rows = found
        .clicks
        .iter()
        .map(|click| Row { href: format!("/trace/{}", click.id), cells: cells(&columns, click, &viewer) });
    let found = Found {
        rows: rows.collect(),
        columns,
        filters: filters(&query, &viewer),
        next: found.next.map(|next| (next.to_string(), next.at())),
        empty: empty(&period),
    };
    List::new(&viewer, &PLACE, &query, period, found).answer()
}

/// The same clicks as a file, as many as a file holds.
pub(crate) async fn file(State(site): State<Arc<Site>>, viewer: Viewer, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(raw.as_deref()).at_start();
    let period = Period::read(&query, PLACE.path, RANGE, &viewer);
    let columns = table::columns(&query, &COLUMNS, &SHOWN);
    let mut ask = Ask { limit: FILE_STEP, ..ask(&query, &period, &viewer) };
    let now = viewer.now;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let cut = loop {
        let step = ask.clone();
        let found = match site.app.db.read(move |tx| list::of_partner(tx, &step, now)).await {
            Ok(found) => found,
            Err(error) => return failed(&error),
        };
        let lines = found.clicks.iter().map(|click| cells(&columns, click, &viewer));
        rows.extend(lines.map(|cells| cells.iter().flat_map(Cell::file).collect()));
        match found.next {
            None => break false,
            Some(_) if rows.len() >= MOST_IN_FILE => break true,
            next => ask.before = next,
        }
    };
    rows.truncate(MOST_IN_FILE);
    let head = table::file_head(&columns, &[], &viewer.zone);
    table::file(&format!("clicks-{}", period.range.text), &head, rows, cut)
}

fn failed(error: &store::Error) -> Answer {
    tracing::error!(%error, "clicks cannot be read");
    page::unavailable()
}

fn empty(period: &Period) -> (String, String, &'static str, &'static str) {
    let text = format!(
        "Nobody followed one of your links that fits these filters, {}. Ask for a longer range, or try a link: \
         every offer has a Test tab.",
        period.dates
    );
    ("No clicks here".to_owned(), text, "/offers", "To the offers")
}

fn ask(query: &Query, period: &Period, viewer: &Viewer) -> Ask {
    let word = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let verdicts = match query.get("verdict") {
        Some(REFUSED) => Verdict::ALL.iter().copied().filter(|own| !own.sends_on()).collect(),
        Some(code) => code.parse().map(|own| vec![own]).unwrap_or_default(),
        None => Vec::new(),
    };
    Ask {
        network: viewer.network.id,
        partner: viewer.partner.id,
        links: table::links(query, viewer),
        from: period.range.from,
        until: period.range.to,
        before: query.get("before").and_then(|id| id.parse::<ClickId>().ok()),
        verdicts,
        country: word("country").to_ascii_uppercase(),
        device: word("device"),
        test: query.get("kind") == Some("test"),
        id: word("id"),
        limit: ROWS,
    }
}

fn filters(query: &Query, viewer: &Viewer) -> Vec<Filter> {
    let verdicts =
        Verdict::ALL.iter().filter(|own| !matches!(own, Verdict::LinkUnknown | Verdict::NotRecorded));
    let verdicts = verdicts.map(|own| (own.code().to_owned(), click_word::verdict(*own).word.to_owned()));
    let refused = std::iter::once((REFUSED.to_owned(), "Any that was not sent on".to_owned()));
    let devices = Device::ALL.iter().map(|own| (own.code().to_owned(), own.code().to_owned()));
    let kinds = [("test".to_owned(), "Test clicks".to_owned())];
    vec![
        Filter::offers(query, viewer),
        Filter::choice(query, "verdict", "Verdict", "Any verdict", refused.chain(verdicts)),
        Filter::text(query, "country", "Country", "such as DE"),
        Filter::choice(query, "device", "Device", "Any device", devices),
        Filter::choice(query, "kind", "Kind", "Real clicks", kinds),
        Filter::text(query, "id", "Id", "any, exactly"),
    ]
}

fn cells(columns: &[Column], click: &Click, viewer: &Viewer) -> Vec<Cell> {
    let shown = columns.iter().filter(|column| column.chosen);
    shown.map(|column| cell(column.name, click, viewer)).collect()
}

fn cell(column: &str, click: &Click, viewer: &Viewer) -> Cell {
    let facts = &click.facts;
    match column {
        "at" => Cell::when(click.id.at(), &viewer.format).titled(click.id.at().to_string()),
        "offer" => Cell::text(viewer.link(click.link).map_or("", |link| &link.offer.name)),
        "pub_click_id" => Cell::mono(click.pub_click_id.as_deref().unwrap_or_default()),
        "pub_member_id" => Cell::mono(click.pub_member_id.as_deref().unwrap_or_default()),
        "verdict" => {
            let words = click_word::click(click);
            Cell::pill(words.kind, words.word, words.meaning)
        }
        "marks" => Cell::text(click_word::marks(click.marks).join(", ")),
        "country" => Cell::text(facts.country.as_ref().map_or("", |own| own.code())),
        "device" => Cell::text(facts.device.map_or("", |own| own.code())),
        "os" => Cell::text(&facts.os),
        "browser" => Cell::text(&facts.browser),
        "click_id" => Cell::mono(click.id.to_string()),
        sub => Cell::mono(Param::from_name(sub).and_then(|param| facts.parameter(param)).unwrap_or_default()),
    }
}
