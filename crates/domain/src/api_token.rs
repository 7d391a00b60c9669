//! API tokens: what a program of the network or of a partner shows, and what it may then see.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ambient::Ambient;
use crate::id::{NetworkId, PartnerId};
use crate::link::Link;
use crate::secret::SecretHash;
use crate::time::Timestamp;

codes! {
    /// Whose eyes a token has.
    Scope, "token scope" {
        /// The network's own.
        Management => "management",
        /// A partner's.
        Partner => "partner",
    }
}

/// Who asks: a network's own program, or one of a partner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authority {
    /// Sees everything of its network.
    Management(NetworkId),
    /// Sees what belongs to this partner.
    Partner(NetworkId, PartnerId),
}

impl Authority {
    /// Its network.
    pub const fn network(self) -> NetworkId {
        match self {
            Self::Management(network) | Self::Partner(network, _) => network,
        }
    }

    /// Its partner; none for the network's own.
    pub const fn partner(self) -> Option<PartnerId> {
        match self {
            Self::Management(_) => None,
            Self::Partner(_, partner) => Some(partner),
        }
    }

    /// Its scope.
    pub const fn scope(self) -> Scope {
        match self {
            Self::Management(_) => Scope::Management,
            Self::Partner(..) => Scope::Partner,
        }
    }

    /// Whether it may know of a link. To whoever may not, the link is absent.
    pub fn sees(self, link: &Link) -> bool {
        let own = self.partner().is_none_or(|partner| partner == link.partner.id);
        self.network() == link.offer.network.id && own
    }
}

/// A token as it is stored: everything but itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// What it may see.
    pub authority: Authority,
    /// Its first characters, by which its owner knows it.
    pub shown: String,
    /// What it is for, in its maker's words.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The day (UTC) on which it was last used.
    pub used_day: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// What every token begins with, so that secret scanners find one that got lost.
pub const PREFIX: &str = "plt_";

/// How many characters of a token are shown.
pub const SHOWN: usize = 12;

/// The longest name of a token, in characters.
pub const MOST_NAME: usize = 100;

/// A token cannot be called so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name is to be one line of 1 to {MOST_NAME} characters")]
pub struct BadName;

/// A token that was just made: the one moment in which it is known as a whole.
#[derive(Clone)]
pub struct Fresh {
    /// The token itself, to be shown once.
    pub secret: String,
    /// What is kept of it.
    pub hash: SecretHash,
    /// As it is stored.
    pub token: ApiToken,
}

impl Fresh {
    /// Makes a token for whoever it speaks for.
    pub fn make(ambient: Ambient, authority: Authority, name: &str) -> Result<Self, BadName> {
        let length = name.chars().count();
        if !(1..=MOST_NAME).contains(&length) || name.contains(char::is_control) {
            return Err(BadName);
        }
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(ambient.random_bytes()));
        let shown = secret.chars().take(SHOWN).collect();
        let (name, created) = (name.to_owned(), ambient.now());
        let token = ApiToken { authority, shown, name, created, used_day: None, revoked: None };
        Ok(Self { hash: SecretHash::of(&secret), secret, token })
    }
}
