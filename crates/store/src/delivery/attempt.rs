//! What came of an attempt: written down, with what becomes of the delivery.

use domain::delivery::DeliveryState;
use domain::id::NetworkId;
use domain::time::Timestamp;

use super::news::Claimed;
use crate::{Error, Statement, Tx, Value};

pub(super) const ALL: &[&Statement] = &[&FINISH, &LOCK, &LOG_ATTEMPT];

/// The lease in the condition: a worker that overslept its lease changes nothing.
static FINISH: Statement = Statement::new(
    "delivery.finish",
    "update delivery set state = ?1, attempts = attempts + 1, attempts_ever = attempts_ever + 1,
         next_attempt_ms = ?2, lease_until_ms = 0, finished_ms = ?3
     where delivery_id = ?4 and state = 'pending' and lease_until_ms = ?5",
);

static LOCK: Statement =
    Statement::new("delivery.lock", "select delivery_id from delivery where delivery_id = ?1 {for_update}");

/// Only how it ended, when the click was erased after the delivery was claimed: what was sent tells who it was.
static LOG_ATTEMPT: Statement = Statement::new(
    "delivery.log_attempt",
    "insert into delivery_attempt (delivery_id, attempt, network_id, started_ms, elapsed_ms, method, url, body,
         result, http_status, answer)
     select ?1, ?2, ?3, ?4, ?5, ?6, case when same = 1 then ?7 else '' end, case when same = 1 then ?8 else '' end,
         ?9, ?10, case when same = 1 then ?11 else '' end
     from (select count(*) as same from click
           where click_id = ?12 and coalesce(pub_member_id, '') = ?13 and coalesce(pub_click_id, '') = ?14) erased
     where true
     on conflict do nothing",
);

/// One attempt, as it is logged.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it began.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub elapsed_ms: i64,
    /// `GET` or `POST`.
    pub method: String,
    /// The filled-in URL.
    pub url: String,
    /// The body.
    pub body: String,
    /// How it ended, in words.
    pub result: String,
    /// The HTTP status, when there was an answer.
    pub http_status: Option<u16>,
    /// The first 4 KiB of the answer.
    pub answer: String,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Over.
    Ended(DeliveryState),
    /// To be tried again.
    Again(Timestamp),
}

/// Writes down an attempt and what becomes of the delivery. `false` when the lease had run out and somebody
/// else may hold it now: then only the attempt is kept. Nothing of what was sent is kept when the click was erased
/// meanwhile.
pub fn finish(
    tx: &mut Tx<'_>,
    network: NetworkId,
    claimed: &Claimed,
    attempt: &Attempt,
    fate: Fate,
    now: Timestamp,
) -> Result<bool, Error> {
    let held = &claimed.held;
    let (state, next, finished) = match fate {
        Fate::Ended(state) => (state, now, Some(now.ms())),
        Fate::Again(next) => (DeliveryState::Pending, next, None),
    };
    let params: [Value; 5] = [
        state.code().into(),
        next.ms().into(),
        finished.into(),
        held.id.uuid().into(),
        held.lease.ms().into(),
    ];
    let is_held = tx.execute(&FINISH, &params)? == 1;
    if !is_held {
        // Either way the row is locked before the click is looked at. Erasing locks it before it clears attempts, so
        // it finds this one, or this one finds the click erased.
        tx.query(&LOCK, &[held.id.uuid().into()])?;
    }
    let [member, click] = &claimed.click_names;
    tx.execute(
        &LOG_ATTEMPT,
        &[
            held.id.uuid().into(),
            held.attempt_ever.into(),
            network.uuid().into(),
            attempt.started.ms().into(),
            attempt.elapsed_ms.into(),
            attempt.method.as_str().into(),
            attempt.url.as_str().into(),
            attempt.body.as_str().into(),
            attempt.result.as_str().into(),
            attempt.http_status.into(),
            attempt.answer.as_str().into(),
            claimed.news.click.uuid().into(),
            member.as_str().into(),
            click.as_str().into(),
        ],
    )?;
    Ok(is_held)
}
