//! Erasing a person: nothing of it is left, nothing that counts is changed, and nobody is paid twice.

use serde_json::Value;
use simulator::partner::Behaviour;
use testkit::{Engine, Server, eventually, for_each_engine, http};

use crate::PITLANE;
use crate::crowd::Crowd;
use crate::world::{AT_MOST, Endpoint, NETWORK, TO_THIS_MACHINE, TOKEN, World, click_id, conversion_id};

/// A second partner whose member has the same id, and a partner postback that carries what it can.
const MORE: &str = r#"
[[partner]]
slug = "other"
[[link]]
offer = "flat"
partner = "other"
[[postback]]
partner = "app"
slug = "everything"
url = "http://{partner}/postback/everything?member={pub_member_id}&sub={pub_sub_1}&click={pub_click_id}"
"#;

const MEMBER: &str = "anna.smith@mail.example";

/// What tells who the person is: none of it may be left.
const TRACES: [&str; 7] = [
    "anna.smith",
    "sub-of-anna",
    "Anna-Browser",
    "smith@home",
    "user-4711",
    "198.51.100.77",
    "session-of-anna",
];

impl World<'_> {
    /// A visit of the person to the flat offer of `app`.
    fn anna(&self, click: &str) -> String {
        let query = format!(
            "pub_click_id={click}&pub_member_id=anna.smith%40mail.example&pub_sub_1=sub-of-anna&pub_age=44\
             &pub_session_id=session-of-anna"
        );
        let url = format!("{}{}?{query}", self.server().url(), self.path("flat/app"));
        click_id(&http::answer(http::client().get(url).header("user-agent", "Anna-Browser/1.0")))
    }

    /// What tells about the person in any table, by the beginnings of the rows.
    fn traces(&self) -> Vec<String> {
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let found =
            |line: &String| TRACES.iter().any(|trace| line.contains(trace) || line.contains(&hex(trace)));
        self.engine.content().into_iter().filter(found).collect()
    }

    /// Everything that is counted or paid.
    fn sums(&self) -> Vec<Vec<Vec<String>>> {
        let each = [
            "select link_id, verdict, count(*), count(distinct pub_member_id) from click
             group by link_id, verdict order by 1, 2",
            "select partner_id, status, count(*), count(distinct pub_member_id), sum(revenue_micros),
                 sum(payout_micros), sum(holds_place) from conversion group by partner_id, status order by 1, 2",
            "select * from click_count order by start_ms, link_id, verdict",
            "select * from conversion_count order by start_ms, link_id, status",
            "select state, count(*) from delivery group by state",
            "select result, count(*) from delivery_attempt group by result",
            "select code, count(*) from inbound group by code order by code",
            "select status, count(*) from conversion_change group by status",
        ];
        each.map(|query| self.engine.sql(query)).into()
    }
}

fn erase(engine: &Engine, more: &[&str]) -> Value {
    let args =
        [&["erase", "--network", "acme", "--partner", "app", "--member", MEMBER, "--json"], more].concat();
    PITLANE.run_on(engine, &args).ok().json()
}

/// The person came twice and converted once; others came and converted as well.
fn past(world: &World<'_>) -> String {
    let report = |click: &str| {
        world.report(&format!(
            "gk_click_id={click}&cnv_email=smith%40home.example&cnv_user_id=user-4711&cnv_sub_1=sub-of-anna\
             &cnv_conversion_ip_address=198.51.100.77"
        ))
    };
    // Both come before the first result: afterwards the member is soon known to have completed.
    let clicks = [world.anna("click-1"), world.anna("click-2")];
    let first = report(&clicks[0]);
    assert_eq!(first.code(), "recorded");
    assert_eq!(report(&clicks[1]).code(), "member_already_completed");
    let third = world.click("flat", "bert");
    assert_eq!(world.report(&format!("gk_click_id={third}")).code(), "recorded");
    let query = "pub_click_id=o1&pub_member_id=somebody-else";
    let other = click_id(&world.visit("flat/other", query));
    assert_eq!(world.report(&format!("gk_click_id={other}")).code(), "recorded");
    world.received();
    eventually("everything is counted", AT_MOST, || {
        world.count("click_arrival") == 0 && world.count("conversion_change where counted = 0") == 0
    });
    conversion_id(&first)
}

#[test]
fn not_a_byte_of_the_person_is_left_and_totals_are_the_same() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        past(&world);
        assert!(world.traces().len() >= 7, "{:#?}", world.traces());
        let (before, content) = (world.sums(), rows(engine));
        let dry = erase(engine, &["--dry-run"]);
        assert_eq!(rows(engine), content, "a dry run changes nothing");
        let done = erase(engine, &[]);
        for (what, count) in [("clicks", 2), ("conversions", 2), ("requests", 2), ("attempts", 2)] {
            assert_eq!((&dry[what], &done[what]), (&count.into(), &count.into()), "{what}");
        }
        assert_eq!(world.traces(), Vec::<String>::new());
        assert_eq!(world.sums(), before);
        PITLANE.run_on(engine, &["audit"]).ok();
        // The audit log says that it was done, and not about whom.
        let audit = world.engine.sql("select actor, subject, change from audit where actor = 'erase'");
        assert_eq!((audit.len(), audit[0][1].as_str()), (1, "partner/app"));
        // Others are as they were, and so is the partner's click id, by which it settles.
        assert_eq!(world.count("click where pub_member_id = 'bert'"), 1);
        assert_eq!(
            world.count("conversion where pub_click_id = 'click-1' and pub_member_id like 'erased:%'"),
            1
        );
        // Once more finds nothing, and changes nothing but the audit log.
        let content = rows(engine);
        assert_eq!(erase(engine, &[])["clicks"], 0);
        assert_eq!(rows(engine), content);
        let unknown = PITLANE.run_on(engine, &["erase", "--partner", "nobody", "--member", MEMBER]);
        assert_eq!(unknown.code, Some(2), "{unknown:?}");
        world.stop();
    });
}

#[test]
fn ids_are_found_and_forgotten_whether_sorted_into_lists_or_not() {
    for_each_engine(|engine| {
        let crowd = Crowd::start(engine, "", 1);
        let world = &crowd.world;
        let first = world.anna("click-1");
        let path = world.path("flat/app");
        let target = |n| format!("{path}?pub_click_id=crowd-{n}&pub_member_id=somebody-{n}");
        crowd.send(&(0..8_300).map(target).collect::<Vec<_>>());
        eventually("the ids of the crowd are sorted", AT_MOST, || {
            world.count("click_arrival") == 0 && world.count("click_key") > 0
        });
        let last = world.anna("click-2");
        eventually("the last click's ids are noted", AT_MOST, || world.count("click_arrival") == 0);
        assert!(world.count("click_key_unsorted") > 0);
        let known = |id: &str| PITLANE.run_on(engine, &["why", id, "--json"]).ok().json();
        let found = |id: &str| known(id)["story"]["click"]["id"].as_str().map(str::to_owned);
        assert_eq!((found("click-1"), found("click-2")), (Some(first.clone()), Some(last.clone())));
        for n in [0, 4_150, 8_299] {
            assert_eq!(known(&format!("somebody-{n}"))["total"], 1, "{n}");
        }
        let clicks = known(MEMBER)["clicks"].clone();
        assert_eq!((&clicks[0]["id"], &clicks[1]["id"]), (&last.clone().into(), &first.clone().into()));
        let noted =
            |table| world.engine.sql(&format!("select sum(length(entries)) from {table}"))[0][0].clone();
        let noted = || ["click_key", "click_key_unsorted"].map(|table| noted(table).parse::<i64>().unwrap());
        let before = noted();
        assert_eq!(erase(engine, &[])["clicks"], 2);
        // The member's entry of a list, and that of a line; by the partner's id both clicks are found as before.
        assert_eq!(noted(), [before[0] - 8, before[1] - 9]);
        assert_eq!((found("click-1"), found("click-2")), (Some(first), Some(last)));
        crowd.stop();
    });
}

/// Everything but the audit log and what jobs write.
fn rows(engine: &Engine) -> Vec<String> {
    let moving = ["audit: ", "job: ", "retention: ", "sketch: "];
    let stays = |line: &String| !moving.iter().any(|table| line.starts_with(table));
    engine.content().into_iter().filter(stays).collect()
}

#[test]
fn a_person_who_comes_back_is_not_paid_twice_on_any_server() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        // A click from before, whose result is reported only afterwards.
        let open = world.anna("click-3");
        let winner = past(&world);
        let later = format!("gk_click_id={open}&cnv_conversion_id=order-3");
        erase(engine, &[]);
        let answer = world.report(&later);
        assert_eq!(answer.code(), "member_already_completed", "{answer:?}");
        let world = world.restart(|| ());
        // A new process knows nothing but the record.
        let query = "pub_click_id=click-4&pub_member_id=anna.smith%40mail.example";
        let back = world.visit("flat/app", query);
        assert_eq!(back.header("x-click-verdict"), "member_already_completed", "{back:?}");
        assert_eq!(
            world.visit("flat/other", query).header("x-click-verdict"),
            "ok",
            "another partner's member"
        );
        // Rejected, the first one frees the place; then it is taken under the same name again.
        let freed = PITLANE.run_on(
            engine,
            &["conversion", "set", &winner, "--status", "Rejected", "--network", "acme", "--reason", "test"],
        );
        assert_eq!(freed.code, Some(0), "{freed:?}");
        let (mut id, mut visits) = (String::new(), 0);
        eventually("the place is free", AT_MOST, || {
            visits += 1;
            let visit = world.visit("flat/app", &query.replace("click-4", &format!("visit-{visits}")));
            let ok = visit.header("x-click-verdict") == "ok";
            id = if ok { click_id(&visit) } else { String::new() };
            ok
        });
        assert_eq!(world.report(&format!("gk_click_id={id}")).code(), "recorded");
        assert_eq!(world.count("conversion where holds_place = 1 and pub_member_id like 'erased:%'"), 1);
        let again = world.visit("flat/app", &query.replace("click-4", "click-6"));
        let code = again.header("x-click-verdict").to_owned();
        assert!(["ok", "member_already_completed"].contains(&code.as_str()), "{code}");
        // What came since is erased by doing it again, and only what is this partner's.
        erase(engine, &[]);
        let left = world.traces();
        let other = world.applied.id("link", "flat/other").replace('-', "");
        assert!(left.len() == 1 && left[0].starts_with("click: ") && left[0].contains(&other), "{left:#?}");
        world.stop();
    });
}

#[test]
fn a_partner_without_member_ids_is_asked_by_its_click_id() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let query = "pub_click_id=anna.smith-77&pub_member_id=anna.smith-77";
        let click = click_id(&world.visit("flat/app", query));
        assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        world.received();
        let args = ["erase", "--partner", "app", "--member", "anna.smith-77", "--json"];
        PITLANE.run_on(engine, &args).ok();
        assert_eq!(world.traces(), Vec::<String>::new());
        world.stop();
    });
}

#[test]
fn a_message_under_way_while_its_member_is_erased_leaves_no_trace() {
    // Recorded under the member id, and under the pseudonym while the click still has the member id.
    for erased_before in [false, true] {
        for_each_engine(|engine| {
            let slow = Endpoint::bind();
            let world = World::with(engine, &format!("{MORE}{}", slow_postback(&slow.address())), &[]);
            let slow = slow.behave(Behaviour::Hang);
            if erased_before {
                erase(engine, &[]);
            }
            assert_eq!(world.report(&format!("gk_click_id={}", world.anna("click-1"))).code(), "recorded");
            eventually("the partner is being told", AT_MOST, || slow.count() == 1);
            let told = String::from_utf8(slow.received()[0].body.clone()).unwrap();
            assert!(told.contains("sub-of-anna"), "{told}");
            erase(engine, &[]);
            assert_eq!(world.traces(), Vec::<String>::new());
            // Its connections end with it, and with them the attempt.
            drop(slow);
            let ended = "delivery_attempt where method = 'POST'";
            eventually("the attempt has ended", AT_MOST, || world.count(ended) > 0);
            assert_eq!(world.traces(), Vec::<String>::new());
            let left = engine.sql(&format!("select url, body, answer from {ended} and attempt = 1"));
            assert_eq!(left, [["", "", ""]]);
            world.stop();
        });
    }
}

/// A postback of the partner that tells everything, to an address of its own.
fn slow_postback(address: &str) -> String {
    format!(
        "[[postback]]\npartner = \"app\"\nslug = \"slow\"\nmethod = \"POST_JSON\"\n\
         url = \"http://{address}/postback/slow?member={{pub_member_id}}\"\n"
    )
}

#[test]
fn a_place_taken_under_both_names_is_left_to_the_first_and_the_later_one_is_rejected() {
    // The member's own result before that under the pseudonym, and after it.
    for plain_first in [true, false] {
        for_each_engine(|engine| {
            let declared = NETWORK
                .replace("slug = \"flat\"", "slug = \"flat\"\ncaps = { total = 9 }")
                .replace("slug = \"all\"", "slug = \"all\"\non = [\"Success\", \"changes\"]");
            let world = World::declared(engine, &format!("{declared}{MORE}"), &[]);
            erase(engine, &[]);
            let plain = || reported(&world, &world.click("flat", "bert"));
            let hidden = || reported(&world, &world.anna("click-1"));
            let (first, later) = if plain_first { (plain(), hidden()) } else { (hidden(), plain()) };
            world.received();
            // What a click and its postback leave that both arrive within the moment in which the erasing begins.
            for table in ["click", "conversion"] {
                engine.execute(&format!(
                    "update {table} set pub_member_id = '{MEMBER}' where pub_member_id = 'bert'"
                ));
            }
            erase(engine, &[]);
            let status = |id: &str| {
                let columns = "status, reason, winner_id, holds_place, version";
                engine
                    .sql(&format!("select {columns} from conversion where conversion_id = {}", engine.id(id)))
            };
            assert_eq!(status(&first), [["Success", "NULL", "NULL", "1", "0"]]);
            let winner = first.replace('-', "");
            assert_eq!(status(&later), [["Rejected", "member_already_completed", &winner, "0", "1"]]);
            let history = engine.sql("select status, reason, actor from conversion_change where version = 1");
            assert_eq!(history, [["Rejected", "member_already_completed", "erase"]]);
            assert_eq!(engine.sql("select distinct conversions from tally"), [["1"]]);
            let told = world.received();
            assert!(told.iter().any(|one| one.path_and_query.contains("status=Rejected")), "{told:?}");
            assert_eq!(world.count("conversion where pub_member_id not like 'erased:%'"), 0);
            assert_eq!(world.traces(), Vec::<String>::new());
            eventually("everything is counted", AT_MOST, || {
                world.count("conversion_change where counted = 0") == 0
            });
            PITLANE.run_on(engine, &["audit"]).ok();
            world.stop();
        });
    }
}

/// Reports a result of a click, which is recorded: the conversion.
fn reported(world: &World<'_>, click: &str) -> String {
    let answer = world.report(&format!("gk_click_id={click}"));
    assert_eq!(answer.code(), "recorded");
    conversion_id(&answer)
}

#[test]
fn a_member_erased_while_results_arrive_at_two_servers_is_paid_once() {
    let engine = Engine::postgres();
    let world = World::with(&engine, MORE, &[]);
    let second = PITLANE.serve(&engine, &TO_THIS_MACHINE);
    let clicks: Vec<String> = (0..40).map(|at| world.anna(&format!("click-{at}"))).collect();
    let servers = [world.server(), &second];
    std::thread::scope(|scope| {
        for (at, server) in servers.iter().enumerate() {
            let own: Vec<&String> = clicks.iter().skip(at).step_by(2).collect();
            scope.spawn(move || own.into_iter().for_each(|click| report(server, click)));
        }
        scope.spawn(|| erase(&engine, &[]));
    });
    erase(&engine, &[]);
    assert_eq!(world.count("conversion"), 40);
    assert_eq!(world.count("conversion where status = 'Success' and holds_place = 1"), 1);
    assert_eq!(world.count("conversion where status = 'Success'"), 1);
    assert_eq!(world.traces(), Vec::<String>::new());
    second.stop();
    world.stop();
}

fn report(server: &Server, click: &str) {
    let answer = http::get(&format!("{}/postback?token={TOKEN}&gk_click_id={click}", server.url()));
    assert_eq!(answer.status, 200, "{answer:?}");
}
