//! An advertiser's postback: every way to send it, what is answered, what is kept.

use store::inbound::Logged;

use crate::site::{LINK, Site, TOKEN};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("Content-Type", "application/json");

type Headers = &'static [(&'static str, &'static str)];

/// Makes a click and returns its id.
async fn click(site: &Site, member: &str) -> String {
    let target = format!("/api/v1/offer-link/redirect/{LINK}?pub_click_id=c&pub_member_id={member}");
    site.get(&target).await.click().to_string()
}

/// The inbound log's lines about a click, oldest first.
async fn kept(site: &Site, click: &str) -> Vec<Logged> {
    let click = click.parse().unwrap();
    site.db.read(move |tx| store::inbound::by_click(tx, click, 100)).await.unwrap()
}

#[tokio::test]
async fn a_postback_may_come_in_every_form() {
    let site = Site::start().await;
    let mut conversions = Vec::new();
    for (index, way) in ["query", "path", "form", "json", "split"].iter().enumerate() {
        let click = click(&site, &format!("m{index}")).await;
        let answer = match *way {
            "query" => site.get(&format!("/postback?gk_click_id={click}&token={TOKEN}")).await,
            "path" => site.get(&format!("/api/v1/postback/{TOKEN}?gk_click_id={click}")).await,
            "form" => {
                site.ask("POST", "/postback", &[FORM], &format!("gk_click_id={click}&token={TOKEN}")).await
            }
            "json" => {
                let body = format!(r#"{{"gk_click_id":"{click}","token":"{TOKEN}","cnv_amount":1.5}}"#);
                site.ask("POST", "/postback", &[JSON], &body).await
            }
            _ => {
                let target = format!("/api/v1/postback/{TOKEN}?cnv_sub_1=a");
                site.ask("POST", &target, &[FORM], &format!("gk_click_id={click}")).await
            }
        };
        assert_eq!((answer.status, answer.code()), (200, "recorded".to_owned()), "{way}: {}", answer.body);
        let body = answer.json();
        assert_eq!((&body["isSuccessful"], &body["data"]["status"]), (&true.into(), &"Success".into()));
        conversions.push(body["data"]["conversionId"].as_str().unwrap().to_owned());
        let kept = kept(&site, &click).await;
        assert_eq!((kept.len(), kept[0].code.as_str()), (1, "recorded"));
        assert_eq!(body["responseId"], kept[0].id.to_string());
        let shown = format!("{} {}", kept[0].target, kept[0].body);
        assert!(!shown.contains(TOKEN) && shown.contains("***"), "{shown}");
    }
    conversions.sort();
    conversions.dedup();
    assert_eq!(conversions.len(), 5);
}

#[tokio::test]
async fn a_copy_is_answered_with_the_first_and_a_second_result_names_the_winner() {
    let site = Site::start().await;
    let (first, second) = (click(&site, "m1").await, click(&site, "m1").await);
    let send =
        async |click: &str| site.get(&format!("/postback?gk_click_id={click}&token={TOKEN}")).await.json();
    let recorded = send(&first).await;
    let copy = send(&first).await;
    assert_eq!((&copy["code"], &copy["data"]), (&"duplicate".into(), &recorded["data"]));
    let lost = send(&second).await;
    assert_eq!(lost["code"], "member_already_completed");
    assert_eq!(lost["data"]["winnerId"], recorded["data"]["conversionId"]);
    assert_eq!(lost["data"]["reason"], "member_already_completed");
    assert_eq!(lost["isSuccessful"], true);
}

#[tokio::test]
async fn head_and_other_methods_record_nothing() {
    let site = Site::start().await;
    let click = click(&site, "m1").await;
    for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for target in ["/postback".to_owned(), format!("/api/v1/postback/{TOKEN}")] {
            let answer =
                site.ask(method, &format!("{target}?gk_click_id={click}&token={TOKEN}"), &[], "").await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, POST"), "{method} {target}");
        }
    }
    assert_eq!(kept(&site, &click).await.len(), 0);
}

#[tokio::test]
async fn without_proof_everything_is_kept_and_nothing_told() {
    let site = Site::start().await;
    let click = click(&site, "m1").await;
    for target in [
        format!("/postback?gk_click_id={click}"),
        format!("/postback?gk_click_id={click}&token=wrong"),
        format!("/api/v1/postback/wrong?gk_click_id={click}"),
        "/postback?gk_click_id=%zz".to_owned(),
    ] {
        let answer = site.get(&target).await;
        assert_eq!((answer.status, answer.code()), (401, "not_authorized".to_owned()), "{target}");
        assert!(!answer.header("www-authenticate").is_empty());
        assert_eq!(answer.json()["data"], serde_json::Value::Null);
    }
    let kept = kept(&site, &click).await;
    assert_eq!(kept.len(), 3);
    assert_eq!(kept[0].code, "not_authorized");
    assert_eq!(kept[1].target, format!("/postback?gk_click_id={click}&token=***"));
    assert_eq!(kept[2].target, format!("/api/v1/postback/***?gk_click_id={click}"));
}

#[tokio::test]
async fn malformed_postbacks_are_told() {
    let site = Site::start().await;
    let long = "x".repeat(70_000);
    let cases: [(Headers, String, u16); 6] = [
        (&[JSON], format!(r#"{{"token":"{TOKEN}","cnv_amount":null,"gk_click_id":"x"}}"#), 400),
        (&[JSON], format!(r#"{{"gk_click_id":"x","gk_click_id":"x","token":"{TOKEN}"}}"#), 400),
        (&[FORM], format!("token={TOKEN}&cnv_sub_1=%zz"), 400),
        (&[("Content-Type", "text/plain")], format!("token={TOKEN}"), 400),
        (&[], format!("token={TOKEN}"), 400),
        (&[FORM], format!("token={TOKEN}&x={long}"), 413),
    ];
    for (headers, body, status) in &cases {
        let answer = site.ask("POST", &format!("/postback?token={TOKEN}"), headers, body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (*status, "parameter_malformed".to_owned()),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn a_postback_that_cannot_be_kept_is_asked_for_again() {
    let site = Site::start().await;
    site.db.close().await;
    let answer = site.get(&format!("/postback?gk_click_id=x&token={TOKEN}")).await;
    assert_eq!((answer.status, answer.code()), (503, "not_recorded".to_owned()));
    assert_eq!(answer.header("retry-after"), "2");
}
