//! API tokens. Only their SHA-256 is kept.

use domain::api_token::{ApiToken, Authority, Scope};
use domain::id::{NetworkId, PartnerId};
use domain::period::Period;
use domain::secret::SecretHash;
use domain::time::Timestamp;

use crate::{Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] =
    &[&INSERT, &LIVE, &OF_NETWORK, &OF_PARTNER, &REVOKE, &REVOKE_OWN, &USED];

static INSERT: Statement = Statement::new(
    "api_token.insert",
    "insert into api_token (token_hash, network_id, shown, name, scope, partner_id, created_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
);

/// The hash is of 256 random bits, so how long the look-up takes tells nothing about a live one.
static LIVE: Statement = Statement::new(
    "api_token.live",
    "select network_id, shown, name, scope, partner_id, created_ms, used_day_ms, revoked_ms
     from api_token where token_hash = ?1 and revoked_ms is null",
);

static OF_NETWORK: Statement = Statement::new(
    "api_token.of_network",
    "select network_id, shown, name, scope, partner_id, created_ms, used_day_ms, revoked_ms
     from api_token where network_id = ?1 order by created_ms, shown limit ?2",
);

/// Those that work first; of those that do not, the last ones.
static OF_PARTNER: Statement = Statement::new(
    "api_token.of_partner",
    "select network_id, shown, name, scope, partner_id, created_ms, used_day_ms, revoked_ms
     from api_token where network_id = ?1 and partner_id = ?2
     order by case when revoked_ms is null then 0 else 1 end, created_ms desc, shown limit ?3",
);

static REVOKE_OWN: Statement = Statement::new(
    "api_token.revoke_own",
    "update api_token set revoked_ms = ?4
     where network_id = ?1 and partner_id = ?2 and shown = ?3 and revoked_ms is null",
);

static REVOKE: Statement = Statement::new(
    "api_token.revoke",
    "update api_token set revoked_ms = ?3 where network_id = ?1 and shown = ?2 and revoked_ms is null",
);

/// Once a day is enough to see which tokens nobody needs, and does not make a write of every request.
static USED: Statement =
    Statement::new("api_token.used", "update api_token set used_day_ms = ?2 where token_hash = ?1");

/// The most tokens that are listed of a network.
pub const MAX_LISTED: i64 = 1_000;

/// Adds a token. [`Error::Conflict`] when one with the same first characters is there: make another.
pub fn insert(tx: &mut Tx<'_>, hash: SecretHash, token: &ApiToken) -> Result<(), Error> {
    let params = [
        hash.0.into(),
        token.authority.network().uuid().into(),
        token.shown.as_str().into(),
        token.name.as_str().into(),
        token.authority.scope().code().into(),
        token.authority.partner().map(PartnerId::uuid).into(),
        token.created.ms().into(),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// The token of this hash, unless it was revoked.
pub fn live(tx: &mut Tx<'_>, hash: SecretHash) -> Result<Option<ApiToken>, Error> {
    tx.query_one(&LIVE, &[hash.0.into()])?.map(|row| read(&row)).transpose()
}

/// The tokens of a network, revoked ones too, oldest first, at most [`MAX_LISTED`].
pub fn of_network(tx: &mut Tx<'_>, network: NetworkId) -> Result<Vec<ApiToken>, Error> {
    tx.query(&OF_NETWORK, &[network.uuid().into(), MAX_LISTED.into()])?.iter().map(read).collect()
}

/// The most tokens that are listed of a partner, and the most of its that work at once.
pub const MAX_OF_PARTNER: i64 = 100;

/// A partner's tokens, those that work first, at most [`MAX_OF_PARTNER`].
pub fn of_partner(tx: &mut Tx<'_>, network: NetworkId, partner: PartnerId) -> Result<Vec<ApiToken>, Error> {
    let params = [network.uuid().into(), partner.uuid().into(), MAX_OF_PARTNER.into()];
    tx.query(&OF_PARTNER, &params)?.iter().map(read).collect()
}

/// Revokes one of a partner's tokens by its first characters. `false` when the partner has no such live one.
pub fn revoke_own(
    tx: &mut Tx<'_>,
    network: NetworkId,
    partner: PartnerId,
    shown: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let params = [network.uuid().into(), partner.uuid().into(), shown.into(), now.ms().into()];
    Ok(tx.execute(&REVOKE_OWN, &params)? == 1)
}

/// Revokes a token by its first characters. `false` when the network has no such live one.
pub fn revoke(tx: &mut Tx<'_>, network: NetworkId, shown: &str, now: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&REVOKE, &[network.uuid().into(), shown.into(), now.ms().into()])? == 1)
}

/// Notes that a token was used on the day of `now`.
pub fn used(tx: &mut Tx<'_>, hash: SecretHash, now: Timestamp) -> Result<(), Error> {
    tx.execute(&USED, &[hash.0.into(), Period::Day.start(now).ms().into()]).map(drop)
}

fn read(row: &Row) -> Result<ApiToken, Error> {
    let network = NetworkId(row.uuid("network_id")?);
    let authority = match (row.code("scope")?, row.opt_uuid("partner_id")?) {
        (Scope::Management, None) => Authority::Management(network),
        (Scope::Partner, Some(partner)) => Authority::Partner(network, PartnerId(partner)),
        (scope, _) => return Err(row.unreadable("scope", scope.code())),
    };
    Ok(ApiToken {
        authority,
        shown: row.text("shown")?,
        name: row.text("name")?,
        created: Timestamp::from_ms(row.int("created_ms")?),
        used_day: row.opt_int("used_day_ms")?.map(Timestamp::from_ms),
        revoked: row.opt_int("revoked_ms")?.map(Timestamp::from_ms),
    })
}
