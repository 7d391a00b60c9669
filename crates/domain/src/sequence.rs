//! Events of a multi-event offer that must come in order.

use serde::{Deserialize, Serialize};

use crate::conversion::Reason;
use crate::time::{Span, Timestamp};

/// What an event asks of the events before it. Without a number it is independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Order {
    /// Its place in the sequence; the event before it has the next smaller number.
    pub number: Option<i64>,
    /// Least time behind the event before it, in milliseconds.
    pub after_previous_ms: i64,
    /// Latest time behind the click, in milliseconds.
    pub deadline_ms: Option<i64>,
}

/// How an event stands to its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It may come now.
    Now,
    /// Its predecessor is missing; it waits for it until this time.
    Waits(Timestamp),
    /// It may not come.
    Not(Reason),
}

/// How long an event waits for its predecessor: networks reorder requests.
pub const GRACE_MS: i64 = crate::time::HOUR_MS;

/// Whether it is an event's turn. `previous` is when its predecessor came: `None` when it has not come (yet);
/// an event without predecessor is given `first`.
pub fn turn(order: Order, first: bool, previous: Option<Timestamp>, click: Timestamp, at: Timestamp) -> Turn {
    if order.deadline_ms.is_some_and(|most| at.ms() - click.ms() > most) {
        return Turn::Not(Reason::TooLate);
    }
    if order.number.is_none() || first {
        return Turn::Now;
    }
    match previous {
        None => Turn::Waits(at.plus_ms(GRACE_MS)),
        Some(came) if at.ms() - came.ms() < order.after_previous_ms => Turn::Not(Reason::TooFast),
        Some(_) => Turn::Now,
    }
}

/// An event's place in its sequence and how it stands to it, in words.
pub fn told(order: Order, first: bool, previous: Option<Timestamp>, turn: Turn) -> String {
    let mut parts = Vec::new();
    match (order.number, previous) {
        (None, _) => parts.push("independent".to_owned()),
        (Some(number), _) if first => parts.push(format!("number {number}, the first")),
        (Some(number), None) => parts.push(format!("number {number}, the event before it has not come")),
        (Some(number), Some(came)) => {
            let least = Span(order.after_previous_ms);
            parts.push(format!(
                "number {number}, the event before it came at {came}, at least {least} between"
            ));
        }
    }
    if let Some(most) = order.deadline_ms {
        parts.push(format!("at most {} after the click", Span(most)));
    }
    match turn {
        Turn::Now => {}
        Turn::Waits(until) => parts.push(format!("waits until {until}")),
        Turn::Not(reason) => parts.push(reason.to_string()),
    }
    parts.join("; ")
}
