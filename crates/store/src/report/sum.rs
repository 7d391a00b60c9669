//! Sums of counts: the same figures over longer times and by fewer dimensions, so that a report reads some thousand
//! rows where the counts have millions.
//!
//! A quarter of an hour is summed up once, when it is over: while clicks come, only its counts move, and a click costs
//! no more than before. Of every quarter `count_quarter` says whether it is in the sums. What comes later to one that
//! is (a late click, another status of a conversion) is added to the counts and to the sums in one transaction. So at
//! any moment a figure is its sums, and the counts of the quarters that wait; no figure depends on when they are
//! summed up.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::{LinkId, NetworkId, OfferId, PartnerId};
use domain::report::{Clicks, QUARTER_MS, quarter};
use domain::time::{DAY_MS, Timestamp};
use uuid::Uuid;

use super::state;
use super::{ClickKey, ConversionKey, Worth, click_key, clicks, conversion_key, pages, worth};
use crate::{Db, Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[
    &TOUCH,
    &WAITING,
    &CLICKS,
    &CONVERSIONS,
    &SUMMED,
    &ADD_CLICKS,
    &ADD_CONVERSIONS,
    &IS_SUMMED,
    &WAIT,
    &DROP_CLICKS,
    &DROP_CONVERSIONS,
];

/// Says whether the quarter is in the sums, so that what changes its counts is added to them.
static TOUCH: Statement = Statement::new(
    "sum.touch",
    "insert into count_quarter (network_id, start_ms, changes, summed) values (?1, ?2, 1, 0)
     on conflict (network_id, start_ms) do update set changes = count_quarter.changes + 1 returning summed",
);

static WAITING: Statement = Statement::new(
    "sum.waiting",
    "select network_id, start_ms, changes from count_quarter where summed = 0 and start_ms < ?1
     order by network_id, start_ms limit ?2",
);

static CLICKS: Statement = Statement::new(
    "sum.clicks",
    "select c.network_id, l.partner_id, l.offer_id, c.link_id, c.verdict, c.country, c.device, c.os, c.hits, c.counted,
         c.unique_clicks, c.sent_on, c.bots, c.prefetches
     from click_count c join link l on l.link_id = c.link_id
     where c.network_id = ?1 and c.start_ms = ?2
         and (c.link_id, c.verdict, c.country, c.device, c.os) > (?3, ?4, ?5, ?6, ?7)
     order by c.link_id, c.verdict, c.country, c.device, c.os limit ?8",
);

static CONVERSIONS: Statement = Statement::new(
    "sum.conversions",
    "select c.network_id, l.partner_id, l.offer_id, c.link_id, c.event_id, c.status, c.reason, c.currency,
         c.conversions, c.revenue_micros, c.payout_micros
     from conversion_count c join link l on l.link_id = c.link_id where c.network_id = ?1 and c.start_ms = ?2",
);

static SUMMED: Statement = Statement::new(
    "sum.summed",
    "update count_quarter set summed = 1
     where network_id = ?1 and start_ms = ?2 and changes = ?3 and summed = 0",
);

static ADD_CLICKS: Statement = Statement::new(
    "sum.add_clicks",
    "insert into click_sum (subject_id, span_ms, by_visitor, start_ms, verdict, country, device, os, hits, counted,
         unique_clicks, sent_on, bots, prefetches)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
     on conflict (subject_id, span_ms, by_visitor, start_ms, verdict, country, device, os) do update set
         hits = click_sum.hits + excluded.hits, counted = click_sum.counted + excluded.counted,
         unique_clicks = click_sum.unique_clicks + excluded.unique_clicks,
         sent_on = click_sum.sent_on + excluded.sent_on, bots = click_sum.bots + excluded.bots,
         prefetches = click_sum.prefetches + excluded.prefetches",
);

static ADD_CONVERSIONS: Statement = Statement::new(
    "sum.add_conversions",
    "insert into conversion_sum (subject_id, span_ms, start_ms, status, currency, conversions, revenue_micros,
         payout_micros)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
     on conflict (subject_id, span_ms, start_ms, status, currency) do update set
         conversions = conversion_sum.conversions + excluded.conversions,
         revenue_micros = conversion_sum.revenue_micros + excluded.revenue_micros,
         payout_micros = conversion_sum.payout_micros + excluded.payout_micros",
);

static IS_SUMMED: Statement = Statement::new(
    "sum.is_summed",
    "select count(*) as quarters from count_quarter
     where network_id = ?1 and start_ms >= ?2 and start_ms < ?3 and summed = 1",
);

static WAIT: Statement = Statement::new(
    "sum.wait",
    "update count_quarter set summed = 0, changes = changes + 1
     where network_id = ?1 and start_ms >= ?2 and start_ms < ?3",
);

static DROP_CLICKS: Statement = Statement::new(
    "sum.drop_clicks",
    "delete from click_sum
     where subject_id in (
             select network_id from network where network_id = ?1
             union all select partner_id from partner where network_id = ?1
             union all select offer_id from offer where network_id = ?1
             union all select link_id from link where network_id = ?1)
         and span_ms in (900000, 3600000, 86400000) and by_visitor in (0, 1) and start_ms >= ?2 and start_ms < ?3",
);

static DROP_CONVERSIONS: Statement = Statement::new(
    "sum.drop_conversions",
    "delete from conversion_sum
     where subject_id in (
             select network_id from network where network_id = ?1
             union all select partner_id from partner where network_id = ?1
             union all select offer_id from offer where network_id = ?1
             union all select link_id from link where network_id = ?1)
         and span_ms in (900000, 3600000, 86400000) and start_ms >= ?2 and start_ms < ?3",
);

/// Quarters that one step sums up, and rows of counts after which it takes no further one.
const QUARTERS_A_STEP: i64 = 32;
const ROWS_A_STEP: usize = 2_000;
/// Rows of counts that are read at once.
const PAGE: usize = 20_000;

const HOUR_MS: i64 = 4 * QUARTER_MS;

/// A stretch of time that is summed up as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Span {
    Quarter,
    Hour,
    Day,
}

impl Span {
    /// How long it is.
    pub(crate) const fn ms(self) -> i64 {
        match self {
            Self::Quarter => QUARTER_MS,
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
        }
    }

    /// The first moment of the one that holds `at`.
    pub(super) fn start(self, at: Timestamp) -> Timestamp {
        Timestamp::from_ms(at.ms().div_euclid(self.ms()) * self.ms())
    }
}

/// For whom a sum is, of the four whose counts it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Network,
    Partner,
    Offer,
    Link,
}

impl Of {
    const ALL: [Self; 4] = [Self::Network, Self::Partner, Self::Offer, Self::Link];

    /// The spans that there are sums of, from the longest. Of one partner or network there are few rows in a quarter.
    pub(super) const fn spans(self) -> &'static [Span] {
        match self {
            Self::Network | Self::Partner => &[Span::Day, Span::Hour, Span::Quarter],
            Self::Offer | Self::Link => Self::SPANS_BY_VISITOR,
        }
    }

    /// The spans of sums by country, device and operating system.
    pub(super) const SPANS_BY_VISITOR: &'static [Span] = &[Span::Day, Span::Hour];

    const fn has_visitors(self) -> bool {
        matches!(self, Self::Network | Self::Partner)
    }
}

/// Whose a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) network: NetworkId,
    pub(super) partner: PartnerId,
    pub(super) offer: OfferId,
}

impl Owner {
    pub(super) fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            network: NetworkId(row.uuid("network_id")?),
            partner: PartnerId(row.uuid("partner_id")?),
            offer: OfferId(row.uuid("offer_id")?),
        })
    }

    fn subject(&self, of: Of, link: LinkId) -> Uuid {
        match of {
            Of::Network => self.network.uuid(),
            Of::Partner => self.partner.uuid(),
            Of::Offer => self.offer.uuid(),
            Of::Link => link.uuid(),
        }
    }
}

/// Where clicks are summed up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ClickPlace {
    subject: Uuid,
    span: Span,
    by_visitor: bool,
    start: Timestamp,
    verdict: i64,
    country: String,
    device: String,
    os: String,
}

/// Where conversions are summed up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ConversionPlace {
    subject: Uuid,
    span: Span,
    start: Timestamp,
    status: String,
    currency: String,
}

/// What is to be added to the sums.
#[derive(Debug, Default)]
pub(super) struct Sums {
    clicks: BTreeMap<ClickPlace, Clicks>,
    conversions: BTreeMap<ConversionPlace, Worth>,
}

impl Sums {
    /// Clicks that were counted.
    pub(super) fn click(&mut self, owner: &Owner, key: &ClickKey, figures: &Clicks) {
        for of in Of::ALL {
            let subject = owner.subject(of, key.link);
            for span in of.spans() {
                let (start, verdict) = (span.start(key.start), key.verdict);
                let none = String::new;
                let place = ClickPlace {
                    subject,
                    span: *span,
                    by_visitor: false,
                    start,
                    verdict,
                    country: none(),
                    device: none(),
                    os: none(),
                };
                self.clicks.entry(place).or_default().add(figures);
            }
            for span in Of::SPANS_BY_VISITOR.iter().filter(|_| of.has_visitors()) {
                let place = ClickPlace {
                    subject,
                    span: *span,
                    by_visitor: true,
                    start: span.start(key.start),
                    verdict: key.verdict,
                    country: key.country.clone(),
                    device: key.device.clone(),
                    os: key.os.clone(),
                };
                self.clicks.entry(place).or_default().add(figures);
            }
        }
    }

    /// Conversions that were counted, or taken away.
    pub(super) fn conversion(&mut self, owner: &Owner, key: &ConversionKey, worth: Worth) {
        for of in Of::ALL {
            for span in of.spans() {
                let place = ConversionPlace {
                    subject: owner.subject(of, key.link),
                    span: *span,
                    start: span.start(key.start),
                    status: key.status.clone(),
                    currency: key.currency.clone(),
                };
                self.conversions.entry(place).or_default().add(worth, 1);
            }
        }
    }

    /// Adds them.
    pub(super) fn write(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let clicks = self.clicks.iter().map(|(place, figures)| -> [Value; 14] {
            [
                place.subject.into(),
                place.span.ms().into(),
                place.by_visitor.into(),
                place.start.ms().into(),
                place.verdict.into(),
                place.country.as_str().into(),
                place.device.as_str().into(),
                place.os.as_str().into(),
                figures.hits.into(),
                figures.counted.into(),
                figures.unique.into(),
                figures.sent_on.into(),
                figures.bots.into(),
                figures.prefetches.into(),
            ]
        });
        tx.execute_each(&ADD_CLICKS, &clicks.collect::<Vec<_>>())?;
        let moved = self.conversions.iter().filter(|(_, worth)| **worth != Worth::default());
        let conversions = moved.map(|(place, worth)| -> [Value; 8] {
            [
                place.subject.into(),
                place.span.ms().into(),
                place.start.ms().into(),
                place.status.as_str().into(),
                place.currency.as_str().into(),
                worth.conversions.into(),
                worth.revenue_micros.into(),
                worth.payout_micros.into(),
            ]
        });
        tx.execute_each(&ADD_CONVERSIONS, &conversions.collect::<Vec<_>>()).map(drop)
    }
}

/// Says that the counts of a quarter change. `true`: it is in the sums, and whoever changes it adds to them as well.
pub(super) fn touch(tx: &mut Tx<'_>, network: NetworkId, start: Timestamp) -> Result<bool, Error> {
    let row = tx.query_one(&TOUCH, &[network.uuid().into(), start.ms().into()])?;
    row.map_or(Ok(false), |row| row.flag("summed"))
}

/// Takes the day that holds a quarter out of the sums: all of it waits to be summed up anew.
pub(super) fn drop_day(tx: &mut Tx<'_>, network: NetworkId, start: Timestamp) -> Result<(), Error> {
    let day = Span::Day.start(start);
    let params: [Value; 3] = [network.uuid().into(), day.ms().into(), day.plus_ms(DAY_MS).ms().into()];
    let summed = tx.query_one(&IS_SUMMED, &params)?.map_or(Ok(0), |row| row.int("quarters"))?;
    tx.execute(&WAIT, &params)?;
    if summed > 0 {
        tx.execute(&DROP_CLICKS, &params)?;
        tx.execute(&DROP_CONVERSIONS, &params)?;
    }
    Ok(())
}

/// Sums up the next quarters that are over, a few at a time, in one transaction. `false` when none waits. Several
/// processes may do so at once: a quarter that changed meanwhile, or that another one summed up, is left to the next
/// step.
pub async fn sum(db: &Db, now: Timestamp) -> Result<bool, Error> {
    let step = Arc::new(db.read(move |tx| Step::read(tx, now)).await?);
    if step.quarters.is_empty() {
        return Ok(false);
    }
    match db.write(move |tx| step.write(tx)).await {
        Ok(()) | Err(Error::Stale) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Some quarters, read beforehand, so that the writer only adds.
#[derive(Debug, Default)]
struct Step {
    quarters: Vec<(NetworkId, Timestamp, i64)>,
    sums: Sums,
}

impl Step {
    fn read(tx: &mut Tx<'_>, now: Timestamp) -> Result<Self, Error> {
        let (mut step, mut rows) = (Self::default(), 0);
        for row in tx.query(&WAITING, &[quarter(now).ms().into(), QUARTERS_A_STEP.into()])? {
            if rows > ROWS_A_STEP {
                break;
            }
            let (network, start) = (row.uuid("network_id")?, Timestamp::from_ms(row.int("start_ms")?));
            step.quarters.push((NetworkId(network), start, row.int("changes")?));
            rows += step.take(tx, network, start)?;
        }
        Ok(step)
    }

    /// Takes a quarter up, and gives how many rows its counts have.
    fn take(&mut self, tx: &mut Tx<'_>, network: Uuid, start: Timestamp) -> Result<usize, Error> {
        let which: [Value; 2] = [network.into(), start.ms().into()];
        let conversions = tx.query(&CONVERSIONS, &which)?;
        for row in &conversions {
            let key = conversion_key(row, NetworkId(network), start)?;
            self.sums.conversion(&Owner::read(row)?, &key, worth(row)?);
        }
        let mut taken = conversions.len();
        let mut behind: [Value; 5] = [Uuid::nil().into(), (-1).into(), "".into(), "".into(), "".into()];
        pages(tx, PAGE, |tx| {
            let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
            let rows = tx.query(&CLICKS, &[&which[..], &behind, &[limit.into()]].concat())?;
            for row in &rows {
                let key = click_key(row, start)?;
                self.sums.click(&Owner::read(row)?, &key, &clicks(row)?);
                behind = [
                    key.link.uuid().into(),
                    key.verdict.into(),
                    key.country.into(),
                    key.device.into(),
                    key.os.into(),
                ];
            }
            taken += rows.len();
            Ok(rows.len())
        })?;
        Ok(taken)
    }

    fn write(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        state::lock_to_add(tx)?;
        for (network, start, changes) in &self.quarters {
            let params: [Value; 3] = [network.uuid().into(), start.ms().into(), (*changes).into()];
            if tx.execute(&SUMMED, &params)? != 1 {
                return Err(Error::Stale);
            }
        }
        self.sums.write(tx)
    }
}
