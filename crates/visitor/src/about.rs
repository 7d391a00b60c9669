//! Which sources answer, for people.

use std::fmt;
use std::path::PathBuf;

use domain::time::{Span, Timestamp};

/// A file that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says it is, for instance `GeoLite2-Country`.
    pub kind: String,
    /// When it was made, as it says itself; else when it was changed last.
    pub built: Timestamp,
    /// How many ranges of addresses it holds; none when it does not say.
    pub ranges: Option<usize>,
}

/// Which sources answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Those that know where an address is. Without any, nobody has a country: a rule that asks for one lets
    /// nobody through who does not bring it along.
    pub places: Vec<Source>,
    /// The operator's list of bots' addresses.
    pub bot_ranges: Option<Source>,
    /// Now.
    pub(crate) now: Timestamp,
}

impl About {
    /// Whether countries can be told from addresses.
    pub fn knows_countries(&self) -> bool {
        !self.places.is_empty()
    }

    /// How old the oldest source of countries is, in milliseconds.
    pub fn places_age_ms(&self) -> Option<i64> {
        self.places.iter().map(|source| self.now.ms().saturating_sub(source.built.ms())).max()
    }

    fn write(&self, source: &Source, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", source.path.display(), source.kind)?;
        if let Some(ranges) = source.ranges {
            write!(f, ", {ranges} ranges")?;
        }
        let age = Span(self.now.ms().saturating_sub(source.built.ms()).max(0));
        let date = source.built.to_string();
        write!(f, ", of {}, {age} old)", date.split('T').next().unwrap_or_default())
    }
}

/// One line without an end, for instance
/// `countries from /etc/pitlane/GeoLite2-Country.mmdb (GeoLite2-Country, of 2026-11-17, 5 d 3 h old)`.
impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.places.is_empty() {
            f.write_str("no countries from addresses: name a file by `place_file`, or install tor-geoipdb")?;
        }
        for (at, source) in self.places.iter().enumerate() {
            f.write_str(if at == 0 { "countries from " } else { " and " })?;
            self.write(source, f)?;
        }
        if let Some(source) = &self.bot_ranges {
            f.write_str("; bots' addresses from ")?;
            self.write(source, f)?;
        }
        Ok(())
    }
}
