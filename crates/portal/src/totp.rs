//! The second factor of a log-in: codes of an app that knows a secret, and recovery codes for the day the app is lost.

use std::fmt::Write as _;

use domain::secret::SecretHash;
use domain::time::Timestamp;
use qrcodegen::{QrCode, QrCodeEcc};
use totp_rs::{Builder, Secret, Totp};

/// Bytes of a secret: as many as the hash of the codes has.
const SECRET_BYTES: usize = 20;
/// How many recovery codes somebody gets.
const RECOVERY: usize = 10;
/// Bytes of a recovery code; five give eight characters.
const RECOVERY_BYTES: usize = 10;
/// Modules of white around a QR code, as readers expect it.
const QUIET: i32 = 4;

/// A fresh secret, in base32 as it is typed.
pub(crate) fn fresh(random: [u8; 32]) -> String {
    Secret::from(random[..SECRET_BYTES].to_vec()).to_base32()
}

/// A secret as it was typed or sent back; none when it is none of ours.
pub(crate) fn parse(text: &str) -> Option<Vec<u8>> {
    let secret = Secret::try_from_base32(text).ok()?;
    let bytes: &[u8] = secret.as_ref();
    (bytes.len() == SECRET_BYTES).then(|| bytes.to_vec())
}

/// The time step whose code this is, one step early or late allowed; none when it is no step's.
pub(crate) fn step(secret: &[u8], code: &str, now: Timestamp) -> Option<i64> {
    let code: String = code.chars().filter(|char| !char.is_whitespace()).collect();
    let totp = Builder::new().with_secret(secret).build().ok()?;
    let step = totp.check(&code, u64::try_from(now.seconds()).ok()?)?;
    i64::try_from(step).ok()
}

/// What an app reads off a QR code.
pub(crate) fn url(secret: &[u8], network: &str, email: &str) -> Option<String> {
    let plain = |text: &str| text.replace(':', " ");
    let totp: Totp = Builder::new()
        .with_secret(secret)
        .with_issuer(Some(plain(network)))
        .with_account_name(plain(email))
        .build()
        .ok()?;
    totp.to_url().ok()
}

/// A QR code as SVG: black on white in every theme, for cameras.
pub(crate) fn qr(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut dark = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            // Writing into a String cannot fail.
            let _ = write!(dark, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    let side = code.size() + 2 * QUIET;
    Some(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {side} {side}\" width=\"220\" height=\"220\" role=\"img\" \
         aria-label=\"QR code of the secret below\" shape-rendering=\"crispEdges\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\"{dark}\" fill=\"#000\"/></svg>"
    ))
}

/// Fresh recovery codes: each four groups of four characters.
pub(crate) fn recovery(random: impl Fn() -> [u8; 32]) -> Vec<String> {
    let one = |_| {
        let text = Secret::from(random()[..RECOVERY_BYTES].to_vec()).to_base32().to_lowercase();
        let groups: Vec<&str> = (0..text.len()).step_by(4).filter_map(|at| text.get(at..at + 4)).collect();
        groups.join("-")
    };
    (0..RECOVERY).map(one).collect()
}

/// What is kept of a recovery code, however it is typed.
pub(crate) fn recovery_hash(code: &str) -> SecretHash {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    SecretHash::of(&plain.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard_s_examples() {
        // RFC 6238, appendix B, SHA-1: the last six of its eight digits.
        let secret = b"12345678901234567890";
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            let now = Timestamp::from_ms(seconds * 1_000);
            assert_eq!(step(secret, code, now), Some(seconds / 30));
            assert_eq!(step(secret, code, now.plus_ms(30_000)), Some(seconds / 30), "one step late");
            assert_eq!(step(secret, code, now.plus_ms(90_000)), None, "too late");
        }
        assert_eq!(step(secret, "28 7082", Timestamp::from_ms(59_000)), Some(1));
        for wrong in ["", "28708", "2870821", "abcdef", "287083"] {
            assert_eq!(step(secret, wrong, Timestamp::from_ms(59_000)), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_survives_being_typed_and_an_app_can_read_it() {
        let text = fresh([9; 32]);
        let secret = parse(&text).unwrap();
        assert_eq!(secret, [9; 20]);
        assert_eq!(parse("AAAA"), None);
        let url = url(&secret, "Acme: the network", "ada@app.example").unwrap();
        assert!(
            url.starts_with("otpauth://totp/") && url.contains(&text) && url.contains("ada%40app.example")
        );
        let svg = qr(&url).unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("style="));
    }

    #[test]
    fn a_recovery_code_is_known_however_it_is_typed() {
        let codes = recovery(|| [200; 32]);
        assert_eq!(codes.len(), 10);
        assert_eq!(codes[0].len(), 19, "{}", codes[0]);
        let typed = codes[0].to_uppercase().replace('-', " ");
        assert_eq!(recovery_hash(&typed), recovery_hash(&codes[0]));
    }
}
