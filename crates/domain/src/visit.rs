//! What a visitor brings to a tracking link: the parameters of the wire contract §1, each read strictly.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::placeholder::is_placeholder;
use crate::query::{self, MAX_PARAMETERS, Malformed, Plus};

codes! {
    /// A parameter of the tracking link. Their order is stored: new ones come last.
    Param, "tracking parameter" {
        /// The partner's click id.
        ClickId => "pub_click_id",
        /// The partner's user id.
        MemberId => "pub_member_id",
        /// Free sub parameter 1.
        Sub1 => "pub_sub_1",
        /// Free sub parameter 2.
        Sub2 => "pub_sub_2",
        /// Free sub parameter 3.
        Sub3 => "pub_sub_3",
        /// Free sub parameter 4.
        Sub4 => "pub_sub_4",
        /// Free sub parameter 5.
        Sub5 => "pub_sub_5",
        /// Free sub parameter 6.
        Sub6 => "pub_sub_6",
        /// Free sub parameter 7.
        Sub7 => "pub_sub_7",
        /// Free sub parameter 8.
        Sub8 => "pub_sub_8",
        /// Free sub parameter 9.
        Sub9 => "pub_sub_9",
        /// Free sub parameter 10.
        Sub10 => "pub_sub_10",
        /// Free sub parameter 11.
        Sub11 => "pub_sub_11",
        /// Free sub parameter 12.
        Sub12 => "pub_sub_12",
        /// Free sub parameter 13.
        Sub13 => "pub_sub_13",
        /// Free sub parameter 14.
        Sub14 => "pub_sub_14",
        /// Free sub parameter 15.
        Sub15 => "pub_sub_15",
        /// The partner's session.
        SessionId => "pub_session_id",
        /// The member's gender.
        Gender => "pub_gender",
        /// The member's age in years.
        Age => "pub_age",
        /// The member's country.
        GeoCountry => "pub_geo_country",
        /// The member's state or region.
        GeoState => "pub_geo_state",
        /// The member's postal code.
        PostalCode => "pub_postal_code",
        /// The member's device.
        Device => "pub_device",
    }
}

impl Param {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The parameter's number in storage. Never reused, never changed.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The parameter of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The longest value taken, in bytes after decoding.
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::ClickId | Self::MemberId => 255,
            _ => 500,
        }
    }

    /// The free sub parameter `n`, 1 to 15.
    pub fn sub(n: usize) -> Option<Self> {
        (1..=15).contains(&n).then(|| Self::ALL[Self::Sub1 as usize + n - 1])
    }

    /// Whether it is a free sub parameter.
    pub const fn is_sub(self) -> bool {
        self as usize >= Self::Sub1 as usize && self as usize <= Self::Sub15 as usize
    }

    /// The parameter of this name, if it is one of the contract's.
    pub fn from_name(name: &str) -> Option<Self> {
        // The free parameters are most of them; the others are told apart by a comparison each.
        if let Some(number) = name.strip_prefix("pub_sub_") {
            let plain = !number.starts_with(['0', '+']);
            return number.parse().ok().filter(|_| plain).and_then(Self::sub);
        }
        Self::ALL.iter().copied().filter(|param| !param.is_sub()).find(|param| param.code() == name)
    }
}

/// One parameter's fault, in words for whoever set the link up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The parameter's name, or `the query` where the fault is not one parameter's.
    pub parameter: String,
    /// What is wrong, as the end of a sentence that begins with the name.
    pub wrong: String,
}

impl Fault {
    fn new(parameter: &str, wrong: Malformed) -> Self {
        Self { parameter: parameter.to_owned(), wrong: wrong.to_string() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.parameter, self.wrong)
    }
}

/// The parameters of one hit, and the first thing wrong with them.
#[derive(Debug, Clone, Default)]
pub struct Visit<'q> {
    values: [Option<Cow<'q, str>>; Param::COUNT],
    placeholder: [bool; 2],
    fault: Option<Fault>,
}

impl<'q> Visit<'q> {
    /// Reads a raw query. Never fails: what is wrong is kept in [`Visit::fault`] and the sound values stay
    /// readable.
    pub fn read(raw_query: &'q str) -> Self {
        let mut visit = Self::default();
        for (count, (name, raw)) in query::pairs(raw_query).enumerate() {
            if count >= MAX_PARAMETERS {
                visit.blame(Fault::new("the query", Malformed::TooMany));
                break;
            }
            let Ok(name) = query::decode(name, Plus::Literal) else {
                visit.blame(Fault::new("a parameter's name", Malformed::Encoding));
                continue;
            };
            if let Some(param) = Param::from_name(&name) {
                visit.take(param, raw);
            }
        }
        visit
    }

    fn take(&mut self, param: Param, raw: &'q str) {
        let slot = param as usize;
        if self.values[slot].is_some() {
            return self.blame(Fault::new(param.code(), Malformed::Twice));
        }
        if slot < 2 && is_placeholder(raw) {
            self.placeholder[slot] = true;
            // `%name%` is no sound encoding; the raw text is what the partner needs to see.
            self.values[slot] = Some(query::decode(raw, Plus::Literal).unwrap_or(Cow::Borrowed(raw)));
            return;
        }
        match query::decode(raw, Plus::Literal) {
            Ok(value) if value.len() > param.max_bytes() => {
                self.blame(Fault::new(param.code(), Malformed::TooLong(param.max_bytes())));
            }
            Ok(value) => self.values[slot] = Some(value),
            Err(wrong) => self.blame(Fault::new(param.code(), wrong)),
        }
    }

    /// Adds a fault that is found outside the contract's own parameters; the first one counts.
    pub fn refuse(&mut self, fault: Fault) {
        self.blame(fault);
    }

    fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// The value of a parameter, decoded; `None` when absent or unreadable, `Some("")` when given empty.
    pub fn get(&self, param: Param) -> Option<&str> {
        self.values[param as usize].as_deref()
    }

    /// The value of a parameter when it is there and not empty.
    pub fn given(&self, param: Param) -> Option<&str> {
        self.get(param).filter(|value| !value.is_empty())
    }

    /// Whether this id ([`Param::ClickId`] or [`Param::MemberId`]) is a placeholder that nobody replaced.
    pub fn is_placeholder(&self, param: Param) -> bool {
        self.placeholder.get(param as usize).copied().unwrap_or(false)
    }

    /// The first malformed parameter.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Every given parameter with its value, in the contract's order.
    pub fn entries(&self) -> impl Iterator<Item = (Param, &str)> {
        Param::ALL.iter().filter_map(|param| self.given(*param).map(|value| (*param, value)))
    }
}
