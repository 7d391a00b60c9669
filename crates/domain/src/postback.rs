//! A partner's postback: which conversions it wants to hear of, and the request that tells it, wire contract
//! §4.

pub mod foreign;
mod request;
mod setting;

pub use request::Request;
pub use setting::{BadScope, WantsNothing};

use serde::{Deserialize, Serialize};

use crate::conversion::Status;
use crate::id::{ClickId, ConversionId, EventId, NetworkId, OfferId, PartnerId, PostbackId};
use crate::money::Money;
use crate::template::{Encoder, MacroName, Template};
use crate::time::Timestamp;

codes! {
    /// How the request is sent.
    Method, "postback method" {
        /// `GET`, everything in the URL.
        Get => "GET",
        /// `POST` with every field as a form.
        Form => "POST_FORM",
        /// `POST` with every field as a JSON object.
        Json => "POST_JSON",
    }
}

codes! {
    /// A macro of a partner's postback.
    PostbackMacro, "postback macro" {
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
        /// Our click id.
        ClickId => "gk_click_id",
        /// The offer's id.
        OfferId => "gk_offer_id",
        /// The offer's name.
        OfferName => "gk_offer_name",
        /// The event's code; empty on single-event offers.
        EventCode => "cnv_event_id",
        /// The sale's amount as a plain decimal; empty when none was sent.
        Amount => "cnv_amount",
        /// The amount's currency; empty when no amount was sent.
        Currency => "cnv_currency",
        /// The partner's payout as a plain decimal; 0 when rejected.
        Payout => "payout",
        /// The payout's currency.
        PayoutCurrency => "payout_currency",
        /// `Success`, `Pending` or `Rejected`.
        Status => "cnv_status",
        /// The conversion's id.
        ConversionId => "conversion_id",
        /// Unix seconds of the event that is told.
        Timestamp => "timestamp",
    }
}

impl MacroName for PostbackMacro {
    const ALL: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        self.code()
    }
}

/// A partner's postback URL.
pub type PostbackUrl = Template<PostbackMacro>;

/// Which conversions a postback is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every conversion of every offer.
    Global,
    /// Every conversion of one offer.
    Offer(OfferId),
    /// The conversions of one event of one offer.
    Event(OfferId, EventId),
}

impl Scope {
    /// Whether a conversion of this offer and event falls into the scope.
    pub fn holds(self, offer: OfferId, event: EventId) -> bool {
        match self {
            Self::Global => true,
            Self::Offer(own) => own == offer,
            Self::Event(own, own_event) => own == offer && own_event == event,
        }
    }
}

/// What a postback wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools, reason = "four independent switches, as the partner sees them")]
pub struct Wanted {
    /// New conversions that pay.
    pub success: bool,
    /// New conversions that wait.
    pub pending: bool,
    /// New conversions that are rejected.
    pub rejected: bool,
    /// Later changes of status, whatever to.
    pub changes: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { success: true, pending: false, rejected: false, changes: false }
    }
}

impl Wanted {
    /// Whether the partner is told that a conversion is now in `status`; `version` 0 is its first status.
    ///
    /// A change to `Success` is always told where `success` is wanted: a conversion that waited pays only
    /// now.
    pub fn wants(self, status: Status, version: i64) -> bool {
        let by_status = match status {
            Status::Success => self.success,
            Status::Pending => self.pending,
            Status::Rejected => self.rejected,
        };
        if version == 0 || status == Status::Success { by_status } else { self.changes }
    }
}

/// A partner's postback setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postback {
    /// Its id.
    pub id: PostbackId,
    /// Its network.
    pub network: NetworkId,
    /// Its partner.
    pub partner: PartnerId,
    /// Its slug, unique for the partner.
    pub slug: String,
    /// What it is told about.
    pub scope: Scope,
    /// How.
    pub method: Method,
    /// Where.
    pub url: PostbackUrl,
    /// When.
    pub wanted: Wanted,
    /// Whether it is switched on; an endpoint that answers 410 switches it off.
    pub enabled: bool,
}

/// What is told about one conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Our click id.
    pub click: ClickId,
    /// The partner's click id.
    pub pub_click_id: String,
    /// The partner's member id.
    pub pub_member_id: String,
    /// The sub parameters that were given: number (1 to 15) and value.
    pub subs: Vec<(usize, String)>,
    /// The offer.
    pub offer: OfferId,
    /// Its name.
    pub offer_name: String,
    /// The event's code; empty on single-event offers.
    pub event_code: String,
    /// The sale's amount.
    pub amount: Option<Money>,
    /// What the partner gets in this status.
    pub payout: Money,
    /// The status.
    pub status: Status,
    /// The conversion.
    pub conversion: ConversionId,
    /// When it came to this status.
    pub at: Timestamp,
    /// Whether it is of a test click: nobody is to be paid for it.
    pub test: bool,
}

impl News {
    /// A macro's plain value.
    pub fn value(&self, name: PostbackMacro) -> String {
        use PostbackMacro as M;
        match name {
            M::PubClickId => self.pub_click_id.clone(),
            M::PubMemberId => self.pub_member_id.clone(),
            M::ClickId => self.click.to_string(),
            M::OfferId => self.offer.to_string(),
            M::OfferName => self.offer_name.clone(),
            M::EventCode => self.event_code.clone(),
            M::Amount => self.amount.map(Money::plain).unwrap_or_default(),
            M::Currency => self.amount.map(|amount| amount.currency.to_string()).unwrap_or_default(),
            M::Payout => self.payout.plain(),
            M::PayoutCurrency => self.payout.currency.to_string(),
            M::Status => self.status.to_string(),
            M::ConversionId => self.conversion.to_string(),
            M::Timestamp => self.at.seconds().to_string(),
            sub => {
                let n = sub as usize - M::Sub1 as usize + 1;
                self.subs
                    .iter()
                    .find(|(own, _)| *own == n)
                    .map(|(_, value)| value.clone())
                    .unwrap_or_default()
            }
        }
    }

    /// The filled-in URL of a postback.
    pub fn url(&self, template: &PostbackUrl) -> String {
        template.expand(|name, to: &mut Encoder<'_>| to.text(&self.value(name)))
    }

    /// Every field with a value, by its macro's name: the body of a `POST`.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let named = PostbackMacro::ALL.iter().map(|name| (name.code(), self.value(*name)));
        named.filter(|(_, value)| !value.is_empty()).collect()
    }
}
