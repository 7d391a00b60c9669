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

codes! {
    /// What somebody of a partner may do there.
    TeamRole, "team role" {
        /// May do everything, also say who may do what.
        Owner => "owner",
        /// May look and change everything else.
        Member => "member",
        /// May look and change nothing.
        ReadOnly => "read_only",
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
    /// One partner's side, and what they may do there.
    Partner(PartnerId, TeamRole),
    /// One advertiser's side.
    Advertiser(AdvertiserId),
}

impl Access {
    /// A role with its partner, as somebody of the team, or its advertiser; none when the role lacks the one it needs
    /// or has one that it must not.
    pub fn new(
        role: Role,
        partner: Option<(PartnerId, TeamRole)>,
        advertiser: Option<AdvertiserId>,
    ) -> Option<Self> {
        match (role, partner, advertiser) {
            (Role::Owner, None, None) => Some(Self::Owner),
            (Role::Admin, None, None) => Some(Self::Admin),
            (Role::Manager, None, None) => Some(Self::Manager),
            (Role::Viewer, None, None) => Some(Self::Viewer),
            (Role::Partner, Some((partner, team)), None) => Some(Self::Partner(partner, team)),
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
            Self::Partner(..) => Role::Partner,
            Self::Advertiser(_) => Role::Advertiser,
        }
    }

    /// The partner whose side this is.
    pub const fn partner(self) -> Option<PartnerId> {
        match self {
            Self::Partner(partner, _) => Some(partner),
            _ => None,
        }
    }

    /// What they may do at their partner; none for everybody else.
    pub const fn team(self) -> Option<TeamRole> {
        match self {
            Self::Partner(_, team) => Some(team),
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
