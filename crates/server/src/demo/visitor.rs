//! The people of the history: each partner's members, of whom few come often and many once.

use std::net::{IpAddr, Ipv4Addr};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// How many members a partner has.
const MEMBERS: u32 = 6_000;

/// How far the most frequent member is from the next: the larger, the flatter (Zipf-Mandelbrot).
const FLATNESS: f64 = 30.0;

const USER_AGENTS: [&str; 8] = [
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; SM-A556B) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/141.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/26.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/26.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
];
const DEVICES: [&str; 8] = ["Android", "Android", "IOS", "IOS", "Browser", "Browser", "MacOS", "Browser"];
const COUNTRIES: [&str; 8] = ["DE", "DE", "DE", "US", "US", "GB", "AT", "FR"];
const PLACEMENTS: [&str; 4] = ["offerwall", "rewards-tab", "home-banner", "newsletter"];

/// Whose members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// Counts its users, and prefixes its click ids.
    PocketPoints,
    /// Writes both in hexadecimal.
    DailyQuests,
}

/// One member at one visit.
pub(super) struct Visitor {
    pub(super) member: String,
    pub(super) address: IpAddr,
    pub(super) user_agent: &'static str,
    /// The sub parameters and facts, as they stand in the query.
    pub(super) parameters: String,
}

impl Crowd {
    /// The crowd of a partner.
    pub(super) fn of(partner: &str) -> Self {
        if partner == "pocketpoints" { Self::PocketPoints } else { Self::DailyQuests }
    }

    /// Somebody comes by.
    pub(super) fn somebody(self, rng: &mut SmallRng) -> Visitor {
        let number = scattered(rank(rng.random()));
        // Whatever stays the same about a member follows from its number.
        let mut own = SmallRng::seed_from_u64(u64::from(number) << 1 | u64::from(self == Self::DailyQuests));
        let device = own.random_range(0..USER_AGENTS.len());
        let country = COUNTRIES[own.random_range(0..COUNTRIES.len())];
        // The range that is set aside for benchmarks, so that it is nobody's.
        let address = IpAddr::V4(Ipv4Addr::new(198, own.random_range(18..=19), own.random(), own.random()));
        let age = own.random_range(18..=65);
        let placement = PLACEMENTS[rng.random_range(0..PLACEMENTS.len())];
        let member = match self {
            Self::PocketPoints => format!("m-{}", 20_000 + number),
            Self::DailyQuests => format!("dq-{:06x}", 0x10_0000 + number * 131),
        };
        let parameters = match self {
            Self::PocketPoints => format!(
                "&pub_sub_1={placement}&pub_sub_2=app-{}&pub_age={age}&pub_geo_country={country}&pub_device={}",
                if device < 4 { "mobile" } else { "web" },
                DEVICES[device]
            ),
            Self::DailyQuests => {
                format!("&pub_sub_1={placement}&pub_sub_4=quest-{}", rng.random_range(1..=40))
            }
        };
        Visitor { member, address, user_agent: USER_AGENTS[device], parameters }
    }

    /// A click id of the partner's own.
    pub(super) fn click_id(self, rng: &mut SmallRng) -> String {
        match self {
            Self::PocketPoints => format!("ck-{:016x}", rng.random::<u64>()),
            Self::DailyQuests => format!("{:032x}", rng.random::<u128>()),
        }
    }
}

/// The rank of the member who comes, 0 for the most frequent.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and MEMBERS")]
fn rank(uniform: f64) -> u32 {
    let most = f64::from(MEMBERS);
    (FLATNESS * ((most + FLATNESS) / FLATNESS).powf(uniform) - FLATNESS).clamp(0.0, most - 1.0) as u32
}

/// Another member number for each rank, so that numbers do not tell the rank.
fn scattered(rank: u32) -> u32 {
    rank * 1_291 % MEMBERS
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::{Crowd, MEMBERS, rank, scattered};

    #[test]
    fn every_rank_has_a_number_of_its_own() {
        let numbers: HashSet<u32> = (0..MEMBERS).map(scattered).collect();
        assert_eq!(numbers.len(), MEMBERS as usize);
        assert_eq!((rank(0.0), rank(0.999_999_999)), (0, MEMBERS - 1));
    }

    #[test]
    fn few_come_often_and_many_once() {
        let mut rng = SmallRng::seed_from_u64(7);
        let mut visits: HashMap<String, u32> = HashMap::new();
        for _ in 0..10_000 {
            *visits.entry(Crowd::PocketPoints.somebody(&mut rng).member).or_default() += 1;
        }
        let most = *visits.values().max().unwrap();
        let once = visits.values().filter(|visits| **visits == 1).count();
        assert!((20..200).contains(&most) && once > 1_000, "{most} {once}");
    }

    #[test]
    fn a_member_keeps_its_device_and_address() {
        let mut rng = SmallRng::seed_from_u64(7);
        let mut known = HashMap::new();
        for _ in 0..2_000 {
            let visitor = Crowd::DailyQuests.somebody(&mut rng);
            let own = (visitor.address, visitor.user_agent);
            assert_eq!(*known.entry(visitor.member).or_insert(own), own);
        }
    }
}
