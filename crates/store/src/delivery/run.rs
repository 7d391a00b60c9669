//! Sending many deliveries again and filling in a postback: many small writes, so that no click waits long behind one.

use domain::ambient::Ambient;
use domain::delivery::DeliveryState;
use domain::postback::Postback;
use domain::time::Timestamp;

use super::{backfill, backfill_from, replay, replay_from};
use crate::{Db, Error};

/// Rows in one write.
const AT_ONCE: i64 = 500;

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Deliveries that were made or are due again.
    pub done: u64,
    /// Where to go on when the run was given fewer writes than it needs.
    pub rest: Option<Timestamp>,
}

/// A run that the database broke off.
#[derive(Debug)]
pub struct Broken {
    /// Deliveries that were made or are due again.
    pub done: u64,
    /// Up to where: it can go on from here.
    pub reached: Timestamp,
    /// What happened.
    pub error: Error,
}

/// Tells a postback of the conversions received since a time, in at most `writes` writes; what it was told of before is
/// left out. `told` hears how many deliveries there are so far.
pub async fn backfill_all(
    db: &Db,
    ambient: Ambient,
    postback: &Postback,
    since: Timestamp,
    writes: usize,
    mut told: impl FnMut(u64),
) -> Result<Run, Broken> {
    let (mut done, mut position) = (0, backfill_from(since));
    for _ in 0..writes {
        let own = postback.clone();
        let step = db.write(move |tx| backfill(tx, ambient, &own, position, AT_ONCE)).await;
        let (made, next) = step.map_err(|error| Broken { done, reached: position.0, error })?;
        done += made;
        told(done);
        match next {
            Some(next) => position = next,
            None => return Ok(Run { done, rest: None }),
        }
    }
    Ok(Run { done, rest: Some(position.0) })
}

/// Sends the deliveries of a postback in a state made since a time again, in at most `writes` writes. `told` hears how
/// many there are so far.
pub async fn replay_all(
    db: &Db,
    ambient: Ambient,
    postback: &Postback,
    (state, since): (DeliveryState, Timestamp),
    writes: usize,
    mut told: impl FnMut(u64),
) -> Result<Run, Broken> {
    let due = ambient.now();
    let (mut done, mut position) = (0, replay_from(since));
    for _ in 0..writes {
        let own = postback.clone();
        let step = db.write(move |tx| replay(tx, &own, state, position, due, AT_ONCE)).await;
        let (sent, next) = step.map_err(|error| Broken { done, reached: position.0, error })?;
        done += sent;
        told(done);
        match next {
            Some(next) => position = next,
            None => return Ok(Run { done, rest: None }),
        }
    }
    Ok(Run { done, rest: Some(position.0) })
}
