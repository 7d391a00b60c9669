//! An advertiser: who pays for results and reports them by postback.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::id::{AdvertiserId, NetworkId};

codes! {
    /// What a network asks of an advertiser's postbacks. A valid signature is enough for every advertiser
    /// that has a signing secret, because it proves more than the others.
    Proof, "postback proof" {
        /// One of its tokens.
        Token => "token",
        /// A Standard Webhooks signature and nothing less.
        Signature => "signature",
        /// A sender's address on its allow-list.
        Address => "address",
    }
}

/// An advertiser, as the postback rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertiser {
    /// Its id.
    pub id: AdvertiserId,
    /// Its network.
    pub network: NetworkId,
    /// Its slug, unique in the network.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What its postbacks must carry.
    pub proof: Proof,
    /// When not empty, conversions from other addresses are recorded as rejected.
    pub allowed_addresses: Vec<IpNet>,
}
