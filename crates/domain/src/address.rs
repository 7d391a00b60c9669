//! Which client address a request is counted for, and which addresses a list allows.

use std::net::IpAddr;

use ipnet::IpNet;

/// Whether one of the ranges holds the address. A v4 address written as v6 (`::ffff:1.2.3.4`) counts as v4.
pub fn contains(ranges: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    ranges.iter().any(|range| range.contains(&address))
}

/// The client's address: the peer, or, when the peer is one of our proxies, the right-most address of
/// `X-Forwarded-For` that is not one of them. A header that cannot be read stops the walk at the last good
/// address.
pub fn client(peer: IpAddr, forwarded_for: Option<&str>, proxies: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    let hops = forwarded_for.unwrap_or("").rsplit(',').map(str::trim);
    for hop in hops {
        if !contains(proxies, client) {
            break;
        }
        let Ok(address) = hop.parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}
