//! What is kept of a secret that only has to be recognised: a postback token, a set-up token.

use sha2::{Digest, Sha256};

/// SHA-256 of a secret with 256 random bits. Looking one up by this hash tells a guesser nothing by its
/// timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    /// The hash of a secret as its owner sends it.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}
