//! What a postback becomes: the table of decisions, and that the order of copies does not matter.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::advertiser::{Advertiser, Proof};
use domain::click::Destination;
use domain::conversion::{
    Arrival, Decision, Existing, Known, Reason, Status, Target, decide, idempotency_key, target,
};
use domain::id::{AdvertiserId, ClickId, ConversionId, NetworkId, OfferId};
use domain::inbound::{Answer, Postback, Stated};
use domain::money::{Percent, Rate};
use domain::network::Network;
use domain::offer::{Approval, ConversionKind, Offer, OfferStatus, Results, Rules, Terms};
use domain::sequence::Order;
use domain::time::DAY_MS;
use proptest::prelude::*;
use uuid::Uuid;

const CLICK: ClickId = ClickId(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001));

fn terms() -> Terms {
    let share = |text: &str| Rate::Share(text.parse::<Percent>().unwrap());
    Terms {
        revenue: share("10"),
        payout: share("7"),
        reward_points: 0,
        approval: Approval::Automatic,
        pending_days: 0,
        repeats: false,
        caps: Vec::new(),
        order: Order::default(),
    }
}

fn offer(terms: Terms) -> Offer {
    let network = NetworkId(Uuid::from_u128(1));
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
        conversion_kind: ConversionKind::RevShare,
        results: Results::Single(terms),
        destination: Destination::parse("https://shop.example/?c={gk_click_id}").unwrap(),
        fallback_url: None,
        attribution_window_ms: 30 * DAY_MS,
        rules: Rules::default(),
        changes: Vec::new(),
    }
}

fn postback() -> Postback {
    Postback {
        click: CLICK,
        event_code: None,
        amount_micros: Some(10_000_000),
        currency: None,
        advertiser_key: None,
        status: None,
        kept: BTreeMap::new(),
        stated: Stated::default(),
    }
}

fn arrival() -> Arrival {
    Arrival {
        at: CLICK.at().plus_ms(60_000),
        address_allowed: true,
        click_sent_on: true,
        click_reused: false,
        test: false,
    }
}

fn decided(offer: &Offer, postback: &Postback, arrival: Arrival, known: &Known) -> Decision {
    decide(offer, &target(offer, postback).unwrap(), postback, &arrival, known, &mut ())
}

fn stored(status: Status, target: &Target<'_>) -> Existing {
    Existing {
        id: ConversionId(Uuid::from_u128(9)),
        click: CLICK,
        status,
        reason: (status == Status::Rejected).then_some(Reason::AdvertiserRejected),
        winner: None,
        amount: target.amount,
        version: 0,
    }
}

fn first(
    offer: &Offer,
    postback: &Postback,
    arrival: Arrival,
    known: &Known,
) -> (Status, Option<Reason>, bool) {
    match decided(offer, postback, arrival, known) {
        Decision::Record(fresh) => (fresh.status, fresh.reason, fresh.holds_place),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_first_postback_is_recorded_by_the_offers_rules() {
    let nothing = Known::default();
    let taken = Known { holder: Some(ConversionId(Uuid::from_u128(7))), ..Known::default() };
    let manual = || Terms { approval: Approval::Manual, ..terms() };
    let waits = || Terms { pending_days: 3, ..terms() };
    let repeats = || Terms { repeats: true, ..terms() };
    let asking = |status| Postback { status: Some(status), ..postback() };
    let late = Arrival { at: CLICK.at().plus_ms(30 * DAY_MS + 1), ..arrival() };
    let on_time = Arrival { at: CLICK.at().plus_ms(30 * DAY_MS), ..arrival() };
    let forged = Arrival { address_allowed: false, ..arrival() };
    let refused = Arrival { click_sent_on: false, ..arrival() };
    let rejected = |reason| (Status::Rejected, Some(reason), false);
    for (terms, postback, arrival, known, expected) in [
        (terms(), postback(), arrival(), &nothing, (Status::Success, None, true)),
        (terms(), asking(Status::Pending), arrival(), &nothing, (Status::Pending, None, true)),
        (terms(), asking(Status::Rejected), arrival(), &nothing, rejected(Reason::AdvertiserRejected)),
        (manual(), asking(Status::Success), arrival(), &nothing, (Status::Pending, None, true)),
        (waits(), postback(), arrival(), &nothing, (Status::Pending, None, true)),
        (repeats(), postback(), arrival(), &taken, (Status::Success, None, false)),
        (terms(), postback(), arrival(), &taken, rejected(Reason::MemberAlreadyCompleted)),
        (terms(), postback(), on_time, &nothing, (Status::Success, None, true)),
        (terms(), postback(), late, &nothing, rejected(Reason::TooLate)),
        (terms(), postback(), forged, &taken, rejected(Reason::IpNotAllowed)),
        (terms(), postback(), refused, &nothing, rejected(Reason::ClickRefused)),
    ] {
        assert_eq!(first(&offer(terms), &postback, arrival, known), expected);
    }
}

#[test]
fn money_is_the_terms_share_of_the_sale() {
    let Decision::Record(fresh) = decided(&offer(terms()), &postback(), arrival(), &Known::default()) else {
        panic!()
    };
    assert_eq!((fresh.revenue.to_string(), fresh.payout.to_string()), ("1.00 USD".into(), "0.70 USD".into()));
    let without = Postback { amount_micros: None, ..postback() };
    assert_eq!(target(&offer(terms()), &without).unwrap_err().answer, Answer::AmountMalformed);
}

#[test]
fn the_same_key_with_other_facts_is_a_conflict() {
    let offer = offer(terms());
    let keyed = Postback { advertiser_key: Some("T-1".into()), ..postback() };
    let existing = stored(Status::Success, &target(&offer, &keyed).unwrap());
    let known = Known { same_key: Some(existing.clone()), ..Known::default() };
    assert_eq!(decided(&offer, &keyed, arrival(), &known), Decision::Duplicate(existing.clone()));
    let dearer = Postback { amount_micros: Some(11_000_000), ..keyed.clone() };
    assert_eq!(
        decided(&offer, &dearer, arrival(), &known),
        Decision::Conflict(existing.clone(), "cnv_amount")
    );
    let elsewhere = Postback { click: ClickId(Uuid::from_u128(5)), ..keyed };
    assert_eq!(decided(&offer, &elsewhere, arrival(), &known), Decision::Conflict(existing, "gk_click_id"));
}

#[test]
fn a_forged_postback_has_a_key_of_its_own() {
    let forged = Arrival { address_allowed: false, ..arrival() };
    let (own, other) = (
        idempotency_key(&postback(), &arrival(), "1.2.3.4"),
        idempotency_key(&postback(), &forged, "1.2.3.4"),
    );
    assert_ne!(own, other);
    assert_eq!(other, idempotency_key(&postback(), &forged, "1.2.3.4"));
}

/// Plays postbacks of one click in the order given and returns the final status.
fn play(offer: &Offer, statuses: &[Option<Status>]) -> Status {
    let mut now: Option<Existing> = None;
    for status in statuses {
        let postback = Postback { status: *status, ..postback() };
        let known = Known {
            same_key: now.clone(),
            holder: now.as_ref().filter(|own| own.status.holds_place()).map(|own| own.id),
            ..Known::default()
        };
        let target = target(offer, &postback).unwrap();
        match decide(offer, &target, &postback, &arrival(), &known, &mut ()) {
            Decision::Record(fresh) => {
                now = Some(Existing { reason: fresh.reason, ..stored(fresh.status, &target) });
            }
            Decision::Update(existing, change) => {
                now = Some(Existing { status: change.to, version: existing.version + 1, ..existing });
            }
            Decision::Duplicate(_) => {}
            Decision::Conflict(..) => panic!("no conflict without other facts"),
        }
    }
    now.map(|existing| existing.status).unwrap()
}

proptest! {
    #[test]
    fn the_order_of_copies_does_not_matter(
        statuses in prop::collection::vec(prop::sample::select(Status::ALL), 1..8),
        seed in any::<u64>(),
        manual in any::<bool>(),
    ) {
        let approval = if manual { Approval::Manual } else { Approval::Automatic };
        let offer = offer(Terms { approval, ..terms() });
        let mut shuffled: Vec<Option<Status>> = statuses.into_iter().map(Some).collect();
        let sorted = { let mut sorted = shuffled.clone(); sorted.sort(); sorted };
        let mut state = seed;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        prop_assert_eq!(play(&offer, &shuffled), play(&offer, &sorted));
    }
}
