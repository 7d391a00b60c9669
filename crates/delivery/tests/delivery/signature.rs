//! Signatures of webhooks.

use domain::signature::{BadSecret, Received, Secret, Unverified, sign, verify};

// The example of the Standard Webhooks specification.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIMESTAMP_S: i64 = 1_614_265_330;
const PAYLOAD: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secret() -> Secret {
    Secret::parse(SECRET).unwrap()
}

fn received(signature: &str) -> Received<'_> {
    Received { id: ID, timestamp: "1614265330", signature }
}

#[test]
fn the_example_of_the_specification() {
    assert_eq!(sign(&[secret()], ID, TIMESTAMP_S, PAYLOAD), SIGNATURE);
    assert_eq!(verify(&[secret()], received(SIGNATURE), PAYLOAD, TIMESTAMP_S), Ok(()));
}

#[test]
fn during_rotation_either_side_may_be_first() {
    let old = secret();
    let new = Secret::from_bytes(&[7; 32]).unwrap();
    let both = sign(&[new.clone(), old.clone()], ID, TIMESTAMP_S, PAYLOAD);
    assert_eq!(both.split(' ').count(), 2);
    assert!(both.ends_with(SIGNATURE), "{both}");
    for known in [&old, &new] {
        assert_eq!(verify(std::slice::from_ref(known), received(&both), PAYLOAD, TIMESTAMP_S), Ok(()));
    }
    assert_eq!(verify(&[new, old], received(SIGNATURE), PAYLOAD, TIMESTAMP_S), Ok(()));
}

#[test]
fn any_change_is_noticed() {
    let stranger = Secret::from_bytes(&[9; 32]).unwrap();
    let check = |secrets: &[Secret], received: Received<'_>, payload: &[u8]| {
        assert_eq!(
            verify(secrets, received, payload, TIMESTAMP_S),
            Err(Unverified::Signature),
            "{received:?}"
        );
    };
    let own = [secret()];
    check(&own, received(SIGNATURE), br#"{"test": 2432232315}"#);
    check(&own, Received { id: "msg_other", ..received(SIGNATURE) }, PAYLOAD);
    check(&own, Received { timestamp: "1614265331", ..received(SIGNATURE) }, PAYLOAD);
    check(&[stranger], received(SIGNATURE), PAYLOAD);
    check(&[], received(SIGNATURE), PAYLOAD);
    for bad in [
        "",
        "v1,",
        "v1",
        " ",
        "v1,g0hM",
        "v1,!!!!",
        "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,G0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OEAAA==",
    ] {
        check(&own, received(bad), PAYLOAD);
    }
}

#[test]
fn a_good_signature_counts_among_unknown_ones() {
    let signature = format!("v1a,AAAA nonsense v1,AAAA {SIGNATURE} v2,BBBB");
    assert_eq!(verify(&[secret()], received(&signature), PAYLOAD, TIMESTAMP_S), Ok(()));
}

#[test]
fn the_clock_may_be_off_by_five_minutes_either_way() {
    let at = |now_s| verify(&[secret()], received(SIGNATURE), PAYLOAD, now_s);
    assert_eq!(at(TIMESTAMP_S + 300), Ok(()));
    assert_eq!(at(TIMESTAMP_S - 300), Ok(()));
    assert_eq!(at(TIMESTAMP_S + 301), Err(Unverified::Clock { ahead_s: -301 }));
    assert_eq!(at(TIMESTAMP_S - 301), Err(Unverified::Clock { ahead_s: 301 }));
    assert!(matches!(at(i64::MIN), Err(Unverified::Clock { .. })));
    assert!(matches!(at(i64::MAX), Err(Unverified::Clock { .. })));
    for timestamp in ["", "soon", "1614265330.0", " 1614265330", "99999999999999999999"] {
        let received = Received { timestamp, ..received(SIGNATURE) };
        assert_eq!(verify(&[secret()], received, PAYLOAD, TIMESTAMP_S), Err(Unverified::Timestamp));
    }
}

#[test]
fn secrets_are_read_strictly_and_never_shown_by_accident() {
    assert_eq!(secret().reveal(), SECRET);
    assert_eq!(format!("{:?}", secret()), "Secret(24 bytes)");
    for (bytes, ok) in [(0, false), (23, false), (24, true), (32, true), (64, true), (65, false)] {
        assert_eq!(Secret::from_bytes(&vec![1; bytes]).is_ok(), ok, "{bytes} bytes");
    }
    let error = |text| Secret::parse(text).unwrap_err();
    assert_eq!(error("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), BadSecret::Prefix);
    assert_eq!(error("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), BadSecret::Prefix);
    assert_eq!(error("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"), BadSecret::Base64);
    assert_eq!(error("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_"), BadSecret::Base64);
    assert_eq!(error("whsec_MfKQ9r8GKYqrTwjU"), BadSecret::Length { bytes: 12 });
}
