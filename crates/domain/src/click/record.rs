//! A click as it is recorded.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Decision, Destined, Verdict};
use crate::id::{ClickId, LinkId};
use crate::link::Link;
use crate::sketch::Seen;
use crate::targeting::Test;
use crate::visit::Param;
use crate::visitor::{Country, Device, Visitor};

/// The longest `Accept-Language` that is kept.
const MAX_LANGUAGES_BYTES: usize = 128;

/// Marks of a click beside its verdict, as bits in storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marks(pub i64);

impl Marks {
    /// A browser fetched the page ahead of a possible visit: recorded, not counted.
    pub const PREFETCH: Self = Self(1);
    /// Test mode: no money, caps or reports.
    pub const TEST: Self = Self(2);
    /// A bot by its user agent or address.
    pub const BOT: Self = Self(4);
    /// The visitor went to the fallback URL.
    pub const FELL_BACK: Self = Self(8);
    /// Refused under a verdict that other offers only flag.
    pub const REFUSED: Self = Self(16);
    /// The visitor had come a short while before: not a unique click.
    pub const REPEAT: Self = Self(32);

    /// These marks and those of `other`.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a click is in no count: fetched ahead, a test, or a bot's.
    pub const fn is_uncounted(self) -> bool {
        self.0 & (Self::PREFETCH.0 | Self::TEST.0 | Self::BOT.0) != 0
    }

    /// Whether all marks of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A click as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// Its id; its time is inside.
    pub id: ClickId,
    /// The link that was followed.
    pub link: LinkId,
    /// What was decided.
    pub verdict: Verdict,
    /// Marks beside the verdict.
    pub marks: Marks,
    /// The partner's click id, as given.
    pub pub_click_id: Option<String>,
    /// The partner's member id, as given.
    pub pub_member_id: Option<String>,
    /// Everything that is only ever shown or handed on.
    pub facts: Facts,
}

/// What a click carried beyond its ids. Stored as one compact value, because nothing is looked up by it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The visitor's address.
    #[serde(rename = "ip", skip_serializing_if = "Option::is_none", default)]
    pub address: Option<IpAddr>,
    /// The visitor's user agent, at most 512 bytes.
    #[serde(rename = "ua", skip_serializing_if = "String::is_empty", default)]
    pub user_agent: String,
    /// Where the visitor was.
    #[serde(rename = "cc", skip_serializing_if = "Option::is_none", default)]
    pub country: Option<Country>,
    /// The region in it, the ISO 3166-2 part behind the country.
    #[serde(rename = "rg", skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// The device.
    #[serde(rename = "dv", skip_serializing_if = "Option::is_none", default)]
    pub device: Option<Device>,
    /// The operating system's family.
    #[serde(rename = "os", skip_serializing_if = "String::is_empty", default)]
    pub os: String,
    /// The browser's family.
    #[serde(rename = "br", skip_serializing_if = "String::is_empty", default)]
    pub browser: String,
    /// `Accept-Language`, where the offer asks for languages; at most 128 bytes.
    #[serde(rename = "al", skip_serializing_if = "String::is_empty", default)]
    pub languages: String,
    /// Where the visitor was sent; empty when nowhere.
    #[serde(rename = "to", skip_serializing_if = "String::is_empty", default)]
    pub destination: String,
    /// What the verdict said, when it was not `ok`.
    #[serde(rename = "why", skip_serializing_if = "String::is_empty", default)]
    pub message: String,
    /// The other parameters of the contract that were given, by name.
    #[serde(rename = "p", skip_serializing_if = "Vec::is_empty", default)]
    pub parameters: Vec<(Param, String)>,
}

/// A hit that was decided, with what its record takes beside the decision.
pub struct Hit<'a> {
    /// The click's id; its time is inside.
    pub id: ClickId,
    /// The link that was followed.
    pub link: &'a Link,
    /// Who followed it.
    pub visitor: &'a Visitor<'a>,
    /// The user agent, at most 512 bytes.
    pub user_agent: &'a str,
    /// Random bits for `{random}`.
    pub random: u64,
    /// Marks that do not follow from the decision.
    pub marks: Marks,
}

impl Hit<'_> {
    /// The click as it is recorded, with where its visitor goes: to the advertiser, to the fallback or, with an empty
    /// destination, nowhere.
    pub fn decided(&self, decision: Decision) -> Click {
        let (visitor, visit) = (self.visitor, self.visitor.visit);
        let (destination, how) = self.destination(&decision);
        let given = |param| visit.given(param).map(str::to_owned);
        let others = visit.entries().filter(|(param, _)| !matches!(param, Param::ClickId | Param::MemberId));
        Click {
            id: self.id,
            link: self.link.id,
            verdict: decision.verdict,
            marks: self.marks.with(how),
            pub_click_id: given(Param::ClickId),
            pub_member_id: given(Param::MemberId),
            facts: Facts {
                address: Some(visitor.address),
                user_agent: self.user_agent.to_owned(),
                country: visitor.country(),
                region: visitor.region().map(str::to_owned),
                device: visitor.device(),
                os: visitor.agent.os.clone(),
                browser: visitor.agent.browser.clone(),
                languages: self.languages(),
                destination,
                message: decision.message.into_owned(),
                parameters: others.map(|(param, value)| (param, value.to_owned())).collect(),
            },
        }
    }

    /// The languages, where a rule looks at them: they are kept so that the rule can be looked at again.
    fn languages(&self) -> String {
        let mut rules = self.link.offer.rules.targeting.iter();
        if !rules.any(|rule| matches!(rule.test, Test::Language(_))) {
            return String::new();
        }
        let all = self.visitor.languages;
        all[..all.floor_char_boundary(MAX_LANGUAGES_BYTES)].to_owned()
    }

    /// Where the visitor goes, empty for nowhere, and the mark that says how.
    pub fn destination(&self, decision: &Decision) -> (String, Marks) {
        if decision.sends_on {
            // Room for a click id and some parameters, so that it seldom has to grow.
            let mut url = String::with_capacity(self.link.offer.destination.text().len() + 128);
            let destined = Destined {
                click: self.id,
                link: self.link,
                visit: self.visitor.visit,
                ip: self.visitor.address,
                user_agent: self.user_agent,
                // Where nothing else tells it, the advertiser hears what the partner says.
                country: self.visitor.country().or_else(|| self.visitor.told_country()),
                device: self.visitor.device(),
                random: self.random,
            };
            destined.expand_into(&mut url);
            return (url, Marks::default());
        }
        if decision.verdict.may_fall_back()
            && let Some(fallback) = self.link.offer.fallback()
        {
            return (fallback.to_owned(), Marks::FELL_BACK);
        }
        (String::new(), if decision.verdict.sends_on() { Marks::REFUSED } else { Marks::default() })
    }
}

impl Click {
    /// The click as its link's sketch learns it; none for clicks without ids and for those that are in no count.
    pub fn seen(&self) -> Option<Seen> {
        let (click, member) = (self.pub_click_id.as_deref()?, self.pub_member_id.as_deref()?);
        let facts = &self.facts;
        self.is_learnt().then(|| Seen::of(click, member, facts.address, &facts.user_agent, self.id.at()))
    }

    /// Whether the sketch learns a click that has both ids: not if they are placeholders or cannot be read, and not if
    /// it is in no count.
    pub fn is_learnt(&self) -> bool {
        let broken = matches!(
            self.verdict,
            Verdict::MemberIdMacro | Verdict::ClickIdMacro | Verdict::ParameterMalformed
        );
        !broken && !self.marks.is_uncounted()
    }
}

impl Facts {
    /// A parameter's value, when it was given.
    pub fn parameter(&self, param: Param) -> Option<&str> {
        self.parameters.iter().find(|(name, _)| *name == param).map(|(_, value)| value.as_str())
    }
}
