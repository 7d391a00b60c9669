//! Retention: removes what is older than a border, a bounded step at a time, so that a click never waits long behind
//! it. Conversions, their history and every total stay for ever.

use domain::click::Facts;
use domain::id::{ClickId, ConversionId};
use domain::time::Timestamp;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::click::{self, key};
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[
    &BORDER,
    &UNCOUNTED,
    &MOVE_BORDER,
    &CLICKS,
    &REMOVE_CLICKS,
    &CLICK_FACTS,
    &SET_FACTS,
    &CONVERSIONS,
    &SET_SENDER,
    &REMOVE_INBOUND,
    &REMOVE_ATTEMPTS,
    &REMOVE_DELIVERIES,
];

static BORDER: Statement =
    Statement::new("retention.border", "select until_ms, position, at_ms from retention where class = ?1");

static MOVE_BORDER: Statement = Statement::new(
    "retention.move_border",
    "insert into retention (class, until_ms, position, at_ms) values (?1, ?2, ?3, ?4)
     on conflict (class) do update set until_ms = excluded.until_ms, position = excluded.position,
         at_ms = excluded.at_ms",
);

/// The oldest click that is in no count yet, or is about to be counted anew.
static UNCOUNTED: Statement = Statement::new(
    "retention.uncounted",
    "select first_id from (
         select first_id from click_arrival
         union all select position from report_state where position is not null) waiting
     order by first_id limit 1",
);

/// Locked, so that no postback makes a conversion of one of them before it is looked at again.
static CLICKS: Statement = Statement::new(
    "retention.clicks",
    "select click_id from click where click_id > ?1 and click_id < ?2 order by click_id limit ?3 {for_update}",
);

static REMOVE_CLICKS: Statement = Statement::new(
    "retention.remove_clicks",
    "delete from click where click_id > ?1 and click_id <= ?2
         and not exists (select 1 from conversion c where c.click_id = click.click_id)",
);

static CLICK_FACTS: Statement = Statement::new(
    "retention.click_facts",
    "select click_id, facts, agent_hash, destination_hash from click where click_id > ?1 and click_id < ?2
     order by click_id limit ?3",
);

static SET_FACTS: Statement = Statement::new(
    "retention.set_facts",
    "update click set facts = ?2, agent_hash = null, destination_hash = null where click_id = ?1",
);

static CONVERSIONS: Statement = Statement::new(
    "retention.conversions",
    "select conversion_id, kept from conversion where conversion_id > ?1 and conversion_id < ?2
     order by conversion_id limit ?3",
);

static SET_SENDER: Statement = Statement::new(
    "retention.set_sender",
    "update conversion set address = '', kept = ?2 where conversion_id = ?1",
);

static REMOVE_INBOUND: Statement = Statement::new(
    "retention.remove_inbound",
    "delete from inbound where inbound_id in (
         select inbound_id from inbound where inbound_id < ?1 order by inbound_id limit ?2)",
);

static REMOVE_ATTEMPTS: Statement = Statement::new(
    "retention.remove_attempts",
    "delete from delivery_attempt where (delivery_id, attempt) in (
         select a.delivery_id, a.attempt from delivery_attempt a
         join delivery d on d.delivery_id = a.delivery_id
         where a.delivery_id < ?1 and d.state <> 'pending' and d.finished_ms < ?2
         order by a.delivery_id, a.attempt limit ?3)",
);

/// The state is asked again outside, of the row as it is when it is locked: somebody may send it again just now.
static REMOVE_DELIVERIES: Statement = Statement::new(
    "retention.remove_deliveries",
    "delete from delivery where state <> 'pending' and finished_ms < ?2 and delivery_id in (
         select d.delivery_id from delivery d
         where d.delivery_id < ?1 and d.state <> 'pending' and d.finished_ms < ?2
             and not exists (select 1 from delivery_attempt a where a.delivery_id = d.delivery_id)
         order by d.delivery_id limit ?3)",
);

/// Rows of one step: a few milliseconds of the one writer that SQLite has.
const STEP: i64 = 100;

/// What is removed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Clicks without a conversion.
    Clicks,
    /// Address, user agent and destination of clicks.
    ClickAddresses,
    /// The sender's and the visitor's address of conversions.
    ConversionAddresses,
    /// What advertisers sent.
    Inbound,
    /// What partners were told: the attempts first, then the deliveries.
    Deliveries,
}

impl Class {
    /// Every class, in the order in which they are worked on.
    pub const ALL: [Self; 5] =
        [Self::Clicks, Self::ClickAddresses, Self::ConversionAddresses, Self::Inbound, Self::Deliveries];

    /// Its code in the record and in reports.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Clicks => "clicks",
            Self::ClickAddresses => "click_addresses",
            Self::ConversionAddresses => "conversion_addresses",
            Self::Inbound => "inbound",
            Self::Deliveries => "deliveries",
        }
    }
}

/// How far a class has been removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Border {
    /// Everything before is gone, or goes as soon as the job comes to it.
    pub until: Timestamp,
    /// When the job last worked on it.
    pub at: Timestamp,
    /// The last id that was looked at.
    position: Uuid,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Rows that were removed, or of which something was.
    pub rows: u64,
    /// Whether there may be more to do.
    pub more: bool,
}

/// How far a class has been removed; `None` when nothing of it ever was.
pub fn border(tx: &mut Tx<'_>, class: Class) -> Result<Option<Border>, Error> {
    let row = tx.query_one(&BORDER, &[class.code().into()])?;
    row.map(|row| {
        Ok(Border {
            until: Timestamp::from_ms(row.int("until_ms")?),
            at: Timestamp::from_ms(row.int("at_ms")?),
            position: row.uuid("position")?,
        })
    })
    .transpose()
}

/// The classes of which everything made at this time has been removed: why an id of ours may no longer be known.
pub fn removed(tx: &mut Tx<'_>, made: Timestamp) -> Result<Vec<(Class, Border)>, Error> {
    let mut removed = Vec::new();
    for class in [Class::Clicks, Class::Inbound, Class::Deliveries] {
        let found = border(tx, class)?.filter(|border| made < border.until);
        removed.extend(found.map(|border| (class, border)));
    }
    Ok(removed)
}

/// Removes the next of a class that is older than `until`, at most a few hundred rows.
pub fn step(tx: &mut Tx<'_>, class: Class, until: Timestamp, now: Timestamp) -> Result<Step, Error> {
    let known = border(tx, class)?;
    let from = known.map_or(Uuid::nil(), |known| known.position);
    let (step, position) = match class {
        Class::Clicks => clicks(tx, from, until)?,
        Class::ClickAddresses => click_addresses(tx, from, until)?,
        Class::ConversionAddresses => conversion_addresses(tx, from, until)?,
        Class::Inbound => (inbound(tx, until)?, from),
        Class::Deliveries => (deliveries(tx, until)?, from),
    };
    // A longer time than before brings nothing back.
    let until = known.map_or(until, |known| known.until.max(until));
    let params = [class.code().into(), until.ms().into(), position.into(), now.ms().into()];
    tx.execute(&MOVE_BORDER, &params)?;
    Ok(step)
}

/// The smallest id of this time, whatever it is the id of.
fn first_id(at: Timestamp) -> Uuid {
    ClickId::first_of(at).uuid()
}

/// The last id of a page, or where the page began.
fn last(rows: &[Row], column: &str, from: Uuid) -> Result<Uuid, Error> {
    rows.last().map_or(Ok(from), |row| row.uuid(column))
}

fn is_full(rows: &[Row]) -> bool {
    i64::try_from(rows.len()).unwrap_or(STEP) >= STEP
}

fn clicks(tx: &mut Tx<'_>, from: Uuid, until: Timestamp) -> Result<(Step, Uuid), Error> {
    // What is removed before it is counted would be missing from the totals.
    let uncounted = tx.query_one(&UNCOUNTED, &[])?.map(|row| row.uuid("first_id")).transpose()?;
    let end = uncounted.map_or(first_id(until), |first| first.min(first_id(until)));
    let found = tx.query(&CLICKS, &[from.into(), end.into(), STEP.into()])?;
    let to = last(&found, "click_id", from)?;
    let rows = if found.is_empty() { 0 } else { tx.execute(&REMOVE_CLICKS, &[from.into(), to.into()])? };
    if !is_full(&found) {
        key::remove_before(tx, to)?;
    }
    Ok((Step { rows, more: is_full(&found) }, to))
}

fn click_addresses(tx: &mut Tx<'_>, from: Uuid, until: Timestamp) -> Result<(Step, Uuid), Error> {
    let found = tx.query(&CLICK_FACTS, &[from.into(), first_id(until).into(), STEP.into()])?;
    let mut rows = 0;
    for row in &found {
        if let Some(facts) = without_visitor(row)? {
            rows += tx.execute(&SET_FACTS, &[row.uuid("click_id")?.into(), facts.pack_own().into()])?;
        }
    }
    Ok((Step { rows, more: is_full(&found) }, last(&found, "click_id", from)?))
}

/// The facts of a click without what tells whose it was: address, user agent, and where the visitor was sent, because
/// both may stand in that URL; `None` when there is none of it.
fn without_visitor(row: &Row) -> Result<Option<Facts>, Error> {
    let told = click::own_facts(row)?;
    let elsewhere = row.opt_int("agent_hash")?.is_some() || row.opt_int("destination_hash")?.is_some();
    let kept = Facts { address: None, user_agent: String::new(), destination: String::new(), ..told.clone() };
    Ok((elsewhere || kept != told).then_some(kept))
}

/// The kept parameters of a conversion that tell where the visitor was.
const WHERE: &[&str] = &["cnv_conversion_ip_address"];

fn conversion_addresses(tx: &mut Tx<'_>, from: Uuid, until: Timestamp) -> Result<(Step, Uuid), Error> {
    let found = tx.query(&CONVERSIONS, &[from.into(), first_id(until).into(), STEP.into()])?;
    let mut rows = 0;
    for row in &found {
        let id = ConversionId(row.uuid("conversion_id")?);
        let kept = row.text("kept")?;
        let kept = without(&kept, WHERE)?.unwrap_or(kept);
        rows += tx.execute(&SET_SENDER, &[id.uuid().into(), kept.into()])?;
    }
    Ok((Step { rows, more: is_full(&found) }, last(&found, "conversion_id", from)?))
}

fn inbound(tx: &mut Tx<'_>, until: Timestamp) -> Result<Step, Error> {
    let rows = tx.execute(&REMOVE_INBOUND, &[first_id(until).into(), STEP.into()])?;
    Ok(full_or_not(rows))
}

fn deliveries(tx: &mut Tx<'_>, until: Timestamp) -> Result<Step, Error> {
    let params: [Value; 3] = [first_id(until).into(), until.ms().into(), STEP.into()];
    let attempts = full_or_not(tx.execute(&REMOVE_ATTEMPTS, &params)?);
    if attempts.more {
        return Ok(attempts);
    }
    let deliveries = full_or_not(tx.execute(&REMOVE_DELIVERIES, &params)?);
    Ok(Step { rows: attempts.rows + deliveries.rows, more: deliveries.more })
}

fn full_or_not(rows: u64) -> Step {
    Step { rows, more: i64::try_from(rows).unwrap_or(STEP) >= STEP }
}

/// A JSON object without some of its fields; `None` when it has none of them.
fn without(text: &str, fields: &[&str]) -> Result<Option<String>, Error> {
    let mut object: Map<String, Json> =
        serde_json::from_str(text).map_err(|why| Error::bug("retention.without", why))?;
    let before = object.len();
    object.retain(|name, _| !fields.contains(&name.as_str()));
    Ok((object.len() < before).then(|| Json::Object(object).to_string()))
}

#[cfg(test)]
mod tests {
    use domain::id::ClickId;
    use domain::time::Timestamp;

    use super::{first_id, without};

    #[test]
    fn the_first_id_of_a_time_carries_that_time() {
        let at = Timestamp::from_ms(1_763_800_000_123);
        assert_eq!(ClickId(first_id(at)).at(), at);
        assert!(first_id(at) > first_id(at.plus_ms(-1)));
        assert_eq!(first_id(Timestamp::from_ms(-5)), first_id(Timestamp::from_ms(0)));
    }

    #[test]
    fn fields_go_and_the_rest_stays() {
        let text = r#"{"cc":"DE","ip":"1.2.3.4","ua":"x"}"#;
        assert_eq!(without(text, &["ip", "ua"]).unwrap().as_deref(), Some(r#"{"cc":"DE"}"#));
        assert_eq!(without(text, &["to"]).unwrap(), None, "nothing to write");
    }
}
