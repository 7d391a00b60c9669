//! An advertiser's postback as it arrives: its parameters, read strictly and checked, wire contract §3.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::address::contains;
use crate::advertiser::{Advertiser, Proof};
use crate::catalog::Catalog;
use crate::conversion::Status;
use crate::id::{AdvertiserId, ClickId, ConversionId, NetworkId};
use crate::money::{Currency, Money, parse_micros};
use crate::placeholder::is_placeholder;
use crate::query::has_control;
use crate::secret::SecretHash;
use crate::signature::{Received, verify};
use crate::time::Timestamp;

codes! {
    /// What an advertiser is answered. The code is part of the wire contract; `rejected:<reason>` carries its
    /// reason beside it.
    Answer, "postback answer" {
        /// A new conversion.
        Recorded => "recorded",
        /// The same conversion, its status changed.
        Updated => "updated",
        /// Already recorded; the first one stands.
        Duplicate => "duplicate",
        /// The member already completed this offer or event.
        MemberAlreadyCompleted => "member_already_completed",
        /// Recorded as rejected.
        Rejected => "rejected",
        /// `gk_click_id` is missing or empty.
        ClickIdEmpty => "click_id_empty",
        /// `gk_click_id` is a placeholder that was never replaced.
        ClickIdMacro => "click_id_macro",
        /// `gk_click_id` is not one of our ids.
        ClickIdMalformed => "click_id_malformed",
        /// `cnv_amount` or `cnv_currency` cannot be read, or is missing where it is needed.
        AmountMalformed => "amount_malformed",
        /// The offer has no such event.
        EventUnknown => "event_unknown",
        /// A parameter cannot be read.
        ParameterMalformed => "parameter_malformed",
        /// Token or signature missing or wrong.
        NotAuthorized => "not_authorized",
        /// No such click in this network.
        ClickUnknown => "click_unknown",
        /// The same `cnv_conversion_id` with other facts.
        Conflict => "conflict",
        /// Could not be made durable.
        NotRecorded => "not_recorded",
    }
}

impl Answer {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Recorded
            | Self::Updated
            | Self::Duplicate
            | Self::MemberAlreadyCompleted
            | Self::Rejected => 200,
            Self::ClickIdEmpty
            | Self::ClickIdMacro
            | Self::ClickIdMalformed
            | Self::AmountMalformed
            | Self::EventUnknown
            | Self::ParameterMalformed => 400,
            Self::NotAuthorized => 401,
            Self::ClickUnknown => 404,
            Self::Conflict => 409,
            Self::NotRecorded => 503,
        }
    }
}

/// The longest value of a `cnv_*` parameter, in bytes.
pub const MAX_VALUE_BYTES: usize = 500;

/// The names that are stored with the conversion and never decide anything.
pub const KEPT: [&str; 8] = [
    "cnv_conversion_ip_address",
    "cnv_email",
    "cnv_user_id",
    "cnv_sub_1",
    "cnv_sub_2",
    "cnv_sub_3",
    "cnv_sub_4",
    "cnv_sub_5",
];

/// A postback whose own parameters are sound. Whether its event and amount fit the offer is decided later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postback {
    /// Our click id.
    pub click: ClickId,
    /// `cnv_event_id`, when not empty.
    pub event_code: Option<String>,
    /// `cnv_amount` in micro-units.
    pub amount_micros: Option<i64>,
    /// `cnv_currency`.
    pub currency: Option<Currency>,
    /// `cnv_conversion_id`: the advertiser's idempotency key.
    pub advertiser_key: Option<String>,
    /// `cnv_status`.
    pub status: Option<Status>,
    /// The parameters of [`KEPT`] that were given.
    pub kept: BTreeMap<String, String>,
    /// What the network's own staff says that it is worth; an advertiser cannot.
    pub stated: Stated,
}

/// Worth that is stated instead of computed from the offer's terms, in micro-units of the offer's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stated {
    /// What the network gets.
    pub revenue_micros: Option<i64>,
    /// What the partner gets.
    pub payout_micros: Option<i64>,
}

impl Postback {
    /// The amount in its own currency, else the offer's.
    pub fn amount(&self, default: Currency) -> Option<Money> {
        self.amount_micros.map(|micros| Money { micros, currency: self.currency.unwrap_or(default) })
    }
}

/// A refusal of a postback, with what to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The code answered.
    pub answer: Answer,
    /// What is wrong and what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(answer: Answer, message: impl Into<String>) -> Self {
        Self { answer, message: message.into() }
    }
}

/// The decoded parameters of a postback, each name at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Adds a decoded parameter; a name that stands there already is an error.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let malformed = |wrong: &str| Refusal::new(Answer::ParameterMalformed, format!("{name} {wrong}"));
        let name = if name == "event_id" { "cnv_event_id" } else { name };
        if value.len() > MAX_VALUE_BYTES {
            return Err(malformed("is longer than 500 bytes"));
        }
        if has_control(value) {
            return Err(malformed("contains a control character"));
        }
        match self.0.insert(name.to_owned(), value.to_owned()) {
            None => Ok(()),
            Some(_) => Err(malformed("is given more than once; send it once")),
        }
    }

    /// A parameter that is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Checks every parameter that can be checked without looking at the click.
    pub fn read(&self) -> Result<Postback, Refusal> {
        Ok(Postback {
            click: self.click_id()?,
            event_code: self.get("cnv_event_id").map(str::to_owned),
            amount_micros: self.amount()?,
            currency: self.currency()?,
            advertiser_key: self.get("cnv_conversion_id").map(str::to_owned),
            status: self.status()?,
            kept: KEPT
                .iter()
                .filter_map(|name| self.get(name).map(|value| ((*name).to_owned(), value.to_owned())))
                .collect(),
            stated: Stated::default(),
        })
    }

    fn click_id(&self) -> Result<ClickId, Refusal> {
        let Some(text) = self.get("gk_click_id") else {
            let message = "gk_click_id is missing or empty; send back the click id that came in the link";
            return Err(Refusal::new(Answer::ClickIdEmpty, message));
        };
        if is_placeholder(text) {
            let message =
                format!("gk_click_id is `{text}`, a macro that your tracking system did not replace");
            return Err(Refusal::new(Answer::ClickIdMacro, message));
        }
        text.parse().map_err(|_| {
            let message = format!("gk_click_id `{text}` is not one of our click ids, which are UUIDs");
            Refusal::new(Answer::ClickIdMalformed, message)
        })
    }

    fn amount(&self) -> Result<Option<i64>, Refusal> {
        let read = |text| {
            parse_micros(text)
                .map_err(|why| Refusal::new(Answer::AmountMalformed, format!("cnv_amount: {why}")))
        };
        self.get("cnv_amount").map(read).transpose()
    }

    fn currency(&self) -> Result<Option<Currency>, Refusal> {
        let read = |text: &str| {
            text.parse().map_err(|why| Refusal::new(Answer::AmountMalformed, format!("cnv_currency: {why}")))
        };
        self.get("cnv_currency").map(read).transpose()
    }

    fn status(&self) -> Result<Option<Status>, Refusal> {
        let read = |text: &str| {
            Status::from_wire(text).ok_or_else(|| {
                let message = format!("cnv_status `{text}` is unknown; send Success, Pending or Rejected");
                Refusal::new(Answer::ParameterMalformed, message)
            })
        };
        self.get("cnv_status").map(read).transpose()
    }
}

/// What a request brings to show who sends it.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// The token, from the path, the query or the body.
    pub token: Option<&'a str>,
    /// The Standard Webhooks headers, when all three are there.
    pub signature: Option<Received<'a>>,
    /// What the signature covers.
    pub payload: &'a [u8],
    /// The sender's address.
    pub address: IpAddr,
}

/// The advertisers of a network that a request proves to come from; none means that it is not authorized.
///
/// A token belongs to one advertiser. A signature is tried against every advertiser that signs. An address is
/// enough only for advertisers whose network asks for no more.
pub fn authenticate(
    catalog: &Catalog,
    network: NetworkId,
    credentials: &Credentials<'_>,
    now: Timestamp,
) -> Vec<AdvertiserId> {
    let token_owner = credentials.token.and_then(|token| catalog.tokens.get(&SecretHash::of(token)));
    let signed_by = |advertiser: &Advertiser| {
        let secrets = catalog.signing.get(&advertiser.id).map_or(&[][..], Vec::as_slice);
        credentials.signature.is_some_and(|received| {
            !secrets.is_empty() && verify(secrets, received, credentials.payload, now.seconds()).is_ok()
        })
    };
    let proves = |advertiser: &Advertiser| match advertiser.proof {
        Proof::Token => token_owner == Some(&advertiser.id) || signed_by(advertiser),
        Proof::Signature => signed_by(advertiser),
        Proof::Address => {
            contains(&advertiser.allowed_addresses, credentials.address)
                || token_owner == Some(&advertiser.id)
                || signed_by(advertiser)
        }
    };
    let own = catalog.advertisers.values().filter(|advertiser| advertiser.network == network);
    own.filter(|advertiser| proves(advertiser)).map(|advertiser| advertiser.id).collect()
}

/// What a postback led to, as it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The answer.
    pub answer: Answer,
    /// The code as text: the answer's, or `rejected:<reason>`.
    pub code: String,
    /// The conversion that the answer names.
    pub conversion: Option<Named>,
    /// What to tell the advertiser, when there is something to mend.
    pub message: String,
}

impl Outcome {
    /// An answer that names no conversion.
    pub fn refused(refusal: Refusal) -> Self {
        Self {
            answer: refusal.answer,
            code: refusal.answer.code().to_owned(),
            conversion: None,
            message: refusal.message,
        }
    }
}

/// The conversion that an answer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: ConversionId,
    /// Its status.
    pub status: Status,
    /// Why it is rejected.
    pub reason: Option<crate::conversion::Reason>,
    /// The conversion that holds the member's place, when it is not this one.
    pub winner: Option<ConversionId>,
}
