//! What a replay found.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use domain::click::Click;
use domain::id::{ClickId, OfferId};
use domain::offer::Offer;
use domain::replay::{Compared, Outcome};
use domain::time::Timestamp;
use serde::Serialize;

use crate::apply::drafted::Drafted;
use crate::apply::plan::Change;
use crate::terminal::line;

/// The most clicks that are named of one transition.
const EXAMPLES: usize = 5;
/// The most members that are told apart in one transition: beyond this many it is only said that there are more.
const MEMBERS: usize = 200_000;
/// The longest value of a field that is shown, in characters.
const MOST: usize = 200;

/// What a replay found, as `--json` writes it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    offer: OfferId,
    slug: String,
    network: String,
    since: String,
    until: String,
    /// What the draft changes of the offer.
    changes: Vec<Change>,
    /// Clicks of the offer that were decided twice.
    replayed: u64,
    /// Clicks of the offer that no rule looks at: in no count, or not readable.
    left_out: u64,
    /// Clicks that get the same by both.
    unchanged: u64,
    /// Clicks that get something else, by what they get.
    transitions: Vec<Transition>,
    #[serde(skip)]
    found: BTreeMap<(Outcome, Outcome), Found>,
    #[serde(skip)]
    hasher: RandomState,
}

/// Clicks that get something else.
#[derive(Debug, Serialize)]
struct Transition {
    /// By the rules of now.
    now: &'static str,
    now_sends_on: bool,
    /// By the draft.
    then: &'static str,
    then_sends_on: bool,
    clicks: u64,
    members: usize,
    /// Whether there are more members than are told apart.
    more_members: bool,
    /// The first of the clicks.
    examples: Vec<ClickId>,
}

#[derive(Debug, Default)]
struct Found {
    clicks: u64,
    members: HashSet<u64>,
    examples: Vec<ClickId>,
}

impl Report {
    /// Nothing is found yet.
    pub(super) fn new(offer: &Arc<Offer>, drafted: &Drafted, (since, until): (Timestamp, Timestamp)) -> Self {
        Self {
            offer: offer.id,
            slug: offer.slug.clone(),
            network: offer.network.label.clone(),
            since: since.to_string(),
            until: until.to_string(),
            changes: drafted.changes.clone(),
            replayed: 0,
            left_out: 0,
            unchanged: 0,
            transitions: Vec::new(),
            found: BTreeMap::new(),
            hasher: RandomState::new(),
        }
    }

    /// Takes a click in.
    pub(super) fn add(&mut self, click: &Click, compared: Option<&Compared>) {
        let Some(&Compared { now, then, .. }) = compared else {
            self.left_out += 1;
            return;
        };
        self.replayed += 1;
        if now == then {
            self.unchanged += 1;
            return;
        }
        let found = self.found.entry((now, then)).or_default();
        found.clicks += 1;
        if found.examples.len() < EXAMPLES {
            found.examples.push(click.id);
        }
        if found.members.len() <= MEMBERS {
            // Members of two partners are two, and so their links are.
            found.members.insert(self.hasher.hash_one((click.link, click.pub_member_id.as_deref())));
        }
    }

    /// Everything is taken in: the transitions, those of most clicks first.
    pub(super) fn finish(mut self) -> Self {
        let found = std::mem::take(&mut self.found);
        self.transitions = found
            .into_iter()
            .map(|((now, then), found)| Transition {
                now: now.verdict.code(),
                now_sends_on: now.sends_on,
                then: then.verdict.code(),
                then_sends_on: then.sends_on,
                clicks: found.clicks,
                members: found.members.len().min(MEMBERS),
                more_members: found.members.len() > MEMBERS,
                examples: found.examples,
            })
            .collect();
        self.transitions.sort_by_key(|transition| std::cmp::Reverse(transition.clicks));
        self
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text =
            format!("Offer {} of network {}, clicks since {}\n", self.slug, self.network, self.since);
        if self.changes.is_empty() {
            text.push_str("The draft changes nothing of the offer.\n");
        }
        for Change { field, old, new } in &self.changes {
            let shown = |value: &Option<String>| {
                value.as_deref().map_or_else(|| "nothing".to_owned(), |value| line(value, MOST))
            };
            // Writing into a String cannot fail, here and below.
            let _ = writeln!(text, "  {field}: {} -> {}", shown(old), shown(new));
        }
        text.push('\n');
        for transition in &self.transitions {
            transition.write(&mut text);
        }
        let changed = self.replayed - self.unchanged;
        let _ = writeln!(
            text,
            "{changed} of {} clicks would get something else, {} the same.",
            self.replayed, self.unchanged
        );
        if self.left_out > 0 {
            let _ = writeln!(
                text,
                "{} more were left out: tests, bots, fetched ahead, or with parameters that nobody could read.",
                self.left_out
            );
        }
        text.push_str("Nothing was written.\n");
        text
    }
}

impl Transition {
    fn write(&self, text: &mut String) {
        let outcome = |verdict: &str, sends_on: bool| {
            let flagged = if sends_on && verdict != "ok" { " (flagged)" } else { "" };
            format!("{verdict}{flagged}")
        };
        let (now, then) = (outcome(self.now, self.now_sends_on), outcome(self.then, self.then_sends_on));
        let more = if self.more_members { " or more" } else { "" };
        let _ = writeln!(text, "{now} -> {then}: {} clicks of {}{more} members", self.clicks, self.members);
        for example in &self.examples {
            let _ = writeln!(text, "    {example}");
        }
    }
}
