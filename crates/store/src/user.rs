//! Users: who may log in, and what proves that it is them.

use domain::format::Style;
use domain::id::{AdvertiserId, NetworkId, PartnerId, UserId};
use domain::secret::SecretHash;
use domain::time::Timestamp;
use domain::user::{Access, Role, TeamRole, User};

use crate::catalog::each_row;
use crate::{Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[
    &EVERY,
    &OF_NETWORK,
    &OF_PARTNER,
    &BY_EMAIL,
    &FIND,
    &INVITED,
    &INSERT,
    &UPDATE,
    &INVITE,
    &SET_PASSWORD,
    &SET_READING,
    &FORGOT,
    &SET_TOTP,
    &TAKE_STEP,
    &RECOVERY,
    &ADD_RECOVERY,
    &TAKE_RECOVERY,
    &DROP_RECOVERY,
    &LOCK_TEAM,
    &REMOVE,
];

static EVERY: Statement = Statement::new(
    "app_user.all",
    "select user_id, network_id, email, role, partner_id, team_role, advertiser_id from app_user
     where user_id > ?1 order by user_id limit ?2",
);

/// Those who forgot their password come first: somebody waits for them.
static OF_NETWORK: Statement = Statement::new(
    "app_user.of_network",
    "select * from app_user where network_id = ?1
     order by case when forgot_ms is null then 1 else 0 end, email limit ?2",
);

static OF_PARTNER: Statement = Statement::new(
    "app_user.of_partner",
    "select * from app_user where network_id = ?1 and partner_id = ?2 order by email limit ?3",
);

static BY_EMAIL: Statement =
    Statement::new("app_user.by_email", "select * from app_user where network_id = ?1 and email = ?2");

static FIND: Statement = Statement::new("app_user.find", "select * from app_user where user_id = ?1");

static INVITED: Statement = Statement::new(
    "app_user.invited",
    "select * from app_user where network_id = ?1 and invite_hash = ?2 and invite_expires_ms > ?3",
);

static INSERT: Statement = Statement::new(
    "app_user.insert",
    "insert into app_user (user_id, network_id, email, role, partner_id, team_role, advertiser_id)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
);

static UPDATE: Statement = Statement::new(
    "app_user.update",
    "update app_user set role = ?2, partner_id = ?3, team_role = ?4, advertiser_id = ?5 where user_id = ?1",
);

static INVITE: Statement = Statement::new(
    "app_user.invite",
    "update app_user set invite_hash = ?2, invite_expires_ms = ?3, forgot_ms = null where user_id = ?1",
);

/// By the link that it takes with it: of two who follow it at once, one comes first.
static SET_PASSWORD: Statement = Statement::new(
    "app_user.set_password",
    "update app_user set password_hash = ?2, invite_hash = null, invite_expires_ms = null, forgot_ms = null
     where user_id = ?1 and (invite_hash = ?3 or ?3 is null)",
);

static SET_READING: Statement = Statement::new(
    "app_user.set_reading",
    "update app_user set zone = ?2, number_format = ?3, date_format = ?4 where user_id = ?1",
);

static FORGOT: Statement = Statement::new(
    "app_user.forgot",
    "update app_user set forgot_ms = ?3 where network_id = ?1 and email = ?2 and forgot_ms is null",
);

static SET_TOTP: Statement = Statement::new(
    "app_user.set_totp",
    "update app_user set totp_secret = ?2, totp_step = ?3 where user_id = ?1",
);

static TAKE_STEP: Statement = Statement::new(
    "app_user.take_step",
    "update app_user set totp_step = ?2 where user_id = ?1 and totp_step < ?2",
);

static RECOVERY: Statement =
    Statement::new("recovery_code.count", "select count(*) as codes from recovery_code where user_id = ?1");

static ADD_RECOVERY: Statement =
    Statement::new("recovery_code.add", "insert into recovery_code (user_id, code_hash) values (?1, ?2)");

static TAKE_RECOVERY: Statement =
    Statement::new("recovery_code.take", "delete from recovery_code where user_id = ?1 and code_hash = ?2");

static DROP_RECOVERY: Statement =
    Statement::new("recovery_code.drop", "delete from recovery_code where user_id = ?1");

static LOCK_TEAM: Statement = Statement::new(
    "app_user.lock_team",
    "select user_id, team_role from app_user where network_id = ?1 and partner_id = ?2
     order by user_id limit ?3 {for_update}",
);

static REMOVE: Statement = Statement::new("app_user.remove", "delete from app_user where user_id = ?1");

/// The most users that a partner has, and that are listed of a network.
pub const MAX_LISTED: i64 = 500;

/// How a user reads what has a zone or an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The IANA zone of times; none: their network's.
    pub zone: Option<String>,
    /// How numbers and dates are written.
    pub style: Style,
}

/// A user with what proves that it is them, as far as it is kept.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who.
    pub user: User,
    /// How they chose to read.
    pub reading: Reading,
    /// The PHC string of their password; none before they have set one.
    pub password: Option<String>,
    /// The secret of their second factor.
    pub totp: Option<Vec<u8>>,
    /// Until when their one-time link works.
    pub invite_expires: Option<Timestamp>,
    /// When they said that they forgot their password.
    pub forgot: Option<Timestamp>,
}

/// Every user of every network.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<User>, Error> {
    let mut all = Vec::new();
    each_row(tx, &EVERY, "user_id", |row| {
        all.push(read(row)?);
        Ok(())
    })?;
    Ok(all)
}

/// The users of a network, those who wait for a link first; at most [`MAX_LISTED`].
pub fn of_network(tx: &mut Tx<'_>, network: NetworkId) -> Result<Vec<Account>, Error> {
    tx.query(&OF_NETWORK, &[network.uuid().into(), MAX_LISTED.into()])?.iter().map(account).collect()
}

/// A partner's users by their addresses, at most [`MAX_LISTED`].
pub fn of_partner(tx: &mut Tx<'_>, network: NetworkId, partner: PartnerId) -> Result<Vec<Account>, Error> {
    let params = [network.uuid().into(), partner.uuid().into(), MAX_LISTED.into()];
    tx.query(&OF_PARTNER, &params)?.iter().map(account).collect()
}

/// The network's user with this address, which is in lower case.
pub fn by_email(tx: &mut Tx<'_>, network: NetworkId, email: &str) -> Result<Option<Account>, Error> {
    tx.query_one(&BY_EMAIL, &[network.uuid().into(), email.into()])?.as_ref().map(account).transpose()
}

/// A user.
pub fn find(tx: &mut Tx<'_>, id: UserId) -> Result<Option<Account>, Error> {
    tx.query_one(&FIND, &[id.uuid().into()])?.as_ref().map(account).transpose()
}

/// The network's user whose one-time link has the token behind `hash`, as long as it works.
pub fn invited(
    tx: &mut Tx<'_>,
    network: NetworkId,
    hash: SecretHash,
    now: Timestamp,
) -> Result<Option<Account>, Error> {
    let params = [network.uuid().into(), hash.0.into(), now.ms().into()];
    tx.query_one(&INVITED, &params)?.as_ref().map(account).transpose()
}

/// Adds a user, who cannot log in before being invited. [`Error::Conflict`] when the network has one with this
/// address.
pub fn insert(tx: &mut Tx<'_>, user: &User) -> Result<(), Error> {
    let access = user.access;
    let params = [
        user.id.uuid().into(),
        user.network.uuid().into(),
        user.email.as_str().into(),
        access.role().code().into(),
        access.partner().map(PartnerId::uuid).into(),
        access.team().map(TeamRole::code).into(),
        access.advertiser().map(AdvertiserId::uuid).into(),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// Changes what a user may see and do.
pub fn update(tx: &mut Tx<'_>, user: &User) -> Result<(), Error> {
    let access = user.access;
    let params = [
        user.id.uuid().into(),
        access.role().code().into(),
        access.partner().map(PartnerId::uuid).into(),
        access.team().map(TeamRole::code).into(),
        access.advertiser().map(AdvertiserId::uuid).into(),
    ];
    tx.execute(&UPDATE, &params).map(drop)
}

/// Lets whoever has the token behind `hash` set the user's password, once and before `expires`.
pub fn invite(tx: &mut Tx<'_>, id: UserId, hash: SecretHash, expires: Timestamp) -> Result<(), Error> {
    tx.execute(&INVITE, &[id.uuid().into(), hash.0.into(), expires.ms().into()]).map(drop)
}

/// Sets a user's password, given as a PHC string, and ends their one-time link. With `link` only as long as that is the
/// link that works; `false` when it no longer is.
pub fn set_password(
    tx: &mut Tx<'_>,
    id: UserId,
    password: &str,
    link: Option<SecretHash>,
) -> Result<bool, Error> {
    let params = [id.uuid().into(), password.into(), link.map(|hash| hash.0.to_vec()).into()];
    Ok(tx.execute(&SET_PASSWORD, &params)? == 1)
}

/// Sets how a user reads times, numbers and dates.
pub fn set_reading(tx: &mut Tx<'_>, id: UserId, reading: &Reading) -> Result<(), Error> {
    let Style { numbers, dates } = reading.style;
    let params =
        [id.uuid().into(), reading.zone.as_deref().into(), numbers.code().into(), dates.code().into()];
    tx.execute(&SET_READING, &params).map(drop)
}

/// Notes that a user of the network forgot their password, for those who can make a link. `false` when there is no such
/// user, or it is noted already.
pub fn forgot(tx: &mut Tx<'_>, network: NetworkId, email: &str, now: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&FORGOT, &[network.uuid().into(), email.into(), now.ms().into()])? == 1)
}

/// Begins a user's second factor: its secret, the time step whose code was just shown, and the hashes of its recovery
/// codes.
pub fn begin_totp(
    tx: &mut Tx<'_>,
    id: UserId,
    secret: &[u8],
    step: i64,
    recovery: &[SecretHash],
) -> Result<(), Error> {
    tx.execute(&SET_TOTP, &[id.uuid().into(), secret.into(), step.into()])?;
    tx.execute(&DROP_RECOVERY, &[id.uuid().into()])?;
    recovery
        .iter()
        .try_for_each(|hash| tx.execute(&ADD_RECOVERY, &[id.uuid().into(), hash.0.into()]).map(drop))
}

/// Ends a user's second factor.
pub fn end_totp(tx: &mut Tx<'_>, id: UserId) -> Result<(), Error> {
    tx.execute(&SET_TOTP, &[id.uuid().into(), None::<Vec<u8>>.into(), 0_i64.into()])?;
    tx.execute(&DROP_RECOVERY, &[id.uuid().into()]).map(drop)
}

/// Takes the code of a time step; `false` when one of this step or a later one was taken before.
pub fn take_step(tx: &mut Tx<'_>, id: UserId, step: i64) -> Result<bool, Error> {
    Ok(tx.execute(&TAKE_STEP, &[id.uuid().into(), step.into()])? == 1)
}

/// Takes a recovery code; `false` when the user has no such one left.
pub fn take_recovery(tx: &mut Tx<'_>, id: UserId, code: SecretHash) -> Result<bool, Error> {
    Ok(tx.execute(&TAKE_RECOVERY, &[id.uuid().into(), code.0.into()])? == 1)
}

/// How many recovery codes a user has left.
pub fn recovery_left(tx: &mut Tx<'_>, id: UserId) -> Result<i64, Error> {
    tx.query_one(&RECOVERY, &[id.uuid().into()])?.map_or(Ok(0), |row| row.int("codes"))
}

/// A partner's users with their team roles, locked against other changes of the team until this one is written.
pub fn lock_team(
    tx: &mut Tx<'_>,
    network: NetworkId,
    partner: PartnerId,
) -> Result<Vec<(UserId, TeamRole)>, Error> {
    let params = [network.uuid().into(), partner.uuid().into(), MAX_LISTED.into()];
    let rows = tx.query(&LOCK_TEAM, &params)?;
    rows.iter().map(|row| Ok((UserId(row.uuid("user_id")?), row.code("team_role")?))).collect()
}

/// Removes a user with everything that was kept for them: sessions, recovery codes, saved views.
pub fn remove(tx: &mut Tx<'_>, id: UserId) -> Result<(), Error> {
    crate::session::end_all(tx, id, None)?;
    crate::saved_view::forget_all(tx, id)?;
    crate::link_copy::forget(tx, id)?;
    tx.execute(&DROP_RECOVERY, &[id.uuid().into()])?;
    tx.execute(&REMOVE, &[id.uuid().into()]).map(drop)
}

pub(crate) fn read(row: &Row) -> Result<User, Error> {
    let role: Role = row.code("role")?;
    let team: Option<TeamRole> = row.opt_code("team_role")?;
    let partner = row.opt_uuid("partner_id")?.map(PartnerId).zip(team);
    let advertiser = row.opt_uuid("advertiser_id")?.map(AdvertiserId);
    Ok(User {
        id: UserId(row.uuid("user_id")?),
        network: NetworkId(row.uuid("network_id")?),
        email: row.text("email")?,
        access: Access::new(role, partner, advertiser).ok_or_else(|| row.unreadable("role", role.code()))?,
    })
}

pub(crate) fn reading(row: &Row) -> Result<Reading, Error> {
    let style = Style { numbers: row.code("number_format")?, dates: row.code("date_format")? };
    Ok(Reading { zone: row.opt_text("zone")?, style })
}

fn account(row: &Row) -> Result<Account, Error> {
    Ok(Account {
        user: read(row)?,
        reading: reading(row)?,
        password: row.opt_text("password_hash")?,
        totp: row.opt_blob("totp_secret")?,
        invite_expires: row.opt_int("invite_expires_ms")?.map(Timestamp::from_ms),
        forgot: row.opt_int("forgot_ms")?.map(Timestamp::from_ms),
    })
}
