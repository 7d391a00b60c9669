//! Sessions: who is logged in, in which browser. Only the SHA-256 of the token in the browser's cookie is kept.

use domain::id::UserId;
use domain::secret::SecretHash;
use domain::time::{DAY_MS, Timestamp};
use domain::user::User;
use uuid::Uuid;

use crate::user::{self, Reading};
use crate::{Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] =
    &[&INSERT, &LIVE, &OF_USER, &KNOWN, &TOUCH, &END, &END_ONE, &END_ALL, &CROWD_OUT, &SWEEP];

static INSERT: Statement = Statement::new(
    "session.insert",
    "insert into session (session_id, token_hash, user_id, stage, created_ms, seen_ms, expires_ms, address, agent)
     values (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8)",
);

/// The hash is of 256 random bits, so how long the look-up takes tells nothing about a live one.
static LIVE: Statement = Statement::new(
    "session.live",
    "select s.session_id, s.stage, s.created_ms, s.seen_ms, s.expires_ms, s.address, s.agent,
         u.user_id, u.network_id, u.email, u.role, u.partner_id, u.team_role, u.advertiser_id, u.zone,
         u.number_format, u.date_format
     from session s join app_user u on u.user_id = s.user_id
     where s.token_hash = ?1 and s.expires_ms > ?2 and s.seen_ms > ?3",
);

static OF_USER: Statement = Statement::new(
    "session.of_user",
    "select session_id, stage, created_ms, seen_ms, expires_ms, address, agent from session
     where user_id = ?1 and stage = 'open' and expires_ms > ?2 and seen_ms > ?3
     order by seen_ms desc, session_id limit ?4",
);

static KNOWN: Statement = Statement::new(
    "session.known",
    "select session_id from session where user_id = ?1 and stage = 'open' and address = ?2 limit 1",
);

static TOUCH: Statement = Statement::new(
    "session.touch",
    "update session set seen_ms = ?2, address = ?3 where session_id = ?1 and seen_ms < ?2",
);

static END: Statement = Statement::new("session.end", "delete from session where token_hash = ?1");

static END_ONE: Statement =
    Statement::new("session.end_one", "delete from session where user_id = ?1 and session_id = ?2");

static END_ALL: Statement =
    Statement::new("session.end_all", "delete from session where user_id = ?1 and session_id <> ?2");

static CROWD_OUT: Statement = Statement::new(
    "session.crowd_out",
    "delete from session where session_id in (
         select session_id from session where user_id = ?1 order by seen_ms desc, session_id limit 100 offset ?2)",
);

static SWEEP: Statement = Statement::new(
    "session.sweep",
    "delete from session where session_id in (
         select session_id from session where expires_ms <= ?1 order by expires_ms limit 100)",
);

/// How long a session lasts without a request.
pub const IDLE_MS: i64 = DAY_MS;
/// How long a session lasts at most.
pub const MOST_MS: i64 = 30 * DAY_MS;
/// The most sessions of one user; one more ends the one that was seen longest ago.
pub const MAX_OF_USER: i64 = 50;

/// How far somebody has come with logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The password was right; the second factor is still to come.
    Code,
    /// Logged in.
    Open,
}

impl Stage {
    const fn code(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Open => "open",
        }
    }
}

/// One browser of one user.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id, which is no secret.
    pub id: Uuid,
    /// How far they have come.
    pub stage: Stage,
    /// When they logged in.
    pub created: Timestamp,
    /// When the browser last asked for something, to within some minutes.
    pub seen: Timestamp,
    /// When it ends whatever happens.
    pub expires: Timestamp,
    /// The address that it last came from.
    pub address: String,
    /// What the browser says it is.
    pub agent: String,
}

/// A session with whom it is of.
#[derive(Debug, Clone)]
pub struct Held {
    /// The session.
    pub session: Session,
    /// Whose it is.
    pub user: User,
    /// How they chose to read.
    pub reading: Reading,
}

/// Opens a session for the token behind `hash`. Makes room: of a user's sessions the oldest beyond
/// [`MAX_OF_USER`] end, and some that are over are removed.
pub fn open(tx: &mut Tx<'_>, user: UserId, hash: SecretHash, session: &Session) -> Result<(), Error> {
    tx.execute(&SWEEP, &[session.created.ms().into()])?;
    let params = [
        session.id.into(),
        hash.0.into(),
        user.uuid().into(),
        session.stage.code().into(),
        session.created.ms().into(),
        session.expires.ms().into(),
        session.address.as_str().into(),
        session.agent.as_str().into(),
    ];
    tx.execute(&INSERT, &params)?;
    tx.execute(&CROWD_OUT, &[user.uuid().into(), MAX_OF_USER.into()]).map(drop)
}

/// The session of this token, unless it is over.
pub fn live(tx: &mut Tx<'_>, hash: SecretHash, now: Timestamp) -> Result<Option<Held>, Error> {
    let params = [hash.0.into(), now.ms().into(), now.plus_ms(-IDLE_MS).ms().into()];
    let row = tx.query_one(&LIVE, &params)?;
    row.map(|row| Ok(Held { session: read(&row)?, user: user::read(&row)?, reading: user::reading(&row)? }))
        .transpose()
}

/// A user's sessions that are not over, the one seen last first; at most [`MAX_OF_USER`].
pub fn of_user(tx: &mut Tx<'_>, user: UserId, now: Timestamp) -> Result<Vec<Session>, Error> {
    let idle = now.plus_ms(-IDLE_MS);
    let params = [user.uuid().into(), now.ms().into(), idle.ms().into(), MAX_OF_USER.into()];
    tx.query(&OF_USER, &params)?.iter().map(read).collect()
}

/// Whether a user was logged in from this address, as far as that is still kept.
pub fn is_known(tx: &mut Tx<'_>, user: UserId, address: &str) -> Result<bool, Error> {
    Ok(tx.query_one(&KNOWN, &[user.uuid().into(), address.into()])?.is_some())
}

/// Notes that a session was used, and from where.
pub fn touch(tx: &mut Tx<'_>, id: Uuid, address: &str, now: Timestamp) -> Result<(), Error> {
    tx.execute(&TOUCH, &[id.into(), now.ms().into(), address.into()]).map(drop)
}

/// Ends the session of this token.
pub fn end(tx: &mut Tx<'_>, hash: SecretHash) -> Result<(), Error> {
    tx.execute(&END, &[hash.0.into()]).map(drop)
}

/// Ends one session of a user; `false` when they have no such one.
pub fn end_one(tx: &mut Tx<'_>, user: UserId, id: Uuid) -> Result<bool, Error> {
    Ok(tx.execute(&END_ONE, &[user.uuid().into(), id.into()])? == 1)
}

/// Ends every session of a user, or every other one.
pub fn end_all(tx: &mut Tx<'_>, user: UserId, but: Option<Uuid>) -> Result<u64, Error> {
    tx.execute(&END_ALL, &[user.uuid().into(), but.unwrap_or(Uuid::nil()).into()])
}

fn read(row: &Row) -> Result<Session, Error> {
    let stage = match row.text("stage")?.as_str() {
        "code" => Stage::Code,
        "open" => Stage::Open,
        other => return Err(row.unreadable("stage", other)),
    };
    Ok(Session {
        id: row.uuid("session_id")?,
        stage,
        created: Timestamp::from_ms(row.int("created_ms")?),
        seen: Timestamp::from_ms(row.int("seen_ms")?),
        expires: Timestamp::from_ms(row.int("expires_ms")?),
        address: row.text("address")?,
        agent: row.text("agent")?,
    })
}
