//! Adds to the counts, and to the sums of quarters that are summed up already.

use std::collections::BTreeSet;

use domain::report::Clicks;

use super::owner::Owners;
use super::sum::{self, Sums};
use super::{ClickCounts, ClickKey, ConversionCounts, ConversionKey, Worth};
use crate::{Error, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&ADD_CLICKS, &ADD_CONVERSIONS];

static ADD_CLICKS: Statement = Statement::new(
    "report.add_clicks",
    "insert into click_count (network_id, start_ms, link_id, verdict, country, device, os, hits, counted, unique_clicks,
         sent_on, bots, prefetches)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
     on conflict (network_id, start_ms, link_id, verdict, country, device, os) do update set
         hits = click_count.hits + excluded.hits, counted = click_count.counted + excluded.counted,
         unique_clicks = click_count.unique_clicks + excluded.unique_clicks,
         sent_on = click_count.sent_on + excluded.sent_on, bots = click_count.bots + excluded.bots,
         prefetches = click_count.prefetches + excluded.prefetches",
);

static ADD_CONVERSIONS: Statement = Statement::new(
    "report.add_conversions",
    "insert into conversion_count (network_id, start_ms, link_id, event_id, status, reason, currency, conversions,
         revenue_micros, payout_micros)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
     on conflict (network_id, start_ms, link_id, event_id, status, reason, currency) do update set
         conversions = conversion_count.conversions + excluded.conversions,
         revenue_micros = conversion_count.revenue_micros + excluded.revenue_micros,
         payout_micros = conversion_count.payout_micros + excluded.payout_micros",
);

/// Adds clicks and conversions, in the transaction of whoever has locked the counts.
pub(super) fn add(
    tx: &mut Tx<'_>,
    owners: &Owners,
    clicks: &ClickCounts,
    conversions: &ConversionCounts,
) -> Result<(), Error> {
    let of_clicks: Vec<_> = clicks.iter().map(|(key, counts)| click_row(key, counts)).collect();
    tx.execute_each(&ADD_CLICKS, &of_clicks)?;
    let moved = conversions.iter().filter(|(_, worth)| **worth != Worth::default());
    let of_conversions: Vec<_> = moved.map(|(key, worth)| conversion_row(key, worth)).collect();
    tx.execute_each(&ADD_CONVERSIONS, &of_conversions)?;
    late(tx, owners, clicks, conversions)?.write(tx)
}

/// What changes in quarters that are summed up: it is added to the sums as well.
fn late(
    tx: &mut Tx<'_>,
    owners: &Owners,
    clicks: &ClickCounts,
    conversions: &ConversionCounts,
) -> Result<Sums, Error> {
    let of_clicks = clicks.keys().map(|key| (key.network, key.start));
    let of_conversions = conversions.keys().map(|key| (key.network, key.start));
    let mut summed = BTreeSet::new();
    // Nobody can ask about clicks of a link that is not stored.
    for (network, start) in of_clicks.chain(of_conversions).collect::<BTreeSet<_>>() {
        if !network.uuid().is_nil() && sum::touch(tx, network, start)? {
            summed.insert((network, start));
        }
    }
    let mut sums = Sums::default();
    for (key, counts) in clicks.iter().filter(|(key, _)| summed.contains(&(key.network, key.start))) {
        if let Some(owner) = owners.of(tx, key.link)? {
            sums.click(&owner, key, counts);
        }
    }
    for (key, worth) in conversions.iter().filter(|(key, _)| summed.contains(&(key.network, key.start))) {
        if let Some(owner) = owners.of(tx, key.link)? {
            sums.conversion(&owner, key, *worth);
        }
    }
    Ok(sums)
}

fn click_row(key: &ClickKey, counts: &Clicks) -> [Value; 13] {
    [
        key.network.uuid().into(),
        key.start.ms().into(),
        key.link.uuid().into(),
        key.verdict.into(),
        key.country.as_str().into(),
        key.device.as_str().into(),
        key.os.as_str().into(),
        counts.hits.into(),
        counts.counted.into(),
        counts.unique.into(),
        counts.sent_on.into(),
        counts.bots.into(),
        counts.prefetches.into(),
    ]
}

fn conversion_row(key: &ConversionKey, worth: &Worth) -> [Value; 10] {
    [
        key.network.uuid().into(),
        key.start.ms().into(),
        key.link.uuid().into(),
        key.event.uuid().into(),
        key.status.as_str().into(),
        key.reason.as_str().into(),
        key.currency.as_str().into(),
        worth.conversions.into(),
        worth.revenue_micros.into(),
        worth.payout_micros.into(),
    ]
}
