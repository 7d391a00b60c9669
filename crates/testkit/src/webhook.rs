//! Signatures as the Standard Webhooks specification describes them, made beside the product.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The three headers of a webhook, signed with one secret (`whsec_` and base64) at `at_s` Unix seconds.
pub fn headers(secret: &str, id: &str, at_s: i64, payload: &[u8]) -> [(&'static str, String); 3] {
    let key = secret.strip_prefix("whsec_").expect("a signing secret begins with whsec_");
    let key = BASE64.decode(key).expect("a signing secret is base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length is a key");
    mac.update(format!("{id}.{at_s}.").as_bytes());
    mac.update(payload);
    let signature = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
    [("webhook-id", id.to_owned()), ("webhook-timestamp", at_s.to_string()), ("webhook-signature", signature)]
}

#[cfg(test)]
mod tests {
    use super::headers;

    #[test]
    fn the_published_example_comes_out() {
        let signed = headers(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
