//! What the rules may not reach for by themselves, handed to whoever needs it: the clock, fresh ids and
//! random bits.

use uuid::Uuid;

use crate::time::Timestamp;

/// The world outside the rules. The binary builds the one real value; tests may build another.
#[derive(Clone, Copy)]
pub struct Ambient {
    /// The wall clock.
    pub now: fn() -> Timestamp,
    /// A fresh UUID v7 for this time; ids of one process never step backwards.
    pub new_id: fn(Timestamp) -> Uuid,
    /// Sixty-four random bits, good enough for secrets.
    pub random: fn() -> u64,
}

impl Ambient {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// A fresh UUID v7 for `at`.
    pub fn new_id(&self, at: Timestamp) -> Uuid {
        (self.new_id)(at)
    }

    /// 32 random bytes, for a secret.
    pub fn random_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&(self.random)().to_le_bytes());
        }
        bytes
    }
}
