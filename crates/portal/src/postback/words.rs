//! Postbacks and deliveries in words.

use domain::delivery::{BREAKER_FAILURES, DeliveryState};
use domain::postback::{Method, Scope, Wanted};
use domain::time::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use store::delivery::log::Ended;
use store::postback::Kept;

use crate::viewer::Viewer;

/// What a postback is told of, by the offer's name.
pub(crate) fn scope(viewer: &Viewer, scope: Scope) -> String {
    let (offer, event) = match scope {
        Scope::Global => return "every offer".to_owned(),
        Scope::Offer(offer) => (offer, None),
        Scope::Event(offer, _) => (offer, Some(())),
    };
    let Some(link) = viewer.link_of(offer) else { return "an offer that you no longer run".to_owned() };
    match event.and_then(|()| scope.event_code(&link.offer)) {
        Some(code) => format!("{}: only {}", link.offer.name, viewer.event_code(link.id, code)),
        None => link.offer.name.clone(),
    }
}

/// How a request is sent.
pub(crate) const fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Form => "POST form",
        Method::Json => "POST JSON",
    }
}

/// What is wanted, as one line.
pub(crate) fn statuses(wanted: Wanted) -> String {
    wanted.names().join(", ")
}

/// Where a delivery stands: pill and word.
pub(crate) const fn state(state: DeliveryState, attempts: i64) -> (&'static str, &'static str) {
    match (state, attempts) {
        (DeliveryState::Delivered, _) => ("good", "Delivered"),
        (DeliveryState::Dead, _) => ("bad", "Given up"),
        (DeliveryState::Pending, 0) => ("info", "Waiting"),
        (DeliveryState::Pending, _) => ("attention", "Retrying"),
    }
}

/// How a postback does: pill, word and why.
pub(crate) fn standing(viewer: &Viewer, kept: &Kept, ended: &Ended) -> (&'static str, &'static str, String) {
    if !kept.postback.enabled {
        let why = if kept.disabled_reason.is_empty() { "no reason is known" } else { &kept.disabled_reason };
        return ("bad", "Switched off", why.to_owned());
    }
    if let Some(until) = kept.paused_until.filter(|until| *until > viewer.now) {
        let why = format!(
            "your server failed at least {BREAKER_FAILURES} times in a row. Nothing is sent until {}; then one \
             delivery goes ahead to see, and if it arrives the others follow",
            viewer.format.time(until)
        );
        return ("attention", "Paused", why);
    }
    let failing =
        ended.last.as_ref().filter(|last| last.state != DeliveryState::Delivered && last.attempts > 0);
    match failing {
        Some(last) => {
            let why = format!(
                "the last delivery {}; it is tried again for days, and seldom while many fail",
                last.result
            );
            ("attention", "Failing", why)
        }
        None => ("good", "Active", String::new()),
    }
}

/// A day, a day with a time, or a time in UTC as files have it.
pub(crate) fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_ms(at.as_millisecond()));
    }
    let civil = text
        .parse::<civil::DateTime>()
        .or_else(|_| Ok::<_, jiff::Error>(text.parse::<civil::Date>()?.into()));
    let zoned = civil.ok()?.to_zoned(zone.clone()).ok()?;
    Some(Timestamp::from_ms(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read_in_the_viewer_s_zone() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let read = |text| moment(text, &berlin).map(|at| at.to_string());
        assert_eq!(read("2026-11-22").unwrap(), "2026-11-21T23:00:00.000Z");
        assert_eq!(read(" 2026-11-22 20:00 ").unwrap(), "2026-11-22T19:00:00.000Z");
        assert_eq!(read("2026-11-22T20:00:00Z").unwrap(), "2026-11-22T20:00:00.000Z");
        assert_eq!((read("yesterday"), read("")), (None, None));
    }
}
