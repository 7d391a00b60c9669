//! Two networks on one server: each by its own host, and neither learns anything of the other.

use testkit::http::{self, Answer};
use testkit::{Engine, for_each_engine};

use crate::world::{AT_MOST, World, click_id};

const SHOP: &str = "shop-token-0123456789abcdef";
const OTHER: &str = "other-token-0123456789abcdef";
const RIVAL: &str = "rival-token-0123456789abcdef";

const NETWORKS: &str = r#"
[[network]]
label = "acme"
currency = "USD"
[[network]]
label = "rival"
currency = "EUR"
fallback_url = "https://rival.example/all"

[[advertiser]]
network = "acme"
slug = "shop"
postback_tokens = ["shop-token-0123456789abcdef"]
[[advertiser]]
network = "acme"
slug = "other"
postback_tokens = ["other-token-0123456789abcdef"]
[[advertiser]]
network = "rival"
slug = "shop"
postback_tokens = ["rival-token-0123456789abcdef"]

[[partner]]
network = "acme"
slug = "app"
[[partner]]
network = "rival"
slug = "web"

[[offer]]
network = "acme"
slug = "flat"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
network = "rival"
slug = "flat"
advertiser = "shop"
destination = "https://rival.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
network = "rival"
slug = "paused"
status = "Paused"
advertiser = "shop"
destination = "https://rival.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
network = "rival"
slug = "moved"
status = "Paused"
advertiser = "shop"
destination = "https://rival.example/?click={gk_click_id}"
fallback_url = "https://rival.example/moved"
revenue = "1"
payout = "1"

[[link]]
network = "acme"
offer = "flat"
partner = "app"
[[link]]
network = "rival"
offer = "flat"
partner = "web"
[[link]]
network = "rival"
offer = "paused"
partner = "web"
[[link]]
network = "rival"
offer = "moved"
partner = "web"

[[postback]]
network = "acme"
partner = "app"
slug = "all"
url = "http://{partner}/postback/all"
"#;

/// An id that nothing has.
const ABSENT: &str = "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6";

fn start(engine: &Engine) -> World<'_> {
    World::declared(engine, NETWORKS, &[])
}

impl World<'_> {
    /// `GET` of a target of this host.
    fn get_of(&self, host: &str, target: &str) -> Answer {
        http::answer(http::client().get(format!("{}{target}", self.server().url())).header("host", host))
    }

    /// Everything that comes back for a `GET`, but what is new in every answer: ids and times.
    fn bytes_of(&self, host: &str, target: &str, accept: &str) -> String {
        let head =
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
        let back = http::raw(self.server().address(), head.as_bytes(), AT_MOST);
        without_ids_and_times(&String::from_utf8(back).unwrap())
    }
}

fn without_ids_and_times(answer: &str) -> String {
    let lines = answer.lines().filter(|line| !line.starts_with("date: ")).map(|line| {
        let (before, after) = line.split_once("<time ").unwrap_or((line, ""));
        format!("{before}{}\n", after.split_once("</time>").map_or("", |(_, after)| after))
    });
    let mut text: String = lines.collect();
    let is_id = |part: &str| uuid::Uuid::try_parse(part).is_ok();
    while let Some(at) = (0..text.len()).find(|at| text.get(*at..at + 36).is_some_and(is_id)) {
        text.replace_range(at..at + 36, "ID");
    }
    text
}

#[test]
fn a_link_works_on_its_network_s_hosts_and_is_unknown_elsewhere() {
    for_each_engine(|engine| {
        let world = start(engine);
        let query = "?pub_click_id=c&pub_member_id=m";
        let own = format!("{}{query}", world.path("flat/app"));
        for (at, host) in ["api.acme.test", "API.ACME.test:8080", "app.acme.example.com"].iter().enumerate() {
            click_id(&world.get_of(host, &own.replace("_id=c&", &format!("_id=c{at}&"))));
        }
        assert_eq!(world.count("click"), 3);
        let absent = format!("/api/v1/offer-link/redirect/{ABSENT}{query}");
        for host in ["api.rival.test", "acme.test", "127.0.0.1", "x", "api..test", "www.acme.test"] {
            for accept in ["*/*", "text/html"] {
                let unknown = world.bytes_of(host, &absent, accept);
                assert!(unknown.starts_with("HTTP/1.1 404 "), "{unknown}");
                assert_eq!(world.bytes_of(host, &own, accept), unknown, "{host}");
            }
        }
        assert_eq!(world.count("click"), 3);
        world.stop();
    });
}

#[test]
fn a_click_of_somebody_else_answers_like_one_that_does_not_exist() {
    for_each_engine(|engine| {
        let world = start(engine);
        let link = format!("{}?pub_click_id=c&pub_member_id=m", world.path("flat/app"));
        let click = click_id(&world.get_of("api.acme.test", &link));
        let report = |token: &str, click: &str| format!("/postback?token={token}&gk_click_id={click}");
        let by_path = |token: &str, click: &str| format!("/api/v1/postback/{token}?gk_click_id={click}");
        for (host, token, status) in [
            // Another advertiser of the network, and another network's.
            ("api.acme.test", OTHER, 404),
            ("api.rival.test", RIVAL, 404),
            // A token is good on its own network's hosts only.
            ("api.rival.test", SHOP, 401),
            ("api.acme.test", RIVAL, 401),
            ("x", SHOP, 401),
        ] {
            for (theirs, absent) in [
                (report(token, &click), report(token, ABSENT)),
                (by_path(token, &click), by_path(token, ABSENT)),
                (report(token, &click) + "&cnv_event_id=x", report(token, ABSENT) + "&cnv_event_id=x"),
                (report(token, &click) + "&cnv_status=3", report(token, ABSENT) + "&cnv_status=3"),
            ] {
                let unknown = world.bytes_of(host, &absent, "*/*");
                assert!(unknown.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {unknown}");
                assert_eq!(world.bytes_of(host, &theirs, "*/*"), unknown, "{host}");
            }
        }
        assert_eq!(world.count("conversion"), 0);
        // Nor does it answer another way once there is a conversion.
        assert_eq!(world.get_of("api.acme.test", &report(SHOP, &click)).code(), "recorded");
        let unknown = world.bytes_of("api.rival.test", &report(RIVAL, ABSENT), "*/*");
        assert_eq!(world.bytes_of("api.rival.test", &report(RIVAL, &click), "*/*"), unknown);
        world.stop();
    });
}

#[test]
fn the_same_member_and_the_same_ids_are_others_in_another_network() {
    for_each_engine(|engine| {
        let world = start(engine);
        for (host, link, token) in
            [("api.acme.test", "flat/app", SHOP), ("api.rival.test", "flat/web", RIVAL)]
        {
            let link = format!("{}?pub_click_id=c&pub_member_id=m", world.path(link));
            let click = click_id(&world.get_of(host, &link));
            let report = format!("/postback?token={token}&gk_click_id={click}&cnv_conversion_id=order-1");
            assert_eq!(world.get_of(host, &report).code(), "recorded", "{host}");
        }
        assert_eq!(world.received().len(), 1, "the other network's partner has no postback");
        world.stop();
    });
}

#[test]
fn visitors_go_to_the_offer_s_fallback_or_else_the_network_s() {
    for_each_engine(|engine| {
        let world = start(engine);
        for (link, location) in
            [("paused/web", "https://rival.example/all"), ("moved/web", "https://rival.example/moved")]
        {
            let target = format!("{}?pub_click_id=c&pub_member_id=m", world.path(link));
            let answer = world.get_of("api.rival.test", &target);
            let verdict = (answer.status, answer.header("x-click-verdict"));
            assert_eq!((verdict, answer.header("location")), ((302, "offer_not_active"), location));
            // What is wrong with the link is told, not passed on.
            let broken = world.get_of("api.rival.test", &target.replace("=m", "="));
            assert_eq!((broken.status, broken.header("location")), (400, ""));
        }
        world.stop();
    });
}
