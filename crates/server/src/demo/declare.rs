//! Declares the demo's network with the code of `pitlane apply`, and keeps what it says once.

use store::Db;

use crate::apply::{self, Options, Report};
use crate::clock;
use crate::failure::Failure;

/// What a run of apply said.
pub(super) struct Declared(Report);

/// Declares what `text` says; links are printed behind `base`.
pub(super) async fn apply(db: &Db, text: &str, name: &str, base: &str) -> Result<Declared, Failure> {
    let options = Options { public_url: base.to_owned(), ..Options::default() };
    apply::run(db, clock::ambient(), text, name, &options).await.map(Declared).map_err(Failure::new)
}

impl Declared {
    /// The state of the catalog that has it.
    pub(super) fn catalog_version(&self) -> i64 {
        self.0.catalog_version
    }

    /// A fresh secret of a thing.
    pub(super) fn secret(&self, kind: &str, name: &str, secret: &str) -> Result<String, Failure> {
        let thing = self.0.things.iter().find(|thing| thing.kind == kind && thing.name == name);
        let found = thing.and_then(|thing| thing.secrets.iter().find(|own| own.name == secret));
        super::known(found.and_then(|own| own.value.clone()), &format!("{secret} of {kind} {name}"))
    }

    /// The tracking links of a partner by their offers' slugs, without parameters, in the order of the file.
    pub(super) fn links(&self, partner: &str) -> Vec<(&str, &str)> {
        let links = self.0.things.iter().filter_map(|thing| {
            let (offer, of) = thing.name.split_once('/')?;
            let (url, _) = thing.tracking_link.as_deref()?.split_once('?')?;
            (of == partner).then_some((offer, url))
        });
        links.collect()
    }
}
