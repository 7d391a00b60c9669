//! Events in sequence, against a formula that knows the whole history at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::advertiser::{Advertiser, Proof};
use domain::click::Destination;
use domain::conversion::{Arrival, Decision, Known, Reason, Status, Wait, Waiting, decide, target, waited};
use domain::id::{AdvertiserId, ClickId, EventId, NetworkId, OfferId};
use domain::inbound::{Postback, Stated};
use domain::money::Rate;
use domain::network::Network;
use domain::offer::{Approval, ConversionKind, Event, Offer, OfferStatus, Results, Rules, Terms};
use domain::sequence::{GRACE_MS, Order, Turn, turn};
use domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

const CLICK: ClickId = ClickId(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001));

fn order(number: Option<i64>, after_previous_ms: i64, deadline_ms: Option<i64>) -> Order {
    Order { number, after_previous_ms, deadline_ms }
}

#[test]
fn an_event_comes_in_its_turn_behind_its_predecessor_and_before_its_deadline() {
    let click = Timestamp::from_ms(1_000_000);
    let at = click.plus_ms(HOUR_MS);
    let before = |ms: i64| Some(at.plus_ms(-ms));
    let second = order(Some(2), 10 * MINUTE_MS, None);
    let late = order(None, 0, Some(HOUR_MS));
    for (order, first, previous, moment, expected) in [
        (order(None, 0, None), true, None, at, Turn::Now),
        (order(Some(1), 0, None), true, None, at, Turn::Now),
        (second, false, None, at, Turn::Waits(at.plus_ms(GRACE_MS))),
        (second, false, before(10 * MINUTE_MS), at, Turn::Now),
        (second, false, before(10 * MINUTE_MS - 1), at, Turn::Not(Reason::TooFast)),
        (order(Some(2), 0, None), false, before(0), at, Turn::Now),
        (late, true, None, at, Turn::Now),
        (late, true, None, at.plus_ms(1), Turn::Not(Reason::TooLate)),
        // The deadline goes first: waiting would not help.
        (order(Some(2), 0, Some(HOUR_MS)), false, None, at.plus_ms(1), Turn::Not(Reason::TooLate)),
    ] {
        assert_eq!(turn(order, first, previous, click, moment), expected, "{order:?} at {moment}");
    }
}

fn offer(orders: &[Order]) -> Offer {
    let network = NetworkId(Uuid::from_u128(1));
    let event = |(number, order): (u128, &Order)| Event {
        id: EventId(Uuid::from_u128(100 + number)),
        code: number.to_string(),
        name: number.to_string(),
        terms: Terms {
            revenue: Rate::Flat(2),
            payout: Rate::Flat(1),
            reward_points: 0,
            approval: Approval::Automatic,
            pending_days: 0,
            repeats: false,
            caps: Vec::new(),
            order: *order,
        },
        visible: true,
    };
    Offer {
        id: OfferId(Uuid::from_u128(2)),
        network: Arc::new(Network {
            id: network,
            label: "n".into(),
            name: "N".into(),
            currency: "USD".parse().unwrap(),
            zone: "UTC".into(),
            fallback_url: None,
        }),
        advertiser: Arc::new(Advertiser {
            id: AdvertiserId(Uuid::from_u128(3)),
            network,
            slug: "a".into(),
            name: "A".into(),
            proof: Proof::Token,
            allowed_addresses: Vec::new(),
        }),
        slug: "o".into(),
        name: "O".into(),
        categories: Vec::new(),
        status: OfferStatus::Active,
        launches: None,
        expires: None,
        currency: "USD".parse().unwrap(),
        conversion_kind: ConversionKind::FlatRate,
        results: Results::Multi((0..).zip(orders).map(event).collect()),
        destination: Destination::parse("https://shop.example/?c={gk_click_id}").unwrap(),
        fallback_url: None,
        attribution_window_ms: 30 * DAY_MS,
        rules: Rules::default(),
        changes: Vec::new(),
    }
}

/// What is stored of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stored {
    received: Timestamp,
    status: Status,
    reason: Option<Reason>,
    waits: Option<Wait>,
}

impl Stored {
    /// Whether the event behind it may follow.
    fn stands(&self) -> bool {
        self.status.holds_place() && self.waits.is_none_or(|wait| wait.what != Waiting::Predecessor)
    }
}

/// One click's events, moved postback by postback as the store does.
struct Store<'o> {
    offer: &'o Offer,
    events: &'o [Event],
    rows: Vec<Option<Stored>>,
}

impl Store<'_> {
    fn predecessor(&self, event: usize) -> Option<usize> {
        let before = self.offer.predecessor(&self.events[event].terms)?;
        self.events.iter().position(|own| own.id == before.id)
    }

    /// A report without an id of its own: the second one of an event is a copy.
    fn report(&mut self, event: usize, at: Timestamp) {
        let postback = Postback {
            click: CLICK,
            event_code: Some(self.events[event].code.clone()),
            amount_micros: None,
            currency: None,
            advertiser_key: None,
            status: None,
            kept: BTreeMap::new(),
            stated: Stated::default(),
        };
        if self.rows[event].is_some() {
            return;
        }
        let before = self.predecessor(event).and_then(|before| self.rows[before]);
        let previous = before.filter(Stored::stands).map(|before| before.received);
        let known = Known { previous, ..Known::default() };
        let arrival =
            Arrival { at, address_allowed: true, click_sent_on: true, click_reused: false, test: false };
        let target = target(self.offer, &postback).unwrap();
        let Decision::Record(fresh) = decide(self.offer, &target, &postback, &arrival, &known, &mut ())
        else {
            panic!("a first report is recorded")
        };
        assert_eq!(fresh.holds_place, fresh.status != Status::Rejected);
        self.rows[event] =
            Some(Stored { received: at, status: fresh.status, reason: fresh.reason, waits: fresh.waits });
        self.release(event, at);
    }

    /// Lets those go on that waited for this event.
    fn release(&mut self, came: usize, at: Timestamp) {
        if !self.rows[came].is_some_and(|row| row.stands()) {
            return;
        }
        for event in 0..self.events.len() {
            if self.predecessor(event) != Some(came) {
                continue;
            }
            if let Some(row) = self.rows[event].filter(|row| row.waits.is_some()) {
                self.end(event, row, true, at);
                self.release(event, at);
            }
        }
    }

    fn pass_time(&mut self, now: Timestamp) {
        for event in 0..self.events.len() {
            let due = self.rows[event].filter(|row| row.waits.is_some_and(|wait| wait.until <= now));
            if let Some(row) = due {
                self.end(event, row, false, now);
            }
        }
    }

    fn end(&mut self, event: usize, row: Stored, came: bool, at: Timestamp) {
        let change = waited(row.waits.unwrap(), came, &self.events[event].terms, at);
        self.rows[event] =
            Some(Stored { status: change.to, reason: change.reason, waits: change.waits, ..row });
    }
}

/// What an event comes to, and since when it stands, from the times of all first reports.
fn outcome(
    orders: &[Order],
    times: &[Option<i64>],
    event: usize,
    end_ms: i64,
) -> (Option<(Status, Option<Reason>)>, Option<i64>) {
    let (own, Some(at)) = (orders[event], times[event]) else { return (None, None) };
    let rejected = |reason| (Some((Status::Rejected, Some(reason))), None);
    if own.deadline_ms.is_some_and(|most| at > most) {
        return rejected(Reason::TooLate);
    }
    let earlier = |other: &usize| {
        own.number.is_some() && orders[*other].number.is_some_and(|number| Some(number) < own.number)
    };
    let before = (0..orders.len()).filter(earlier).max_by_key(|other| orders[*other].number);
    let Some(before) = before else { return (Some((Status::Success, None)), Some(at)) };
    let stands = outcome(orders, times, before, end_ms).1;
    match stands {
        Some(since) if since < at && at - times[before].unwrap() < own.after_previous_ms => {
            rejected(Reason::TooFast)
        }
        Some(since) if since < at => (Some((Status::Success, None)), Some(at)),
        // It came first, so by any clock it was not late enough behind the other.
        Some(since) if since < at + GRACE_MS && own.after_previous_ms > 0 => rejected(Reason::TooFast),
        Some(since) if since < at + GRACE_MS => (Some((Status::Success, None)), Some(since)),
        _ if at + GRACE_MS <= end_ms => rejected(Reason::OutOfSequence),
        _ => (Some((Status::Pending, None)), None),
    }
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    let after = prop_oneof![2 => Just(0), 1 => 1..40 * MINUTE_MS];
    let deadline = prop_oneof![3 => Just(None), 1 => (HOUR_MS..6 * HOUR_MS).prop_map(Some)];
    let one = (prop::bool::weighted(0.8), after, deadline);
    prop::collection::vec(one, 1..6).prop_flat_map(|ones| {
        let numbers: Vec<i64> = (1..).take(ones.len()).collect();
        Just(numbers).prop_shuffle().prop_map(move |numbers| {
            let each = ones.iter().zip(numbers).map(|((numbered, after, deadline), number)| {
                order(numbered.then_some(number), if *numbered { *after } else { 0 }, *deadline)
            });
            each.collect()
        })
    })
}

/// Which event is reported, and how long behind the report before it.
fn reports() -> impl Strategy<Value = Vec<(usize, i64)>> {
    let gap = prop_oneof![3 => 1..10 * MINUTE_MS, 2 => 1..2 * HOUR_MS];
    prop::collection::vec((0_usize..5, gap), 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_as_the_rule_says(orders in orders(), reports in reports(), rest in 0..2 * HOUR_MS) {
        let offer = offer(&orders);
        let Results::Multi(events) = &offer.results else { unreachable!() };
        let mut store = Store { offer: &offer, events, rows: vec![None; events.len()] };
        let mut times = vec![None; events.len()];
        let mut now_ms = 0;
        for (event, gap) in reports {
            now_ms += gap;
            let event = event % events.len();
            store.pass_time(CLICK.at().plus_ms(now_ms));
            store.report(event, CLICK.at().plus_ms(now_ms));
            times[event] = times[event].or(Some(now_ms));
        }
        let end_ms = now_ms + rest;
        store.pass_time(CLICK.at().plus_ms(end_ms));
        for event in 0..events.len() {
            let stored = store.rows[event].map(|row| (row.status, row.reason));
            prop_assert_eq!(stored, outcome(&orders, &times, event, end_ms).0, "event {}", event);
        }
    }
}
