//! Where an address is.

mod mmdb;
mod tor;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use domain::visitor::{Country, Whereabouts};

use self::mmdb::Mmdb;
use self::tor::Table;
use crate::Error;
use crate::about::Source;
use crate::watch::{Reloaded, Watched};

/// The source that answers: the operator's file alone, else the Tor project's files as far as there are any.
pub(crate) enum Places {
    /// The operator's file.
    Named(Watched<Mmdb>),
    /// The Tor project's two files.
    Tor(Watched<Table<u32>>, Watched<Table<u128>>),
    /// None.
    Nowhere,
}

impl Places {
    pub(crate) fn load(file: Option<PathBuf>, tor_folder: Option<&Path>) -> Result<Self, Error> {
        if let Some(path) = file {
            return Ok(Self::Named(Watched::required(path, Mmdb::parse)?));
        }
        let Some(folder) = tor_folder else { return Ok(Self::Nowhere) };
        Ok(Self::Tor(
            Watched::optional(folder.join("geoip"), tor::parse_v4)?,
            Watched::optional(folder.join("geoip6"), tor::parse_v6)?,
        ))
    }

    /// Where the address is; an IPv4 address in IPv6 clothes is an IPv4 address.
    pub(crate) fn at(&self, address: IpAddr) -> Whereabouts {
        let only = |country: Option<Country>| Whereabouts { country, region: None };
        match (self, address.to_canonical()) {
            (Self::Named(file), address) => file.ask(|file| Some(file.at(address))).unwrap_or_default(),
            (Self::Tor(table, _), IpAddr::V4(address)) => {
                only(table.ask(|table| table.at(address.to_bits())))
            }
            (Self::Tor(_, table), IpAddr::V6(address)) => {
                only(table.ask(|table| table.at(address.to_bits())))
            }
            (Self::Nowhere, _) => Whereabouts::default(),
        }
    }

    pub(crate) fn reload_if_changed(&self) -> Vec<Reloaded> {
        match self {
            Self::Named(file) => file.reload_if_changed().into_iter().collect(),
            Self::Tor(v4, v6) => v4.reload_if_changed().into_iter().chain(v6.reload_if_changed()).collect(),
            Self::Nowhere => Vec::new(),
        }
    }

    /// The files that answer.
    pub(crate) fn sources(&self) -> Vec<Source> {
        match self {
            Self::Named(file) => file.ask(|own| Some(own.source(file.path()))).into_iter().collect(),
            Self::Tor(v4, v6) => {
                let v4 = v4.ask(|table| Some(table.source(v4.path())));
                v4.into_iter().chain(v6.ask(|table| Some(table.source(v6.path())))).collect()
            }
            Self::Nowhere => Vec::new(),
        }
    }
}
