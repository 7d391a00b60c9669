//! Staff's rulings: the table of all of them, and random histories of reports, advertisers' updates and rulings against
//! a model that counts the slow way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::advertiser::{Advertiser, Proof};
use domain::cap::{Limit, Measure, Taken, Tally};
use domain::click::Destination;
use domain::conversion::{
    Arrival, Conversion, Decision, Fresh, Known, Reason, Status, Target, decide, idempotency_key,
};
use domain::id::{AdvertiserId, ClickId, ConversionId, EventId, LinkId, NetworkId, OfferId, PartnerId};
use domain::inbound::{Postback, Stated};
use domain::money::{Money, Rate};
use domain::network::Network;
use domain::offer::{Approval, ConversionKind, Offer, OfferStatus, Results, Rules, Terms};
use domain::period::Period;
use domain::ruling::{self, Ruled, Ruling, rule};
use domain::sequence::Order;
use domain::time::{DAY_MS, HOUR_MS, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

const USD: &str = "USD";
const START_MS: i64 = 1_790_000_000_000;

/// An offer worth 2 USD that takes `cap` conversions a day and 50 USD in total.
fn offer(repeats: bool, approval: Approval, cap: i64) -> Offer {
    let network = NetworkId(Uuid::from_u128(1));
    let limit = |measure, period, most| Limit { measure, period, most };
    let terms = Terms {
        revenue: Rate::Flat(2_000_000),
        payout: Rate::Flat(1_000_000),
        reward_points: 0,
        approval,
        pending_days: 0,
        repeats,
        caps: vec![limit(Measure::Conversions, Period::Day, cap)],
        order: Order::default(),
    };
    Offer {
        id: OfferId(Uuid::from_u128(2)),
        network: Arc::new(Network {
            id: network,
            label: "n".into(),
            name: "N".into(),
            currency: USD.parse().unwrap(),
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
        currency: USD.parse().unwrap(),
        conversion_kind: ConversionKind::FlatRate,
        results: Results::Single(terms),
        destination: Destination::parse("https://shop.example/?c={gk_click_id}").unwrap(),
        fallback_url: None,
        attribution_window_ms: 30 * DAY_MS,
        rules: Rules {
            budgets: vec![limit(Measure::Revenue, Period::Total, 50_000_000)],
            ..Rules::default()
        },
        changes: Vec::new(),
    }
}

/// What the store does with decisions, kept in memory: conversions, and tallies that are moved and never recounted.
struct Record {
    offer: Offer,
    now: Timestamp,
    all: Vec<Conversion>,
    tallies: HashMap<(Period, Timestamp), Tally>,
}

impl Record {
    fn new(offer: Offer) -> Self {
        Self { offer, now: Timestamp::from_ms(START_MS), all: Vec::new(), tallies: HashMap::new() }
    }

    fn taken(&self) -> Taken {
        let mut taken = Taken::default();
        for period in Period::ALL {
            let tally = self.tallies.get(&(*period, period.start(self.now)));
            taken.set(*period, tally.copied().unwrap_or_default());
        }
        taken
    }

    fn holder(&self, member: &str) -> Option<ConversionId> {
        self.all.iter().find(|own| own.holds_place && own.pub_member_id == member).map(|own| own.id)
    }

    fn count(&mut self, received: Timestamp, revenue: Money, by: i64) {
        for period in Period::ALL {
            let tally = self.tallies.entry((*period, period.start(received))).or_default();
            tally.conversions += by;
            tally.revenue_micros += by * revenue.micros;
        }
    }

    fn move_tally(&mut self, at: usize, before: Status) {
        let (after, received, revenue) = (self.all[at].status, self.all[at].received, self.all[at].revenue);
        match (before.holds_place(), after.holds_place()) {
            (true, false) => self.count(received, revenue, -1),
            (false, true) => self.count(received, revenue, 1),
            _ => {}
        }
    }

    /// A postback of a member's click, with a status of the advertiser's perhaps.
    fn report(&mut self, member: u8, click: u8, status: Option<Status>) {
        let id = u128::from(member) << 8 | u128::from(click);
        let base = u128::from(START_MS.unsigned_abs()) << 80 | 0x7000_8000_0000_0000_0000;
        let postback = Postback {
            click: ClickId(Uuid::from_u128(base + id)),
            event_code: None,
            amount_micros: None,
            currency: None,
            advertiser_key: None,
            status,
            kept: BTreeMap::new(),
            stated: Stated::default(),
        };
        let arrival = Arrival {
            at: self.now,
            address_allowed: true,
            click_sent_on: true,
            click_reused: false,
            test: false,
        };
        let member = format!("m{member}");
        let offer = self.offer.clone();
        let terms = offer.terms(EventId::NONE).unwrap();
        let target = Target { event: EventId::NONE, event_code: "", terms, first: true, amount: None };
        let key = idempotency_key(&postback, &arrival, "");
        let known = Known {
            same_key: self.all.iter().find(|own| own.idempotency_key == key).map(Conversion::existing),
            holder: self.holder(&member),
            event_taken: self.taken(),
            offer_taken: self.taken(),
            ..Known::default()
        };
        match decide(&offer, &target, &postback, &arrival, &known, &mut ()) {
            Decision::Duplicate(_) | Decision::Conflict(..) => {}
            Decision::Update(existing, change) => {
                let at = self.all.iter().position(|own| own.id == existing.id).unwrap();
                let before = self.all[at].status;
                let own = &mut self.all[at];
                own.holds_place = own.holds_place && change.to.holds_place();
                (own.status, own.reason, own.waits) = (change.to, change.reason, change.waits);
                own.version += 1;
                self.move_tally(at, before);
            }
            Decision::Record(fresh) => {
                let conversion = self.fresh(&postback, key, member, &fresh);
                self.all.push(conversion);
                self.move_tally(self.all.len() - 1, Status::Rejected);
            }
        }
    }

    fn fresh(&self, postback: &Postback, key: String, member: String, fresh: &Fresh) -> Conversion {
        Conversion {
            id: ConversionId(Uuid::from_u128(1_000 + self.all.len() as u128)),
            network: self.offer.network.id,
            offer: self.offer.id,
            event: EventId::NONE,
            event_code: String::new(),
            partner: PartnerId(Uuid::from_u128(4)),
            link: LinkId(Uuid::from_u128(5)),
            click: postback.click,
            pub_click_id: String::new(),
            pub_member_id: member,
            idempotency_key: key,
            advertiser_key: None,
            status: fresh.status,
            reason: fresh.reason,
            winner: fresh.winner,
            holds_place: fresh.holds_place,
            revenue: fresh.revenue,
            payout: fresh.payout,
            amount: None,
            address: String::new(),
            kept: BTreeMap::new(),
            completed: self.now,
            received: self.now,
            changed: self.now,
            version: 0,
            waits: fresh.waits,
            test: false,
        }
    }

    fn ruling(&self, at: usize, to: Status) -> Ruling {
        let own = &self.all[at];
        let known = ruling::Known {
            holder: self.holder(&own.pub_member_id),
            event_taken: self.taken(),
            offer_taken: self.taken(),
        };
        rule(&self.offer, own, to, &known, self.now)
    }

    fn apply(&mut self, at: usize, ruled: Ruled) {
        let before = self.all[at].status;
        let own = &mut self.all[at];
        (own.status, own.reason, own.holds_place) = (ruled.to, ruled.reason, ruled.holds_place);
        (own.winner, own.waits) = (None, None);
        own.version += 1;
        self.move_tally(at, before);
    }

    /// What must be true after every step.
    fn check(&self) {
        let repeats = self.offer.terms(EventId::NONE).unwrap().repeats;
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut counted: HashMap<(Period, Timestamp), Tally> = HashMap::new();
        for own in &self.all {
            assert_eq!(own.reason.is_some(), own.status == Status::Rejected, "{own:?}");
            assert!(!own.holds_place || own.status.holds_place(), "{own:?}");
            if own.status.holds_place() {
                assert_eq!(own.winner, None, "{own:?}");
                assert_eq!(own.holds_place, !repeats, "{own:?}");
                *places.entry(&own.pub_member_id).or_default() += 1;
                for period in Period::ALL {
                    let tally = counted.entry((*period, period.start(own.received))).or_default();
                    *tally = tally.plus(own.revenue.micros);
                }
            }
        }
        assert!(repeats || places.values().all(|held| *held <= 1), "{places:?}");
        for (period, tally) in &self.tallies {
            assert_eq!(counted.get(period).copied().unwrap_or_default(), *tally, "{period:?}");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Report { member: u8, click: u8, status: Option<Status> },
    Rule { which: usize, to: Status },
    Pass { hours: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let status = || prop::sample::select(Status::ALL);
    let report = (0..3_u8, 0..3_u8, prop::option::of(status()))
        .prop_map(|(member, click, status)| Step::Report { member, click, status });
    let rule = (0..12_usize, status()).prop_map(|(which, to)| Step::Rule { which, to });
    let pass = (1..40_i64).prop_map(|hours| Step::Pass { hours });
    prop::collection::vec(prop_oneof![4 => report, 4 => rule, 1 => pass], 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn no_history_counts_a_member_twice_or_a_conversion_wrongly(
        repeats in any::<bool>(),
        approval in prop::sample::select(Approval::ALL),
        cap in 1..5_i64,
        steps in steps(),
    ) {
        let mut record = Record::new(offer(repeats, approval, cap));
        for step in steps {
            let before: Vec<i64> = record.all.iter().map(|own| own.version).collect();
            let mut moved = None;
            match step {
                Step::Pass { hours } => record.now = record.now.plus_ms(hours * HOUR_MS),
                Step::Report { member, click, status } => record.report(member, click, status),
                Step::Rule { which, to } => {
                    let Some(at) = which.checked_rem(record.all.len()) else { continue };
                    let stood = record.all[at].status;
                    match record.ruling(at, to) {
                        Ruling::Unchanged => prop_assert_eq!(stood, to),
                        Ruling::PlaceTaken(winner) => {
                            prop_assert!(stood == Status::Rejected && to != Status::Rejected && !repeats);
                            let held = record.all.iter().any(|own| {
                                own.id == winner
                                    && own.holds_place
                                    && own.pub_member_id == record.all[at].pub_member_id
                            });
                            prop_assert!(held && winner != record.all[at].id);
                        }
                        Ruling::Changed(ruled) => {
                            prop_assert!(stood != to && ruled.to == to);
                            record.apply(at, ruled);
                            moved = Some(at);
                            let today = Period::Day.start(record.now);
                            let own = &record.all[at];
                            let taken = record.tallies.get(&(Period::Day, today)).copied().unwrap_or_default();
                            let fuller = stood == Status::Rejected && taken.conversions > cap;
                            if fuller && Period::Day.start(own.received) == today {
                                prop_assert!(ruled.over.is_some(), "{ruled:?} {taken:?}");
                            }
                        }
                    }
                }
            }
            for (at, version) in before.iter().enumerate() {
                let grown = record.all[at].version - version;
                prop_assert!(grown == i64::from(moved == Some(at)) || moved.is_none() && (0..=1).contains(&grown));
            }
            record.check();
        }
    }
}

/// Any status follows any other; what is said each time.
#[test]
fn every_status_follows_every_other() {
    for (from, to) in Status::ALL.iter().flat_map(|from| Status::ALL.iter().map(move |to| (*from, *to))) {
        let mut record = Record::new(offer(false, Approval::Automatic, 9));
        record.report(1, 1, Some(from));
        let told = record.ruling(0, to);
        if from == to {
            assert_eq!(told, Ruling::Unchanged);
            continue;
        }
        let Ruling::Changed(ruled) = told else { panic!("{from} {to}: {told:?}") };
        assert_eq!(ruled.reason, (to == Status::Rejected).then_some(Reason::StaffRejected));
        assert_eq!(ruled.holds_place, to != Status::Rejected, "{from} {to}");
        assert_eq!(ruled.over, None);
    }
}

#[test]
fn the_winner_is_named_until_it_is_rejected() {
    let mut record = Record::new(offer(false, Approval::Automatic, 9));
    record.report(1, 1, None);
    record.report(1, 2, None);
    let winner = record.all[0].id;
    assert_eq!(record.all[1].reason, Some(Reason::MemberAlreadyCompleted));
    assert_eq!(record.ruling(1, Status::Success), Ruling::PlaceTaken(winner));
    let Ruling::Changed(ruled) = record.ruling(0, Status::Rejected) else { panic!("the winner stands") };
    record.apply(0, ruled);
    let Ruling::Changed(ruled) = record.ruling(1, Status::Success) else { panic!("the place is free") };
    record.apply(1, ruled);
    assert_eq!(record.ruling(0, Status::Pending), Ruling::PlaceTaken(record.all[1].id));
    record.check();
}

#[test]
fn staff_goes_over_a_cap_and_is_told() {
    let mut record = Record::new(offer(false, Approval::Automatic, 1));
    record.report(1, 1, None);
    record.report(2, 1, None);
    assert_eq!(record.all[1].reason, Some(Reason::Capped));
    let Ruling::Changed(ruled) = record.ruling(1, Status::Success) else {
        panic!("caps refuse staff nothing")
    };
    let over = ruled.over.unwrap();
    assert_eq!((over.limit.period, over.limit.most, over.used), (Period::Day, 1, 1));
    // The day is over: nobody keeps its cap any more.
    record.now = record.now.plus_ms(2 * DAY_MS);
    let Ruling::Changed(ruled) = record.ruling(1, Status::Success) else {
        panic!("caps refuse staff nothing")
    };
    assert_eq!(ruled.over, None);
}
