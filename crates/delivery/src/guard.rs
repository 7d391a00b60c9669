//! Which addresses may be called.
//!
//! A partner types the URL of its postback, and we call it from inside the operator's network: without a
//! guard that is a free ticket to every admin page, metadata service and database that trusts its neighbours.
//! The rule is short:
//!
//! 1. `http` or `https`, no user name or password in the URL, at most [`MAX_URL_BYTES`];
//! 2. a public address (see [`crate::ranges`]) on one of the public ports, by default [`PUBLIC_PORTS`];
//! 3. or an address and port that the operator's allow-list names. Nothing else.
//!
//! **An address is judged, not a name.** A name is whatever its owner's DNS server says this second, so the
//! guard sees each address right before the connection is made to that very address ([`Guard::check_addr`],
//! called by the resolver inside [`crate::client`]); the answer to a second lookup never matters because
//! there is none. [`Guard::check_url`] is the part that needs no DNS: it sees everything a URL says by
//! itself, including addresses written as such in any spelling (`http://2130706433`, `http://0x7f.1`,
//! `http://[::ffff:7f00:1]`), which a resolver is never asked about.
//!
//! Names that can only lead inside (`localhost`, `*.internal`, a name without a dot, …) are refused before
//! DNS is asked, unless the allow-list opens some address on that port; then their addresses decide, like any
//! other's.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;
use url::{Host, Url};

use crate::ranges::not_public;

/// The ports on which any public address may be called, unless the operator configures others.
pub const PUBLIC_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// The longest URL that is sent, in bytes. A template with all its sub parameters at full length,
/// percent-encoded, is about 25 KB.
pub const MAX_URL_BYTES: usize = 32 * 1024;

/// Name endings that never lead to the public internet, each with who says so.
const PRIVATE_SUFFIXES: [(&str, &str); 5] = [
    ("localhost", "it names this machine (RFC 6761)"),
    ("local", "it is a multicast DNS name (RFC 6762)"),
    ("internal", "it is reserved for private networks (ICANN)"),
    ("home.arpa", "it is reserved for home networks (RFC 8375)"),
    ("onion", "it is not part of the DNS (RFC 7686)"),
];

/// Decides which URLs and addresses may be called; see the [module](self) for the rule.
///
/// ```
/// use delivery::guard::{Guard, parse_url};
///
/// let guard = Guard::public().allowing(["127.0.0.1:9000".parse().unwrap()]);
/// let allowed = |text| parse_url(text).and_then(|url| guard.check_url(&url)).is_ok();
/// assert!(allowed("https://partner.example/postback?id=1"));
/// assert!(allowed("http://127.0.0.1:9000/postback"));
/// assert!(!allowed("http://127.0.0.1:9001/postback"));
/// assert!(!allowed("http://0x7f.1/"));
/// ```
#[derive(Debug, Clone)]
pub struct Guard {
    allow: Vec<AllowRule>,
    public_ports: Vec<u16>,
}

impl Guard {
    /// Public addresses on [`PUBLIC_PORTS`], and nothing else.
    pub fn public() -> Self {
        Self { allow: Vec::new(), public_ports: PUBLIC_PORTS.to_vec() }
    }

    /// Opens what these entries of the operator's allow-list name, besides what is open already.
    pub fn allowing(mut self, rules: impl IntoIterator<Item = AllowRule>) -> Self {
        self.allow.extend(rules);
        self
    }

    /// Replaces the ports on which public addresses may be called. The allow-list is not affected.
    pub fn on_ports(mut self, public_ports: impl IntoIterator<Item = u16>) -> Self {
        self.public_ports = public_ports.into_iter().collect();
        self
    }

    /// Checks everything that can be known without DNS. `Ok` for a URL with a host *name* means "ask DNS,
    /// then [`Guard::check_addr`]"; `Ok` for a URL with an address means that the address may be called.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        check_length(url.as_str())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme { scheme: url.scheme().to_owned() });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Userinfo);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_addr((address, port).into()),
            Some(Host::Ipv6(address)) => self.check_addr((address, port).into()),
            Some(Host::Domain(name)) => self.check_name(name, port),
            None => Err(Refused::Malformed { why: "it has no host".to_owned() }),
        }
    }

    /// Checks one address, right before it is connected to. Flow label and zone of an IPv6 address change
    /// nothing.
    pub fn check_addr(&self, address: SocketAddr) -> Result<(), Refused> {
        if self.allow.iter().any(|rule| rule.opens(address)) {
            return Ok(());
        }
        if let Some(range) = not_public(address.ip()) {
            return Err(Refused::Address { address, range });
        }
        self.check_public_port(address.port())
    }

    fn check_name(&self, name: &str, port: u16) -> Result<(), Refused> {
        let name = name.trim_end_matches('.');
        if name.is_empty() {
            return Err(Refused::Malformed { why: "its host is empty".to_owned() });
        }
        if self.allow.iter().any(|rule| rule.opens_port(port)) {
            return Ok(());
        }
        self.check_public_port(port)?;
        match private_name(name) {
            Some(why) => Err(Refused::PrivateName { name: name.to_owned(), why }),
            None => Ok(()),
        }
    }

    fn check_public_port(&self, port: u16) -> Result<(), Refused> {
        if self.public_ports.contains(&port) {
            return Ok(());
        }
        Err(Refused::Port { port, public_ports: self.public_ports.clone() })
    }
}

/// Reads a URL as it will be sent. Fails with [`Refused::Malformed`] or [`Refused::TooLong`].
pub fn parse_url(text: &str) -> Result<Url, Refused> {
    check_length(text)?;
    Url::parse(text).map_err(|error| Refused::Malformed { why: error.to_string() })
}

fn check_length(url: &str) -> Result<(), Refused> {
    if url.len() > MAX_URL_BYTES {
        return Err(Refused::TooLong { bytes: url.len() });
    }
    Ok(())
}

fn private_name(name: &str) -> Option<&'static str> {
    if !name.contains('.') && name != "localhost" {
        return Some("a name without a dot is looked up inside the operator's own network");
    }
    let ends_with = |suffix: &str| {
        name.strip_suffix(suffix).is_some_and(|labels| labels.is_empty() || labels.ends_with('.'))
    };
    PRIVATE_SUFFIXES.iter().find(|(suffix, _)| ends_with(suffix)).map(|(_, why)| *why)
}

/// Why a URL or an address is not called. Its text names the thing, the reason and what the operator can do;
/// it may contain an address from the operator's own DNS, so a partner is shown [`Refused::for_partner`]
/// instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The text is not an absolute URL with a host.
    #[error("not a usable URL: {why}; write it as https://host/path")]
    Malformed {
        /// What the parser says.
        why: String,
    },
    /// The URL is longer than [`MAX_URL_BYTES`].
    #[error(
        "the URL is {bytes} bytes long, at most {MAX_URL_BYTES} are sent; pass fewer or shorter parameters"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The scheme is neither http nor https.
    #[error("the scheme `{scheme}` is not called; use http or https")]
    Scheme {
        /// The scheme, lower case.
        scheme: String,
    },
    /// The URL carries a user name or password.
    #[error("a user name or password in the URL is not sent; pass a secret as a query parameter")]
    Userinfo,
    /// The port is not open for public addresses.
    #[error(
        "port {port} is not one of the public ports {public_ports:?}; to call it, add it to the public ports \
             or name the address with this port in the allow-list"
    )]
    Port {
        /// The port of the URL.
        port: u16,
        /// The ports that are open.
        public_ports: Vec<u16>,
    },
    /// The host name can only lead inside.
    #[error("`{name}` is not a public name: {why}; to call it, name its address in the allow-list")]
    PrivateName {
        /// The host, without its trailing dot.
        name: String,
        /// Who says so.
        why: &'static str,
    },
    /// The address, written in the URL or answered by DNS, is not public.
    #[error("{address} is not public, it is in {range}; to call it, add `{address}` to the allow-list")]
    Address {
        /// The address that would have been connected to.
        address: SocketAddr,
        /// The range it is in.
        range: &'static str,
    },
}

impl Refused {
    /// A stable word for logs and metrics: one of seven.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::TooLong { .. } => "too_long",
            Self::Scheme { .. } => "scheme",
            Self::Userinfo => "userinfo",
            Self::Port { .. } => "port",
            Self::PrivateName { .. } => "private_name",
            Self::Address { .. } => "address",
        }
    }

    /// The text for the partner who set the URL. It repeats nothing that DNS answered: a name inside the
    /// operator's network must not be told apart from one that is merely not public.
    pub fn for_partner(&self) -> String {
        match self {
            Self::Port { port, public_ports } => {
                format!("port {port} cannot be called, use one of {public_ports:?}")
            }
            Self::PrivateName { .. } | Self::Address { .. } => {
                "the host does not lead to a public address; use the address of a server on the internet"
                    .to_owned()
            }
            other => other.to_string(),
        }
    }
}

/// One entry of the operator's allow-list: an address or a CIDR block, and a port or all ports.
///
/// `127.0.0.1`, `127.0.0.1:9000`, `10.0.0.0/8`, `10.1.0.0/16:8080`, `::1`, `[::1]:8080`, `fd00::/8`,
/// `[fd00::/8]:443`. An entry opens exactly the addresses and the port it names, without a port every port.
/// Names are not accepted: what a name means is decided elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowRule {
    net: IpNet,
    port: Option<u16>,
}

impl AllowRule {
    /// Whether this entry names `address`. An IPv4-mapped address is the IPv4 address it maps to.
    fn opens(&self, address: SocketAddr) -> bool {
        self.net.contains(&address.ip().to_canonical()) && self.opens_port(address.port())
    }

    fn opens_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.net, self.port) {
            (net, None) => write!(out, "{net}"),
            (IpNet::V4(net), Some(port)) => write!(out, "{net}:{port}"),
            (IpNet::V6(net), Some(port)) => write!(out, "[{net}]:{port}"),
        }
    }
}

impl FromStr for AllowRule {
    type Err = BadAllowRule;

    fn from_str(entry: &str) -> Result<Self, BadAllowRule> {
        let bad = |why: &str| BadAllowRule { entry: entry.to_owned(), why: why.to_owned() };
        let (net, port) = split_port(entry.trim()).ok_or_else(|| bad("brackets do not match"))?;
        let net = parse_net(net).map_err(|why| bad(&why))?;
        let port = match port.map(u16::from_str) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(bad("the port must be a number from 1 to 65535")),
        };
        Ok(Self { net, port })
    }
}

/// Splits `net:port`. An IPv6 net needs brackets to have a port, since its own colons cannot be told from the
/// port's.
fn split_port(entry: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = entry.strip_prefix('[') {
        let (net, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((net, Some(port))),
            None => after.is_empty().then_some((net, None)),
        };
    }
    match entry.split_once(':') {
        Some((net, port)) if !port.contains(':') => Some((net, Some(port))),
        _ => Some((entry, None)),
    }
}

fn parse_net(text: &str) -> Result<IpNet, String> {
    let net = match IpNet::from_str(text) {
        Ok(net) => net,
        Err(_) => IpAddr::from_str(text).map(IpNet::from).map_err(|_| {
            format!("`{text}` is neither an IP address nor a CIDR block; host names are not accepted")
        })?,
    };
    if net.trunc() != net {
        return Err(format!("the address has bits outside its block; write {}", net.trunc()));
    }
    match net {
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => {
            Err("an IPv4-mapped address is judged as IPv4; write the IPv4 address".to_owned())
        }
        net => Ok(net),
    }
}

/// An allow-list entry that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allow-list entry `{entry}`: {why}")]
pub struct BadAllowRule {
    /// The entry as written.
    pub entry: String,
    /// What is wrong with it, and what to write instead.
    pub why: String,
}
