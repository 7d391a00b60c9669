//! One command's work on an existing record, beside a running server or without one.

use std::sync::Arc;

use domain::catalog::Catalog;
use domain::network::Network;
use store::{Db, Target};

use crate::config::Effective;
use crate::failure::Failure;
use crate::{serve, wire};

/// Opens the record, lets the command work on it, and closes it.
pub(crate) fn run<T>(
    effective: &Effective,
    command: impl AsyncFnOnce(&Db) -> Result<T, Failure>,
) -> Result<T, Failure> {
    refuse_absent(effective)?;
    let runtime = serve::runtime(1)?;
    let db = wire::open(effective)?;
    runtime.block_on(async {
        let done = command(&db).await;
        db.close().await;
        done
    })
}

/// A database that is not there is a wrong folder, most likely; opening it would make an empty one.
pub(crate) fn refuse_absent(effective: &Effective) -> Result<(), Failure> {
    let Target::Sqlite { dir } = &effective.target else { return Ok(()) };
    if dir.join("pitlane.db").exists() {
        return Ok(());
    }
    let error = format!("there is no database in {}", dir.display());
    Err(Failure::new(error).next("name its folder with --data, or its server with --database"))
}

/// The network of this label.
pub(crate) fn network(catalog: &Catalog, label: &str) -> Result<Arc<Network>, Failure> {
    let found = catalog.networks.values().find(|network| network.label == label);
    found.cloned().ok_or_else(|| {
        Failure::usage(format!("there is no network `{label}`")).next(format!("use {}", known(catalog)))
    })
}

/// The network of this label, or the only one there is.
pub(crate) fn only_network(catalog: &Catalog, label: Option<&str>) -> Result<Arc<Network>, Failure> {
    if let Some(label) = label {
        return network(catalog, label);
    }
    let mut all = catalog.networks.values();
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(Arc::clone(only)),
        (None, _) => {
            Err(Failure::new("there is no network yet").next("declare one: `pitlane apply FILE.toml`"))
        }
        _ => Err(Failure::usage("there are several networks").next(format!("use {}", known(catalog)))),
    }
}

fn known(catalog: &Catalog) -> String {
    let mut labels: Vec<String> =
        catalog.networks.values().map(|network| format!("--network {}", network.label)).collect();
    labels.sort_unstable();
    match labels.len() {
        0 => "no --network: there is none yet".to_owned(),
        1..=12 => labels.join(" or "),
        many => format!("{} or one of {} more", labels[..12].join(", "), many - 12),
    }
}
