//! What many clicks add to the counts, gathered before it is added.
//!
//! Clicks come in an order that has nothing to do with the counts' own: of sixty that came together nearly each is of
//! another place, and often on another page. So they are gathered by the thousand and put in the order of the counts'
//! key, and then added in that order, some places in a transaction: many clicks share a place or a page, and clicks
//! that come wait for a short write. A click is in a line of arrival, or in a part that is gathered, or in the
//! counts, and goes from one to the next in one transaction.
//!
//! A part is places of one network's quarter, one behind the other: the length of a [`place`], the place, and how many
//! clicks are of it, in the shapes of [`domain::bytes`]. Places that differ in marks alone count together.

use std::collections::BTreeMap;

use domain::bytes::{Damaged, Reader, Writer};
use domain::id::{ClickId, NetworkId};
use domain::time::Timestamp;
use uuid::Uuid;

use super::add::add;
use super::owner::Owners;
use super::{ClickCounts, ConversionCounts, place, state};
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&PUT, &WAITS, &NEXT, &TAKE, &OF_QUARTER, &DROP];

static PUT: Statement = Statement::new(
    "gathered.put",
    "insert into click_gathered (network_id, start_ms, first_id, part, places) values (?1, ?2, ?3, ?4, ?5)",
);

static WAITS: Statement = Statement::new("gathered.waits", "select part from click_gathered limit 1");

static NEXT: Statement = Statement::new(
    "gathered.next",
    "select network_id, start_ms, first_id, part, places from click_gathered
     order by network_id, start_ms, first_id, part limit ?1",
);

static TAKE: Statement = Statement::new(
    "gathered.take",
    "delete from click_gathered where network_id = ?1 and start_ms = ?2 and first_id = ?3 and part = ?4",
);

static OF_QUARTER: Statement = Statement::new(
    "gathered.of_quarter",
    "select network_id, places from click_gathered where start_ms = ?1",
);

static DROP: Statement =
    Statement::new("gathered.drop", "delete from click_gathered where network_id = ?1 and start_ms = ?2");

/// Places that are added in one transaction, and those of a part.
pub(super) const PLACES_A_STEP: usize = 128;

/// Parts that are read at once.
const PARTS_A_STEP: i64 = 16;

/// How many clicks are of which places, in the order of the counts' key as far as it matters: those of a link lie
/// together.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<Timestamp, BTreeMap<Vec<u8>, i64>>);

impl Places {
    pub(super) fn add(&mut self, start: Timestamp, place: &[u8]) {
        let places = self.0.entry(start).or_default();
        match places.get_mut(place) {
            Some(clicks) => *clicks += 1,
            None => std::mem::drop(places.insert(place.to_vec(), 1)),
        }
    }

    /// By whose they are.
    pub(super) fn owned(&self, tx: &mut Tx<'_>, owners: &Owners) -> Result<Owned, Error> {
        let mut owned = Owned::default();
        for (start, places) in &self.0 {
            for (place, clicks) in places {
                let whose = owners.of(tx, place::link(place).map_err(damaged)?)?;
                // A link is never taken away; without it nobody could be told of its clicks.
                let network = whose.map_or(NetworkId(Uuid::nil()), |whose| whose.network);
                owned.0.entry((network, *start)).or_default().push((place.clone(), *clicks));
            }
        }
        Ok(owned)
    }
}

/// Places of networks' quarters, with how many clicks are of each.
#[derive(Debug, Default)]
pub(super) struct Owned(BTreeMap<(NetworkId, Timestamp), Vec<Counted>>);

/// A place, and how many clicks are of it.
type Counted = (Vec<u8>, i64);

impl Owned {
    pub(super) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// What they add to the counts.
    pub(super) fn counts(&self) -> Result<ClickCounts, Error> {
        let mut counts = ClickCounts::new();
        for ((network, start), places) in &self.0 {
            for (place, clicks) in places {
                count(&mut counts, place, *network, *start, *clicks).map_err(damaged)?;
            }
        }
        Ok(counts)
    }

    /// Keeps them in parts, to be added later. `first` is the earliest of the clicks.
    pub(super) fn put(&self, tx: &mut Tx<'_>, first: ClickId) -> Result<(), Error> {
        let mut rows: Vec<[Value; 5]> = Vec::new();
        for ((network, start), places) in &self.0 {
            for (part, places) in (0_i64..).zip(places.chunks(PLACES_A_STEP)) {
                rows.push([
                    network.uuid().into(),
                    start.ms().into(),
                    first.uuid().into(),
                    part.into(),
                    pack(places).into(),
                ]);
            }
        }
        tx.execute_each(&PUT, &rows).map(std::mem::drop)
    }
}

/// Whether something is gathered and not added.
pub(super) fn waits(tx: &mut Tx<'_>) -> Result<bool, Error> {
    tx.query_one(&WAITS, &[]).map(|row| row.is_some())
}

/// Adds the next parts to the counts, and tells how many places that were and whether parts are left.
pub(super) fn add_next(tx: &mut Tx<'_>, owners: &Owners) -> Result<(u64, bool), Error> {
    state::lock_to_add(tx)?;
    let mut counts = ClickCounts::new();
    for part in tx.query(&NEXT, &[PARTS_A_STEP.into()])? {
        if counts.len() >= PLACES_A_STEP {
            break;
        }
        let (network, start) = (NetworkId(part.uuid("network_id")?), start(&part)?);
        read(&part, network, start, &mut counts)?;
        let place: [Value; 4] = [
            network.uuid().into(),
            start.ms().into(),
            part.uuid("first_id")?.into(),
            part.int("part")?.into(),
        ];
        tx.execute(&TAKE, &place)?;
    }
    add(tx, owners, &counts, &ConversionCounts::new())?;
    Ok((counts.len() as u64, waits(tx)?))
}

/// What is gathered of a quarter, of all networks.
pub(super) fn of_quarter(tx: &mut Tx<'_>, start: Timestamp) -> Result<ClickCounts, Error> {
    let mut counts = ClickCounts::new();
    for part in tx.query(&OF_QUARTER, &[start.ms().into()])? {
        read(&part, NetworkId(part.uuid("network_id")?), start, &mut counts)?;
    }
    Ok(counts)
}

/// Forgets what is gathered of a quarter, whose clicks are counted anew.
pub(super) fn drop(tx: &mut Tx<'_>, network: NetworkId, start: Timestamp) -> Result<(), Error> {
    tx.execute(&DROP, &[network.uuid().into(), start.ms().into()]).map(std::mem::drop)
}

fn start(part: &Row) -> Result<Timestamp, Error> {
    part.int("start_ms").map(Timestamp::from_ms)
}

fn pack(places: &[Counted]) -> Vec<u8> {
    let mut to = Writer::default();
    for (place, clicks) in places {
        to.number(place.len() as u64);
        to.0.extend(place);
        to.number(clicks.cast_unsigned());
    }
    to.0
}

fn read(part: &Row, network: NetworkId, start: Timestamp, into: &mut ClickCounts) -> Result<(), Error> {
    let places = part.blob("places")?;
    let mut from = Reader(&places);
    let mut next = || {
        let length = usize::try_from(from.number()?).unwrap_or(usize::MAX);
        let place = from.take(length)?;
        count(into, place, network, start, from.number()?.cast_signed())?;
        Ok(from.0.is_empty())
    };
    while !next().map_err(damaged)? {}
    Ok(())
}

fn count(
    counts: &mut ClickCounts,
    place: &[u8],
    network: NetworkId,
    start: Timestamp,
    clicks: i64,
) -> Result<(), Damaged> {
    if let Some((key, clicks)) = place::read(place, network, start, clicks)? {
        counts.entry(key).or_default().add(&clicks);
    }
    Ok(())
}

fn damaged(why: Damaged) -> Error {
    Error::bug("click_gathered.places", why)
}
