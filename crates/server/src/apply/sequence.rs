//! `sequence`, `min_time_after_previous` and `deadline_days`: what an event asks of those before it.

use domain::offer::Event;
use domain::sequence::Order;
use domain::time::DAY_MS;

use super::fault::Sound;
use super::fields::{At, Fields};
use super::plan::{Field, Planner};
use super::value;

/// The greatest sequence number.
const MAX_NUMBER: i64 = 1_000;
/// The longest deadline, in days.
const MAX_DAYS: i64 = 3_650;

/// The order of one event, with the place of its number for messages.
pub(crate) fn read(event: &mut Fields<'_>) -> Sound<At<Order>> {
    let number = event.optional("sequence", |given| value::whole(given, &(1..=MAX_NUMBER)));
    let after = event.optional("min_time_after_previous", value::delay);
    let deadline = event.optional("deadline_days", |given| value::whole(given, &(1..=MAX_DAYS)));
    let (number, after, deadline) = (number?, after?, deadline?);
    if number.is_none() && after.is_some() {
        let why = "min_time_after_previous: needs `sequence`; an independent event has none before it";
        return Err(event.fault(event.at("min_time_after_previous"), why));
    }
    let order = Order {
        number,
        after_previous_ms: after.unwrap_or(0),
        deadline_ms: deadline.map(|days| days * DAY_MS),
    };
    Ok(At { at: event.at("sequence"), value: order })
}

/// One event as the file orders it.
pub(crate) type Ordered<'e> = (&'e str, At<Order>);

/// No two events have one number, those counted that are stored and that the file does not name. The first of them
/// has none to stay behind.
pub(crate) fn check(
    planner: &Planner<'_>,
    subject: &str,
    declared: &[Ordered<'_>],
    left: &[Event],
) -> Sound<()> {
    let stored = left.iter().map(|event| (event.code.as_str(), event.terms.order));
    let mut taken: Vec<(&str, Order)> = stored.collect();
    let mut sound = Ok(());
    for (code, At { at, value: order }) in declared {
        let same = |(_, own): &&(&str, Order)| own.number.is_some() && own.number == order.number;
        if let (Some(number), Some((other, _))) = (order.number, taken.iter().find(same)) {
            let why = format!("sequence: {number} is already the number of event \"{other}\"");
            sound = Err(planner.faults.fault(*at, format!("{subject} event \"{code}\": {why}")));
        }
        taken.push((code, *order));
    }
    let first = taken.iter().filter_map(|(_, order)| order.number).min();
    let idle = |order: &Order| order.number.is_some() && order.number == first && order.after_previous_ms > 0;
    for (code, At { at, .. }) in declared.iter().filter(|(_, own)| idle(&own.value)) {
        let why = "min_time_after_previous: has no effect, because no event comes before this one";
        planner.faults.warn(*at, format!("{subject} event \"{code}\": {why}"));
    }
    sound
}

/// An order as the file writes it.
pub(crate) fn fields(prefix: &str, order: Order) -> [Field; 3] {
    let after = (order.after_previous_ms > 0).then(|| value::length_text(order.after_previous_ms));
    [
        Field::maybe(format!("{prefix}sequence"), order.number),
        Field::maybe(format!("{prefix}min_time_after_previous"), after),
        Field::maybe(format!("{prefix}deadline_days"), order.deadline_ms.map(|ms| ms / DAY_MS)),
    ]
}
