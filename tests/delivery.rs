//! What happens to a message when a partner's endpoint does not take it.

use std::time::Duration;

use simulator::partner::{Behaviour, Partner};
use testkit::{Engine, eventually, for_each_engine, http, until};

use crate::PITLANE;
use crate::world::{AT_MOST, Endpoint, NETWORK, TOKEN, World, apply, click_id};

impl World<'_> {
    /// Makes a click and reports it.
    fn convert(&self, member: &str) {
        let click = self.click("flat", member);
        assert_eq!(self.report(&format!("gk_click_id={click}")).code(), "recorded");
    }

    /// The deliveries of a postback: state, attempts, and milliseconds from the last attempt's end to the next, oldest
    /// first.
    fn deliveries(&self, slug: &str) -> Vec<(String, i64, i64)> {
        let rows = self.engine.sql(&format!(
            "select d.state, d.attempts, d.next_attempt_ms - coalesce((select max(a.started_ms + a.elapsed_ms) \
             from delivery_attempt a where a.delivery_id = d.delivery_id), 0) \
             from delivery d join postback p on p.postback_id = d.postback_id where p.slug = '{slug}' \
             order by d.delivery_id"
        ));
        rows.iter().map(|row| (row[0].clone(), row[1].parse().unwrap(), row[2].parse().unwrap())).collect()
    }

    /// Waits until an attempt at telling the fixture's postback about a member is written down: result, status,
    /// answer.
    fn attempt(&self, member: &str, number: i64) -> Vec<String> {
        let query = format!(
            "select a.result, a.http_status, a.answer from delivery_attempt a \
             join delivery d on d.delivery_id = a.delivery_id join postback p on p.postback_id = d.postback_id \
             join conversion c on c.conversion_id = d.conversion_id \
             where p.slug = 'all' and c.pub_member_id = '{member}' and a.attempt = {number}"
        );
        until("the attempt is written down", AT_MOST, || self.engine.sql(&query).pop())
    }
}

/// How far a retry may be from its step: ±10 %, and the time that writing it down takes.
#[track_caller]
fn is_about(ms: i64, step_ms: i64) {
    assert!((step_ms * 9 / 10..step_ms * 11 / 10 + 1_000).contains(&ms), "{ms} ms instead of {step_ms} ms");
}

#[test]
fn what_fails_is_sent_again_as_the_same_message() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        world.partner.set_behaviour(Behaviour::Status(500));
        world.convert("m1");
        assert_eq!(world.attempt("m1", 1), ["answered 500", "500", ""]);
        let (state, attempts, wait_ms) = world.deliveries("all")[0].clone();
        assert_eq!((state.as_str(), attempts), ("pending", 1));
        is_about(wait_ms, 5_000);
        world.partner.set_behaviour(Behaviour::Ok);
        let received = world.received();
        assert_eq!(received.len(), 2);
        assert_eq!(received[0].webhook_id, received[1].webhook_id);
        assert_eq!(received[0].path_and_query, received[1].path_and_query);
        assert_eq!(world.attempt("m1", 2), ["answered 200", "200", "ok"]);
        assert_eq!(world.count("delivery where state = 'delivered' and finished_ms is not null"), 1);
        let waited = "select max(started_ms) - min(started_ms) from delivery_attempt";
        assert!(engine.count(waited) >= 4_500, "not before the schedule");
        world.stop();
    });
}

#[test]
fn every_answer_but_a_2xx_is_a_failure_and_is_kept() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let elsewhere = Endpoint::bind().behave(Behaviour::Ok);
        let to = format!("http://{}/postback/redirected", elsewhere.addr());
        let answers = [
            (Behaviour::Status(200), "delivered", "answered 200", "200"),
            (Behaviour::Status(204), "delivered", "answered 204", "204"),
            (Behaviour::Status(299), "delivered", "answered 299", "299"),
            (Behaviour::Redirect(to), "pending", "answered 302", "302"),
            (Behaviour::Status(304), "pending", "answered 304", "304"),
            (Behaviour::Status(400), "pending", "answered 400", "400"),
            (Behaviour::Status(404), "pending", "answered 404", "404"),
            (Behaviour::Status(500), "pending", "answered 500", "500"),
            (Behaviour::Reset, "pending", "reset: ", "NULL"),
        ];
        for (at, (behaviour, state, result, status)) in answers.into_iter().enumerate() {
            let what = format!("{behaviour:?}");
            world.partner.set_behaviour(behaviour);
            let member = format!("m{at}");
            world.convert(&member);
            let row = world.attempt(&member, 1);
            assert!(row[0].starts_with(result) && row[1] == status, "{what}: {row:?}");
            assert_eq!(world.deliveries("all")[at].0, state, "{what}");
        }
        assert_eq!(elsewhere.count(), 0, "a redirect is not followed");
    });
}

#[test]
fn an_attempt_is_logged_with_its_request_and_the_first_4_kib_of_the_answer() {
    for_each_engine(|engine| {
        let more = "[[postback]]\npartner = \"app\"\nslug = \"json\"\nmethod = \"POST_JSON\"\n\
                    url = \"http://{partner}/postback/json?x=1\"\n";
        let world = World::with(engine, more, &[]);
        world.partner.set_behaviour(Behaviour::Flood);
        world.convert("m1");
        assert!(world.received().iter().all(|one| !one.accepted));
        let base = format!("http://{}", world.partner.addr());
        let logged = engine.sql(
            "select method, url, body, result, http_status, length(answer), attempt, elapsed_ms \
             from delivery_attempt order by method",
        );
        let received = world.partner.received();
        let (get, post) = if received[0].method == "GET" { (0, 1) } else { (1, 0) };
        let url = format!("{base}{}", received[get].path_and_query);
        assert_eq!(logged[0][..7], ["GET", &url, "", "answered 200", "200", "4096", "1"]);
        let body = String::from_utf8(received[post].body.clone()).unwrap();
        let url = format!("{base}/postback/json?x=1");
        assert_eq!(logged[1][..7], ["POST", &url, &body, "answered 200", "200", "4096", "1"]);
        assert!(body.contains("\"pub_member_id\":\"m1\""), "{body}");
        let endless: i64 = logged[0][7].parse().unwrap();
        assert!(endless < 15_000, "a body without end does not hold it up: {endless} ms");
    });
}

#[test]
fn retry_after_is_respected_and_never_shortens_the_schedule() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        for (at, (status, seconds, wait_ms)) in [
            (429, 7_200, 7_200_000),
            (503, 1, 5_000),
            (503, 86_400, 86_400_000),
            (404, 999_999_999, 86_400_000),
        ]
        .into_iter()
        .enumerate()
        {
            world.partner.set_behaviour(Behaviour::RetryAfter { status, seconds });
            let member = format!("m{at}");
            world.convert(&member);
            world.attempt(&member, 1);
            let (state, attempts, waits_ms) = world.deliveries("all")[at].clone();
            assert_eq!((state.as_str(), attempts), ("pending", 1));
            if seconds > 1 {
                assert!(
                    (0..1_000).contains(&(waits_ms - wait_ms)),
                    "{waits_ms} ms, {seconds} s were asked for"
                );
            } else {
                is_about(waits_ms, wait_ms);
            }
        }
    });
}

#[test]
fn an_endpoint_that_is_gone_is_switched_off_with_all_that_waits_for_it() {
    for_each_engine(|engine| {
        let other = Endpoint::bind();
        let more = format!(
            "[[postback]]\npartner = \"app\"\nslug = \"gone\"\nurl = \"http://{}/postback/gone\"\n",
            other.address()
        );
        let world = World::with(engine, &more, &[]);
        let gone = other.behave(Behaviour::Status(500));
        for member in ["m1", "m2", "m3"] {
            world.convert(member);
        }
        eventually("three failures are written down", AT_MOST, || {
            world.deliveries("gone").iter().filter(|delivery| delivery.1 == 1).count() == 3
        });
        gone.set_behaviour(Behaviour::Status(410));
        world.convert("m4");
        eventually("everything for it is given up", AT_MOST, || {
            world.deliveries("gone").iter().all(|delivery| delivery.0 == "dead")
        });
        let setting = "select enabled, disabled_reason from postback where slug = 'gone'";
        assert_eq!(engine.sql(setting), [["0", "the endpoint answered 410 Gone"]]);
        let heard = gone.count();
        world.convert("m5");
        let received = world.received();
        assert_eq!(received.len(), 5, "the partner's other postback hears everything");
        assert_eq!((world.deliveries("gone").len(), gone.count()), (4, heard));
        assert_eq!(
            world.count("delivery where state = 'dead' and finished_ms is not null"),
            4,
            "kept for replay"
        );
        world.stop();
    });
}

#[test]
fn an_endpoint_that_hangs_holds_up_nobody_else() {
    for_each_engine(|engine| {
        let hung = Endpoint::bind();
        let more = format!(
            "[[postback]]\npartner = \"app\"\nslug = \"hung\"\nurl = \"http://{}/postback/hung\"\n",
            hung.address()
        );
        let world = World::with(engine, &more, &[]);
        let hung = hung.behave(Behaviour::Hang);
        // More than one endpoint may have under way at once.
        for at in 0..60 {
            world.convert(&format!("m{at}"));
        }
        eventually("the healthy endpoint hears everything", AT_MOST, || world.partner.count() == 60);
        let healthy = "delivery d join postback p on p.postback_id = d.postback_id \
                       where p.slug = 'all' and d.state = 'delivered'";
        eventually("and that is written down", AT_MOST, || world.count(healthy) == 60);
        assert!(hung.count() > 0);
        let held_up = "delivery d join postback p on p.postback_id = d.postback_id where p.slug = 'all' \
                       and d.finished_ms > (select coalesce(min(started_ms + elapsed_ms), d.finished_ms) \
                       from delivery_attempt where result like 'timeout%')";
        assert_eq!(world.count(held_up), 0, "nobody waited until the first of the others was given up");
    });
}

#[test]
fn an_endpoint_that_does_not_answer_in_time_has_failed() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    world.partner.set_behaviour(Behaviour::Hang);
    world.convert("m1");
    assert_eq!(world.attempt("m1", 1), ["timeout: no answer in time", "NULL", ""]);
    let elapsed_ms = engine.count("select elapsed_ms from delivery_attempt");
    assert!((15_000..60_000).contains(&elapsed_ms), "{elapsed_ms} ms");
    let (state, attempts, wait_ms) = world.deliveries("all")[0].clone();
    assert_eq!((state.as_str(), attempts), ("pending", 1));
    is_about(wait_ms, 5_000);
}

#[test]
fn after_five_failures_in_a_row_an_endpoint_is_left_alone_for_a_while() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        world.partner.set_behaviour(Behaviour::Status(503));
        for at in 0..5 {
            let member = format!("m{at}");
            world.convert(&member);
            world.attempt(&member, 1);
        }
        world.partner.set_behaviour(Behaviour::Ok);
        // Due at once, and held back with all the others until one of them has shown that the endpoint is back.
        world.convert("m5");
        assert_eq!(world.received().len(), 11, "each of five failed once, and six arrived");
        let times = engine
            .sql("select started_ms, started_ms + elapsed_ms from delivery_attempt order by started_ms");
        let at = |row: usize, column: usize| times[row][column].parse::<i64>().unwrap();
        assert!(at(5, 0) - at(4, 1) >= 5_000, "{times:?}");
        assert!(at(6, 0) >= at(5, 1), "one goes ahead: {times:?}");
        world.stop();
    });
}

/// What is not given back is held for longer.
const HALF_A_LEASE: Duration = Duration::from_secs(20);

#[test]
fn what_was_claimed_and_not_sent_is_given_back() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        world.partner.set_behaviour(Behaviour::Status(503));
        for at in 0..40 {
            world.convert(&format!("m{at}"));
        }
        let held_back = "delivery where state = 'pending' and attempts = 0";
        eventually("the breaker holds some back", AT_MOST, || {
            world.count("delivery_attempt") >= 5 && world.count(held_back) > 0
        });
        let held = "delivery where state = 'pending' and lease_until_ms > 0";
        eventually("and nobody holds them", HALF_A_LEASE, || world.count(held) == 0);
        world.partner.set_behaviour(Behaviour::Ok);
        world.received();
        assert_eq!(world.count("delivery where state = 'delivered'"), 40);
        world.stop();
    });
}

#[test]
fn a_server_that_stops_gives_back_what_it_did_not_send() {
    for_each_engine(|engine| {
        let world = World::with(engine, "", &["--delivery-per-endpoint", "2"]);
        world.partner.set_behaviour(Behaviour::Hang);
        for at in 0..12 {
            world.convert(&format!("m{at}"));
        }
        eventually("what may be under way is", AT_MOST, || world.partner.count() == 2);
        eventually("more is held", AT_MOST, || world.count("delivery where lease_until_ms > 0") > 2);
        world.stop();
        assert_eq!(engine.count("select count(*) from delivery where lease_until_ms > 0"), 0);
        let attempts = engine.count("select count(*) from delivery_attempt");
        assert_eq!(attempts, 2, "those under way came to their end");
    });
}

#[test]
fn a_private_address_is_not_called_unless_the_operator_opens_it() {
    for_each_engine(|engine| {
        let endpoint = Endpoint::bind();
        let declaration = NETWORK.replace("{partner}", &endpoint.address());
        let applied = apply(engine, &declaration, &[]);
        let partner: Partner = endpoint.start(Vec::new());
        let port = partner.addr().port();
        let opened = |flags: &[&str], member: &str| {
            let server = PITLANE.serve(engine, flags);
            let link = format!("/api/v1/offer-link/redirect/{}", applied.id("link", "flat/app"));
            let query = format!("pub_click_id=c-{member}&pub_member_id={member}");
            let click = click_id(&http::get(&format!("{}{link}?{query}", server.url())));
            let report = format!("{}/postback?token={TOKEN}&gk_click_id={click}", server.url());
            assert_eq!(http::get(&report).code(), "recorded");
            let first = format!(
                "select a.result, a.http_status, d.state from delivery_attempt a \
                 join delivery d on d.delivery_id = a.delivery_id \
                 join conversion c on c.conversion_id = d.conversion_id \
                 where c.pub_member_id = '{member}' and a.attempt = 1"
            );
            until("an attempt is written down", AT_MOST, || engine.sql(&first).pop())
        };
        let refused = opened(&[], "m1");
        assert!(refused[0].starts_with("not sent: "), "{refused:?}");
        assert_eq!(refused[1..], ["NULL", "pending"]);
        let other_port = format!("127.0.0.1/32:{}", if port == 1 { 2 } else { 1 });
        let refused = opened(&["--delivery-allow", &other_port], "m2");
        assert!(refused[0].starts_with("not sent: "), "{refused:?}");
        assert_eq!(partner.count(), 0);
        let sent = opened(&["--delivery-allow", &format!("127.0.0.1/32:{port}")], "m3");
        assert_eq!(sent[..], ["answered 200", "200", "delivered"]);
    });
}
