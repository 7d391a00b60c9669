//! Checks a Standard Webhooks signature the way a careful stranger would, from the published description
//! alone.

use std::fmt;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How far `webhook-timestamp` may be from the receiver's clock, in seconds.
const TOLERANCE_S: i64 = 5 * 60;

/// What the check of a postback's signature found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// Signed with one of the secrets, and recent.
    Valid,
    /// Signed, but not over these bytes with any of the secrets.
    Invalid,
    /// One of the three headers is absent.
    Missing,
    /// Signed with one of the secrets more than five minutes from now.
    TooOld,
}

impl SignatureCheck {
    /// The word for a person, such as `too old`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Missing => "missing",
            Self::TooOld => "too old",
        }
    }

    pub(super) fn icon(self) -> &'static str {
        match self {
            Self::Valid => "✓",
            Self::Invalid => "✕",
            Self::Missing => "○",
            Self::TooOld => "!",
        }
    }

    /// The CSS class of its pill.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Valid => "good",
            Self::Invalid => "bad",
            Self::Missing | Self::TooOld => "attention",
        }
    }
}

impl fmt::Display for SignatureCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// Checks `webhook-signature` over `webhook-id.webhook-timestamp.payload`. Any of the signatures may match
/// any of the secrets (`whsec_` and base64), so that secrets can be rotated.
pub(super) fn check(secrets: &[String], headers: &HeaderMap, payload: &[u8], now_s: i64) -> SignatureCheck {
    let (Some(id), Some(timestamp), Some(signatures)) =
        (text(headers, "webhook-id"), text(headers, "webhook-timestamp"), text(headers, "webhook-signature"))
    else {
        return SignatureCheck::Missing;
    };
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", payload].concat();
    let given: Vec<Vec<u8>> =
        signatures.split(' ').filter_map(|at| STANDARD.decode(at.strip_prefix("v1,")?).ok()).collect();
    let matches = secrets.iter().filter_map(|secret| key(secret)).any(|key| {
        given.iter().any(|signature| {
            let mac = Hmac::<Sha256>::new_from_slice(&key).map(|mac| mac.chain_update(&signed));
            mac.is_ok_and(|mac| mac.verify_slice(signature).is_ok())
        })
    });
    match timestamp.parse::<i64>() {
        Ok(at_s) if matches && at_s.abs_diff(now_s) > TOLERANCE_S.unsigned_abs() => SignatureCheck::TooOld,
        Ok(_) if matches => SignatureCheck::Valid,
        _ => SignatureCheck::Invalid,
    }
}

fn key(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::{SignatureCheck, check};

    /// The example of the Standard Webhooks specification's reference tests.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT_S: i64 = 1_614_265_330;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const PAYLOAD: &[u8] = br#"{"test": 2432232314}"#;

    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", ID.parse().unwrap());
        headers.insert("webhook-timestamp", AT_S.to_string().parse().unwrap());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    fn checked(secrets: &[&str], headers: &HeaderMap, payload: &[u8], now_s: i64) -> SignatureCheck {
        let secrets: Vec<String> = secrets.iter().map(|&at| at.to_owned()).collect();
        check(&secrets, headers, payload, now_s)
    }

    #[test]
    fn the_published_example_is_valid() {
        assert_eq!(checked(&[SECRET], &headers(SIGNATURE), PAYLOAD, AT_S), SignatureCheck::Valid);
    }

    #[test]
    fn any_signature_may_match_any_secret() {
        let two = headers(&format!("v1,AAAA {SIGNATURE} v2,ignored"));
        assert_eq!(checked(&["whsec_AAAA", SECRET], &two, PAYLOAD, AT_S), SignatureCheck::Valid);
    }

    #[test]
    fn one_changed_byte_is_invalid() {
        assert_eq!(checked(&[SECRET], &headers(SIGNATURE), b"{}", AT_S), SignatureCheck::Invalid);
        assert_eq!(checked(&["whsec_AAAA"], &headers(SIGNATURE), PAYLOAD, AT_S), SignatureCheck::Invalid);
        assert_eq!(checked(&[], &headers(SIGNATURE), PAYLOAD, AT_S), SignatureCheck::Invalid);
        assert_eq!(checked(&[SECRET], &headers("nonsense"), PAYLOAD, AT_S), SignatureCheck::Invalid);
    }

    #[test]
    fn five_minutes_either_way_and_no_more() {
        for (off_s, expected) in [
            (300, SignatureCheck::Valid),
            (-300, SignatureCheck::Valid),
            (301, SignatureCheck::TooOld),
            (-301, SignatureCheck::TooOld),
        ] {
            assert_eq!(checked(&[SECRET], &headers(SIGNATURE), PAYLOAD, AT_S + off_s), expected, "{off_s}");
        }
        // An old forgery is a forgery first.
        assert_eq!(checked(&[SECRET], &headers("v1,AAAA"), PAYLOAD, AT_S + 301), SignatureCheck::Invalid);
    }

    #[test]
    fn each_header_is_needed() {
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut headers = headers(SIGNATURE);
            headers.remove(name);
            assert_eq!(checked(&[SECRET], &headers, PAYLOAD, AT_S), SignatureCheck::Missing, "{name}");
        }
    }
}
