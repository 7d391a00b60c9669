//! Networks: the tenants.

use domain::id::NetworkId;
use domain::network::Network;

use crate::catalog::each_row;
use crate::{Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&EVERY, &INSERT, &UPDATE];

static EVERY: Statement = Statement::new(
    "network.all",
    "select network_id, label, name, currency, zone, fallback_url from network
     where network_id > ?1 order by network_id limit ?2",
);

static INSERT: Statement = Statement::new(
    "network.insert",
    "insert into network (network_id, label, name, currency, zone, fallback_url)
     values (?1, ?2, ?3, ?4, ?5, ?6)",
);

static UPDATE: Statement = Statement::new(
    "network.update",
    "update network set name = ?2, currency = ?3, zone = ?4, fallback_url = ?5 where network_id = ?1",
);

/// Every network.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<Network>, Error> {
    let mut all = Vec::new();
    each_row(tx, &EVERY, "network_id", |row| {
        all.push(read(row)?);
        Ok(())
    })?;
    Ok(all)
}

/// Adds a network.
pub fn insert(tx: &mut Tx<'_>, network: &Network) -> Result<(), Error> {
    let params = [
        network.id.uuid().into(),
        network.label.as_str().into(),
        network.name.as_str().into(),
        network.currency.code().into(),
        network.zone.as_str().into(),
        network.fallback_url.as_deref().into(),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// Changes everything of a network but its label.
pub fn update(tx: &mut Tx<'_>, network: &Network) -> Result<(), Error> {
    let params = [
        network.id.uuid().into(),
        network.name.as_str().into(),
        network.currency.code().into(),
        network.zone.as_str().into(),
        network.fallback_url.as_deref().into(),
    ];
    tx.execute(&UPDATE, &params).map(drop)
}

fn read(row: &Row) -> Result<Network, Error> {
    Ok(Network {
        id: NetworkId(row.uuid("network_id")?),
        label: row.text("label")?,
        name: row.text("name")?,
        currency: row.code("currency")?,
        zone: row.text("zone")?,
        fallback_url: row.opt_text("fallback_url")?,
    })
}
