//! Replays: what recorded clicks get by the rules of now, and what they would get by a draft of their offer.
//!
//! Both are decided in the same way, over what was recorded: the click's parameters and visitor, the places that
//! members held then, the conversions counted by then, and each link's clicks before. So whatever differs, differs by
//! the draft. The terms and the status of an offer are taken as they are at the end of the replay; launch and expiry
//! count at the click's own time.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cap::{self, Exhausted, Taken, Tally};
use crate::click::{self, Click, Recalled, Standing, Verdict};
use crate::id::{ClickId, EventId, LinkId};
use crate::link::Link;
use crate::offer::{Event, Offer, Results};
use crate::period::Period;
use crate::sketch::{Sketch, click_hash, member_hash};
use crate::time::Timestamp;
use crate::visit::Visit;

/// A place that a member holds: on which event, and since when.
pub type Place = (EventId, Timestamp);

/// A conversion that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Its event; [`EventId::NONE`] on single-event offers.
    pub event: EventId,
    /// When it was recorded.
    pub at: Timestamp,
    /// Its revenue in the offer's currency, in micro-units.
    pub revenue_micros: i64,
}

/// What a click gets by one offer's rules: the verdict, and whether the visitor goes on to the advertiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the visitor goes on.
    pub sends_on: bool,
}

/// One click, decided twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The click.
    pub click: ClickId,
    /// By the rules of now.
    pub now: Outcome,
    /// By the draft.
    pub then: Outcome,
}

/// A replay under way. It is given conversions and clicks in the order of their times.
#[derive(Debug)]
pub struct Replay {
    now: Arc<Offer>,
    draft: Arc<Offer>,
    links: HashMap<LinkId, [Link; 2]>,
    ledger: Ledger,
    sketches: HashMap<LinkId, Sketch>,
}

impl Replay {
    /// A replay of the clicks on `links`, of one offer, by the offer `now` and its `draft`, both as they are at `at`.
    /// `taken` is what their limited results had taken at the first click.
    pub fn new<'l>(
        (now, draft): (&Offer, &Offer),
        at: Timestamp,
        links: impl IntoIterator<Item = &'l Arc<Link>>,
        (from, taken): (Timestamp, HashMap<EventId, Taken>),
    ) -> Self {
        let (now, draft) = (Arc::new(frozen(now, at)), Arc::new(frozen(draft, at)));
        let both = |link: &Arc<Link>| {
            [&now, &draft].map(|offer| Link { offer: Arc::clone(offer), ..Link::clone(link) })
        };
        let links = links.into_iter().map(|link| (link.id, both(link))).collect();
        Self { links, ledger: Ledger::new(from, taken), sketches: HashMap::new(), now, draft }
    }

    /// The events of both offers, [`EventId::NONE`] among them.
    pub fn events(&self) -> Vec<EventId> {
        let mut all = vec![EventId::NONE];
        for offer in [&self.now, &self.draft] {
            if let Results::Multi(events) = &offer.results {
                all.extend(events.iter().map(|event| event.id));
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Counts a conversion that came before the clicks that follow.
    pub fn count(&mut self, conversion: Counted) {
        self.ledger.add(conversion);
    }

    /// Decides about a click; `places` are those that its member holds. None for clicks that are in no count, those
    /// whose parameters could not be read, and those of other offers: no draft changes anything about them.
    pub fn look(&mut self, click: &Click, places: &[Place]) -> Option<Compared> {
        let links = self.links.get(&click.link)?;
        if click.marks.is_uncounted() || click.verdict == Verdict::ParameterMalformed {
            return None;
        }
        let sketch = self.sketches.entry(click.link).or_default();
        let recalled = Recalled::of(click);
        let visit = Visit::read(&recalled.query);
        let [now, then] = links.each_ref().map(|link| {
            let at = click.id.at();
            let standing = Then {
                completed: completed(&link.offer, places, at),
                closed: cap::of_offer(&link.offer, at, |event| self.ledger.taken(event, at)),
                sketch,
            };
            let decision = click::decide(link, &recalled.visitor(&visit, link), &standing, &mut ());
            Outcome { verdict: decision.verdict, sends_on: decision.sends_on }
        });
        if let Some(seen) = click.seen() {
            sketch.learn(seen);
        }
        Some(Compared { click: click.id, now, then })
    }
}

/// An offer as it is at a time, without a past or a future.
fn frozen(offer: &Offer, at: Timestamp) -> Offer {
    let results = match &offer.results {
        Results::Single(terms) => Results::Single(offer.terms_at(EventId::NONE, terms, at).into_owned()),
        Results::Multi(events) => {
            let then = |event: &Event| Event {
                terms: offer.terms_at(event.id, &event.terms, at).into_owned(),
                ..event.clone()
            };
            Results::Multi(events.iter().map(then).collect())
        }
    };
    Offer { status: offer.status_at(at), results, changes: Vec::new(), ..offer.clone() }
}

fn completed(offer: &Offer, places: &[Place], at: Timestamp) -> bool {
    offer.each_place(|event, repeats| {
        !repeats && places.iter().any(|(held, since)| *held == event && *since < at)
    })
}

/// What was known when a click came.
struct Then<'s> {
    completed: bool,
    closed: Option<Exhausted>,
    sketch: &'s Sketch,
}

impl Standing for Then<'_> {
    fn completed(&self, _: &Link, _: &str) -> bool {
        self.completed
    }

    fn closed(&self, _: &Link, _: Timestamp) -> Option<Exhausted> {
        self.closed
    }

    fn is_static(&self, _: &Link, member: &str) -> bool {
        self.sketch.is_static(member_hash(member))
    }

    fn is_reused(&self, _: &Link, click: &str) -> bool {
        self.sketch.is_reused(click_hash(click))
    }
}

/// What each result has taken, period by period, as time goes on.
#[derive(Debug, Default)]
struct Ledger(HashMap<(EventId, Period), (Timestamp, Tally)>);

impl Ledger {
    fn new(from: Timestamp, taken: HashMap<EventId, Taken>) -> Self {
        let each = taken.into_iter().flat_map(|(event, taken)| {
            let each = move |period: &Period| ((event, *period), (period.start(from), taken.of(*period)));
            Period::ALL.iter().map(each)
        });
        Self(each.collect())
    }

    fn add(&mut self, conversion: Counted) {
        // The event of zeros counts everything of the offer.
        let whole = conversion.event.is_some().then_some(EventId::NONE);
        for event in std::iter::once(conversion.event).chain(whole) {
            for period in Period::ALL {
                let start = period.start(conversion.at);
                let known = self.0.entry((event, *period)).or_insert((start, Tally::default()));
                if known.0 != start {
                    *known = (start, Tally::default());
                }
                known.1 = known.1.plus(conversion.revenue_micros);
            }
        }
    }

    fn taken(&self, event: EventId, at: Timestamp) -> Taken {
        let mut taken = Taken::default();
        for period in Period::ALL {
            let known = self.0.get(&(event, *period)).filter(|(start, _)| *start == period.start(at));
            taken.set(*period, known.map(|(_, tally)| *tally).unwrap_or_default());
        }
        taken
    }
}
