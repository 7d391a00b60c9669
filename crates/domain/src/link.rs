//! A link: one offer for one partner; what a tracking URL names.

use std::sync::Arc;

use crate::id::LinkId;
use crate::offer::{Admission, Offer};
use crate::partner::Partner;

codes! {
    /// Whether the network lets this partner run this offer.
    LinkApproval, "link approval" {
        /// It may.
        Approved => "Approved",
        /// It asked.
        Requested => "Requested",
        /// It may not.
        Refused => "Refused",
    }
}

impl LinkApproval {
    /// What a new link begins with.
    pub const fn of_new(admission: Admission) -> Self {
        match admission {
            Admission::Automatic => Self::Approved,
            Admission::OnRequest => Self::Requested,
        }
    }
}

/// A link with everything that a click on it needs, so that deciding reads one value.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its id, as it stands in the tracking URL.
    pub id: LinkId,
    /// Its offer.
    pub offer: Arc<Offer>,
    /// Its partner.
    pub partner: Arc<Partner>,
    /// Whether the partner may run it.
    pub approval: LinkApproval,
}
