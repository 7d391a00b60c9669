//! Erasing a person: everything that tells who a member was goes, and what counts and pays stays.
//!
//! The member id becomes a pseudonym ([`domain::erase`]) wherever it stood. A member who comes back is recorded under
//! the same pseudonym, so the place that was taken before is still taken: that rule stays the unique index.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::ambient::Ambient;
use domain::catalog::Catalog;
use domain::click::Facts;
use domain::conversion::{Change, Conversion, Reason, Status};
use domain::erase::Key;
use domain::id::{ClickId, NetworkId, PartnerId};
use domain::link::Link;

use crate::click::key::Which;
use crate::error::Mistake;
use crate::{Error, Row, Statement, Tx, Value, catalog, click, conversion, delivery, report, tally};

pub(crate) const ALL: &[&Statement] = &[
    &KEYS,
    &KEY,
    &ADD_KEY,
    &IS_ERASED,
    &ADD_MEMBER,
    &CLICK,
    &LOCKED_CLICK,
    &REQUESTS,
    &ATTEMPTS,
    &BLANK_CLICK,
    &BY_CLICK,
    &BY_MEMBER,
    &MADE_OF_CLICK,
    &MADE_OF_MEMBER,
    &LOST,
    &BLANK_CONVERSION,
    &DELIVERIES,
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

/// Also by the click id: a partner without member ids passes its click id for both.
static CLICK: Statement = Statement::new(
    "erase.click",
    "select click_id, facts from click
     where click_id = ?1 and (pub_member_id = ?2 or pub_click_id = ?2)
         and link_id in (select link_id from link where network_id = ?3 and partner_id = ?4)",
);

/// The same, locked, so that the postbacks about it that are under way end first.
static LOCKED_CLICK: Statement = Statement::new(
    "erase.locked_click",
    "select click_id, facts from click
     where click_id = ?1 and (pub_member_id = ?2 or pub_click_id = ?2)
         and link_id in (select link_id from link where network_id = ?3 and partner_id = ?4) {for_update}",
);

static REQUESTS: Statement =
    Statement::new("erase.requests", "select count(*) as found from inbound where click_id = ?1");

static ATTEMPTS: Statement = Statement::new(
    "erase.attempts",
    "select count(*) as found from delivery_attempt
     where delivery_id in (select delivery_id from delivery where conversion_id = ?1)",
);

static BLANK_CLICK: Statement = Statement::new(
    "erase.blank_click",
    "update click set facts = ?4, agent_hash = null, destination_hash = null,
         pub_member_id = case when pub_member_id = ?2 then ?3 else pub_member_id end,
         pub_click_id = case when pub_click_id = ?2 then ?3 else pub_click_id end
     where click_id = ?1",
);

/// Locked like [`BY_MEMBER`]: what makes deliveries of them meanwhile waits, or has made them already.
static BY_CLICK: Statement = Statement::new(
    "erase.by_click",
    "select * from conversion where click_id = ?1 order by conversion_id limit 1000 {for_update}",
);

static MADE_OF_CLICK: Statement =
    Statement::new("erase.made_of_click", "select conversion_id from conversion where click_id = ?1");

static MADE_OF_MEMBER: Statement = Statement::new(
    "erase.made_of_member",
    "select conversion_id from conversion where network_id = ?2 and partner_id = ?3 and pub_member_id = ?1",
);

static BY_MEMBER: Statement = Statement::new(
    "erase.by_member",
    "select * from conversion
     where network_id = ?2 and partner_id = ?3 and pub_member_id = ?1 order by conversion_id limit ?4 {for_update}",
);

static LOST: Statement =
    Statement::new("erase.lost", "update conversion set winner_id = ?2 where conversion_id = ?1");

static BLANK_CONVERSION: Statement = Statement::new(
    "erase.blank_conversion",
    "update conversion set address = '', kept = '{}',
         pub_member_id = case when pub_member_id = ?2 then ?3 else pub_member_id end,
         pub_click_id = case when pub_click_id = ?2 then ?3 else pub_click_id end
     where conversion_id = ?1",
);

/// Locked before the attempts are cleared: an attempt under way is written before that, or finds the click erased.
static DELIVERIES: Statement = Statement::new(
    "erase.deliveries",
    "select delivery_id from delivery where conversion_id = ?1 order by delivery_id {for_update}",
);

static BLANK_NOTES: Statement = Statement::new(
    "erase.blank_notes",
    "update conversion_change set note = '' where conversion_id = ?1 and note <> ''",
);

/// A result may be reported from the visitor's own browser, so the sender's address goes as well.
static BLANK_REQUESTS: Statement = Statement::new(
    "erase.blank_requests",
    "update inbound set address = '', target = '', body = '', message = '', steps = null where click_id = ?1",
);

static BLANK_ATTEMPTS: Statement = Statement::new(
    "erase.blank_attempts",
    "update delivery_attempt set url = '', body = '', answer = ''
     where delivery_id in (select delivery_id from delivery where conversion_id = ?1)",
);

/// Clicks or conversions of one step.
const STEP: i64 = 50;
const CLICKS_AT_ONCE: usize = 50;

/// Clicks that are locked at the beginning: more than a person makes at once.
const LOCKED: usize = 1_000;

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

/// The member's clicks that are not erased, oldest first, at most `limit`.
fn clicks(
    tx: &mut Tx<'_>,
    member: &Member,
    limit: usize,
    statement: &'static Statement,
) -> Result<Vec<Row>, Error> {
    let mut ids = click::key::find(tx, Which::MemberId, &member.id, i64::MAX)?;
    ids.extend(click::key::find(tx, Which::ClickId, &member.id, i64::MAX)?);
    ids.sort_unstable();
    ids.dedup();
    let mut own = Vec::new();
    for id in ids {
        let [member, network, partner, _] = member.params(0);
        own.extend(tx.query_one(statement, &[id.uuid().into(), member, network, partner])?);
        if own.len() >= limit {
            break;
        }
    }
    Ok(own)
}

/// How much there is of a member now.
pub fn count(tx: &mut Tx<'_>, member: &Member) -> Result<Erased, Error> {
    let mut erased = Erased::default();
    let mut made = BTreeSet::new();
    for click in clicks(tx, member, usize::MAX, &CLICK)? {
        let id: Value = click.uuid("click_id")?.into();
        erased.clicks += 1;
        erased.requests += number(tx, &REQUESTS, id.clone())?;
        for row in tx.query(&MADE_OF_CLICK, &[id])? {
            made.insert(row.uuid("conversion_id")?);
        }
    }
    let [id, network, partner, _] = member.params(0);
    for row in tx.query(&MADE_OF_MEMBER, &[id, network, partner])? {
        made.insert(row.uuid("conversion_id")?);
    }
    erased.conversions = made.len() as u64;
    for id in made {
        erased.attempts += number(tx, &ATTEMPTS, id.into())?;
    }
    Ok(erased)
}

fn number(tx: &mut Tx<'_>, statement: &'static Statement, id: Value) -> Result<u64, Error> {
    let row = tx.query_one(statement, &[id])?;
    Ok(row.map_or(Ok(0), |row| row.int("found"))?.try_into().unwrap_or(0))
}

/// Makes a member one that is erased: from the end of this transaction on, what comes of it is recorded under the
/// pseudonym, which this returns. Repeating it changes nothing.
pub fn begin(tx: &mut Tx<'_>, ambient: Ambient, member: &Member) -> Result<String, Error> {
    // Postbacks that began before this one was known hold the lock of their click.
    clicks(tx, member, LOCKED, &LOCKED_CLICK)?;
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
///
/// Should the member's place have been taken under the pseudonym and under the member id in the moment of [`begin`],
/// the first one keeps it and the later one is rejected. [`Error::Conflict`] means that it is being taken right now:
/// run the step again.
pub fn step(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ambient: Ambient,
    member: &Member,
    pseudonym: &str,
) -> Result<Erased, Error> {
    let erasing = Erasing { catalog, ambient, member, pseudonym };
    let mut done = Erased::default();
    let own = clicks(tx, member, CLICKS_AT_ONCE, &LOCKED_CLICK)?;
    let ids = own.iter().map(|row| row.uuid("click_id").map(ClickId)).collect::<Result<Vec<_>, _>>()?;
    report::forget(tx, &ids)?;
    click::key::forget(tx, &member.id, &ids)?;
    for (row, id) in own.iter().zip(ids) {
        for made in tx.query(&BY_CLICK, &[id.uuid().into()])? {
            erasing.conversion(tx, &made, &mut done)?;
        }
        done.requests += tx.execute(&BLANK_REQUESTS, &[id.uuid().into()])?;
        let facts = counted(click::own_facts(row)?).pack_own();
        let params: [Value; 4] =
            [id.uuid().into(), member.id.as_str().into(), pseudonym.into(), facts.into()];
        done.clicks += tx.execute(&BLANK_CLICK, &params)?;
    }
    // Whatever has lost its click.
    for made in tx.query(&BY_MEMBER, &member.params(STEP))? {
        erasing.conversion(tx, &made, &mut done)?;
    }
    Ok(done)
}

/// What a step works with.
struct Erasing<'a> {
    catalog: &'a Catalog,
    ambient: Ambient,
    member: &'a Member,
    pseudonym: &'a str,
}

impl Erasing<'_> {
    fn conversion(&self, tx: &mut Tx<'_>, row: &Row, done: &mut Erased) -> Result<(), Error> {
        let own = conversion::read(row)?;
        if own.holds_place && own.pub_member_id == self.member.id {
            self.leave_one_place(tx, &own)?;
        }
        let id: Value = own.id.uuid().into();
        tx.query(&DELIVERIES, std::slice::from_ref(&id))?;
        done.attempts += tx.execute(&BLANK_ATTEMPTS, std::slice::from_ref(&id))?;
        tx.execute(&BLANK_NOTES, std::slice::from_ref(&id))?;
        let params = [id, self.member.id.as_str().into(), self.pseudonym.into()];
        done.conversions += tx.execute(&BLANK_CONVERSION, &params)?;
        Ok(())
    }

    /// Rejects the later one of a conversion that holds the place under the member id and another that holds it under
    /// the pseudonym, if there is one.
    fn leave_one_place(&self, tx: &mut Tx<'_>, own: &Conversion) -> Result<(), Error> {
        let place = (own.offer, own.event, own.partner);
        let Some(other) = conversion::holder(tx, own.network, place, self.pseudonym)? else { return Ok(()) };
        let Some(other) = conversion::find(tx, other)? else { return Ok(()) };
        let own_first = (own.received, own.id) < (other.received, other.id);
        let (first, later) = if own_first { (own, &other) } else { (&other, own) };
        let Some(offer) = self.catalog.offers.get(&own.offer) else { return Err(Error::Stale) };
        let reason = Some(Reason::MemberAlreadyCompleted);
        let change = Change { to: Status::Rejected, reason, waits: None };
        let rejected = conversion::update(tx, &later.existing(), change, self.ambient.now(), "erase")?;
        let Some(rejected) = rejected else { return Err(Error::Contended(Arc::new(Mistake::Overtaken))) };
        tally::changed(tx, offer, later.status, &rejected)?;
        // The partner was told of both, so it hears of this one once more: only then it has lost to the first.
        delivery::enqueue(tx, self.ambient, &rejected)?;
        tx.execute(&LOST, &[later.id.uuid().into(), first.id.uuid().into()]).map(drop)
    }
}

/// The facts of a click that reports count by and that tell nobody who it was.
fn counted(facts: Facts) -> Facts {
    let Facts { country, region, device, os, browser, .. } = facts;
    Facts { country, region, device, os, browser, ..Facts::default() }
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
