//! What a file declares, before anything is compared with what is stored.

use std::fmt;

use toml::de::{DeTable, DeValue};

use super::fault::{Faults, Sound};
use super::fields::{At, Fields};
use super::{advertiser, link, network, offer, partner, postback, user, value};

/// The most things that one file may declare; events, changes and rules are counted.
const MAX_THINGS: usize = 10_000;

/// The kinds of things, in the order in which they need each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Noun {
    /// A tenant.
    Network,
    /// Who pays.
    Advertiser,
    /// Who sends users.
    Partner,
    /// What is advertised.
    Offer,
    /// One offer for one partner.
    Link,
    /// Where a partner is told of conversions.
    Postback,
    /// Who logs in.
    User,
}

impl Noun {
    /// Its word, which is also its key in the file.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Advertiser => "advertiser",
            Self::Partner => "partner",
            Self::Offer => "offer",
            Self::Link => "link",
            Self::Postback => "postback",
            Self::User => "user",
        }
    }
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One thing of the file.
#[derive(Debug)]
pub(crate) struct Declared<B> {
    /// What it is.
    pub(crate) noun: Noun,
    /// Where its name stands.
    pub(crate) at: usize,
    /// Its name, unique among its kind in its network.
    pub(crate) name: String,
    /// The label of its network, when given.
    pub(crate) network: Sound<Option<At<String>>>,
    /// Everything else.
    pub(crate) body: Sound<B>,
}

/// Everything that the file declares. Things whose name cannot be read are told and left out.
#[derive(Debug, Default)]
pub(crate) struct Declaration {
    /// `[[network]]`
    pub(crate) networks: Vec<Declared<network::Body>>,
    /// `[[advertiser]]`
    pub(crate) advertisers: Vec<Declared<advertiser::Body>>,
    /// `[[partner]]`
    pub(crate) partners: Vec<Declared<partner::Body>>,
    /// `[[offer]]`
    pub(crate) offers: Vec<Declared<offer::Body>>,
    /// `[[link]]`
    pub(crate) links: Vec<Declared<link::Body>>,
    /// `[[postback]]`
    pub(crate) postbacks: Vec<Declared<postback::Body>>,
    /// `[[user]]`
    pub(crate) users: Vec<Declared<user::Body>>,
}

/// Reads the file. After a fault of its syntax nothing else is looked at, because half a file says little.
pub(crate) fn read<'d>(faults: &'d Faults<'d>, table: &'d DeTable<'d>) -> Declaration {
    if count(table) > MAX_THINGS {
        faults.fault(0, format!("the file declares more than {MAX_THINGS} things; divide it"));
        return Declaration::default();
    }
    let mut top = Fields::new(faults, table, 0, "the file".to_owned());
    let declaration = Declaration {
        networks: each(&mut top, Noun::Network, network::read),
        advertisers: each(&mut top, Noun::Advertiser, advertiser::read),
        partners: each(&mut top, Noun::Partner, partner::read),
        offers: each(&mut top, Noun::Offer, offer::read),
        links: each(&mut top, Noun::Link, link::read),
        postbacks: each(&mut top, Noun::Postback, postback::read),
        users: each(&mut top, Noun::User, user::read),
    };
    // An unknown key is told; the declarations beside it are sound.
    let _ = top.finish();
    declaration
}

fn each<'d, B>(
    top: &mut Fields<'d>,
    noun: Noun,
    read: impl FnMut(Fields<'d>) -> Sound<Declared<B>>,
) -> Vec<Declared<B>> {
    let like = format!("[[{noun}]], once for each");
    let tables =
        top.tables(noun.word(), &like, |number| format!("{noun} number {number}")).unwrap_or_default();
    tables.into_iter().map(read).filter_map(Result::ok).collect()
}

/// How many tables there are, however deep. The parser bounds the depth.
fn count(table: &DeTable<'_>) -> usize {
    fn below(value: &DeValue<'_>) -> usize {
        match value {
            DeValue::Array(list) => list.iter().map(|element| below(element.get_ref())).sum(),
            DeValue::Table(table) => 1 + count(table),
            _ => 0,
        }
    }
    table.values().map(|value| below(value.get_ref())).sum()
}

impl<'d> Fields<'d> {
    /// Reads the name under `key`; from here on messages name the thing by it.
    pub(crate) fn name(
        &mut self,
        noun: Noun,
        key: &'static str,
        read: impl FnOnce(&DeValue<'d>) -> Result<String, String>,
    ) -> Sound<At<String>> {
        let name = self.reference(key, read)?;
        self.named(format!("{noun} \"{}\"", name.value));
        Ok(name)
    }

    /// Ends the reading of a thing: its network, and whatever it has beyond what it may have.
    pub(crate) fn declare<B>(
        mut self,
        noun: Noun,
        name: Sound<At<String>>,
        body: Sound<B>,
    ) -> Sound<Declared<B>> {
        let network =
            if noun == Noun::Network { Ok(None) } else { self.optional_reference("network", value::label) };
        let known = self.finish();
        let At { at, value: name } = name?;
        Ok(Declared { noun, at, name, network, body: known.and(body) })
    }
}
