//! The parameter contract as a stream: is the member id a constant, did the click id come before? Bounded memory per
//! link, the same answer wherever the same clicks were seen.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use crate::time::Timestamp;

/// Clicks that are remembered per link.
pub const WINDOW: usize = 200;
/// Clicks before a link can be called static.
const ENOUGH: usize = 64;
/// Different visitors behind one member id before it is a constant and not a busy member.
const VISITORS: usize = 24;

/// The last clicks of one link, as hashes: 20 bytes a click, 4 KB in all.
#[derive(Debug, Clone)]
pub struct Sketch {
    ring: Box<Ring>,
    next: usize,
    filled: usize,
    constant: Option<u32>,
}

/// One array for each field: the click ids are gone through at every click.
#[derive(Debug, Clone)]
struct Ring {
    clicks: [u64; WINDOW],
    members: [u32; WINDOW],
    visitors: [u32; WINDOW],
    seconds: [u32; WINDOW],
}

/// One click, as hashes that are the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Of the partner's click id.
    pub click: u64,
    /// Of the member id.
    pub member: u32,
    /// Of the visitor's address and user agent.
    pub visitor: u32,
    /// Unix time.
    pub second: u32,
}

/// What a link's recent clicks say about one that comes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recent {
    /// Its member id is on most of them.
    pub is_static: bool,
    /// Its click id is on one of them.
    pub is_reused: bool,
    /// Its visitor came as the same member a short while before.
    pub is_repeat: bool,
}

impl Seen {
    /// A click by its ids and its visitor.
    pub fn of(click: &str, member: &str, address: Option<IpAddr>, user_agent: &str, at: Timestamp) -> Self {
        Self {
            click: click_hash(click),
            member: member_hash(member),
            visitor: short((address, user_agent)),
            second: u32::try_from(at.seconds()).unwrap_or_default(),
        }
    }

    /// Whether the click carries its click id as member id too: both are hashed alike.
    pub fn is_click_for_member(self) -> bool {
        low(self.click) == self.member
    }

    /// The click as 20 bytes, little end first.
    pub fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&self.click.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.member.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.visitor.to_le_bytes());
        bytes[16..].copy_from_slice(&self.second.to_le_bytes());
        bytes
    }

    /// The click of these 20 bytes.
    pub fn from_bytes(bytes: &[u8; 20]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let click = u64::from(word(0)) | u64::from(word(4)) << 32;
        Self { click, member: word(8), visitor: word(12), second: word(16) }
    }
}

/// Whether a value is among others. Eight are compared before the result is looked at, which the compiler turns into
/// vector instructions: this is done for every click, and mostly in vain.
#[allow(clippy::needless_bitwise_bool, reason = "without a branch for each value it is done in vectors")]
fn holds<T: Copy + Eq>(values: &[T], wanted: T) -> bool {
    let (eights, rest) = values.as_chunks::<8>();
    eights.iter().any(|eight| eight.iter().fold(false, |found, value| found | (*value == wanted)))
        || rest.contains(&wanted)
}

/// The hash of a partner's click id.
pub fn click_hash(click: &str) -> u64 {
    hash(click)
}

/// The hash of a member id.
pub fn member_hash(member: &str) -> u32 {
    short(member)
}

/// Without a random key: every process must come to the same hash. A partner who looks for ids that collide only
/// spoils its own link.
fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn short(value: impl Hash) -> u32 {
    low(hash(value))
}

#[allow(clippy::cast_possible_truncation, reason = "the low half is as good a hash")]
fn low(hash: u64) -> u32 {
    hash as u32
}

impl Default for Sketch {
    fn default() -> Self {
        let ring =
            Ring { clicks: [0; WINDOW], members: [0; WINDOW], visitors: [0; WINDOW], seconds: [0; WINDOW] };
        Self { ring: Box::new(ring), next: 0, filled: 0, constant: None }
    }
}

impl Sketch {
    /// What it takes, beside a few words of its own.
    pub const BYTES: usize = size_of::<Ring>();

    /// Learns one click. A click that is already known, because another path brought it, changes nothing.
    pub fn learn(&mut self, seen: Seen) {
        if self.knows(seen) {
            return;
        }
        self.ring.clicks[self.next] = seen.click;
        self.ring.members[self.next] = seen.member;
        self.ring.visitors[self.next] = seen.visitor;
        self.ring.seconds[self.next] = seen.second;
        self.next = (self.next + 1) % WINDOW;
        self.filled = (self.filled + 1).min(WINDOW);
        // A constant shows itself slowly, so looking at every eighth click is enough.
        if self.next.is_multiple_of(8) {
            self.constant = self.find_constant();
        }
    }

    /// Whether this member id is on most of the link's recent clicks, from many different visitors.
    pub fn is_static(&self, member: u32) -> bool {
        self.constant == Some(member)
    }

    /// Whether this click id came before, within the window.
    pub fn is_reused(&self, click: u64) -> bool {
        holds(&self.ring.clicks[..self.filled], click)
    }

    /// Whether this visitor came as this member within the `window_s` seconds before.
    pub fn is_repeat(&self, seen: Seen, window_s: u32) -> bool {
        let same = |at: &usize| {
            self.ring.visitors[*at] == seen.visitor
                && self.ring.members[*at] == seen.member
                && seen.second.saturating_sub(self.ring.seconds[*at]) < window_s
        };
        holds(&self.ring.visitors[..self.filled], seen.visitor) && (0..self.filled).any(|at| same(&at))
    }

    /// Everything that is asked of a click before it is decided.
    pub fn recent(&self, seen: Seen, window_s: u32) -> Recent {
        Recent {
            is_static: self.is_static(seen.member),
            is_reused: self.is_reused(seen.click),
            is_repeat: self.is_repeat(seen, window_s),
        }
    }

    /// How many clicks of the window carry this member id.
    pub fn count(&self, member: u32) -> usize {
        self.ring.members[..self.filled].iter().filter(|own| **own == member).count()
    }

    /// What it remembers, oldest first.
    pub fn seen(&self) -> impl Iterator<Item = Seen> {
        let first = if self.filled < WINDOW { 0 } else { self.next };
        (0..self.filled).map(move |behind| self.at((first + behind) % WINDOW))
    }

    fn at(&self, place: usize) -> Seen {
        Seen {
            click: self.ring.clicks[place],
            member: self.ring.members[place],
            visitor: self.ring.visitors[place],
            second: self.ring.seconds[place],
        }
    }

    fn knows(&self, seen: Seen) -> bool {
        self.is_reused(seen.click)
            && (0..self.filled).any(|place| self.ring.clicks[place] == seen.click && self.at(place) == seen)
    }

    /// The member id on more than half of the window, if many visitors share it. The candidate is found by letting
    /// unlike ids cancel each other (Boyer and Moore), then counted.
    fn find_constant(&self) -> Option<u32> {
        let members = &self.ring.members[..self.filled];
        if members.len() < ENOUGH {
            return None;
        }
        let (mut candidate, mut votes) = (0, 0_usize);
        for member in members {
            if votes == 0 {
                candidate = *member;
            }
            votes = if *member == candidate { votes + 1 } else { votes - 1 };
        }
        if self.count(candidate) * 2 <= members.len() {
            return None;
        }
        let own = members.iter().zip(&self.ring.visitors).filter(|(member, _)| **member == candidate);
        let mut visitors: Vec<u32> = own.map(|(_, visitor)| *visitor).collect();
        visitors.sort_unstable();
        visitors.dedup();
        (visitors.len() >= VISITORS).then_some(candidate)
    }
}
