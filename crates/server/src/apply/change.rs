//! `[[offer.change]]`: changes of terms and status at a time, and what follows for those that are stored.
//!
//! An offer keeps the terms that it was made with, and every change since. What the file gives as `revenue`, `payout`,
//! `reward_points` and `status` is what holds now, unless one of its own changes has taken effect since: where it
//! differs from what is stored, that is a change of this moment. So the money of older clicks stays as it was.

use domain::id::EventId;
use domain::money::Currency;
use domain::offer::{
    ChangedField, ConversionKind, NewValue, Offer, OfferKind, OfferStatus, Results, ScheduledChange, Terms,
};
use domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};
use store::offer_change::MAX_PLANNED;
use toml::de::DeValue;

use super::fault::Sound;
use super::fields::{At, Fields};
use super::plan::{Field, Planner};
use super::terms::{self, rate_text};
use super::value;

/// The most changes that one offer may declare.
const MAX_CHANGES: usize = 1_000;
/// How far ahead a change may lie.
const FARTHEST_MS: i64 = 366 * DAY_MS;
/// A change that takes effect sooner can be neither made nor taken back: a run may take so long.
const SETTLED_MS: i64 = MINUTE_MS;

/// A change as the file gives it.
#[derive(Debug)]
pub(crate) struct Declared {
    at: At<Timestamp>,
    event: Option<At<String>>,
    field: ChangedField,
    value: NewValue,
}

/// What becomes of an offer's changes.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// To be stored.
    pub(crate) added: Vec<ScheduledChange>,
    /// Ahead, and no longer wanted.
    pub(crate) withdrawn: Vec<ScheduledChange>,
}

pub(crate) fn read(
    fields: &mut Fields<'_>,
    kind: Sound<OfferKind>,
    conversion_kind: Sound<ConversionKind>,
) -> Sound<Vec<Declared>> {
    let subject = fields.subject().to_owned();
    let like = "[[offer.change]], once for each";
    let tables = fields.tables("change", like, |number| format!("{subject} change number {number}"))?;
    if tables.len() > MAX_CHANGES {
        return Err(fields.fault(fields.at("change"), format!("has more than {MAX_CHANGES} changes")));
    }
    let (kind, conversion_kind) = (kind?, conversion_kind?);
    let mut sound = Ok(());
    let mut all = Vec::with_capacity(tables.len());
    for table in tables {
        match one(table, kind, conversion_kind) {
            Ok(change) => all.push(change),
            Err(told) => sound = Err(told),
        }
    }
    sound.map(|()| all)
}

fn one(mut fields: Fields<'_>, kind: OfferKind, conversion_kind: ConversionKind) -> Sound<Declared> {
    let at = fields.required("at", hour).map(|value| At { at: fields.at("at"), value });
    let event = fields.optional_reference("event", value::event_code);
    let field = fields.required("field", value::code::<ChangedField>);
    // Without a field it cannot be said what its value may be.
    fields.know(&["value"]);
    let value =
        field.and_then(|field| fields.required("value", |given| new_value(given, field, conversion_kind)));
    fields.finish()?;
    let (event, field) = (event?, field?);
    let wrong = match (field, kind, &event) {
        (ChangedField::Status, _, Some(event)) => {
            Some((event.at, "event: the status is the whole offer's; leave `event` out"))
        }
        (ChangedField::Status, _, None) => None,
        (_, OfferKind::SingleEvent, Some(event)) => {
            Some((event.at, "event: a SingleEvent offer has no events; leave `event` out"))
        }
        (_, OfferKind::MultiEvent, None) => Some((
            fields.at("event"),
            "`event` is missing; each event of a MultiEvent offer has its own terms",
        )),
        _ => None,
    };
    match wrong {
        Some((at, why)) => Err(fields.fault(at, why)),
        None => Ok(Declared { at: at?, event, field, value: value? }),
    }
}

fn hour(given: &DeValue<'_>) -> Result<Timestamp, String> {
    let at = value::moment(given)?;
    if at.ms() % HOUR_MS == 0 {
        return Ok(at);
    }
    Err(format!("{at} is not a whole hour of UTC"))
}

fn new_value(
    given: &DeValue<'_>,
    field: ChangedField,
    conversion_kind: ConversionKind,
) -> Result<NewValue, String> {
    match field {
        ChangedField::Revenue | ChangedField::Payout => {
            terms::rate(given, conversion_kind).map(NewValue::Rate)
        }
        ChangedField::Reward => terms::points(given).map(NewValue::Points),
        ChangedField::Status => value::code(given).map(NewValue::Status),
    }
}

/// What is stored of an offer, and what the file says nothing of.
#[derive(Debug)]
pub(crate) struct Before<'o> {
    /// The offer.
    pub(crate) offer: &'o Offer,
    /// Events that the file does not name.
    pub(crate) left: Vec<EventId>,
    /// Whether the file names no status.
    pub(crate) keeps_status: bool,
}

/// Turns an offer as the file declares it, with the events' ids, into what is stored: the terms and the status that
/// it was made with, and every change since. `name` is the offer's, as messages begin, and where it stands.
pub(crate) fn plan(
    planner: &Planner<'_>,
    name: &At<&str>,
    declared: &[Declared],
    offer: &mut Offer,
    before: Option<&Before<'_>>,
) -> Sound<Schedule> {
    let subject = name.value;
    let wanted = resolve(planner, subject, declared, offer)?;
    let stored = before.map(|before| before.offer.changes.as_slice()).unwrap_or_default();
    let mut schedule = Schedule { added: added(planner, subject, &wanted, stored)?, withdrawn: Vec::new() };
    if let Some(before) = before {
        let (kept, withdrawn) = kept(planner, name, &wanted, before)?;
        let rates_stay =
            offer.conversion_kind == before.offer.conversion_kind && offer.currency == before.offer.currency;
        if !rates_stay && kept.iter().any(|change| matches!(change.value, NewValue::Rate(_))) {
            return Err(planner.faults.fault(name.at, format!("{subject}: {MONEY_STAYS}")));
        }
        schedule.withdrawn = withdrawn;
        offer.changes = kept;
        let passed = wanted.iter().map(|own| own.value).filter(|change| change.at <= planner.at());
        let mut settling = Settling {
            before,
            rates_stay,
            passed: passed.collect(),
            now: planner.at(),
            added: &mut schedule.added,
        };
        settling.terms(&mut offer.results);
        settling.status(&mut offer.status);
    }
    offer.changes.extend(&schedule.added);
    offer.changes.sort_by_key(|change| change.at);
    check_number(planner, subject, &wanted, offer)?;
    Ok(schedule)
}

const MONEY_STAYS: &str = "conversion_type and currency cannot change any more, because the terms have \
                           changed since the offer was made; declare another offer";

/// The events of the changes by id. No two changes are of one field at one time.
fn resolve(
    planner: &Planner<'_>,
    subject: &str,
    declared: &[Declared],
    offer: &Offer,
) -> Sound<Vec<At<ScheduledChange>>> {
    let mut sound = Ok(());
    let mut all: Vec<At<ScheduledChange>> = Vec::with_capacity(declared.len());
    for Declared { at, event, field, value } in declared {
        let fault = |at, why: String| Err(planner.faults.fault(at, format!("{subject} change: {why}")));
        let found = event.as_ref().map(|code| offer.event(&code.value).ok_or(code));
        let id = match found.transpose() {
            Ok(found) => found.map_or(EventId::NONE, |event| event.id),
            Err(code) => {
                sound = fault(code.at, format!("event: this offer has no event \"{}\"", code.value));
                continue;
            }
        };
        let change = ScheduledChange { at: at.value, event: id, field: *field, value: *value };
        if all.iter().any(|own| same_place(&own.value, &change)) {
            sound = fault(at.at, format!("at: this {field} changes twice at {}", at.value));
        }
        all.push(At { at: at.at, value: change });
    }
    sound.map(|()| all)
}

fn same_place(one: &ScheduledChange, other: &ScheduledChange) -> bool {
    (one.at, one.event, one.field) == (other.at, other.event, other.field)
}

/// The changes that are not stored yet.
fn added(
    planner: &Planner<'_>,
    subject: &str,
    wanted: &[At<ScheduledChange>],
    stored: &[ScheduledChange],
) -> Sound<Vec<ScheduledChange>> {
    let now = planner.at();
    let mut sound = Ok(());
    let mut added = Vec::new();
    for At { at, value: change } in wanted {
        let (key, when) = (key_of(change.field), change.at);
        if stored.contains(change) {
            if when <= now {
                let why = format!("took effect and counts instead of `{key}`; write its value there");
                let line = format!("{subject} change: the change of {key} at {when} {why}, and remove it");
                planner.faults.warn(*at, line);
            }
            continue;
        }
        let why = if when <= now.plus_ms(SETTLED_MS) {
            format!("is not ahead; write the value as `{key}`, and remove this change")
        } else if when > now.plus_ms(FARTHEST_MS) {
            "is more than a year ahead".to_owned()
        } else {
            added.push(*change);
            continue;
        };
        sound = Err(planner.faults.fault(*at, format!("{subject} change: at: {when} {why}")));
    }
    sound.map(|()| added)
}

/// What is stored and stays, and what lies ahead and is not in the file any more. Events that the file does not name
/// keep what is planned for them.
fn kept(
    planner: &Planner<'_>,
    name: &At<&str>,
    wanted: &[At<ScheduledChange>],
    before: &Before<'_>,
) -> Sound<(Vec<ScheduledChange>, Vec<ScheduledChange>)> {
    let now = planner.at();
    let stays = |change: &ScheduledChange| {
        change.at <= now
            || before.left.contains(&change.event)
            || wanted.iter().any(|own| own.value == *change)
    };
    let (kept, withdrawn): (Vec<_>, Vec<_>) = before.offer.changes.iter().copied().partition(stays);
    match withdrawn.iter().find(|change| change.at <= now.plus_ms(SETTLED_MS)) {
        None => Ok((kept, withdrawn)),
        Some(change) => {
            let (key, when) = (key_of(change.field), change.at);
            let why = format!("the change of {key} at {when} takes effect now; run again in a minute");
            Err(planner.faults.fault(name.at, format!("{}: {why}", name.value)))
        }
    }
}

/// At most so many changes of one field lie ahead.
fn check_number(
    planner: &Planner<'_>,
    subject: &str,
    wanted: &[At<ScheduledChange>],
    offer: &Offer,
) -> Sound<()> {
    let ahead = offer.changes.iter().filter(|change| change.at > planner.at());
    let ahead: Vec<_> = ahead.map(|change| (change.event, change.field)).collect();
    let too_many = |place: (EventId, ChangedField)| {
        let count = ahead.iter().filter(|own| **own == place).count();
        i64::try_from(count).unwrap_or(i64::MAX) > MAX_PLANNED
    };
    match wanted.iter().rev().find(|own| too_many((own.value.event, own.value.field))) {
        None => Ok(()),
        Some(At { at, value }) => {
            let why = format!("at most {MAX_PLANNED} changes of {} may lie ahead", key_of(value.field));
            Err(planner.faults.fault(*at, format!("{subject} change: {why}")))
        }
    }
}

/// Notes what changes now, and gives back what the offer was made with.
struct Settling<'s> {
    before: &'s Before<'s>,
    /// Whether amounts mean what they meant.
    rates_stay: bool,
    /// The file's changes that have taken effect.
    passed: Vec<ScheduledChange>,
    now: Timestamp,
    added: &'s mut Vec<ScheduledChange>,
}

impl Settling<'_> {
    fn terms(&mut self, results: &mut Results) {
        match results {
            Results::Single(terms) => self.result(EventId::NONE, terms),
            Results::Multi(events) => {
                let named = events.iter_mut().filter(|event| !self.before.left.contains(&event.id));
                named.for_each(|event| self.result(event.id, &mut event.terms));
            }
        }
    }

    fn result(&mut self, event: EventId, terms: &mut Terms) {
        let Some(made) = self.before.offer.terms(event) else { return };
        let then = self.before.offer.terms_at(event, made, self.now);
        let points = (NewValue::Points(terms.reward_points), NewValue::Points(then.reward_points));
        self.note(event, ChangedField::Reward, points);
        terms.reward_points = made.reward_points;
        // A share instead of an amount, or another currency, leaves nothing that the old terms could mean.
        if self.rates_stay {
            let revenue = (NewValue::Rate(terms.revenue), NewValue::Rate(then.revenue));
            self.note(event, ChangedField::Revenue, revenue);
            let payout = (NewValue::Rate(terms.payout), NewValue::Rate(then.payout));
            self.note(event, ChangedField::Payout, payout);
            (terms.revenue, terms.payout) = (made.revenue, made.payout);
        }
    }

    fn status(&mut self, status: &mut OfferStatus) {
        let now = self.before.offer.status_at(self.now);
        let wanted = std::mem::replace(status, self.before.offer.status);
        if !self.before.keeps_status {
            let statuses = (NewValue::Status(wanted), NewValue::Status(now));
            self.note(EventId::NONE, ChangedField::Status, statuses);
        }
    }

    /// What the file wants is the last of its own changes that took effect, or else the value beside them.
    fn note(&mut self, event: EventId, field: ChangedField, (wanted, now): (NewValue, NewValue)) {
        let own = self.passed.iter().filter(|change| (change.event, change.field) == (event, field));
        let value = own.max_by_key(|change| change.at).map_or(wanted, |change| change.value);
        if value != now {
            self.added.push(ScheduledChange { at: self.now, event, field, value });
        }
    }
}

/// The key of the file that gives the value of a field.
fn key_of(field: ChangedField) -> &'static str {
    match field {
        ChangedField::Reward => "reward_points",
        other => other.code(),
    }
}

/// What is planned, one property for each change.
pub(crate) fn fields(offer: &Offer, now: Timestamp) -> Vec<Field> {
    let ahead = offer.changes.iter().filter(|change| change.at > now);
    let field = |change: &ScheduledChange| {
        let event = match &offer.results {
            Results::Multi(events) => events.iter().find(|event| event.id == change.event),
            Results::Single(_) => None,
        };
        let event = event.map(|event| format!("{}.", event.code)).unwrap_or_default();
        let key = format!("change.{event}{}.{}", key_of(change.field), change.at);
        Field::new(key, value_text(change.value, offer.currency))
    };
    ahead.map(field).collect()
}

fn value_text(value: NewValue, currency: Currency) -> String {
    match value {
        NewValue::Rate(rate) => rate_text(rate, currency),
        NewValue::Points(points) => points.to_string(),
        NewValue::Status(status) => status.to_string(),
    }
}
