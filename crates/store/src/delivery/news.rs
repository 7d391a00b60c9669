//! What deliveries tell, read when they are held.

use domain::conversion::Status;
use domain::id::{ClickId, ConversionId, OfferId, PostbackId};
use domain::money::Money;
use domain::postback::{News, Postback};
use domain::signature::Secret;
use domain::time::Timestamp;
use domain::visit::Param;

use super::claim::Held;
use crate::{Error, Row, Statement, Tx, click, partner, postback};

pub(super) const ALL: &[&Statement] = &[&NEWS];

static NEWS: Statement = Statement::new(
    "delivery.news",
    "select c.conversion_id, c.click_id, c.offer_id, c.event_code, c.pub_click_id, c.pub_member_id, c.status,
         c.payout_micros, c.currency, c.amount_micros, c.amount_currency, c.test, k.facts, o.name as offer_name,
         h.at_ms as told_ms, coalesce(k.pub_member_id, '') as click_member, coalesce(k.pub_click_id, '') as click_name
     from conversion c
     join conversion_change h on h.conversion_id = c.conversion_id and h.version = ?2
     join click k on k.click_id = c.click_id
     join offer o on o.offer_id = c.offer_id
     where c.conversion_id = ?1",
);

/// A delivery that is held, with what it tells.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Which, and until when.
    pub held: Held,
    /// What to tell.
    pub news: News,
    /// The partner's ids of the member and the click, as the click had them then: erasing it changes one of them.
    pub click_names: [String; 2],
}

/// The deliveries of one postback that a worker holds.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Where and how.
    pub postback: Postback,
    /// The partner's signing secrets, newest first.
    pub secrets: Vec<Secret>,
    /// What.
    pub deliveries: Vec<Claimed>,
}

/// What held deliveries of a postback tell, and where to. `None` when the postback is gone.
pub fn told(tx: &mut Tx<'_>, id: PostbackId, held: &[Held]) -> Result<Option<Batch>, Error> {
    let Some(postback) = postback::find(tx, id)? else { return Ok(None) };
    let secrets = partner::secrets(tx, postback.partner)?;
    let mut deliveries = Vec::with_capacity(held.len());
    for held in held {
        let Some(claimed) = claimed(tx, *held)? else {
            // The others must not wait for it; it is claimed again whenever its lease has run out.
            tracing::error!(delivery = %held.id, "a delivery without its conversion");
            continue;
        };
        deliveries.push(claimed);
    }
    Ok(Some(Batch { postback, secrets, deliveries }))
}

fn claimed(tx: &mut Tx<'_>, held: Held) -> Result<Option<Claimed>, Error> {
    let (status, version) = held.told;
    let Some(row) = tx.query_one(&NEWS, &[held.conversion.uuid().into(), version.into()])? else {
        return Ok(None);
    };
    let click_names = [row.text("click_member")?, row.text("click_name")?];
    Ok(Some(Claimed { held, news: news(&row, status)?, click_names }))
}

/// What is told of a conversion in the status that it had in a version, or has now; none when there is no such.
pub(super) fn of_conversion(tx: &mut Tx<'_>, id: ConversionId, version: i64) -> Result<Option<News>, Error> {
    let Some(row) = tx.query_one(&NEWS, &[id.uuid().into(), version.into()])? else { return Ok(None) };
    let status = row.code("status")?;
    news(&row, status).map(Some)
}

/// What a delivery tells: the conversion, in the status that the delivery was made for.
fn news(row: &Row, status: Status) -> Result<News, Error> {
    let facts = click::own_facts(row)?;
    let sub = |n| Some((n, facts.parameter(Param::sub(n)?)?.to_owned()));
    let currency = row.code("currency")?;
    let amount = row.opt_int("amount_micros")?.zip(row.opt_code("amount_currency")?);
    // As `Conversion::told_payout` has it.
    let payout_micros = if status == Status::Rejected { 0 } else { row.int("payout_micros")? };
    Ok(News {
        payout: Money { micros: payout_micros, currency },
        click: ClickId(row.uuid("click_id")?),
        pub_click_id: row.text("pub_click_id")?,
        pub_member_id: row.text("pub_member_id")?,
        subs: (1..=15).filter_map(sub).collect(),
        offer: OfferId(row.uuid("offer_id")?),
        offer_name: row.text("offer_name")?,
        event_code: row.text("event_code")?,
        amount: amount.map(|(micros, currency)| Money { micros, currency }),
        status,
        conversion: ConversionId(row.uuid("conversion_id")?),
        at: Timestamp::from_ms(row.int("told_ms")?),
        test: row.flag("test")?,
    })
}
