//! The counting: in short steps, exactly once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::id::ClickId;
use domain::time::Timestamp;

use super::add::add;
use super::gather::{Gathering, Load, Look};
use super::owner::Owners;
use super::{ClickCounts, gathered, state};
use crate::click::key::{self, Noted};
use crate::{Db, Error, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&MARK, &WAITING];

static MARK: Statement = Statement::new(
    "report.mark_change",
    "update conversion_change set counted = 1 where conversion_id = ?1 and version = ?2 and counted = 0",
);

/// Conversions have ids in the order in which they were received: the first that is not counted is the earliest.
static WAITING: Statement = Statement::new(
    "report.waiting",
    "select (select c.received_ms from conversion c where c.conversion_id =
             (select h.conversion_id from conversion_change h where h.counted = 0
              order by h.conversion_id, h.version limit 1)) as received_ms,
         (select a.first_id from click_arrival a order by a.first_id limit 1) as first_id,
         (select g.first_id from click_gathered g order by g.first_id limit 1) as gathered_id,
         (select s.position from report_state s where s.only_row = 1) as position",
);

/// What whoever counts remembers from step to step. Nothing is lost with it.
#[derive(Debug, Default)]
pub struct Counting {
    owners: Owners,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// What was read and is not taken yet.
    begun: Option<Gathering>,
    /// Whether all was taken that waited.
    ended: bool,
}

impl Counting {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Clicks and lines of history that were taken to be counted.
    pub rows: u64,
    /// Places in the counts that were moved.
    pub places: u64,
    /// Whether clicks were listed to be counted anew, which is a longer step than the others.
    pub anew: bool,
    /// Whether more waits of what had come when clicks were last taken.
    pub behind: bool,
    /// Everything that was recorded before this time is counted.
    pub as_of: Timestamp,
}

/// One step of the counting, which writes one transaction at most. Several processes may do so at once: what another
/// one counted is not counted again.
pub async fn count(db: &Db, counting: &Arc<Counting>, now: Timestamp) -> Result<Counted, Error> {
    let done = match step(db, counting).await {
        // Another process was first, or begins to count anew; its work is not ours.
        Err(Error::Stale) => BEHIND,
        done => done?,
    };
    let as_of = db.read(move |tx| as_of(tx, now)).await?;
    let Done { rows, places, anew, behind } = done;
    Ok(Counted { rows, places, anew, behind, as_of })
}

struct Done {
    rows: u64,
    places: u64,
    anew: bool,
    behind: bool,
}

const BEHIND: Done = Done { rows: 0, places: 0, anew: false, behind: true };

/// Everything that was recorded before this time is counted: `now`, or the earliest time of what waits.
pub fn as_of(tx: &mut Tx<'_>, now: Timestamp) -> Result<Timestamp, Error> {
    let Some(row) = tx.query_one(&WAITING, &[])? else { return Ok(now) };
    let click =
        |name| -> Result<Option<Timestamp>, Error> { Ok(row.opt_uuid(name)?.map(|id| ClickId(id).at())) };
    let waiting = [
        click("first_id")?,
        click("gathered_id")?,
        click("position")?,
        row.opt_int("received_ms")?.map(Timestamp::from_ms),
    ];
    Ok(waiting.into_iter().flatten().fold(now, Timestamp::min))
}

/// What there is to do, in this order.
enum Next {
    /// Keys of clicks that are noted become lists.
    Sort,
    /// What was gathered is added.
    Add,
    /// Some more was read, and is read on.
    Read(Gathering, Noted),
    /// Lines of arrival and of history are taken.
    Take(Box<Load>),
}

impl Next {
    fn find(tx: &mut Tx<'_>, counting: &Counting) -> Result<Self, Error> {
        if key::unsorted(tx)? {
            return Ok(Self::Sort);
        }
        if gathered::waits(tx)? {
            return Ok(Self::Add);
        }
        let begun = counting.memory().begun.take();
        Ok(match Gathering::go_on(tx, begun)?.look(tx, &counting.owners)? {
            Look::More(gathering, noted) => Self::Read(gathering, noted),
            Look::Enough(load) => Self::Take(load),
        })
    }
}

async fn step(db: &Db, counting: &Arc<Counting>) -> Result<Done, Error> {
    if super::recount_step(db).await? {
        return Ok(Done { anew: true, ..BEHIND });
    }
    let own = Arc::clone(counting);
    match db.read(move |tx| Next::find(tx, &own)).await? {
        Next::Sort => {
            db.write(|tx| state::lock(tx).and_then(|_| key::sort(tx))).await?;
            Ok(BEHIND)
        }
        Next::Add => {
            let own = Arc::clone(counting);
            let (places, more) = db.write(move |tx| gathered::add_next(tx, &own.owners)).await?;
            Ok(Done { places, behind: more || !counting.memory().ended, ..BEHIND })
        }
        Next::Read(gathering, noted) => {
            let state = gathering.state();
            db.write(move |tx| state::lock_as_read(tx, state).and_then(|()| noted.write(tx))).await?;
            counting.memory().begun = Some(gathering);
            Ok(BEHIND)
        }
        Next::Take(load) => {
            if load.is_empty() {
                return Ok(Done { behind: false, ..BEHIND });
            }
            let (rows, places, full) = (load.rows, load.moves(), load.full);
            let (own, gathers) = (Arc::clone(counting), load.gathers());
            db.write(move |tx| load.take(tx, &own.owners)).await?;
            counting.memory().ended = !full;
            Ok(Done { rows, places, anew: false, behind: full || gathers })
        }
    }
}

impl Load {
    fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether its clicks are of so many places that they are added later.
    fn gathers(&self) -> bool {
        self.places.len() > gathered::PLACES_A_STEP
    }

    /// Places in the counts that it moves by itself.
    fn moves(&self) -> u64 {
        let clicks = if self.gathers() { 0 } else { self.places.len() };
        (clicks + self.conversions.len()) as u64
    }

    fn take(&self, tx: &mut Tx<'_>, owners: &Owners) -> Result<(), Error> {
        state::lock_to_take(tx, self.state)?;
        self.lines.take(tx)?;
        for (conversion, version) in &self.changes {
            if tx.execute(&MARK, &[(*conversion).into(), (*version).into()])? != 1 {
                return Err(Error::Stale);
            }
        }
        self.noted.write(tx)?;
        match self.lines.first() {
            Some(first) if self.gathers() => {
                self.places.put(tx, first)?;
                add(tx, owners, &ClickCounts::new(), &self.conversions)
            }
            _ => add(tx, owners, &self.places.counts()?, &self.conversions),
        }
    }
}
