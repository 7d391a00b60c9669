//! Counting a quarter of an hour anew: its counts and the sums of its day are dropped, its clicks listed and its
//! conversions' history marked as if they had just come. While clicks are being listed nothing is counted, so that a
//! click is either in a list or in the counts, never in both; what comes meanwhile waits in its own list. A process
//! that dies in between leaves the place where the next one goes on.

use std::collections::HashSet;

use domain::id::ClickId;
use domain::report::QUARTER_MS;
use domain::time::Timestamp;
use uuid::Uuid;

use super::arrival::ARRIVED;
use super::audit::{clicks_from, networks};
use super::{first_id, gathered, ids, state, sum};
use crate::{Db, Error, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&DROP_CLICKS, &DROP_CONVERSIONS, &UNMARK, &IDS, &LISTED];

static DROP_CLICKS: Statement =
    Statement::new("recount.drop_clicks", "delete from click_count where network_id = ?1 and start_ms = ?2");

static DROP_CONVERSIONS: Statement = Statement::new(
    "recount.drop_conversions",
    "delete from conversion_count where network_id = ?1 and start_ms = ?2",
);

static UNMARK: Statement = Statement::new(
    "recount.unmark",
    "update conversion_change set counted = 0 where counted = 1 and conversion_id in (
         select conversion_id from conversion where network_id = ?1 and received_ms >= ?2 and received_ms < ?3)",
);

static IDS: Statement = Statement::new(
    "recount.ids",
    "select click_id from click where click_id >= ?1 and click_id < ?2 order by click_id limit ?3",
);

static LISTED: Statement = Statement::new(
    "recount.listed",
    "select click_ids from click_arrival where first_id <= ?2 and last_id >= ?1",
);

/// Clicks that one step lists.
const CLICKS_A_STEP: i64 = 1_000;

/// Begins to count the quarter that starts at `start` anew; [`super::count`] does the rest. `false` when some of its
/// clicks were removed by retention: then its counts are all that is left of them.
pub async fn recount_quarter(db: &Db, start: Timestamp) -> Result<bool, Error> {
    // One quarter at a time: what another process began is ended first.
    while recount_step(db).await? {}
    db.write(move |tx| {
        state::lock_to_add(tx)?;
        if start < clicks_from(tx)? {
            return Ok(false);
        }
        let until = start.plus_ms(QUARTER_MS);
        for network in networks(tx)? {
            sum::drop_day(tx, network, start)?;
            gathered::drop(tx, network, start)?;
            let network: Value = network.uuid().into();
            tx.execute(&DROP_CLICKS, &[network.clone(), start.ms().into()])?;
            tx.execute(&DROP_CONVERSIONS, &[network.clone(), start.ms().into()])?;
            tx.execute(&UNMARK, &[network, start.ms().into(), until.ms().into()])?;
        }
        state::list(tx, Some((first_id(start), first_id(until))))?;
        Ok(true)
    })
    .await
}

/// Lists the next clicks of a quarter that is being counted anew. False when there is none.
pub async fn recount_step(db: &Db) -> Result<bool, Error> {
    if db.read(state::look).await?.anew.is_none() {
        return Ok(false);
    }
    db.write(step).await?;
    Ok(true)
}

fn step(tx: &mut Tx<'_>) -> Result<(), Error> {
    let Some((position, until)) = state::lock(tx)?.anew else { return Ok(()) };
    // The clicks are read before the lists: on PostgreSQL each statement sees what was committed until then, and a
    // click that comes in between has its line then, and is not among those that were read.
    let rows = tx.query(&IDS, &[position.into(), until.into(), CLICKS_A_STEP.into()])?;
    let clicks = rows.iter().map(|row| row.uuid("click_id")).collect::<Result<Vec<Uuid>, _>>()?;
    let (Some(first), Some(last)) = (clicks.first(), clicks.last()) else {
        return state::list(tx, None);
    };
    let mut listed: HashSet<ClickId> = HashSet::new();
    for line in tx.query(&LISTED, &[(*first).into(), (*last).into()])? {
        listed.extend(ids(&line)?);
    }
    let fresh: Vec<&Uuid> = clicks.iter().filter(|id| !listed.contains(&ClickId(**id))).collect();
    if let (Some(from), Some(to)) = (fresh.first(), fresh.last()) {
        let all: Vec<u8> = fresh.iter().flat_map(|id| id.into_bytes()).collect();
        let count = i64::try_from(fresh.len()).unwrap_or(i64::MAX);
        // Without notes: the clicks are read again.
        let line = [(**from).into(), (**to).into(), count.into(), all.into(), Value::Null];
        tx.execute(&ARRIVED, &line)?;
    }
    let next = Uuid::from_u128(last.as_u128().saturating_add(1));
    state::list(tx, Some((next, until)))
}
