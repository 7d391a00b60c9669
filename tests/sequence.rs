//! Events that must come in order.

use testkit::for_each_engine;
use testkit::http::Answer;

use crate::life::rejected;
use crate::world::World;

/// Three steps, one of them not at once, and an event of its own.
const STEPS: &str = r#"
[[offer]]
slug = "steps"
type = "MultiEvent"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
[[offer.event]]
code = "third"
revenue = "3"
payout = "3"
sequence = 30
min_time_after_previous = "1h"
[[offer.event]]
code = "first"
revenue = "1"
payout = "1"
sequence = 10
[[offer.event]]
code = "second"
revenue = "2"
payout = "2"
sequence = 20
deadline_days = 2
[[offer.event]]
code = "any"
revenue = "9"
payout = "9"
[[link]]
offer = "steps"
partner = "app"
"#;

const HOUR_MS: u64 = 3_600_000;

impl World<'_> {
    fn step(&self, click: &str, event: &str) -> Answer {
        self.report(&format!("gk_click_id={click}&cnv_event_id={event}"))
    }

    /// Code and status of the answer to an event.
    fn came(&self, click: &str, event: &str) -> (String, String) {
        let answer = self.step(click, event);
        let status = answer.json()["data"]["status"].as_str().unwrap_or_default().to_owned();
        (answer.code(), status)
    }

    /// The events of a member that are stored: code, status, reason.
    fn steps_of(&self, member: &str) -> Vec<String> {
        let rows = self.engine.sql(&format!(
            "select e.code, c.status, c.reason from conversion c \
             join offer_event e on e.offer_id = c.offer_id and e.event_id = c.event_id \
             where c.pub_member_id = '{member}' order by e.code"
        ));
        rows.iter().map(|row| row.join(" ")).collect()
    }

    /// As if a member's event had come earlier.
    fn came_earlier(&self, member: &str, event: &str, by_ms: u64) {
        self.engine.execute(&format!(
            "update conversion set received_ms = received_ms - {by_ms} where pub_member_id = '{member}' \
             and event_id = (select event_id from offer_event where code = '{event}')"
        ));
    }
}

fn recorded(status: &str) -> (String, String) {
    ("recorded".to_owned(), status.to_owned())
}

#[test]
fn events_come_in_order_and_independent_ones_at_any_time() {
    for_each_engine(|engine| {
        let world = World::with(engine, STEPS, &[]);
        let click = world.click("steps", "m");
        for event in ["any", "first", "second"] {
            assert_eq!(world.came(&click, event), recorded("Success"), "{event}");
        }
        world.came_earlier("m", "second", HOUR_MS);
        assert_eq!(world.came(&click, "third"), recorded("Success"));
        assert_eq!(
            world.steps_of("m"),
            ["any Success NULL", "first Success NULL", "second Success NULL", "third Success NULL"]
        );
        assert_eq!(world.received().len(), 4);
        world.stop();
    });
}

#[test]
fn an_event_too_soon_behind_the_one_before_or_after_its_deadline_is_rejected() {
    for_each_engine(|engine| {
        let world = World::with(engine, STEPS, &[]);
        let soon = world.click("steps", "soon");
        for event in ["first", "second"] {
            assert_eq!(world.came(&soon, event), recorded("Success"), "{event}");
        }
        rejected(&world.step(&soon, "third"), "too_fast");
        let late = world.aged(&world.click("steps", "late"), 48 * HOUR_MS + 1);
        assert_eq!(world.came(&late, "first"), recorded("Success"));
        rejected(&world.step(&late, "second"), "too_late");
        let in_time = world.aged(&world.click("steps", "in-time"), 47 * HOUR_MS);
        assert_eq!(world.came(&in_time, "first"), recorded("Success"));
        assert_eq!(world.came(&in_time, "second"), recorded("Success"));
        assert_eq!(
            world.steps_of("soon"),
            ["first Success NULL", "second Success NULL", "third Rejected too_fast"]
        );
        assert_eq!(world.steps_of("late"), ["first Success NULL", "second Rejected too_late"]);
        world.stop();
    });
}

#[test]
fn an_event_before_its_predecessor_waits_and_goes_on_when_that_comes() {
    for_each_engine(|engine| {
        let world = World::with(engine, STEPS, &[]);
        let click = world.click("steps", "m");
        assert_eq!(world.came(&click, "second"), recorded("Pending"));
        let again = world.came(&click, "second");
        assert_eq!(again, ("duplicate".to_owned(), "Pending".to_owned()));
        assert_eq!(world.steps_of("m"), ["second Pending NULL"]);
        let wait = "select wait_until_ms - received_ms from conversion where wait_for = 'predecessor'";
        assert_eq!(world.engine.count(wait), i64::try_from(HOUR_MS).unwrap(), "an hour");
        assert_eq!(world.received().len(), 0, "nobody is told of what waits");

        assert_eq!(world.came(&click, "first"), recorded("Success"));
        assert_eq!(world.steps_of("m"), ["first Success NULL", "second Success NULL"]);
        assert_eq!(world.count("conversion where wait_until_ms is not null"), 0);
        assert_eq!(world.came(&click, "second"), ("duplicate".to_owned(), "Success".to_owned()));
        let history = "select count(*) from conversion_change h join conversion c using (conversion_id) \
                       where c.event_id = (select event_id from offer_event where code = 'second')";
        assert_eq!(world.engine.count(history), 2, "Pending, then Success");
        world.stop();
    });
}

#[test]
fn a_chain_that_comes_backwards_goes_on_together_but_not_around_its_minimum_time() {
    let orderly = STEPS.replace("min_time_after_previous = \"1h\"\n", "");
    for_each_engine(|engine| {
        let world = World::with(engine, &orderly, &[]);
        let click = world.click("steps", "m");
        for event in ["third", "second"] {
            assert_eq!(world.came(&click, event), recorded("Pending"), "{event}");
        }
        assert_eq!(world.came(&click, "first"), recorded("Success"));
        assert_eq!(world.steps_of("m"), ["first Success NULL", "second Success NULL", "third Success NULL"]);
        world.stop();
    });
    for_each_engine(|engine| {
        let world = World::with(engine, STEPS, &[]);
        let click = world.click("steps", "m");
        for event in ["third", "second"] {
            assert_eq!(world.came(&click, event), recorded("Pending"), "{event}");
        }
        assert_eq!(world.came(&click, "first"), recorded("Success"));
        assert_eq!(
            world.steps_of("m"),
            ["first Success NULL", "second Success NULL", "third Rejected too_fast"]
        );
        world.stop();
    });
}

#[test]
fn one_member_s_steps_are_no_other_s() {
    for_each_engine(|engine| {
        let world = World::with(engine, STEPS, &[]);
        let (one, other) = (world.click("steps", "one"), world.click("steps", "other"));
        assert_eq!(world.came(&one, "first"), recorded("Success"));
        assert_eq!(world.came(&other, "second"), recorded("Pending"));
        // A predecessor that is rejected afterwards was no predecessor.
        let reversed = world.report(&format!("gk_click_id={one}&cnv_event_id=first&cnv_status=3"));
        assert_eq!(reversed.code(), "updated");
        assert_eq!(world.came(&one, "second"), recorded("Pending"));
        world.stop();
    });
}
