//! The one row that everybody goes through who changes counts.

use uuid::Uuid;

use crate::error::Mistake;
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&LOOK, &LOCK, &STEP, &MOVE];

static LOOK: Statement =
    Statement::new("report.look", "select position, until_id, steps from report_state where only_row = 1");

static LOCK: Statement = Statement::new(
    "report.lock",
    "select position, until_id, steps from report_state where only_row = 1 {for_update}",
);

static STEP: Statement =
    Statement::new("report.step", "update report_state set steps = steps + 1 where only_row = 1");

static MOVE: Statement = Statement::new(
    "report.move",
    "update report_state set position = ?1, until_id = ?2, steps = steps + 1 where only_row = 1",
);

/// How far counting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// The clicks that are yet to be listed, while a quarter is counted anew: from one id until before another. Nothing
    /// is counted meanwhile.
    pub(super) anew: Option<(Uuid, Uuid)>,
    /// How often somebody took clicks that wait, or changed them, or listed some anew.
    steps: i64,
}

impl State {
    fn of(row: Option<Row>, statement: &Statement) -> Result<Self, Error> {
        let row = row.ok_or_else(|| Error::bug(statement.name, Mistake::Abandoned))?;
        let anew = row.opt_uuid("position")?.zip(row.opt_uuid("until_id")?);
        Ok(Self { anew, steps: row.int("steps")? })
    }
}

/// Reads it, to act upon it later.
pub(super) fn look(tx: &mut Tx<'_>) -> Result<State, Error> {
    State::of(tx.query_one(&LOOK, &[])?, &LOOK)
}

/// Locks the counts for this transaction.
pub(super) fn lock(tx: &mut Tx<'_>) -> Result<State, Error> {
    State::of(tx.query_one(&LOCK, &[])?, &LOCK)
}

/// Locks the counts to add to them. [`Error::Stale`] while a quarter is counted anew.
pub(super) fn lock_to_add(tx: &mut Tx<'_>) -> Result<State, Error> {
    let state = lock(tx)?;
    if state.anew.is_some() { Err(Error::Stale) } else { Ok(state) }
}

/// Locks the counts to go on from what was read beforehand. [`Error::Stale`] when what was read may have changed.
pub(super) fn lock_as_read(tx: &mut Tx<'_>, read: State) -> Result<(), Error> {
    if lock_to_add(tx)? == read { Ok(()) } else { Err(Error::Stale) }
}

/// Locks the counts to take clicks that were read beforehand: whoever else has read them gives way.
pub(super) fn lock_to_take(tx: &mut Tx<'_>, read: State) -> Result<(), Error> {
    lock_as_read(tx, read)?;
    step(tx)
}

/// Says that clicks which wait are not what they were.
pub(super) fn step(tx: &mut Tx<'_>) -> Result<(), Error> {
    tx.execute(&STEP, &[]).map(drop)
}

/// Says which clicks are yet to be listed.
pub(super) fn list(tx: &mut Tx<'_>, anew: Option<(Uuid, Uuid)>) -> Result<(), Error> {
    let (position, until) = anew.unzip();
    let id = |id: Option<Uuid>| id.map_or(Value::Null, Into::into);
    tx.execute(&MOVE, &[id(position), id(until)]).map(drop)
}
