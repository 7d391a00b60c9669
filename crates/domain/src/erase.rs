//! Erased members: what stands in a member's place once the member id is gone, so that the same member still
//! cannot complete an offer twice.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::id::PartnerId;

/// A network's secret for pseudonyms: 256 random bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

/// How every pseudonym begins.
pub const PREFIX: &str = "erased:";

impl Key {
    /// From its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for storage.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What stands for a member of a partner: `erased:` and 32 hex digits, always the same for the same member. Of a
    /// keyed hash, so without the key nobody can find out whose it is.
    pub fn pseudonym(&self, partner: PartnerId, member: &str) -> String {
        // A key of any length is taken; the type only cannot say so.
        let Ok(mut keyed) = Hmac::<Sha256>::new_from_slice(&self.0) else { return PREFIX.to_owned() };
        keyed.update(partner.uuid().as_bytes());
        keyed.update(member.as_bytes());
        let hash = keyed.finalize().into_bytes();
        hash.iter().take(16).fold(PREFIX.to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::Key;
    use crate::id::PartnerId;

    #[test]
    fn a_pseudonym_depends_on_key_partner_and_member_and_on_nothing_else() {
        let (key, other) = (Key::new([1; 32]), Key::new([2; 32]));
        let (one, two) = (PartnerId(Uuid::from_u128(1)), PartnerId(Uuid::from_u128(2)));
        let first = key.pseudonym(one, "anna");
        assert_eq!(first, key.pseudonym(one, "anna"));
        assert!(first.starts_with("erased:") && first.len() == 39, "{first}");
        assert!(!first.contains("anna"));
        for different in
            [key.pseudonym(one, "Anna"), key.pseudonym(two, "anna"), other.pseudonym(one, "anna")]
        {
            assert_ne!(first, different);
        }
    }
}
