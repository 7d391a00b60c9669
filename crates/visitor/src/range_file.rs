//! The operator's list of addresses that only bots have.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use domain::time::Timestamp;
use ipnet::{IpNet, Ipv4Net};

use crate::Error;
use crate::about::Source;
use crate::ranges::Ranges;
use crate::watch::Content;

/// How many characters of a line that cannot be read are repeated.
const SHOWN: usize = 60;

/// The list.
pub(crate) struct RangeFile {
    v4: Ranges<u32, ()>,
    v6: Ranges<u128, ()>,
    modified: Timestamp,
}

impl RangeFile {
    /// One CIDR block or address a line; `#` begins a remark.
    #[expect(clippy::needless_pass_by_value, reason = "of all that are watched, one keeps the bytes")]
    pub(crate) fn parse(content: Content<'_>) -> Result<Self, Error> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let text = String::from_utf8_lossy(&content.bytes);
        for (at, line) in text.lines().enumerate() {
            let range = line.split('#').next().unwrap_or_default().trim();
            if range.is_empty() {
                continue;
            }
            let fault = || Error::NotARange {
                path: content.path.to_owned(),
                line: at + 1,
                text: range.chars().take(SHOWN).collect(),
            };
            match plain(read(range).ok_or_else(fault)?) {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits(), ())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits(), ())),
            }
        }
        Ok(Self { v4: Ranges::new(v4), v6: Ranges::new(v6), modified: content.modified })
    }

    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.at(address.to_bits()).is_some(),
            IpAddr::V6(address) => self.v6.at(address.to_bits()).is_some(),
        }
    }

    pub(crate) fn source(&self, path: &Path) -> Source {
        Source {
            path: path.to_owned(),
            kind: "list".to_owned(),
            built: self.modified,
            ranges: Some(self.v4.count() + self.v6.count()),
        }
    }
}

fn read(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// IPv4 in IPv6 clothes is IPv4, as an address is when it is looked up.
fn plain(net: IpNet) -> IpNet {
    let IpNet::V6(own) = net else { return net };
    let v4 = Ipv6Addr::to_ipv4_mapped(&own.network()).zip(own.prefix_len().checked_sub(96));
    let v4 = v4.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    v4.map_or(net, IpNet::V4)
}
