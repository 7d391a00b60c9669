//! Partners, with the secrets that sign what they are told.

use domain::id::{NetworkId, PartnerId};
use domain::partner::Partner;
use domain::signature::Secret;

use crate::catalog::{each_row, unreadable};
use crate::{Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&EVERY, &INSERT, &UPDATE, &SECRETS, &ROTATE, &END_OLD_SIGNING];

static EVERY: Statement = Statement::new(
    "partner.all",
    "select partner_id, network_id, slug, name, status from partner
     where partner_id > ?1 order by partner_id limit ?2",
);

static INSERT: Statement = Statement::new(
    "partner.insert",
    "insert into partner (partner_id, network_id, slug, name, status, signing_secret)
     values (?1, ?2, ?3, ?4, ?5, ?6)",
);

static UPDATE: Statement =
    Statement::new("partner.update", "update partner set name = ?2, status = ?3 where partner_id = ?1");

static SECRETS: Statement = Statement::new(
    "partner.secrets",
    "select partner_id, signing_secret, previous_secret from partner where partner_id = ?1",
);

static ROTATE: Statement = Statement::new(
    "partner.rotate",
    "update partner set previous_secret = signing_secret, signing_secret = ?2 where partner_id = ?1",
);

static END_OLD_SIGNING: Statement = Statement::new(
    "partner.end_old_signing",
    "update partner set previous_secret = null where partner_id = ?1",
);

/// Every partner.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<Partner>, Error> {
    let mut all = Vec::new();
    each_row(tx, &EVERY, "partner_id", |row| {
        all.push(read(row)?);
        Ok(())
    })?;
    Ok(all)
}

/// Adds a partner with the secret that signs its postbacks.
pub fn insert(tx: &mut Tx<'_>, partner: &Partner, secret: &Secret) -> Result<(), Error> {
    let params = [
        partner.id.uuid().into(),
        partner.network.uuid().into(),
        partner.slug.as_str().into(),
        partner.name.as_str().into(),
        partner.status.code().into(),
        secret.reveal().into(),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// Changes everything of a partner but its slug and secrets.
pub fn update(tx: &mut Tx<'_>, partner: &Partner) -> Result<(), Error> {
    let params = [partner.id.uuid().into(), partner.name.as_str().into(), partner.status.code().into()];
    tx.execute(&UPDATE, &params).map(drop)
}

/// The live secrets that sign a partner's postbacks, newest first; none for a partner that is not stored.
pub fn secrets(tx: &mut Tx<'_>, id: PartnerId) -> Result<Vec<Secret>, Error> {
    let Some(row) = tx.query_one(&SECRETS, &[id.uuid().into()])? else { return Ok(Vec::new()) };
    let texts = [Some(row.text("signing_secret")?), row.opt_text("previous_secret")?];
    let secret = |text: String| {
        let bad = |why| unreadable(&SECRETS, &row, "partner_id", Error::bug(SECRETS.name, why));
        Secret::parse(&text).map_err(bad)
    };
    texts.into_iter().flatten().map(secret).collect()
}

/// Makes `secret` the signing secret; the one before it stays live beside it, older ones end.
pub fn rotate(tx: &mut Tx<'_>, id: PartnerId, secret: &Secret) -> Result<(), Error> {
    tx.execute(&ROTATE, &[id.uuid().into(), secret.reveal().into()]).map(drop)
}

/// Ends the signing secret before the newest.
pub fn end_old_signing(tx: &mut Tx<'_>, id: PartnerId) -> Result<(), Error> {
    tx.execute(&END_OLD_SIGNING, &[id.uuid().into()]).map(drop)
}

fn read(row: &Row) -> Result<Partner, Error> {
    Ok(Partner {
        id: PartnerId(row.uuid("partner_id")?),
        network: NetworkId(row.uuid("network_id")?),
        slug: row.text("slug")?,
        name: row.text("name")?,
        status: row.code("status")?,
    })
}
