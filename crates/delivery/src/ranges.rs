//! The addresses that are not somebody's public server: the IANA special-purpose registries for IPv4 and
//! IPv6, the older reservations that those pages no longer list, and the well-known metadata addresses of
//! cloud platforms.
//!
//! The registries mark a few special-purpose blocks as globally reachable (anycast for AS112, AMT, PCP and
//! the like). They are refused here as well: nobody receives a postback on them, and a shorter rule is easier
//! to trust.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// One block of addresses that is not public, and the words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<Net> {
    /// The block.
    pub net: Net,
    /// What the block is for, as it reads after "is in": "loopback (127.0.0.0/8)".
    pub name: &'static str,
}

const fn v4(octets: [u8; 4], prefix_len: u8, name: &'static str) -> Range<Ipv4Net> {
    Range { net: Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), prefix_len), name }
}

const fn v6(segments: [u16; 8], prefix_len: u8, name: &'static str) -> Range<Ipv6Net> {
    Range { net: Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), prefix_len), name }
}

/// Every IPv4 block that is refused. The first match names it, so single addresses stand before their block.
pub const V4: &[Range<Ipv4Net>] = &[
    v4([169, 254, 169, 254], 32, "cloud metadata (169.254.169.254)"),
    v4([169, 254, 170, 2], 32, "cloud container credentials (169.254.170.2)"),
    v4([100, 100, 100, 200], 32, "cloud metadata (100.100.100.200)"),
    v4([192, 0, 0, 192], 32, "cloud metadata (192.0.0.192)"),
    v4([168, 63, 129, 16], 32, "cloud platform services (168.63.129.16)"),
    v4([255, 255, 255, 255], 32, "limited broadcast (255.255.255.255)"),
    v4([0, 0, 0, 0], 8, "\"this network\" (0.0.0.0/8)"),
    v4([10, 0, 0, 0], 8, "private use (10.0.0.0/8)"),
    v4([100, 64, 0, 0], 10, "shared address space of carriers (100.64.0.0/10)"),
    v4([127, 0, 0, 0], 8, "loopback (127.0.0.0/8)"),
    v4([169, 254, 0, 0], 16, "link-local (169.254.0.0/16)"),
    v4([172, 16, 0, 0], 12, "private use (172.16.0.0/12)"),
    v4([192, 0, 0, 0], 24, "IETF protocol assignments (192.0.0.0/24)"),
    v4([192, 0, 2, 0], 24, "documentation (192.0.2.0/24)"),
    v4([192, 31, 196, 0], 24, "AS112 (192.31.196.0/24)"),
    v4([192, 52, 193, 0], 24, "AMT (192.52.193.0/24)"),
    v4([192, 88, 99, 0], 24, "6to4 relays (192.88.99.0/24)"),
    v4([192, 168, 0, 0], 16, "private use (192.168.0.0/16)"),
    v4([192, 175, 48, 0], 24, "AS112 (192.175.48.0/24)"),
    v4([198, 18, 0, 0], 15, "benchmarking (198.18.0.0/15)"),
    v4([198, 51, 100, 0], 24, "documentation (198.51.100.0/24)"),
    v4([203, 0, 113, 0], 24, "documentation (203.0.113.0/24)"),
    v4([224, 0, 0, 0], 4, "multicast (224.0.0.0/4)"),
    v4([240, 0, 0, 0], 4, "reserved (240.0.0.0/4)"),
];

/// Every IPv6 block that is refused. It ends with everything outside `2000::/3`, because only that is handed
/// out for use on the internet: a block that is invented tomorrow is refused until it is looked at.
pub const V6: &[Range<Ipv6Net>] = &[
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified (::)"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback (::1)"),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, "cloud metadata (fd00:ec2::254)"),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128, "cloud container credentials (fd00:ec2::23)"),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, "cloud metadata (fd20:ce::254)"),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "IPv4-mapped (::ffff:0:0/96)"),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "IPv4-translated (::ffff:0:0:0/96)"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, "IPv4-compatible (::/96)"),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local IPv4/IPv6 translation (64:ff9b:1::/48)"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard-only (100::/64)"),
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, "dummy prefix (100:0:0:1::/64)"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo (2001::/32)"),
    v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "benchmarking (2001:2::/48)"),
    v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28, "ORCHID (2001:10::/28)"),
    v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, "ORCHIDv2 (2001:20::/28)"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "IETF protocol assignments (2001::/23)"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation (2001:db8::/32)"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4 (2002::/16)"),
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, "AS112 (2620:4f:8000::/48)"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation (3fff::/20)"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing (5f00::/16)"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique local (fc00::/7)"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local (fe80::/10)"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local (fec0::/10)"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast (ff00::/8)"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 3, "reserved (::/3)"),
    v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2, "reserved (4000::/2)"),
    v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 1, "reserved (8000::/1)"),
];

/// `64:ff9b::/96`, through which an IPv6-only host reaches the whole IPv4 internet (RFC 6052).
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// The name of the non-public range that holds `address`, or `None` when it is public.
///
/// An IPv4-mapped address is judged as the IPv4 address that the kernel would connect to, and an address
/// behind the well-known NAT64 prefix as the IPv4 address behind the translator. Every other way to wrap an
/// IPv4 address in an IPv6 one (compatible, translated, 6to4, Teredo, local NAT64) is refused whatever it
/// wraps.
///
/// ```
/// use delivery::ranges::not_public;
///
/// let address = |text: &str| text.parse().unwrap();
/// assert_eq!(not_public(address("1.1.1.1")), None);
/// assert_eq!(not_public(address("::ffff:10.0.0.1")), Some("private use (10.0.0.0/8)"));
/// ```
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => v4_not_public(address),
        IpAddr::V6(address) if NAT64.contains(&address) => v4_not_public(last_four_bytes(address)),
        IpAddr::V6(address) => V6.iter().find(|range| range.net.contains(&address)).map(|range| range.name),
    }
}

fn v4_not_public(address: Ipv4Addr) -> Option<&'static str> {
    V4.iter().find(|range| range.net.contains(&address)).map(|range| range.name)
}

fn last_four_bytes(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::from_octets([a, b, c, d])
}
