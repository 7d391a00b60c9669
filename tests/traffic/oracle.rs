//! Compares what was promised with what is stored, and counts everything again by a way of its own.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use simulator::partner::{Received, SignatureCheck};
use testkit::Engine;
use uuid::Uuid;

use super::{Entry, Promise, Visit, uuid};

/// What an offer and event pay, in micro-units or in millionths of a percent, and who of the partner is told.
const TERMS: [(&str, &str, i64, i64, &[&str]); 4] = [
    ("flat", "", 2_500_000, 1_200_000, &["all", "flat"]),
    ("share", "", 10_000_000, 7_500_000, &["all"]),
    ("levels", "install", 1_000_000, 600_000, &["all"]),
    ("levels", "Level 10", 5_000_000, 4_000_000, &["all", "ten"]),
];

/// The database as rows of text, read beside the product.
pub(crate) struct Stored {
    clicks: HashMap<Uuid, Visit>,
    /// Code and conversion of every line of the inbound log.
    lines: HashMap<Uuid, (String, Option<Uuid>)>,
    conversions: HashMap<Uuid, Conversion>,
    deliveries: Vec<Delivery>,
    /// Version and status, by conversion.
    changes: HashMap<Uuid, Vec<(String, String)>>,
}

struct Conversion {
    click: Uuid,
    visit: Visit,
    offer: String,
    event: String,
    member: String,
    status: String,
    reason: String,
    winner: Option<Uuid>,
    revenue_micros: i64,
    payout_micros: i64,
}

struct Delivery {
    id: Uuid,
    conversion: Uuid,
    postback: String,
    version: String,
    state: String,
}

impl Stored {
    /// Reads everything.
    pub(crate) fn read(engine: &Engine) -> Self {
        let pairs = |query| engine.sql(query).into_iter().map(|row| (uuid(&row[0]), row));
        let clicks = pairs("select click_id, pub_click_id from click");
        let lines = pairs("select inbound_id, code, conversion_id from inbound");
        let mut changes: HashMap<Uuid, Vec<_>> = HashMap::new();
        for (id, row) in pairs("select conversion_id, version, status from conversion_change") {
            changes.entry(id).or_default().push((row[1].clone(), row[2].clone()));
        }
        Self {
            clicks: clicks.map(|(id, row)| (id, Visit::of(&row[1]).expect("a visit's click"))).collect(),
            lines: lines.map(|(id, row)| (id, (row[1].clone(), maybe(&row[2])))).collect(),
            conversions: pairs(
                "select c.conversion_id, c.click_id, c.pub_click_id, o.slug, c.event_code, c.pub_member_id, c.status,
                     c.reason, c.winner_id, c.revenue_micros, c.payout_micros
                 from conversion c join offer o on o.offer_id = c.offer_id",
            )
            .map(|(id, row)| (id, Conversion::of(&row)))
            .collect(),
            deliveries: pairs(
                "select d.delivery_id, d.conversion_id, p.slug, d.version, d.state
                 from delivery d join postback p on p.postback_id = d.postback_id",
            )
            .map(|(id, row)| Delivery::of(id, row))
            .collect(),
            changes,
        }
    }

    /// How many conversions there are.
    pub(crate) fn conversions(&self) -> usize {
        self.conversions.len()
    }

    /// Everything that must hold at any moment.
    pub(crate) fn check(&self, journal: &[Entry]) {
        self.promises_are_kept(journal);
        self.every_visit_is_one_conversion(journal);
        self.every_member_counts_once();
        self.everything_is_worth_what_it_should_be();
        self.partners_are_told_exactly();
    }

    fn promises_are_kept(&self, journal: &[Entry]) {
        let broken: Vec<&Entry> = journal.iter().filter(|entry| !self.keeps(entry)).collect();
        let some: Vec<String> = broken.iter().take(5).map(|entry| format!("{entry:?}")).collect();
        let count = format!("{} of {} promises broken", broken.len(), journal.len());
        assert!(broken.is_empty(), "{count}:\n    {}", some.join("\n    "));
    }

    fn keeps(&self, entry: &Entry) -> bool {
        match &entry.promise {
            Promise::Click(id) | Promise::Return(id) => self.clicks.get(id) == Some(&entry.visit),
            Promise::Postback { line, code, conversion, status } => {
                let told = (code.clone(), Some(*conversion));
                let stored = self.conversions.get(conversion);
                self.lines.get(line) == Some(&told)
                    && stored.is_some_and(|stored| stored.visit == entry.visit && stored.status == *status)
            }
        }
    }

    /// Every answer about one visit names the same conversion, one at most as new, and no visit has two.
    fn every_visit_is_one_conversion(&self, journal: &[Entry]) {
        let mut named: HashMap<Visit, Uuid> = HashMap::new();
        let mut firsts = HashSet::new();
        for entry in journal {
            if let Promise::Postback { code, conversion, .. } = &entry.promise {
                let first = named.entry(entry.visit).or_insert(*conversion);
                assert_eq!(first, conversion, "two conversions were named to {:?}", entry.visit);
                assert!(code == "duplicate" || firsts.insert(conversion), "new twice: {entry:?}");
            }
        }
        let mut seen = HashSet::new();
        for (id, conversion) in &self.conversions {
            assert!(seen.insert(conversion.visit), "{:?} has two conversions, one is {id}", conversion.visit);
            let click = self.clicks.get(&conversion.click);
            assert_eq!(click, Some(&conversion.visit), "conversion {id} has another's click, or none");
        }
    }

    /// Of one member's conversions of an offer and event one is a Success; the others name it.
    fn every_member_counts_once(&self) {
        let place = |conversion: &Conversion| {
            (conversion.offer.clone(), conversion.event.clone(), conversion.member.clone())
        };
        let mut winners = HashMap::new();
        for (id, conversion) in self.conversions.iter().filter(|(_, at)| at.status == "Success") {
            let other = winners.insert(place(conversion), *id);
            assert!(other.is_none(), "{id} and {other:?} count for {:?}", place(conversion));
        }
        for (id, conversion) in self.conversions.iter().filter(|(_, at)| at.status != "Success") {
            let found = (conversion.status.as_str(), conversion.reason.as_str());
            assert_eq!(found, ("Rejected", "member_already_completed"), "{id}");
            assert_eq!(winners.get(&place(conversion)).copied(), conversion.winner, "{id}");
        }
    }

    /// Each conversion by itself, and the sums.
    fn everything_is_worth_what_it_should_be(&self) {
        let (mut stored, mut counted) = ([0_i128; 2], [0_i128; 2]);
        for (id, conversion) in &self.conversions {
            let visit = conversion.visit;
            let what = (conversion.offer.as_str(), conversion.event.as_str(), conversion.member.clone());
            assert_eq!(what, (visit.offer(), visit.event(), visit.member()), "{id}");
            let worth = worth(visit);
            assert_eq!((conversion.revenue_micros, conversion.payout_micros), worth, "{id}, {visit:?}");
            if conversion.status == "Success" {
                stored[0] += i128::from(conversion.revenue_micros);
                stored[1] += i128::from(conversion.payout_micros);
                counted[0] += i128::from(worth.0);
                counted[1] += i128::from(worth.1);
            }
            let first = [("0".to_owned(), conversion.status.clone())];
            assert_eq!(self.changes.get(id).map(Vec::as_slice), Some(&first[..]), "history of {id}");
        }
        assert_eq!(stored, counted, "revenue and payout of everything, in micro-units");
        assert_eq!(self.changes.len(), self.conversions.len(), "a history without a conversion");
    }

    /// One delivery for each matching postback of each Success, and no other.
    fn partners_are_told_exactly(&self) {
        let mut told: HashMap<Uuid, Vec<&str>> = HashMap::new();
        for delivery in &self.deliveries {
            assert!(self.conversions.contains_key(&delivery.conversion), "orphan {}", delivery.id);
            assert_eq!(delivery.version, "0", "{}", delivery.id);
            told.entry(delivery.conversion).or_default().push(&delivery.postback);
        }
        for (id, conversion) in &self.conversions {
            let mut found = told.remove(id).unwrap_or_default();
            found.sort_unstable();
            let counts = conversion.status == "Success";
            let wanted = if counts { terms(conversion.visit).4 } else { &[] };
            assert_eq!(found, wanted, "deliveries of {id}, {}", conversion.status);
        }
    }

    /// Every delivery arrived, signed, and nothing arrived that is not stored. A crash between an arrival and its
    /// record may repeat it, under the same id.
    pub(crate) fn check_arrivals(&self, received: &[Arc<Received>]) {
        let waiting = self.deliveries.iter().filter(|delivery| delivery.state != "delivered").count();
        assert_eq!(waiting, 0, "deliveries that have not arrived");
        let arrived: BTreeSet<Uuid> = received.iter().map(|at| webhook_id(at)).collect();
        let stored: BTreeSet<Uuid> = self.deliveries.iter().map(|delivery| delivery.id).collect();
        assert_eq!(arrived.symmetric_difference(&stored).collect::<Vec<_>>(), Vec::<&Uuid>::new());
        let about: HashMap<Uuid, Uuid> = self.deliveries.iter().map(|at| (at.id, at.conversion)).collect();
        for at in received {
            assert_eq!(at.signature, SignatureCheck::Valid, "{at:?}");
            let (named, wanted) = (at.parameter("conversion"), about[&webhook_id(at)]);
            assert!(named.is_empty() || uuid(named) == wanted, "{at:?} is about {wanted}");
        }
    }
}

fn webhook_id(received: &Received) -> Uuid {
    uuid(received.webhook_id.as_deref().expect("a webhook id"))
}

/// An id, unless there is none.
fn maybe(text: &str) -> Option<Uuid> {
    (text != "NULL").then(|| uuid(text))
}

impl Conversion {
    fn of(row: &[String]) -> Self {
        let number = |at: usize| row[at].parse().expect("micro-units");
        Self {
            click: uuid(&row[1]),
            visit: Visit::of(&row[2]).expect("a visit's conversion"),
            offer: row[3].clone(),
            event: row[4].clone(),
            member: row[5].clone(),
            status: row[6].clone(),
            reason: row[7].clone(),
            winner: maybe(&row[8]),
            revenue_micros: number(9),
            payout_micros: number(10),
        }
    }
}

impl Delivery {
    fn of(id: Uuid, row: Vec<String>) -> Self {
        let [_, conversion, postback, version, state] = <[String; 5]>::try_from(row).expect("five columns");
        Self { id, conversion: uuid(&conversion), postback, version, state }
    }
}

fn terms(visit: Visit) -> (&'static str, &'static str, i64, i64, &'static [&'static str]) {
    let found = TERMS.iter().find(|terms| (terms.0, terms.1) == (visit.offer(), visit.event()));
    *found.expect("an offer and event of the network")
}

/// Revenue and payout in micro-units, counted without the product.
fn worth(visit: Visit) -> (i64, i64) {
    let (_, _, revenue, payout, _) = terms(visit);
    match visit.amount_micros() {
        None => (revenue, payout),
        Some(amount) => (share(amount, revenue), share(amount, payout)),
    }
}

/// A share of an amount, rounded half to even.
fn share(amount_micros: i64, millionths_of_a_percent: i64) -> i64 {
    let exact = i128::from(amount_micros) * i128::from(millionths_of_a_percent);
    let (down, rest) = (exact / 100_000_000, exact % 100_000_000);
    let up = rest > 50_000_000 || (rest == 50_000_000 && down % 2 == 1);
    i64::try_from(down + i128::from(up)).unwrap()
}

#[test]
fn shares_are_rounded_half_to_even() {
    assert_eq!(share(123_456_789, 10_000_000), 12_345_679);
    assert_eq!(share(5, 10_000_000), 0);
    assert_eq!(share(15, 10_000_000), 2);
    assert_eq!(share(25, 10_000_000), 2);
    assert_eq!(share(26, 10_000_000), 3);
}
