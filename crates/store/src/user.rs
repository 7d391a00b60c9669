//! Users: who may log in.

use domain::id::{AdvertiserId, NetworkId, PartnerId, UserId};
use domain::secret::SecretHash;
use domain::time::Timestamp;
use domain::user::{Access, Role, User};

use crate::catalog::each_row;
use crate::{Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&EVERY, &INSERT, &UPDATE, &INVITE];

static EVERY: Statement = Statement::new(
    "app_user.all",
    "select user_id, network_id, email, role, partner_id, advertiser_id from app_user
     where user_id > ?1 order by user_id limit ?2",
);

static INSERT: Statement = Statement::new(
    "app_user.insert",
    "insert into app_user (user_id, network_id, email, role, partner_id, advertiser_id)
     values (?1, ?2, ?3, ?4, ?5, ?6)",
);

static UPDATE: Statement = Statement::new(
    "app_user.update",
    "update app_user set role = ?2, partner_id = ?3, advertiser_id = ?4 where user_id = ?1",
);

static INVITE: Statement = Statement::new(
    "app_user.invite",
    "update app_user set invite_hash = ?2, invite_expires_ms = ?3 where user_id = ?1",
);

/// Every user of every network.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<User>, Error> {
    let mut all = Vec::new();
    each_row(tx, &EVERY, "user_id", |row| {
        all.push(read(row)?);
        Ok(())
    })?;
    Ok(all)
}

/// Adds a user, who cannot log in before being invited.
pub fn insert(tx: &mut Tx<'_>, user: &User) -> Result<(), Error> {
    let access = user.access;
    let params = [
        user.id.uuid().into(),
        user.network.uuid().into(),
        user.email.as_str().into(),
        access.role().code().into(),
        access.partner().map(PartnerId::uuid).into(),
        access.advertiser().map(AdvertiserId::uuid).into(),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// Changes what a user may see.
pub fn update(tx: &mut Tx<'_>, user: &User) -> Result<(), Error> {
    let access = user.access;
    let params = [
        user.id.uuid().into(),
        access.role().code().into(),
        access.partner().map(PartnerId::uuid).into(),
        access.advertiser().map(AdvertiserId::uuid).into(),
    ];
    tx.execute(&UPDATE, &params).map(drop)
}

/// Lets whoever has the token behind `hash` set the user's password, once and before `expires`.
pub fn invite(tx: &mut Tx<'_>, id: UserId, hash: SecretHash, expires: Timestamp) -> Result<(), Error> {
    tx.execute(&INVITE, &[id.uuid().into(), hash.0.into(), expires.ms().into()]).map(drop)
}

fn read(row: &Row) -> Result<User, Error> {
    let role: Role = row.code("role")?;
    let partner = row.opt_uuid("partner_id")?.map(PartnerId);
    let advertiser = row.opt_uuid("advertiser_id")?.map(AdvertiserId);
    Ok(User {
        id: UserId(row.uuid("user_id")?),
        network: NetworkId(row.uuid("network_id")?),
        email: row.text("email")?,
        access: Access::new(role, partner, advertiser).ok_or_else(|| row.unreadable("role", role.code()))?,
    })
}
