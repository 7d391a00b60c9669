//! How often somebody may try to log in. Counted by where they come from, and by the account that they try from an
//! address that it was never used from: whoever guesses a password from elsewhere does not lock its owner out.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

use domain::id::{NetworkId, UserId};
use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// The most keys that are remembered of a kind; those that would be let through anyway are forgotten first.
const MOST: usize = 50_000;

/// Attempts of one address: ten people behind it who mistype are let through.
const OF_ADDRESS: (u32, u32) = (30, 10);
/// Attempts on one account from addresses that it was never used from.
const OF_ACCOUNT: (u32, u32) = (10, 1);
/// Codes of a second factor: of a million three are right at any time.
const OF_CODE: (u32, u32) = (6, 1);

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

/// A bucket of attempts for each key.
struct Bucket<K: Hash + Eq + Clone>(Limiter<K>);

impl<K: Hash + Eq + Clone> Bucket<K> {
    /// `burst` attempts at once, and then so many per minute.
    fn new((burst, per_minute): (u32, u32)) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(at_least_one(per_minute)).allow_burst(at_least_one(burst));
        Self(RateLimiter::hashmap(quota))
    }

    fn allows(&self, key: &K) -> bool {
        if self.0.len() >= MOST {
            self.0.retain_recent();
        }
        // Full of strangers who all try at this moment: nobody new is let in until some have gone.
        self.0.len() < MOST && self.0.check_key(key).is_ok()
    }
}

/// What is counted.
pub(crate) struct Throttle {
    addresses: Bucket<IpAddr>,
    accounts: Bucket<(NetworkId, String)>,
    codes: Bucket<UserId>,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        let (addresses, accounts) = (Bucket::new(OF_ADDRESS), Bucket::new(OF_ACCOUNT));
        Self { addresses, accounts, codes: Bucket::new(OF_CODE) }
    }

    /// One attempt from this address, or from its /64 of IPv6.
    pub(crate) fn allows_address(&self, address: IpAddr) -> bool {
        self.addresses.allows(&place(address))
    }

    /// One attempt on this account from an address that it was never used from.
    pub(crate) fn allows_account(&self, network: NetworkId, email: &str) -> bool {
        self.accounts.allows(&(network, email.to_owned()))
    }

    /// One code of a user's second factor.
    pub(crate) fn allows_code(&self, user: UserId) -> bool {
        self.codes.allows(&user)
    }
}

/// An address, or the first 64 bits of IPv6: that much is one customer's.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_stopped_and_its_neighbour_is_not() {
        let throttle = Throttle::new();
        let own: IpAddr = "192.0.2.1".parse().unwrap();
        let tries = (0..40).filter(|_| throttle.allows_address(own)).count();
        assert_eq!(tries, 30);
        assert!(throttle.allows_address("192.0.2.2".parse().unwrap()));
        assert_eq!(place("2001:db8::1".parse().unwrap()), place("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(place("2001:db8::1".parse().unwrap()), place("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(place("::ffff:192.0.2.1".parse().unwrap()), own);
    }
}
