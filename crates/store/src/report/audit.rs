//! The audit: everything that is counted, counted again from the raw rows, and compared. It shares no code with
//! the counting but the shape of a key and how a click's facts are read.

use std::collections::BTreeMap;

use domain::id::{ClickId, LinkId, NetworkId};
use domain::period::Period;
use domain::report::{Clicks, QUARTER_MS, quarter};
use domain::time::Timestamp;
use uuid::Uuid;

use super::gather::{moves, of_clicks};
use super::{
    ClickCounts, ClickKey, ConversionCounts, ConversionKey, click_key, clicks, conversion_key, first_id,
    gathered, ids, pages, state, worth,
};
use crate::{Error, Row, Statement, Tx, Value, click, retention};

pub(crate) const ALL: &[&Statement] = &[
    &RAW_CLICKS,
    &COUNTED_CLICKS,
    &LISTED,
    &RAW_CONVERSIONS,
    &COUNTED_CONVERSIONS,
    &UNCOUNTED,
    &HISTORY,
    &PLACES,
    &NETWORKS,
    &NEXT_CLICK,
    &NEXT,
    &TALLIES,
    &TALLY,
    &DELIVERIES,
];

/// Clicks that are read at once.
const PAGE: usize = 5_000;

/// Bits and numbers stand here as they are stored: 7 are the marks of what is not counted, 0, 6 and 7 the verdicts of
/// what is sent on.
static RAW_CLICKS: Statement = Statement::new(
    "audit.raw_clicks",
    "select l.network_id, k.click_id, k.link_id, k.verdict, k.facts, 1 as hits,
         case when (k.marks & 7) = 0 then 1 else 0 end as counted,
         case when (k.marks & 39) = 0 then 1 else 0 end as unique_clicks,
         case when (k.marks & 23) = 0 and k.verdict in (0, 6, 7) then 1 else 0 end as sent_on,
         (k.marks & 4) / 4 as bots, k.marks & 1 as prefetches
     from click k left join link l on l.link_id = k.link_id
     where k.click_id > ?1 and k.click_id < ?2 and (k.marks & 2) = 0 order by k.click_id limit ?3",
);

static COUNTED_CLICKS: Statement = Statement::new(
    "audit.counted_clicks",
    "select network_id, link_id, verdict, country, device, os, hits, counted, unique_clicks, sent_on, bots, prefetches
     from click_count where network_id = ?1 and start_ms = ?2",
);

static LISTED: Statement = Statement::new(
    "audit.listed",
    "select click_ids from click_arrival where first_id < ?2 and last_id >= ?1",
);

static RAW_CONVERSIONS: Statement = Statement::new(
    "audit.raw_conversions",
    "select link_id, event_id, status, coalesce(reason, '') as reason, currency, count(*) as conversions,
         cast(sum(revenue_micros) as bigint) as revenue_micros, cast(sum(payout_micros) as bigint) as payout_micros
     from conversion where network_id = ?1 and received_ms >= ?2 and received_ms < ?3 and test = 0
     group by link_id, event_id, status, reason, currency",
);

static COUNTED_CONVERSIONS: Statement = Statement::new(
    "audit.counted_conversions",
    "select link_id, event_id, status, reason, currency, conversions, revenue_micros, payout_micros
     from conversion_count where network_id = ?1 and start_ms = ?2",
);

static UNCOUNTED: Statement = Statement::new(
    "audit.uncounted",
    "select h.conversion_id, h.version, h.status, h.reason, b.status as status_before, b.reason as reason_before,
         c.network_id, c.received_ms, c.link_id, c.event_id, c.currency, c.revenue_micros, c.payout_micros, c.test
     from conversion c
     join conversion_change h on h.conversion_id = c.conversion_id and h.counted = 0
     left join conversion_change b on b.conversion_id = h.conversion_id and b.version = h.version - 1
     where c.network_id = ?1 and c.received_ms >= ?2 and c.received_ms < ?3",
);

static HISTORY: Statement = Statement::new(
    "audit.history",
    "select c.conversion_id, c.version, c.status,
         (select count(*) from conversion_change h where h.conversion_id = c.conversion_id) as lines,
         coalesce((select h.status from conversion_change h
             where h.conversion_id = c.conversion_id and h.version = c.version), '') as last_status
     from conversion c
     where c.network_id = ?1 and c.received_ms >= ?2 and c.received_ms < ?3
         and ((select count(*) from conversion_change h
                 where h.conversion_id = c.conversion_id and h.version <= c.version) <> c.version + 1
             or not exists (select 1 from conversion_change h
                 where h.conversion_id = c.conversion_id and h.version = c.version and h.status = c.status))
     order by c.conversion_id limit 100",
);

static PLACES: Statement = Statement::new(
    "audit.places",
    "select c.conversion_id, c.status, o.conversion_id as other_id
     from conversion c
     left join conversion o on o.network_id = c.network_id and o.offer_id = c.offer_id and o.event_id = c.event_id
         and o.partner_id = c.partner_id and o.pub_member_id = c.pub_member_id and o.holds_place = 1
         and o.conversion_id <> c.conversion_id
     where c.network_id = ?1 and c.received_ms >= ?2 and c.received_ms < ?3 and c.holds_place = 1
         and (o.conversion_id is not null or c.status = 'Rejected' or c.test = 1)
     order by c.conversion_id limit 100",
);

static NETWORKS: Statement = Statement::new("audit.networks", "select network_id from network");

static NEXT_CLICK: Statement = Statement::new(
    "audit.next_click",
    "select click_id from click where click_id >= ?1 order by click_id limit 1",
);

static NEXT: Statement = Statement::new(
    "audit.next",
    "select (select min(start_ms) from click_count where network_id = ?1 and start_ms >= ?2) as clicks_ms,
         (select min(start_ms) from conversion_count where network_id = ?1 and start_ms >= ?2) as conversions_ms,
         (select min(received_ms) from conversion where network_id = ?1 and received_ms >= ?2) as received_ms",
);

static TALLIES: Statement = Statement::new(
    "audit.tallies",
    "select t.offer_id, t.event_id, t.period, t.start_ms, t.network_id, t.conversions, t.revenue_micros, o.currency
     from tally t join offer o on o.offer_id = t.offer_id
     order by t.offer_id, t.event_id, t.period, t.start_ms limit 10000",
);

static TALLY: Statement = Statement::new(
    "audit.tally",
    "select count(*) as conversions, cast(coalesce(sum(case when currency = ?6 then revenue_micros else 0 end), 0)
         as bigint) as revenue_micros
     from conversion
     where network_id = ?1 and offer_id = ?2 and (event_id = ?3 or ?3 = ?7) and received_ms >= ?4 and received_ms < ?5
         and status <> 'Rejected' and test = 0",
);

static DELIVERIES: Statement = Statement::new(
    "audit.deliveries",
    "select d.delivery_id, d.conversion_id, d.version,
         cast(case when exists (select 1 from conversion c where c.conversion_id = d.conversion_id
                 and c.network_id = d.network_id and c.partner_id = d.partner_id and c.version >= d.version)
             then 1 else 0 end as bigint) as belongs
     from delivery d where d.delivery_id > ?1 order by d.delivery_id limit 5000",
);

/// Something that is stored otherwise than the raw rows say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Of what: `clicks`, `conversions`, `sums`, `tally`, `history`, `place`, `delivery`.
    pub of: &'static str,
    /// Which one, by its ids.
    pub which: String,
    /// What is stored.
    pub stored: String,
    /// What the raw rows say.
    pub raw: String,
}

/// From the first quarter that has anything until behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first quarter.
    pub from: Timestamp,
    /// Behind the quarter of now.
    pub until: Timestamp,
    /// The first quarter whose clicks are all kept: the counts of those before cannot be counted again.
    pub clicks_from: Timestamp,
}

/// The range in which there is anything.
pub fn extent(tx: &mut Tx<'_>, now: Timestamp) -> Result<Extent, Error> {
    let first = next_busy(tx, Timestamp::from_ms(0))?;
    Ok(Extent {
        from: first.unwrap_or(quarter(now)),
        until: quarter(now).plus_ms(QUARTER_MS),
        clicks_from: clicks_from(tx)?,
    })
}

/// The first quarter of which retention has removed no click.
pub(super) fn clicks_from(tx: &mut Tx<'_>) -> Result<Timestamp, Error> {
    let border = retention::border(tx, retention::Class::Clicks)?;
    Ok(border.map_or(Timestamp::from_ms(0), |border| quarter(border.until.plus_ms(QUARTER_MS - 1))))
}

/// The first quarter from `start` on that has clicks, conversions or counts.
pub fn next_busy(tx: &mut Tx<'_>, start: Timestamp) -> Result<Option<Timestamp>, Error> {
    let click = tx.query_one(&NEXT_CLICK, &[first_id(start).into()])?;
    let click = click.map(|row| row.uuid("click_id")).transpose()?;
    let mut next = click.map(|id| quarter(ClickId(id).at()));
    for network in networks(tx)? {
        let Some(row) = tx.query_one(&NEXT, &[network.uuid().into(), start.ms().into()])? else { continue };
        for column in ["clicks_ms", "conversions_ms", "received_ms"] {
            let found = row.opt_int(column)?.map(|ms| quarter(Timestamp::from_ms(ms)));
            next = next.into_iter().chain(found).min();
        }
    }
    Ok(next)
}

/// Compares one quarter. What is not counted yet is left out on both sides.
pub fn audit_quarter(tx: &mut Tx<'_>, start: Timestamp) -> Result<Vec<Difference>, Error> {
    let mut differences = Vec::new();
    if start >= clicks_from(tx)? {
        compare(&mut differences, "clicks", &counted_clicks(tx, start)?, &raw_clicks(tx, start)?);
    }
    for network in networks(tx)? {
        let (raw, stored) = (raw_conversions(tx, network, start)?, counted_conversions(tx, network, start)?);
        compare(&mut differences, "conversions", &stored, &raw);
        rules(tx, network, start, &mut differences)?;
    }
    Ok(differences)
}

/// Every network, and the one of zeros: of clicks whose link is not stored.
pub(super) fn networks(tx: &mut Tx<'_>) -> Result<Vec<NetworkId>, Error> {
    let rows = tx.query(&NETWORKS, &[])?;
    let known = rows.iter().map(|row| row.uuid("network_id").map(NetworkId));
    known.chain([Ok(NetworkId(Uuid::nil()))]).collect()
}

fn counted_clicks(tx: &mut Tx<'_>, start: Timestamp) -> Result<ClickCounts, Error> {
    let mut stored = ClickCounts::new();
    for network in networks(tx)? {
        for row in tx.query(&COUNTED_CLICKS, &[network.uuid().into(), start.ms().into()])? {
            stored.insert(click_key(&row, start)?, clicks(&row)?);
        }
    }
    Ok(stored)
}

fn raw_clicks(tx: &mut Tx<'_>, start: Timestamp) -> Result<ClickCounts, Error> {
    let (from, until) = (first_id(start), first_id(start.plus_ms(QUARTER_MS)));
    let mut raw = ClickCounts::new();
    group(tx, (from, until), start, &mut raw, 1)?;
    // Of a quarter that is being counted anew, the clicks from a position on are in no list yet.
    let position = state::look(tx)?.anew.map(|(position, _)| position);
    let unlisted = position.filter(|at| (from..until).contains(at)).unwrap_or(until);
    if unlisted < until {
        group(tx, (unlisted, until), start, &mut raw, -1)?;
    }
    let mut waiting = Vec::new();
    for line in tx.query(&LISTED, &[from.into(), unlisted.into()])? {
        waiting.extend(ids(&line)?.into_iter().filter(|id| (from..unlisted).contains(&id.uuid())));
    }
    for (key, counts) in of_clicks(tx, waiting)?.into_iter().chain(gathered::of_quarter(tx, start)?) {
        raw.entry(key).or_default().add(&negative(&counts));
    }
    Ok(raw)
}

/// Adds the clicks of a range of ids, page by page, or takes them away.
fn group(
    tx: &mut Tx<'_>,
    (from, until): (Uuid, Uuid),
    start: Timestamp,
    into: &mut ClickCounts,
    sign: i64,
) -> Result<(), Error> {
    let mut last = Uuid::from_u128(from.as_u128().saturating_sub(1));
    pages(tx, PAGE, |tx| {
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows = tx.query(&RAW_CLICKS, &[last.into(), until.into(), limit.into()])?;
        for row in &rows {
            last = row.uuid("click_id")?;
            let found = clicks(row)?;
            let found = if sign < 0 { negative(&found) } else { found };
            into.entry(raw_key(row, start)?).or_default().add(&found);
        }
        Ok(rows.len())
    })
}

fn negative(counts: &Clicks) -> Clicks {
    Clicks {
        hits: -counts.hits,
        counted: -counts.counted,
        unique: -counts.unique,
        sent_on: -counts.sent_on,
        bots: -counts.bots,
        prefetches: -counts.prefetches,
    }
}

fn raw_conversions(tx: &mut Tx<'_>, network: NetworkId, start: Timestamp) -> Result<ConversionCounts, Error> {
    let range: [Value; 3] = [network.uuid().into(), start.ms().into(), start.plus_ms(QUARTER_MS).ms().into()];
    let mut raw = ConversionCounts::new();
    for row in tx.query(&RAW_CONVERSIONS, &range)? {
        raw.entry(conversion_key(&row, network, start)?).or_default().add(worth(&row)?, 1);
    }
    for change in tx.query(&UNCOUNTED, &range)? {
        for (key, worth, sign) in moves(&change)? {
            raw.entry(key).or_default().add(worth, -sign);
        }
    }
    Ok(raw)
}

fn counted_conversions(
    tx: &mut Tx<'_>,
    network: NetworkId,
    start: Timestamp,
) -> Result<ConversionCounts, Error> {
    let rows = tx.query(&COUNTED_CONVERSIONS, &[network.uuid().into(), start.ms().into()])?;
    rows.iter().map(|row| Ok((conversion_key(row, network, start)?, worth(row)?))).collect()
}

fn raw_key(row: &Row, start: Timestamp) -> Result<ClickKey, Error> {
    let facts = click::own_facts(row)?;
    Ok(ClickKey {
        network: NetworkId(row.opt_uuid("network_id")?.unwrap_or(Uuid::nil())),
        start,
        link: LinkId(row.uuid("link_id")?),
        verdict: row.int("verdict")?,
        country: facts.country.map_or_else(String::new, |country| country.to_string()),
        device: facts.device.map_or_else(String::new, |device| device.to_string()),
        os: facts.os,
    })
}

/// What is on one side only, or other on the other. Nothing and no row are the same.
pub(super) fn compare<K, V>(
    out: &mut Vec<Difference>,
    of: &'static str,
    stored: &BTreeMap<K, V>,
    raw: &BTreeMap<K, V>,
) where
    K: Ord + Told,
    V: Copy + Default + PartialEq + std::fmt::Debug,
{
    let only_raw = raw.keys().filter(|key| !stored.contains_key(key));
    for key in stored.keys().chain(only_raw) {
        let value = |side: &BTreeMap<K, V>| side.get(key).copied().unwrap_or_default();
        let (stored, raw) = (value(stored), value(raw));
        if stored != raw {
            let tell = |value: V| format!("{value:?}");
            out.push(Difference { of, which: key.told(), stored: tell(stored), raw: tell(raw) });
        }
    }
}

/// A key in words.
pub(super) trait Told {
    fn told(&self) -> String;
}

impl Told for ClickKey {
    fn told(&self) -> String {
        let Self { start, link, verdict, country, device, os, .. } = self;
        let code = domain::click::Verdict::from_number(*verdict).map_or("?", domain::click::Verdict::code);
        format!("{start} link {link} {code} country `{country}` device `{device}` os `{os}`")
    }
}

impl Told for ConversionKey {
    fn told(&self) -> String {
        let Self { start, link, event, status, reason, currency, .. } = self;
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        format!("{start} link {link} event {event} {status}{reason} {currency}")
    }
}

/// What holds whatever is counted: one conversion in a place, and a history up to the status of now.
fn rules(
    tx: &mut Tx<'_>,
    network: NetworkId,
    start: Timestamp,
    out: &mut Vec<Difference>,
) -> Result<(), Error> {
    let range: [Value; 3] = [network.uuid().into(), start.ms().into(), start.plus_ms(QUARTER_MS).ms().into()];
    for row in tx.query(&HISTORY, &range)? {
        out.push(Difference {
            of: "history",
            which: format!("conversion {}", row.uuid("conversion_id")?),
            stored: format!("version {} is {}", row.int("version")?, row.text("status")?),
            raw: format!("{} lines, the last says `{}`", row.int("lines")?, row.text("last_status")?),
        });
    }
    for row in tx.query(&PLACES, &range)? {
        let other = row.opt_uuid("other_id")?.map(|id| format!(", as conversion {id} does"));
        out.push(Difference {
            of: "place",
            which: format!("conversion {}", row.uuid("conversion_id")?),
            stored: format!("holds its member's place{}", other.unwrap_or_default()),
            raw: format!("it is {}", row.text("status")?),
        });
    }
    Ok(())
}

/// Compares what caps and budgets have taken with the conversions of their periods, at most 10,000 of them.
pub fn audit_tallies(tx: &mut Tx<'_>) -> Result<Vec<Difference>, Error> {
    let mut differences = Vec::new();
    for tally in tx.query(&TALLIES, &[])? {
        let (period, start): (Period, _) =
            (tally.code("period")?, Timestamp::from_ms(tally.int("start_ms")?));
        let (offer, event) = (tally.uuid("offer_id")?, tally.uuid("event_id")?);
        let end = period.end(start).map_or(i64::MAX, Timestamp::ms);
        let params: [Value; 7] = [
            tally.uuid("network_id")?.into(),
            offer.into(),
            event.into(),
            start.ms().into(),
            end.into(),
            tally.text("currency")?.into(),
            Uuid::nil().into(),
        ];
        let Some(raw) = tx.query_one(&TALLY, &params)? else { continue };
        let tell = |row: &Row| -> Result<String, Error> {
            Ok(format!("{} conversions, {} micros", row.int("conversions")?, row.int("revenue_micros")?))
        };
        let (stored, raw) = (tell(&tally)?, tell(&raw)?);
        if stored != raw {
            let which = format!("offer {offer} event {event} {period} from {start}");
            differences.push(Difference { of: "tally", which, stored, raw });
        }
    }
    Ok(differences)
}

/// Looks at some thousand deliveries behind one; each belongs to a conversion of its partner. Returns what does not,
/// and the last one that was looked at; none when there are no more.
pub fn audit_deliveries(tx: &mut Tx<'_>, after: Uuid) -> Result<(Vec<Difference>, Option<Uuid>), Error> {
    let rows = tx.query(&DELIVERIES, &[after.into()])?;
    let mut differences = Vec::new();
    for row in &rows {
        if !row.flag("belongs")? {
            differences.push(Difference {
                of: "delivery",
                which: format!("delivery {}", row.uuid("delivery_id")?),
                stored: format!("conversion {} version {}", row.uuid("conversion_id")?, row.int("version")?),
                raw: "its partner has no such conversion".to_owned(),
            });
        }
    }
    let last = rows.last().map(|row| row.uuid("delivery_id")).transpose()?;
    Ok((differences, last))
}
