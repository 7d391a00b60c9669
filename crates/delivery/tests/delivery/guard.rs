//! The guard by itself: where the ranges end, and what an allow-list entry opens.

use std::net::{IpAddr, SocketAddr};

use delivery::{
    guard::{AllowRule, Guard, MAX_URL_BYTES, Refused, parse_url},
    ranges::{V4, V6, not_public},
};
use ipnet::IpNet;

use crate::endpoint::rules;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn allowing(entries: &[&str]) -> Guard {
    Guard::public().allowing(rules(entries))
}

#[test]
fn every_range_is_refused_from_its_first_to_its_last_address() {
    let nets = V4.iter().map(|range| IpNet::V4(range.net)).chain(V6.iter().map(|range| IpNet::V6(range.net)));
    for net in nets {
        for address in [net.network(), net.broadcast()] {
            assert!(not_public(address).is_some(), "{address} in {net}");
        }
    }
}

/// The neighbours of each range, so that a range that grew by a bit is noticed as well as one that shrank.
#[test]
fn the_addresses_beside_the_ranges_are_public() {
    for address in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.1.255",
        "192.0.3.0",
        "192.31.195.255",
        "192.31.197.0",
        "192.52.192.255",
        "192.52.194.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "192.175.47.255",
        "192.175.49.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db9::",
        "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2003::",
        "2606:4700:4700::1111",
        "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
        "2620:4f:8001::",
        "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff:1000::",
        "64:ff9b::101:101",
        "::ffff:1.1.1.1",
    ] {
        assert_eq!(not_public(ip(address)), None, "{address}");
        let guard = Guard::public();
        assert_eq!(guard.check_addr(SocketAddr::new(ip(address), 443)), Ok(()), "{address}");
    }
}

#[test]
fn public_urls_pass() {
    for url in [
        "https://partner.example/postback?click=1",
        "http://partner.example:80/",
        "https://partner.example:8443/",
        "http://partner.example:8080/",
        "HTTPS://PARTNER.EXAMPLE./x",
        "https://1.1.1.1/",
        "https://[2606:4700:4700::1111]/",
        "https://localhost.partner.example/",
        "https://notlocalhost.example/",
        "https://partner.notlocalhost/",
        "https://partner.nonlocal/",
        "https://partner.away-from-home.arpa/",
        "https://internal.partner.example/",
        "https://bücher.example/",
        "https://@partner.example/",
    ] {
        assert_eq!(Guard::public().check_url(&parse_url(url).unwrap()), Ok(()), "{url}");
    }
}

#[test]
fn public_ports_are_configured() {
    let url = |port| parse_url(&format!("https://partner.example:{port}/")).unwrap();
    let guard = Guard::public().on_ports([443, 9443]);
    assert_eq!(guard.check_url(&url(9443)), Ok(()));
    assert_eq!(guard.check_url(&url(8443)), Err(Refused::Port { port: 8443, public_ports: vec![443, 9443] }));
    assert!(Guard::public().check_url(&url(9443)).is_err());
}

#[test]
fn the_longest_url_is_the_longest() {
    let url = |bytes: usize| format!("https://partner.example/{}", "x".repeat(bytes - 24));
    assert!(parse_url(&url(MAX_URL_BYTES)).is_ok());
    assert_eq!(parse_url(&url(MAX_URL_BYTES + 1)), Err(Refused::TooLong { bytes: MAX_URL_BYTES + 1 }));
    // Encoding can lengthen a text that was short enough.
    let grows = parse_url(&format!("https://partner.example/{}", "é".repeat(MAX_URL_BYTES / 3))).unwrap();
    assert!(matches!(Guard::public().check_url(&grows), Err(Refused::TooLong { .. })));
}

/// Entry, what it opens, what it leaves closed.
const OPENINGS: &[(&str, &[&str], &[&str])] = &[
    ("127.0.0.1", &["127.0.0.1:1", "127.0.0.1:9000"], &["127.0.0.2:9000", "[::1]:9000", "128.0.0.1:9000"]),
    ("127.0.0.1:9000", &["127.0.0.1:9000", "[::ffff:127.0.0.1]:9000"], &["127.0.0.1:80", "127.0.0.2:9000"]),
    ("127.0.0.1/32:9000", &["127.0.0.1:9000"], &["127.0.0.1:9001", "127.0.0.0:9000"]),
    (
        "10.0.0.0/8",
        &["10.0.0.0:22", "10.255.255.255:443"],
        &[
            "9.255.255.255:22",
            "11.0.0.0:22",
            "[::10.0.0.1]:80",
            "[64:ff9b::10.0.0.1]:80",
            "[2002:a00:1::]:80",
        ],
    ),
    ("10.1.0.0/16:8080", &["10.1.255.255:8080"], &["10.2.0.0:8080", "10.1.0.1:80"]),
    (" 10.1.2.3 ", &["10.1.2.3:80"], &["10.1.2.4:80"]),
    ("::1", &["[::1]:9000", "[::1]:80"], &["127.0.0.1:9000", "[::2]:80"]),
    ("[::1]", &["[::1]:9000"], &["[::2]:9000"]),
    ("[::1]:8080", &["[::1]:8080"], &["[::1]:80", "127.0.0.1:8080"]),
    ("fd00::/8", &["[fd00:ec2::254]:80"], &["[fc00::1]:80", "[fe80::1]:80"]),
    ("[fd00::/8]:443", &["[fd12::1]:443"], &["[fd12::1]:80"]),
    ("0.0.0.0/0:9000", &["10.0.0.1:9000", "1.1.1.1:9000"], &["10.0.0.1:80", "[::1]:9000"]),
    ("1.1.1.1:9999", &["1.1.1.1:9999", "1.1.1.1:443"], &["1.0.0.1:9999"]),
];

#[test]
fn an_allow_list_entry_opens_exactly_what_it_names() {
    for (entry, open, closed) in OPENINGS {
        let guard = allowing(&[entry]);
        for address in *open {
            assert_eq!(guard.check_addr(address.parse().unwrap()), Ok(()), "{entry} opens {address}");
            let url = parse_url(&format!("http://{address}/")).unwrap();
            assert_eq!(guard.check_url(&url), Ok(()), "{entry} opens {url}");
        }
        for address in *closed {
            assert!(guard.check_addr(address.parse().unwrap()).is_err(), "{entry} leaves {address} closed");
            let url = parse_url(&format!("http://{address}/")).unwrap();
            assert!(guard.check_url(&url).is_err(), "{entry} leaves {url} closed");
        }
        let again: AllowRule = entry.parse::<AllowRule>().unwrap().to_string().parse().unwrap();
        assert_eq!(again, entry.parse().unwrap(), "{entry} is written as it is read");
    }
}

#[test]
fn several_entries_open_the_sum() {
    let guard = allowing(&["10.0.0.1:80", "[::1]:81"]);
    let open = |address: &str| guard.check_addr(address.parse().unwrap()).is_ok();
    assert!(open("10.0.0.1:80") && open("[::1]:81"));
    assert!(!open("10.0.0.1:81") && !open("[::1]:80"));
}

#[test]
fn private_names_are_asked_about_only_where_the_allow_list_opens_the_port() {
    let guard = allowing(&["10.0.0.1:8080"]);
    let check = |text| guard.check_url(&parse_url(text).unwrap());
    assert_eq!(check("http://tracker.internal:8080/"), Ok(()));
    assert_eq!(check("http://localhost:8080/"), Ok(()));
    assert!(matches!(check("http://tracker.internal:80/"), Err(Refused::PrivateName { .. })));
    assert!(matches!(check("http://tracker.internal:81/"), Err(Refused::Port { .. })));
}

#[test]
fn a_wrong_entry_is_named_with_what_to_write() {
    for (entry, says) in [
        ("", "neither an IP address nor a CIDR block"),
        ("localhost:9000", "host names are not accepted"),
        ("partner.example", "host names are not accepted"),
        ("http://10.0.0.1", "neither an IP address nor a CIDR block"),
        ("10.0.0.0/33", "neither an IP address nor a CIDR block"),
        ("10.0.0", "neither an IP address nor a CIDR block"),
        ("010.0.0.1", "neither an IP address nor a CIDR block"),
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("fd00::1/8", "write fd00::/8"),
        ("127.0.0.1:0", "from 1 to 65535"),
        ("127.0.0.1:65536", "from 1 to 65535"),
        ("127.0.0.1:", "from 1 to 65535"),
        ("127.0.0.1:http", "from 1 to 65535"),
        ("[::1", "brackets"),
        ("[::1]8080", "brackets"),
        ("[::1]:", "from 1 to 65535"),
        ("::ffff:10.0.0.1", "write the IPv4 address"),
        ("::ffff:0:0/96", "write the IPv4 address"),
        ("fe80::1%eth0", "neither an IP address nor a CIDR block"),
    ] {
        let error = entry.parse::<AllowRule>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("allow-list entry `{entry}`: ")), "{error}");
        assert!(error.contains(says), "{entry}: {error}");
    }
}

#[test]
fn a_refusal_names_the_thing_the_reason_and_the_next_step() {
    let refusal = |text| Guard::public().check_url(&parse_url(text).unwrap()).unwrap_err().to_string();
    assert_eq!(
        refusal("http://0x7f.1:8080/"),
        "127.0.0.1:8080 is not public, it is in loopback (127.0.0.0/8); \
         to call it, add `127.0.0.1:8080` to the allow-list"
    );
    assert_eq!(
        refusal("http://db.internal./"),
        "`db.internal` is not a public name: it is reserved for private networks (ICANN); \
         to call it, name its address in the allow-list"
    );
    assert!(refusal("http://a.example:22/").starts_with("port 22 is not one of the public ports [80, 443, "));
}

/// What the text suggests to the operator must do what it says.
#[test]
fn the_entry_that_a_refusal_suggests_opens_the_address() {
    for url in ["http://10.1.2.3/", "https://[fd00::7]/", "http://[::1]:8080/", "http://[64:ff9b::a00:1]/"] {
        let url = parse_url(url).unwrap();
        let text = Guard::public().check_url(&url).unwrap_err().to_string();
        let (_, suggestion) = text.split_once("add `").unwrap();
        let (entry, _) = suggestion.split_once('`').unwrap();
        assert_eq!(allowing(&[entry]).check_url(&url), Ok(()), "{text}");
    }
}

/// A partner reads this in its delivery log; it must not learn what the operator's DNS says.
#[test]
fn a_partner_is_not_told_what_dns_answered() {
    let inside = Guard::public().check_addr("10.1.2.3:443".parse().unwrap()).unwrap_err();
    let nowhere = Guard::public().check_url(&parse_url("https://db.internal/").unwrap()).unwrap_err();
    assert_eq!(inside.for_partner(), nowhere.for_partner());
    assert!(!inside.for_partner().contains("10.1.2.3"));
}
