//! The conversions one by one.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use domain::conversion::{Reason, Status};
use domain::id::ConversionId;
use domain::offer::Results;
use domain::time::Timestamp;
use domain::visit::Param;
use domain::visitor::Device;
use store::conversion::list::{self, Ask, Listed, Position};

use crate::conversion_word;
use crate::page::{self, Answer, Section};
use crate::query::Query;
use crate::site::Site;
use crate::table::{
    self, Cell, Column, FILE_STEP, Filter, Found, List, MOST_IN_FILE, Period, Place, ROWS, Row,
};
use crate::viewer::Viewer;

const PLACE: Place = Place {
    section: Section::Conversions,
    title: "Conversions",
    path: "/conversions",
    file: "/conversions.csv",
};
const RANGE: &str = "last-30-days";

/// Name, heading, and whether it holds figures.
const COLUMNS: [(&str, &str, bool); 29] = [
    ("at", "Time", false),
    ("offer", "Offer", false),
    ("event", "Event", false),
    ("status", "Status", false),
    ("reason", "Reason", false),
    ("payout", "Payout", true),
    ("pub_click_id", "pub_click_id", false),
    ("pub_member_id", "pub_member_id", false),
    ("amount", "Sale", true),
    ("country", "Country", false),
    ("device", "Device", false),
    ("changed", "Status since", false),
    ("conversion_id", "Conversion id", false),
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
const SHOWN: [&str; 8] =
    ["at", "offer", "event", "status", "reason", "payout", "pub_click_id", "pub_member_id"];
/// Columns of money: two in a file.
const MONEY: [&str; 2] = ["payout", "amount"];

/// A page of conversions.
pub(crate) async fn index(State(site): State<Arc<Site>>, viewer: Viewer, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(raw.as_deref());
    let period = Period::read(&query, PLACE.path, RANGE, &viewer);
    let found = match ask(&query, &period, &viewer) {
        Some(ask) => site.app.db.read(move |tx| list::of_partner(tx, &ask)).await,
        None => Ok(list::Page::default()),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    let columns = table::columns(&query, &COLUMNS, &SHOWN);
    let rows = found.conversions.iter().map(|own| Row {
        href: format!("/trace/{}", own.conversion.id),
        cells: cells(&columns, own, &viewer),
    });
    let found = Found {
        rows: rows.collect(),
        columns,
        filters: filters(&query, &viewer),
        next: found.next.map(|next| (written(next), next.0)),
        empty: empty(&period),
    };
    List::new(&viewer, &PLACE, &query, period, found).answer()
}

/// The same conversions as a file, as many as a file holds.
pub(crate) async fn file(State(site): State<Arc<Site>>, viewer: Viewer, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(raw.as_deref()).at_start();
    let period = Period::read(&query, PLACE.path, RANGE, &viewer);
    let columns = table::columns(&query, &COLUMNS, &SHOWN);
    let head = table::file_head(&columns, &MONEY, &viewer.zone);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut cut = false;
    let mut ask = ask(&query, &period, &viewer);
    while let Some(step) = ask.clone().filter(|_| !cut) {
        let step = Ask { limit: FILE_STEP, ..step };
        let found = match site.app.db.read(move |tx| list::of_partner(tx, &step)).await {
            Ok(found) => found,
            Err(error) => return failed(&error),
        };
        let lines = found.conversions.iter().map(|own| cells(&columns, own, &viewer));
        rows.extend(lines.map(|cells| cells.iter().flat_map(Cell::file).collect()));
        cut = found.next.is_some() && rows.len() >= MOST_IN_FILE;
        ask = ask.filter(|_| found.next.is_some()).map(|ask| Ask { before: found.next, ..ask });
    }
    rows.truncate(MOST_IN_FILE);
    table::file(&format!("conversions-{}", period.range.text), &head, rows, cut)
}

fn failed(error: &store::Error) -> Answer {
    tracing::error!(%error, "conversions cannot be read");
    page::unavailable()
}

fn empty(period: &Period) -> (String, String, &'static str, &'static str) {
    let text = format!(
        "None was received that fits these filters, {}. Ask for a longer range; or look at the clicks, and open one \
         to see what happened to it.",
        period.dates
    );
    ("No conversions here".to_owned(), text, "/clicks", "To the clicks")
}

/// What is asked for; none when that is an offer of which the viewer has no link.
fn ask(query: &Query, period: &Period, viewer: &Viewer) -> Option<Ask> {
    let word = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let link = |slug: &str| viewer.links().find(|link| link.offer.slug == slug).cloned();
    let link = match query.get("offer") {
        Some(slug) => Some(link(slug)?),
        None => None,
    };
    let event = match (query.get("event"), &link) {
        (Some(code), Some(link)) => Some(link.offer.event(code).filter(|event| event.visible)?.id),
        _ => None,
    };
    let reason = query.get("reason").and_then(|code| code.parse::<Reason>().ok());
    Some(Ask {
        network: viewer.network.id,
        partner: viewer.partner.id,
        offer: link.map(|link| link.offer.id),
        event,
        from: period.range.from,
        until: period.range.to,
        before: query.get("before").and_then(read),
        status: query.get("status").and_then(|code| code.parse::<Status>().ok()),
        reason: reason.map_or("", Reason::code).to_owned(),
        country: word("country").to_ascii_uppercase(),
        device: word("device"),
        test: query.get("kind") == Some("test"),
        id: word("id"),
        limit: ROWS,
    })
}

/// A place in the list as an address has it.
fn written((at, id): Position) -> String {
    format!("{}_{id}", at.ms())
}

fn read(text: &str) -> Option<Position> {
    let (ms, id) = text.split_once('_')?;
    Some((Timestamp::from_ms(ms.parse().ok()?), id.parse::<ConversionId>().ok()?))
}

fn filters(query: &Query, viewer: &Viewer) -> Vec<Filter> {
    let word = |own: &Status| (own.code().to_owned(), conversion_word::status(*own).1.to_owned());
    let why = |own: &Reason| (own.code().to_owned(), conversion_word::reason(*own).0.to_owned());
    let devices = Device::ALL.iter().map(|own| (own.code().to_owned(), own.code().to_owned()));
    let kinds = [("test".to_owned(), "Of test clicks".to_owned())];
    let mut filters = vec![Filter::offers(query, viewer)];
    filters.extend(events(query, viewer));
    filters.extend([
        Filter::choice(query, "status", "Status", "Any status", Status::ALL.iter().map(word)),
        Filter::choice(query, "reason", "Reason", "Any reason", Reason::ALL.iter().map(why)),
        Filter::text(query, "country", "Country", "such as DE"),
        Filter::choice(query, "device", "Device", "Any device", devices),
        Filter::choice(query, "kind", "Kind", "Real conversions", kinds),
        Filter::text(query, "id", "Id", "any, exactly"),
    ]);
    filters
}

/// The events of the offer that is asked for.
fn events(query: &Query, viewer: &Viewer) -> Option<Filter> {
    let slug = query.get("offer")?;
    let link = viewer.links().find(|link| link.offer.slug == slug)?;
    let Results::Multi(events) = &link.offer.results else { return None };
    let events = events.iter().filter(|event| event.visible);
    let events = events.map(|event| (event.code.clone(), event.name.clone()));
    Some(Filter::choice(query, "event", "Event", "Every event", events))
}

fn cells(columns: &[Column], own: &Listed, viewer: &Viewer) -> Vec<Cell> {
    let shown = columns.iter().filter(|column| column.chosen);
    shown.map(|column| cell(column.name, own, viewer)).collect()
}

fn cell(column: &str, own: &Listed, viewer: &Viewer) -> Cell {
    let conversion = &own.conversion;
    let facts = own.click.as_ref().map(|click| &click.facts);
    match column {
        "at" => Cell::when(conversion.received, &viewer.format).titled(conversion.received.to_string()),
        "offer" => Cell::text(viewer.link(conversion.link).map_or("", |link| &link.offer.name)),
        "event" => Cell::mono(viewer.event_code(conversion.link, &conversion.event_code)),
        "status" => {
            let (kind, word) = conversion_word::status(conversion.status);
            Cell::pill(kind, word, if conversion.test { "A test: it is counted nowhere." } else { "" })
        }
        "reason" => match conversion.reason.map(conversion_word::reason) {
            Some((word, meaning)) => Cell::text(word).titled(meaning),
            None => Cell::default(),
        },
        "payout" => Cell::money(conversion.told_payout(), &viewer.format),
        "amount" => conversion.amount.map_or_else(Cell::no_money, |sale| Cell::money(sale, &viewer.format)),
        "pub_click_id" => Cell::mono(&conversion.pub_click_id),
        "pub_member_id" => Cell::mono(&conversion.pub_member_id),
        "country" => Cell::text(facts.and_then(|own| own.country.as_ref()).map_or("", |own| own.code())),
        "device" => Cell::text(facts.and_then(|own| own.device).map_or("", |own| own.code())),
        "changed" => Cell::when(conversion.changed, &viewer.format),
        "conversion_id" => Cell::mono(conversion.id.to_string()),
        "click_id" => Cell::mono(conversion.click.to_string()),
        sub => {
            let value = Param::from_name(sub).zip(facts).and_then(|(param, facts)| facts.parameter(param));
            Cell::mono(value.unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = (Timestamp::from_ms(1_795_489_512_042), ConversionId(uuid::Uuid::from_u128(7)));
        assert_eq!(read(&written(place)), Some(place));
        assert_eq!((read("x_y"), read("12")), (None, None));
    }
}
