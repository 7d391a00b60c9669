//! What no count has: sub parameters, and the facts of a conversion's click. The clicks and conversions of the asked
//! range are read one by one, as many as a report may look at.

use domain::click::{Marks, Verdict};
use domain::conversion::Status;
use domain::id::{ClickId, EventId, LinkId, PartnerId};
use domain::report::{Ask, Clicks, Dimension, Takings};
use domain::time::Timestamp;
use uuid::Uuid;

use super::ask::{AskError, Subject};
use super::place::figures;
use super::{first_id, pages};
use crate::{Error, Row, Statement, Tx, Value, click};

pub(crate) const ALL: &[&Statement] = &[&CLICKS, &CONVERSIONS];

/// With zeros for the partner, here and below: of every partner.
static CLICKS: Statement = Statement::new(
    "scan.clicks",
    "select k.click_id, k.link_id, k.verdict, k.marks, k.facts
     from click k join link l on l.link_id = k.link_id
     where k.click_id >= ?1 and k.click_id < ?2 and l.network_id = ?3 and (l.partner_id = ?4 or ?4 = ?6)
     order by k.click_id limit ?5",
);

static CONVERSIONS: Statement = Statement::new(
    "scan.conversions",
    "select c.conversion_id, c.received_ms, c.link_id, c.event_id, c.status, c.currency, c.revenue_micros,
         c.payout_micros, k.verdict, k.facts
     from conversion c left join click k on k.click_id = c.click_id
     where c.network_id = ?1 and c.test = 0 and c.received_ms >= ?2 and c.received_ms < ?3
         and (c.received_ms > ?4 or c.conversion_id > ?5) and (c.partner_id = ?7 or ?7 = ?8)
     order by c.received_ms, c.conversion_id limit ?6",
);

const PAGE: usize = 5_000;
/// Clicks, and conversions, that one report may look at.
const MAX_SCANNED: usize = 1_000_000;

/// Gives every click of the range with its figures.
pub(super) fn clicks(
    tx: &mut Tx<'_>,
    ask: &Ask,
    mut take: impl FnMut(&Subject, Timestamp, Clicks),
) -> Result<(), AskError> {
    let (from, until) = ask.range();
    let (mut position, last) = (first_id(from), first_id(until));
    let partner = ask.partner().map_or(Uuid::nil(), PartnerId::uuid);
    let mut scanned = 0;
    pages(tx, PAGE, |tx| {
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let params: [Value; 6] = [
            position.into(),
            last.into(),
            ask.network().uuid().into(),
            partner.into(),
            limit.into(),
            Uuid::nil().into(),
        ];
        let rows = tx.query(&CLICKS, &params)?;
        scanned += rows.len();
        for row in &rows {
            let id = row.uuid("click_id")?;
            position = Uuid::from_u128(id.as_u128().saturating_add(1));
            let marks = Marks(row.int("marks")?);
            if !marks.has(Marks::TEST) {
                let verdict = row.int("verdict")?;
                let subject = of_click(row, LinkId(row.uuid("link_id")?))?;
                take(&subject, ClickId(id).at(), figures(verdict, marks));
            }
        }
        Ok(if scanned > MAX_SCANNED { 0 } else { rows.len() })
    })?;
    enough(scanned, "clicks")
}

/// Gives every conversion of the range with what it takes.
pub(super) fn conversions(
    tx: &mut Tx<'_>,
    ask: &Ask,
    mut take: impl FnMut(&Subject, Timestamp, &str, &Takings) -> Result<(), Error>,
) -> Result<(), AskError> {
    let (from, until) = ask.range();
    let partner = ask.partner().map_or(Uuid::nil(), PartnerId::uuid);
    let mut position = (from.ms(), Uuid::nil());
    let mut scanned = 0;
    pages(tx, PAGE, |tx| {
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let params: [Value; 8] = [
            ask.network().uuid().into(),
            position.0.into(),
            until.ms().into(),
            position.0.into(),
            position.1.into(),
            limit.into(),
            partner.into(),
            Uuid::nil().into(),
        ];
        let rows = tx.query(&CONVERSIONS, &params)?;
        scanned += rows.len();
        for row in &rows {
            position = (row.int("received_ms")?, row.uuid("conversion_id")?);
            let status: Status = row.code("status")?;
            let takings = Takings::of(status, 1, row.int("revenue_micros")?, row.int("payout_micros")?);
            let subject = Subject {
                event: Some(EventId(row.uuid("event_id")?)),
                status: Some(status),
                ..of_click(row, LinkId(row.uuid("link_id")?))?
            };
            take(&subject, Timestamp::from_ms(position.0), &row.text("currency")?, &takings)?;
        }
        Ok(if scanned > MAX_SCANNED { 0 } else { rows.len() })
    })?;
    enough(scanned, "conversions")
}

fn enough(scanned: usize, what: &'static str) -> Result<(), AskError> {
    if scanned > MAX_SCANNED { Err(AskError::TooLarge { what, most: MAX_SCANNED }) } else { Ok(()) }
}

/// What a click says; nothing of a click that is no longer kept.
fn of_click(row: &Row, link: LinkId) -> Result<Subject, Error> {
    let mut subject = Subject { link: Some(link), ..Subject::default() };
    let Some(verdict) = row.opt_int("verdict")? else { return Ok(subject) };
    let facts = click::own_facts(row)?;
    subject.verdict = Verdict::from_number(verdict);
    subject.country = facts.country.map_or_else(String::new, |country| country.code().to_owned());
    subject.device = facts.device.map_or_else(String::new, |device| device.code().to_owned());
    subject.subs = Dimension::ALL
        .iter()
        .filter_map(|dimension| Some((*dimension, facts.parameter(dimension.sub()?)?.to_owned())))
        .collect();
    subject.os = facts.os;
    Ok(subject)
}
