//! Typed ids, so that an offer's id cannot be passed where a partner's is meant. Each is a UUID, shown in
//! lower case.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The UUID itself.
            pub const fn uuid(self) -> Uuid { self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.as_hyphenated().fmt(f) }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> { parse(text).map(Self) }
        }
    )+};
}

/// The text given is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id; ids look like 0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6")]
pub struct NotAnId(pub String);

/// Only the hyphenated form of 36 characters is an id; it is what we hand out.
fn parse(text: &str) -> Result<Uuid, NotAnId> {
    if text.len() != 36 {
        return Err(NotAnId(text.to_owned()));
    }
    Uuid::try_parse(text).map_err(|_| NotAnId(text.to_owned()))
}

ids! {
    /// A tenant.
    NetworkId,
    /// Somebody who logs in.
    UserId,
    /// Who pays for results.
    AdvertiserId,
    /// What is advertised.
    OfferId,
    /// One event of a multi-event offer; [`EventId::NONE`] on single-event offers.
    EventId,
    /// Who sends users.
    PartnerId,
    /// One offer for one partner; the id in the tracking link.
    LinkId,
    /// One hit on a tracking link; a UUID v7, so it orders by time.
    ClickId,
    /// One recorded result.
    ConversionId,
    /// A partner's postback setting.
    PostbackId,
    /// One message to one partner postback; also its `webhook-id`.
    DeliveryId,
    /// One request as an advertiser sent it.
    InboundId,
}

impl EventId {
    /// The event of a single-event offer. Not null, so that unique keys hold for it as well.
    pub const NONE: Self = Self(Uuid::nil());

    /// Whether this is a real event of a multi-event offer.
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

impl ClickId {
    /// The smallest id of a time: a range of time is a range of ids.
    pub fn first_of(at: Timestamp) -> Self {
        let ms = u64::try_from(at.ms()).unwrap_or(0);
        Self(Uuid::from_u128(u128::from(ms) << 80))
    }

    /// When the click happened: the millisecond inside the UUID v7.
    pub fn at(self) -> Timestamp {
        let bytes = self.0.as_bytes();
        let ms = bytes[..6].iter().fold(0i64, |ms, byte| (ms << 8) | i64::from(*byte));
        Timestamp::from_ms(ms)
    }
}
