//! An offer in words: payout, whom it is for, what is left of its caps.

use domain::cap::{Limit, Measure, Taken};
use domain::click::{Click, Marks};
use domain::id::EventId;
use domain::money::{Currency, Money, Rate};
use domain::offer::{ConversionKind, Event, Offer, OfferKind, OfferStatus, Results, Terms};
use domain::period::Period;
use domain::targeting::{Mode, Rule};
use domain::time::Timestamp;
use store::live::Live;

use crate::click_word::{self, Words};
use crate::format::Format;

/// What the partner gets for one result.
pub(super) fn rate(rate: Rate, currency: Currency, format: &Format) -> String {
    match rate {
        Rate::Flat(micros) => format.money(Money { micros, currency }),
        Rate::Share(percent) => format!("{} of the sale", format.decimal(&percent.to_string())),
    }
}

/// The events that partners are shown.
pub(super) fn visible(offer: &Offer) -> impl Iterator<Item = &Event> {
    let events: &[Event] = match &offer.results {
        Results::Single(_) => &[],
        Results::Multi(events) => events,
    };
    events.iter().filter(|event| event.visible)
}

/// Each result that partners are shown, with its payout of now.
fn payouts(offer: &Offer, now: Timestamp) -> Vec<Rate> {
    match &offer.results {
        Results::Single(terms) => vec![offer.terms_at(EventId::NONE, terms, now).payout],
        Results::Multi(_) => {
            visible(offer).map(|event| offer.terms_at(event.id, &event.terms, now).payout).collect()
        }
    }
}

fn worth(rate: Rate) -> i64 {
    match rate {
        Rate::Flat(micros) => micros,
        Rate::Share(percent) => percent.millionths(),
    }
}

/// The best payout, for sorting.
pub(super) fn best(offer: &Offer, now: Timestamp) -> i64 {
    payouts(offer, now).into_iter().map(worth).max().unwrap_or(0)
}

/// The payout in a few words: one, or from the least to the best.
pub(super) fn payout(offer: &Offer, now: Timestamp, format: &Format) -> String {
    let mut all = payouts(offer, now);
    all.sort_by_key(|rate| worth(*rate));
    let told = |own| rate(own, offer.currency, format);
    match all.as_slice() {
        [] => "\u{2013}".to_owned(),
        [only] => told(*only),
        [least, .., best] if worth(*least) == worth(*best) => told(*best),
        [least, .., best] => format!("{} to {}", told(*least), told(*best)),
    }
}

/// Single- or multi-event, as people say it.
pub(super) const fn kind(kind: OfferKind) -> &'static str {
    match kind {
        OfferKind::SingleEvent => "Single event",
        OfferKind::MultiEvent => "Several events",
    }
}

/// How the payout is computed, as people say it.
pub(super) const fn money(kind: ConversionKind) -> &'static str {
    match kind {
        ConversionKind::FlatRate => "Flat rate",
        ConversionKind::RevShare => "Share of the sale",
    }
}

/// Where an offer is in its life, for the line under its name.
pub(super) fn state(offer: &Offer, now: Timestamp, format: &Format) -> String {
    let day = |at: Timestamp| format.in_utc().day(at);
    match (offer.stage_at(now), offer.launches, offer.expires) {
        (OfferStatus::Active, _, Some(end)) => format!("Active until {} UTC", day(end)),
        (OfferStatus::Active, _, None) => "Active".to_owned(),
        (OfferStatus::Paused, ..) => "Paused by the network: clicks are not sent on".to_owned(),
        (OfferStatus::Expired, ..) => "Ended: clicks are not sent on".to_owned(),
        (OfferStatus::Pending, Some(start), _) => format!("Starts on {} UTC", day(start)),
        (OfferStatus::Pending | OfferStatus::Draft, ..) => "Not running at the moment".to_owned(),
    }
}

/// Whom an offer is for: each rule as a fact and its value.
pub(super) fn targeting(rules: &[Rule]) -> Vec<(String, String)> {
    let one = |rule: &Rule| {
        let wanted = rule.test.wanted();
        let told = match rule.mode {
            Mode::Allow => format!("only {wanted}"),
            Mode::Block => format!("all but {wanted}"),
        };
        (capital(&rule.test.what()), told)
    };
    rules.iter().map(one).collect()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What is left of one cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    /// The event's name; empty on a single-event offer.
    pub(super) event: String,
    /// `312 of 500 conversions left today`.
    pub(super) words: String,
    /// When it opens again, where nothing is left.
    pub(super) again: String,
    /// Whether nothing is left.
    pub(super) full: bool,
}

/// What is left of the caps, by what was taken until now. What budgets have left is what the advertiser pays; only that
/// one is spent is told.
pub(super) fn left(offer: &Offer, live: &Live, now: Timestamp, format: &Format) -> Vec<Left> {
    let mut all = Vec::new();
    let mut add = |event: &str, id: EventId, terms: &Terms| {
        let taken = live.tallies.taken(offer.id, id, now);
        let caps = terms.caps.iter().filter(|limit| limit.measure == Measure::Conversions);
        all.extend(caps.map(|limit| one_left(event, limit, &taken, (now, format))));
    };
    match &offer.results {
        Results::Single(terms) => add("", EventId::NONE, terms),
        Results::Multi(_) => visible(offer).for_each(|event| add(&event.name, event.id, &event.terms)),
    }
    let spent = live.tallies.closed(offer, now).filter(|full| full.limit.measure == Measure::Revenue);
    all.extend(spent.map(|full| Left {
        event: String::new(),
        words: "The offer's budget is spent".to_owned(),
        again: again(full.until, format),
        full: true,
    }));
    all
}

fn one_left(event: &str, limit: &Limit, taken: &Taken, (now, format): (Timestamp, &Format)) -> Left {
    let left = limit.most.saturating_sub(taken.of(limit.period).conversions).max(0);
    let period = match limit.period {
        Period::Day => "today (UTC)",
        Period::Week => "this week (UTC)",
        Period::Month => "this month (UTC)",
        Period::Total => "in total",
    };
    let words = format!("{} of {} conversions left {period}", format.count(left), format.count(limit.most));
    let full = left == 0;
    let again = if full { again(limit.period.end(now), format) } else { String::new() };
    Left { event: event.to_owned(), words, again, full }
}

fn again(until: Option<Timestamp>, format: &Format) -> String {
    until.map_or_else(
        || "It does not open again by itself.".to_owned(),
        |at| format!("Opens again at {} UTC.", format.in_utc().time(at)),
    )
}

/// A click in a row.
#[derive(Debug, Clone)]
pub(crate) struct Clicked {
    /// Its id.
    pub(crate) id: String,
    /// When, in the viewer's zone.
    pub(crate) at: String,
    /// The partner's click id.
    pub(crate) pub_click_id: String,
    /// The partner's member id.
    pub(crate) pub_member_id: String,
    /// What was decided.
    pub(crate) verdict: Words,
    /// Country and device, as far as known.
    pub(crate) visitor: String,
    /// Whether it is a test.
    pub(crate) test: bool,
}

/// A click as its partner sees it.
pub(crate) fn clicked(click: &Click, format: &Format) -> Clicked {
    let facts = &click.facts;
    let country = facts.country.map(|country| country.to_string());
    let device = facts.device.map(|device| device.code().to_owned());
    Clicked {
        id: click.id.to_string(),
        at: format.time(click.id.at()),
        pub_click_id: click.pub_click_id.clone().unwrap_or_default(),
        pub_member_id: click.pub_member_id.clone().unwrap_or_default(),
        verdict: click_word::click(click),
        visitor: [country, device].into_iter().flatten().collect::<Vec<_>>().join(" · "),
        test: click.marks.has(Marks::TEST),
    }
}

#[cfg(test)]
mod tests {
    use domain::cap::{Limit, Measure, Taken, Tally};
    use domain::period::Period;
    use domain::time::Timestamp;

    use super::{capital, one_left};
    use crate::format::Format;

    #[test]
    fn what_is_left_of_a_cap_is_said_with_when_it_opens_again() {
        let limit = Limit { measure: Measure::Conversions, period: Period::Day, most: 500 };
        let now = Timestamp::from_ms(1_795_000_000_000);
        let mut taken = Taken::default();
        taken.set(Period::Day, Tally { conversions: 188, revenue_micros: 1 });
        let some = one_left("", &limit, &taken, (now, &Format::sample()));
        assert_eq!(
            (some.words.as_str(), some.full, some.again.as_str()),
            ("312 of 500 conversions left today (UTC)", false, "")
        );
        taken.set(Period::Day, Tally { conversions: 501, revenue_micros: 1 });
        let none = one_left("", &limit, &taken, (now, &Format::sample()));
        assert!(
            none.full && none.words.starts_with("0 of 500") && none.again.starts_with("Opens again at 20")
        );
    }

    #[test]
    fn a_sentence_begins_large() {
        assert_eq!(capital("operating system"), "Operating system");
        assert_eq!(capital(""), "");
    }
}
