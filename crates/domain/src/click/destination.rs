//! Where a click sends its visitor: the macros of an offer's destination, wire contract §2.

use std::net::IpAddr;

use crate::id::ClickId;
use crate::link::Link;
use crate::template::{Encoder, MacroName, Template};
use crate::visit::{Param, Visit};
use crate::visitor::{Country, Device};

codes! {
    /// A macro of the offer's destination, wire contract §2.
    DestinationMacro, "destination macro" {
        /// Our click id.
        ClickId => "gk_click_id",
        /// The offer's id.
        OfferId => "gk_offer_id",
        /// The offer's name.
        OfferName => "gk_offer_name",
        /// The partner's id.
        PartnerId => "gk_partner_id",
        /// The network's label.
        Network => "gk_network",
        /// The partner's click id.
        PubClickId => "pub_click_id",
        /// The partner's member id.
        PubMemberId => "pub_member_id",
        /// Sub parameter 1.
        Sub1 => "pub_sub_1",
        /// Sub parameter 2.
        Sub2 => "pub_sub_2",
        /// Sub parameter 3.
        Sub3 => "pub_sub_3",
        /// Sub parameter 4.
        Sub4 => "pub_sub_4",
        /// Sub parameter 5.
        Sub5 => "pub_sub_5",
        /// Sub parameter 6.
        Sub6 => "pub_sub_6",
        /// Sub parameter 7.
        Sub7 => "pub_sub_7",
        /// Sub parameter 8.
        Sub8 => "pub_sub_8",
        /// Sub parameter 9.
        Sub9 => "pub_sub_9",
        /// Sub parameter 10.
        Sub10 => "pub_sub_10",
        /// Sub parameter 11.
        Sub11 => "pub_sub_11",
        /// Sub parameter 12.
        Sub12 => "pub_sub_12",
        /// Sub parameter 13.
        Sub13 => "pub_sub_13",
        /// Sub parameter 14.
        Sub14 => "pub_sub_14",
        /// Sub parameter 15.
        Sub15 => "pub_sub_15",
        /// Unix seconds of the click.
        Timestamp => "timestamp",
        /// The visitor's country.
        Country => "country",
        /// The visitor's device.
        Device => "device",
        /// The visitor's address.
        Ip => "ip",
        /// The visitor's user agent.
        UserAgent => "user_agent",
        /// Random digits, against caches.
        Random => "random",
    }
}

impl MacroName for DestinationMacro {
    const ALL: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        self.code()
    }
}

impl DestinationMacro {
    /// The sub parameter behind a `pub_sub_n` macro.
    pub(super) fn sub(self) -> Option<Param> {
        let n = (self as usize).checked_sub(Self::Sub1 as usize)? + 1;
        Param::sub(n)
    }
}

/// An offer's tracking-system link.
pub type Destination = Template<DestinationMacro>;

/// What the destination's macros are filled from.
pub struct Destined<'a> {
    /// Our click id.
    pub click: ClickId,
    /// The link that was followed.
    pub link: &'a Link,
    /// The visitor's parameters.
    pub visit: &'a Visit<'a>,
    /// The visitor's address.
    pub ip: IpAddr,
    /// The visitor's user agent.
    pub user_agent: &'a str,
    /// The visitor's country, where it is known.
    pub country: Option<Country>,
    /// The visitor's device, where it is known.
    pub device: Option<Device>,
    /// Random bits for `{random}`.
    pub random: u64,
}

impl Destined<'_> {
    /// Appends the offer's destination for this click to `out`.
    pub fn expand_into(&self, out: &mut String) {
        self.link.offer.destination.expand_into(out, |name, to| self.fill(name, to));
    }

    fn fill(&self, name: DestinationMacro, to: &mut Encoder<'_>) {
        use DestinationMacro as M;
        let offer = &self.link.offer;
        match name {
            M::ClickId => to.plain(self.click),
            M::OfferId => to.plain(offer.id),
            M::OfferName => to.text(&offer.name),
            M::PartnerId => to.plain(self.link.partner.id),
            M::Network => to.text(&offer.network.label),
            M::PubClickId => to.text(self.visit.given(Param::ClickId).unwrap_or_default()),
            M::PubMemberId => to.text(self.visit.given(Param::MemberId).unwrap_or_default()),
            M::Timestamp => to.plain(self.click.at().seconds()),
            M::Country => to.text(self.country.as_ref().map_or("", Country::code)),
            M::Device => to.text(self.device.map_or("", Device::code)),
            M::Ip => to.text(&self.ip.to_string()),
            M::UserAgent => to.text(self.user_agent),
            M::Random => to.plain(self.random),
            sub => to.text(sub.sub().and_then(|param| self.visit.given(param)).unwrap_or_default()),
        }
    }
}
