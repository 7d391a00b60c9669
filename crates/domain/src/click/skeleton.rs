//! What the destinations of all clicks on a link have in common: the offer's template, with what only the network can
//! change filled in, and with the macros of everything that one visitor brings. So a click need not keep its
//! destination: it follows from the skeleton and from what the click keeps anyway.

use std::fmt;

use super::{Destination, DestinationMacro as M, Facts};
use crate::id::ClickId;
use crate::link::Link;
use crate::template::{Encoder, TemplateError};
use crate::visit::Param;
use crate::visitor::{Country, Device};

/// What the destinations of a link's clicks have in common. Nothing in it comes from a visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skeleton(Destination);

/// What a click is known by beside its facts.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// Our click id.
    pub click: ClickId,
    /// The partner's click id, as given.
    pub pub_click_id: Option<&'a str>,
    /// The partner's member id, as given.
    pub pub_member_id: Option<&'a str>,
}

/// What a destination has that nothing else in the click tells.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beyond {
    /// The value of `{random}`, where that occurs.
    pub(super) random: Option<u64>,
}

impl Skeleton {
    /// Of the destinations of visitors whom a link sends to the advertiser.
    pub fn of(link: &Link) -> Option<Self> {
        let offer = &link.offer;
        let text = offer.destination.partly(|name, to| {
            match name {
                M::OfferId => to.plain(offer.id),
                M::OfferName => to.text(&offer.name),
                M::PartnerId => to.plain(link.partner.id),
                M::Network => to.text(&offer.network.label),
                _ => return false,
            }
            true
        });
        Self::parse(&text).ok()
    }

    /// Of the destinations of visitors whom a link sends to the fallback, if there is one.
    pub fn of_fallback(link: &Link) -> Option<Self> {
        Self::parse(link.offer.fallback()?).ok()
    }

    /// From its text. [`TemplateError`] when that has a macro that is none.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Destination::verbatim(text).map(Self)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// What a destination has beyond this skeleton and the click's own facts, when it follows from them to the byte.
    pub(super) fn explains(&self, keys: &Keys<'_>, facts: &Facts) -> Option<Beyond> {
        let mut expected = Expected { rest: &facts.destination, random: None, failed: false };
        self.0.expand_into(&mut expected, |name, to| match name {
            M::Random => to.target().take_random(),
            other => fill(other, keys, facts, to),
        });
        (!expected.failed && expected.rest.is_empty()).then_some(Beyond { random: expected.random })
    }

    /// The destination of a click.
    pub(super) fn destination(&self, keys: &Keys<'_>, facts: &Facts, beyond: Beyond) -> String {
        let mut url = String::with_capacity(self.text().len() + 64);
        self.0.expand_into(&mut url, |name, to| match (name, beyond.random) {
            (M::Random, Some(random)) => to.plain(random),
            (other, _) => fill(other, keys, facts, to),
        });
        url
    }
}

/// Writes what a click keeps of a macro's value, and nothing for what a skeleton has filled in.
fn fill<W: fmt::Write>(name: M, keys: &Keys<'_>, facts: &Facts, to: &mut Encoder<'_, W>) {
    let told = || facts.parameter(Param::GeoCountry)?.parse().ok();
    match name {
        M::ClickId => to.plain(keys.click),
        M::PubClickId => to.text(keys.pub_click_id.unwrap_or_default()),
        M::PubMemberId => to.text(keys.pub_member_id.unwrap_or_default()),
        M::Timestamp => to.plain(keys.click.at().seconds()),
        M::Country => to.text(facts.country.or_else(told).as_ref().map_or("", Country::code)),
        M::Device => to.text(facts.device.map_or("", Device::code)),
        M::Ip => facts.address.iter().for_each(|address| to.text(&address.to_string())),
        M::UserAgent => to.text(&facts.user_agent),
        M::OfferId | M::OfferName | M::PartnerId | M::Network | M::Random => {}
        sub => to.text(sub.sub().and_then(|param| facts.parameter(param)).unwrap_or_default()),
    }
}

/// A text that has to come out, as far as it has not come yet.
struct Expected<'a> {
    rest: &'a str,
    random: Option<u64>,
    failed: bool,
}

impl Expected<'_> {
    /// Takes the digits that come next. They are the same wherever the macro stands.
    fn take_random(&mut self) {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(digits);
        let canonical = number == "0" || !number.starts_with('0');
        match number.parse().ok().filter(|_| canonical) {
            Some(random) if self.random.is_none_or(|known| known == random) => {
                (self.random, self.rest) = (Some(random), rest);
            }
            _ => self.failed = true,
        }
    }
}

impl fmt::Write for Expected<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self.rest.strip_prefix(text) {
            Some(rest) if !self.failed => self.rest = rest,
            _ => self.failed = true,
        }
        if self.failed { Err(fmt::Error) } else { Ok(()) }
    }
}
