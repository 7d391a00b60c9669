//! Compares what a file declares with what is stored and decides what to write. Pure: it reads nothing and writes
//! nothing.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

use domain::advertiser::Advertiser;
use domain::ambient::Ambient;
use domain::id::{AdvertiserId, NetworkId};
use domain::link::Link;
use domain::network::Network;
use domain::offer::Offer;
use domain::partner::Partner;
use domain::postback::Postback;
use domain::secret::SecretHash;
use domain::signature::Secret;
use domain::time::Timestamp;
use domain::user::User;
use serde::Serialize;
use store::offer::Texts;
use uuid::Uuid;

use super::change::Schedule;
use super::declaration::{Declaration, Declared, Noun};
use super::fault::{Faults, Sound, Told};
use super::fields::At;
use super::secret::{self, Shown, Whose};
use super::stored::Stored;
use super::{advertiser, link, network, offer, partner, postback, user};

/// One property of a thing, as the file would write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    key: String,
    value: Option<String>,
}

impl Field {
    /// A property that is there.
    pub(crate) fn new(key: impl Into<String>, value: impl Display) -> Self {
        Self { key: key.into(), value: Some(value.to_string()) }
    }

    /// A property that may be absent.
    pub(crate) fn maybe(key: impl Into<String>, value: Option<impl Display>) -> Self {
        Self { key: key.into(), value: value.map(|value| value.to_string()) }
    }
}

/// A property that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// The property.
    pub(crate) field: String,
    /// What it was; none when it was absent.
    pub(crate) old: Option<String>,
    /// What it is now; none when it is absent.
    pub(crate) new: Option<String>,
}

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Effect {
    /// It is new.
    Created,
    /// It is stored with other properties.
    Changed,
    /// It is stored just so.
    Unchanged,
}

/// What is written for one thing that is created or changed.
#[derive(Debug)]
pub(crate) enum Write {
    /// A network.
    Network(Arc<Network>),
    /// An advertiser with what becomes of its secrets.
    Advertiser {
        /// It.
        record: Arc<Advertiser>,
        /// Its signing secrets.
        signing: Vec<Signing>,
        /// Tokens that become live.
        tokens: Vec<SecretHash>,
        /// Tokens that end.
        revoked: Vec<SecretHash>,
    },
    /// A partner with what becomes of its secrets.
    Partner {
        /// It.
        record: Arc<Partner>,
        /// Its new signing secret.
        secret: Option<Arc<Secret>>,
        /// Whether the secret before the newest ends.
        end_old: bool,
    },
    /// An offer with its texts and what becomes of its changes.
    Offer {
        /// It.
        record: Arc<Offer>,
        /// Its texts.
        texts: Texts,
        /// Its changes.
        schedule: Schedule,
    },
    /// A link.
    Link(Arc<Link>),
    /// A postback setting.
    Postback {
        /// It.
        record: Postback,
        /// Whether it is switched on or off.
        switched: bool,
    },
    /// A user with the hash and expiry of a set-up token.
    User {
        /// Them.
        record: User,
        /// The invitation.
        invite: Option<(SecretHash, Timestamp)>,
    },
}

/// What becomes of an advertiser's signing secrets.
#[derive(Debug)]
pub(crate) enum Signing {
    /// A new one; the newest before it stays live.
    New(Secret),
    /// All but the newest end.
    EndOld,
    /// All end.
    Stop,
}

/// One thing of the file and what becomes of it.
#[derive(Debug)]
pub(crate) struct Step {
    /// What it is.
    pub(crate) noun: Noun,
    /// Its name.
    pub(crate) name: String,
    /// Its network.
    pub(crate) network: Arc<Network>,
    /// Its id.
    pub(crate) id: Uuid,
    /// What becomes of it.
    pub(crate) effect: Effect,
    /// Every property that changes; all of them when it is new.
    pub(crate) changes: Vec<Change>,
    /// What is written.
    pub(crate) write: Write,
    /// Fresh secrets, to be shown once.
    pub(crate) secrets: Vec<Shown>,
    /// An address to hand out, without scheme and host: its name and its path.
    pub(crate) address: Option<(&'static str, String)>,
}

impl Step {
    /// A thing that was (`fields.0`, none when it is new) and will be (`fields.1`).
    pub(crate) fn new(
        (noun, name): (Noun, &str),
        network: &Arc<Network>,
        id: Uuid,
        fields: (Option<Vec<Field>>, Vec<Field>),
        write: Write,
    ) -> Self {
        let created = fields.0.is_none();
        let changes = compare(fields.0.unwrap_or_default(), fields.1);
        let effect = match (created, changes.is_empty()) {
            (true, _) => Effect::Created,
            (false, false) => Effect::Changed,
            (false, true) => Effect::Unchanged,
        };
        let (secrets, address) = (Vec::new(), None);
        Self {
            noun,
            name: name.to_owned(),
            network: Arc::clone(network),
            id,
            effect,
            changes,
            write,
            secrets,
            address,
        }
    }

    /// Adds a change whose values are not shown.
    pub(crate) fn note(&mut self, field: &str, what: &str) {
        self.changes.push(Change { field: field.to_owned(), old: None, new: Some(what.to_owned()) });
        if self.effect == Effect::Unchanged {
            self.effect = Effect::Changed;
        }
    }
}

/// The properties that differ, in the order of the new ones; what is gone comes last.
pub(crate) fn compare(old: Vec<Field>, new: Vec<Field>) -> Vec<Change> {
    let mut old: HashMap<String, Option<String>> =
        old.into_iter().map(|field| (field.key, field.value)).collect();
    let mut changes = Vec::new();
    for Field { key, value } in new {
        let before = old.remove(&key).flatten();
        if before != value {
            changes.push(Change { field: key, old: before, new: value });
        }
    }
    let mut gone: Vec<Change> = old
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .map(|(field, old)| Change { field, old, new: None })
        .collect();
    gone.sort_by(|a, b| a.field.cmp(&b.field));
    changes.extend(gone);
    changes
}

/// What a run will write.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The state of the catalog that it was made from.
    pub(crate) version: i64,
    /// When it was made: the time of everything that it creates.
    pub(crate) at: Timestamp,
    /// Every thing of the file.
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    /// The things that are created or changed.
    pub(crate) fn effective(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.effect != Effect::Unchanged)
    }
}

/// Things of one kind by network and slug: those stored, and those declared in place of them.
pub(crate) struct Register<T> {
    noun: Noun,
    things: HashMap<(NetworkId, String), Arc<T>>,
}

impl<T> Register<T> {
    fn new(noun: Noun, stored: impl Iterator<Item = (NetworkId, String, Arc<T>)>) -> Self {
        Self { noun, things: stored.map(|(network, slug, thing)| ((network, slug), thing)).collect() }
    }

    /// A thing.
    pub(crate) fn get(&self, network: NetworkId, slug: &str) -> Option<Arc<T>> {
        self.things.get(&(network, slug.to_owned())).cloned()
    }

    /// Adds or replaces a thing.
    pub(crate) fn put(&mut self, network: NetworkId, slug: &str, thing: Arc<T>) {
        self.things.insert((network, slug.to_owned()), thing);
    }
}

/// Gathers the steps.
pub(crate) struct Planner<'p> {
    /// Where faults go.
    pub(crate) faults: &'p Faults<'p>,
    /// What is stored.
    pub(crate) stored: &'p Stored,
    /// Fresh ids and secrets.
    pub(crate) ambient: Ambient,
    /// Networks by label.
    pub(crate) networks: HashMap<String, Arc<Network>>,
    /// Advertisers.
    pub(crate) advertisers: Register<Advertiser>,
    /// Partners.
    pub(crate) partners: Register<Partner>,
    /// Offers.
    pub(crate) offers: Register<Offer>,
    /// Whose each postback token is, stored or declared.
    pub(crate) token_owners: HashMap<SecretHash, AdvertiserId>,
    /// Whether nothing will be written, so that fresh ids and secrets are not worth showing.
    pub(crate) dry_run: bool,
    /// Whether nothing tells the country of an address.
    pub(crate) places_unknown: bool,
    at: Timestamp,
    /// The network of things that name none.
    default_network: Option<Arc<Network>>,
    /// Where each name was declared first.
    seen: HashMap<(Noun, NetworkId, String), usize>,
    /// Names that are declared with a fault: whoever refers to them is not told again.
    faulty: HashSet<(Noun, String)>,
    wish: Wish<'p>,
    steps: Vec<Step>,
}

/// What a run is asked for beside the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'p> {
    /// They get a new secret, or one more token.
    pub(crate) new_secrets: &'p [Whose],
    /// They lose every secret but the newest.
    pub(crate) end_old_secrets: &'p [Whose],
    /// Whether nothing will be written.
    pub(crate) dry_run: bool,
    /// Whether nothing tells the country of an address.
    pub(crate) places_unknown: bool,
}

/// Plans everything. What is wrong goes to `faults`; then the plan is not to be used.
pub(crate) fn plan(
    declaration: Declaration,
    stored: &Stored,
    faults: &Faults<'_>,
    ambient: Ambient,
    wish: Wish<'_>,
) -> Plan {
    let mut planner = Planner::new(stored, faults, ambient, wish);
    let only_declared = declaration.networks.len() == 1;
    let only = declaration.networks.first().map(|only| only.name.clone()).filter(|_| only_declared);
    planner.networks(declaration.networks);
    planner.default_network = match only {
        Some(label) => planner.networks.get(&label).cloned(),
        None if planner.networks.len() == 1 => planner.networks.values().next().cloned(),
        None => None,
    };
    planner.each(declaration.advertisers, advertiser::plan);
    planner.each(declaration.partners, partner::plan);
    planner.each(declaration.offers, offer::plan);
    planner.each(declaration.links, |planner, network, name, body| link::plan(planner, network, name, &body));
    planner.each(declaration.postbacks, postback::plan);
    planner.each(declaration.users, user::plan);
    Plan { version: stored.catalog.version, at: planner.at, steps: planner.steps }
}

impl<'p> Planner<'p> {
    fn new(stored: &'p Stored, faults: &'p Faults<'p>, ambient: Ambient, wish: Wish<'p>) -> Self {
        let catalog = &stored.catalog;
        let advertisers =
            catalog.advertisers.values().map(|own| (own.network, own.slug.clone(), Arc::clone(own)));
        let partners = catalog.partners.values().map(|own| (own.network, own.slug.clone(), Arc::clone(own)));
        let offers = catalog.offers.values().map(|own| (own.network.id, own.slug.clone(), Arc::clone(own)));
        Self {
            faults,
            stored,
            ambient,
            networks: catalog.networks.values().map(|own| (own.label.clone(), Arc::clone(own))).collect(),
            advertisers: Register::new(Noun::Advertiser, advertisers),
            partners: Register::new(Noun::Partner, partners),
            offers: Register::new(Noun::Offer, offers),
            token_owners: stored.token_owners.clone(),
            dry_run: wish.dry_run,
            places_unknown: wish.places_unknown,
            at: ambient.now(),
            default_network: None,
            seen: HashMap::new(),
            faulty: HashSet::new(),
            wish,
            steps: Vec::new(),
        }
    }

    /// A fresh id.
    pub(crate) fn new_id(&self) -> Uuid {
        self.ambient.new_id(self.at)
    }

    /// The time of everything that this run creates.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// Adds a step.
    pub(crate) fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Whether somebody is to get a new secret.
    pub(crate) fn wants_new_secret(&self, whose: (Noun, &str, &str)) -> bool {
        self.wish.new_secrets.iter().any(|wanted| wanted.means(whose))
    }

    /// Whether somebody is to lose the secrets before the newest.
    pub(crate) fn ends_old_secrets(&self, whose: (Noun, &str, &str)) -> bool {
        self.wish.end_old_secrets.iter().any(|wanted| wanted.means(whose))
    }

    /// A fresh signing secret for the thing declared at `at`.
    pub(crate) fn signing_secret(&self, at: usize) -> Sound<(Secret, Shown)> {
        secret::signing(self.ambient).map_err(|why| self.faults.fault(at, why.to_string()))
    }

    fn networks(&mut self, declared: Vec<Declared<network::Body>>) {
        let mut labels: HashMap<String, usize> = HashMap::new();
        for Declared { name, at, body, .. } in declared {
            if let Some(first) = labels.get(&name) {
                self.declared_twice(Noun::Network, &name, at, *first);
                continue;
            }
            match body {
                Ok(body) => network::plan(self, &name, body),
                Err(Told) => drop(self.faulty.insert((Noun::Network, name.clone()))),
            }
            labels.insert(name, at);
        }
    }

    fn each<B>(
        &mut self,
        declared: Vec<Declared<B>>,
        mut plan: impl FnMut(&mut Self, &Arc<Network>, &At<String>, B) -> Sound<()>,
    ) {
        for Declared { noun, at, name, network, body } in declared {
            let network = self.network_of(&format!("{noun} \"{name}\""), at, network);
            let name = At { at, value: name };
            let planned = network.and_then(|network| {
                self.claim(noun, network.id, &name)?;
                plan(self, &network, &name, body?)
            });
            if planned.is_err() {
                self.faulty.insert((noun, name.value));
            }
        }
    }

    /// A name stands for one thing in the file.
    fn claim(&mut self, noun: Noun, network: NetworkId, name: &At<String>) -> Sound<()> {
        match self.seen.entry((noun, network, name.value.clone())) {
            Entry::Vacant(free) => {
                free.insert(name.at);
                Ok(())
            }
            Entry::Occupied(taken) => {
                let first = *taken.get();
                Err(self.declared_twice(noun, &name.value, name.at, first))
            }
        }
    }

    fn declared_twice(&self, noun: Noun, name: &str, at: usize, first: usize) -> Told {
        let line = self.faults.line(first);
        self.faults.fault(at, format!("{noun} \"{name}\" is declared twice; first in line {line}"))
    }

    fn network_of(&self, subject: &str, at: usize, label: Sound<Option<At<String>>>) -> Sound<Arc<Network>> {
        let (found, at, why) = if let Some(At { at, value }) = label? {
            (self.networks.get(&value), at, format!("unknown network \"{value}\""))
        } else {
            let why = "`network` is missing, and there is not exactly one";
            (self.default_network.as_ref(), at, why.to_owned())
        };
        if let Some(network) = found {
            return Ok(Arc::clone(network));
        }
        if self.faulty.iter().any(|(noun, _)| *noun == Noun::Network) {
            return Err(Told);
        }
        let known = declared_are(self.networks.keys().cloned().collect());
        Err(self.faults.fault(at, format!("{subject}: {why}; {known}")))
    }

    /// The thing that a reference of `subject` leads to.
    pub(crate) fn find<T>(
        &self,
        register: &Register<T>,
        network: &Network,
        subject: &str,
        reference: &At<String>,
    ) -> Sound<Arc<T>> {
        let (noun, slug) = (register.noun, &reference.value);
        if let Some(thing) = register.get(network.id, slug) {
            return Ok(thing);
        }
        if self.faulty.contains(&(noun, slug.clone())) {
            return Err(Told);
        }
        let elsewhere = register.things.keys().find(|(_, other)| other == slug);
        if let Some(other) = elsewhere.and_then(|(id, _)| self.networks.values().find(|own| own.id == *id)) {
            let (own, other) = (&network.label, &other.label);
            let what = format!("{noun} \"{slug}\" belongs to network \"{other}\", not to \"{own}\"");
            return Err(self.faults.fault(reference.at, format!("{subject}: {what}")));
        }
        let known = register.things.keys().filter(|(id, _)| *id == network.id);
        let known = declared_are(known.map(|(_, slug)| slug.clone()).collect());
        Err(self.faults.fault(reference.at, format!("{subject}: unknown {noun} \"{slug}\"; {known}")))
    }
}

/// Lists what could have been meant, as far as a line takes.
fn declared_are(mut known: Vec<String>) -> String {
    known.sort_unstable();
    match known.as_slice() {
        [] => "none is declared".to_owned(),
        known if known.len() <= 12 => format!("declared are: {}", known.join(", ")),
        known => format!("declared are: {} and {} more", known[..12].join(", "), known.len() - 12),
    }
}
