//! What a server does by itself, as its operator sees it.

use serde_json::Value;
use testkit::{Engine, eventually, for_each_engine};

use crate::PITLANE;
use crate::world::{AT_MOST, TO_THIS_MACHINE, World};

/// Every job, as `pitlane jobs --json` tells.
fn jobs(engine: &Engine) -> Vec<Value> {
    let told = PITLANE.run_on(engine, &["jobs", "--json"]).ok().json();
    told.as_array().expect("an array").clone()
}

fn job(engine: &Engine, name: &str) -> Value {
    jobs(engine).into_iter().find(|job| job["name"] == name).unwrap_or_else(|| panic!("no job {name}"))
}

#[test]
fn every_job_runs_and_shows_how_it_went() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        eventually("every job has run", AT_MOST, || {
            jobs(engine).iter().all(|job| job["succeeded"].is_string())
        });
        let all = jobs(engine);
        let names: Vec<&str> = all.iter().map(|job| job["name"].as_str().expect("a name")).collect();
        for name in ["waiting", "retention"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(all.iter().all(|job| job["failures"] == 0 && job["report"].is_object()), "{all:?}");
        let text = PITLANE.run_on(engine, &["jobs"]).ok().stdout;
        assert!(text.contains("waiting") && text.contains("last done 20"), "{text}");
        let metrics = world.get("/metrics").body;
        for name in names {
            let gauge = format!("pitlane_job_last_success_seconds{{job=\"{name}\"}}");
            assert!(metrics.contains(&gauge), "no {gauge} in {metrics}");
        }
        world.stop();
    });
}

#[test]
fn a_job_that_another_server_holds_is_left_to_it_and_taken_over_when_it_is_gone() {
    let engine = Engine::postgres();
    let world = World::start(&engine);
    eventually("the job has run", AT_MOST, || job(&engine, "retention")["succeeded"].is_string());
    world.stop();
    // A server that holds the job, and died.
    let ahead = "lease_until_ms = succeeded_ms + 3600000, due_ms = 0, succeeded_ms = 7";
    engine.execute(&format!("update job set {ahead} where name = 'retention'"));
    let server = PITLANE.serve(&engine, &TO_THIS_MACHINE);
    let waiting = || engine.count("select succeeded_ms from job where name = 'waiting'");
    // Twice, with a period between: a job that is not held has had its turn by then.
    for _ in 0..2 {
        let before = waiting();
        eventually("another job has run", AT_MOST, || waiting() > before);
    }
    assert_eq!(engine.count("select succeeded_ms from job where name = 'retention'"), 7, "it is held");
    server.stop();
    engine.execute("update job set lease_until_ms = 1 where name = 'retention'");
    let server = PITLANE.serve(&engine, &TO_THIS_MACHINE);
    eventually("the lease has run out and the job runs", AT_MOST, || {
        engine.count("select succeeded_ms from job where name = 'retention'") > 7
    });
    server.stop();
}

#[test]
fn a_job_that_fails_says_so_once_and_goes_on_when_it_can() {
    for_each_engine(|engine| {
        let world = World::start(engine).expect_errors();
        let counting = || job(engine, "count_reports");
        eventually("the job has run", AT_MOST, || counting()["succeeded"].is_string());
        engine.execute("alter table report_state rename to away");
        eventually("it fails again and again", AT_MOST, || counting()["failures"].as_i64() >= Some(2));
        let failed = counting();
        assert!(failed["error"].as_str().is_some_and(|why| why.contains("report_state")), "{failed}");
        let text = PITLANE.run_on(engine, &["jobs"]).ok().stdout;
        assert!(text.contains("FAILED ") && text.contains("times since, last 20"), "{text}");
        let lines = world.server().log();
        let told = lines.iter().filter(|line| line.contains("count_reports") && line.contains("failed"));
        assert_eq!(told.count(), 1, "once for the streak: {lines:#?}");
        // Others are not held up by it, and it goes on by itself.
        assert_eq!(job(engine, "waiting")["failures"], 0);
        engine.execute("alter table away rename to report_state");
        eventually("it goes on", AT_MOST, || counting()["failures"] == 0);
        assert!(world.server().log().iter().any(|line| line.contains("works again")));
        world.stop();
    });
}
