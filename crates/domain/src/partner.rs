//! A partner: who sends users and gets the payout.

use serde::{Deserialize, Serialize};

use crate::id::{NetworkId, PartnerId};

codes! {
    /// Whether a partner may send traffic.
    PartnerStatus, "partner status" {
        /// May run offers.
        Active => "Active",
        /// Waits for the network's decision.
        Pending => "Pending",
        /// Stopped by the network.
        Blocked => "Blocked",
    }
}

/// A partner, as every rule sees it. Its signing secrets live beside it in the store and are read only to
/// sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// Its id.
    pub id: PartnerId,
    /// Its network.
    pub network: NetworkId,
    /// Its slug, unique in the network.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Whether it may send traffic.
    pub status: PartnerStatus,
}
