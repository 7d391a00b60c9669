//! What a click is decided by beside its link and visitor, read from the record: for dry runs, replays and `why`. The
//! hot path has the same from memory ([`crate::live::Live`]).

use domain::cap::{self, Exhausted};
use domain::click::{Click, Standing};
use domain::id::{ClickId, EventId, LinkId};
use domain::link::Link;
use domain::offer::Results;
use domain::sketch::{Sketch, WINDOW, click_hash, member_hash};
use domain::time::Timestamp;

use crate::{Error, Tx, click, conversion, tally};

/// How many of the newest clicks are looked through for those of one link.
const LOOKED_AT: i64 = 5_000;

/// The standing of one member on one link at one time.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Whether the member had nothing left to do.
    pub completed: bool,
    /// What left no room.
    pub closed: Option<Exhausted>,
    /// What was taken of each cap and budget, in words.
    pub taken: Vec<String>,
    /// The link's clicks before.
    pub sketch: Sketch,
}

impl Recorded {
    /// Reads it for a member, as it was at a time and before a click: what was recorded later is left out.
    pub fn read(
        tx: &mut Tx<'_>,
        link: &Link,
        member: &str,
        at: Timestamp,
        before: Option<ClickId>,
    ) -> Result<Self, Error> {
        let (closed, taken) = room(tx, link, at)?;
        Ok(Self {
            completed: conversion::member_completed(tx, link, member, at)?,
            closed,
            taken,
            sketch: sketch(tx, link.id, before)?,
        })
    }
}

impl Standing for Recorded {
    fn completed(&self, _: &Link, _: &str) -> bool {
        self.completed
    }

    fn closed(&self, _: &Link, _: Timestamp) -> Option<Exhausted> {
        self.closed
    }

    fn taken(&self, _: &Link, _: Timestamp) -> Vec<String> {
        self.taken.clone()
    }

    fn is_static(&self, _: &Link, member: &str) -> bool {
        self.sketch.is_static(member_hash(member))
    }

    fn is_reused(&self, _: &Link, click: &str) -> bool {
        self.sketch.is_reused(click_hash(click))
    }
}

/// What conversions recorded before `at` had taken of the periods that hold it: the limit without room, and all of
/// them in words.
fn room(tx: &mut Tx<'_>, link: &Link, at: Timestamp) -> Result<(Option<Exhausted>, Vec<String>), Error> {
    let offer = &link.offer;
    let taken = tally::counted_before(tx, offer, at)?;
    let of = |event| taken.get(&event).copied().unwrap_or_default();
    let mut told = cap::told(&offer.rules.budgets, &of(EventId::NONE), offer.currency);
    match &offer.results {
        Results::Single(terms) => told.extend(cap::told(&terms.caps, &of(EventId::NONE), offer.currency)),
        Results::Multi(events) => {
            for event in events {
                let own = cap::told(&event.terms.caps, &of(event.id), offer.currency);
                told.extend(own.iter().map(|text| format!("event {}: {text}", event.code)));
            }
        }
    }
    Ok((cap::of_offer(offer, at, of), told))
}

fn sketch(tx: &mut Tx<'_>, link: LinkId, before: Option<ClickId>) -> Result<Sketch, Error> {
    let newest = click::newest_of_link(tx, link, before, LOOKED_AT, WINDOW)?;
    let mut sketch = Sketch::default();
    for seen in newest.iter().rev().filter_map(Click::seen) {
        sketch.learn(seen);
    }
    Ok(sketch)
}
