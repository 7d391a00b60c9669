//! Who visits: where an address is, what a user agent says, whether it is a bot. This crate knows nothing of SQL,
//! HTTP, links or rules.
//!
//! Everything is answered from memory. Files are read whole when the server starts, and again when
//! [`Lookup::reload_if_changed`] finds that they changed; a look-up never waits for that.

mod about;
mod agent;
mod place;
mod range_file;
mod ranges;
mod watch;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use domain::time::Timestamp;
use domain::visitor::{Agent, Whereabouts};

pub use self::about::{About, Source};
use self::agent::Agents;
use self::place::Places;
use self::range_file::RangeFile;
pub use self::watch::Reloaded;
use self::watch::Watched;

/// Where Debian's `tor-geoipdb` puts its files.
pub const TOR_FOLDER: &str = "/usr/share/tor";

/// The files to look things up in.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The operator's MaxMind DB file with countries; it alone answers when it is named.
    pub place_file: Option<PathBuf>,
    /// The folder with Tor's `geoip` and `geoip6`, usually [`TOR_FOLDER`]; either may be absent.
    pub tor_folder: Option<PathBuf>,
    /// The operator's list of address ranges that only bots have: one CIDR block a line, `#` begins a remark.
    pub bot_ranges_file: Option<PathBuf>,
}

/// Why a source cannot be used. Each names its file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is far too large to be one.
    #[error("{} is larger than {max_mib} MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is allowed, in MiB.
        max_mib: u64,
    },
    /// It is no MaxMind DB file, or one that is cut off.
    #[error("{} is not a whole MaxMind DB file: {source}", path.display())]
    NotMmdb {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<maxminddb::MaxMindDbError>,
    },
    /// It tells no country of any address.
    #[error("{} names no country; take a file of countries or cities", path.display())]
    NoCountry {
        /// The file.
        path: PathBuf,
    },
    /// A line is not a range of addresses.
    #[error("{}:{line}: `{text}` is not an address range; write it like 192.0.2.0/24", path.display())]
    NotARange {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// The user agent data that is compiled in cannot be used: a mistake of the build.
    #[error("the data about user agents cannot be used: {0}")]
    Agents(String),
}

/// Looks visitors up. One for the whole server, shared.
pub struct Lookup {
    places: Places,
    agents: Agents,
    bot_ranges: Option<Watched<RangeFile>>,
}

impl Lookup {
    /// Reads the sources; takes about 0.1 s, with Tor's files 0.2 s. A file that is named must be there and be
    /// usable; Tor's files may be absent.
    pub fn load(sources: Sources) -> Result<Self, Error> {
        let bot_ranges = sources.bot_ranges_file.map(|path| Watched::required(path, RangeFile::parse));
        Ok(Self {
            places: Places::load(sources.place_file, sources.tor_folder.as_deref())?,
            bot_ranges: bot_ranges.transpose()?,
            agents: Agents::load()?,
        })
    }

    /// Where the address is, as far as a source knows.
    pub fn whereabouts(&self, address: IpAddr) -> Whereabouts {
        self.places.at(address)
    }

    /// What the user agent says; all empty for one that nobody knows.
    pub fn agent(&self, user_agent: &str) -> Arc<Agent> {
        self.agents.of(user_agent)
    }

    /// Whether a bot visits: by the user agent's own words, or from an address on the operator's list.
    pub fn is_bot(&self, address: IpAddr, agent: &Agent) -> bool {
        agent.bot
            || self
                .bot_ranges
                .as_ref()
                .is_some_and(|file| file.ask(|list| list.holds(address).then_some(())).is_some())
    }

    /// Reads every file again that is another one than at the last look, by its time, size and inode; says what
    /// became of those. One that cannot be used changes nothing. Reads whole files: not for an async thread.
    pub fn reload_if_changed(&self) -> Vec<Reloaded> {
        let mut changed = self.places.reload_if_changed();
        changed.extend(self.bot_ranges.as_ref().and_then(Watched::reload_if_changed));
        changed
    }

    /// Which sources answer, and how old they are.
    pub fn about(&self, now: Timestamp) -> About {
        let bot_ranges = self.bot_ranges.as_ref();
        let bot_ranges = bot_ranges.and_then(|file| file.ask(|list| Some(list.source(file.path()))));
        About { places: self.places.sources(), bot_ranges, now }
    }
}
