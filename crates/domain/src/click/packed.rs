//! The facts of a click in as few bytes as they need. A click is written once and read seldom, and a busy network has
//! hundreds of millions of them.
//!
//! ```text
//! version 1 | which fields there are, 2 bytes, lowest first | the fields, in the order of `field` | the parameters
//! ```
//!
//! Texts and numbers are those of [`bytes`](crate::bytes). A parameter is its number and its text, and the parameters
//! go on until the end. A text that many clicks share stands elsewhere, and the row of the click has its key.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use uuid::Uuid;

use super::names;
use super::skeleton::{Beyond, Keys, Skeleton};
use super::{Click, Facts};
use crate::bytes::{Damaged, Reader, Writer};
use crate::id::ClickId;
use crate::visit::Param;
use crate::visitor::{Country, Device};

/// The version of what is written now.
const VERSION: u8 = 1;

/// Which fields there are.
mod field {
    pub(super) const V4: u16 = 1;
    pub(super) const V6: u16 = 1 << 1;
    pub(super) const COUNTRY: u16 = 1 << 2;
    pub(super) const REGION: u16 = 1 << 3;
    pub(super) const DEVICE: u16 = 1 << 4;
    pub(super) const OS: u16 = 1 << 5;
    pub(super) const BROWSER: u16 = 1 << 6;
    pub(super) const AGENT: u16 = 1 << 7;
    /// The user agent stands elsewhere.
    pub(super) const SHARED_AGENT: u16 = 1 << 8;
    pub(super) const DESTINATION: u16 = 1 << 9;
    /// The destination follows from a skeleton, which stands elsewhere.
    pub(super) const SHARED_DESTINATION: u16 = 1 << 10;
    /// The random number in such a destination.
    pub(super) const RANDOM: u16 = 1 << 11;
    pub(super) const LANGUAGES: u16 = 1 << 12;
    pub(super) const MESSAGE: u16 = 1 << 13;

    pub(super) const ALL: u16 = (1 << 14) - 1;
}

/// Texts that stand elsewhere, by their keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shared<'a> {
    /// The key of the click's user agent, when that text stands elsewhere.
    pub agent: Option<i64>,
    /// The skeleton that the destination may follow from, with its key.
    pub skeleton: Option<(i64, &'a Skeleton)>,
}

/// The facts of a click as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The facts themselves.
    pub facts: Vec<u8>,
    /// The key of the user agent, when it stands elsewhere.
    pub agent: Option<i64>,
    /// The key of the skeleton, when the destination follows from it.
    pub skeleton: Option<i64>,
}

/// The texts that stand elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Texts<'a> {
    /// The user agent.
    pub agent: Option<&'a str>,
    /// The skeleton of the destination.
    pub skeleton: Option<&'a str>,
}

impl Click {
    /// Its facts as they are stored.
    pub fn pack(&self, shared: Shared<'_>) -> Packed {
        self.facts.pack(&self.keys(), shared)
    }

    /// What it is known by beside its facts.
    pub fn keys(&self) -> Keys<'_> {
        Keys {
            click: self.id,
            pub_click_id: self.pub_click_id.as_deref(),
            pub_member_id: self.pub_member_id.as_deref(),
        }
    }
}

impl Facts {
    /// As they are stored. A destination that does not follow from the skeleton to the byte is stored as it is.
    pub fn pack(&self, keys: &Keys<'_>, shared: Shared<'_>) -> Packed {
        let agent = shared.agent.filter(|_| !self.user_agent.is_empty());
        let follows = |(key, skeleton): (i64, &Skeleton)| Some((key, skeleton.explains(keys, self)?));
        let follows = shared.skeleton.filter(|_| !self.destination.is_empty()).and_then(follows);
        let (skeleton, random) = (follows.map(|(key, _)| key), follows.and_then(|(_, own)| own.random));
        let mut to = Writer(Vec::with_capacity(self.room(agent.is_some(), skeleton.is_some())));
        to.0.push(VERSION);
        to.0.extend(self.fields(agent.is_some(), skeleton.is_some(), random.is_some()).to_le_bytes());
        match self.address {
            Some(IpAddr::V4(address)) => to.0.extend(address.octets()),
            Some(IpAddr::V6(address)) => to.0.extend(address.octets()),
            None => {}
        }
        to.0.extend(self.country.iter().flat_map(|country| country.code().bytes()));
        if let Some(region) = &self.region {
            to.text(region);
        }
        to.0.extend(self.device.map(Device::number));
        to.name(&self.os, names::OS);
        to.name(&self.browser, names::BROWSERS);
        if agent.is_none() {
            to.given(&self.user_agent);
        }
        if skeleton.is_none() {
            to.given(&self.destination);
        }
        if let Some(random) = random {
            to.number(random);
        }
        to.given(&self.languages);
        to.given(&self.message);
        for (param, value) in &self.parameters {
            to.0.push(param.number());
            to.text(value);
        }
        Packed { facts: to.0, agent, skeleton }
    }

    /// As they are stored when no text stands elsewhere.
    pub fn pack_own(&self) -> Vec<u8> {
        let nobody = Keys { click: ClickId(Uuid::nil()), pub_click_id: None, pub_member_id: None };
        self.pack(&nobody, Shared::default()).facts
    }

    /// Bytes that suffice for nearly all, so that they are allocated once.
    fn room(&self, shared_agent: bool, shared_destination: bool) -> usize {
        let agent = if shared_agent { 0 } else { self.user_agent.len() };
        let destination = if shared_destination { 10 } else { self.destination.len() };
        let parameters: usize = self.parameters.iter().map(|(_, value)| value.len() + 3).sum();
        48 + agent + destination + self.languages.len() + self.message.len() + parameters
    }

    fn fields(&self, shared_agent: bool, shared_destination: bool, random: bool) -> u16 {
        let (agent, destination) = (!self.user_agent.is_empty(), !self.destination.is_empty());
        let all = [
            (matches!(self.address, Some(IpAddr::V4(_))), field::V4),
            (matches!(self.address, Some(IpAddr::V6(_))), field::V6),
            (self.country.is_some(), field::COUNTRY),
            (self.region.is_some(), field::REGION),
            (self.device.is_some(), field::DEVICE),
            (!self.os.is_empty(), field::OS),
            (!self.browser.is_empty(), field::BROWSER),
            (agent && !shared_agent, field::AGENT),
            (shared_agent, field::SHARED_AGENT),
            (destination && !shared_destination, field::DESTINATION),
            (shared_destination, field::SHARED_DESTINATION),
            (random, field::RANDOM),
            (!self.languages.is_empty(), field::LANGUAGES),
            (!self.message.is_empty(), field::MESSAGE),
        ];
        all.into_iter().filter(|(there, _)| *there).fold(0, |fields, (_, field)| fields | field)
    }

    /// What was packed. [`Damaged`] when it is anything else, or when a text is missing that stands elsewhere.
    pub fn unpack(bytes: &[u8], keys: &Keys<'_>, texts: Texts<'_>) -> Result<Self, Damaged> {
        let (mut facts, left) = Self::read(bytes)?;
        match (left.shared_agent, texts.agent) {
            (true, Some(text)) => text.clone_into(&mut facts.user_agent),
            (false, None) => {}
            _ => return Err(Damaged("the user agent is there twice, or nowhere")),
        }
        match (left.shared_destination, texts.skeleton) {
            (true, Some(text)) => {
                let skeleton = Skeleton::parse(text).map_err(|_| Damaged("the skeleton"))?;
                facts.destination = skeleton.destination(keys, &facts, left.beyond);
            }
            (false, None) => {}
            _ => return Err(Damaged("the destination is there twice, or nowhere")),
        }
        Ok(facts)
    }

    /// What was packed, without a user agent and a destination that stand elsewhere.
    pub fn unpack_own(bytes: &[u8]) -> Result<Self, Damaged> {
        Self::read(bytes).map(|(facts, _)| facts)
    }

    fn read(bytes: &[u8]) -> Result<(Self, Left), Damaged> {
        let mut from = Reader(bytes);
        if from.byte()? != VERSION {
            return Err(Damaged("unknown version"));
        }
        let fields = u16::from_le_bytes(from.array()?);
        let has = |field| fields & field != 0;
        let exclude = [
            (field::V4, field::V6),
            (field::AGENT, field::SHARED_AGENT),
            (field::DESTINATION, field::SHARED_DESTINATION),
        ];
        if fields & !field::ALL != 0 || exclude.iter().any(|(one, other)| has(*one) && has(*other)) {
            return Err(Damaged("unknown fields"));
        }
        let mut left = Left {
            shared_agent: has(field::SHARED_AGENT),
            shared_destination: has(field::SHARED_DESTINATION),
            beyond: Beyond::default(),
        };
        let mut facts = Self::default();
        if has(field::V4) {
            facts.address = Some(Ipv4Addr::from(from.array::<4>()?).into());
        }
        if has(field::V6) {
            facts.address = Some(Ipv6Addr::from(from.array::<16>()?).into());
        }
        facts.country = has(field::COUNTRY).then(|| from.country()).transpose()?;
        facts.region = has(field::REGION).then(|| from.text()).transpose()?;
        facts.device = has(field::DEVICE).then(|| from.device()).transpose()?;
        facts.os = from.name(has(field::OS), names::OS)?;
        facts.browser = from.name(has(field::BROWSER), names::BROWSERS)?;
        facts.user_agent = from.given(has(field::AGENT))?;
        facts.destination = from.given(has(field::DESTINATION))?;
        left.beyond.random = has(field::RANDOM).then(|| from.number()).transpose()?;
        facts.languages = from.given(has(field::LANGUAGES))?;
        facts.message = from.given(has(field::MESSAGE))?;
        while !from.0.is_empty() {
            let param = Param::from_number(from.byte()?).ok_or(Damaged("unknown parameter"))?;
            facts.parameters.push((param, from.text()?));
        }
        Ok((facts, left))
    }
}

/// What packed facts leave to other texts.
struct Left {
    shared_agent: bool,
    shared_destination: bool,
    beyond: Beyond,
}

impl Writer {
    /// A text of which the fields say whether it is there.
    fn given(&mut self, text: &str) {
        if !text.is_empty() {
            self.text(text);
        }
    }

    /// One of a list that both sides have, counted from 1, or 0 and any other text.
    fn name(&mut self, text: &str, known: &[&str]) {
        if text.is_empty() {
            return;
        }
        let at = known.iter().position(|name| *name == text).and_then(|at| u8::try_from(at + 1).ok());
        self.0.push(at.unwrap_or(0));
        if at.is_none() {
            self.text(text);
        }
    }
}

impl Reader<'_> {
    fn given(&mut self, there: bool) -> Result<String, Damaged> {
        if there { self.text() } else { Ok(String::new()) }
    }

    fn name(&mut self, there: bool, known: &[&str]) -> Result<String, Damaged> {
        if !there {
            return Ok(String::new());
        }
        match self.byte()? {
            0 => self.text(),
            at => {
                let name = known.get(usize::from(at) - 1).ok_or(Damaged("unknown name"))?;
                Ok((*name).to_owned())
            }
        }
    }

    fn country(&mut self) -> Result<Country, Damaged> {
        Country::from_letters(self.array()?).ok_or(Damaged("unknown country"))
    }

    fn device(&mut self) -> Result<Device, Damaged> {
        Device::from_number(self.byte()?).ok_or(Damaged("unknown device"))
    }
}
