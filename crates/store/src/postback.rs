//! Partners' postback settings.

use domain::id::{EventId, NetworkId, OfferId, PartnerId, PostbackId};
use domain::postback::{Postback, PostbackUrl, Scope, Wanted};
use domain::time::Timestamp;

use crate::catalog::{each_row, unreadable};
use crate::{Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] =
    &[&EVERY, &FIND, &OF_PARTNER, &OWN, &MATCHING, &INSERT, &UPDATE, &ENABLE, &PAUSE, &REMOVE];

static EVERY: Statement = Statement::new(
    "postback.all",
    "select postback_id, network_id, partner_id, slug, offer_id, event_id, method, url, on_success, on_pending,
         on_rejected, on_change, enabled
     from postback where postback_id > ?1 order by postback_id limit ?2",
);

static FIND: Statement = Statement::new(
    "postback.find",
    "select postback_id, network_id, partner_id, slug, offer_id, event_id, method, url, on_success, on_pending,
         on_rejected, on_change, enabled
     from postback where postback_id = ?1",
);

static OF_PARTNER: Statement = Statement::new(
    "postback.of_partner",
    "select postback_id, network_id, partner_id, slug, offer_id, event_id, method, url, on_success, on_pending,
         on_rejected, on_change, enabled, coalesce(disabled_reason, '') as disabled_reason, created_ms,
         paused_until_ms
     from postback where network_id = ?1 and partner_id = ?2 order by slug limit ?3",
);

static OWN: Statement = Statement::new(
    "postback.own",
    "select postback_id, network_id, partner_id, slug, offer_id, event_id, method, url, on_success, on_pending,
         on_rejected, on_change, enabled, coalesce(disabled_reason, '') as disabled_reason, created_ms,
         paused_until_ms
     from postback where postback_id = ?1 and network_id = ?2 and partner_id = ?3",
);

static MATCHING: Statement = Statement::new(
    "postback.matching",
    "select postback_id, network_id, partner_id, slug, offer_id, event_id, method, url, on_success, on_pending,
         on_rejected, on_change, enabled
     from postback
     where network_id = ?1 and partner_id = ?2 and enabled = 1
         and (offer_id is null or offer_id = ?3) and (event_id is null or event_id = ?4)
     order by slug",
);

static INSERT: Statement = Statement::new(
    "postback.insert",
    "insert into postback (postback_id, network_id, partner_id, slug, offer_id, event_id, method, url, on_success,
         on_pending, on_rejected, on_change, enabled, disabled_reason, created_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, null, ?14)",
);

static UPDATE: Statement = Statement::new(
    "postback.update",
    "update postback set offer_id = ?2, event_id = ?3, method = ?4, url = ?5, on_success = ?6, on_pending = ?7,
         on_rejected = ?8, on_change = ?9
     where postback_id = ?1",
);

static ENABLE: Statement = Statement::new(
    "postback.enable",
    "update postback set enabled = ?2, disabled_reason = ?3, paused_until_ms = null where postback_id = ?1",
);

static PAUSE: Statement =
    Statement::new("postback.pause", "update postback set paused_until_ms = ?2 where postback_id = ?1");

static REMOVE: Statement = Statement::new("postback.remove", "delete from postback where postback_id = ?1");

/// The most postbacks of one partner: each of them is told of a conversion in its own request.
pub const MOST: usize = 100;

/// A setting with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The setting.
    pub postback: Postback,
    /// Why it is switched off; empty while it is on.
    pub disabled_reason: String,
    /// Until when nothing is sent to its endpoint, which failed several times in a row; a server that has started
    /// since may try sooner.
    pub paused_until: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
}

/// Every postback setting of every partner.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<Postback>, Error> {
    let mut all = Vec::new();
    each_row(tx, &EVERY, "postback_id", |row| {
        all.push(read(row)?);
        Ok(())
    })?;
    Ok(all)
}

/// One setting.
pub fn find(tx: &mut Tx<'_>, id: PostbackId) -> Result<Option<Postback>, Error> {
    let row = tx.query_one(&FIND, &[id.uuid().into()])?;
    row.map(|row| read(&row).map_err(|why| unreadable(&FIND, &row, "postback_id", why))).transpose()
}

/// A partner's settings by slug, at most [`MOST`] and those that a file declared beyond.
pub fn of_partner(tx: &mut Tx<'_>, network: NetworkId, partner: PartnerId) -> Result<Vec<Kept>, Error> {
    let most = i64::try_from(2 * MOST).unwrap_or(i64::MAX);
    let rows = tx.query(&OF_PARTNER, &[network.uuid().into(), partner.uuid().into(), most.into()])?;
    rows.iter().map(kept).collect()
}

/// One of a partner's settings; none when the partner has no such.
pub fn own(
    tx: &mut Tx<'_>,
    network: NetworkId,
    partner: PartnerId,
    id: PostbackId,
) -> Result<Option<Kept>, Error> {
    let params = [id.uuid().into(), network.uuid().into(), partner.uuid().into()];
    tx.query_one(&OWN, &params)?.map(|row| kept(&row)).transpose()
}

/// The partner's settings that are switched on and whose scope holds a conversion of this offer and event.
pub fn matching(
    tx: &mut Tx<'_>,
    network: NetworkId,
    partner: PartnerId,
    offer: OfferId,
    event: EventId,
) -> Result<Vec<Postback>, Error> {
    let params = [network.uuid().into(), partner.uuid().into(), offer.uuid().into(), event.uuid().into()];
    let rows = tx.query(&MATCHING, &params)?;
    let each = |row| read(row).map_err(|why| unreadable(&MATCHING, row, "postback_id", why));
    rows.iter().map(each).collect()
}

/// Adds a setting.
pub fn insert(tx: &mut Tx<'_>, postback: &Postback, at: Timestamp) -> Result<(), Error> {
    let (offer, event) = scope_columns(postback.scope);
    let params = [
        postback.id.uuid().into(),
        postback.network.uuid().into(),
        postback.partner.uuid().into(),
        postback.slug.as_str().into(),
        offer.map(OfferId::uuid).into(),
        event.map(EventId::uuid).into(),
        postback.method.code().into(),
        postback.url.text().into(),
        postback.wanted.success.into(),
        postback.wanted.pending.into(),
        postback.wanted.rejected.into(),
        postback.wanted.changes.into(),
        postback.enabled.into(),
        at.ms().into(),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// Changes everything of a setting but its slug and whether it is switched on.
pub fn update(tx: &mut Tx<'_>, postback: &Postback) -> Result<(), Error> {
    let (offer, event) = scope_columns(postback.scope);
    let params = [
        postback.id.uuid().into(),
        offer.map(OfferId::uuid).into(),
        event.map(EventId::uuid).into(),
        postback.method.code().into(),
        postback.url.text().into(),
        postback.wanted.success.into(),
        postback.wanted.pending.into(),
        postback.wanted.rejected.into(),
        postback.wanted.changes.into(),
    ];
    tx.execute(&UPDATE, &params).map(drop)
}

/// Switches a setting on.
pub fn enable(tx: &mut Tx<'_>, id: PostbackId) -> Result<(), Error> {
    tx.execute(&ENABLE, &[id.uuid().into(), true.into(), None::<&str>.into()]).map(drop)
}

/// Switches a setting off; `reason` is shown to its partner.
pub fn disable(tx: &mut Tx<'_>, id: PostbackId, reason: &str) -> Result<(), Error> {
    tx.execute(&ENABLE, &[id.uuid().into(), false.into(), reason.into()]).map(drop)
}

/// Notes until when nothing is sent to the endpoint; none: it is open again. Only for whoever looks.
pub fn pause(tx: &mut Tx<'_>, id: PostbackId, until: Option<Timestamp>) -> Result<(), Error> {
    tx.execute(&PAUSE, &[id.uuid().into(), until.map(Timestamp::ms).into()]).map(drop)
}

/// Removes a setting. What still waits for it is given up by whoever would send it.
pub fn remove(tx: &mut Tx<'_>, id: PostbackId) -> Result<(), Error> {
    tx.execute(&REMOVE, &[id.uuid().into()]).map(drop)
}

fn kept(row: &Row) -> Result<Kept, Error> {
    Ok(Kept {
        postback: read(row).map_err(|why| unreadable(&OWN, row, "postback_id", why))?,
        disabled_reason: row.text("disabled_reason")?,
        paused_until: row.opt_int("paused_until_ms")?.map(Timestamp::from_ms),
        created: Timestamp::from_ms(row.int("created_ms")?),
    })
}

fn scope_columns(scope: Scope) -> (Option<OfferId>, Option<EventId>) {
    match scope {
        Scope::Global => (None, None),
        Scope::Offer(offer) => (Some(offer), None),
        Scope::Event(offer, event) => (Some(offer), Some(event)),
    }
}

pub(crate) fn read(row: &Row) -> Result<Postback, Error> {
    let scope = match (row.opt_uuid("offer_id")?, row.opt_uuid("event_id")?) {
        (None, None) => Scope::Global,
        (Some(offer), None) => Scope::Offer(OfferId(offer)),
        (Some(offer), Some(event)) => Scope::Event(OfferId(offer), EventId(event)),
        (None, Some(event)) => return Err(row.unreadable("event_id", &event.to_string())),
    };
    Ok(Postback {
        id: PostbackId(row.uuid("postback_id")?),
        network: NetworkId(row.uuid("network_id")?),
        partner: PartnerId(row.uuid("partner_id")?),
        slug: row.text("slug")?,
        scope,
        method: row.code("method")?,
        url: PostbackUrl::stored(&row.text("url")?).map_err(|why| Error::bug(EVERY.name, why))?,
        wanted: Wanted {
            success: row.flag("on_success")?,
            pending: row.flag("on_pending")?,
            rejected: row.flag("on_rejected")?,
            changes: row.flag("on_change")?,
        },
        enabled: row.flag("enabled")?,
    })
}
