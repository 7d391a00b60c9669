//! Both simulators through their public door: two listeners, spoken to over HTTP. The advertiser's postbacks
//! go to the partner here, which takes whatever comes and says what it was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{CONTENT_SECURITY_POLICY, LOCATION, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use sha2::Sha256;
use simulator::advertiser::{self, Advertiser, Answer, Event, Kind, Offer};
use simulator::partner::{self, Behaviour, Link, Partner, SignatureCheck};
use tokio::net::TcpListener;
use tokio::time::timeout;

const SECRET: &str = "whsec_c2ltdWxhdG9yLXRlc3Qtc2VjcmV0LTAwMDE=";
const CANARY: &str = "<script>alert(1)</script>";
const CANARY_ENCODED: &str = "%3Cscript%3Ealert(1)%3C/script%3E";
const LONG: Duration = Duration::from_secs(20);

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn partner() -> Partner {
    let settings = partner::Settings {
        name: "Walking Rewards".to_owned(),
        links: vec![Link {
            offer_title: "Open an account".to_owned(),
            url: "http://127.0.0.1:1/link/7".to_owned(),
        }],
        secrets: vec!["whsec_b2xk".to_owned(), SECRET.to_owned()],
        ..partner::Settings::default()
    };
    Partner::start(listener().await, settings).unwrap()
}

async fn advertiser(postback_base: String) -> Advertiser {
    let offer = |slug: &str, kind, events| Offer {
        slug: slug.to_owned(),
        title: format!("Offer {slug}"),
        blurb: "A blurb.".to_owned(),
        kind,
        currency: "EUR".to_owned(),
        events,
    };
    let event = |id: &str| Event { event_id: id.to_owned(), name: format!("Do {id}") };
    let settings = advertiser::Settings {
        name: "Northwind Bank".to_owned(),
        postback_base,
        token: "tok-very-secret".to_owned(),
        offers: vec![
            offer("account", Kind::FlatRate, vec![]),
            offer("shop", Kind::RevShare, vec![]),
            offer("game", Kind::FlatRate, vec![event("install"), event("level 10")]),
        ],
    };
    Advertiser::start(listener().await, settings).unwrap()
}

/// Follows nothing, trusts nothing, and needs no certificates of the machine.
fn client() -> Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let policy = reqwest::redirect::Policy::none();
    Client::builder().tls_backend_preconfigured(tls).redirect(policy).no_proxy().build().unwrap()
}

async fn page(client: &Client, url: &str) -> String {
    let response = client.get(url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{url}");
    let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; form-action 'self'"), "{policy}");
    response.text().await.unwrap()
}

fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A request with the three headers of Standard Webhooks.
fn signed(
    request: reqwest::RequestBuilder,
    secret: &str,
    at_s: i64,
    payload: &str,
) -> reqwest::RequestBuilder {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(format!("d-1.{at_s}.{payload}"));
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    request
        .header("webhook-id", "d-1")
        .header("webhook-timestamp", at_s.to_string())
        .header("webhook-signature", signature)
}

#[tokio::test]
async fn a_button_sends_a_postback_and_the_page_shows_both_sides() {
    let partner = partner().await;
    let advertiser = advertiser(format!("http://{}/postback", partner.addr())).await;
    let (client, shop) = (client(), format!("http://{}", advertiser.addr()));

    let landing = format!("{shop}/shop?click_id=0190-aa&pub=p%201");
    let before = page(&client, &landing).await;
    assert!(before.contains("0190-aa") && before.contains("p 1") && before.contains("None yet"), "{before}");

    let form = [
        ("landing_query", "click_id=0190-aa&pub=p%201"),
        ("amount", "49.90"),
        ("conversion_id", "order 7"),
        ("status", "Pending"),
    ];
    let answer = client.post(format!("{shop}/shop/complete")).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[LOCATION], "/shop?click_id=0190-aa&pub=p%201#postback-1");

    let received = timeout(LONG, partner.wait_for(1)).await.unwrap();
    assert_eq!(
        received[0].path_and_query,
        "/postback?gk_click_id=0190-aa&token=tok-very-secret&cnv_amount=49.90&cnv_currency=EUR\
         &cnv_conversion_id=order%207&cnv_status=Pending"
    );
    let after = page(&client, &landing).await;
    assert!(
        after.contains("order%207") && after.contains("••••••••") && after.contains("ok</pre>"),
        "{after}"
    );
    assert!(!after.contains("tok-very-secret") && !after.contains("None yet"), "{after}");
    assert!(page(&client, &shop).await.contains("0190-aa"));
}

#[tokio::test]
async fn the_same_postback_again_is_the_same_byte_for_byte() {
    let partner = partner().await;
    let advertiser = advertiser(format!("http://{}/postback?via=test", partner.addr())).await;
    let (client, shop) = (client(), format!("http://{}", advertiser.addr()));
    let form = [("landing_query", "click_id=c-1"), ("event_id", "level 10")];
    client.post(format!("{shop}/game/complete")).form(&form).send().await.unwrap();
    let again = client.post(format!("{shop}/game/again")).form(&[("number", "1")]).send().await.unwrap();
    assert_eq!(again.headers()[LOCATION], "/game?click_id=c-1#postback-2");
    let received = timeout(LONG, partner.wait_for(2)).await.unwrap();
    assert_eq!(received[0].path_and_query, received[1].path_and_query);
    assert!(received[0].path_and_query.starts_with("/postback?via=test&gk_click_id=c-1&token="));
    assert_eq!(received[0].parameter("cnv_event_id"), "level 10");
    assert_eq!(advertiser.postbacks()[1].repeats, Some(1));

    let gone = client.post(format!("{shop}/game/again")).form(&[("number", "9")]).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_landing_page_escapes_what_it_received() {
    let advertiser = advertiser("http://127.0.0.1:1/postback".to_owned()).await;
    let (client, shop) = (client(), format!("http://{}", advertiser.addr()));
    let query =
        format!("click_id={CANARY_ENCODED}&{CANARY_ENCODED}={CANARY_ENCODED}&x=%22%3E{CANARY_ENCODED}");
    let landing = page(&client, &format!("{shop}/account?{query}")).await;
    assert!(!landing.contains(CANARY), "{landing}");
    assert_eq!(landing.matches("&#60;script&#62;").count(), 4, "{landing}");
    assert!(!page(&client, &shop).await.contains(CANARY));
}

#[tokio::test]
async fn a_forged_landing_query_stays_in_its_header() {
    let advertiser = advertiser("http://127.0.0.1:1/postback".to_owned()).await;
    let url = format!("http://{}/account/complete", advertiser.addr());
    let form = [("landing_query", "click_id=1\r\nSet-Cookie: a=b#x")];
    let answer = client().post(url).form(&form).send().await.unwrap();
    assert_eq!(answer.headers()[LOCATION], "/account?click_id=1%0D%0ASet-Cookie:%20a=b%23x#postback-1");
    assert!(answer.headers().get("set-cookie").is_none());
}

#[tokio::test]
async fn no_answer_is_said_without_the_token() {
    let closed = listener().await;
    let base = format!("http://{}/postback", closed.local_addr().unwrap());
    drop(closed);
    let advertiser = advertiser(base).await;
    let url = format!("http://{}/account/complete", advertiser.addr());
    client().post(url).form(&[("landing_query", "click_id=1")]).send().await.unwrap();
    let postbacks = advertiser.postbacks();
    let Answer::Failed(why) = &postbacks[0].answer else { panic!("{:?}", postbacks[0]) };
    assert!(why.contains("refused") && !why.contains("tok-very-secret"), "{why}");
    assert!(!format!("{:?}", postbacks[0]).contains("tok-very-secret"));
}

#[tokio::test]
async fn each_offer_has_the_fields_that_it_needs() {
    let advertiser = advertiser("http://127.0.0.1:1/postback".to_owned()).await;
    let (client, shop) = (client(), format!("http://{}", advertiser.addr()));
    let single = page(&client, &format!("{shop}/account")).await;
    assert!(single.contains("Complete the action") && !single.contains("name=\"amount\""), "{single}");
    assert!(single.contains("Without a click id"), "{single}");
    assert!(page(&client, &format!("{shop}/shop")).await.contains("name=\"amount\""));
    let multi = page(&client, &format!("{shop}/game")).await;
    assert!(multi.contains("value=\"install\"") && multi.contains("value=\"level 10\""), "{multi}");
    let missing = client.get(format!("{shop}/nothing")).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_partner_shows_fresh_links_with_real_values() {
    let partner = partner().await;
    let (client, url) = (client(), format!("http://{}", partner.addr()));
    let hrefs = |html: &str| -> Vec<String> {
        html.split("href=\"").skip(1).filter_map(|at| Some(at.split_once('"')?.0.to_owned())).collect()
    };
    let first: Vec<_> =
        hrefs(&page(&client, &url).await).into_iter().filter(|at| at.contains("/link/7?")).collect();
    assert_eq!(first.len(), 12);
    assert!(first[0].contains("pub_member_id=m-10482") && first[0].contains("pub_sub_1="), "{}", first[0]);
    let second = hrefs(&page(&client, &url).await);
    assert!(first.iter().all(|at| !second.contains(at)), "a click id was used twice");
}

#[tokio::test]
async fn signatures_are_checked_over_the_target_or_the_body() {
    let partner = partner().await;
    let (client, base) = (client(), format!("http://{}", partner.addr()));
    let target = "/postback/offer-1?pub_click_id=a%20b&empty=";
    let get = || client.get(format!("{base}{target}"));
    signed(get(), SECRET, now_s(), target).send().await.unwrap();
    signed(get(), SECRET, now_s(), "/postback/offer-1").send().await.unwrap();
    signed(get(), SECRET, now_s() - 3600, target).send().await.unwrap();
    get().send().await.unwrap();
    let body = r#"{"pub_click_id":"c","payout":"1.50"}"#;
    let post = client.post(format!("{base}/postback")).header("content-type", "application/json").body(body);
    let answer = signed(post, SECRET, now_s(), body).send().await.unwrap();
    assert_eq!((answer.status(), answer.text().await.unwrap().as_str()), (StatusCode::OK, "ok"));

    let received = partner.received();
    let checks: Vec<_> = received.iter().map(|at| at.signature).collect();
    assert_eq!(
        checks,
        [
            SignatureCheck::Valid,
            SignatureCheck::Invalid,
            SignatureCheck::TooOld,
            SignatureCheck::Missing,
            SignatureCheck::Valid
        ]
    );
    assert_eq!(received[0].path_and_query, target);
    assert_eq!(received[0].parameter("pub_click_id"), "a b");
    assert_eq!(received[4].parameter("payout"), "1.50");
    let html = page(&client, &base).await;
    for word in
        ["signature valid", "signature invalid", "signature too old", "signature missing", "attempt 2"]
    {
        assert!(html.contains(word), "{word}: {html}");
    }
}

#[tokio::test]
async fn the_partner_answers_as_told() {
    let partner = partner().await;
    let (client, url) = (client(), format!("http://{}/postback", partner.addr()));
    partner.set_behaviour(Behaviour::Status(503));
    assert_eq!(client.get(&url).send().await.unwrap().status(), 503);
    partner.set_behaviour(Behaviour::RetryAfter { status: 429, seconds: 7 });
    assert_eq!(client.get(&url).send().await.unwrap().headers()[RETRY_AFTER], "7");
    partner.set_behaviour(Behaviour::Redirect("http://127.0.0.1:1/".to_owned()));
    let redirect = client.get(&url).send().await.unwrap();
    assert_eq!(
        (redirect.status(), &redirect.headers()[LOCATION]),
        (StatusCode::FOUND, &"http://127.0.0.1:1/".parse().unwrap())
    );
    partner.set_behaviour(Behaviour::Reset);
    let reset = format!("{:?}", client.get(&url).send().await.unwrap_err());
    assert!(reset.contains("ConnectionReset"), "{reset}");
    partner.set_behaviour(Behaviour::Drip);
    let mut drip = client.get(&url).send().await.unwrap();
    assert_eq!(drip.chunk().await.unwrap().unwrap().as_ref(), b".");
    partner.set_behaviour(Behaviour::Flood);
    let mut flood = client.get(&url).send().await.unwrap();
    let mut bytes = 0;
    while bytes < 1_000_000 {
        bytes += flood.chunk().await.unwrap().unwrap().len();
    }
    partner.set_behaviour(Behaviour::Ok);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    let answers: Vec<_> = partner.received().iter().map(|at| at.accepted).collect();
    assert_eq!(answers, [false, false, false, false, false, false, true]);
}

#[tokio::test]
async fn a_hanging_answer_is_cut_by_a_stop() {
    let partner = partner().await;
    partner.set_behaviour(Behaviour::Hang);
    let url = format!("http://{}/postback", partner.addr());
    let asked = tokio::spawn(client().get(&url).send());
    timeout(LONG, partner.wait_for(1)).await.unwrap();
    assert!(!asked.is_finished());
    partner.stop().await;
    assert!(timeout(LONG, asked).await.unwrap().unwrap().is_err());
    assert!(client().get(&url).send().await.is_err());
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_and_not_kept() {
    let partner = partner().await;
    let url = format!("http://{}/postback", partner.addr());
    let answer = client().post(url).body(vec![b'x'; 64 * 1024 + 1]).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(partner.count(), 0);
}
