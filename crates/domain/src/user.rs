//! A user: somebody who logs in, and whose side of the network they see.

use serde::{Deserialize, Serialize};

use crate::id::{AdvertiserId, NetworkId, PartnerId, UserId};

codes! {
    /// What a user is.
    Role, "user role" {
        /// Staff who may do everything, also end the network.
        Owner => "owner",
        /// Staff who may do everything else.
        Admin => "admin",
        /// Staff who run offers and partners.
        Manager => "manager",
        /// Staff who may look and change nothing.
        Viewer => "viewer",
        /// Somebody of one partner.
        Partner => "partner",
        /// Somebody of one advertiser.
        Advertiser => "advertiser",
    }
}

/// A role together with whom it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// See [`Role::Owner`].
    Owner,
    /// See [`Role::Admin`].
    Admin,
    /// See [`Role::Manager`].
    Manager,
    /// See [`Role::Viewer`].
    Viewer,
    /// One partner's side.
    Partner(PartnerId),
    /// One advertiser's side.
    Advertiser(AdvertiserId),
}

impl Access {
    /// A role with its partner or advertiser; none when the role lacks the one it needs or has one that it
    /// must not.
    pub fn new(role: Role, partner: Option<PartnerId>, advertiser: Option<AdvertiserId>) -> Option<Self> {
        match (role, partner, advertiser) {
            (Role::Owner, None, None) => Some(Self::Owner),
            (Role::Admin, None, None) => Some(Self::Admin),
            (Role::Manager, None, None) => Some(Self::Manager),
            (Role::Viewer, None, None) => Some(Self::Viewer),
            (Role::Partner, Some(partner), None) => Some(Self::Partner(partner)),
            (Role::Advertiser, None, Some(advertiser)) => Some(Self::Advertiser(advertiser)),
            _ => None,
        }
    }

    /// The role alone.
    pub const fn role(self) -> Role {
        match self {
            Self::Owner => Role::Owner,
            Self::Admin => Role::Admin,
            Self::Manager => Role::Manager,
            Self::Viewer => Role::Viewer,
            Self::Partner(_) => Role::Partner,
            Self::Advertiser(_) => Role::Advertiser,
        }
    }

    /// The partner whose side this is.
    pub const fn partner(self) -> Option<PartnerId> {
        match self {
            Self::Partner(partner) => Some(partner),
            _ => None,
        }
    }

    /// The advertiser whose side this is.
    pub const fn advertiser(self) -> Option<AdvertiserId> {
        match self {
            Self::Advertiser(advertiser) => Some(advertiser),
            _ => None,
        }
    }
}

/// A user, without what proves that it is them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its network.
    pub network: NetworkId,
    /// Its address, in lower case; unique in the network.
    pub email: String,
    /// What it may see.
    pub access: Access,
}
