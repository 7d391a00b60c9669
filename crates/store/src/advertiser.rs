//! Advertisers, with the tokens and signing secrets that prove a postback to be theirs.

use domain::advertiser::Advertiser;
use domain::id::{AdvertiserId, NetworkId};
use domain::secret::SecretHash;
use domain::signature::Secret;
use domain::time::Timestamp;

use crate::catalog::each_row;
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[
    &EVERY,
    &INSERT,
    &UPDATE,
    &ROTATE,
    &STOP_SIGNING,
    &END_OLD_SIGNING,
    &EVERY_TOKEN,
    &ADD_TOKEN,
    &REVOKE_TOKEN,
];

static EVERY: Statement = Statement::new(
    "advertiser.all",
    "select advertiser_id, network_id, slug, name, proof, allowed_addresses, signing_secret, previous_secret
     from advertiser where advertiser_id > ?1 order by advertiser_id limit ?2",
);

static INSERT: Statement = Statement::new(
    "advertiser.insert",
    "insert into advertiser (advertiser_id, network_id, slug, name, proof, allowed_addresses)
     values (?1, ?2, ?3, ?4, ?5, ?6)",
);

static UPDATE: Statement = Statement::new(
    "advertiser.update",
    "update advertiser set name = ?2, proof = ?3, allowed_addresses = ?4 where advertiser_id = ?1",
);

static ROTATE: Statement = Statement::new(
    "advertiser.rotate",
    "update advertiser set previous_secret = signing_secret, signing_secret = ?2 where advertiser_id = ?1",
);

static STOP_SIGNING: Statement = Statement::new(
    "advertiser.stop_signing",
    "update advertiser set previous_secret = null, signing_secret = null where advertiser_id = ?1",
);

static END_OLD_SIGNING: Statement = Statement::new(
    "advertiser.end_old_signing",
    "update advertiser set previous_secret = null where advertiser_id = ?1",
);

static EVERY_TOKEN: Statement = Statement::new(
    "advertiser_token.all",
    "select token_hash, advertiser_id, created_ms, revoked_ms from advertiser_token
     where token_hash > ?1 order by token_hash limit ?2",
);

/// A token that was revoked and is added again is live again.
static ADD_TOKEN: Statement = Statement::new(
    "advertiser_token.add",
    "insert into advertiser_token (token_hash, network_id, advertiser_id, created_ms, revoked_ms)
     values (?1, ?2, ?3, ?4, null)
     on conflict (token_hash) do update set revoked_ms = null, created_ms = excluded.created_ms
     where advertiser_token.advertiser_id = excluded.advertiser_id",
);

static REVOKE_TOKEN: Statement = Statement::new(
    "advertiser_token.revoke",
    "update advertiser_token set revoked_ms = ?2 where token_hash = ?1 and revoked_ms is null",
);

/// One postback token, as far as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Its hash.
    pub hash: SecretHash,
    /// Whose it is.
    pub advertiser: AdvertiserId,
    /// Since when.
    pub created: Timestamp,
    /// Until when, if it is over.
    pub revoked: Option<Timestamp>,
}

/// Every advertiser with its live signing secrets, newest first; none when it does not sign.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<(Advertiser, Vec<Secret>)>, Error> {
    let mut all = Vec::new();
    each_row(tx, &EVERY, "advertiser_id", |row| {
        all.push((read(row)?, secrets(row)?));
        Ok(())
    })?;
    Ok(all)
}

/// Adds an advertiser, without secrets.
pub fn insert(tx: &mut Tx<'_>, advertiser: &Advertiser) -> Result<(), Error> {
    let params = [
        advertiser.id.uuid().into(),
        advertiser.network.uuid().into(),
        advertiser.slug.as_str().into(),
        advertiser.name.as_str().into(),
        advertiser.proof.code().into(),
        addresses(advertiser),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// Changes everything of an advertiser but its slug and secrets.
pub fn update(tx: &mut Tx<'_>, advertiser: &Advertiser) -> Result<(), Error> {
    let params = [
        advertiser.id.uuid().into(),
        advertiser.name.as_str().into(),
        advertiser.proof.code().into(),
        addresses(advertiser),
    ];
    tx.execute(&UPDATE, &params).map(drop)
}

/// Makes `secret` the signing secret; the one before it stays live beside it, older ones end.
pub fn rotate(tx: &mut Tx<'_>, id: AdvertiserId, secret: &Secret) -> Result<(), Error> {
    tx.execute(&ROTATE, &[id.uuid().into(), secret.reveal().into()]).map(drop)
}

/// Ends every signing secret.
pub fn stop_signing(tx: &mut Tx<'_>, id: AdvertiserId) -> Result<(), Error> {
    tx.execute(&STOP_SIGNING, &[id.uuid().into()]).map(drop)
}

/// Ends the signing secret before the newest.
pub fn end_old_signing(tx: &mut Tx<'_>, id: AdvertiserId) -> Result<(), Error> {
    tx.execute(&END_OLD_SIGNING, &[id.uuid().into()]).map(drop)
}

/// Every token, also those that are over.
pub fn tokens(tx: &mut Tx<'_>) -> Result<Vec<Token>, Error> {
    let mut all = Vec::new();
    each_row(tx, &EVERY_TOKEN, "token_hash", |row| {
        let hash = row.blob("token_hash")?;
        let length = hash.len();
        let hash = hash.try_into().map_err(|_| row.unreadable("token_hash", &format!("{length} bytes")))?;
        all.push(Token {
            hash: SecretHash(hash),
            advertiser: AdvertiserId(row.uuid("advertiser_id")?),
            created: Timestamp::from_ms(row.int("created_ms")?),
            revoked: row.opt_int("revoked_ms")?.map(Timestamp::from_ms),
        });
        Ok(())
    })?;
    Ok(all)
}

/// Makes a token live. Does nothing when another advertiser has it.
pub fn add_token(
    tx: &mut Tx<'_>,
    network: NetworkId,
    advertiser: AdvertiserId,
    hash: SecretHash,
    at: Timestamp,
) -> Result<(), Error> {
    let params = [hash.0.into(), network.uuid().into(), advertiser.uuid().into(), at.ms().into()];
    tx.execute(&ADD_TOKEN, &params).map(drop)
}

/// Ends a token.
pub fn revoke_token(tx: &mut Tx<'_>, hash: SecretHash, at: Timestamp) -> Result<(), Error> {
    tx.execute(&REVOKE_TOKEN, &[hash.0.into(), at.ms().into()]).map(drop)
}

fn addresses(advertiser: &Advertiser) -> Value {
    let addresses: Vec<String> = advertiser.allowed_addresses.iter().map(ToString::to_string).collect();
    addresses.join(" ").into()
}

fn read(row: &Row) -> Result<Advertiser, Error> {
    let addresses = row.text("allowed_addresses")?;
    let address = |text: &str| text.parse().map_err(|_| row.unreadable("allowed_addresses", text));
    Ok(Advertiser {
        id: AdvertiserId(row.uuid("advertiser_id")?),
        network: NetworkId(row.uuid("network_id")?),
        slug: row.text("slug")?,
        name: row.text("name")?,
        proof: row.code("proof")?,
        allowed_addresses: addresses.split_whitespace().map(address).collect::<Result<_, _>>()?,
    })
}

fn secrets(row: &Row) -> Result<Vec<Secret>, Error> {
    let texts = [row.opt_text("signing_secret")?, row.opt_text("previous_secret")?];
    let secret = |text: String| Secret::parse(&text).map_err(|why| Error::bug(EVERY.name, why));
    texts.into_iter().flatten().map(secret).collect()
}
