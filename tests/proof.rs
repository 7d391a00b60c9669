//! Who may report a result: token, signature, address, and the change of secrets while traffic runs.

use std::time::{SystemTime, UNIX_EPOCH};

use simulator::partner::SignatureCheck;
use testkit::http::{self, Answer};
use testkit::{for_each_engine, until, webhook};

use crate::world::{AT_MOST, Endpoint, TOKEN, World, apply, click_id, conversion_id};

/// Advertisers with every kind of proof, each with an offer of its own.
const PROOFS: &str = r#"
[[advertiser]]
slug = "signs"
proof = "signature"
[[advertiser]]
slug = "both"
signing = true
postback_tokens = ["both-token-0123456789abcdef"]
[[advertiser]]
slug = "near"
proof = "address"
allowed_addresses = ["203.0.113.0/24", "2001:db8::/32"]
[[advertiser]]
slug = "listed"
allowed_addresses = ["203.0.113.0/24", "2001:db8::/32"]
postback_tokens = ["listed-token-0123456789abcdef"]

[[offer]]
slug = "signs"
advertiser = "signs"
destination = "https://signs.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "both"
advertiser = "both"
destination = "https://both.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "near"
advertiser = "near"
destination = "https://near.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "listed"
advertiser = "listed"
destination = "https://listed.example/?click={gk_click_id}"
revenue = "1"
payout = "1"

[[link]]
offer = "signs"
partner = "app"
[[link]]
offer = "both"
partner = "app"
[[link]]
offer = "near"
partner = "app"
[[link]]
offer = "listed"
partner = "app"
"#;

const BOTH: &str = "both-token-0123456789abcdef";
const LISTED: &str = "listed-token-0123456789abcdef";

/// The addresses that this server believes come from elsewhere.
const BEHIND_A_PROXY: [&str; 2] = ["--trusted-proxies", "127.0.0.1/32"];

#[expect(clippy::disallowed_methods, reason = "an advertiser signs with its own clock")]
fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

impl World<'_> {
    /// `GET` with headers.
    fn get_with(&self, target: &str, headers: &[(&str, String)]) -> Answer {
        let request = http::client().get(format!("{}{target}", self.server().url()));
        http::answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, value)))
    }

    /// `GET` as if from this address.
    fn get_from(&self, target: &str, address: &str) -> Answer {
        self.get_with(target, &[("x-forwarded-for", address.to_owned())])
    }

    /// A signed `GET`: what is signed is the path and query.
    fn get_signed(&self, target: &str, secret: &str, at_s: i64) -> Answer {
        self.get_with(target, &webhook::headers(secret, "msg-1", at_s, target.as_bytes()))
    }
}

#[test]
fn a_signature_is_enough_and_nothing_less_is_where_it_is_asked_for() {
    for_each_engine(|engine| {
        let world = World::with(engine, PROOFS, &[]);
        let secret = world.applied.signing_secret("advertiser", "signs");
        let target = |member: &str| format!("/postback?gk_click_id={}", world.click("signs", member));
        let first = target("m1");
        for (what, answer) in [
            ("nothing", world.get(&first)),
            ("another's token", world.get(&format!("{first}&token={TOKEN}"))),
            ("too old", world.get_signed(&first, &secret, now_s() - 310)),
            ("too early", world.get_signed(&first, &secret, now_s() + 310)),
            ("another's secret", {
                let other = world.applied.signing_secret("advertiser", "both");
                world.get_signed(&first, &other, now_s())
            }),
            ("other words", {
                let headers = webhook::headers(&secret, "msg-1", now_s(), first.as_bytes());
                world.get_with(&format!("{first}&cnv_status=Success"), &headers)
            }),
        ] {
            // A request that proves to be somebody else's is told that the click is not there.
            let code = if what.starts_with("another") { "click_unknown" } else { "not_authorized" };
            assert_eq!(answer.code(), code, "{what}: {answer:?}");
        }
        assert_eq!(world.count("conversion"), 0);
        for (at, offset_s) in [0, -290, 290].into_iter().enumerate() {
            let target = target(&format!("n{at}"));
            let answer = world.get_signed(&target, &secret, now_s() + offset_s);
            assert_eq!(answer.code(), "recorded", "{offset_s} s: {answer:?}");
        }
        let body = format!("{{\"gk_click_id\":\"{}\"}}", world.click("signs", "json"));
        let post = |signed: &str| {
            let request = http::client().post(format!("{}/postback", world.server().url()));
            let headers = webhook::headers(&secret, "msg-2", now_s(), signed.as_bytes());
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
            http::answer(request.header("content-type", "application/json").body(body.clone()))
        };
        assert_eq!(post("{}").code(), "not_authorized");
        assert_eq!(post(&body).code(), "recorded", "what is signed is the exact body");
        world.stop();
    });
}

#[test]
fn a_token_or_a_signature_is_enough_for_who_has_both() {
    for_each_engine(|engine| {
        let world = World::with(engine, PROOFS, &[]);
        let secret = world.applied.signing_secret("advertiser", "both");
        let by_token = world.click("both", "m1");
        assert_eq!(world.get(&format!("/postback?gk_click_id={by_token}&token={BOTH}")).code(), "recorded");
        let signed = format!("/postback?gk_click_id={}", world.click("both", "m2"));
        assert_eq!(world.get_signed(&signed, &secret, now_s()).code(), "recorded");
        world.stop();
    });
}

#[test]
fn an_address_is_enough_where_the_network_says_so() {
    for_each_engine(|engine| {
        let world = World::with(engine, PROOFS, &BEHIND_A_PROXY);
        let target = |member: &str| format!("/postback?gk_click_id={}", world.click("near", member));
        for (at, address) in ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8::7"].into_iter().enumerate() {
            let answer = world.get_from(&target(&format!("m{at}")), address);
            assert_eq!(answer.code(), "recorded", "{address}: {answer:?}");
        }
        let stranger = target("stranger");
        for address in ["198.51.100.7", "203.0.114.1", "203.0.113.9, 198.51.100.7", "::ffff:198.51.100.7"] {
            let answer = world.get_from(&stranger, address);
            assert_eq!((answer.status, answer.code().as_str()), (401, "not_authorized"), "{address}");
        }
        // What stands left of the proxy's own word is the sender's invention, and is not looked at.
        assert_eq!(world.get_from(&stranger, "198.51.100.7, 203.0.113.9").code(), "recorded");
        world.stop();
    });
}

#[test]
fn a_postback_from_a_wrong_address_is_rejected_and_the_true_one_counts() {
    for_each_engine(|engine| {
        let world = World::with(engine, PROOFS, &BEHIND_A_PROXY);
        for (at, own_id) in ["", "&cnv_conversion_id=order-1"].into_iter().enumerate() {
            let click = world.click("listed", &format!("m{at}"));
            let target = format!("/postback?token={LISTED}&gk_click_id={click}{own_id}");
            let forged = world.get_from(&target, "198.51.100.7");
            assert_eq!((forged.status, forged.code().as_str()), (200, "rejected:ip_not_allowed"));
            let named = forged.json();
            assert_eq!(named["data"]["status"], "Rejected");
            assert_eq!(named["data"]["reason"], "ip_not_allowed");
            let copy = world.get_from(&target, "198.51.100.7");
            assert_eq!((copy.code().as_str(), conversion_id(&copy)), ("duplicate", conversion_id(&forged)));
            let again = world.get_from(&target, "198.51.100.8");
            assert_eq!(again.code(), "rejected:ip_not_allowed", "another forger is another forgery");
            let true_one = world.get_from(&target, "203.0.113.9");
            assert_eq!(true_one.code(), "recorded", "{true_one:?}");
            let late = world.get_from(&target, "198.51.100.9");
            assert_eq!(late.code(), "rejected:ip_not_allowed", "nor does one that comes later change it");
            let holder = format!(
                "select conversion_id from conversion where holds_place = 1 and click_id = {}",
                engine.id(&click)
            );
            assert_eq!(engine.sql(&holder), [[conversion_id(&true_one).replace('-', "")]]);
        }
        assert_eq!(world.received().len(), 2, "the partner hears of the true ones only");
        world.stop();
    });
}

#[test]
fn a_partner_verifies_with_the_old_or_the_new_secret_while_it_changes() {
    for_each_engine(|engine| {
        let endpoint = Endpoint::bind();
        let more = format!(
            "[[postback]]\npartner = \"app\"\nslug = \"new\"\nurl = \"http://{}/postback/new\"\n",
            endpoint.address()
        );
        let world = World::with(engine, &more, &[]);
        let renewed = apply(engine, world.declaration(), &["--new-secret", "partner/app"]);
        let renewed_partner = endpoint.start(vec![renewed.signing_secret("partner", "app")]);
        let old = |at: usize| world.partner.received()[at].signature;
        let new = |at: usize| renewed_partner.received()[at].signature;
        let report = |member: &str| {
            let click = world.click("flat", member);
            assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
            assert!(!world.received().is_empty());
        };
        report("m1");
        assert_eq!((old(0), new(0)), (SignatureCheck::Valid, SignatureCheck::Valid));
        apply(engine, world.declaration(), &["--end-old-secrets", "partner/app"]);
        report("m2");
        assert_eq!((old(1), new(1)), (SignatureCheck::Invalid, SignatureCheck::Valid));
        world.stop();
    });
}

#[test]
fn an_advertiser_s_old_secrets_work_until_they_are_ended() {
    for_each_engine(|engine| {
        let world = World::with(engine, PROOFS, &[]);
        let old = world.applied.signing_secret("advertiser", "signs");
        let renewed = apply(engine, world.declaration(), &["--new-secret", "advertiser/signs"]);
        let new = renewed.signing_secret("advertiser", "signs");
        // A catalog change reaches the server within a moment; only then is there anything to be told.
        let report = |member: &str, secret: &str, code: &str| {
            let target = format!("/postback?gk_click_id={}", world.click("signs", member));
            let what = format!("{code} for {member}");
            until(&what, AT_MOST, || {
                let told = world.get_signed(&target, secret, now_s()).code();
                (told == code).then_some(())
            });
        };
        report("m1", &new, "recorded");
        report("m2", &old, "recorded");
        apply(engine, world.declaration(), &["--end-old-secrets", "advertiser/signs"]);
        let ended = format!(
            "/postback?gk_click_id={}",
            click_id(&world.visit("signs/app", "pub_click_id=c&pub_member_id=m3"))
        );
        until("the old secret has ended", AT_MOST, || {
            // Without effect on the click: an event id that is no text cannot become a conversion.
            let told = world.get_signed(&format!("{ended}&cnv_sub_1=%00"), &old, now_s()).code();
            (told == "not_authorized").then_some(())
        });
        report("m4", &new, "recorded");
        world.stop();
    });
}
