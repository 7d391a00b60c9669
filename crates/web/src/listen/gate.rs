//! Counts connections, in total and by address, and turns away who finds no place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::listen::Limits;
use crate::meter;

/// The limits, and who is inside. Clones share both.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    limits: Arc<Limits>,
    open: Mutex<Open>,
}

/// Locked twice in the life of a connection, and never while anything waits.
#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl From<Limits> for Gate {
    fn from(limits: Limits) -> Self {
        Self(Arc::new(Inside { limits: Arc::new(limits), open: Mutex::default() }))
    }
}

/// Why somebody was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    /// Every place is taken.
    Full,
    /// This address has as many as one may have.
    Greedy,
}

impl Turned {
    /// The label of the metric.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Full => "total",
            Self::Greedy => "address",
        }
    }
}

impl Gate {
    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// A place for a connection from `peer`; a trusted peer may take every place.
    pub(super) fn admit(&self, peer: IpAddr, trusted: bool) -> Result<Place, Turned> {
        let limits = self.limits();
        let counted = (!trusted).then(|| site(peer));
        let mut open = self.open();
        if open.total >= limits.max_connections {
            return Err(Turned::Full);
        }
        if let Some(address) = counted {
            let held = open.by_address.entry(address).or_default();
            // An address at its limit has connections, so its entry is not left behind by this return.
            if *held >= limits.max_connections_per_address.max(1) {
                return Err(Turned::Greedy);
            }
            *held += 1;
        }
        open.total += 1;
        meter::connections(open.total);
        Ok(Place { gate: self.clone(), counted })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Gate,
    counted: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.gate.open();
        open.total = open.total.saturating_sub(1);
        meter::connections(open.total);
        if let Some(address) = self.counted
            && let Some(held) = open.by_address.get_mut(&address)
        {
            *held -= 1;
            if *held == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

/// Who counts as one: an IPv4 address, or the /64 that one IPv6 customer has to itself.
fn site(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(max_connections: usize, max_connections_per_address: usize) -> Gate {
        Limits { max_connections, max_connections_per_address, ..Limits::default() }.into()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_its_share_and_gets_it_back() {
        let gate = gate(10, 2);
        let first = gate.admit(ip("192.0.2.1"), false).unwrap();
        let _second = gate.admit(ip("::ffff:192.0.2.1"), false).unwrap();
        assert_eq!(gate.admit(ip("192.0.2.1"), false).unwrap_err(), Turned::Greedy);
        assert!(gate.admit(ip("192.0.2.2"), false).is_ok());
        drop(first);
        assert!(gate.admit(ip("192.0.2.1"), false).is_ok());
    }

    #[test]
    fn an_ipv6_customer_is_one() {
        let gate = gate(10, 1);
        let _one = gate.admit(ip("2001:db8:1:2::1"), false).unwrap();
        assert_eq!(gate.admit(ip("2001:db8:1:2:ffff::9"), false).unwrap_err(), Turned::Greedy);
        assert!(gate.admit(ip("2001:db8:1:3::1"), false).is_ok());
    }

    #[test]
    fn a_trusted_peer_may_take_every_place_and_no_more() {
        let gate = gate(3, 1);
        let places: Vec<_> = (0..3).map(|_| gate.admit(ip("127.0.0.1"), true).unwrap()).collect();
        assert_eq!(gate.clone().admit(ip("127.0.0.1"), true).unwrap_err(), Turned::Full);
        assert_eq!(gate.admit(ip("192.0.2.1"), false).unwrap_err(), Turned::Full);
        drop(places);
        let open = gate.open();
        assert_eq!((open.total, open.by_address.len()), (0, 0));
    }
}
