//! Signatures of webhooks as the Standard Webhooks specification has them: HMAC-SHA256 over
//! `id.timestamp.payload`, written `v1,<base64>`, one for each live secret and separated by a space, so that
//! a receiver can change its secret without losing a message.
//!
//! The payload is the exact body. A GET request has none; its payload is the path and query of the request
//! line. Partners' postbacks are signed like this, and advertisers may sign theirs.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// The header that carries the message id, the same for every attempt.
pub const ID_HEADER: &str = "webhook-id";

/// The header that carries the time of the attempt, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";

/// The header that carries the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// How far the timestamp may be from the receiver's clock, either way, in seconds.
pub const TOLERANCE_S: u64 = 300;

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";

/// A signing secret: 24 to 64 random bytes, written `whsec_<base64>`. Its `Debug` form hides it.
#[derive(Clone)]
pub struct Secret {
    bytes: Vec<u8>,
    keyed: Hmac<Sha256>,
}

impl Secret {
    /// A secret of these bytes; 24 to 64 of them, from a cryptographic random generator (32 is a good
    /// number).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadSecret> {
        if !(24..=64).contains(&bytes.len()) {
            return Err(BadSecret::Length { bytes: bytes.len() });
        }
        let keyed = Hmac::new_from_slice(bytes).map_err(|_| BadSecret::Length { bytes: bytes.len() })?;
        Ok(Self { bytes: bytes.to_vec(), keyed })
    }

    /// Reads `whsec_<base64>`. The error does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(BadSecret::Prefix)?;
        let bytes = BASE64.decode(encoded).map_err(|_| BadSecret::Base64)?;
        Self::from_bytes(&bytes)
    }

    /// The secret as its owner is shown it, once: `whsec_<base64>`.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(&self.bytes))
    }

    fn tag(&self, id: &str, timestamp: &str, payload: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", payload] {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Secret({} bytes)", self.bytes.len())
    }
}

/// A text or bytes that are not a [`Secret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// It does not begin with `whsec_`.
    #[error("a signing secret begins with `whsec_`")]
    Prefix,
    /// What follows is not base64.
    #[error("a signing secret is `whsec_` and standard base64 with padding")]
    Base64,
    /// Too short to be safe, or longer than the specification allows.
    #[error("a signing secret has 24 to 64 bytes, this one has {bytes}")]
    Length {
        /// Its length.
        bytes: usize,
    },
}

/// The value of the signature header for one attempt: one signature per secret, in their order. `timestamp_s`
/// is the value of the timestamp header, Unix seconds. Without secrets the text is empty, which no receiver
/// accepts.
pub fn sign(secrets: &[Secret], id: &str, timestamp_s: i64, payload: &[u8]) -> String {
    let timestamp = timestamp_s.to_string();
    let signature =
        |secret: &Secret| format!("{VERSION}{}", BASE64.encode(secret.tag(id, &timestamp, payload)));
    secrets.iter().map(signature).collect::<Vec<_>>().join(" ")
}

/// The three headers of a received webhook, as they came.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Value of [`ID_HEADER`].
    pub id: &'a str,
    /// Value of [`TIMESTAMP_HEADER`].
    pub timestamp: &'a str,
    /// Value of [`SIGNATURE_HEADER`]. Signatures of other versions than `v1` are passed over.
    pub signature: &'a str,
}

/// Checks a received webhook: its timestamp within [`TOLERANCE_S`] of `now_s` (Unix seconds), and any of its
/// signatures made with any of `secrets`. Signatures are compared in constant time. A valid signature may
/// still be a second copy: remember the id for twice [`TOLERANCE_S`] where that matters.
pub fn verify(
    secrets: &[Secret],
    received: Received<'_>,
    payload: &[u8],
    now_s: i64,
) -> Result<(), Unverified> {
    let timestamp_s: i64 = received.timestamp.parse().map_err(|_| Unverified::Timestamp)?;
    if timestamp_s.abs_diff(now_s) > TOLERANCE_S {
        return Err(Unverified::Clock { ahead_s: timestamp_s.saturating_sub(now_s) });
    }
    let tags: Vec<_> =
        secrets.iter().map(|secret| secret.tag(received.id, received.timestamp, payload)).collect();
    let mut matches = Choice::from(0);
    for signature in received.signature.split(' ').filter_map(|entry| entry.strip_prefix(VERSION)) {
        let Ok(signature) = BASE64.decode(signature) else { continue };
        for tag in &tags {
            matches |= tag.as_slice().ct_eq(&signature);
        }
    }
    if bool::from(matches) { Ok(()) } else { Err(Unverified::Signature) }
}

/// Why a received webhook is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The timestamp is not a whole number.
    #[error("the webhook-timestamp is not a number of Unix seconds")]
    Timestamp,
    /// The timestamp is too far from now: an old copy, or a wrong clock.
    #[error(
        "the webhook-timestamp is {ahead_s} s ahead of this clock, at most {TOLERANCE_S} s either way pass"
    )]
    Clock {
        /// How far it is ahead of the receiver's clock, negative when behind.
        ahead_s: i64,
    },
    /// No signature matches any secret.
    #[error("no v1 signature matches the id, timestamp and payload")]
    Signature,
}
