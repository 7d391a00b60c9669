//! Changes at a time: planned, altered, taken back, and history once they took effect.

use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;
use testkit::{Engine, for_each_engine};

use super::{SMALL, apply, changes, counts, report, thing};
use crate::life::ahead;

/// [`SMALL`] with changes of the offer `flat` or `levels`.
fn planned(slug: &str, changes: &[String]) -> String {
    let list = format!("slug = \"{slug}\"\nchange = [{}]", changes.join(", "));
    SMALL.replacen(&format!("slug = \"{slug}\""), &list, 1)
}

fn change(at: &str, field: &str, value: &str) -> String {
    format!("{{ at = {at}, field = \"{field}\", value = {value} }}")
}

/// As the report writes a time.
fn shown(at: &str) -> String {
    format!("{:.3}", at.parse::<Timestamp>().unwrap())
}

fn offer_changes(report: &Value, slug: &str) -> Vec<String> {
    changes(thing(report, "offer", slug))
}

/// Lets what is planned for `at` happen an hour ago, and gives that time as the file would write it.
fn pass(engine: &Engine, at: &str) -> String {
    let planned = at.parse::<Timestamp>().unwrap();
    let passed = ahead(0).parse::<Timestamp>().unwrap().checked_sub(1.hour()).unwrap();
    let (from, to) = (planned.as_millisecond(), passed.as_millisecond());
    engine.execute(&format!("update offer_change set at_ms = {to} where at_ms = {from}"));
    engine.execute("update catalog_state set version = version + 1");
    passed.to_string()
}

#[test]
fn a_change_is_planned_altered_and_taken_back() {
    for_each_engine(|engine| {
        report(engine, SMALL, &[]);
        let (soon, later) = (ahead(2), ahead(365));
        let first = planned(
            "flat",
            &[
                change(&later, "status", "\"Paused\""),
                change(&soon, "payout", "\"1.30\""),
                change(&soon, "reward", "7"),
            ],
        );
        let expected = [
            format!("change.payout.{}: (none) → 1.30", shown(&soon)),
            format!("change.reward_points.{}: (none) → 7", shown(&soon)),
            format!("change.status.{}: (none) → Paused", shown(&later)),
        ];
        let dry = report(engine, &first, &["--dry-run"]);
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        assert_eq!(sorted(offer_changes(&dry, "flat")), expected);
        assert_eq!(engine.count("select count(*) from offer_change"), 0);
        assert_eq!(sorted(offer_changes(&report(engine, &first, &[]), "flat")), expected);
        assert_eq!(counts(&report(engine, &first, &[])), (0, 0, 8), "as often as you like");
        assert_eq!(engine.count("select count(*) from offer_change where told_ms is null"), 3);

        let second = planned("flat", &[change(&soon, "payout", "\"1.40\""), change(&soon, "reward", "7")]);
        let told = report(engine, &second, &[]);
        let expected = [
            format!("change.payout.{}: 1.30 → 1.40", shown(&soon)),
            format!("change.status.{}: Paused → (none)", shown(&later)),
        ];
        assert_eq!(offer_changes(&told, "flat"), expected);
        assert_eq!(engine.count("select count(*) from offer_change"), 2);
        report(engine, SMALL, &[]);
        assert_eq!(engine.count("select count(*) from offer_change"), 0);
        let audit = engine.sql("select change from audit where subject = 'offer/flat' order by at_ms");
        assert_eq!(audit.len(), 4);
        assert!(audit[1][0].contains("change.status."), "{audit:?}");
    });
}

#[test]
fn each_event_has_its_own_changes_and_those_left_out_keep_theirs() {
    for_each_engine(|engine| {
        report(engine, SMALL, &[]);
        let soon = ahead(2);
        let of = |event: &str, value: &str| {
            format!("{{ at = {soon}, event = \"{event}\", field = \"revenue\", value = \"{value}\" }}")
        };
        report(engine, &planned("levels", &[of("install", "2"), of("level-10", "7")]), &[]);
        // A file with one of the two events takes back only what it could have named.
        let one = "[[offer]]\nslug = \"levels\"\ntype = \"MultiEvent\"\nadvertiser = \"shop\"\n\
                   destination = \"https://shop.example/levels?click={gk_click_id}\"\n[[offer.event]]\n\
                   code = \"install\"\nrevenue = \"1\"\npayout = \"0.60\"\n";
        let told = report(engine, one, &[]);
        assert_eq!(
            offer_changes(&told, "levels"),
            [format!("change.install.revenue.{}: 2.00 → (none)", shown(&soon))]
        );
        assert_eq!(engine.sql("select value from offer_change"), [["7000000"]]);
    });
}

#[test]
fn what_took_effect_counts_instead_of_the_key_until_it_is_removed() {
    for_each_engine(|engine| {
        report(engine, SMALL, &[]);
        let soon = ahead(2);
        report(engine, &planned("flat", &[change(&soon, "payout", "\"1.30\"")]), &[]);
        let passed = pass(engine, &soon);
        let kept = planned("flat", &[change(&passed, "payout", "\"1.30\"")]);
        let told = report(engine, &kept, &[]);
        assert_eq!(counts(&told), (0, 0, 8), "it does not go back to 1.20");
        let warning = told["warnings"][0]["message"].as_str().unwrap();
        assert!(
            warning.contains("took effect and counts instead of `payout`; write its value there"),
            "{warning}"
        );

        // Written there and removed, nothing changes; history stays.
        let written = SMALL.replace("\"1.20\"", "\"1.30\"");
        let told = report(engine, &written, &[]);
        assert_eq!((counts(&told), told["warnings"].as_array().unwrap().len()), ((0, 0, 8), 0));
        assert_eq!(engine.count("select count(*) from offer_change"), 1);
        // The old file is a change of now.
        let told = report(engine, SMALL, &[]);
        assert_eq!(offer_changes(&told, "flat"), ["payout: 1.30 → 1.20"]);
        assert_eq!(engine.count("select count(*) from offer_change"), 2);
        assert_eq!(
            engine.sql("select payout from offer_event e join offer o using (offer_id) where slug = 'flat'"),
            [["1200000"]]
        );

        // What happened cannot be altered, nor made up.
        let altered = planned("flat", &[change(&passed, "payout", "\"1.35\"")]);
        let ran = apply(engine, &altered, &[]);
        assert!(
            ran.code == Some(2) && ran.stderr.contains("is not ahead; write the value as `payout`"),
            "{ran:?}"
        );
        assert_eq!(counts(&report(engine, SMALL, &[])), (0, 0, 8));
    });
}

#[test]
fn what_amounts_mean_stays_once_they_changed() {
    for_each_engine(|engine| {
        report(engine, SMALL, &[]);
        let euro = |text: &str| text.replacen("slug = \"flat\"", "slug = \"flat\"\ncurrency = \"EUR\"", 1);
        assert_eq!(offer_changes(&report(engine, &euro(SMALL), &[]), "flat"), ["currency: USD → EUR"]);
        report(engine, SMALL, &[]);
        let raised = SMALL.replace("\"1.20\"", "\"1.30\"");
        report(engine, &raised, &[]);
        let ran = apply(engine, &euro(&raised), &[]);
        let why = "offer \"flat\": conversion_type and currency cannot change any more, because the terms have changed";
        assert!(ran.code == Some(2) && ran.stderr.contains(why), "{ran:?}");
    });
}

#[test]
fn five_changes_of_a_field_may_lie_ahead() {
    for_each_engine(|engine| {
        report(engine, SMALL, &[]);
        let payouts = |days: &[i64]| -> Vec<String> {
            days.iter().map(|day| change(&ahead(*day), "payout", &format!("\"1.{day}\""))).collect()
        };
        let ran = apply(engine, &planned("flat", &payouts(&[11, 12, 13, 14, 15, 16])), &[]);
        assert!(
            ran.code == Some(2) && ran.stderr.contains("at most 5 changes of payout may lie ahead"),
            "{ran:?}"
        );
        report(engine, &planned("flat", &payouts(&[11, 12, 13, 14, 15])), &[]);
        // Another five: the first are taken back in the same run.
        let told = report(engine, &planned("flat", &payouts(&[13, 14, 15, 16, 17])), &[]);
        assert_eq!(offer_changes(&told, "flat").len(), 4);
        let far = planned("flat", &[change(&ahead(400), "payout", "\"1.50\"")]);
        let ran = apply(engine, &far, &[]);
        assert!(ran.stderr.contains("is more than a year ahead"), "{ran:?}");
    });
}
