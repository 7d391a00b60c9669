//! Everything a hostile partner may put into a postback URL. Each case goes through `Client::send`, must come
//! back as refused for the stated reason, and must leave every canary alone. The canaries' port is a public
//! port here, so that only the address stands between the request and the canary.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use delivery::{
    client::{Client, Lookup, Outcome, Settings},
    guard::{Guard, parse_url},
};
use proptest::prelude::*;

use crate::{
    canary::Canary,
    endpoint::{attempt, get, rules},
};

/// First, last and notable addresses of every IPv4 range.
const V4: &[&str] = &[
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.0.0.2",
    "127.1.2.3",
    "127.255.255.254",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.255.255",
    "172.16.0.0",
    "172.17.0.1",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.192",
    "192.0.0.255",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.1.1",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.254",
    "255.255.255.255",
];

/// The same for IPv6, and every way to wrap an IPv4 address.
const V6: &[&str] = &[
    "::",
    "::1",
    "::2",
    "::7f00:1",
    "::101:101",
    "::ffff:7f00:1",
    "::ffff:0:7f00:1",
    "::ffff:0:101:101",
    "1::1",
    "64:ff9a::1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:0:0:0:1:101:101",
    "64:ff9b:1::1",
    "64:ff9b:1::101:101",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::",
    "100::ffff:ffff:ffff:ffff",
    "100:0:0:1::1",
    "200::1",
    "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001::",
    "2001:0:101:101:0:0:80ff:fffe",
    "2001:1::1",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::1",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2002:101:101::1",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "4000::1",
    "5f00::1",
    "8000::1",
    "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe00::1",
    "fe80::1",
    "fe80::5efe:7f00:1",
    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::1",
    "feff::1",
    "ff00::1",
    "ff02::1",
    "ff0e::1",
];

/// URLs as they may be written, `{p}` is the canaries' port; and the code of the refusal.
const SPELLED: &[(&str, &str)] = &[
    // Numbers in other bases and lengths, all of them 127.0.0.1 or near it.
    ("http://2130706433:{p}/", "address"),
    ("http://2130706434:{p}/", "address"),
    ("http://0x7f000001:{p}/", "address"),
    ("http://0X7F000001:{p}/", "address"),
    ("http://0x000000007f000001:{p}/", "address"),
    ("http://017700000001:{p}/", "address"),
    ("http://0000017700000001:{p}/", "address"),
    ("http://127.1:{p}/", "address"),
    ("http://127.0.1:{p}/", "address"),
    ("http://127.66051:{p}/", "address"),
    ("http://127.0x10203:{p}/", "address"),
    ("http://0x7f.1:{p}/", "address"),
    ("http://0x7f.0.0.1:{p}/", "address"),
    ("http://0x7f.0x0.0x0.0x1:{p}/", "address"),
    ("http://0177.0.0.1:{p}/", "address"),
    ("http://0177.0.0.01:{p}/", "address"),
    ("http://0177.1:{p}/", "address"),
    ("http://00000177.0x.0.1:{p}/", "address"),
    ("http://127.0.0.1.:{p}/", "address"),
    ("http://127.1.:{p}/", "address"),
    ("http://0:{p}/", "address"),
    ("http://0x:{p}/", "address"),
    ("http://00:{p}/", "address"),
    ("http://0.0:{p}/", "address"),
    ("http://0.0.0:{p}/", "address"),
    ("http://2852039166:{p}/latest/meta-data/", "address"),
    ("http://0xa9fea9fe:{p}/latest/meta-data/", "address"),
    ("http://0251.0376.0251.0376:{p}/", "address"),
    ("http://169.254.43518:{p}/", "address"),
    ("http://3232235777:{p}/", "address"),
    ("http://0xc0.0xa8.0x1.0x1:{p}/", "address"),
    ("http://0300.0250.1.1:{p}/", "address"),
    ("http://192.168.257:{p}/", "address"),
    ("http://167772161:{p}/", "address"),
    ("http://012.1:{p}/", "address"),
    ("http://4294967295:{p}/", "address"),
    // Other characters that become digits and dots.
    ("http://１２７.０.０.１:{p}/", "address"),
    ("http://①②⑦.⓪.⓪.①:{p}/", "address"),
    ("http://127。0。0。1:{p}/", "address"),
    ("http://127．0．0．1:{p}/", "address"),
    ("http://127｡0｡0｡1:{p}/", "address"),
    ("http://%31%32%37.0.0.1:{p}/", "address"),
    ("http://127%2E0%2E0%2E1:{p}/", "address"),
    ("http://0%787f.1:{p}/", "address"),
    ("http://127.0.0.\u{ad}1:{p}/", "address"),
    // What a browser forgives.
    ("http:127.0.0.1:{p}/", "address"),
    ("http:/127.0.0.1:{p}/", "address"),
    ("http:///127.0.0.1:{p}/", "address"),
    ("http:\\\\127.0.0.1:{p}\\", "address"),
    ("http:////127.0.0.1:{p}/", "address"),
    ("hTTp://127.0.0.1:{p}/", "address"),
    (" http://127.0.0.1:{p}/ ", "address"),
    ("ht\ttp://127.0.\n0.1:{p}/", "address"),
    ("\u{1}http://127.0.0.1:{p}/", "address"),
    ("https://127.0.0.1:{p}/", "address"),
    ("https://[::1]:{p}/", "address"),
    // Whose host is it?
    ("http://127.0.0.1:{p}#@partner.example/", "address"),
    ("http://127.0.0.1:{p}?@partner.example/", "address"),
    ("http://127.0.0.1:{p}\\@partner.example/", "address"),
    ("http://partner.example@127.0.0.1:{p}/", "userinfo"),
    ("http://partner.example:80@127.0.0.1:{p}/", "userinfo"),
    ("http://partner.example%00@127.0.0.1:{p}/", "userinfo"),
    ("http://user@partner.example:{p}/", "userinfo"),
    ("http://user:secret@partner.example:{p}/", "userinfo"),
    ("http://:secret@partner.example:{p}/", "userinfo"),
    ("http://a@b@127.0.0.1:{p}/", "userinfo"),
    ("http://@127.0.0.1:{p}/", "address"),
    ("http://:@127.0.0.1:{p}/", "address"),
    // IPv6 written otherwise.
    ("http://[::ffff:127.0.0.1]:{p}/", "address"),
    ("http://[::FFFF:7F00:0001]:{p}/", "address"),
    ("http://[0:0:0:0:0:ffff:127.0.0.1]:{p}/", "address"),
    ("http://[0000:0000:0000:0000:0000:0000:0000:0001]:{p}/", "address"),
    ("http://[0:0:0:0:0:0:0:1]:{p}/", "address"),
    ("http://[::127.0.0.1]:{p}/", "address"),
    ("http://[64:ff9b::127.0.0.1]:{p}/", "address"),
    ("http://[2002:7f00:0001::]:{p}/", "address"),
    ("http://[::1%25lo]:{p}/", "malformed"),
    ("http://[::1%lo]:{p}/", "malformed"),
    ("http://[fe80::1%25eth0]:{p}/", "malformed"),
    ("http://[::1:{p}/", "malformed"),
    ("http://::1:{p}/", "malformed"),
    ("http://[127.0.0.1]:{p}/", "malformed"),
    ("http://[v1.7f000001]:{p}/", "malformed"),
    ("http://[]:{p}/", "malformed"),
    // Almost addresses.
    ("http://256.0.0.1:{p}/", "malformed"),
    ("http://127.0.0.256:{p}/", "malformed"),
    ("http://127.0.0.0.1:{p}/", "malformed"),
    ("http://4294967296:{p}/", "malformed"),
    ("http://0x1ffffffff:{p}/", "malformed"),
    ("http://127.0.0.0x100:{p}/", "malformed"),
    ("http://0888.0.0.1:{p}/", "malformed"),
    ("http://127.0.0.1 :{p}/", "malformed"),
    ("http://127.0.0.1%00:{p}/", "malformed"),
    ("http://127.0.0.1%20:{p}/", "malformed"),
    // No host, no URL.
    ("http://", "malformed"),
    ("http:///", "malformed"),
    ("http://:{p}/", "malformed"),
    ("http://.:{p}/", "malformed"),
    ("http://..:{p}/", "malformed"),
    ("http://@:{p}/", "malformed"),
    ("", "malformed"),
    ("/postback", "malformed"),
    ("//127.0.0.1:{p}/", "malformed"),
    ("127.0.0.1/", "malformed"),
    ("http://127.0.0.1:99999/", "malformed"),
    ("http://127.0.0.1:-1/", "malformed"),
    ("http://127.0.0.1:{p}x/", "malformed"),
    // Names that lead inside.
    ("http://localhost:{p}/", "private_name"),
    ("http://LOCALHOST:{p}/", "private_name"),
    ("http://localhost.:{p}/", "private_name"),
    ("http://localhost..:{p}/", "private_name"),
    ("http://%6cocalhost:{p}/", "private_name"),
    ("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{p}/", "private_name"),
    ("http://loc\u{ad}alhost:{p}/", "private_name"),
    ("http://a.localhost:{p}/", "private_name"),
    ("http://a.b.localhost.:{p}/", "private_name"),
    ("http://printer.local:{p}/", "private_name"),
    ("http://metadata.google.internal:{p}/computeMetadata/v1/", "private_name"),
    ("http://internal:{p}/", "private_name"),
    ("http://nas.home.arpa:{p}/", "private_name"),
    ("http://hidden.onion:{p}/", "private_name"),
    ("http://intranet:{p}/", "private_name"),
    ("http://kubernetes:{p}/", "private_name"),
    // Ports, on a public name and a public address: nothing is connected, so nothing leaves this machine.
    ("http://partner.example:22/", "port"),
    ("http://partner.example:25/", "port"),
    ("http://partner.example:6379/", "port"),
    ("http://partner.example:5432/", "port"),
    ("https://partner.example:9200/", "port"),
    ("http://partner.example:0/", "port"),
    ("http://partner.example:65535/", "port"),
    ("http://1.1.1.1:22/", "port"),
    ("http://[2606:4700:4700::1111]:22/", "port"),
    ("http://localhost:22/", "port"),
    ("http://127.0.0.1:22/", "address"),
    // Schemes.
    ("ftp://127.0.0.1:{p}/", "scheme"),
    ("file:///etc/passwd", "scheme"),
    ("file://127.0.0.1/etc/passwd", "scheme"),
    ("gopher://127.0.0.1:{p}/_GET", "scheme"),
    ("ws://127.0.0.1:{p}/", "scheme"),
    ("wss://127.0.0.1:{p}/", "scheme"),
    ("dict://127.0.0.1:{p}/", "scheme"),
    ("ldap://127.0.0.1:{p}/", "scheme"),
    ("unix:/run/secret.sock", "scheme"),
    ("http+unix://%2Frun%2Fsecret.sock/", "scheme"),
    ("jar:http://127.0.0.1:{p}!/", "scheme"),
    ("blob:http://127.0.0.1:{p}/x", "scheme"),
    ("view-source:http://127.0.0.1:{p}/", "scheme"),
    ("data:text/plain,x", "scheme"),
    ("javascript:1", "scheme"),
    ("about:blank", "scheme"),
    ("httpx://127.0.0.1:{p}/", "scheme"),
    ("127.0.0.1:{p}/", "malformed"),
    ("localhost:{p}/", "scheme"),
];

/// Every case: a URL and the code of its refusal. Each address comes as it is, wrapped, and as an answer of
/// DNS.
fn cases(port: u16) -> Vec<(String, &'static str)> {
    let mut cases = Vec::new();
    for address in V4 {
        cases.push((format!("http://{address}:{port}/"), "address"));
        cases.push((format!("http://[::ffff:{address}]:{port}/"), "address"));
        cases.push((format!("http://[64:ff9b::{address}]:{port}/"), "address"));
        cases.push((format!("http://[::{address}]:{port}/"), "address"));
        cases.push((format!("http://{}:{port}/", named(address)), "address"));
        cases.push((format!("http://{}:{port}/", named(&format!("::ffff:{address}"))), "address"));
    }
    for address in V6 {
        cases.push((format!("http://[{address}]:{port}/"), "address"));
        cases.push((format!("https://{}:{port}/", named(address)), "address"));
    }
    let port = port.to_string();
    cases.extend(SPELLED.iter().map(|(url, code)| (url.replace("{p}", &port), *code)));
    cases
}

/// A public-looking name that [`hostile_dns`] resolves to this address.
fn named(address: &str) -> String {
    let bits = match address.parse().unwrap() {
        IpAddr::V4(address) => format!("v4-{:x}", u32::from(address)),
        IpAddr::V6(address) => format!("v6-{:x}", u128::from(address)),
    };
    format!("{bits}.attacker.example")
}

/// A partner's own name server: the name says what it answers.
fn hostile_dns() -> Lookup {
    Arc::new(|name| {
        let label = name.split('.').next().unwrap().to_owned();
        Box::pin(async move {
            let address: IpAddr = match label.split_once('-') {
                Some(("v4", bits)) => Ipv4Addr::from(u32::from_str_radix(bits, 16).unwrap()).into(),
                Some(("v6", bits)) => {
                    std::net::Ipv6Addr::from(u128::from_str_radix(bits, 16).unwrap()).into()
                }
                _ => panic!("no case but the named ones may reach DNS: {name}"),
            };
            Ok(vec![SocketAddr::new(address, 0)])
        })
    })
}

/// A connection that should not be is soon given up, so that a broken guard is a failure and not a long wait.
fn impatient() -> Settings {
    Settings { total_timeout: Duration::from_millis(200), ..Settings::default() }
}

#[tokio::test]
async fn no_url_reaches_an_address_that_is_not_public() {
    let canary = Canary::everywhere();
    let guard = Guard::public().on_ports([80, 443, canary.port]);
    let client = Client::with_lookup(guard, impatient(), hostile_dns()).unwrap();
    let cases = cases(canary.port);
    assert!(cases.len() >= 200, "{} cases", cases.len());

    let mut wrong = Vec::new();
    for (url, expected) in cases {
        match attempt(&client, &url).await {
            Outcome::Refused(refused) if refused.code() == expected => {}
            other => wrong.push(format!("{url:?} should be refused as {expected}: {other:?}")),
        }
        let connections = canary.connections();
        if connections > 0 {
            wrong.push(format!("{url:?} made {connections} connections"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without this the test above could pass with canaries that hear nothing: the same spellings, once allowed,
/// arrive.
#[tokio::test]
async fn the_canaries_hear_what_is_allowed() {
    let canary = Canary::everywhere();
    let guard = Guard::public().allowing(rules(&["0.0.0.0/8", "127.0.0.0/8"]));
    let client = Client::with_lookup(guard, impatient(), hostile_dns()).unwrap();
    for host in
        ["127.0.0.1", "127.0.0.2", "127.1.2.3", "2130706433", "0", "[::ffff:7f00:1]", &named("127.0.0.1")]
    {
        let url = format!("http://{host}:{}/", canary.port);
        let outcome = attempt(&client, &url).await;
        assert!(matches!(outcome, Outcome::Failed { .. }), "a canary accepts and says nothing: {outcome:?}");
        assert_eq!(canary.connections(), 1, "{url}");
    }
}

/// An IPv4 address as `inet_aton` reads it: one to four parts, each decimal, octal or hexadecimal.
fn spellings() -> impl Strategy<Value = (Ipv4Addr, String)> {
    let parts = prop::collection::vec(0..3_u8, 1..=4);
    (any::<u32>(), 0..V4.len(), parts).prop_map(|(noise, range, bases)| {
        let base: Ipv4Addr = V4[range].parse().unwrap();
        // Stays inside every range of the table that is not a single address.
        let address = if range < 15 { Ipv4Addr::from(u32::from(base) & !0xff | noise & 0xff) } else { base };
        (address, spell(address, &bases))
    })
}

fn spell(address: Ipv4Addr, bases: &[u8]) -> String {
    let octets = address.octets();
    let (last_base, first_bases) = bases.split_last().unwrap();
    let rest = octets[first_bases.len()..].iter().fold(0_u32, |value, octet| value << 8 | u32::from(*octet));
    let first = octets.iter().map(|octet| u32::from(*octet)).zip(first_bases);
    let numbers = first.chain(std::iter::once((rest, last_base)));
    let spelled = numbers.map(|(value, base)| match base {
        0 => value.to_string(),
        1 => format!("0{value:o}"),
        _ => format!("0x{value:x}"),
    });
    spelled.collect::<Vec<_>>().join(".")
}

proptest! {
    #[test]
    fn no_spelling_of_a_private_address_passes((address, spelled) in spellings()) {
        let url = get(&format!("http://{spelled}/")).url;
        prop_assert_eq!(url.host_str().map(str::to_owned), Some(address.to_string()));
        let refused = Guard::public().check_url(&url);
        prop_assert_eq!(refused.map_err(|refused| refused.code()), Err("address"), "{}", spelled);
    }

    /// Whatever text a partner saves: if it passes and has an address as its host, that address is public.
    #[test]
    fn whatever_passes_is_public(text in "https?:/{0,3}[0-9a-fx.:\\[\\]@%]{1,24}(:80)?/?") {
        if let Ok(url) = parse_url(&text) && Guard::public().check_url(&url).is_ok() {
            let address = match url.host() {
                Some(url::Host::Ipv4(address)) => Some(IpAddr::from(address)),
                Some(url::Host::Ipv6(address)) => Some(IpAddr::from(address)),
                _ => None,
            };
            prop_assert_eq!(address.and_then(delivery::ranges::not_public), None, "{}", text);
        }
    }
}
