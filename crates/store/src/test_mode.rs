//! The keys of test mode: one a network, made when its first test link is asked for, and shown to nobody.

use std::collections::HashMap;

use domain::ambient::Ambient;
use domain::id::NetworkId;
use domain::test_mode::Key;

use crate::catalog::each_row;
use crate::{Error, Row, Statement, Tx, catalog};

pub(crate) const ALL: &[&Statement] = &[&EVERY, &FIND, &INSERT];

static EVERY: Statement = Statement::new(
    "test_key.all",
    "select network_id, test_key from test_key where network_id > ?1 order by network_id limit ?2",
);

static FIND: Statement =
    Statement::new("test_key.find", "select network_id, test_key from test_key where network_id = ?1");

static INSERT: Statement = Statement::new(
    "test_key.insert",
    "insert into test_key (network_id, test_key) values (?1, ?2) on conflict do nothing",
);

/// Every key.
pub(crate) fn keys(tx: &mut Tx<'_>) -> Result<HashMap<NetworkId, Key>, Error> {
    let mut all = HashMap::new();
    each_row(tx, &EVERY, "network_id", |row| {
        all.insert(NetworkId(row.uuid("network_id")?), read(row)?);
        Ok(())
    })?;
    Ok(all)
}

/// A network's key, made when there is none yet. The servers learn of a new one like of any change of the catalog.
pub fn key(tx: &mut Tx<'_>, ambient: Ambient, network: NetworkId) -> Result<Key, Error> {
    let made = tx.execute(&INSERT, &[network.uuid().into(), ambient.random_bytes().into()])?;
    if made == 1 {
        catalog::touch(tx)?;
    }
    let row = tx.query_one(&FIND, &[network.uuid().into()])?;
    row.map_or(Err(Error::bug(FIND.name, NoKey)), |row| read(&row))
}

fn read(row: &Row) -> Result<Key, Error> {
    Key::from_bytes(&row.blob("test_key")?).ok_or_else(|| Error::bug(FIND.name, NoKey))
}

#[derive(Debug, thiserror::Error)]
#[error("a network's test key is not there, or has not 32 bytes")]
struct NoKey;
