//! Countries and regions from a MaxMind DB file, whoever made it.

use std::net::IpAddr;
use std::path::Path;

use domain::time::Timestamp;
use domain::visitor::{Country, Whereabouts};
use maxminddb::{PathElement, Reader, WithinOptions};

use crate::Error;
use crate::about::Source;
use crate::watch::Content;

use PathElement::{Index, Key};

/// Where the country's code stands, by whoever made the file: GeoIP2, GeoLite2 and DB-IP; IPinfo, new and old; and
/// where nothing better is known, the country that the address is registered in.
const COUNTRY: [&[PathElement<'static>]; 4] = [
    &[Key("country"), Key("iso_code")],
    &[Key("country_code")],
    &[Key("country")],
    &[Key("registered_country"), Key("iso_code")],
];

/// Where the region's code stands: the largest subdivision of GeoIP2 and its like; IPinfo.
const REGION: [&[PathElement<'static>]; 2] =
    [&[Key("subdivisions"), Index(0), Key("iso_code")], &[Key("region_code")]];

/// Records to look at before a file is said to name no country.
const LOOKED_AT: usize = 10_000;

/// The longest code of a region, behind the country.
const MAX_REGION_BYTES: usize = 3;

/// A file in memory: mapped into it, a file that is overwritten in place would end the process.
pub(crate) struct Mmdb {
    reader: Reader<Vec<u8>>,
}

impl Mmdb {
    pub(crate) fn parse(content: Content<'_>) -> Result<Self, Error> {
        let path = content.path.to_owned();
        let reader = match Reader::from_source(content.bytes) {
            Ok(reader) => reader,
            Err(source) => return Err(Error::NotMmdb { path, source: Box::new(source) }),
        };
        let own = Self { reader };
        if own.names_a_country() { Ok(own) } else { Err(Error::NoCountry { path }) }
    }

    fn names_a_country(&self) -> bool {
        let Ok(records) = self.reader.networks(WithinOptions::default().skip_empty_values()) else {
            return false;
        };
        records.take(LOOKED_AT).flatten().any(|record| country(&record).is_some())
    }

    /// A record that cannot be decoded knows nothing.
    pub(crate) fn at(&self, address: IpAddr) -> Whereabouts {
        let Ok(record) = self.reader.lookup(address) else { return Whereabouts::default() };
        let country = country(&record);
        let region = country.and_then(|_| first(&record, &REGION));
        let region = region.filter(|code| !code.is_empty() && code.len() <= MAX_REGION_BYTES);
        Whereabouts { country, region: region.map(str::to_owned) }
    }

    pub(crate) fn source(&self, path: &Path) -> Source {
        let metadata = self.reader.metadata();
        let seconds = i64::try_from(metadata.build_epoch).unwrap_or(i64::MAX);
        Source {
            path: path.to_owned(),
            kind: metadata.database_type.clone(),
            built: Timestamp::from_ms(seconds.saturating_mul(1_000)),
            ranges: None,
        }
    }
}

type Record<'a> = maxminddb::LookupResult<'a, Vec<u8>>;

/// What stands at the first of the paths where a text stands.
fn first<'a>(record: &Record<'a>, paths: &[&[PathElement<'_>]]) -> Option<&'a str> {
    paths.iter().find_map(|path| record.decode_path(path).ok().flatten())
}

fn country(record: &Record<'_>) -> Option<Country> {
    COUNTRY.iter().find_map(|path| first(record, &[*path])?.parse().ok())
}
