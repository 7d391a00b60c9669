//! Test mode: a mark on a click that lets everything run and touches no money, cap, place or report.
//!
//! The mark is asked for in the tracking link, `gk_test=<expiry>.<signature>`: the moment it ends, in Unix seconds, and
//! HMAC-SHA256 of link and moment in base64url, with a key that never leaves the network. Who could set it freely
//! could send visitors without paying for them, or hide a broken link among tests.

use std::borrow::Cow;
use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::catalog::Catalog;
use crate::id::LinkId;
use crate::link::Link;
use crate::query::{self, Plus};
use crate::time::Timestamp;
use crate::visit::{Fault, Visit};

/// The parameter's name.
pub const PARAMETER: &str = "gk_test";

/// A network's key: 32 random bytes. Its `Debug` form hides them.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// The key of these bytes; none when they are not 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let fits = bytes.len() == 32;
        fits.then(|| Hmac::new_from_slice(bytes).ok().map(Self)).flatten()
    }

    fn keyed(&self, link: LinkId, expiry_s: i64) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(format!("pitlane test mode {link} {expiry_s}").as_bytes());
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key(32 bytes)")
    }
}

/// Why a hit that asks for test mode does not get it, as the end of a sentence that begins with the parameter's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TestFault {
    /// It is no moment and signature, or is given twice.
    #[error("is not complete; copy the whole test link again")]
    Malformed,
    /// It is not signed by the link's network, or signed for another link.
    #[error("does not belong to this link; ask the network for a test link")]
    Forged,
    /// It has ended.
    #[error("ended at {0}; ask the network for a new test link")]
    Expired(Timestamp),
}

/// The parameter's value for a link, until `expires` (in whole seconds).
pub fn sign(key: &Key, link: LinkId, expires: Timestamp) -> String {
    let expiry_s = expires.seconds();
    format!("{expiry_s}.{}", BASE64.encode(key.keyed(link, expiry_s).finalize().into_bytes()))
}

/// Checks a value, as it stands in the query, in constant time.
pub fn verify(key: &Key, link: LinkId, value: &str, now: Timestamp) -> Result<(), TestFault> {
    let value = query::decode(value, Plus::Literal).map_err(|_| TestFault::Malformed)?;
    let (expiry, signature) = value.split_once('.').ok_or(TestFault::Malformed)?;
    let expiry_s: i64 = expiry.parse().map_err(|_| TestFault::Malformed)?;
    let signature = BASE64.decode(signature).map_err(|_| TestFault::Malformed)?;
    // Only the owner of the key learns more than that it does not fit.
    key.keyed(link, expiry_s).verify_slice(&signature).map_err(|_| TestFault::Forged)?;
    let ends = Timestamp::from_ms(expiry_s.saturating_mul(crate::time::SECOND_MS));
    if now < ends { Ok(()) } else { Err(TestFault::Expired(ends)) }
}

/// What a query asks of test mode: the parameter's raw value, none when it is not there. Given twice it reads as
/// empty, which nobody signs.
pub fn asked(raw_query: &str) -> Option<&str> {
    // Nearly no query asks; one that has neither the name nor anything encoded does not.
    if !raw_query.contains(PARAMETER) && !raw_query.contains('%') {
        return None;
    }
    let mut found = query::pairs(raw_query).filter(|(name, _)| is_name(name)).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (only, None) => only,
        (_, Some(_)) => Some(""),
    }
}

fn is_name(raw: &str) -> bool {
    // Hardly any name is encoded, so the plain comparison settles nearly every one.
    raw == PARAMETER
        || (raw.contains('%') && query::decode(raw, Plus::Literal) == Ok(Cow::Borrowed(PARAMETER)))
}

/// Whether a hit is a test. What is wrong with the parameter is blamed on the visit: a hit that asks for test mode and
/// does not get it is refused as malformed, and never taken for a real one.
pub fn enter(catalog: &Catalog, link: &Link, raw_query: &str, now: Timestamp, visit: &mut Visit<'_>) -> bool {
    let Some(value) = asked(raw_query) else { return false };
    let key = catalog.test_keys.get(&link.offer.network.id);
    let verified = key.ok_or(TestFault::Forged).and_then(|key| verify(key, link.id, value, now));
    if let Err(fault) = verified {
        visit.refuse(Fault { parameter: PARAMETER.to_owned(), wrong: fault.to_string() });
    }
    verified.is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const LINK: LinkId = LinkId(Uuid::from_u128(7));
    const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_000);

    fn key(byte: u8) -> Key {
        Key::from_bytes(&[byte; 32]).unwrap()
    }

    fn signed() -> String {
        sign(&key(1), LINK, NOW.plus_ms(1_000))
    }

    #[test]
    fn what_the_network_signed_passes_until_it_ends() {
        assert_eq!(verify(&key(1), LINK, &signed(), NOW), Ok(()));
        assert_eq!(verify(&key(1), LINK, &signed().replace('.', "%2E"), NOW), Ok(()));
        let ends = NOW.plus_ms(1_000);
        assert_eq!(verify(&key(1), LINK, &signed(), ends), Err(TestFault::Expired(ends)));
        assert_eq!(signed().len(), 10 + 1 + 43);
    }

    #[test]
    fn what_others_made_does_not_pass() {
        let other = LinkId(Uuid::from_u128(8));
        assert_eq!(verify(&key(2), LINK, &signed(), NOW), Err(TestFault::Forged));
        assert_eq!(verify(&key(1), other, &signed(), NOW), Err(TestFault::Forged));
        let later = signed().replacen("1795000001", "1795999999", 1);
        assert_eq!(verify(&key(1), LINK, &later, NOW), Err(TestFault::Forged));
        assert_eq!(verify(&key(1), LINK, "1795000001.", NOW), Err(TestFault::Forged));
        for broken in ["", ".", "1", "x.y", "%zz", "1795000001.!", &format!("{}=", signed())] {
            assert_eq!(verify(&key(1), LINK, broken, NOW), Err(TestFault::Malformed), "{broken}");
        }
    }

    #[test]
    fn it_is_asked_for_by_name_and_once() {
        assert_eq!(asked("pub_click_id=gk_test&gk_tests=1&pub_member_id=m"), None);
        assert_eq!(asked("a=b&gk_test=1.x"), Some("1.x"));
        assert_eq!(asked("gk%5Ftest=1.x"), Some("1.x"));
        assert_eq!(asked("gk_test"), Some(""));
        assert_eq!(asked("gk_test=1.x&gk%5ftest=1.x"), Some(""));
    }

    #[test]
    fn a_key_is_32_bytes_and_shows_none() {
        assert!(Key::from_bytes(&[1; 31]).is_none() && Key::from_bytes(&[]).is_none());
        assert_eq!(format!("{:?}", key(1)), "Key(32 bytes)");
    }

    proptest! {
        #[test]
        fn nothing_but_the_signature_itself_passes(text in ".{0,80}", at in 0_usize..54, byte in 0_u8..128) {
            prop_assert!(verify(&key(1), LINK, &text, NOW).is_err());
            let mut changed = signed().into_bytes();
            let same = changed[at] == byte;
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            prop_assert_eq!(verify(&key(1), LINK, &changed, NOW).is_ok(), same);
        }
    }
}
