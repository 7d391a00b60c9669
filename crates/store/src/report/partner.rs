//! A partner's figures by quarters of an hour, in one go: what its first page shows of several days at once.

use std::collections::BTreeMap;

use domain::conversion::Status;
use domain::id::{NetworkId, PartnerId};
use domain::money::Currency;
use domain::report::{Line, Takings};
use domain::time::Timestamp;

use super::{clicks, worth};
use crate::{Error, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&CLICKS, &CONVERSIONS];

static CLICKS: Statement = Statement::new(
    "report_partner.clicks",
    "select c.start_ms, cast(sum(c.hits) as bigint) as hits, cast(sum(c.counted) as bigint) as counted,
         cast(sum(c.unique_clicks) as bigint) as unique_clicks, cast(sum(c.sent_on) as bigint) as sent_on,
         cast(sum(c.bots) as bigint) as bots, cast(sum(c.prefetches) as bigint) as prefetches
     from link l join click_count c on c.link_id = l.link_id
     where l.network_id = ?1 and l.partner_id = ?2 and c.start_ms >= ?3 and c.start_ms < ?4
     group by c.start_ms",
);

static CONVERSIONS: Statement = Statement::new(
    "report_partner.conversions",
    "select c.start_ms, c.status, c.currency, cast(sum(c.conversions) as bigint) as conversions,
         cast(sum(c.revenue_micros) as bigint) as revenue_micros, cast(sum(c.payout_micros) as bigint) as payout_micros
     from conversion_count c join link l on l.link_id = c.link_id
     where c.network_id = ?1 and l.partner_id = ?2 and c.start_ms >= ?3 and c.start_ms < ?4
     group by c.start_ms, c.status, c.currency having sum(c.conversions) <> 0",
);

/// What a partner's links took in each quarter of an hour between two moments, without the network's revenue. Quarters
/// without clicks and conversions are left out.
pub fn quarters(
    tx: &mut Tx<'_>,
    network: NetworkId,
    partner: PartnerId,
    from: Timestamp,
    until: Timestamp,
) -> Result<BTreeMap<Timestamp, Line>, Error> {
    let params: [Value; 4] =
        [network.uuid().into(), partner.uuid().into(), from.ms().into(), until.ms().into()];
    let mut quarters: BTreeMap<Timestamp, Line> = BTreeMap::new();
    for row in tx.query(&CLICKS, &params)? {
        let line = quarters.entry(Timestamp::from_ms(row.int("start_ms")?)).or_default();
        line.clicks.get_or_insert_default().add(&clicks(&row)?);
    }
    for row in tx.query(&CONVERSIONS, &params)? {
        let line = quarters.entry(Timestamp::from_ms(row.int("start_ms")?)).or_default();
        let (worth, status): (_, Status) = (worth(&row)?, row.code("status")?);
        let currency: Currency = row.code("currency")?;
        let takings = Takings::of(status, worth.conversions, 0, worth.payout_micros);
        line.take(currency, &Takings { revenue_micros: None, ..takings });
    }
    Ok(quarters)
}
