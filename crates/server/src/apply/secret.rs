//! Fresh secrets, and whose secrets a run is asked to renew.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ambient::Ambient;
use domain::secret::SecretHash;
use domain::signature::{BadSecret, Secret};
use domain::time::{DAY_MS, Timestamp};

use super::declaration::Noun;

/// How long a set-up token works.
const SETUP_MS: i64 = 7 * DAY_MS;

/// A secret to show once to whoever runs the command.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// `postback_token`, `signing_secret` or `setup_token`.
    pub(crate) name: &'static str,
    /// The secret.
    pub(crate) value: String,
    /// When it stops to work by itself.
    pub(crate) expires: Option<Timestamp>,
}

/// A postback token and what is kept of it.
pub(crate) fn token(ambient: Ambient) -> (SecretHash, Shown) {
    let value = format!("pbt_{}", random(ambient));
    (SecretHash::of(&value), Shown { name: "postback_token", value, expires: None })
}

/// A signing secret, to keep and to show.
pub(crate) fn signing(ambient: Ambient) -> Result<(Secret, Shown), BadSecret> {
    let secret = Secret::from_bytes(&ambient.random_bytes())?;
    let shown = Shown { name: "signing_secret", value: secret.reveal(), expires: None };
    Ok((secret, shown))
}

/// A token with which a user sets a password, and what is kept of it.
pub(crate) fn setup(ambient: Ambient, at: Timestamp) -> ((SecretHash, Timestamp), Shown) {
    let value = format!("sut_{}", random(ambient));
    let expires = at.plus_ms(SETUP_MS);
    ((SecretHash::of(&value), expires), Shown { name: "setup_token", value, expires: Some(expires) })
}

fn random(ambient: Ambient) -> String {
    URL_SAFE_NO_PAD.encode(ambient.random_bytes())
}

/// Whose secret: `advertiser/SLUG`, `partner/SLUG` or `user/E-MAIL`, with the network's label between the two where
/// several networks have such a one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whose {
    noun: Noun,
    network: Option<String>,
    name: String,
}

impl Whose {
    /// Whether this is the advertiser, partner or user that is meant.
    pub(crate) fn means(&self, (noun, network, name): (Noun, &str, &str)) -> bool {
        let network_fits = self.network.as_deref().is_none_or(|label| label == network);
        self.noun == noun && network_fits && self.name == name
    }
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.network {
            Some(network) => write!(f, "{}/{network}/{}", self.noun, self.name),
            None => write!(f, "{}/{}", self.noun, self.name),
        }
    }
}

/// The text given does not say whose secret is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not say whose; write advertiser/SLUG, partner/SLUG or user/E-MAIL")]
pub(crate) struct NotAnOwner(String);

impl FromStr for Whose {
    type Err = NotAnOwner;

    fn from_str(text: &str) -> Result<Self, NotAnOwner> {
        let refused = || NotAnOwner(text.to_owned());
        let (noun, rest) = text.split_once('/').ok_or_else(refused)?;
        let known = [Noun::Advertiser, Noun::Partner, Noun::User];
        let noun = known.into_iter().find(|known| known.word() == noun).ok_or_else(refused)?;
        let (network, name) = rest.split_once('/').map_or((None, rest), |(label, name)| (Some(label), name));
        if name.is_empty() || name.contains('/') {
            return Err(refused());
        }
        let name = if noun == Noun::User { name.to_ascii_lowercase() } else { name.to_owned() };
        Ok(Self { noun, network: network.map(str::to_owned), name })
    }
}
