//! Erasing a person: everything that tells who a member was goes, and what counts and pays stays.
//!
//! The member id becomes a pseudonym ([`domain::erase`]) wherever it stood. A member who comes back is recorded under
//! the same pseudonym, so the place that was taken before is still taken: that rule stays the unique index.

use std::collections::HashMap;

use domain::ambient::Ambient;
use domain::erase::Key;
use domain::id::{ClickId, ConversionId, NetworkId, PartnerId};
use domain::link::Link;
use serde_json::{Map, Value as Json};

use crate::{Error, Row, Statement, Tx, Value, catalog};

pub(crate) const ALL: &[&Statement] = &[
    &KEYS,
    &KEY,
    &ADD_KEY,
    &IS_ERASED,
    &ADD_MEMBER,
    &CLICKS,
    &COUNT,
    &BLANK_CLICK,
    &BY_CLICK,
    &BY_MEMBER,
    &BLANK_CONVERSION,
    &BLANK_NOTES,
    &BLANK_REQUESTS,
    &BLANK_ATTEMPTS,
];

static KEYS: Statement =
    Statement::new("erase.keys", "select network_id, secret from erase_key limit 100000");

static KEY: Statement = Statement::new("erase.key", "select secret from erase_key where network_id = ?1");

static ADD_KEY: Statement = Statement::new(
    "erase.add_key",
    "insert into erase_key (network_id, secret) values (?1, ?2) on conflict do nothing",
);

static IS_ERASED: Statement = Statement::new(
    "erase.is_erased",
    "select pseudonym from erased_member where network_id = ?1 and pseudonym = ?2",
);

static ADD_MEMBER: Statement = Statement::new(
    "erase.add_member",
    "insert into erased_member (network_id, pseudonym, partner_id, erased_ms) values (?1, ?2, ?3, ?4)
     on conflict do nothing",
);

/// Also by the click id: a partner without member ids passes its click id for both. Locked, so that the postbacks
/// about them that are under way end first.
static CLICKS: Statement = Statement::new(
    "erase.clicks",
    "select click_id, facts from click
     where (pub_member_id = ?1 or pub_click_id = ?1)
         and link_id in (select link_id from link where network_id = ?2 and partner_id = ?3)
     order by click_id limit ?4 {for_update}",
);

static COUNT: Statement = Statement::new(
    "erase.count",
    "with own (click_id) as (
         select click_id from click
         where (pub_member_id = ?1 or pub_click_id = ?1)
             and link_id in (select link_id from link where network_id = ?2 and partner_id = ?3)),
     made (conversion_id) as (
         select conversion_id from conversion
         where click_id in (select click_id from own)
             or (network_id = ?2 and partner_id = ?3 and pub_member_id = ?1))
     select (select count(*) from own) as clicks, (select count(*) from made) as conversions,
         (select count(*) from inbound where click_id in (select click_id from own)) as requests,
         (select count(*) from delivery_attempt where delivery_id in (
             select delivery_id from delivery where conversion_id in (select conversion_id from made))) as attempts",
);

static BLANK_CLICK: Statement = Statement::new(
    "erase.blank_click",
    "update click set facts = ?4, pub_member_id = case when pub_member_id = ?2 then ?3 else pub_member_id end,
         pub_click_id = case when pub_click_id = ?2 then ?3 else pub_click_id end
     where click_id = ?1",
);

static BY_CLICK: Statement =
    Statement::new("erase.by_click", "select conversion_id from conversion where click_id = ?1 limit 1000");

static BY_MEMBER: Statement = Statement::new(
    "erase.by_member",
    "select conversion_id from conversion
     where network_id = ?2 and partner_id = ?3 and pub_member_id = ?1 order by conversion_id limit ?4",
);

/// Should the member have come back and been recorded under the pseudonym meanwhile, one of the two keeps the place.
static BLANK_CONVERSION: Statement = Statement::new(
    "erase.blank_conversion",
    "update conversion set address = '', kept = '{}',
         pub_member_id = case when pub_member_id = ?2 then ?3 else pub_member_id end,
         pub_click_id = case when pub_click_id = ?2 then ?3 else pub_click_id end,
         holds_place = case when holds_place = 1 and exists (
             select 1 from conversion h
             where h.network_id = conversion.network_id and h.offer_id = conversion.offer_id
                 and h.event_id = conversion.event_id and h.partner_id = conversion.partner_id
                 and h.pub_member_id = ?3 and h.holds_place = 1 and h.conversion_id <> conversion.conversion_id)
             then 0 else holds_place end
     where conversion_id = ?1",
);

static BLANK_NOTES: Statement = Statement::new(
    "erase.blank_notes",
    "update conversion_change set note = '' where conversion_id = ?1 and note <> ''",
);

/// A result may be reported from the visitor's own browser, so the sender's address goes as well.
static BLANK_REQUESTS: Statement = Statement::new(
    "erase.blank_requests",
    "update inbound set address = '', target = '', body = '', message = '', steps = '[]' where click_id = ?1",
);

static BLANK_ATTEMPTS: Statement = Statement::new(
    "erase.blank_attempts",
    "update delivery_attempt set url = '', body = '', answer = ''
     where delivery_id in (select delivery_id from delivery where conversion_id = ?1)",
);

/// Clicks or conversions of one step.
const STEP: i64 = 50;

/// Clicks that are locked at the beginning: more than a person makes at once.
const LOCKED: i64 = 1_000;

/// Facts of a click that reports count by and that tell nobody who it was.
const KEPT: &[&str] = &["cc", "rg", "dv", "os", "br"];

/// A member of a partner.
#[derive(Debug, Clone)]
pub struct Member {
    /// The network.
    pub network: NetworkId,
    /// The partner whose member it is.
    pub partner: PartnerId,
    /// The member id, as the partner gives it.
    pub id: String,
}

impl Member {
    fn params(&self, limit: i64) -> [Value; 4] {
        [self.id.as_str().into(), self.network.uuid().into(), self.partner.uuid().into(), limit.into()]
    }
}

/// How much of a member was erased, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Clicks.
    pub clicks: u64,
    /// Conversions.
    pub conversions: u64,
    /// Requests of advertisers.
    pub requests: u64,
    /// Attempts to tell the partner.
    pub attempts: u64,
}

impl Erased {
    /// Adds what another step did.
    pub fn add(&mut self, other: Self) {
        self.clicks += other.clicks;
        self.conversions += other.conversions;
        self.requests += other.requests;
        self.attempts += other.attempts;
    }
}

/// How much there is of a member now.
pub fn count(tx: &mut Tx<'_>, member: &Member) -> Result<Erased, Error> {
    let [id, network, partner, _] = member.params(0);
    let Some(row) = tx.query_one(&COUNT, &[id, network, partner])? else { return Ok(Erased::default()) };
    let count = |name| row.int(name).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(Erased {
        clicks: count("clicks")?,
        conversions: count("conversions")?,
        requests: count("requests")?,
        attempts: count("attempts")?,
    })
}

/// Makes a member one that is erased: from the end of this transaction on, what comes of it is recorded under the
/// pseudonym, which this returns. Repeating it changes nothing.
pub fn begin(tx: &mut Tx<'_>, ambient: Ambient, member: &Member) -> Result<String, Error> {
    // Postbacks that began before this one was known hold the lock of their click.
    tx.query(&CLICKS, &member.params(LOCKED))?;
    let fresh = ambient.random_bytes().to_vec();
    if tx.execute(&ADD_KEY, &[member.network.uuid().into(), fresh.into()])? == 1 {
        catalog::touch(tx)?;
    }
    let key = key(tx, member.network)?.ok_or_else(|| Error::bug(KEY.name, NoKey))?;
    let pseudonym = key.pseudonym(member.partner, &member.id);
    let params = [
        member.network.uuid().into(),
        pseudonym.as_str().into(),
        member.partner.uuid().into(),
        ambient.now().ms().into(),
    ];
    tx.execute(&ADD_MEMBER, &params)?;
    Ok(pseudonym)
}

/// Erases the next clicks and conversions of a member after [`begin`]; nothing left when it returns only zeros.
pub fn step(tx: &mut Tx<'_>, member: &Member, pseudonym: &str) -> Result<Erased, Error> {
    let mut done = Erased::default();
    for row in tx.query(&CLICKS, &member.params(STEP))? {
        let id = ClickId(row.uuid("click_id")?);
        for made in tx.query(&BY_CLICK, &[id.uuid().into()])? {
            conversion(tx, member, pseudonym, &made, &mut done)?;
        }
        done.requests += tx.execute(&BLANK_REQUESTS, &[id.uuid().into()])?;
        let facts = only(&row.text("facts")?, KEPT)?;
        let params: [Value; 4] =
            [id.uuid().into(), member.id.as_str().into(), pseudonym.into(), facts.into()];
        done.clicks += tx.execute(&BLANK_CLICK, &params)?;
    }
    // Whatever has lost its click.
    for made in tx.query(&BY_MEMBER, &member.params(STEP))? {
        conversion(tx, member, pseudonym, &made, &mut done)?;
    }
    Ok(done)
}

fn conversion(
    tx: &mut Tx<'_>,
    member: &Member,
    pseudonym: &str,
    row: &Row,
    done: &mut Erased,
) -> Result<(), Error> {
    let id: Value = ConversionId(row.uuid("conversion_id")?).uuid().into();
    done.attempts += tx.execute(&BLANK_ATTEMPTS, std::slice::from_ref(&id))?;
    tx.execute(&BLANK_NOTES, std::slice::from_ref(&id))?;
    let params = [id, member.id.as_str().into(), pseudonym.into()];
    done.conversions += tx.execute(&BLANK_CONVERSION, &params)?;
    Ok(())
}

/// A JSON object with only these fields.
fn only(text: &str, fields: &[&str]) -> Result<String, Error> {
    let mut object: Map<String, Json> =
        serde_json::from_str(text).map_err(|why| Error::bug("erase.only", why))?;
    object.retain(|name, _| fields.contains(&name.as_str()));
    Ok(Json::Object(object).to_string())
}

/// How a member is known in conversions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// What a conversion records now.
    pub(crate) recorded: String,
    /// Under what it may stand as well, while it is being erased; the same when it never was.
    pub(crate) other: String,
}

/// How a member of a link's partner is known. One look at a key; networks that never erased anybody have none.
pub(crate) fn names(tx: &mut Tx<'_>, link: &Link, member: &str) -> Result<Names, Error> {
    let network = link.offer.network.id;
    let plain = || Names { recorded: member.to_owned(), other: member.to_owned() };
    let Some(key) = key(tx, network)? else { return Ok(plain()) };
    let pseudonym = key.pseudonym(link.partner.id, member);
    let erased = tx.query_one(&IS_ERASED, &[network.uuid().into(), pseudonym.as_str().into()])?.is_some();
    Ok(if erased { Names { recorded: pseudonym, other: member.to_owned() } } else { plain() })
}

/// The key of every network that has one.
pub(crate) fn keys(tx: &mut Tx<'_>) -> Result<HashMap<NetworkId, Key>, Error> {
    let rows = tx.query(&KEYS, &[])?;
    rows.iter().map(|row| Ok((NetworkId(row.uuid("network_id")?), secret(row)?))).collect()
}

fn key(tx: &mut Tx<'_>, network: NetworkId) -> Result<Option<Key>, Error> {
    tx.query_one(&KEY, &[network.uuid().into()])?.map(|row| secret(&row)).transpose()
}

fn secret(row: &Row) -> Result<Key, Error> {
    let bytes = row.blob("secret")?;
    let bytes = bytes.try_into().map_err(|_| row.unreadable("secret", "bytes of another length"))?;
    Ok(Key::new(bytes))
}

#[derive(Debug, thiserror::Error)]
#[error("the key is gone")]
struct NoKey;
