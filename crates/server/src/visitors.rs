//! Who visitors are: the files that tell it, read at the start and again when they change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::catalog::Catalog;
use store::live::Live;
use visitor::{Lookup, Reloaded, Sources};

use crate::clock;
use crate::config::Settings;
use crate::failure::Failure;

/// How often the files are looked at.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// The most offers that a warning names.
const NAMED: usize = 10;

/// What tells who visits, from the files that the settings name.
pub(crate) fn load(settings: &Settings) -> Result<Lookup, Failure> {
    let sources = Sources {
        place_file: settings.place_file.path().map(Path::to_owned),
        tor_folder: Some(visitor::TOR_FOLDER.into()),
        bot_ranges_file: settings.bot_ranges_file.path().map(Path::to_owned),
    };
    let visitors = Lookup::load(sources).map_err(Failure::new)?;
    tracing::info!("{}", visitors.about(clock::ambient().now()));
    Ok(visitors)
}

/// Takes changed files up, and says when offers ask for countries that nothing tells. Ends with its task.
pub(crate) async fn keep(visitors: Arc<Lookup>, live: Arc<Live>) {
    let mut warned = None;
    loop {
        let catalog = live.catalog.load_full();
        if warned != Some(catalog.version) {
            warn_of_unknown(&catalog, &visitors);
            warned = Some(catalog.version);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        let own = Arc::clone(&visitors);
        // A look that panicked changed nothing; the next one is in a minute.
        let reloaded = tokio::task::spawn_blocking(move || own.reload_if_changed()).await.unwrap_or_default();
        for file in reloaded {
            match file {
                Reloaded::Read { .. } => tracing::info!("{file}"),
                Reloaded::Kept { .. } => tracing::warn!("{file}"),
            }
        }
    }
}

/// Offers whose rules ask for a country that only the address could tell, on a server that has no source.
fn warn_of_unknown(catalog: &Catalog, visitors: &Lookup) {
    if visitors.about(clock::ambient().now()).knows_countries() {
        return;
    }
    let mut offers: Vec<&str> = catalog
        .links
        .values()
        .map(|link| &link.offer)
        .filter(|offer| offer.asks_for_place())
        .map(|offer| offer.slug.as_str())
        .collect();
    offers.sort_unstable();
    offers.dedup();
    if offers.is_empty() {
        return;
    }
    let (count, named) = (offers.len(), offers[..offers.len().min(NAMED)].join(", "));
    tracing::warn!(
        count,
        offers = named,
        "these offers are for some countries, and nothing tells the country of an address: name a file by \
         `place_file`, or install tor-geoipdb"
    );
}
