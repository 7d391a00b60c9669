//! The audit log: every change of the catalog, with who made it and what it was.

use domain::id::NetworkId;
use domain::time::Timestamp;
use uuid::Uuid;

use crate::{Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&INSERT, &RECENT];

static INSERT: Statement = Statement::new(
    "audit.insert",
    "insert into audit (audit_id, network_id, at_ms, actor, subject, change) values (?1, ?2, ?3, ?4, ?5, ?6)",
);

static RECENT: Statement = Statement::new(
    "audit.recent",
    "select audit_id, network_id, at_ms, actor, subject, change from audit
     where network_id = ?1 order by at_ms desc, audit_id desc limit ?2",
);

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id, a UUID v7.
    pub id: Uuid,
    /// The network that changed.
    pub network: NetworkId,
    /// When.
    pub at: Timestamp,
    /// Who: a user, or a command such as `apply`.
    pub actor: String,
    /// What changed, for instance `offer/shop`.
    pub subject: String,
    /// How: a JSON object, free of secrets.
    pub change: String,
}

/// Writes an entry.
pub fn record(tx: &mut Tx<'_>, entry: &Entry) -> Result<(), Error> {
    let params = [
        entry.id.into(),
        entry.network.uuid().into(),
        entry.at.ms().into(),
        entry.actor.as_str().into(),
        entry.subject.as_str().into(),
        entry.change.as_str().into(),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// The newest entries of a network, at most `limit`.
pub fn recent(tx: &mut Tx<'_>, network: NetworkId, limit: i64) -> Result<Vec<Entry>, Error> {
    tx.query(&RECENT, &[network.uuid().into(), limit.into()])?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Entry, Error> {
    Ok(Entry {
        id: row.uuid("audit_id")?,
        network: NetworkId(row.uuid("network_id")?),
        at: Timestamp::from_ms(row.int("at_ms")?),
        actor: row.text("actor")?,
        subject: row.text("subject")?,
        change: row.text("change")?,
    })
}
