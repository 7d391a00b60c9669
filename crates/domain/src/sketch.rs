//! The parameter contract as a stream: is the member id a constant, did the click id come before? Bounded memory per
//! link, the same answer wherever the same clicks were seen.

/// Clicks that are remembered per link.
pub const WINDOW: usize = 256;
/// Clicks before a link can be called static.
const ENOUGH: usize = 64;
/// Different visitors behind one member id before it is a constant and not a busy member.
const VISITORS: usize = 24;

/// The last clicks of one link, as hashes: 16 bytes a click, 4 KiB in all.
#[derive(Debug, Clone)]
pub struct Sketch {
    ring: Box<[Seen; WINDOW]>,
    next: usize,
    filled: usize,
    constant: Option<u32>,
}

/// One click, as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Of the partner's click id.
    pub click: u64,
    /// Of the member id.
    pub member: u32,
    /// Of the visitor's address and user agent.
    pub visitor: u32,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { ring: Box::new([Seen::default(); WINDOW]), next: 0, filled: 0, constant: None }
    }
}

impl Sketch {
    /// Learns one click.
    pub fn learn(&mut self, seen: Seen) {
        self.ring[self.next] = seen;
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
        self.ring[..self.filled].iter().any(|seen| seen.click == click)
    }

    /// How many clicks of the window carry this member id.
    pub fn count(&self, member: u32) -> usize {
        self.ring[..self.filled].iter().filter(|seen| seen.member == member).count()
    }

    /// The member id on more than half of the window, if many visitors share it. The candidate is found by letting
    /// unlike ids cancel each other (Boyer and Moore), then counted.
    fn find_constant(&self) -> Option<u32> {
        let window = &self.ring[..self.filled];
        if window.len() < ENOUGH {
            return None;
        }
        let (mut candidate, mut votes) = (0, 0_usize);
        for seen in window {
            if votes == 0 {
                candidate = seen.member;
            }
            votes = if seen.member == candidate { votes + 1 } else { votes - 1 };
        }
        if self.count(candidate) * 2 <= window.len() {
            return None;
        }
        let own = window.iter().filter(|seen| seen.member == candidate);
        let mut visitors: Vec<u32> = own.map(|seen| seen.visitor).collect();
        visitors.sort_unstable();
        visitors.dedup();
        (visitors.len() >= VISITORS).then_some(candidate)
    }
}
