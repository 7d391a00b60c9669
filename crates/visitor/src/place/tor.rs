//! Countries from the text files that come with Tor: `first,last,CC` a line, IPv4 as numbers, IPv6 as addresses.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::path::Path;

use domain::time::Timestamp;
use domain::visitor::Country;

use crate::Error;
use crate::about::Source;
use crate::ranges::{Number, Ranges};
use crate::watch::Content;

/// One of the files.
pub(crate) struct Table<A> {
    ranges: Ranges<A, Country>,
    built: Timestamp,
}

#[expect(clippy::needless_pass_by_value, reason = "of all that are watched, one keeps the bytes")]
pub(crate) fn parse_v4(content: Content<'_>) -> Result<Table<u32>, Error> {
    Table::parse(&content, |text| text.parse().ok())
}

#[expect(clippy::needless_pass_by_value, reason = "of all that are watched, one keeps the bytes")]
pub(crate) fn parse_v6(content: Content<'_>) -> Result<Table<u128>, Error> {
    Table::parse(&content, |text| text.parse().ok().map(Ipv6Addr::to_bits))
}

impl<A: Number> Table<A> {
    /// Lines that are none of ours are passed over: the format is the Tor project's, and may grow.
    fn parse(content: &Content<'_>, number: fn(&str) -> Option<A>) -> Result<Self, Error> {
        let mut codes = HashMap::new();
        let mut found = Vec::new();
        let mut built = None;
        for line in content.bytes.split(|byte| *byte == b'\n') {
            let Ok(line) = str::from_utf8(line) else { continue };
            if let Some(remark) = line.strip_prefix('#') {
                built = built.or_else(|| date(remark));
                continue;
            }
            let mut fields = line.trim_end().split(',');
            let (Some(first), Some(last)) = (fields.next().and_then(number), fields.next().and_then(number))
            else {
                continue;
            };
            let code = fields.next().unwrap_or_default();
            // Half a million lines name 250 countries; `??` is none.
            let country = *codes.entry(code).or_insert_with(|| code.parse::<Country>().ok());
            found.extend(country.map(|country| (first, last, country)));
        }
        if found.is_empty() {
            return Err(Error::NoCountry { path: content.path.to_owned() });
        }
        Ok(Self { ranges: Ranges::new(found), built: built.unwrap_or(content.modified) })
    }

    pub(crate) fn at(&self, address: A) -> Option<Country> {
        self.ranges.at(address)
    }

    pub(crate) fn source(&self, path: &Path) -> Source {
        Source {
            path: path.to_owned(),
            kind: "Tor".to_owned(),
            built: self.built,
            ranges: Some(self.ranges.count()),
        }
    }
}

/// The date of a remark like `Generated: Thu, 25 Jun 2026 04:33:59 GMT`.
fn date(remark: &str) -> Option<Timestamp> {
    let text = remark.trim().strip_prefix("Generated:")?;
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Timestamp::from_ms(date.timestamp().as_millisecond()))
}
