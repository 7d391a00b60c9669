//! Counts by quarters of an hour, and the reports made of them.
//!
//! # Why a count is exact
//!
//! Clicks are keyed by the time inside their id, and nothing commits in that order: a batch waits in a queue, several
//! nodes write at once, a process stands still between deciding and writing, a clock is behind, and history is written
//! long after it happened. No line drawn through the ids, however late, has every row that will ever come before it.
//! So the watermark is not drawn through time. Each batch of clicks writes, **in its own transaction**, one line of
//! `click_arrival` that names its clicks; [`count`] takes many lines away and puts what they add, in the order of the
//! counts, into parts (`click_gathered`), and takes parts away and moves the counts, each **in one transaction**:
//!
//! - A click is durable if and only if its line is: they are one transaction. So no click comes without a line.
//! - A line is gone if and only if its clicks are in a part or in the counts, and a part is gone if and only if it is
//!   in the counts: each step is one transaction, and goes on only when it finds each line that was read, and that
//!   nobody else has taken any meanwhile (`report_state.steps`). Of two processes that read the same line one gives
//!   way, and everything that it did is undone. So a click is counted once, whoever dies when.
//! - No order of ids, commits, clocks or transaction numbers is used, so none can be wrong. A backup holds lines and
//!   counts of one moment; restored, also on the other engine, it goes on from there.
//!
//! What is counted is everything but lines and parts: that is the watermark, and [`as_of`] its time, the earliest
//! click that waits. Conversions need no list: each line of a conversion's history, written in the conversion's
//! transaction, waits in the same way (`conversion_change.counted`), and adds its status and takes the one before it
//! away. Sums do not depend on the order of their terms, so neither does this one.
//!
//! Counts are many: there are about as many as clicks where clicks are few. [`sum`] adds them up over hours and days.
//!
//! The counts do not move in the conversion's own transaction, as caps must: on PostgreSQL all conversions of a link
//! would then wait for each other's commit.

mod add;
mod arrival;
mod ask;
mod audit;
mod audit_sum;
mod count;
mod cover;
pub(crate) mod figures;
mod gather;
mod gathered;
mod owner;
mod place;
mod recount;
mod scan;
mod state;
mod sum;

use std::collections::BTreeMap;

use domain::id::{ClickId, EventId, LinkId, NetworkId};
use domain::report::Clicks;
use domain::time::Timestamp;
use uuid::{Builder, Uuid};

use crate::{Error, Row, Tx};

pub use self::ask::{AskError, ask, ask_clicks};
pub use self::audit::{
    Difference, Extent, audit_deliveries, audit_quarter, audit_tallies, extent, next_busy,
};
pub use self::audit_sum::audit_sums;
pub use self::count::{Counted, Counting, as_of, count};
pub use self::recount::{recount_quarter, recount_step};
pub use self::sum::sum;

pub(crate) use self::add::ALL as ADDED;
pub(crate) use self::arrival::{ALL as ARRIVALS, ARRIVED, forget, note};
pub(crate) use self::audit::ALL as AUDITED;
pub(crate) use self::audit_sum::ALL as SUMS_AUDITED;
pub(crate) use self::count::ALL as COUNTED;
pub(crate) use self::figures::ALL as FIGURES;
pub(crate) use self::gather::ALL as READ;
pub(crate) use self::gathered::ALL as GATHERED;
pub(crate) use self::owner::ALL as OWNED;
pub(crate) use self::recount::ALL as RECOUNTED;
pub(crate) use self::scan::ALL as SCANNED;
pub(crate) use self::state::ALL as STATED;
pub(crate) use self::sum::ALL as SUMMED;

/// Where a click is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ClickKey {
    network: NetworkId,
    start: Timestamp,
    link: LinkId,
    verdict: i64,
    country: String,
    device: String,
    os: String,
}

/// Where a conversion is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ConversionKey {
    network: NetworkId,
    start: Timestamp,
    link: LinkId,
    event: EventId,
    status: String,
    reason: String,
    currency: String,
}

/// Conversions with what they are worth, paid or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Worth {
    conversions: i64,
    revenue_micros: i64,
    payout_micros: i64,
}

impl Worth {
    fn add(&mut self, other: Self, sign: i64) {
        self.conversions += sign * other.conversions;
        self.revenue_micros += sign * other.revenue_micros;
        self.payout_micros += sign * other.payout_micros;
    }
}

type ClickCounts = BTreeMap<ClickKey, Clicks>;
type ConversionCounts = BTreeMap<ConversionKey, Worth>;

/// The lowest id that a click of this moment can have: ids from it on are not earlier.
pub(crate) fn first_id(at: Timestamp) -> Uuid {
    let ms = u64::try_from(at.ms()).unwrap_or(0);
    let low = Builder::from_unix_timestamp_millis(ms, &[0; 10]).into_uuid().into_bytes();
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&low[..6]);
    Uuid::from_bytes(bytes)
}

pub(crate) fn clicks(row: &Row) -> Result<Clicks, Error> {
    Ok(Clicks {
        hits: row.int("hits")?,
        counted: row.int("counted")?,
        unique: row.int("unique_clicks")?,
        sent_on: row.int("sent_on")?,
        bots: row.int("bots")?,
        prefetches: row.int("prefetches")?,
    })
}

fn click_key(row: &Row, start: Timestamp) -> Result<ClickKey, Error> {
    Ok(ClickKey {
        network: NetworkId(row.opt_uuid("network_id")?.unwrap_or(Uuid::nil())),
        start,
        link: LinkId(row.uuid("link_id")?),
        verdict: row.int("verdict")?,
        country: row.text("country")?,
        device: row.text("device")?,
        os: row.text("os")?,
    })
}

fn conversion_key(row: &Row, network: NetworkId, start: Timestamp) -> Result<ConversionKey, Error> {
    Ok(ConversionKey {
        network,
        start,
        link: LinkId(row.uuid("link_id")?),
        event: EventId(row.uuid("event_id")?),
        status: row.text("status")?,
        reason: row.text("reason")?,
        currency: row.text("currency")?,
    })
}

fn worth(row: &Row) -> Result<Worth, Error> {
    Ok(Worth {
        conversions: row.int("conversions")?,
        revenue_micros: row.int("revenue_micros")?,
        payout_micros: row.int("payout_micros")?,
    })
}

/// Every id of an arrival line.
fn ids(line: &Row) -> Result<Vec<ClickId>, Error> {
    let bytes = line.blob("click_ids")?;
    let ids = bytes.chunks_exact(16).filter_map(|id| Uuid::from_slice(id).ok());
    Ok(ids.map(ClickId).collect())
}

/// Reads page after page until one is not full.
fn pages(
    tx: &mut Tx<'_>,
    limit: usize,
    mut page: impl FnMut(&mut Tx<'_>) -> Result<usize, Error>,
) -> Result<(), Error> {
    while page(tx)? >= limit {}
    Ok(())
}
