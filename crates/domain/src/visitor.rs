//! Who follows a link, as far as it can be known: by the address, the user agent and what the partner says.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::visit::{Param, Visit};

/// A country, by its ISO 3166-1 alpha-2 code in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// The two letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }

    /// The country of these two capitals.
    pub(crate) fn from_letters(letters: [u8; 2]) -> Option<Self> {
        let code = std::str::from_utf8(&letters).ok()?;
        rust_iso3166::from_alpha2(code).map(|_| Self(letters))
    }
}

/// The text given is not a country.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an ISO 3166 country; write it like DE, DEU or 276")]
pub struct NotACountry(String);

/// Alpha-2, alpha-3 or numeric.
impl FromStr for Country {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        let upper = text.to_ascii_uppercase();
        let found = match text.len() {
            2 => rust_iso3166::from_alpha2(&upper),
            3 if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok().and_then(rust_iso3166::from_numeric)
            }
            3 => rust_iso3166::from_alpha3(&upper),
            _ => None,
        };
        let code = found.and_then(|country| <[u8; 2]>::try_from(country.alpha2.as_bytes()).ok());
        code.map(Self).ok_or_else(|| NotACountry(text.to_owned()))
    }
}

impl std::fmt::Display for Country {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Country {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

codes! {
    /// What kind of device. Their order is stored: new ones come last.
    Device, "device" {
        /// iPhone, iPad.
        Ios => "IOS",
        /// Android.
        Android => "Android",
        /// Mac.
        MacOs => "MacOS",
        /// Anything else with a browser.
        Browser => "Browser",
    }
}

impl Device {
    /// The device's number in storage. Never reused, never changed.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    /// The device of a stored number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

codes! {
    /// A member's gender, as the partner says.
    Gender, "gender" {
        /// Female.
        Female => "female",
        /// Male.
        Male => "male",
        /// Another.
        Other => "other",
    }
}

/// What a user agent says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agent {
    /// The kind of device.
    pub device: Option<Device>,
    /// The operating system's family, for instance `Windows`.
    pub os: String,
    /// The browser's family, for instance `Firefox`.
    pub browser: String,
    /// Whether it is a bot's.
    pub bot: bool,
}

/// Where an address is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Whereabouts {
    /// The country.
    pub country: Option<Country>,
    /// The region's ISO 3166-2 part behind the country, for instance `BY`.
    pub region: Option<String>,
}

/// A visitor, as targeting sees one.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// The parameters.
    pub visit: &'a Visit<'a>,
    /// The address.
    pub address: IpAddr,
    /// Where the address is.
    pub whereabouts: &'a Whereabouts,
    /// The user agent.
    pub agent: &'a Agent,
    /// `Accept-Language`, as sent.
    pub languages: &'a str,
    /// When.
    pub now: Timestamp,
    /// Whether the offer believes what the partner says about the country.
    pub trusts_partner: bool,
}

impl Visitor<'_> {
    /// The country: the partner's word where the offer trusts it and it is one, else the address's.
    pub fn country(&self) -> Option<Country> {
        let told = || self.told_country();
        if self.trusts_partner { told().or(self.whereabouts.country) } else { self.whereabouts.country }
    }

    /// The country by the partner's word, whether the offer trusts it or not.
    pub fn told_country(&self) -> Option<Country> {
        self.visit.given(Param::GeoCountry)?.parse().ok()
    }

    /// The region, from the same source as the country.
    pub fn region(&self) -> Option<&str> {
        let told = self.visit.given(Param::GeoState).filter(|_| self.trusts_partner);
        told.or(self.whereabouts.region.as_deref())
    }

    /// The device: the partner's word, else the user agent's.
    pub fn device(&self) -> Option<Device> {
        let told = self.visit.given(Param::Device);
        let named =
            told.and_then(|told| Device::ALL.iter().find(|own| own.code().eq_ignore_ascii_case(told)));
        named.copied().or(self.agent.device)
    }

    /// The age in years.
    pub fn age(&self) -> Option<u8> {
        self.visit.given(Param::Age)?.parse().ok().filter(|age| (1..=130).contains(age))
    }

    /// The gender, as the partner says: a word or its first letter.
    pub fn gender(&self) -> Option<Gender> {
        match self.visit.given(Param::Gender)?.to_ascii_lowercase().as_str() {
            "f" | "female" | "w" | "woman" => Some(Gender::Female),
            "m" | "male" | "man" => Some(Gender::Male),
            "o" | "other" | "x" | "d" | "diverse" => Some(Gender::Other),
            _ => None,
        }
    }

    /// The languages that the browser asks for, as primary tags in lower case, in its order.
    pub fn languages(&self) -> impl Iterator<Item = String> {
        let tags = self.languages.split(',').filter_map(|part| part.split([';', '-', '_']).next());
        tags.map(|tag| tag.trim().to_ascii_lowercase()).filter(|tag| !tag.is_empty() && tag != "*")
    }
}
