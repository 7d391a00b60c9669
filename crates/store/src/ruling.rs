//! Rulings: staff changes the status of a conversion. History, places, tallies and what partners are told follow in
//! the same transaction.

use std::sync::Arc;

use domain::ambient::Ambient;
use domain::cap::{Exhausted, Measure};
use domain::catalog::Catalog;
use domain::conversion::{Conversion, Reason, Status};
use domain::id::{ClickId, ConversionId, NetworkId};
use domain::money::Money;
use domain::offer::Offer;
use domain::period::Period;
use domain::ruling::{self as rules, Known, Ruled, Ruling};
use serde_json::json;

use crate::error::Mistake;
use crate::{Error, Statement, Tx, audit, click, conversion, delivery, erase, tally, waiting};

pub(crate) const ALL: &[&Statement] = &[&UPDATE, &ADD_CHANGE];

/// The version in the condition makes a change that somebody else overtook change nothing.
static UPDATE: Statement = Statement::new(
    "ruling.update",
    "update conversion set status = ?1, reason = ?2, holds_place = ?3, changed_ms = ?4, version = version + 1,
         winner_id = null, wait_until_ms = null, wait_for = null
     where conversion_id = ?5 and version = ?6",
);

static ADD_CHANGE: Statement = Statement::new(
    "ruling.add_change",
    "insert into conversion_change (conversion_id, version, network_id, status, reason, actor, note, at_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
);

/// How often a ruling looks again when another transaction was first.
const LOOKS: usize = 8;

/// How staff names a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its own id.
    Conversion(ConversionId),
    /// By its click, and its event's code where the click has several.
    Click(ClickId, Option<String>),
}

/// What staff asks for.
#[derive(Debug, Clone)]
pub struct Order {
    /// The network that it works for; another's conversions are unknown to it.
    pub network: NetworkId,
    /// Which conversion.
    pub named: Named,
    /// Its new status.
    pub to: Status,
    /// Who says so, as the history has it.
    pub actor: String,
    /// Why; may be empty.
    pub note: String,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `changed`, `unchanged`, `place_taken`, `conversion_unknown` or `conversion_ambiguous`.
    pub code: &'static str,
    /// The conversion, where one was found.
    pub conversion: Option<ConversionId>,
    /// Its status before.
    pub before: Option<Status>,
    /// What to know about it, for people.
    pub message: String,
}

/// Carries out an order. [`Error::Conflict`] means that a place was taken at the same moment: run it again.
pub fn carry_out(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ambient: Ambient,
    order: &Order,
) -> Result<Outcome, Error> {
    let found = match find(tx, order)? {
        Ok(found) => found,
        Err(outcome) => return Ok(outcome),
    };
    // Postbacks and rulings about one click wait for each other.
    click::lock(tx, found.click)?;
    let Some(offer) = catalog.offers.get(&found.offer) else { return Err(Error::Stale) };
    for _ in 0..LOOKS {
        let Some(before) = conversion::find(tx, found.id)? else { break };
        let known = known(tx, catalog, offer, &before, order.to, ambient)?;
        match rules::rule(offer, &before, order.to, &known, ambient.now()) {
            Ruling::Unchanged => return Ok(unchanged(&before)),
            Ruling::PlaceTaken(winner) => return Ok(place_taken(&before, winner)),
            Ruling::Changed(ruled) => {
                if let Some(after) = write(tx, ambient, order, &before, ruled)? {
                    follow(tx, ambient, offer, before.status, &after)?;
                    return Ok(changed(offer, &before, ruled));
                }
            }
        }
    }
    Err(Error::Contended(Arc::new(Mistake::Overtaken)))
}

/// [`carry_out`] for one conversion by itself: a change is in the audit log as well.
pub fn carry_out_one(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ambient: Ambient,
    order: &Order,
) -> Result<Outcome, Error> {
    let outcome = carry_out(tx, catalog, ambient, order)?;
    if let ("changed", Some(id), Some(before)) = (outcome.code, outcome.conversion, outcome.before) {
        let at = ambient.now();
        let change = json!({ "status": [before.code(), order.to.code()], "reason": order.note });
        audit::record(
            tx,
            &audit::Entry {
                id: ambient.new_id(at),
                network: order.network,
                at,
                actor: order.actor.clone(),
                subject: format!("conversion/{id}"),
                change: change.to_string(),
            },
        )?;
    }
    Ok(outcome)
}

/// The conversion that an order means; the inner error says why there is not exactly one.
pub(crate) fn find(tx: &mut Tx<'_>, order: &Order) -> Result<Result<Conversion, Outcome>, Error> {
    let (click, code) = match &order.named {
        Named::Conversion(id) => {
            let found = conversion::find(tx, *id)?.filter(|own| own.network == order.network);
            let message = || format!("there is no conversion {id} in this network");
            return Ok(found.ok_or_else(|| nothing("conversion_unknown", message())));
        }
        Named::Click(click, code) => (*click, code.as_deref()),
    };
    let mut found = conversion::by_click(tx, click)?;
    found.retain(|own| own.network == order.network && code.is_none_or(|code| own.event_code == code));
    // What a stranger's address reported is meant only when nothing else is there.
    if found.iter().any(|own| own.reason != Some(Reason::IpNotAllowed)) {
        found.retain(|own| own.reason != Some(Reason::IpNotAllowed));
    }
    let of = code.map_or(String::new(), |code| format!(" for event `{code}`"));
    Ok(match (found.pop(), found.as_slice()) {
        (Some(only), []) => Ok(only),
        (None, _) => {
            let message = format!("click {click} has no conversion{of} in this network");
            Err(nothing("conversion_unknown", message))
        }
        (Some(_), others) => {
            let count = others.len() + 1;
            let message = format!("click {click} has {count} conversions{of}; name one by its conversion id");
            Err(nothing("conversion_ambiguous", message))
        }
    })
}

fn known(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    offer: &Offer,
    before: &Conversion,
    to: Status,
    ambient: Ambient,
) -> Result<Known, Error> {
    // A change between Pending and Success moves no place and no tally.
    if before.status.holds_place() == to.holds_place() {
        return Ok(Known::default());
    }
    let place = (before.offer, before.event, before.partner);
    let member = before.pub_member_id.as_str();
    let holder = match catalog.links.get(&before.link) {
        // While a member is being erased, another conversion may stand under the other name already.
        Some(link) => {
            let names = erase::names(tx, link, member)?;
            conversion::holder_by_names(tx, before.network, place, [&names.recorded, &names.other])?
        }
        None => conversion::holder(tx, before.network, place, member)?,
    };
    if before.test {
        return Ok(Known { holder, ..Known::default() });
    }
    // Locked from here on: whoever opens the same tally counts this conversion before the change, or after it.
    let (event_taken, offer_taken) = tally::of_result(tx, offer, before.event, ambient.now())?;
    Ok(Known { holder, event_taken, offer_taken })
}

/// `None` when somebody else was first.
fn write(
    tx: &mut Tx<'_>,
    ambient: Ambient,
    order: &Order,
    before: &Conversion,
    ruled: Ruled,
) -> Result<Option<Conversion>, Error> {
    let after = Conversion {
        status: ruled.to,
        reason: ruled.reason,
        holds_place: ruled.holds_place,
        winner: None,
        waits: None,
        changed: ambient.now(),
        version: before.version + 1,
        ..before.clone()
    };
    let params = [
        after.status.code().into(),
        after.reason.map(Reason::code).into(),
        after.holds_place.into(),
        after.changed.ms().into(),
        after.id.uuid().into(),
        before.version.into(),
    ];
    if tx.execute(&UPDATE, &params)? == 0 {
        return Ok(None);
    }
    let params = [
        after.id.uuid().into(),
        after.version.into(),
        after.network.uuid().into(),
        after.status.code().into(),
        after.reason.map(Reason::code).into(),
        order.actor.as_str().into(),
        order.note.as_str().into(),
        after.changed.ms().into(),
    ];
    tx.execute(&ADD_CHANGE, &params)?;
    Ok(Some(after))
}

fn follow(
    tx: &mut Tx<'_>,
    ambient: Ambient,
    offer: &Offer,
    before: Status,
    after: &Conversion,
) -> Result<(), Error> {
    tally::changed(tx, offer, before, after)?;
    delivery::enqueue(tx, ambient, after)?;
    waiting::release(tx, ambient, offer, after)
}

fn nothing(code: &'static str, message: String) -> Outcome {
    Outcome { code, conversion: None, before: None, message }
}

fn unchanged(own: &Conversion) -> Outcome {
    Outcome {
        code: "unchanged",
        conversion: Some(own.id),
        before: Some(own.status),
        message: format!("is {} already", own.status),
    }
}

fn place_taken(own: &Conversion, winner: ConversionId) -> Outcome {
    let message = format!("its member's place is taken by conversion {winner}; reject that one first");
    Outcome { code: "place_taken", conversion: Some(own.id), before: Some(own.status), message }
}

fn changed(offer: &Offer, before: &Conversion, ruled: Ruled) -> Outcome {
    let over = ruled.over.map_or(String::new(), |over| format!("; {}", above(offer, &over)));
    Outcome {
        code: "changed",
        conversion: Some(before.id),
        before: Some(before.status),
        message: format!("{} → {}{over}", before.status, ruled.to),
    }
}

/// A limit that staff went over, in words.
fn above(offer: &Offer, over: &Exhausted) -> String {
    let period = match over.limit.period {
        Period::Total => "in total".to_owned(),
        period => format!("a {period}"),
    };
    match over.limit.measure {
        Measure::Conversions => {
            format!("now over the cap of {} conversions {period}", over.limit.most)
        }
        Measure::Revenue => {
            let most = Money { micros: over.limit.most, currency: offer.currency };
            format!("now over the budget of {most} {period}")
        }
    }
}
