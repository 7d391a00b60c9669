//! The catalog: everything that a click or a postback needs to know and that changes rarely, as one immutable
//! value that is swapped whole.

use std::collections::HashMap;
use std::sync::Arc;

use crate::advertiser::Advertiser;
use crate::erase;
use crate::id::{AdvertiserId, LinkId, NetworkId, OfferId, PartnerId};
use crate::link::Link;
use crate::network::Network;
use crate::offer::Offer;
use crate::partner::Partner;
use crate::secret::SecretHash;
use crate::signature::Secret;
use crate::test_mode;

/// One state of the catalog.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Which state this is; grows with every change.
    pub version: i64,
    /// Every network.
    pub networks: HashMap<NetworkId, Arc<Network>>,
    /// Every partner.
    pub partners: HashMap<PartnerId, Arc<Partner>>,
    /// Every advertiser.
    pub advertisers: HashMap<AdvertiserId, Arc<Advertiser>>,
    /// Every offer.
    pub offers: HashMap<OfferId, Arc<Offer>>,
    /// Every link.
    pub links: HashMap<LinkId, Arc<Link>>,
    /// Advertisers by the hash of each live postback token.
    pub tokens: HashMap<SecretHash, AdvertiserId>,
    /// The secrets with which an advertiser may sign, newest first.
    pub signing: HashMap<AdvertiserId, Vec<Secret>>,
    /// The keys of test mode; a network has one from its first test link on.
    pub test_keys: HashMap<NetworkId, test_mode::Key>,
    /// The keys under which erased members are known; a network has one from its first erasure on.
    pub erase_keys: HashMap<NetworkId, erase::Key>,
}

impl Catalog {
    /// The network that a host name belongs to: `api.{label}.…` or `app.{label}.…`. A single-network
    /// installation answers on any other host as well; with several networks an unknown host belongs to none.
    pub fn network_of_host(&self, host: &str) -> Option<&Arc<Network>> {
        if self.networks.len() == 1 {
            return self.networks.values().next();
        }
        let name = host.rsplit_once(':').map_or(host, |(name, port)| {
            if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
        });
        let mut labels = name.split('.');
        match labels.next().map(str::to_ascii_lowercase).as_deref() {
            Some("api" | "app") => labels.next().and_then(|label| {
                self.networks.values().find(|network| network.label.eq_ignore_ascii_case(label))
            }),
            _ => None,
        }
    }
}
