//! A hit on a tracking link: what is answered, and that nothing is answered before it is kept.

use domain::click::{Marks, Verdict};
use domain::visit::Param;

use crate::site::{LINK, PAUSED, Site, UNAPPROVED};

const SOUND: &str = "pub_click_id=c1&pub_member_id=m1";

fn path(link: impl std::fmt::Display, query: &str) -> String {
    format!("/api/v1/offer-link/redirect/{link}?{query}")
}

#[tokio::test]
async fn a_sound_hit_is_recorded_and_sent_on() {
    let site = Site::start().await;
    let target = path(LINK, &format!("{SOUND}&pub_sub_2=a%20b&utm=x"));
    let answer = site.ask("GET", &target, &[("User-Agent", "Browser/1 (x)")], "").await;
    assert_eq!((answer.status, answer.header("x-click-verdict")), (302, "ok"));
    assert_eq!(
        (answer.header("cache-control"), answer.header("referrer-policy")),
        ("no-store", "no-referrer")
    );
    let id = answer.click();
    let url = format!("https://shop.test/land?click={id}&m=m1&ip=127.0.0.1&ua=Browser%2F1%20%28x%29");
    assert_eq!(answer.header("location"), url);
    assert!(answer.body.is_empty());

    let clicks = site.clicks().await;
    assert_eq!(clicks.len(), 1);
    let click = &clicks[0];
    assert_eq!((click.id, click.link, click.verdict, click.marks), (id, LINK, Verdict::Ok, Marks::default()));
    assert_eq!((click.pub_click_id.as_deref(), click.pub_member_id.as_deref()), (Some("c1"), Some("m1")));
    assert_eq!(
        (click.facts.destination.as_str(), click.facts.user_agent.as_str()),
        (url.as_str(), "Browser/1 (x)")
    );
    assert_eq!(click.facts.parameters, [(Param::Sub2, "a b".to_owned())]);
}

#[tokio::test]
async fn a_refused_hit_is_recorded_with_its_sound_values_and_told_by_its_id() {
    let site = Site::start().await;
    let answer = site.get(&path(LINK, "pub_click_id=c1&pub_member_id=")).await;
    assert_eq!((answer.status, answer.header("x-click-verdict")), (400, "pub_member_id_empty"));
    let body = answer.json();
    assert_eq!(body["messages"], serde_json::json!(["PubMemberId cannot be empty"]));
    let click = &site.clicks().await[0];
    assert_eq!(body["responseId"], click.id.to_string());
    assert_eq!((click.pub_click_id.as_deref(), click.pub_member_id.as_deref()), (Some("c1"), None));
    assert_eq!(
        (click.facts.message.as_str(), click.facts.destination.as_str()),
        ("PubMemberId cannot be empty", "")
    );
}

#[tokio::test]
async fn a_browser_is_told_on_a_page_that_no_value_can_break() {
    let site = Site::start().await;
    let target = path(LINK, "pub_click_id=c1&pub_member_id=%3Cscript%3E");
    let answer = site.ask("GET", &target, &[("Accept", "text/html,*/*;q=0.8")], "").await;
    assert_eq!((answer.status, answer.header("x-click-verdict")), (400, "pub_member_id_macro"));
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
    let click = site.clicks().await[0].id.to_string();
    for shown in ["<dd><code>pub_member_id</code></dd>", "&#60;script&#62;", &click] {
        assert!(answer.body.contains(shown), "{shown} in {}", answer.body);
    }
    assert!(!answer.body.contains("<script"));
}

#[tokio::test]
async fn a_closed_offer_leads_to_the_fallback_or_says_so() {
    let site = Site::start().await;
    let answer = site.get(&path(PAUSED, SOUND)).await;
    assert_eq!((answer.status, answer.header("x-click-verdict")), (302, "offer_not_active"));
    assert_eq!(answer.header("location"), "https://fallback.test/more");
    let answer = site.get(&path(UNAPPROVED, SOUND)).await;
    assert_eq!((answer.status, answer.code()), (410, "partner_not_approved".to_owned()));
    let clicks = site.clicks().await;
    assert_eq!(clicks[0].marks, Marks::FELL_BACK);
    assert_eq!(clicks[0].facts.destination, "https://fallback.test/more");
    assert_eq!(clicks[1].marks, Marks::default());
}

#[tokio::test]
async fn only_get_makes_a_click_and_fetching_ahead_is_marked() {
    let site = Site::start().await;
    let head = site.ask("HEAD", &path(LINK, SOUND), &[], "").await;
    assert_eq!((head.status, head.header("x-click-verdict")), (302, "ok"));
    assert!(head.header("location").starts_with("https://shop.test/land?click="));
    let refused = site.ask("HEAD", &path(LINK, ""), &[], "").await;
    assert_eq!((refused.status, refused.body.as_str()), (400, ""));
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = site.ask(method, &path(LINK, SOUND), &[], "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    assert_eq!(site.clicks().await.len(), 0);
    let ahead = site.ask("GET", &path(LINK, SOUND), &[("Sec-Purpose", "prefetch;prerender")], "").await;
    assert_eq!(ahead.status, 302);
    assert_eq!(site.clicks().await[0].marks, Marks::PREFETCH);
}

#[tokio::test]
async fn an_unknown_link_is_answered_and_not_recorded() {
    let site = Site::start().await;
    for link in ["00000000-0000-0000-0000-0000000000aa", "nonsense", "", "../../healthz", &format!("{LINK}/")]
    {
        let answer = site.get(&path(link, SOUND)).await;
        assert_eq!((answer.status, answer.header("x-click-verdict")), (404, "link_unknown"), "{link}");
        assert_eq!(answer.code(), "link_unknown");
    }
    assert_eq!(site.clicks().await.len(), 0);
}

#[tokio::test]
async fn a_network_s_links_work_on_its_own_hosts() {
    let site = Site::start().await;
    let on = async |host: &str| site.ask("GET", &path(LINK, SOUND), &[("Host", host)], "").await.status;
    assert_eq!(on("anything.test").await, 302);
    site.add_network();
    let told = [
        ("api.acme.test", 302),
        ("API.Acme.test:8080", 302),
        ("api.other.test", 404),
        ("anything.test", 404),
    ];
    for (host, status) in told {
        assert_eq!(on(host).await, status, "{host}");
    }
}

#[tokio::test]
async fn a_click_that_cannot_be_kept_is_never_sent_on() {
    let site = Site::start().await;
    site.db.close().await;
    let answer = site.get(&path(LINK, SOUND)).await;
    assert_eq!((answer.status, answer.header("x-click-verdict")), (503, "not_recorded"));
    assert_eq!((answer.header("retry-after"), answer.header("location")), ("2", ""));
    assert_eq!(answer.code(), "not_recorded");
}

#[tokio::test]
async fn the_visitor_s_address_is_what_our_proxies_say() {
    let forwarded = [("X-Forwarded-For", "203.0.113.9")];
    let direct = Site::start().await;
    let answer = direct.ask("GET", &path(LINK, SOUND), &forwarded, "").await;
    assert!(answer.header("location").contains("&ip=127.0.0.1&"));
    let behind =
        Site::with(web::Limits::default(), |app| app.settings.proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let answer = behind.await.ask("GET", &path(LINK, SOUND), &forwarded, "").await;
    assert!(answer.header("location").contains("&ip=203.0.113.9&"));
}
