//! Deliveries as people look at them: one by its id, a partner's, a conversion's with every attempt.

use domain::conversion::Status;
use domain::delivery::{DeliveryState, Origin};
use domain::id::{ConversionId, DeliveryId, NetworkId, PartnerId, PostbackId};
use domain::time::Timestamp;

use super::Attempt;
use crate::{Error, Row, Statement, Tx};

pub(super) const ALL: &[&Statement] = &[&FIND, &OF_PARTNER, &ATTEMPTS, &BY_CONVERSION];

static FIND: Statement = Statement::new(
    "delivery.find",
    "select d.delivery_id, d.network_id, d.partner_id, d.postback_id, d.conversion_id, d.status, d.origin, d.state,
         d.attempts_ever, d.next_attempt_ms, d.created_ms, coalesce(p.slug, '') as slug,
         coalesce(a.result, '') as result
     from delivery d
     left join postback p on p.postback_id = d.postback_id
     left join delivery_attempt a on a.delivery_id = d.delivery_id and a.attempt = d.attempts_ever
     where d.delivery_id = ?1",
);

static OF_PARTNER: Statement = Statement::new(
    "delivery.of_partner",
    "select d.delivery_id, d.network_id, d.partner_id, d.postback_id, d.conversion_id, d.status, d.origin, d.state,
         d.attempts_ever, d.next_attempt_ms, d.created_ms, coalesce(p.slug, '') as slug,
         coalesce(a.result, '') as result
     from delivery d
     left join postback p on p.postback_id = d.postback_id
     left join delivery_attempt a on a.delivery_id = d.delivery_id and a.attempt = d.attempts_ever
     where d.network_id = ?1 and d.partner_id = ?2 and (?3 = '' or d.state = ?3)
     order by d.created_ms desc, d.delivery_id desc limit ?4",
);

static ATTEMPTS: Statement = Statement::new(
    "delivery.attempts",
    "select attempt, started_ms, elapsed_ms, method, url, body, result, http_status, answer
     from delivery_attempt where delivery_id = ?1 order by attempt",
);

static BY_CONVERSION: Statement = Statement::new(
    "delivery.by_conversion",
    "select d.delivery_id, d.network_id, d.partner_id, d.postback_id, d.version, d.status, d.origin, d.state,
         d.attempts, d.next_attempt_ms, d.created_ms, d.finished_ms, coalesce(p.slug, '') as slug
     from delivery d left join postback p on p.postback_id = d.postback_id
     where d.conversion_id = ?1 order by d.delivery_id",
);

/// A delivery, as it is shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its id.
    pub id: DeliveryId,
    /// The postback's slug.
    pub postback: String,
    /// The conversion status that it tells.
    pub status: Status,
    /// Why it exists.
    pub origin: Origin,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it is tried next, while it waits.
    pub next_attempt: Timestamp,
    /// When it was made.
    pub created: Timestamp,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// A delivery in a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its id.
    pub id: DeliveryId,
    /// Its network.
    pub network: NetworkId,
    /// Its partner.
    pub partner: PartnerId,
    /// The postback.
    pub postback: PostbackId,
    /// The postback's slug; empty when it is gone.
    pub slug: String,
    /// The conversion that it is about.
    pub conversion: ConversionId,
    /// The conversion status that it tells.
    pub status: Status,
    /// Why it exists.
    pub origin: Origin,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it has been tried, over all rounds.
    pub attempts: i64,
    /// How the last attempt ended, in words; empty before the first.
    pub result: String,
    /// When it is tried next, while it waits.
    pub next_attempt: Timestamp,
    /// When it was made.
    pub created: Timestamp,
}

/// A delivery by its id, whatever its network: the caller checks whose it is.
pub fn find(tx: &mut Tx<'_>, id: DeliveryId) -> Result<Option<Listed>, Error> {
    tx.query_one(&FIND, &[id.uuid().into()])?.map(|row| listed(&row)).transpose()
}

/// The newest deliveries to a partner, in one state or in all, at most `limit`.
pub fn of_partner(
    tx: &mut Tx<'_>,
    network: NetworkId,
    partner: PartnerId,
    state: Option<DeliveryState>,
    limit: i64,
) -> Result<Vec<Listed>, Error> {
    let state = state.map_or("", DeliveryState::code);
    let params = [network.uuid().into(), partner.uuid().into(), state.into(), limit.into()];
    tx.query(&OF_PARTNER, &params)?.iter().map(listed).collect()
}

pub(super) fn listed(row: &Row) -> Result<Listed, Error> {
    Ok(Listed {
        id: DeliveryId(row.uuid("delivery_id")?),
        network: NetworkId(row.uuid("network_id")?),
        partner: PartnerId(row.uuid("partner_id")?),
        postback: PostbackId(row.uuid("postback_id")?),
        slug: row.text("slug")?,
        conversion: ConversionId(row.uuid("conversion_id")?),
        status: row.code("status")?,
        origin: row.code("origin")?,
        state: row.code("state")?,
        attempts: row.int("attempts_ever")?,
        result: row.text("result")?,
        next_attempt: Timestamp::from_ms(row.int("next_attempt_ms")?),
        created: Timestamp::from_ms(row.int("created_ms")?),
    })
}

/// The deliveries about a conversion with all their attempts.
pub fn by_conversion(tx: &mut Tx<'_>, conversion: ConversionId) -> Result<Vec<Shown>, Error> {
    let rows = tx.query(&BY_CONVERSION, &[conversion.uuid().into()])?;
    rows.iter()
        .map(|row| {
            let id = DeliveryId(row.uuid("delivery_id")?);
            Ok(Shown {
                id,
                postback: row.text("slug")?,
                status: row.code("status")?,
                origin: row.code("origin")?,
                state: row.code("state")?,
                next_attempt: Timestamp::from_ms(row.int("next_attempt_ms")?),
                created: Timestamp::from_ms(row.int("created_ms")?),
                attempts: attempts(tx, id)?,
            })
        })
        .collect()
}

/// A delivery's attempts, oldest first.
pub(super) fn attempts(tx: &mut Tx<'_>, id: DeliveryId) -> Result<Vec<Attempt>, Error> {
    let rows = tx.query(&ATTEMPTS, &[id.uuid().into()])?;
    rows.iter()
        .map(|row| {
            Ok(Attempt {
                started: Timestamp::from_ms(row.int("started_ms")?),
                elapsed_ms: row.int("elapsed_ms")?,
                method: row.text("method")?,
                url: row.text("url")?,
                body: row.text("body")?,
                result: row.text("result")?,
                http_status: row.opt_int("http_status")?.and_then(|status| u16::try_from(status).ok()),
                answer: row.text("answer")?,
            })
        })
        .collect()
}
