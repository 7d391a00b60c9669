//! Targeting: whom an offer is for. Every rule either allows what it matches and nothing else, or blocks it.

use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::visit::Param;
use crate::visitor::{Country, Device, Gender, Visitor};

/// The most values of a rule that are told.
const LISTED: usize = 20;

codes! {
    /// Whether a rule lets in what it matches, or keeps it out.
    Mode, "targeting mode" {
        /// Only what matches may pass.
        Allow => "allow",
        /// What matches may not pass.
        Block => "block",
    }
}

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Test {
    /// The country is one of these.
    Country(Vec<Country>),
    /// The region is one of these, without regard to case.
    Region(Vec<String>),
    /// The device is one of these.
    Device(Vec<Device>),
    /// The operating system's family is one of these, without regard to case.
    Os(Vec<String>),
    /// The browser's family is one of these, without regard to case.
    Browser(Vec<String>),
    /// One of the browser's languages is one of these primary tags.
    Language(Vec<String>),
    /// The age is within, both ends included.
    Age {
        /// Youngest.
        from: u8,
        /// Oldest.
        to: u8,
    },
    /// The gender is one of these.
    Gender(Vec<Gender>),
    /// The weekday (1 Monday to 7 Sunday) and hour (0 to 23) in a zone are among these.
    Time {
        /// IANA zone.
        zone: String,
        /// Weekdays; empty: every day.
        days: Vec<i8>,
        /// Hours; empty: every hour.
        hours: Vec<i8>,
    },
    /// The address is in one of these ranges.
    Address(Vec<IpNet>),
    /// A sub parameter's value.
    Sub {
        /// Its number, 1 to 15.
        number: usize,
        /// How it is compared.
        how: Comparison,
        /// With what; any of them.
        values: Vec<String>,
    },
}

codes! {
    /// How a sub value is compared.
    Comparison, "comparison" {
        /// Equal to one of the values.
        Equals => "equals",
        /// Begins with one of the values.
        Begins => "begins",
        /// Contains one of the values.
        Contains => "contains",
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it does with what it matches.
    pub mode: Mode,
    /// What it looks at.
    pub test: Test,
}

/// The rule that a visitor fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What the rule looks at, as it is told to the partner: `country`, `pub_sub_3`.
    pub what: String,
    /// What the visitor has; `unknown` when it cannot be told.
    pub found: String,
    /// The rule's mode.
    pub mode: Mode,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = match self.mode {
            Mode::Allow => "is not allowed by",
            Mode::Block => "is blocked by",
        };
        write!(f, "{} `{}` {verb} this offer's targeting", self.what, self.found)
    }
}

/// The first rule that a visitor fails. What cannot be told (no country known, no age given) fails a rule that allows
/// and passes a rule that blocks.
pub fn mismatch(rules: &[Rule], visitor: &Visitor<'_>) -> Option<Mismatch> {
    rules.iter().find_map(|rule| rule.mismatch(visitor))
}

impl Rule {
    /// What the visitor fails of this rule.
    pub fn mismatch(&self, visitor: &Visitor<'_>) -> Option<Mismatch> {
        let matched = self.test.matches(visitor);
        let passes = match self.mode {
            Mode::Allow => matched,
            Mode::Block => !matched,
        };
        (!passes).then(|| Mismatch {
            what: self.test.what(),
            found: self.test.found(visitor),
            mode: self.mode,
        })
    }
}

impl Test {
    /// What the rule looks at, in the field's words.
    pub fn what(&self) -> String {
        match self {
            Self::Country(_) => "country".to_owned(),
            Self::Region(_) => "region".to_owned(),
            Self::Device(_) => "device".to_owned(),
            Self::Os(_) => "operating system".to_owned(),
            Self::Browser(_) => "browser".to_owned(),
            Self::Language(_) => "language".to_owned(),
            Self::Age { .. } => "age".to_owned(),
            Self::Gender(_) => "gender".to_owned(),
            Self::Time { .. } => "day and hour".to_owned(),
            Self::Address(_) => "address".to_owned(),
            Self::Sub { number, .. } => format!("pub_sub_{number}"),
        }
    }

    fn matches(&self, visitor: &Visitor<'_>) -> bool {
        match self {
            Self::Country(ones) => visitor.country().is_some_and(|own| ones.contains(&own)),
            Self::Region(ones) => visitor.region().is_some_and(|own| any_case(ones, own)),
            Self::Device(ones) => visitor.device().is_some_and(|own| ones.contains(&own)),
            Self::Os(ones) => any_case(ones, &visitor.agent.os),
            Self::Browser(ones) => any_case(ones, &visitor.agent.browser),
            Self::Language(ones) => visitor.languages().any(|own| any_case(ones, &own)),
            Self::Age { from, to } => visitor.age().is_some_and(|own| (*from..=*to).contains(&own)),
            Self::Gender(ones) => visitor.gender().is_some_and(|own| ones.contains(&own)),
            Self::Time { zone, days, hours } => local(zone, visitor).is_some_and(|(day, hour)| {
                (days.is_empty() || days.contains(&day)) && (hours.is_empty() || hours.contains(&hour))
            }),
            Self::Address(ranges) => crate::address::contains(ranges, visitor.address),
            Self::Sub { number, how, values } => {
                let own = Param::sub(*number).and_then(|param| visitor.visit.given(param));
                own.is_some_and(|own| values.iter().any(|value| how.holds(own, value)))
            }
        }
    }

    /// What the rule matches, in words.
    pub fn wanted(&self) -> String {
        match self {
            Self::Country(ones) => listed(ones),
            Self::Region(ones) | Self::Os(ones) | Self::Browser(ones) | Self::Language(ones) => listed(ones),
            Self::Device(ones) => listed(ones),
            Self::Gender(ones) => listed(ones),
            Self::Address(ones) => listed(ones),
            Self::Age { from, to } => format!("{from} to {to}"),
            Self::Time { zone, days, hours } => {
                let any = |ones: &[i8]| if ones.is_empty() { "any".to_owned() } else { listed(ones) };
                format!("weekday {}, hour {} in {zone}", any(days), any(hours))
            }
            Self::Sub { how, values, .. } => format!("what {how} {}", listed(values)),
        }
    }

    /// What the visitor has of it; `unknown` when it cannot be told.
    pub fn found(&self, visitor: &Visitor<'_>) -> String {
        let found = match self {
            Self::Country(_) => visitor.country().map(|own| own.to_string()),
            Self::Region(_) => visitor.region().map(str::to_owned),
            Self::Device(_) => visitor.device().map(|own| own.to_string()),
            Self::Os(_) => Some(visitor.agent.os.clone()).filter(|own| !own.is_empty()),
            Self::Browser(_) => Some(visitor.agent.browser.clone()).filter(|own| !own.is_empty()),
            Self::Language(_) => Some(visitor.languages().collect::<Vec<_>>().join(", ")),
            Self::Age { .. } => visitor.age().map(|own| own.to_string()),
            Self::Gender(_) => visitor.gender().map(|own| own.to_string()),
            Self::Time { zone, .. } => {
                local(zone, visitor).map(|(day, hour)| format!("weekday {day}, hour {hour} in {zone}"))
            }
            Self::Address(_) => Some(visitor.address.to_string()),
            Self::Sub { number, .. } => {
                Param::sub(*number).and_then(|param| visitor.visit.given(param)).map(str::to_owned)
            }
        };
        found.filter(|own| !own.is_empty()).unwrap_or_else(|| "unknown".to_owned())
    }
}

impl Comparison {
    fn holds(self, own: &str, value: &str) -> bool {
        match self {
            Self::Equals => own == value,
            Self::Begins => own.starts_with(value),
            Self::Contains => own.contains(value),
        }
    }
}

/// The first ones of a list; it may have thousands.
fn listed<T: std::fmt::Display>(ones: &[T]) -> String {
    let shown: Vec<String> = ones.iter().take(LISTED).map(ToString::to_string).collect();
    let more = ones.len().saturating_sub(LISTED);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn any_case(ones: &[String], own: &str) -> bool {
    ones.iter().any(|one| one.eq_ignore_ascii_case(own))
}

/// Weekday (1 Monday to 7 Sunday) and hour where the offer is.
fn local(zone: &str, visitor: &Visitor<'_>) -> Option<(i8, i8)> {
    let zone = TimeZone::get(zone).ok()?;
    let at = jiff::Timestamp::from_millisecond(visitor.now.ms()).ok()?.to_zoned(zone);
    Some((at.weekday().to_monday_one_offset(), at.hour()))
}
