//! The audit of the sums: what is summed up of a day, added up again by SQL from the counts. It shares nothing with the
//! summing but the shape of what it compares.

use std::collections::BTreeMap;

use domain::id::NetworkId;
use domain::report::{Clicks, QUARTER_MS};
use domain::time::{DAY_MS, Timestamp};
use uuid::Uuid;

use super::audit::{Told, compare, networks};
use super::{Difference, Worth, clicks, worth};
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&LINKS, &CLICK_SUMS, &CLICKS, &CONVERSION_SUMS, &CONVERSIONS];

/// Every subject of the network `?1`.
macro_rules! subjects {
    () => {
        "subject_id in (
             select network_id from network where network_id = ?1
             union all select partner_id from partner where network_id = ?1
             union all select offer_id from offer where network_id = ?1
             union all select link_id from link where network_id = ?1)"
    };
}

/// The subject of a link's counts by the number `?4`, and its start by the span `?5`.
macro_rules! place {
    () => {
        "case when ?4 = 0 then c.network_id when ?4 = 1 then l.partner_id when ?4 = 2 then l.offer_id else l.link_id end
             as subject_id, c.start_ms - c.start_ms % ?5 as start_ms"
    };
}

static LINKS: Statement =
    Statement::new("audit_sum.links", "select count(*) as links from link where network_id = ?1");

static CLICK_SUMS: Statement = Statement::new(
    "audit_sum.click_sums",
    concat!(
        "select subject_id, start_ms, verdict, country, device, os, hits, counted, unique_clicks, sent_on, bots,
             prefetches
         from click_sum where ",
        subjects!(),
        " and span_ms = ?4 and by_visitor = ?5 and start_ms >= ?2 and start_ms < ?3"
    ),
);

static CLICKS: Statement = Statement::new(
    "audit_sum.clicks",
    concat!(
        "select ",
        place!(),
        ", c.verdict, case when ?6 = 1 then c.country else '' end as country,
             case when ?6 = 1 then c.device else '' end as device, case when ?6 = 1 then c.os else '' end as os,
             cast(sum(c.hits) as bigint) as hits, cast(sum(c.counted) as bigint) as counted,
             cast(sum(c.unique_clicks) as bigint) as unique_clicks, cast(sum(c.sent_on) as bigint) as sent_on,
             cast(sum(c.bots) as bigint) as bots, cast(sum(c.prefetches) as bigint) as prefetches
         from count_quarter q
         join click_count c on c.network_id = q.network_id and c.start_ms = q.start_ms
         join link l on l.link_id = c.link_id
         where q.network_id = ?1 and q.start_ms >= ?2 and q.start_ms < ?3 and q.summed = 1
         group by 1, 2, 3, 4, 5, 6"
    ),
);

static CONVERSION_SUMS: Statement = Statement::new(
    "audit_sum.conversion_sums",
    concat!(
        "select subject_id, start_ms, status, currency, conversions, revenue_micros, payout_micros
         from conversion_sum where ",
        subjects!(),
        " and span_ms = ?4 and start_ms >= ?2 and start_ms < ?3"
    ),
);

static CONVERSIONS: Statement = Statement::new(
    "audit_sum.conversions",
    concat!(
        "select ",
        place!(),
        ", c.status, c.currency, cast(sum(c.conversions) as bigint) as conversions,
             cast(sum(c.revenue_micros) as bigint) as revenue_micros,
             cast(sum(c.payout_micros) as bigint) as payout_micros
         from count_quarter q
         join conversion_count c on c.network_id = q.network_id and c.start_ms = q.start_ms
         join link l on l.link_id = c.link_id
         where q.network_id = ?1 and q.start_ms >= ?2 and q.start_ms < ?3 and q.summed = 1
         group by 1, 2, 3, 4"
    ),
);

const HOUR_MS: i64 = 4 * QUARTER_MS;

/// The sums of a whole day of so many links are compared at once; of more, those of an hour.
const MOST_LINKS: i64 = 200;

/// Numbers of subjects as the statements have them: network, partner, offer and link.
const FEW: &[i64] = &[0, 1];
const ALL_SUBJECTS: &[i64] = &[0, 1, 2, 3];

/// What there are sums of: how long they are, whether by visitor, and of which subjects.
const KINDS: [(i64, bool, &[i64]); 5] = [
    (QUARTER_MS, false, FEW),
    (HOUR_MS, false, ALL_SUBJECTS),
    (DAY_MS, false, ALL_SUBJECTS),
    (HOUR_MS, true, FEW),
    (DAY_MS, true, FEW),
];

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ClickKey {
    subject: Uuid,
    span_ms: i64,
    by_visitor: bool,
    start_ms: i64,
    verdict: i64,
    visitor: [String; 3],
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ConversionKey {
    subject: Uuid,
    span_ms: i64,
    start_ms: i64,
    status: String,
    currency: String,
}

fn told(subject: Uuid, start_ms: i64, span_ms: i64) -> String {
    let span = match span_ms {
        QUARTER_MS => "quarter of an hour",
        HOUR_MS => "hour",
        _ => "day",
    };
    format!("{span} from {} of {subject}", Timestamp::from_ms(start_ms))
}

impl Told for ClickKey {
    fn told(&self) -> String {
        let Self { subject, span_ms, start_ms, verdict, visitor: [country, device, os], .. } = self;
        let code = domain::click::Verdict::from_number(*verdict).map_or("?", domain::click::Verdict::code);
        let visitor = format!(" country `{country}` device `{device}` os `{os}`");
        let visitor = if self.by_visitor { visitor } else { String::new() };
        format!("clicks of the {} {code}{visitor}", told(*subject, *start_ms, *span_ms))
    }
}

impl Told for ConversionKey {
    fn told(&self) -> String {
        let Self { subject, span_ms, start_ms, status, currency } = self;
        format!("conversions of the {} {status} {currency}", told(*subject, *start_ms, *span_ms))
    }
}

/// Compares the sums of the day (UTC) that holds a moment with its counts. What is not summed up yet is left out.
pub fn audit_sums(tx: &mut Tx<'_>, at: Timestamp) -> Result<Vec<Difference>, Error> {
    let day = Timestamp::from_ms(at.ms().div_euclid(DAY_MS) * DAY_MS);
    let mut differences = Vec::new();
    for network in networks(tx)?.into_iter().filter(|network| !network.uuid().is_nil()) {
        let links = tx.query_one(&LINKS, &[network.uuid().into()])?.map_or(Ok(0), |row| row.int("links"))?;
        for (span_ms, by_visitor, subjects) in KINDS {
            let stretch_ms = if links > MOST_LINKS { span_ms.max(HOUR_MS) } else { DAY_MS };
            for start in (0..DAY_MS / stretch_ms).map(|number| day.plus_ms(number * stretch_ms)) {
                let range = Range { network, from: start, until: start.plus_ms(stretch_ms), span_ms };
                let (stored, raw) = range.clicks(tx, by_visitor, subjects)?;
                compare(&mut differences, "sums", &stored, &raw);
                if !by_visitor {
                    let (stored, raw) = range.conversions(tx, subjects)?;
                    compare(&mut differences, "sums", &stored, &raw);
                }
            }
        }
    }
    Ok(differences)
}

/// What is stored, and what the counts add up to.
type Sides<K, V> = (BTreeMap<K, V>, BTreeMap<K, V>);

/// Sums of one length of a network in a stretch of time.
struct Range {
    network: NetworkId,
    from: Timestamp,
    until: Timestamp,
    span_ms: i64,
}

impl Range {
    fn params(&self, more: &[Value]) -> Vec<Value> {
        let own = [self.network.uuid().into(), self.from.ms().into(), self.until.ms().into()];
        [&own[..], more].concat()
    }

    fn clicks(
        &self,
        tx: &mut Tx<'_>,
        by_visitor: bool,
        subjects: &[i64],
    ) -> Result<Sides<ClickKey, Clicks>, Error> {
        let key = |row: &Row| -> Result<ClickKey, Error> {
            Ok(ClickKey {
                subject: row.uuid("subject_id")?,
                span_ms: self.span_ms,
                by_visitor,
                start_ms: row.int("start_ms")?,
                verdict: row.int("verdict")?,
                visitor: [row.text("country")?, row.text("device")?, row.text("os")?],
            })
        };
        let rows = tx.query(&CLICK_SUMS, &self.params(&[self.span_ms.into(), by_visitor.into()]))?;
        let stored = rows.iter().map(|row| Ok((key(row)?, clicks(row)?))).collect::<Result<_, Error>>()?;
        let mut raw = BTreeMap::new();
        for number in subjects {
            let more = [(*number).into(), self.span_ms.into(), by_visitor.into()];
            for row in tx.query(&CLICKS, &self.params(&more))? {
                raw.insert(key(&row)?, clicks(&row)?);
            }
        }
        Ok((stored, raw))
    }

    fn conversions(&self, tx: &mut Tx<'_>, subjects: &[i64]) -> Result<Sides<ConversionKey, Worth>, Error> {
        let key = |row: &Row| -> Result<ConversionKey, Error> {
            Ok(ConversionKey {
                subject: row.uuid("subject_id")?,
                span_ms: self.span_ms,
                start_ms: row.int("start_ms")?,
                status: row.text("status")?,
                currency: row.text("currency")?,
            })
        };
        let rows = tx.query(&CONVERSION_SUMS, &self.params(&[self.span_ms.into()]))?;
        let stored = rows.iter().map(|row| Ok((key(row)?, worth(row)?))).collect::<Result<_, Error>>()?;
        let mut raw = BTreeMap::new();
        for number in subjects {
            for row in tx.query(&CONVERSIONS, &self.params(&[(*number).into(), self.span_ms.into()]))? {
                raw.insert(key(&row)?, worth(&row)?);
            }
        }
        Ok((stored, raw))
    }
}
