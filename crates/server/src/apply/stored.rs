//! What is stored, as far as a file can declare it.

use std::collections::HashMap;
use std::sync::Arc;

use domain::catalog::Catalog;
use domain::id::{AdvertiserId, NetworkId, OfferId, PartnerId};
use domain::link::Link;
use domain::postback::Postback;
use domain::secret::SecretHash;
use domain::user::User;
use store::advertiser::Token;
use store::offer::Texts;
use store::{Error, Tx};

/// One state of everything, by what names each thing.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// The catalog.
    pub(crate) catalog: Catalog,
    /// The texts of offers.
    pub(crate) texts: HashMap<OfferId, Texts>,
    /// Links by offer and partner.
    pub(crate) links: HashMap<(OfferId, PartnerId), Arc<Link>>,
    /// Partners' postback settings by slug.
    pub(crate) postbacks: HashMap<(PartnerId, String), Postback>,
    /// Users by e-mail address.
    pub(crate) users: HashMap<(NetworkId, String), User>,
    /// Every advertiser's postback tokens, also those that are over.
    pub(crate) tokens_of: HashMap<AdvertiserId, Vec<Token>>,
    /// Whose each of them is.
    pub(crate) token_owners: HashMap<SecretHash, AdvertiserId>,
}

impl Stored {
    /// Reads everything.
    pub(crate) fn load(tx: &mut Tx<'_>) -> Result<Self, Error> {
        let catalog = store::catalog::load(tx)?;
        let links = catalog.links.values().map(|link| ((link.offer.id, link.partner.id), Arc::clone(link)));
        let mut stored = Self { links: links.collect(), catalog, ..Self::default() };
        stored.texts = store::offer::texts(tx)?;
        for postback in store::postback::all(tx)? {
            stored.postbacks.insert((postback.partner, postback.slug.clone()), postback);
        }
        for user in store::user::all(tx)? {
            stored.users.insert((user.network, user.email.clone()), user);
        }
        for token in store::advertiser::tokens(tx)? {
            stored.token_owners.insert(token.hash, token.advertiser);
            stored.tokens_of.entry(token.advertiser).or_default().push(token);
        }
        Ok(stored)
    }
}
