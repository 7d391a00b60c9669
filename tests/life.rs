//! An offer's life: its status, launch and expiry, who may run it, what changes at a time, and which terms decide about
//! money.

use std::time::Duration;

use testkit::http::Answer;
use testkit::{Engine, Server, eventually, for_each_engine};
use uuid::Uuid;

use crate::PITLANE;
use crate::world::{TO_THIS_MACHINE, World, apply, click_id};

/// The product promises a second; a busy machine gets a few.
const SOON: Duration = Duration::from_secs(20);

/// A single-event offer with more lines, and a link of the partner `app`.
pub(crate) fn offer(slug: &str, more: &str) -> String {
    format!(
        "\n[[offer]]\nslug = \"{slug}\"\nadvertiser = \"shop\"\n\
         destination = \"https://shop.example/?click={{gk_click_id}}\"\nrevenue = \"2\"\npayout = \"1\"\n{more}\n\
         [[link]]\noffer = \"{slug}\"\npartner = \"app\"\n"
    )
}

/// A query that nobody sent before.
pub(crate) fn fresh() -> String {
    let id = Uuid::new_v4();
    format!("pub_click_id=c-{id}&pub_member_id=m-{id}")
}

impl World<'_> {
    /// What a visitor of an offer of the partner `app` meets: status, verdict and where it leads.
    fn met(&self, offer: &str) -> (u16, String, String) {
        let answer = self.visit(&format!("{offer}/app"), &fresh());
        let header = |name| answer.header(name).to_owned();
        (answer.status, header("x-click-verdict"), header("location"))
    }

    /// Makes a click older, and gives the id that it then has: ids carry their time.
    pub(crate) fn aged(&self, click: &str, by_ms: u64) -> String {
        let id = Uuid::parse_str(click).unwrap();
        let older = Uuid::from_u128(id.as_u128() - (u128::from(by_ms) << 80)).to_string();
        let (old, new) = (self.engine.id(click), self.engine.id(&older));
        self.engine.execute(&format!("update click set click_id = {new} where click_id = {old}"));
        older
    }

    /// What a click of this moment on the offer `flat` pays.
    fn pays_now(&self) -> String {
        let member = Uuid::new_v4().to_string();
        let click = self.click("flat", &member);
        assert_eq!(self.report(&format!("gk_click_id={click}")).code(), "recorded");
        self.stored(&member)[0][2].clone()
    }

    /// Status, reason and payout of a member's conversion, as they are stored.
    pub(crate) fn stored(&self, member: &str) -> Vec<Vec<String>> {
        let columns = "status, reason, payout_micros";
        let order = "order by received_ms, conversion_id";
        self.engine.sql(&format!("select {columns} from conversion where pub_member_id = '{member}' {order}"))
    }
}

/// A rejection: its code is in the answer.
#[track_caller]
pub(crate) fn rejected(answer: &Answer, reason: &str) {
    assert_eq!((answer.status, answer.code()), (200, format!("rejected:{reason}")), "{answer:?}");
    assert_eq!(answer.json()["data"]["status"], "Rejected");
}

#[test]
fn every_state_of_an_offer_has_its_verdict() {
    const PAST: &str = "2026-01-01T00:00:00Z";
    const FUTURE: &str = "2099-01-01T00:00:00Z";
    let cases = [
        ("draft", "status = \"Draft\"".to_owned(), "offer_not_active"),
        ("paused", "status = \"Paused\"".to_owned(), "offer_not_active"),
        ("pending", "status = \"Pending\"".to_owned(), "offer_not_active"),
        ("pending-early", format!("status = \"Pending\"\nlaunch = {FUTURE}"), "offer_not_started"),
        ("pending-launched", format!("status = \"Pending\"\nlaunch = {PAST}"), "ok"),
        ("draft-launched", format!("status = \"Draft\"\nlaunch = {PAST}"), "offer_not_active"),
        ("paused-early", format!("status = \"Paused\"\nlaunch = {FUTURE}"), "offer_not_active"),
        ("early", format!("launch = {FUTURE}"), "offer_not_started"),
        ("launched", format!("launch = {PAST}\nexpiry = {FUTURE}"), "ok"),
        ("over", format!("expiry = {PAST}"), "offer_expired"),
        ("paused-over", format!("status = \"Paused\"\nexpiry = {PAST}"), "offer_expired"),
        ("expired", "status = \"Expired\"".to_owned(), "offer_expired"),
        ("expired-early", format!("status = \"Expired\"\nlaunch = {FUTURE}"), "offer_expired"),
    ];
    for_each_engine(|engine| {
        let offers = cases.each_ref().map(|(slug, more, _)| offer(slug, more)).concat();
        let world = World::with(engine, &offers, &[]);
        for (slug, _, verdict) in &cases {
            let (status, found, location) = world.met(slug);
            assert_eq!(found, *verdict, "{slug}");
            assert_eq!(status, if *verdict == "ok" { 302 } else { 410 }, "{slug}");
            assert_eq!(location.is_empty(), *verdict != "ok", "{slug}");
        }
        world.stop();
    });
}

#[test]
fn a_partner_needs_an_approved_link_and_a_status() {
    for_each_engine(|engine| {
        let more = "\n[[partner]]\nslug = \"new\"\nstatus = \"Pending\"\n\
                    [[link]]\noffer = \"flat\"\npartner = \"new\"\n";
        let world = World::with(engine, more, &[]);
        let verdict = |link: &str| {
            let answer = world.visit(link, &fresh());
            (answer.status, answer.header("x-click-verdict").to_owned())
        };
        let refused = (410, "partner_not_approved".to_owned());
        assert_eq!(verdict("flat/new"), refused);
        let changed = |partner: &str, approval: &str| {
            let link = "[[link]]\noffer = \"flat\"\npartner = \"new\"\n";
            let approved = world
                .declaration()
                .replace("status = \"Pending\"", &format!("status = \"{partner}\""))
                .replace(link, &format!("{link}approval = \"{approval}\"\n"));
            apply(engine, &approved, &[]);
        };
        for (partner, approval, expected) in [
            ("Active", "Requested", &refused),
            ("Active", "Approved", &(302, "ok".to_owned())),
            ("Active", "Refused", &refused),
            ("Blocked", "Approved", &refused),
        ] {
            changed(partner, approval);
            eventually(&format!("{partner}, {approval}"), SOON, || verdict("flat/new") == *expected);
        }
        world.stop();
    });
}

#[test]
fn a_new_link_waits_for_approval_where_the_offer_says_so() {
    for_each_engine(|engine| {
        let asks = offer("asks", "link_approval = \"on_request\"");
        let world = World::with(engine, &asks, &[]);
        assert_eq!(world.met("asks").1, "partner_not_approved");
        let link = "[[link]]\noffer = \"asks\"\npartner = \"app\"\n";
        assert!(world.declaration().contains(link), "{}", world.declaration());
        let approved = world.declaration().replace(link, &format!("{link}approval = \"Approved\"\n"));
        apply(engine, &approved, &[]);
        eventually("it is approved", SOON, || world.met("asks").1 == "ok");
        // A file that does not name the approval leaves what somebody decided.
        apply(engine, world.declaration(), &[]);
        assert_eq!(world.met("asks").1, "ok");
        world.stop();
    });
}

#[test]
fn who_cannot_be_taken_goes_to_the_offer_s_fallback_or_else_the_network_s() {
    for_each_engine(|engine| {
        let own = "fallback_url = \"https://own.example/\"";
        let over = "expiry = 2026-01-01T00:00:00Z";
        let target = "targeting = [{ allow = \"age\", from = 18 }]";
        let offers = [
            offer("over", over),
            offer("over-own", &format!("{over}\n{own}")),
            offer("adult", target),
            offer("adult-own", &format!("{target}\n{own}")),
        ];
        let world = World::with(engine, &offers.concat(), &[]);
        for (slug, status) in [("over", 410), ("adult", 403)] {
            assert_eq!(
                (world.met(slug).0, world.met(slug).2),
                (status, String::new()),
                "{slug}: no fallback yet"
            );
        }
        let network = world
            .declaration()
            .replace("currency = \"USD\"", "currency = \"USD\"\nfallback_url = \"https://all.example/\"");
        apply(engine, &network, &[]);
        let to = |slug: &str, verdict: &str, url: &str| {
            let expected = (302, verdict.to_owned(), url.to_owned());
            eventually(&format!("{slug} falls back"), SOON, || world.met(slug) == expected);
        };
        to("over", "offer_expired", "https://all.example/");
        to("over-own", "offer_expired", "https://own.example/");
        to("adult", "target_mismatch", "https://all.example/");
        to("adult-own", "target_mismatch", "https://own.example/");
        world.stop();
    });
}

#[test]
fn a_click_s_time_decides_what_its_conversion_pays() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let before = [world.click("flat", "a"), world.click("flat", "b")];
        let levels = world.click("levels", "a");
        let report = |click: &str, more: &str| {
            let answer = world.report(&format!("gk_click_id={click}{more}"));
            assert_eq!(answer.code(), "recorded");
        };
        report(&before[0], "");
        let more = world
            .declaration()
            .replace("payout = \"1.20\"", "payout = \"1.50\"")
            .replace("payout = \"0.60\"", "payout = \"0.70\"\nreward_points = 5");
        apply(engine, &more, &[]);
        eventually("new clicks pay the new payout", SOON, || world.pays_now() == "1500000");
        report(&before[1], "");
        report(&levels, "&cnv_event_id=install");
        report(&world.click("levels", "c"), "&cnv_event_id=install");
        let paid = |member: &str| -> Vec<String> {
            world.stored(member).into_iter().map(|row| row[2].clone()).collect()
        };
        assert_eq!((paid("a"), paid("b")), (vec!["1200000".into(), "600000".into()], vec!["1200000".into()]));
        assert_eq!(paid("c"), ["700000"]);
        world.stop();
    });
}

/// Plans a change of the offer `flat` for next month, and moves it to `ms` from now.
fn plan(world: &World<'_>, field: &str, value: &str, ms: i64) {
    let engine = world.engine;
    let change = format!("change = [{{ at = {}, field = \"{field}\", value = {value} }}]", ahead(30));
    let planned = world.declaration().replacen("slug = \"flat\"", &format!("slug = \"flat\"\n{change}"), 1);
    apply(engine, &planned, &[]);
    let at = now_ms() + ms;
    engine.execute(&format!("update offer_change set at_ms = {at} where field = '{field}' and at_ms > {at}"));
    engine.execute("update catalog_state set version = version + 1");
}

/// A whole hour some days ahead.
pub(crate) fn ahead(days: i64) -> String {
    let hour = jiff::Timestamp::from_second((now_ms() / 3_600_000 + days * 24) * 3_600).unwrap();
    hour.to_string()
}

#[expect(clippy::disallowed_methods, reason = "what is planned lies ahead of the real clock")]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[test]
fn a_planned_status_takes_effect_by_its_time_on_every_server() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let second =
            matches!(engine, Engine::Postgres { .. }).then(|| PITLANE.serve(engine, &TO_THIS_MACHINE));
        let path = world.path("flat/app");
        let servers: Vec<&Server> = [Some(world.server()), second.as_ref()].into_iter().flatten().collect();
        let verdict = |server: &Server| {
            let answer = testkit::http::get(&format!("{}{path}?{}", server.url(), fresh()));
            answer.header("x-click-verdict").to_owned()
        };
        for server in &servers {
            assert_eq!(verdict(server), "ok");
        }
        plan(&world, "status", "\"Paused\"", 2_000);
        for server in &servers {
            eventually("the offer pauses", SOON, || verdict(server) == "offer_not_active");
        }
        // It is in the audit log once, whichever server wrote it: planned by apply, then effective.
        let told =
            "select actor, change from audit where subject = 'offer/flat' and change like '%took effect%'";
        eventually("the effect is told", SOON, || !engine.sql(told).is_empty());
        let change = r#"{"changes":[{"field":"status","new":"Paused"}],"result":"took effect"}"#;
        assert_eq!(engine.sql(told), [["apply", change]]);
        // The file does not name the status, so it stays; when it does, that counts from then on.
        apply(engine, world.declaration(), &[]);
        assert_eq!(verdict(world.server()), "offer_not_active");
        let active =
            world.declaration().replacen("slug = \"flat\"", "slug = \"flat\"\nstatus = \"Active\"", 1);
        apply(engine, &active, &[]);
        for server in &servers {
            eventually("the offer runs again", SOON, || verdict(server) == "ok");
        }
        assert_eq!(engine.sql(told).len(), 1);
        if let Some(second) = second {
            second.stop();
        }
        world.stop();
    });
}

#[test]
fn a_planned_payout_is_for_clicks_from_its_time_on() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let before = world.click("flat", "before");
        let older = world.aged(&world.click("flat", "older"), 60_000);
        plan(&world, "payout", "\"1.75\"", 0);
        eventually("new clicks pay the planned payout", SOON, || world.pays_now() == "1750000");
        for (member, click) in [("before", before), ("older", older)] {
            assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
            assert_eq!(world.stored(member)[0][2], "1200000", "{member}");
        }
        world.stop();
    });
}

#[test]
fn a_conversion_comes_within_its_times_or_is_rejected_with_a_reason() {
    for_each_engine(|engine| {
        let offers = [
            offer("slow", "min_conversion_time = \"1h\""),
            offer("short", "attribution_window = \"2h\""),
            offer("strict", "late_conversions = false"),
            offer("kind", ""),
        ];
        let world = World::with(engine, &offers.concat(), &[]);
        let clicked = |slug: &str, member: &str| {
            let answer = world
                .visit(&format!("{slug}/app"), &format!("pub_click_id=c-{member}&pub_member_id={member}"));
            click_id(&answer)
        };
        let report = |click: &str| world.report(&format!("gk_click_id={click}"));
        let hour_ms = 3_600_000;
        rejected(&report(&clicked("slow", "fast")), "too_fast");
        assert_eq!(report(&world.aged(&clicked("slow", "waited"), hour_ms)).code(), "recorded");
        assert_eq!(report(&world.aged(&clicked("short", "in"), 2 * hour_ms - 60_000)).code(), "recorded");
        rejected(&report(&world.aged(&clicked("short", "out"), 2 * hour_ms + 1)), "too_late");

        let (strict, kind) = (clicked("strict", "strict"), clicked("kind", "kind"));
        let ended = ["strict", "kind"].iter().fold(world.declaration().to_owned(), |text, slug| {
            text.replace(&format!("slug = \"{slug}\""), &format!("slug = \"{slug}\"\nstatus = \"Expired\""))
        });
        apply(engine, &ended, &[]);
        eventually("the offers are over", SOON, || {
            ["strict", "kind"].iter().all(|slug| world.met(slug).1 == "offer_expired")
        });
        rejected(&report(&strict), "offer_ended");
        assert_eq!(report(&kind).code(), "recorded");
        for (member, reason) in [("fast", "too_fast"), ("out", "too_late"), ("strict", "offer_ended")] {
            assert_eq!(world.stored(member)[0][..2], ["Rejected", reason], "{member}");
        }
        for member in ["waited", "in", "kind"] {
            assert_eq!(world.stored(member)[0][..2], ["Success", "NULL"], "{member}");
        }
        world.stop();
    });
}
