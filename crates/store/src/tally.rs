//! Tallies: what an offer or an event has taken of its caps and budgets, moved in the conversion's own transaction.
//!
//! Tallies are kept only where a limit stands. The row of the total is locked first, so whoever counts the same
//! result waits, on every node, and a cap of N admits exactly N. A tally that is missing, because the limit is new,
//! is counted from the conversions.

use std::collections::HashMap;

use domain::cap::{Taken, Tally};
use domain::conversion::{Conversion, Status};
use domain::id::{EventId, NetworkId, OfferId};
use domain::offer::{Offer, Results};
use domain::period::Period;
use domain::time::Timestamp;

use crate::{Error, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&LOCK, &LOOK, &OPEN, &RECOUNT, &MOVE, &SINCE];

static LOCK: Statement = Statement::new(
    "tally.lock",
    "select conversions, revenue_micros from tally
     where offer_id = ?1 and event_id = ?2 and period = ?3 and start_ms = ?4 {for_update}",
);

static LOOK: Statement = Statement::new(
    "tally.look",
    "select conversions, revenue_micros from tally
     where offer_id = ?1 and event_id = ?2 and period = ?3 and start_ms = ?4",
);

static OPEN: Statement = Statement::new(
    "tally.open",
    "insert into tally (offer_id, event_id, period, start_ms, network_id, conversions, revenue_micros, changed_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
     on conflict do nothing",
);

/// The event of zeros counts every event of the offer.
static RECOUNT: Statement = Statement::new(
    "tally.recount",
    "select count(*) as conversions,
         cast(coalesce(sum(case when currency = ?5 then revenue_micros else 0 end), 0) as bigint) as revenue_micros
     from conversion
     where network_id = ?1 and offer_id = ?2 and (event_id = ?3 or ?3 = ?6) and received_ms >= ?4
         and received_ms < ?7 and status <> 'Rejected' and test = 0",
);

static MOVE: Statement = Statement::new(
    "tally.move",
    "update tally set conversions = conversions + ?5, revenue_micros = revenue_micros + ?6, changed_ms = ?7
     where offer_id = ?1 and event_id = ?2 and period = ?3 and start_ms = ?4",
);

static SINCE: Statement = Statement::new(
    "tally.since",
    "select offer_id, event_id, period, start_ms, conversions, revenue_micros, changed_ms
     from tally where changed_ms >= ?1 order by changed_ms limit ?2",
);

/// Whose tally: a result of an offer, or with [`EventId::NONE`] everything of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Its network.
    pub network: NetworkId,
    /// The offer.
    pub offer: OfferId,
    /// The event.
    pub event: EventId,
    /// The offer's currency; revenue in another one is not added.
    pub currency: String,
}

/// A tally as it was last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The offer.
    pub offer: OfferId,
    /// The event.
    pub event: EventId,
    /// The period.
    pub period: Period,
    /// Its first moment.
    pub start: Timestamp,
    /// What it has taken.
    pub tally: Tally,
    /// When it was written.
    pub changed: Timestamp,
}

impl Counted {
    fn new(offer: &Offer, event: EventId) -> Self {
        Self { network: offer.network.id, offer: offer.id, event, currency: offer.currency.code().to_owned() }
    }

    /// What a conversion of this offer and event is counted in: the event where it has caps, the whole offer where it
    /// has budgets. The offer first, always, so that two who count never wait for each other in a circle.
    fn all(offer: &Offer, event: EventId) -> Vec<Self> {
        let budgets = (!offer.rules.budgets.is_empty()).then(|| Self::new(offer, EventId::NONE));
        let capped = offer.terms(event).is_some_and(|terms| !terms.caps.is_empty());
        let caps =
            (capped && !(event == EventId::NONE && budgets.is_some())).then(|| Self::new(offer, event));
        budgets.into_iter().chain(caps).collect()
    }
}

/// What an event has taken of its caps and its offer of its budgets, in the periods that hold `at`. Nothing is read
/// where nothing is limited.
pub(crate) fn of_result(
    tx: &mut Tx<'_>,
    offer: &Offer,
    event: EventId,
    at: Timestamp,
) -> Result<(Taken, Taken), Error> {
    let (mut of_event, mut of_offer) = (Taken::default(), Taken::default());
    for counted in Counted::all(offer, event) {
        let taken = taken(tx, &counted, at)?;
        if counted.event == event {
            of_event = taken;
        }
        if counted.event == EventId::NONE {
            of_offer = taken;
        }
    }
    Ok((of_event, of_offer))
}

/// Counts a conversion that was just recorded.
pub(crate) fn recorded(tx: &mut Tx<'_>, offer: &Offer, conversion: &Conversion) -> Result<(), Error> {
    if conversion.status == Status::Rejected || conversion.test {
        return Ok(());
    }
    for counted in Counted::all(offer, conversion.event) {
        count(tx, &counted, conversion, 1, conversion.changed)?;
    }
    Ok(())
}

/// Gives a conversion's places back when it became `Rejected`, and takes them when it no longer is.
pub(crate) fn changed(
    tx: &mut Tx<'_>,
    offer: &Offer,
    before: Status,
    conversion: &Conversion,
) -> Result<(), Error> {
    let by = match (before, conversion.status) {
        _ if conversion.test => return Ok(()),
        (Status::Rejected, Status::Rejected) => return Ok(()),
        (Status::Rejected, _) => 1,
        (_, Status::Rejected) => -1,
        _ => return Ok(()),
    };
    for counted in Counted::all(offer, conversion.event) {
        count(tx, &counted, conversion, by, conversion.changed)?;
    }
    Ok(())
}

/// What the periods that hold `at` have taken. Locks them until the transaction ends.
fn taken(tx: &mut Tx<'_>, counted: &Counted, at: Timestamp) -> Result<Taken, Error> {
    let mut taken = Taken::default();
    // The total first: it exists once, so it is the one door to all periods.
    for period in [Period::Total, Period::Month, Period::Week, Period::Day] {
        taken.set(period, locked(tx, counted, period, at)?);
    }
    Ok(taken)
}

fn locked(tx: &mut Tx<'_>, counted: &Counted, period: Period, at: Timestamp) -> Result<Tally, Error> {
    let key = key(counted, period, at);
    for _ in 0..2 {
        if let Some(row) = tx.query_one(&LOCK, &key)? {
            return Ok(Tally {
                conversions: row.int("conversions")?,
                revenue_micros: row.int("revenue_micros")?,
            });
        }
        open(tx, counted, period, at)?;
    }
    Ok(Tally::default())
}

fn open(tx: &mut Tx<'_>, counted: &Counted, period: Period, at: Timestamp) -> Result<(), Error> {
    let Tally { conversions, revenue_micros } =
        recount(tx, counted, period.start(at), Timestamp::from_ms(i64::MAX))?;
    let [offer, event, period, start] = key(counted, period, at);
    let network = counted.network.uuid().into();
    let params =
        [offer, event, period, start, network, conversions.into(), revenue_micros.into(), at.ms().into()];
    tx.execute(&OPEN, &params).map(drop)
}

/// The conversions that count, received from `start` on and before `end`.
fn recount(tx: &mut Tx<'_>, counted: &Counted, start: Timestamp, end: Timestamp) -> Result<Tally, Error> {
    let params = [
        counted.network.uuid().into(),
        counted.offer.uuid().into(),
        counted.event.uuid().into(),
        start.ms().into(),
        counted.currency.as_str().into(),
        EventId::NONE.uuid().into(),
        end.ms().into(),
    ];
    let found = tx.query_one(&RECOUNT, &params)?;
    found.map_or(Ok(Tally::default()), |row| {
        Ok(Tally { conversions: row.int("conversions")?, revenue_micros: row.int("revenue_micros")? })
    })
}

/// What an offer and its limited events had taken before `at` of the periods that hold it, counted from the
/// conversions as they stand now. Writes and locks nothing.
pub(crate) fn counted_before(
    tx: &mut Tx<'_>,
    offer: &Offer,
    at: Timestamp,
) -> Result<HashMap<EventId, Taken>, Error> {
    let events = match &offer.results {
        Results::Single(_) => vec![EventId::NONE],
        Results::Multi(events) => events.iter().map(|event| event.id).collect(),
    };
    let mut all = HashMap::new();
    for counted in events.into_iter().flat_map(|event| Counted::all(offer, event)) {
        let mut taken = Taken::default();
        for period in Period::ALL {
            taken.set(*period, recount(tx, &counted, period.start(at), at)?);
        }
        all.insert(counted.event, taken);
    }
    Ok(all)
}

/// What is kept of a result's limits in the periods that hold `at`, or would be if it were opened now. Writes and locks
/// nothing.
pub(crate) fn as_kept(
    tx: &mut Tx<'_>,
    offer: &Offer,
    event: EventId,
    at: Timestamp,
) -> Result<Vec<Written>, Error> {
    let mut kept = Vec::new();
    for counted in Counted::all(offer, event) {
        for period in Period::ALL {
            let (key, start) = (key(&counted, *period, at), period.start(at));
            let tally = match tx.query_one(&LOOK, &key)? {
                Some(row) => {
                    Tally { conversions: row.int("conversions")?, revenue_micros: row.int("revenue_micros")? }
                }
                None => recount(tx, &counted, start, Timestamp::from_ms(i64::MAX))?,
            };
            let Counted { offer, event, .. } = counted;
            kept.push(Written { offer, event, period: *period, start, tally, changed: at });
        }
    }
    Ok(kept)
}

/// Keeps a tally as it was in another database, unless there is one already.
pub(crate) fn keep(tx: &mut Tx<'_>, network: NetworkId, own: &Written) -> Result<(), Error> {
    let params = [
        own.offer.uuid().into(),
        own.event.uuid().into(),
        own.period.code().into(),
        own.start.ms().into(),
        network.uuid().into(),
        own.tally.conversions.into(),
        own.tally.revenue_micros.into(),
        own.changed.ms().into(),
    ];
    tx.execute(&OPEN, &params).map(drop)
}

/// Opens the tallies of an offer's limits, so that clicks stop by a limit that is new and already reached.
pub fn open_all(tx: &mut Tx<'_>, offer: &Offer, at: Timestamp) -> Result<(), Error> {
    match &offer.results {
        Results::Single(_) => of_result(tx, offer, EventId::NONE, at).map(drop),
        Results::Multi(events) => {
            events.iter().try_for_each(|event| of_result(tx, offer, event.id, at).map(drop))
        }
    }
}

/// Adds a conversion to the periods in which it was recorded (`by` 1), or takes it out again (`by` -1).
fn count(
    tx: &mut Tx<'_>,
    counted: &Counted,
    conversion: &Conversion,
    by: i64,
    now: Timestamp,
) -> Result<(), Error> {
    let same_currency = conversion.revenue.currency.code() == counted.currency;
    let revenue_micros = if same_currency { by * conversion.revenue.micros } else { 0 };
    for period in Period::ALL {
        let [offer, event, period, start] = key(counted, *period, conversion.received);
        let params = [offer, event, period, start, by.into(), revenue_micros.into(), now.ms().into()];
        // A period that nobody opened has no limit to keep.
        tx.execute(&MOVE, &params)?;
    }
    Ok(())
}

/// The tallies written at a time and after, oldest first.
pub(crate) fn since(tx: &mut Tx<'_>, after: Timestamp, limit: i64) -> Result<Vec<Written>, Error> {
    let rows = tx.query(&SINCE, &[after.ms().into(), limit.into()])?;
    rows.iter()
        .map(|row| {
            Ok(Written {
                offer: OfferId(row.uuid("offer_id")?),
                event: EventId(row.uuid("event_id")?),
                period: row.code("period")?,
                start: Timestamp::from_ms(row.int("start_ms")?),
                tally: Tally {
                    conversions: row.int("conversions")?,
                    revenue_micros: row.int("revenue_micros")?,
                },
                changed: Timestamp::from_ms(row.int("changed_ms")?),
            })
        })
        .collect()
}

fn key(counted: &Counted, period: Period, at: Timestamp) -> [Value; 4] {
    [
        counted.offer.uuid().into(),
        counted.event.uuid().into(),
        period.code().into(),
        period.start(at).ms().into(),
    ]
}
